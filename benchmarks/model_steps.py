"""The operators of a model as the steps of a job: with their inputs, and the outputs that the firmware has to give.

Builtin operators of int8 tensors have the parameters that TFLM computes at start-up. The custom ops have their
tensors. An operator that the firmware has no kernel for becomes a reason.

Sources: the Prepare functions in tensorflow/lite/micro/kernels/ and tensorflow/lite/kernels/internal/.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsr import model as tflite
from dcsr import packing
from dcsr.graph import indices
from dcsr.requantize import activation_range, layer_multipliers, quantize_multiplier
from dcsr.schema import enum_name, schema

# The format of the job that firmware/model_bench.cc reads: this, then the steps.
_JOB = struct.Struct("<4sI")
_MAGIC = b"DCSM"
_HEADER = struct.Struct("<64s6I")

_RANK = 4
_MOST_DIMS = 8
_TYPE = schema.TensorType
_SOFTMAX_BITS = 5  # kScaledDiffIntegerBits
_ADD_SHIFT = 20

# StepKind of firmware/step.h.
KINDS = {
    name: number
    for number, name in enumerate(
        (
            *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D", "ADD", "MUL"),
            *("MEAN", "REDUCE_MAX", "PAD", "SOFTMAX", "QUANTIZE", "REQUANTIZE", "DEQUANTIZE", "COPY"),
            "REDUCE_MAX_FLOAT",
        ),
        start=1,
    )
} | {"DCSR_CONV_2D": 32, "DCSR_FULLY_CONNECTED": 33, "DCSR_DEPTHWISE_CONV_2D": 34}
CUSTOM = "DCSR_"
_COPIES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")

Values = Mapping[int, np.ndarray]


@dataclass(frozen=True)
class Step:
    """An operator for the firmware.

    Attributes:
      name: position and name of the operator.
      kind: key of KINDS.
      parameters: int32 numbers, the fields of the kind's struct.
      sections: content of the inputs and constants.
      output: the expected output.
      plane: (bytes, pixels) of a plane of an output in planes, whose other bytes are unspecified; zeros without planes.
    """

    name: str
    kind: str
    parameters: tuple[int, ...]
    sections: tuple[bytes, ...]
    output: bytes
    plane: tuple[int, int] = (0, 0)

    def serialise(self) -> bytes:
        """Returns the step as the firmware reads it."""
        name = self.name.encode(errors="replace")[:63]
        counts = (len(self.parameters), len(self.sections), len(self.output))
        header = _HEADER.pack(name, KINDS[self.kind], *counts, *self.plane)
        parameters = struct.pack(f"<{len(self.parameters)}i", *self.parameters)
        sizes = struct.pack(f"<{len(self.sections)}I", *map(len, self.sections))
        return b"".join((header, parameters, sizes, *self.sections, self.output))


class UnknownOperatorError(Exception):
    """The reason why the firmware has no kernel for an operator."""


@dataclass(frozen=True)
class Operator:
    """An operator of a model.

    Attributes:
      position: in the subgraph.
      name: builtin name or custom code.
      shape: of its first output.
      step: for the firmware; None if it has no kernel for the operator.
      reason: why there is no step; empty if there is one.
    """

    position: int
    name: str
    shape: tuple[int, ...]
    step: Step | None
    reason: str


class _Node:
    """An operator with its tensors and their contents."""

    def __init__(self, model: schema.ModelT, operator: schema.OperatorT, values: Values) -> None:
        self.tensors = model.subgraphs[0].tensors
        self.inputs = indices(operator.inputs)
        self.outputs = indices(operator.outputs)
        self.options = operator.builtinOptions
        self._model = model
        self._values = values

    def input(self, number: int) -> schema.TensorT:
        """An input tensor. Raises UnknownOperatorError if there is none."""
        if number >= len(self.inputs) or self.inputs[number] < 0:
            raise UnknownOperatorError(f"has no input {number}")
        return self.tensors[self.inputs[number]]

    @property
    def output(self) -> schema.TensorT:
        """The only output."""
        if len(self.outputs) != 1:
            raise UnknownOperatorError("has several outputs")
        return self.tensors[self.outputs[0]]

    def content(self, number: int) -> bytes:
        """The content of an input, constant or captured; empty if the input is left out."""
        if number >= len(self.inputs) or self.inputs[number] < 0:
            return b""
        return self._content(self.inputs[number])

    def expected(self) -> bytes:
        """The captured output."""
        return self._content(self.outputs[0])

    def is_constant(self, number: int) -> bool:
        """Whether an input is constant."""
        return tflite.is_constant(self._model, self.input(number))

    def constant(self, number: int) -> list[int]:
        """The numbers of a constant int32 or int64 input."""
        tensor = self.input(number)
        kinds = {_TYPE.INT32: "<i4", _TYPE.INT64: "<i8"}
        if not self.is_constant(number) or tensor.type not in kinds:
            raise UnknownOperatorError(f"its input {number} is not constant")
        return np.frombuffer(tflite.buffer_bytes(self._model, tensor), kinds[tensor.type]).tolist()

    def _content(self, index: int) -> bytes:
        tensor = self.tensors[index]
        if tflite.is_constant(self._model, tensor):
            return tflite.buffer_bytes(self._model, tensor)
        return self._values[index].tobytes()


def operators(model: schema.ModelT, values: Values) -> list[Operator]:
    """Returns the operators of subgraph 0 in order.

    Args:
      model: the model.
      values: {tensor: content} of an inference, for all tensors that are not constant.
    """
    found = []
    for position, operator in enumerate(model.subgraphs[0].operators or []):
        name = tflite.operator_name(model, operator)
        node = _Node(model, operator, values)
        shape = _shape(node.tensors[node.outputs[0]]) if node.outputs else ()
        step, reason = None, ""
        try:
            step = _step(f"{position} {name}", name, node)
        except UnknownOperatorError as error:
            reason = str(error)
        found.append(Operator(position, name, shape, step, reason))
    return found


def job(steps: Sequence[Step]) -> bytes:
    """Returns the job of steps."""
    return b"".join([_JOB.pack(_MAGIC, len(steps)), *(step.serialise() for step in steps)])


def _step(label: str, name: str, node: _Node) -> Step:
    if name.startswith(CUSTOM) and name in KINDS:
        return _custom(label, name, node)
    if name not in _BUILDERS:
        raise UnknownOperatorError("is not among the operators of this benchmark")
    kind, parameters, inputs = _BUILDERS[name](name, node)
    return Step(label, kind, parameters, tuple(inputs), node.expected())


_Built = tuple[str, tuple[int, ...], list[bytes]]


def _shape(tensor: schema.TensorT) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(dim) for dim in tensor.shape)


def _four(tensor: schema.TensorT) -> list[int]:
    """The shape with four dimensions; the first ones may be added."""
    shape = _shape(tensor)
    if len(shape) > _RANK:
        raise UnknownOperatorError(f"has {len(shape)} dimensions")
    return [1] * (_RANK - len(shape)) + list(shape)


def _zero_point(tensor: schema.TensorT) -> int:
    return int(tensor.quantization.zeroPoint[0])


def _scale(tensor: schema.TensorT) -> float:
    return float(np.float32(tensor.quantization.scale[0]))


def _need_int8(*tensors: schema.TensorT) -> None:
    for tensor in tensors:
        if tensor.type != _TYPE.INT8:
            raise UnknownOperatorError(f"{enum_name(_TYPE, tensor.type).lower()} has no kernel here")


def _limits(node: _Node) -> tuple[int, int]:
    """The activation range of the output."""
    code = node.options.fusedActivationFunction if node.options is not None else 0
    name = enum_name(schema.ActivationFunctionType, code)
    output = node.output
    try:
        return activation_range(name, np.float32(_scale(output)), _zero_point(output))
    except KeyError as error:
        raise UnknownOperatorError(f"its activation {name} has no kernel here") from error


def _padding(size: int, out: int, taps: int, stride: int, dilation: int) -> int:
    return max((out - 1) * stride + (taps - 1) * dilation + 1 - size, 0) // 2


def _window(
    node: _Node,
    filter_size: tuple[int, int],
    filter_channels: int,
    dilation: tuple[int, int] = (1, 1),
    is_per_channel: bool = True,
) -> tuple[int, ...]:
    """The fields of DcsrWindowParameters of an operator with stride and padding."""
    source, target = _four(node.input(0)), _four(node.output)
    stride = (node.options.strideH, node.options.strideW)
    is_same = node.options.padding == schema.Padding.SAME
    pads = [_padding(*sizes) for sizes in zip(source[1:3], target[1:3], filter_size, stride, dilation, strict=True)]
    return (
        *(source[0], *source[1:], *target[1:]),
        *(*filter_size, filter_channels, *stride, *dilation),
        *(pads if is_same else (0, 0)),
        int(is_same),
        *(_zero_point(node.input(0)), _zero_point(node.output), *_limits(node)),
        int(is_per_channel),
        len(_shape(node.output)),
    )


def _weights(node: _Node, channels: int, *, product_in_float: bool, expand: bool) -> list[bytes]:
    """The sections of an operator with weights: input, weights, bias, multipliers, shifts.

    Args:
      node: the operator.
      channels: output channels.
      product_in_float: see layer_multipliers.
      expand: whether each channel gets a multiplier even if there is one for all.
    """
    source, weights, target = node.input(0), node.input(1), node.output
    _need_int8(source, weights, target)
    if not node.is_constant(1) or np.any(weights.quantization.zeroPoint):
        raise UnknownOperatorError("its weights are not constant, or have a zero point")
    bias = node.content(2)
    if len(bias) not in (0, 4 * channels):
        raise UnknownOperatorError("its bias is not int32")
    scales = np.asarray(weights.quantization.scale, np.float32)
    multipliers, shifts = layer_multipliers(
        np.float32(_scale(source)), scales, np.float32(_scale(target)), product_in_float=product_in_float
    )
    count = channels if expand else len(multipliers)
    numbers = [np.broadcast_to(array.astype("<i4"), count).tobytes() for array in (multipliers, shifts)]
    return [node.content(0), node.content(1), bias, *numbers]


def _conv2d(name: str, node: _Node) -> _Built:
    weights = _shape(node.input(1))
    options = node.options
    dilation = (options.dilationHFactor, options.dilationWFactor)
    is_depthwise = name == "DEPTHWISE_CONV_2D"
    channels = weights[3] if is_depthwise else weights[0]
    sections = _weights(node, channels, product_in_float=False, expand=True)
    return name, _window(node, weights[1:3], 1 if is_depthwise else weights[3], dilation), sections


def _fully_connected(name: str, node: _Node) -> _Built:
    rows, cols = _shape(node.input(1))
    is_per_channel = len(node.input(1).quantization.scale) > 1
    if node.options is not None and node.options.weightsFormat:
        raise UnknownOperatorError("its weights are shuffled")
    sections = _weights(node, rows, product_in_float=not is_per_channel, expand=False)
    batches = math.prod(_shape(node.input(0))) // cols
    window = (
        *(batches, 1, 1, cols, 1, 1, rows),
        *(1, 1, cols, 1, 1, 1, 1, 0, 0, 0),
        *(_zero_point(node.input(0)), _zero_point(node.output), *_limits(node)),
        int(is_per_channel),
        len(_shape(node.output)),
    )
    return name, window, sections


def _pool(name: str, node: _Node) -> _Built:
    _need_int8(node.input(0), node.output)
    size = (node.options.filterHeight, node.options.filterWidth)
    return name, _window(node, size, 1), [node.content(0)]


def _strides(shape: Sequence[int], of: Sequence[int]) -> list[int]:
    """Strides over a tensor of a shape while an index runs over the shape `of`: 0 where it has one element."""
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    return [0 if dim == 1 and other != 1 else stride for dim, other, stride in zip(shape, of, strides, strict=True)]


def _binary(name: str, node: _Node) -> _Built:
    first, second, target = node.input(0), node.input(1), node.output
    _need_int8(first, second, target)
    dims = _four(target)
    shapes = [_four(first), _four(second)]
    numbers = [0] * 6
    shift = 0
    if name == "ADD":
        shift = _ADD_SHIFT
        twice = 2 * max(_scale(first), _scale(second))
        scales = [quantize_multiplier(_scale(tensor) / twice) for tensor in (first, second)]
        real = twice / ((1 << shift) * _scale(target))
    else:
        scales = [(0, 0), (0, 0)]
        real = _scale(first) * _scale(second) / _scale(target)
    numbers = [
        number
        for tensor, scale in zip((first, second), scales, strict=True)
        for number in (_zero_point(tensor), *scale)
    ]
    parameters = (
        *(*dims, *_strides(shapes[0], dims), *_strides(shapes[1], dims)),
        int(shapes[0] != shapes[1]),
        shift,
        *numbers,
        _zero_point(target),
        *quantize_multiplier(real),
        *_limits(node),
    )
    return name, parameters, [node.content(0), node.content(1)]


def _reduce(name: str, node: _Node) -> _Built:
    source, target = node.input(0), node.output
    is_float = name == "REDUCE_MAX" and source.type == target.type == _TYPE.FLOAT32
    if not is_float:
        _need_int8(source, target)
    dims = _four(source)
    added = _RANK - len(_shape(source))
    axes = {added + axis % len(_shape(source)) for axis in node.constant(1)}
    kept = [1 if i in axes else dim for i, dim in enumerate(dims)]
    strides = [0 if i in axes else stride for i, stride in enumerate(_strides(kept, kept))]
    count = math.prod(dims) // math.prod(kept)
    if is_float:
        return "REDUCE_MAX_FLOAT", (*dims, *strides, math.prod(kept), 0, 0, 0, 0), [node.content(0)]
    multiplier, shift = quantize_multiplier(_scale(source) / _scale(target))
    if name == "MEAN":
        # QuantizedMeanOrSum: 1 / count becomes a part of the multiplier.
        moved = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << moved) // count, shift - moved
    elif (_scale(source), _zero_point(source)) != (_scale(target), _zero_point(target)):
        raise UnknownOperatorError("its output has another scale than its input")
    parameters = (*dims, *strides, math.prod(kept), -_zero_point(source) * count, _zero_point(target))
    return name, (*parameters, multiplier, shift), [node.content(0)]


def _pad(_name: str, node: _Node) -> _Built:
    source, target = node.input(0), node.output
    _need_int8(source, target)
    added = _RANK - len(_shape(source))
    pads = [0, 0] * added + node.constant(1)
    value = _zero_point(target)
    if given := node.content(2):
        value = int(np.frombuffer(given, np.int8)[0])
    return "PAD", (*_four(source), *pads[::2], *pads[1::2], value), [node.content(0)]


def _softmax(name: str, node: _Node) -> _Built:
    source, target = node.input(0), node.output
    _need_int8(source, target)
    real = min(float(np.float32(node.options.beta)) * _scale(source) * (1 << (31 - _SOFTMAX_BITS)), (1 << 31) - 1.0)
    multiplier, shift = quantize_multiplier(real)
    radius = math.floor(((1 << _SOFTMAX_BITS) - 1) * (1 << (31 - _SOFTMAX_BITS)) / (1 << shift))
    shape = _shape(source)
    return name, (math.prod(shape[:-1]), shape[-1], multiplier, shift, -radius), [node.content(0)]


def _quantize(name: str, node: _Node) -> _Built:
    source, target = node.input(0), node.output
    elements = math.prod(_shape(source))
    kinds = {
        (_TYPE.FLOAT32, _TYPE.INT8): "QUANTIZE",
        (_TYPE.INT8, _TYPE.INT8): "REQUANTIZE",
        (_TYPE.INT8, _TYPE.FLOAT32): "DEQUANTIZE",
    }
    kind = kinds.get((source.type, target.type))
    if kind is None:
        names = [enum_name(_TYPE, tensor.type).lower() for tensor in (source, target)]
        raise UnknownOperatorError(f"{name} from {names[0]} to {names[1]} has no kernel here")
    scale, multiplier = 0, (0, 0)
    if kind == "REQUANTIZE":
        multiplier = quantize_multiplier(_scale(source) / _scale(target))
    else:
        scale = int(np.float32(_scale(target if kind == "QUANTIZE" else source)).view(np.int32))
    zero_points = [_zero_point(tensor) if tensor.type == _TYPE.INT8 else 0 for tensor in (source, target)]
    return kind, (elements, scale, *zero_points, *multiplier), [node.content(0)]


def _copy(_name: str, node: _Node) -> _Built:
    return "COPY", (), [node.content(0)]


_BUILDERS: dict[str, Callable[[str, _Node], Any]] = {
    "CONV_2D": _conv2d,
    "DEPTHWISE_CONV_2D": _conv2d,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "ADD": _binary,
    "MUL": _binary,
    "MEAN": _reduce,
    "REDUCE_MAX": _reduce,
    "PAD": _pad,
    "PADV2": _pad,
    "SOFTMAX": _softmax,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _quantize,
    **dict.fromkeys(_COPIES, _copy),
}


def _custom(label: str, name: str, node: _Node) -> Step:
    """A custom op: its tensors as TensorInfo of ops/port.h has them, inputs first."""
    types = {_TYPE.INT8: 1, _TYPE.INT16: 2}
    parameters: list[int] = []
    for number, index in enumerate([*node.inputs, *node.outputs]):
        tensor = node.tensors[index]
        shape = _shape(tensor)
        has_zero_point = tensor.quantization is not None and tensor.quantization.zeroPoint is not None
        zero_point = _zero_point(tensor) if has_zero_point else 0
        is_constant = number < len(node.inputs) and node.is_constant(number)
        dims = (shape + (0,) * _MOST_DIMS)[:_MOST_DIMS]
        parameters += [types.get(tensor.type, 0), int(is_constant), zero_point, len(shape), *dims]
    sections = tuple(node.content(number) for number in range(len(node.inputs)))
    return Step(label, name, tuple(parameters), sections, node.expected(), _plane(sections))


def _plane(sections: Sequence[bytes]) -> tuple[int, int]:
    """Returns the bytes and pixels of an output plane of a custom op, given its inputs; zeros without planes."""
    packed = packing.unpack(*sections[1:])
    if packed.planes is None or not packed.planes.has_output:
        return 0, 0
    return packing.plane_bytes(packed.output_size), math.prod(packed.output_size)

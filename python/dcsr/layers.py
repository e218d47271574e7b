"""Finds the layers with weights, checks whether each can be packed, and packs them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import attributes, compact_rows, encodings, packing
from dcsr import model as tflite
from dcsr.custom_ops import CUSTOM_CODES, is_custom_op
from dcsr.requantize import (
    INT8_RANGE,
    INT16_RANGE,
    MAX_INT16_SHIFT,
    MAX_SHIFT,
    activation_range,
    layer_multipliers,
)
from dcsr.schema import enum_name, schema
from dcsr.shared_rows import SharedRows, find_ratio

_OP = schema.BuiltinOperator
_WEIGHTED = {
    _OP.CONV_2D: "CONV_2D",
    _OP.DEPTHWISE_CONV_2D: "DEPTHWISE_CONV_2D",
    _OP.FULLY_CONNECTED: "FULLY_CONNECTED",
}
_PACKED_OPS = {
    _OP.CONV_2D: packing.OP_CONV_2D,
    _OP.DEPTHWISE_CONV_2D: packing.OP_DEPTHWISE_CONV_2D,
    _OP.FULLY_CONNECTED: packing.OP_FULLY_CONNECTED,
}
# Types of constants that are indices and shapes rather than weights.
_NOT_WEIGHTS = {schema.TensorType.INT32, schema.TensorType.INT64, schema.TensorType.BOOL, schema.TensorType.STRING}
_NO_PACKED_FORM = "{} has no packed form"
# Reasons against operators that often hold most of a model's weights.
_WHY_NOT = {
    _OP.TRANSPOSE_CONV: "TRANSPOSE_CONV has no packed form; a CONV_2D after RESIZE_NEAREST_NEIGHBOR would have one",
    _OP.UNIDIRECTIONAL_SEQUENCE_LSTM: "LSTM has no packed form; unrolled, it consists of FULLY_CONNECTED",
    _OP.LSTM: "LSTM has no packed form; unrolled, it consists of FULLY_CONNECTED",
    _OP.SVDF: "SVDF has no packed form",
    _OP.BATCH_MATMUL: "BATCH_MATMUL has no packed form; with constant weights it can be a FULLY_CONNECTED",
    _OP.DENSIFY: "expanded by compress",
}
_WHY_NOT_CUSTOM = {"ethos-u": "compiled by Vela; compile with Vela after compress, not before"}
_INT16_SUFFIX = ", int16"
_INT16_BIAS_LIMIT = 1 << 46
# Limit of the elements of all packed layers of a model, counted for each operator: so many, and so many times the bytes
# of its buffers. Streams that are decoded already count less.
_MAX_DECODED = 1 << 24
_MAX_EXPANSION = 200
_KNOWN_IS_CHEAPER = 4
_MAX_RANK = 8  # of the custom ops: ops/port.h
_MISREAD_BIAS = ": TFLM reads its int32 bias as int64, so outputs are undefined"
_MADE_UP_NAMES = ("tfl.pseudo_", "arith.constant")


@dataclass
class Layer:
    """A layer of the model.

    Attributes:
      subgraph, position: index of the subgraph, and of the operator in the subgraph.
      operator: the operator.
      name: name of the weight tensor; name of the output if a converter generated the former.
      op: operator, filter size, and the type of activations if it is not int8, for printing.
      shape: shape of the weights.
      matrix: int8 [rows, cols], one row for each output channel; None if the weights are not such a matrix.
      packed: the packed layer of an operator that is compressed already; else None.
      obstacle: reason why the layer cannot be packed; None if it can be packed.
      caveat: how the dense layer differs in older versions of TFLM; None if it does not.
      is_int8: whether the weights are int8 and the activations int8 or int16.
    """

    subgraph: int
    position: int
    operator: schema.OperatorT
    name: str
    op: str
    shape: tuple[int, ...]
    matrix: NDArray[Any] | None = None
    packed: packing.PackedLayer | None = None
    obstacle: str | None = None
    caveat: str | None = None
    is_int8: bool = False

    @property
    def weights(self) -> int:
        """Index of the tensor with the weights, dense or encoded."""
        is_shared = self.packed is not None and self.packed.shared is not None
        return int(self.operator.inputs[2 if is_shared else 1])

    @property
    def builtin(self) -> str:
        """Name of the builtin operator, which a packed layer replaces."""
        return self.op.removeprefix("DCSR_").split()[0]

    @property
    def is_depthwise(self) -> bool:
        """Whether the layer is a DEPTHWISE_CONV_2D."""
        return self.builtin == _WEIGHTED[_OP.DEPTHWISE_CONV_2D]

    @property
    def stored_weights(self) -> NDArray[Any]:
        """The matrix as the weight tensor stores it. That of a DEPTHWISE_CONV_2D is [1, filter height, width, rows]."""
        assert self.matrix is not None
        return self.matrix.T if self.is_depthwise else self.matrix


@dataclass(frozen=True)
class OtherOperator:
    """An operator with constants that is not a layer which could be packed.

    Attributes:
      subgraph, position: index of the subgraph, and of the operator in the subgraph.
      name: name of its largest constant; name of its output if a converter generated the former.
      op: name of the operator.
      shape: shape of its largest constant.
      constant_bytes: bytes of its constants, without indices and shapes (int32, int64, bool, strings).
      buffer: buffer of its largest constant.
      reason: reason why it is not packed.
    """

    subgraph: int
    position: int
    name: str
    op: str
    shape: tuple[int, ...]
    constant_bytes: int
    buffer: int
    reason: str


class _Obstacle(Exception):
    """The reason why a layer cannot be packed."""


def find(model: schema.ModelT) -> list[Layer]:
    """Returns all layers with weights, in the order of the model.

    Raises:
      tflite.ModelError: if the packed tensor of a compressed layer is damaged.
    """
    layers = []
    decoder = _Decoder(model)
    for s, subgraph in enumerate(model.subgraphs):
        for o, operator in enumerate(subgraph.operators or []):
            code = tflite.builtin_code(model, operator)
            custom = tflite.operator_name(model, operator)
            if code == _OP.CUSTOM and custom in CUSTOM_CODES.values():
                layers.append(_packed_layer(model, s, o, operator, custom, decoder))
            elif code in _WEIGHTED and _has_weights(operator):
                layers.append(_dense_layer(model, s, o, operator, code))
    return layers


def _has_weights(operator: schema.OperatorT) -> bool:
    return operator.inputs is not None and len(operator.inputs) > 1 and operator.inputs[1] >= 0


def is_compressed(model: schema.ModelT) -> bool:
    """Whether the model contains dCSR's custom operators."""
    return any(is_custom_op(model, operator) for _, operator in tflite.operators(model))


def packed_layer(model: schema.ModelT, layer: Layer, scheme: str) -> packing.PackedLayer:
    """Packs a layer.

    Args:
      model: the model of the layer.
      layer: a layer without obstacle.
      scheme: one of encodings.SCHEMES.

    Raises:
      ValueError: if the scheme cannot encode the weights.
    """
    assert layer.matrix is not None
    return pack(model, layer, encodings.encode(layer.matrix, scheme))


def pack(
    model: schema.ModelT, layer: Layer, streams: encodings.Streams, scratch_budget: int = 0
) -> packing.PackedLayer:
    """Returns the packed form of a layer without obstacle.

    Args:
      model: the model of the layer.
      layer: the layer.
      streams: its encoded weights.
      scratch_budget: bytes of scratch that a kernel should not exceed; 0 for the kernel's default.
    """
    subgraph, operator = model.subgraphs[layer.subgraph], layer.operator
    matrix = layer.matrix
    assert matrix is not None and layer.obstacle is None
    activations, weights = (subgraph.tensors[i] for i in operator.inputs[:2])
    output = subgraph.tensors[operator.outputs[0]]
    code = tflite.builtin_code(model, operator)
    multiplier, shift = _multipliers(activations, weights, output, code)
    options = operator.builtinOptions
    input_zero, output_zero = _zero_point(activations), _zero_point(output)
    is_int16 = _is_int16(activations)
    low, high = activation_range(_activation(operator), output.quantization.scale[0], output_zero, _limits(output))
    bias = bias_values(model, layer)
    has_wide_sums = is_int16 and not _has_int32_bias(subgraph.tensors, operator)
    return packing.PackedLayer(
        op=_PACKED_OPS[code],
        streams=streams,
        # With zero points of 0, folding changes nothing.
        bias=packing.int16_bias(bias, len(matrix)) if has_wide_sums else packing.fold_bias(bias, matrix, input_zero),
        multiplier=multiplier,
        shift=shift,
        input_zero_point=input_zero,
        output_zero_point=output_zero,
        activation_min=low,
        activation_max=high,
        stride=(1, 1) if code == _OP.FULLY_CONNECTED else (options.strideH, options.strideW),
        scratch_budget=scratch_budget,
        int16_activations=is_int16,
        int32_sums=is_int16 and not has_wide_sums,
        depth_multiplier=options.depthMultiplier if code == _OP.DEPTHWISE_CONV_2D else 0,
        **({} if code == _OP.FULLY_CONNECTED else _window(options, weights.shape)),
    )


def share_rows(model: schema.ModelT, layer: Layer, packed: packing.PackedLayer) -> packing.PackedLayer | None:
    """Returns the packed layer with shared rows: its bias, multipliers and shifts follow from the scales.

    Args:
      model: the model of the layer.
      layer: a layer without obstacle.
      packed: the packed layer with its own rows.

    Returns:
      The same layer with shared rows; None if the derived multipliers or shifts would not be those of TFLM, or if the
      format has no shared rows for the operator.
    """
    if layer.is_depthwise or packed.int32_sums:
        return None
    subgraph, operator = model.subgraphs[layer.subgraph], layer.operator
    activations, weights = (subgraph.tensors[i] for i in operator.inputs[:2])
    output = subgraph.tensors[operator.outputs[0]]
    scale = np.asarray(weights.quantization.scale, np.float32)
    max_shift = MAX_INT16_SHIFT if packed.int16_activations else MAX_SHIFT
    wanted = packed.multiplier, packed.shift
    found = find_ratio(activations.quantization.scale[0], scale, output.quantization.scale[0], wanted, max_shift)
    if found is None:
        return None
    bias = bias_values(model, layer)
    stored = bias if bias is not None and np.any(bias) else None
    return dataclasses.replace(packed, shared=SharedRows(scale, *found, stored), compact=None)


def with_compact_rows(model: schema.ModelT, layer: Layer, packed: packing.PackedLayer) -> packing.PackedLayer | None:
    """Returns the packed layer with compact rows.

    Args:
      model: the model of the layer.
      layer: a layer without obstacle.
      packed: the packed layer with plain rows.

    Returns:
      The same layer with compact rows. None if these would not be exact or not be smaller, and for layers that have no
      compact form: with int16 activations, or with one weight scale for all rows.
    """
    if packed.int16_activations or len(packed.multiplier) != packed.streams.rows or packed.streams.rows == 1:
        return None
    subgraph, operator = model.subgraphs[layer.subgraph], layer.operator
    activations, weights = (subgraph.tensors[i] for i in operator.inputs[:2])
    found = compact_rows.find(
        packed.bias,
        (packed.multiplier, packed.shift),
        np.asarray(weights.quantization.scale, np.float32),
        activations.quantization.scale[0],
        subgraph.tensors[operator.outputs[0]].quantization.scale[0],
    )
    if found is None or found.nbytes >= packed.row_bytes:
        return None
    return dataclasses.replace(packed, compact=found)


def _window(options: Any, shape: NDArray[Any]) -> dict[str, Any]:
    """Returns the fields of PackedLayer that describe the filter. `shape` is the shape of the weights."""
    filter_size = (int(shape[1]), int(shape[2]))
    if filter_size == (1, 1):
        return {}
    return {
        "filter_size": filter_size,
        "dilation": (options.dilationHFactor, options.dilationWFactor),
        "same_padding": options.padding == schema.Padding.SAME,
    }


def bias_index(operator: schema.OperatorT) -> int:
    """Returns the tensor index of the bias; -1 if the layer has no bias."""
    return int(operator.inputs[2]) if len(operator.inputs) > 2 else -1


def bias_values(model: schema.ModelT, layer: Layer) -> NDArray[Any] | None:
    """The bias of a layer without obstacle, int32 or int64 [rows]; None if there is none."""
    index = bias_index(layer.operator)
    if index < 0:
        return None
    tensor = model.subgraphs[layer.subgraph].tensors[index]
    wanted = "<i8" if tensor.type == schema.TensorType.INT64 else "<i4"
    return np.frombuffer(tflite.buffer_bytes(model, tensor), wanted)


def derived_bias_scale(activations: schema.TensorT, weights: schema.TensorT) -> NDArray[Any]:
    """Returns the scale that converters give a bias, float32 [weight scales]: input scale times weight scales."""
    scale = np.float32(activations.quantization.scale[0])
    scales: NDArray[np.float32] = scale * np.asarray(weights.quantization.scale, np.float32)
    return scales


def derived_weight_scale(
    activations: schema.TensorT, output: schema.TensorT, packed: packing.PackedLayer
) -> NDArray[Any]:
    """Derives the weight scales from a layer's multipliers, float32 [multipliers].

    Shared rows hold the scales themselves. Multipliers have 31 significant bits and float32 has 24, so most scales
    follow exactly from them. Two cases can give a different scale: a multiplier of 0, and a product of scales that TFLM
    rounds to float first (layer_multipliers).
    """
    if packed.shared is not None:
        return packed.shared.weight_scale
    real = np.ldexp(packed.multiplier.astype(np.float64), packed.shift.astype(np.int32) - 31)
    product = real * float(output.quantization.scale[0])
    return (product / float(activations.quantization.scale[0])).astype(np.float32)


def others(model: schema.ModelT) -> list[OtherOperator]:
    """Returns the operators that hold constants but are not among the layers of `find`, in the order of the model."""
    found = []
    for s, subgraph in enumerate(model.subgraphs):
        for o, operator in enumerate(subgraph.operators or []):
            code, name = tflite.builtin_code(model, operator), tflite.operator_name(model, operator)
            if name in CUSTOM_CODES.values() or (code in _WEIGHTED and _has_weights(operator)):
                continue
            sizes = {}
            for index in [] if operator.inputs is None else operator.inputs:
                tensor = subgraph.tensors[index] if index >= 0 else None
                if tensor is not None and tensor.type not in _NOT_WEIGHTS:
                    sizes[int(index)] = len(tflite.buffer_bytes(model, tensor))
            if not any(sizes.values()):
                continue
            largest = max(sizes, key=lambda index: sizes[index])
            tensor = subgraph.tensors[largest]
            label = tflite.text(tensor.name)
            if (not label or label.startswith(_MADE_UP_NAMES)) and len(operator.outputs):
                label = tflite.text(subgraph.tensors[operator.outputs[0]].name).split(";")[-1] or label
            shape = () if tensor.shape is None else tuple(int(d) for d in tensor.shape)
            reason = _WHY_NOT.get(code, _NO_PACKED_FORM.format(name))
            if code == _OP.CUSTOM:
                reason = _WHY_NOT_CUSTOM.get(name, "custom operator of others")
            found.append(OtherOperator(s, o, label, name, shape, sum(sizes.values()), tensor.buffer, reason))
    return found


class _Decoder:
    """Decodes the packed layers of a model, each and all shared rows once, and limits their total size."""

    def __init__(self, model: schema.ModelT) -> None:
        self._model = model
        stored = sum(0 if buffer.data is None else len(buffer.data) for buffer in model.buffers)
        self._left = _MAX_DECODED + _MAX_EXPANSION * stored
        self._layers: dict[tuple[int, ...], packing.PackedLayer] = {}  # by the buffers of their tensors
        self._shared: packing.Known = {}
        self._matrices: dict[int, NDArray[Any]] = {}  # by the id() of their streams, which the other two keep

    def decode(self, tensors: Sequence[schema.TensorT]) -> tuple[packing.PackedLayer, NDArray[Any]]:
        """Returns the packed layer in a tensor, or in two if it has shared rows, and its matrix [rows, cols].

        Raises:
          ValueError: if the layer is damaged, or if the model's layers have too many elements for its size.
        """
        key = tuple(tensor.buffer for tensor in tensors)
        if key not in self._layers:
            contents = [tflite.buffer_bytes(self._model, tensor) for tensor in tensors]
            layer, shared = contents if len(contents) > 1 else (contents[0], None)
            self._layers[key] = packing.unpack(layer, shared, self._shared)
        packed = self._layers[key]
        streams = packed.streams
        is_known = id(streams) in self._matrices
        self._left -= streams.rows * streams.cols // (_KNOWN_IS_CHEAPER if is_known else 1)
        if self._left < 0:
            raise ValueError("the packed layers have too many elements for the size of the model")
        if not is_known:
            self._matrices[id(streams)] = encodings.decode(streams)
        return packed, self._matrices[id(streams)]


def _packed_layer(
    model: schema.ModelT, s: int, o: int, operator: schema.OperatorT, custom: str, decoder: _Decoder
) -> Layer:
    where = f"subgraph {s}, operator {o} {custom}"
    tensors = model.subgraphs[s].tensors
    inputs = [] if operator.inputs is None else list(map(int, operator.inputs))
    if len(inputs) not in (2, 3) or min(inputs) < 0 or len(operator.outputs) != 1:
        raise tflite.ModelError(
            f"{where}: expected the inputs (activations, packed layer) or (activations, packed layer, shared rows), and"
            " one output"
        )
    try:
        packed, matrix = decoder.decode([tensors[index] for index in inputs[1:]])
    except ValueError as error:
        name = tflite.text(tensors[inputs[-1]].name)
        raise tflite.ModelError(f"{where}: tensor '{name}': {error}") from error
    name = _layer_name(model, s, operator, inputs[-1])
    if packed.planes is not None and packed.planes.is_transposed:
        matrix = transposed_filters(matrix, packed.filter_size)
    if packed.op != packing.OP_FULLY_CONNECTED:
        custom += " {}x{}".format(*packed.in_image(packed.filter_size))
    if packed.int16_activations:
        custom += _INT16_SUFFIX
    return Layer(s, o, operator, name, custom, matrix.shape, matrix, packed, "already packed", is_int8=True)


def transposed_filters(matrix: NDArray[Any], filter_size: tuple[int, int]) -> NDArray[Any]:
    """Exchanges the rows and columns of the filters of a convolution.

    Args:
      matrix: int8 [rows, height * width * channels], or [rows, height * width] of a depthwise convolution.
      filter_size: (height, width).
    """
    rows, cols = matrix.shape
    filters = matrix.reshape(rows, *filter_size, -1)
    return np.ascontiguousarray(filters.transpose(0, 2, 1, 3)).reshape(rows, cols)


def transposed(packed: packing.PackedLayer) -> packing.PackedLayer:
    """Returns the same convolution for maps whose rows and columns are exchanged. It is its own inverse.

    `planes` stays as it is.
    """
    streams = packed.streams
    if packed.filter_size != (1, 1):
        matrix = transposed_filters(encodings.decode(streams), packed.filter_size)
        streams = encodings.encode(matrix, streams.scheme)
    return dataclasses.replace(
        packed,
        streams=streams,
        stride=_exchanged(packed.stride),
        filter_size=_exchanged(packed.filter_size),
        dilation=_exchanged(packed.dilation),
    )


def _exchanged(sizes: tuple[int, int]) -> tuple[int, int]:
    return sizes[1], sizes[0]


def _dense_layer(model: schema.ModelT, s: int, o: int, operator: schema.OperatorT, code: int) -> Layer:
    weights = model.subgraphs[s].tensors[operator.inputs[1]]
    shape = tuple(int(d) for d in ([] if weights.shape is None else weights.shape))
    op = _WEIGHTED[code]
    if code != _OP.FULLY_CONNECTED and len(shape) == 4:
        op += f" {shape[1]}x{shape[2]}"
    if _is_int16(model.subgraphs[s].tensors[operator.inputs[0]]):
        op += _INT16_SUFFIX
    layer = Layer(s, o, operator, _layer_name(model, s, operator, int(operator.inputs[1])), op, shape)
    try:
        _check(model, layer, code)
    except _Obstacle as obstacle:
        layer.obstacle = str(obstacle)
    return layer


def _layer_name(model: schema.ModelT, s: int, operator: schema.OperatorT, weights: int) -> str:
    """Returns the name of the tensor `weights`; the name of the output if the converter generated the former."""
    tensors = model.subgraphs[s].tensors
    name = tflite.text(tensors[weights].name)
    if name and not name.startswith(_MADE_UP_NAMES):
        return name
    # The output of a fused operator lists the names of all its parts. The name of the product is the last.
    return tflite.text(tensors[operator.outputs[0]].name).split(";")[-1] or name


def _check(model: schema.ModelT, layer: Layer, code: int) -> None:
    """Sets `layer.matrix` and `layer.is_int8`. Raises _Obstacle with the first reason against packing."""
    operator, shape = layer.operator, layer.shape
    tensors = model.subgraphs[layer.subgraph].tensors

    def require(condition: bool, otherwise: str) -> None:
        if not condition:
            raise _Obstacle(otherwise)

    require(
        len(operator.inputs) in (2, 3)
        and min(operator.inputs[:2]) >= 0
        and operator.outputs is not None
        and len(operator.outputs) == 1,
        "unusual inputs or outputs",
    )
    activations, weights = (tensors[i] for i in operator.inputs[:2])
    output = tensors[operator.outputs[0]]
    require(weights.type == schema.TensorType.INT8, f"{_type(weights)} weights")
    is_int16 = _is_int16(activations)
    for role, tensor in (("input", activations), ("output", output)):
        wanted = schema.TensorType.INT16 if is_int16 else schema.TensorType.INT8
        require(tensor.type == wanted, f"{_type(tensor)} {role}" + (" for an int16 input" if is_int16 else ""))
    layer.is_int8 = True
    is_depthwise = code == _OP.DEPTHWISE_CONV_2D
    if is_depthwise and is_int16:
        bias = bias_index(operator)
        misread = bias >= 0 and tensors[bias].type == schema.TensorType.INT32
        raise _Obstacle(f"depthwise{_MISREAD_BIAS}" if misread else "depthwise with int16 activations")
    data = tflite.buffer_bytes(model, weights)
    require(not weights.isVariable, "weights not constant")
    require(weights.sparsity is None, "weights in TFLite's own sparse form")
    require(len(shape) > 1 and min(shape) > 0, "unusual shapes")
    require(len(data) == int(np.prod(shape, dtype=np.int64)), "weights not constant")
    values = np.frombuffer(data, np.int8)
    layer.matrix = values.reshape(-1, shape[-1]).T if is_depthwise else values.reshape(shape[0], -1)
    for role, tensor in (("input", activations), ("output", output)):
        require(_quantised(tensor), f"{role} without per-tensor quantisation")
        require(not is_int16 or _zero_point(tensor) == 0, f"int16 {role} with a zero point")
    sums = attributes.Sums(is_int16, has_bias=bias_index(operator) >= 0)
    option = attributes.obstacle(code, operator, sums)
    require(option is None, str(option))
    options = operator.builtinOptions

    input_shape, output_shape = _shape(activations), _shape(output)
    if code != _OP.FULLY_CONNECTED:
        require(len(shape) == 4 and len(input_shape) == 4, "unusual shapes")
        if is_depthwise:
            multiplier = options.depthMultiplier
            require(shape[0] == 1 and shape[3] == input_shape[3] * multiplier, "unusual shapes")
            require(multiplier <= packing.MAX_STRIDE, f"depth multiplier {multiplier}")
        else:
            require(shape[3] == input_shape[3], "grouped convolution")
        require(max(shape[1:3]) <= packing.MAX_STRIDE, f"{shape[1]}x{shape[2]} filter")
        strides = (options.strideH, options.strideW)
        dilations = (options.dilationHFactor, options.dilationWFactor)
        sizes = tuple(map(_output_size, input_shape[1:3], shape[1:3], strides, dilations, [options.padding] * 2))
        rows = len(layer.matrix)
        require(output_shape == [input_shape[0], *sizes, rows] and min(output_shape) > 0, "unusual shapes")
    else:
        require(len(shape) == 2, "unusual shapes")
        batches, rest = divmod(math.prod(input_shape), shape[1])
        require(rest == 0 and batches > 0 and min(input_shape, default=0) > 0, "unusual shapes")
        require(max(len(input_shape), len(output_shape)) <= _MAX_RANK, "unusual shapes")
        # TFLM computes as many batches and rows as the output has. The custom op requires all of them.
        require(output_shape[-1:] == [shape[0]] and math.prod(output_shape) == batches * shape[0], "unusual shapes")
        require(min(output_shape) > 0, "unusual shapes")
    rows, cols = layer.matrix.shape
    try:
        encodings.check_shape(rows, cols)
    except ValueError as error:
        raise _Obstacle("too large for the format") from error

    quantization = weights.quantization
    require(quantization is not None and quantization.scale is not None, "weights not quantised")
    require(quantization.detailsType == 0, "weights with a custom quantisation scheme")
    scales = len(quantization.scale)
    require(scales in (1, rows), f"{scales} weight scales for {rows} rows")
    dimension, others = (3, "taps") if is_depthwise else (0, "input channels")
    require(scales == 1 or quantization.quantizedDimension == dimension, f"quantised along the {others}")
    # TFLM treats a tensor without zero points as not quantised.
    require(quantization.zeroPoint is not None and len(quantization.zeroPoint) > 0, "weights not quantised")
    require(not np.any(quantization.zeroPoint), "weight zero point is not 0")
    bias = bias_index(operator)
    if bias >= 0:
        require(not tensors[bias].isVariable, "bias not constant")
        # TFLM's FULLY_CONNECTED reads any bias of a layer with int16 activations as int64.
        wide = [schema.TensorType.INT64, *([schema.TensorType.INT32] if code == _OP.CONV_2D else [])]
        suffix = " with int16 activations" if is_int16 else ""
        wanted = wide if is_int16 else [schema.TensorType.INT32]
        require(tensors[bias].type in wanted, f"{_type(tensors[bias])} bias{suffix}")
        data = tflite.buffer_bytes(model, tensors[bias])
        has_wide_sums = is_int16 and not _has_int32_bias(tensors, operator)
        require(len(data) == (8 if has_wide_sums else 4) * rows, "bias not constant")
        # TFLM's own kernels reject a larger bias.
        if has_wide_sums:
            values = np.frombuffer(data, "<i8")
            require(-_INT16_BIAS_LIMIT < values.min() and values.max() < _INT16_BIAS_LIMIT, "bias too large")
    try:
        _, shifts = _multipliers(activations, weights, output, code)
        is_reduced = is_int16 and not _has_int32_bias(tensors, operator)
        require(not is_reduced or shifts.max() <= MAX_INT16_SHIFT, "requantisation scale too large for int16")
        scale = output.quantization.scale[0]
        activation_range(_activation(operator), scale, _zero_point(output), _limits(output))
    except (ValueError, OverflowError) as error:
        raise _Obstacle(str(error)) from error
    layer.caveat = attributes.caveat(sums)


def _shape(tensor: schema.TensorT) -> list[int]:
    return [] if tensor.shape is None else [int(d) for d in tensor.shape]


def _output_size(size: int, taps: int, stride: int, dilation: int, padding: int) -> int:
    """Returns the output pixels along one dimension, as TFLM computes them. 0 or less means an empty output."""
    span = 1 if padding == schema.Padding.SAME else (taps - 1) * dilation + 1
    return (size + stride - span) // stride


def _multipliers(
    activations: schema.TensorT, weights: schema.TensorT, output: schema.TensorT, code: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    scales = weights.quantization.scale
    return layer_multipliers(
        activations.quantization.scale[0],
        scales,
        output.quantization.scale[0],
        product_in_float=code == _OP.FULLY_CONNECTED and len(scales) == 1,
    )


def _has_int32_bias(tensors: Sequence[schema.TensorT], operator: schema.OperatorT) -> bool:
    """Whether TFLM adds up the products of a convolution with int16 activations in 32 bits."""
    bias = bias_index(operator)
    return bias >= 0 and bool(tensors[bias].type == schema.TensorType.INT32)


def _is_int16(tensor: schema.TensorT) -> bool:
    return bool(tensor.type == schema.TensorType.INT16)


def _limits(tensor: schema.TensorT) -> tuple[int, int]:
    return INT16_RANGE if _is_int16(tensor) else INT8_RANGE


def _type(tensor: schema.TensorT) -> str:
    return enum_name(schema.TensorType, tensor.type).lower()


def _activation(operator: schema.OperatorT) -> str:
    function = operator.builtinOptions.fusedActivationFunction
    return enum_name(schema.ActivationFunctionType, function)


def _quantised(tensor: schema.TensorT) -> bool:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or quantization.zeroPoint is None:
        return False
    # TFLM ignores the quantisation if one of the vectors is missing.
    if len(quantization.scale) != 1 or len(quantization.zeroPoint) != 1:
        return False
    return bool(np.isfinite(quantization.scale[0]) and quantization.scale[0] > 0) and -128 <= _zero_point(tensor) <= 127


def _zero_point(tensor: schema.TensorT) -> int:
    return int(tensor.quantization.zeroPoint[0])

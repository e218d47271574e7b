"""The weights of CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED as arrays by channels, and constant channels.

Sources of the arithmetic: tensorflow/lite/kernels/internal/reference/integer_ops (conv.h, depthwise_conv.h,
fully_connected.h), and kernel_util.cc as in requantize.py.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.graph import Graph, indices, length
from dcsr.requantize import (
    ACTIVATION_BOUNDS,
    INT8_RANGE,
    INT16_RANGE,
    activation_range,
    layer_multipliers,
    requantize,
    requantize_int16,
)
from dcsr.schema import enum_name, schema

_OP = schema.BuiltinOperator
_TYPE = schema.TensorType
_INT32 = np.iinfo(np.int32)
_INT64_BIAS_LIMIT = 1 << 46  # TFLM's kernels reject a larger bias of a layer with int16 activations
_ITEM_BYTES = {_TYPE.INT8: 1, _TYPE.INT16: 2, _TYPE.FLOAT32: 4}
_OPTIONS = {
    _OP.CONV_2D: schema.BuiltinOptions.Conv2DOptions,
    _OP.DEPTHWISE_CONV_2D: schema.BuiltinOptions.DepthwiseConv2DOptions,
    _OP.FULLY_CONNECTED: schema.BuiltinOptions.FullyConnectedOptions,
}


@dataclass
class Product:
    """A layer with weights. `weights` and `bias` are working copies, which the pass changes.

    Attributes:
      position: position of the operator.
      input, output: activation tensors.
      weights: int8 [rows, taps, input channels]; of a depthwise layer [rows, taps, 1], where row r reads input channel
        r // depth_multiplier.
      bias: int64 [rows]; None without bias.
      bias_limits: smallest and largest bias.
      depth_multiplier: output channels for each input channel of a depthwise layer; 0 for other layers.
      pads: whether the filter reaches over the edge of the image.
      input_zero_point: the input's value that counts as 0.
      least_rows: rows that must stay.
      requantization: turns the sums of its rows into outputs.
    """

    position: int
    input: int
    output: int
    weights: NDArray[np.int8]
    bias: NDArray[np.int64] | None
    bias_limits: tuple[int, int]
    depth_multiplier: int
    pads: bool
    input_zero_point: int
    least_rows: int
    requantization: Requantization

    @property
    def is_depthwise(self) -> bool:
        """Whether each row reads a single input channel."""
        return self.depth_multiplier > 0

    @property
    def rows(self) -> int:
        """Number of output channels."""
        return len(self.weights)

    def source(self) -> NDArray[np.int64]:
        """Returns the input channel of each row of a depthwise layer, int64 [rows]."""
        return np.arange(self.rows) // self.depth_multiplier

    def fold(self, is_constant: NDArray[np.bool_], values: NDArray[np.int64]) -> None:
        """Moves the products of constant input channels into the bias, and sets their weights to 0.

        Weights stay where that is not exact: if the filter sees padding beside the channel, and if the bias would
        leave its limits.

        Args:
          is_constant: whether a channel of the input has one value, bool [input channels].
          values: that value, int64 [input channels].
        """
        differences = values - self.input_zero_point
        usable = is_constant & ((differences == 0) | (not self.pads))
        if self.is_depthwise:
            usable, differences = usable[self.source()], differences[self.source()]
            sums = np.where(usable, self.weights.astype(np.int64).sum((1, 2)) * differences, 0)
            folded = usable[:, np.newaxis]
        else:
            by_channel = self.weights.astype(np.int64).sum(1)
            sums = by_channel[:, usable] @ differences[usable]
            folded = np.broadcast_to(usable, by_channel.shape)
        if self.bias is None:
            fits = sums == 0
        else:
            total = self.bias + sums
            fits = (sums == 0) | ((self.bias_limits[0] <= total) & (total <= self.bias_limits[1]))
            self.bias = np.where(fits, total, self.bias)
        self.weights[np.broadcast_to((folded & fits[:, np.newaxis])[:, np.newaxis, :], self.weights.shape)] = 0

    def constant_rows(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Returns (whether a row has no nonzeros and a known output, bool [rows]; that output, int64 [rows])."""
        sums = np.zeros(self.rows, np.int64) if self.bias is None else self.bias
        is_known, values = self.requantization.outputs(sums)
        return is_known & ~np.any(self.weights, axis=(1, 2)), values


@dataclass(frozen=True)
class Requantization:
    """The last part of a layer: from the sum of a row to its output.

    Attributes:
      multiplier, shift: int32 [rows] and int8 [rows].
      zero_point: of the output.
      limits: smallest and largest output.
      is_64_bit: whether sums have 64 bits, as with int16 activations and an int64 bias.
    """

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int8]
    zero_point: int
    limits: tuple[int, int]
    is_64_bit: bool

    def outputs(self, sums: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Returns (whether TFLM computes the output without overflow, bool [rows]; the outputs, int64 [rows])."""
        if self.is_64_bit:
            is_known = np.abs(sums) < _INT64_BIAS_LIMIT
            scaled = requantize_int16(np.where(is_known, sums, 0), self.multiplier, self.shift)
        else:
            shifted = np.clip(sums, _INT32.min, _INT32.max) << np.maximum(self.shift, 0).astype(np.int64)
            is_known = (_INT32.min <= shifted) & (shifted <= _INT32.max)
            scaled = requantize(np.where(is_known, sums, 0), self.multiplier, self.shift)
        return is_known, np.clip(scaled.astype(np.int64) + self.zero_point, *self.limits)


def zero_point(tensor: schema.TensorT) -> int:
    """Returns the zero point of an activation tensor; 0 without quantisation."""
    quantization = tensor.quantization
    return 0 if quantization is None or not length(quantization.zeroPoint) else int(quantization.zeroPoint[0])


def is_plain_activation(model: schema.ModelT, tensor: schema.TensorT, *, is_constant: bool = False) -> bool:
    """Whether a tensor is int8, int16 or float32 with at most one scale, and in the arena.

    With `is_constant` it has to be constant instead, with all its data.
    """
    shape, signature = indices(tensor.shape), indices(tensor.shapeSignature)
    data = tflite.buffer_bytes(model, tensor)
    size = math.prod(shape) * _ITEM_BYTES.get(tensor.type, 0)
    quantization = tensor.quantization
    vectors = [] if quantization is None else [quantization.scale, quantization.zeroPoint]
    ranges = [] if quantization is None else [quantization.min, quantization.max]
    low, high = INT16_RANGE if tensor.type == _TYPE.INT16 else INT8_RANGE
    return (
        tensor.type in _ITEM_BYTES
        and min(shape, default=1) > 0
        and len(data) == (size if is_constant else 0)
        and not tensor.isVariable
        and tensor.sparsity is None
        and not tensor.externalBuffer
        and (not signature or (len(signature) == len(shape) and signature[-1:] == shape[-1:]))
        and low <= zero_point(tensor) <= high
        and all(length(vector) <= 1 for vector in vectors + ranges)
        and (quantization is None or quantization.detailsType == 0)
    )


class Uses:
    """How the tensors of a subgraph are used.

    Attributes:
      model, subgraph: the model and the subgraph.
      written, read: {tensor: number of operator outputs and inputs that are this tensor}.
      ends: tensors that an application accesses.
    """

    def __init__(self, graph: Graph, s: int) -> None:
        self.model, self.subgraph = graph.model, graph.model.subgraphs[s]
        operators = self.subgraph.operators or []
        self.written = Counter(index for operator in operators for index in indices(operator.outputs))
        self.read = Counter(index for operator in operators for index in indices(operator.inputs))
        self.ends = graph.ends(s)
        self._holders = Counter({buffer: len(tensors) for buffer, tensors in graph.tensors_by_buffer().items()})
        self._holders.update(graph.metadata_buffers())

    def is_constant_of_one(self, index: int) -> bool:
        """Whether a tensor is constant, and only one operator input and nothing else refers to it or to its buffer."""
        tensor = self.subgraph.tensors[index]
        return (
            tflite.is_constant(self.model, tensor)
            and self._holders[tensor.buffer] == 1
            and self.read[index] == 1
            and index not in self.ends
        )


def find_product(uses: Uses, position: int) -> Product | None:
    """Returns the layer of an operator; None if it is float, uint8, grouped, shared, or unusual.

    No operator may write a constant of the subgraph.
    """
    try:
        return _product(uses, position)
    except (_Unusual, ValueError, OverflowError):
        return None


class _Unusual(Exception):
    """The layer is not one of those that the pass understands."""


def _require(condition: Any) -> None:
    if not condition:
        raise _Unusual


def _product(uses: Uses, position: int) -> Product:
    tensors = uses.subgraph.tensors
    operator = uses.subgraph.operators[position]
    code = tflite.builtin_code(uses.model, operator)
    inputs, options = indices(operator.inputs), operator.builtinOptions
    _require(len(inputs) in (2, 3) and min(inputs[:2]) >= 0)
    _require(options is not None and operator.builtinOptionsType == _OPTIONS[code])
    x, weights, y = tensors[inputs[0]], tensors[inputs[1]], tensors[operator.outputs[0]]
    _require(x.type == y.type and x.type in (_TYPE.INT8, _TYPE.INT16))
    _require(min([*indices(x.shape), *indices(y.shape)], default=0) > 0)
    is_int16 = x.type == _TYPE.INT16
    for tensor in (x, y):
        _require(tensor.quantization is not None and length(tensor.quantization.scale) == 1)
        _require(length(tensor.quantization.zeroPoint) == 1 and not (is_int16 and zero_point(tensor)))
    shape, values = _weights(uses, inputs[1])
    arranged, depth_multiplier = _arranged(code, operator, shape, values, indices(x.shape), indices(y.shape))
    rows = len(arranged)
    scales = _checked_scales(weights.quantization, rows, axis=3 if code == _OP.DEPTHWISE_CONV_2D else 0)
    bias, is_int64 = _bias(uses, layer_finder.bias_index(operator), rows, is_int16)
    _require(is_int64 or bias is None or not (is_int16 and code == _OP.DEPTHWISE_CONV_2D))
    activation = enum_name(schema.ActivationFunctionType, options.fusedActivationFunction)
    _require(activation in ACTIVATION_BOUNDS)
    multiplier, shift = layer_multipliers(
        x.quantization.scale[0],
        scales,
        y.quantization.scale[0],
        product_in_float=code == _OP.FULLY_CONNECTED and len(scales) == 1,
    )
    limits = activation_range(
        activation, y.quantization.scale[0], zero_point(y), INT16_RANGE if is_int16 else INT8_RANGE
    )
    return Product(
        position=position,
        input=inputs[0],
        output=int(operator.outputs[0]),
        weights=arranged,
        bias=bias,
        bias_limits=(1 - _INT64_BIAS_LIMIT, _INT64_BIAS_LIMIT - 1) if is_int64 else (_INT32.min, _INT32.max),
        depth_multiplier=depth_multiplier,
        pads=code != _OP.FULLY_CONNECTED and _pads(options, shape, indices(x.shape), indices(y.shape)),
        input_zero_point=zero_point(x),
        # A FULLY_CONNECTED with one scale has other multipliers than one with a scale for each row.
        least_rows=2 if code == _OP.FULLY_CONNECTED and len(scales) > 1 else 1,
        requantization=Requantization(
            np.broadcast_to(multiplier, rows), np.broadcast_to(shift, rows), zero_point(y), limits, is_int64
        ),
    )


def _weights(uses: Uses, index: int) -> tuple[list[int], NDArray[np.int8]]:
    """Returns (shape, elements) of weights that only one operator reads."""
    tensor = uses.subgraph.tensors[index]
    shape = indices(tensor.shape)
    _require(tensor.type == _TYPE.INT8 and uses.is_constant_of_one(index) and tensor.sparsity is None)
    data = tflite.buffer_bytes(uses.model, tensor)
    _require(min(shape, default=0) > 0 and len(data) == math.prod(shape))
    return shape, np.frombuffer(data, np.int8).reshape(shape)


def _arranged(
    code: int, operator: schema.OperatorT, shape: list[int], values: NDArray[np.int8], x: list[int], y: list[int]
) -> tuple[NDArray[np.int8], int]:
    """Returns (Product.weights, Product.depth_multiplier). `x` and `y` are the shapes of the input and the output."""
    channels, options = x[-1], operator.builtinOptions
    if code == _OP.FULLY_CONNECTED:
        _require(options.weightsFormat == schema.FullyConnectedOptionsWeightsFormat.DEFAULT)
        _require(len(shape) == 2 and shape[1] % channels == 0 and math.prod(x) % shape[1] == 0)
        _require(y[-1] == shape[0] and math.prod(y) == math.prod(x) // shape[1] * shape[0])
        return values.reshape(shape[0], -1, channels).copy(), 0
    _require(len(shape) == len(x) == len(y) == 4)
    if code == _OP.CONV_2D:
        _require(shape[3] == channels and y[3] == shape[0])
        return values.reshape(shape[0], -1, channels).copy(), 0
    multiplier = int(options.depthMultiplier)
    _require(shape[0] == 1 and multiplier > 0 and shape[3] == y[3] == channels * multiplier)
    return values.reshape(-1, shape[3], 1).transpose(1, 0, 2).copy(), multiplier


def _checked_scales(quantization: schema.QuantizationParametersT, rows: int, axis: int) -> NDArray[np.float32]:
    _require(quantization is not None and quantization.detailsType == 0)
    scales = np.asarray([] if quantization.scale is None else quantization.scale, np.float32)
    zero_points = indices(quantization.zeroPoint)
    _require(len(scales) in (1, rows) and len(zero_points) in (1, len(scales)) and not any(zero_points))
    _require(len(scales) == 1 or quantization.quantizedDimension == axis)
    return scales


def _bias(uses: Uses, index: int, rows: int, is_int16: bool) -> tuple[NDArray[np.int64] | None, bool]:
    """Returns (the bias, whether sums have 64 bits)."""
    if index < 0:
        # Versions of TFLM differ in the bits of the sums of int16 activations. The sum 0 has the same output in both.
        return None, is_int16
    model, tensor = uses.model, uses.subgraph.tensors[index]
    _require(tensor.type == _TYPE.INT32 or (is_int16 and tensor.type == _TYPE.INT64))
    _require(tflite.is_constant(model, tensor) and tensor.sparsity is None and indices(tensor.shape)[-1:] == [rows])
    values = np.frombuffer(tflite.buffer_bytes(model, tensor), "<i8" if tensor.type == _TYPE.INT64 else "<i4")
    _require(len(values) == rows)
    return values.astype(np.int64), bool(tensor.type == _TYPE.INT64)


def _pads(options: Any, shape: list[int], x: list[int], y: list[int]) -> bool:
    """Whether a filter of a convolution reaches over the edge of the image."""
    _require(options.padding in (schema.Padding.SAME, schema.Padding.VALID))
    pads = False
    dimensions = [(1, options.strideH, options.dilationHFactor), (2, options.strideW, options.dilationWFactor)]
    for axis, stride, dilation in dimensions:
        _require(stride > 0 and dilation > 0)
        span = (shape[axis] - 1) * dilation + 1
        is_same = options.padding == schema.Padding.SAME
        _require(y[axis] == (x[axis] + stride - (1 if is_same else span)) // stride)
        pads |= (y[axis] - 1) * stride + span > x[axis]
    return pads

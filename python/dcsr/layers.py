"""Finds the layers with weights, checks whether each can be packed, and packs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import encodings, packing
from dcsr import model as tflite
from dcsr.custom_ops import CUSTOM_CODES, is_custom_op
from dcsr.requantize import (
    ACTIVATION_BOUNDS,
    INT8_RANGE,
    INT16_RANGE,
    MAX_INT16_SHIFT,
    activation_range,
    layer_multipliers,
)
from dcsr.schema import enum_name, schema

_OP = schema.BuiltinOperator
_WEIGHTED = {
    _OP.CONV_2D: "CONV_2D",
    _OP.DEPTHWISE_CONV_2D: "DEPTHWISE_CONV_2D",
    _OP.FULLY_CONNECTED: "FULLY_CONNECTED",
}
_INT16_SUFFIX = ", int16"
_INT16_BIAS_LIMIT = 1 << 46
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
    is_int8: bool = False

    @property
    def is_depthwise(self) -> bool:
        """Whether the layer is a DEPTHWISE_CONV_2D."""
        return self.op.startswith(_WEIGHTED[_OP.DEPTHWISE_CONV_2D])


class _Obstacle(Exception):
    """The reason why a layer cannot be packed."""


def find(model: schema.ModelT) -> list[Layer]:
    """Returns all layers with weights, in the order of the model.

    Raises:
      tflite.ModelError: if the packed tensor of a compressed layer is damaged.
    """
    layers = []
    for s, subgraph in enumerate(model.subgraphs):
        for o, operator in enumerate(subgraph.operators or []):
            code = tflite.builtin_code(model, operator)
            custom = tflite.operator_name(model, operator)
            if code == _OP.CUSTOM and custom in CUSTOM_CODES.values():
                layers.append(_packed_layer(model, s, o, operator, custom))
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
    convolution = tflite.builtin_code(model, operator) == _OP.CONV_2D
    multiplier, shift = _multipliers(activations, weights, output, convolution)
    options = operator.builtinOptions
    input_zero, output_zero = _zero_point(activations), _zero_point(output)
    is_int16 = _is_int16(activations)
    low, high = activation_range(_activation(operator), output.quantization.scale[0], output_zero, _limits(output))
    bias = bias_values(model, layer)
    return packing.PackedLayer(
        op=packing.OP_CONV_2D if convolution else packing.OP_FULLY_CONNECTED,
        streams=streams,
        bias=packing.int16_bias(bias, len(matrix)) if is_int16 else packing.fold_bias(bias, matrix, input_zero),
        multiplier=multiplier,
        shift=shift,
        input_zero_point=input_zero,
        output_zero_point=output_zero,
        activation_min=low,
        activation_max=high,
        stride=(options.strideH, options.strideW) if convolution else (1, 1),
        scratch_budget=scratch_budget,
        int16_activations=is_int16,
        **(_window(options, weights.shape) if convolution else {}),
    )


def _window(options: schema.Conv2DOptionsT, shape: NDArray[Any]) -> dict[str, Any]:
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

    Multipliers have 31 significant bits and float32 has 24, so most scales follow exactly. Two cases can give a
    different scale: a multiplier of 0, and a product of scales that TFLM rounds to float first (layer_multipliers).
    """
    real = np.ldexp(packed.multiplier.astype(np.float64), packed.shift.astype(np.int32) - 31)
    product = real * float(output.quantization.scale[0])
    return (product / float(activations.quantization.scale[0])).astype(np.float32)


def _packed_layer(model: schema.ModelT, s: int, o: int, operator: schema.OperatorT, custom: str) -> Layer:
    where = f"subgraph {s}, operator {o} {custom}"
    tensors = model.subgraphs[s].tensors
    if operator.inputs is None or len(operator.inputs) != 2 or min(operator.inputs) < 0:
        raise tflite.ModelError(f"{where}: expected the inputs (activations, packed layer)")
    tensor = tensors[operator.inputs[1]]
    try:
        packed = packing.unpack(tflite.buffer_bytes(model, tensor))
        matrix = encodings.decode(packed.streams)
    except ValueError as error:
        name = tflite.text(tensor.name)
        raise tflite.ModelError(f"{where}: tensor '{name}': {error}") from error
    name = _layer_name(model, s, operator)
    if packed.op == packing.OP_CONV_2D:
        custom += " {}x{}".format(*packed.filter_size)
    if packed.int16_activations:
        custom += _INT16_SUFFIX
    return Layer(s, o, operator, name, custom, matrix.shape, matrix, packed, "already packed", is_int8=True)


def _dense_layer(model: schema.ModelT, s: int, o: int, operator: schema.OperatorT, code: int) -> Layer:
    weights = model.subgraphs[s].tensors[operator.inputs[1]]
    shape = tuple(int(d) for d in ([] if weights.shape is None else weights.shape))
    op = _WEIGHTED[code]
    if code != _OP.FULLY_CONNECTED and len(shape) == 4:
        op += f" {shape[1]}x{shape[2]}"
    if _is_int16(model.subgraphs[s].tensors[operator.inputs[0]]):
        op += _INT16_SUFFIX
    layer = Layer(s, o, operator, _layer_name(model, s, operator), op, shape)
    try:
        _check(model, layer, code)
    except _Obstacle as obstacle:
        layer.obstacle = str(obstacle)
    return layer


def _layer_name(model: schema.ModelT, s: int, operator: schema.OperatorT) -> str:
    """Returns the name of the weight tensor; the name of the output if the converter generated the former."""
    tensors = model.subgraphs[s].tensors
    name = tflite.text(tensors[operator.inputs[1]].name)
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
        min(operator.inputs[:2]) >= 0 and operator.outputs is not None and len(operator.outputs) == 1,
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
    require(code != _OP.DEPTHWISE_CONV_2D, "depthwise")
    data = tflite.buffer_bytes(model, weights)
    require(not weights.isVariable, "weights not constant")
    require(weights.sparsity is None, "weights in TFLite's own sparse form")
    require(len(shape) > 1 and min(shape) > 0, "unusual shapes")
    require(len(data) == int(np.prod(shape, dtype=np.int64)), "weights not constant")
    layer.matrix = np.frombuffer(data, np.int8).reshape(shape[0], -1)
    for role, tensor in (("input", activations), ("output", output)):
        require(_quantised(tensor), f"{role} without per-tensor quantisation")
        require(not is_int16 or _zero_point(tensor) == 0, f"int16 {role} with a zero point")
    options = operator.builtinOptions
    require(options is not None, "no builtin options")
    require(_activation(operator) in ACTIVATION_BOUNDS, f"activation {_activation(operator)}")

    input_shape = [] if activations.shape is None else [int(d) for d in activations.shape]
    if code == _OP.CONV_2D:
        require(len(shape) == 4 and len(input_shape) == 4, "unusual shapes")
        require(shape[3] == input_shape[3], "grouped convolution")
        strides = (options.strideH, options.strideW)
        require(all(1 <= s <= packing.MAX_STRIDE for s in strides), f"stride {strides}")
        require(max(shape[1:3]) <= packing.MAX_STRIDE, f"{shape[1]}x{shape[2]} filter")
        dilations = (options.dilationHFactor, options.dilationWFactor)
        require(all(1 <= d <= packing.MAX_STRIDE for d in dilations), f"dilation {dilations}")
        require(options.padding in (schema.Padding.SAME, schema.Padding.VALID), "unknown padding")
        sizes = tuple(map(_output_size, input_shape[1:3], shape[1:3], strides, dilations, [options.padding] * 2))
        output_shape = [] if output.shape is None else [int(d) for d in output.shape]
        require(output_shape == [input_shape[0], *sizes, shape[0]] and min(output_shape) > 0, "unusual shapes")
    else:
        require(len(shape) == 2, "unusual shapes")
        require(options.weightsFormat == 0, "shuffled weights")
        require(int(np.prod(input_shape, dtype=np.int64)) % shape[1] == 0, "unusual shapes")
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
    require(scales == 1 or quantization.quantizedDimension == 0, "quantised along the input channels")
    # TFLM treats a tensor without zero points as not quantised.
    require(quantization.zeroPoint is not None and len(quantization.zeroPoint) > 0, "weights not quantised")
    require(not np.any(quantization.zeroPoint), "weight zero point is not 0")
    bias = bias_index(operator)
    if bias >= 0:
        require(not tensors[bias].isVariable, "bias not constant")
        wanted = schema.TensorType.INT64 if is_int16 else schema.TensorType.INT32
        # With an int32 bias, TFLM accumulates products of int16 activations in 32 bits. Packed layers use 64 bits.
        suffix = " with int16 activations" if is_int16 else ""
        require(tensors[bias].type == wanted, f"{_type(tensors[bias])} bias{suffix}")
        data = tflite.buffer_bytes(model, tensors[bias])
        require(len(data) == (8 if is_int16 else 4) * rows, "bias not constant")
        # TFLM's own kernels reject a larger bias.
        if is_int16:
            values = np.frombuffer(data, "<i8")
            require(-_INT16_BIAS_LIMIT < values.min() and values.max() < _INT16_BIAS_LIMIT, "bias too large")
    try:
        _, shifts = _multipliers(activations, weights, output, code == _OP.CONV_2D)
        require(not is_int16 or shifts.max() <= MAX_INT16_SHIFT, "requantisation scale too large for int16")
        scale = output.quantization.scale[0]
        activation_range(_activation(operator), scale, _zero_point(output), _limits(output))
    except (ValueError, OverflowError) as error:
        raise _Obstacle(str(error)) from error


def _output_size(size: int, taps: int, stride: int, dilation: int, padding: int) -> int:
    """Returns the output pixels along one dimension, as TFLM computes them. 0 or less means an empty output."""
    span = 1 if padding == schema.Padding.SAME else (taps - 1) * dilation + 1
    return (size + stride - span) // stride


def _multipliers(
    activations: schema.TensorT, weights: schema.TensorT, output: schema.TensorT, convolution: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    scales = weights.quantization.scale
    return layer_multipliers(
        activations.quantization.scale[0],
        scales,
        output.quantization.scale[0],
        product_in_float=not convolution and len(scales) == 1,
    )


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

"""Finding the layers of a model that have weights, and what stands against packing each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcsr import encodings, packing
from dcsr import model as tflite
from dcsr.requantize import ACTIVATION_BOUNDS, activation_range, layer_multipliers
from dcsr.schema import enum_name, schema

_OP = schema.BuiltinOperator
_WEIGHTED = {
    _OP.CONV_2D: "CONV_2D",
    _OP.DEPTHWISE_CONV_2D: "DEPTHWISE_CONV_2D",
    _OP.FULLY_CONNECTED: "FULLY_CONNECTED",
}
CUSTOM_CODES = {
    packing.OP_CONV_2D: "DCSR_CONV_2D",
    packing.OP_FULLY_CONNECTED: "DCSR_FULLY_CONNECTED",
}
_MADE_UP_NAMES = ("tfl.pseudo_", "arith.constant")


@dataclass
class Layer:
    """A layer of the model.

    Attributes:
      subgraph, position: index of the subgraph and of the operator in it.
      operator: the operator.
      name: of the weight tensor, or of the output if the converter made the former up.
      op: operator and filter size for printing.
      shape: of the weights, for printing if there is no matrix.
      matrix: int8 [rows, cols], rows are output channels; None if the weights are no such matrix.
      packed: the packed layer of an operator that is compressed already.
      obstacle: why the layer cannot be packed; None if it can.
      is_int8: whether weights and activations are int8.
    """

    subgraph: int
    position: int
    operator: schema.OperatorT
    name: str
    op: str
    shape: tuple[int, ...]
    matrix: np.ndarray | None = None
    packed: packing.PackedLayer | None = None
    obstacle: str | None = None
    is_int8: bool = False


class _Obstacle(Exception):
    """Why a layer cannot be packed."""


def find(model: schema.ModelT) -> list[Layer]:
    """All layers with weights, in the order of the model.

    Raises:
      tflite.ModelError: if a compressed layer's packed tensor is damaged.
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
    """Whether the model has any of our operators."""
    return any(
        tflite.operator_name(model, operator) in CUSTOM_CODES.values() for _, operator in tflite.operators(model)
    )


def vectors(model: schema.ModelT, layer: Layer) -> int:
    """Vectors that the layer's matrix is multiplied with: output pixels of a convolution, batches of a FULLY_CONNECTED.

    Unknown dimensions count as 1.
    """
    output = model.subgraphs[layer.subgraph].tensors[layer.operator.outputs[0]]
    dimensions = [max(int(d), 1) for d in ([] if output.shape is None else output.shape)]
    assert layer.matrix is not None
    return max(int(np.prod(dimensions, dtype=np.int64)) // layer.matrix.shape[0], 1)


def packed_layer(model: schema.ModelT, layer: Layer, scheme: str) -> packing.PackedLayer:
    """Encodes a layer without obstacle with one of encodings.SCHEMES.

    Raises:
      ValueError: if the scheme cannot hold it.
    """
    assert layer.matrix is not None
    return pack(model, layer, encodings.encode(layer.matrix, scheme))


def pack(
    model: schema.ModelT, layer: Layer, streams: encodings.Streams, scratch_budget: int = 0
) -> packing.PackedLayer:
    """A layer without obstacle, with its weights encoded as `streams`."""
    subgraph, operator = model.subgraphs[layer.subgraph], layer.operator
    matrix = layer.matrix
    assert matrix is not None and layer.obstacle is None
    activations, weights = (subgraph.tensors[i] for i in operator.inputs[:2])
    output = subgraph.tensors[operator.outputs[0]]
    convolution = tflite.builtin_code(model, operator) == _OP.CONV_2D
    multiplier, shift = _multipliers(activations, weights, output, convolution)
    options = operator.builtinOptions
    input_zero, output_zero = _zero_point(activations), _zero_point(output)
    low, high = activation_range(_activation(operator), output.quantization.scale[0], output_zero)
    return packing.PackedLayer(
        op=packing.OP_CONV_2D if convolution else packing.OP_FULLY_CONNECTED,
        streams=streams,
        bias=packing.fold_bias(_bias(model, layer), matrix, input_zero),
        multiplier=multiplier,
        shift=shift,
        input_zero_point=input_zero,
        output_zero_point=output_zero,
        activation_min=low,
        activation_max=high,
        stride=(options.strideH, options.strideW) if convolution else (1, 1),
        scratch_budget=scratch_budget,
    )


def bias_index(operator: schema.OperatorT) -> int:
    """Tensor index of the bias, -1 if there is none."""
    return int(operator.inputs[2]) if len(operator.inputs) > 2 else -1


def derived_bias_scale(activations: schema.TensorT, weights: schema.TensorT) -> np.ndarray:
    """The float32 scale vector that converters give a bias."""
    scale = np.float32(activations.quantization.scale[0])
    return scale * np.asarray(weights.quantization.scale, np.float32)


def derived_weight_scale(
    activations: schema.TensorT, output: schema.TensorT, packed: packing.PackedLayer
) -> np.ndarray:
    """The float32 weight scales, one for each multiplier, that gave a layer's requantisation.

    Multipliers have 31 bits and float32 has 24, so the scales follow exactly. Where they do not (a multiplier of 0; a
    product that was rounded to float before) the result differs from what was in the model.
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
    return Layer(s, o, operator, name, custom, matrix.shape, matrix, packed, "already packed", is_int8=True)


def _dense_layer(model: schema.ModelT, s: int, o: int, operator: schema.OperatorT, code: int) -> Layer:
    weights = model.subgraphs[s].tensors[operator.inputs[1]]
    shape = tuple(int(d) for d in ([] if weights.shape is None else weights.shape))
    op = _WEIGHTED[code]
    if code != _OP.FULLY_CONNECTED and len(shape) == 4:
        op += f" {shape[1]}x{shape[2]}"
    layer = Layer(s, o, operator, _layer_name(model, s, operator), op, shape)
    try:
        _check(model, layer, code)
    except _Obstacle as obstacle:
        layer.obstacle = str(obstacle)
    return layer


def _layer_name(model: schema.ModelT, s: int, operator: schema.OperatorT) -> str:
    """The weight tensor's name; the output's where a converter numbered its constants instead of naming them."""
    tensors = model.subgraphs[s].tensors
    name = tflite.text(tensors[operator.inputs[1]].name)
    if name and not name.startswith(_MADE_UP_NAMES):
        return name
    # A fused operator's output lists the names of all that went into it, the product's last.
    return tflite.text(tensors[operator.outputs[0]].name).split(";")[-1] or name


def _check(model: schema.ModelT, layer: Layer, code: int) -> None:
    """Fills in `layer.matrix` and raises _Obstacle at the first thing that stands against packing."""
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
    for role, tensor in (("weights", weights), ("input", activations), ("output", output)):
        require(tensor.type == schema.TensorType.INT8, f"{_type(tensor)} {role}")
    layer.is_int8 = True
    require(code != _OP.DEPTHWISE_CONV_2D, "depthwise")
    data = tflite.buffer_bytes(model, weights)
    require(not weights.isVariable, "weights not constant")
    require(len(shape) > 1 and min(shape) > 0, "unusual shapes")
    require(len(data) == int(np.prod(shape, dtype=np.int64)), "weights not constant")
    require(weights.sparsity is None, "weights in TFLite's own sparse form")
    layer.matrix = np.frombuffer(data, np.int8).reshape(shape[0], -1)
    for role, tensor in (("input", activations), ("output", output)):
        require(_quantised(tensor), f"{role} without per-tensor quantisation")
    options = operator.builtinOptions
    require(options is not None, "no builtin options")
    require(_activation(operator) in ACTIVATION_BOUNDS, f"activation {_activation(operator)}")

    input_shape = [] if activations.shape is None else [int(d) for d in activations.shape]
    if code == _OP.CONV_2D:
        require(len(shape) == 4 and len(input_shape) == 4, "unusual shapes")
        require(shape[1:3] == (1, 1), f"{shape[1]}x{shape[2]} filter")
        require(shape[3] == input_shape[3], "grouped convolution")
        strides = (options.strideH, options.strideW)
        require(all(1 <= s <= packing.MAX_STRIDE for s in strides), f"stride {strides}")
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
    # Without zero points TFLM takes the tensor as not quantised.
    require(quantization.zeroPoint is not None and len(quantization.zeroPoint) > 0, "weights not quantised")
    require(not np.any(quantization.zeroPoint), "weight zero point is not 0")
    bias = bias_index(operator)
    if bias >= 0:
        require(not tensors[bias].isVariable, "bias not constant")
        require(tensors[bias].type == schema.TensorType.INT32, f"{_type(tensors[bias])} bias")
        require(len(tflite.buffer_bytes(model, tensors[bias])) == 4 * rows, "bias not constant")
    try:
        _multipliers(activations, weights, output, code == _OP.CONV_2D)
        scale = output.quantization.scale[0]
        activation_range(_activation(operator), scale, _zero_point(output))
    except (ValueError, OverflowError) as error:
        raise _Obstacle(str(error)) from error


def _multipliers(
    activations: schema.TensorT, weights: schema.TensorT, output: schema.TensorT, convolution: bool
) -> tuple[np.ndarray, np.ndarray]:
    scales = weights.quantization.scale
    return layer_multipliers(
        activations.quantization.scale[0],
        scales,
        output.quantization.scale[0],
        product_in_float=not convolution and len(scales) == 1,
    )


def _bias(model: schema.ModelT, layer: Layer) -> np.ndarray | None:
    index = bias_index(layer.operator)
    if index < 0:
        return None
    tensor = model.subgraphs[layer.subgraph].tensors[index]
    return np.frombuffer(tflite.buffer_bytes(model, tensor), "<i4")


def _type(tensor: schema.TensorT) -> str:
    return enum_name(schema.TensorType, tensor.type).lower()


def _activation(operator: schema.OperatorT) -> str:
    function = operator.builtinOptions.fusedActivationFunction
    return enum_name(schema.ActivationFunctionType, function)


def _quantised(tensor: schema.TensorT) -> bool:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or quantization.zeroPoint is None:
        return False
    # TFLM ignores quantisation of which either vector is missing.
    if len(quantization.scale) != 1 or len(quantization.zeroPoint) != 1:
        return False
    return bool(np.isfinite(quantization.scale[0]) and quantization.scale[0] > 0) and -128 <= _zero_point(tensor) <= 127


def _zero_point(tensor: schema.TensorT) -> int:
    return int(tensor.quantization.zeroPoint[0])

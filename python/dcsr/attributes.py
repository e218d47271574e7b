"""The attributes of a layer that TFLM's kernels read, and how packing treats each of them.

TFLM parses the options in ParseConv2D, ParseFullyConnected and ParseDepthwiseConv2D
(tensorflow/lite/core/api/flatbuffer_conversions.cc). The kernels read them and the tensors in conv.cc, conv_common.cc,
fully_connected.cc, fully_connected_common.cc and their variants for CMSIS-NN (tensorflow/lite/micro/kernels), and in
PopulateConvolutionQuantizationParams (tensorflow/lite/kernels/kernel_util.cc). The tables cover the sources from
June 2023 to August 2026. DEPTHWISE_CONV_2D (depthwise_conv.cc, depthwise_conv_common.cc) is packed with int8
activations only.

`attributes_test.py` compares the tables with the schema, so that a new field cannot go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dcsr import packing
from dcsr.requantize import ACTIVATION_BOUNDS
from dcsr.schema import enum_name, schema

_TYPE = schema.TensorType


@dataclass(frozen=True)
class Sums:
    """How TFLM adds up the products of a layer.

    Attributes:
      is_int16: whether the activations are int16.
      has_bias: whether the operator has a bias tensor.
    """

    is_int16: bool
    has_bias: bool


# Returns the obstacle to packing a layer with these options; None if there is none.
Obstacle = Callable[[Any, Sums], str | None]


@dataclass(frozen=True)
class Attribute:
    """A field of the schema.

    Attributes:
      field: name of the field in the object API.
      read: how TFLM uses the field.
      treatment: how packing treats it.
      obstacle: finds values that keep a layer dense; None if every value is packed, or if layers.py checks the field.
    """

    field: str
    read: str
    treatment: str
    obstacle: Obstacle | None = None


def _activation(options: Any, _: Sums) -> str | None:
    name = enum_name(schema.ActivationFunctionType, options.fusedActivationFunction)
    return None if name in ACTIVATION_BOUNDS else f"activation {name}"


def _padding(options: Any, _: Sums) -> str | None:
    return None if options.padding in (schema.Padding.SAME, schema.Padding.VALID) else "unknown padding"


def _stride(options: Any, _: Sums) -> str | None:
    return _pair("stride", options.strideH, options.strideW)


def _dilation(options: Any, _: Sums) -> str | None:
    return _pair("dilation", options.dilationHFactor, options.dilationWFactor)


def _pair(what: str, vertical: int, horizontal: int) -> str | None:
    fits = all(1 <= value <= packing.MAX_STRIDE for value in (vertical, horizontal))
    return None if fits else f"{what} ({vertical}, {horizontal})"


def _bias_type(options: Any, sums: Sums) -> str | None:
    kind = options.quantizedBiasType
    if not sums.is_int16 or sums.has_bias:
        known = enum_name(_TYPE, kind) != str(kind)
        return None if known else f"quantized_bias_type {kind}"
    if kind == _TYPE.INT32:
        return "no bias and quantized_bias_type int32: sums of 32 bits"
    name = enum_name(_TYPE, kind).lower()
    return None if kind in (_UNSET, _TYPE.INT64) else f"no bias and quantized_bias_type {name}"


_UNSET = _TYPE.FLOAT32  # the schema's default, 0


def _weights_format(options: Any, _: Sums) -> str | None:
    is_default = options.weightsFormat == schema.FullyConnectedOptionsWeightsFormat.DEFAULT
    return None if is_default else "shuffled weights"


_FUSED_ACTIVATION = Attribute(
    "fusedActivationFunction",
    "clamps the output (CalculateActivationRangeQuantized, in float32); ignores TANH and SIGN_BIT",
    "NONE, RELU, RELU_N1_TO_1, RELU6 become the clamp of the packed layer; others stay dense",
    _activation,
)
_BIAS_TYPE = Attribute(
    "quantizedBiasType",
    "without bias and with int16 activations only: the type of the sums. TFLM before 2026-06-16 and"
    " CMSIS-NN differ (docs/embedding.md)",
    "unset and INT64: 64-bit sums, as with an int64 bias of zeros; INT32 and others stay dense",
    _bias_type,
)

CONV_2D_OPTIONS = (
    Attribute("padding", "SAME or VALID; size of the output and of the padding", "packed; others stay dense", _padding),
    Attribute("strideW", "horizontal stride", "packed if 1 .. 255", _stride),
    Attribute("strideH", "vertical stride", "packed if 1 .. 255", _stride),
    _FUSED_ACTIVATION,
    Attribute("dilationWFactor", "horizontal dilation", "packed if 1 .. 255; dropped with a 1x1 filter", _dilation),
    Attribute("dilationHFactor", "vertical dilation", "packed if 1 .. 255; dropped with a 1x1 filter", _dilation),
    _BIAS_TYPE,
)

FULLY_CONNECTED_OPTIONS = (
    _FUSED_ACTIVATION,
    Attribute(
        "weightsFormat", "parsed; unknown formats are refused, SHUFFLED4x16INT8 is run as if it were the default",
        "DEFAULT is packed, others stay dense", _weights_format,
    ),
    Attribute("keepNumDims", "parsed, not used: the output's shape is that of its tensor", "any value is packed"),
    Attribute("asymmetricQuantizeInputs", "parsed, not used: only for hybrid models", "any value is packed"),
    _BIAS_TYPE,
    Attribute("quantSpec", "not parsed", "any value is packed"),
)  # fmt: skip

DEPTHWISE_CONV_2D_OPTIONS = (
    *(option for option in CONV_2D_OPTIONS if option is not _BIAS_TYPE),
    Attribute(
        "depthMultiplier",
        "output channels for each input channel, whatever the shapes say",
        "packed if 1 .. 255 and if it fits the shapes; others stay dense",
    ),
)

# Operator, tensors and their quantisation: checked in layers.py.
OPERATOR = (
    Attribute("opcodeIndex", "the kernel; the version in the operator code is not used", "replaced"),
    Attribute(
        "inputs",
        "activations, weights, bias. CONV_2D refuses other numbers than 2 and 3; -1 or absence means no bias",
        "2 or 3 inputs are packed",
    ),
    Attribute("outputs", "CONV_2D refuses other numbers than 1", "1 output is packed"),
    Attribute("builtinOptionsType", "options of another type are not read", "other types stay dense"),
    Attribute("builtinOptions", "see the tables above", "see the tables above"),
    Attribute("customOptions", "not used", "dropped; decompress restores them"),
    Attribute("customOptionsFormat", "not used", "dropped; decompress restores it"),
    Attribute("mutatingVariableInputs", "not used", "decompress restores it"),
    Attribute("intermediates", "not used by these operators", "decompress restores them"),
    Attribute("largeCustomOptionsOffset", "not used", "decompress restores it"),
    Attribute("largeCustomOptionsSize", "not used", "decompress restores it"),
    Attribute("builtinOptions2Type", "not used by these operators", "decompress restores it"),
    Attribute("builtinOptions2", "not used by these operators", "decompress restores it"),
    Attribute("debugMetadataIndex", "not used", "decompress restores it"),
)

TENSOR = (
    Attribute(
        "shape",
        "weights: rows and columns, or filter. Output: batches, pixels, and rows. FULLY_CONNECTED with a shorter last"
        " dimension of the output computes the first rows only",
        "packed if input, weights and output fit each other; others stay dense",
    ),
    Attribute(
        "type",
        "selects the kernel. int16 activations with an int32 bias: sums of 32 bits; with an int64 bias: of 64 bits."
        " int8 activations: the bias is read as int32, whatever its type. DEPTHWISE_CONV_2D with int16 activations"
        " reads every bias as int64, also an int32 one",
        "int8 weights; int8 activations with int32 bias; int16 activations with int64 bias, except DEPTHWISE_CONV_2D;"
        " others stay dense",
    ),
    Attribute("buffer", "constant data; none makes a tensor of the arena", "weights and bias must be constant"),
    Attribute("name", "not used", "kept"),
    Attribute("quantization", "see below", "see below"),
    Attribute("isVariable", "a tensor that keeps its value", "variable weights and biases stay dense"),
    Attribute("sparsity", "not used; the DENSIFY operator is missing", "expanded before packing (passes/densify.py)"),
    Attribute("shapeSignature", "not used", "dropped for weights and removed biases; decompress restores it"),
    Attribute("hasRank", "not used", "dropped for weights and removed biases; decompress restores it"),
    Attribute("variantTensors", "not used", "dropped for weights and removed biases; decompress restores it"),
    Attribute("externalBuffer", "not used", "weights without data in their buffer stay dense"),
)

QUANTIZATION = (
    Attribute("min", "not used", "dropped"),
    Attribute("max", "not used", "dropped"),
    Attribute(
        "scale",
        "multipliers: product of the scales in double, for per-tensor FULLY_CONNECTED in float32. Activations: the"
        " first scale. FULLY_CONNECTED per channel: refused by TFLM from May to September 2024, and computed with the"
        " first scale before. Bias: FULLY_CONNECTED per tensor is refused if it is far from the product",
        "activations: one scale. Weights: one, or one for each row. Others stay dense. The packed layer has the"
        " multipliers of today's TFLM",
    ),
    Attribute(
        "zeroPoint",
        "subtracted from activations (the first of the vector); weights: CONV_2D ignores it, FULLY_CONNECTED adds it."
        " Without the vector a tensor counts as not quantised",
        "int8: folded into the bias; int16: must be 0; weights: must be 0",
    ),
    Attribute("detailsType", "not used", "custom quantisation of weights stays dense"),
    Attribute("details", "not used", "custom quantisation of weights stays dense"),
    Attribute(
        "quantizedDimension",
        "CONV_2D and FULLY_CONNECTED check the size of that dimension, and apply the scales to rows."
        " DEPTHWISE_CONV_2D's kernel takes dimension 3",
        "weights with several scales: 0, or 3 of DEPTHWISE_CONV_2D, is packed, others stay dense",
    ),
)

_OPTIONS = {
    schema.BuiltinOperator.CONV_2D: (schema.BuiltinOptions.Conv2DOptions, CONV_2D_OPTIONS),
    schema.BuiltinOperator.FULLY_CONNECTED: (schema.BuiltinOptions.FullyConnectedOptions, FULLY_CONNECTED_OPTIONS),
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: (
        schema.BuiltinOptions.DepthwiseConv2DOptions,
        DEPTHWISE_CONV_2D_OPTIONS,
    ),
}

SUMS_WITHOUT_BIAS = (
    "int16 activations and no bias: sums of 64 bits, as TFLM since 2026-06-16; some older versions sum the dense layer"
    " in 32 bits (docs/embedding.md#int16-layers-without-bias)"
)


def obstacle(code: int, operator: schema.OperatorT, sums: Sums) -> str | None:
    """Returns the first option that keeps a layer dense, as a phrase; None if all options can be packed.

    Args:
      code: CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED of schema.BuiltinOperator.
      operator: the operator.
      sums: how TFLM adds up the products.
    """
    kind, attributes = _OPTIONS[code]
    options = operator.builtinOptions
    if options is None or operator.builtinOptionsType != kind:
        return "no builtin options"
    found = (attribute.obstacle(options, sums) for attribute in attributes if attribute.obstacle)
    return next((reason for reason in found if reason), None)


def caveat(sums: Sums) -> str | None:
    """Returns how the layer differs in an older TFLM, as a phrase; None if every version since June 2023 agrees."""
    return SUMS_WITHOUT_BIAS if sums.is_int16 and not sums.has_bias else None

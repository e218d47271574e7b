"""The custom operators of compressed models: their codes and options in the model file."""

from __future__ import annotations

from flatbuffers import flexbuffers

from dcsr import model as tflite
from dcsr import packing
from dcsr.schema import enum_name, schema

CUSTOM_CODES = {
    packing.OP_CONV_2D: "DCSR_CONV_2D",
    packing.OP_FULLY_CONNECTED: "DCSR_FULLY_CONNECTED",
    packing.OP_DEPTHWISE_CONV_2D: "DCSR_DEPTHWISE_CONV_2D",
}


def is_custom_op(model: schema.ModelT, operator: schema.OperatorT) -> bool:
    """Whether the operator is one of dCSR's custom operators."""
    return tflite.operator_name(model, operator) in CUSTOM_CODES.values()


def options(packed: packing.PackedLayer, operator: schema.OperatorT) -> bytes:
    """Returns the custom_options of the operator that replaces `operator`. Only viewers read them, no kernel does."""
    found = {
        "op": CUSTOM_CODES[packed.op].removeprefix("DCSR_"),
        "encoding": packed.streams.scheme,
        "rows": packed.streams.rows,
        "cols": packed.streams.cols,
        "fused_activation_function": enum_name(
            schema.ActivationFunctionType, operator.builtinOptions.fusedActivationFunction
        ),
    }
    if packed.int16_activations:
        found["activations"] = "INT16"
    if packed.op == packing.OP_DEPTHWISE_CONV_2D:
        found["depth_multiplier"] = packed.depth_multiplier
    if packed.op != packing.OP_FULLY_CONNECTED:
        found |= {
            **dict(zip(("stride_h", "stride_w"), packed.in_image(packed.stride), strict=True)),
            "padding": enum_name(schema.Padding, operator.builtinOptions.padding),
        }
        if packed.filter_size != (1, 1):
            found |= {
                **dict(zip(("filter_h", "filter_w"), packed.in_image(packed.filter_size), strict=True)),
                **dict(zip(("dilation_h", "dilation_w"), packed.in_image(packed.dilation), strict=True)),
            }
    else:
        found["keep_num_dims"] = bool(operator.builtinOptions.keepNumDims)
    return bytes(flexbuffers.Dumps(found))

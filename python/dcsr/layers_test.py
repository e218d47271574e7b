"""Tests which layers can be packed, and the obstacles of the others."""

import numpy as np
import pytest

from dcsr import compressing, layers, packing
from dcsr.schema import schema
from dcsr.testing.models import Builder, conv_model, depthwise_model, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import rng, round_trip, through_bytes


@pytest.mark.parametrize(
    "change,note",
    [
        (lambda t: setattr(t[0].quantization, "zeroPoint", np.array([1])), "int16 input with a zero point"),
        (lambda t: setattr(t[3].quantization, "zeroPoint", np.array([-1])), "int16 output with a zero point"),
        (
            lambda t: setattr(t[3].quantization, "scale", np.array([1e-9], np.float32)),
            "requantisation scale too large for int16",
        ),
    ],
)
def test_int16_layers_that_stay_say_why(change, note):
    model = through_bytes(conv_model(rng(), sparse_matrix(rng(), 40, 200, 0.9), int16=True))
    change(model.subgraphs[0].tensors)
    _, (decision,), *_ = compressing.compress(model, "m")
    assert decision.note == note and not decision.packed


def test_int32_bias_of_int16_activations_belongs_to_convolutions():
    """TFLM's FULLY_CONNECTED reads any bias of int16 activations as int64."""
    for make, note in ((conv_model, None), (fully_connected_model, "int32 bias with int16 activations")):
        model = through_bytes(make(rng(), sparse_matrix(rng(), 40, 200, 0.9), int16=True))
        model.subgraphs[0].tensors[2].type = schema.TensorType.INT32
        bias = model.buffers[model.subgraphs[0].tensors[2].buffer]
        bias.data = np.frombuffer(np.arange(40, dtype="<i4").tobytes(), np.uint8)
        (layer,) = layers.find(model)
        assert layer.obstacle == note
        if note is None:
            packed = layers.packed_layer(model, layer, "rice")
            assert packed.int32_sums and packed.bias.tolist() == list(range(40))


@pytest.mark.parametrize("activations", [np.int8, np.int16])
@pytest.mark.parametrize("bias", [np.int32, np.int64, None])
def test_depthwise_whose_bias_tflm_misreads_is_named(activations, bias):
    """TFLM's DEPTHWISE_CONV_2D reads every bias of int16 activations as int64: it reads past an int32 bias."""
    builder = Builder()
    x = builder.tensor("x", (1, 5, 5, 8), activations, scale=0.1)
    weights = builder.tensor("w", (1, 3, 3, 8), data=np.ones((1, 3, 3, 8)), scale=np.ones(8), axis=3)
    b = -1 if bias is None else builder.tensor("b", (8,), bias, data=np.zeros(8), scale=np.ones(8))
    y = builder.tensor("y", (1, 5, 5, 8), activations, scale=0.1)
    options = schema.DepthwiseConv2DOptionsT(strideH=1, strideW=1, depthMultiplier=1)
    builder.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, [x, weights, b], [y], options)
    (layer,) = layers.find(through_bytes(builder.finish([x], [y])))
    misread = activations == np.int16 and bias == np.int32
    reason = "depthwise: TFLM reads its int32 bias as int64, so outputs are undefined"
    of_int16 = reason if misread else "depthwise with int16 activations"
    of_int8 = "int64 bias" if bias == np.int64 else None
    assert layer.obstacle == (of_int16 if activations == np.int16 else of_int8)
    assert layer.is_depthwise and layer.is_int8


def depthwise(**options) -> schema.ModelT:
    matrix = np.arange(12 * 6).reshape(12, 6).astype(np.int8)
    return depthwise_model(rng(), matrix, filter_size=(2, 3), depth_multiplier=3, **options)


@pytest.mark.parametrize("per_channel", [True, False])
def test_depthwise_has_one_row_for_each_output_channel(per_channel):
    model = through_bytes(depthwise(per_channel=per_channel, stride=(1, 2), dilation=(1, 2)))
    (layer,) = layers.find(model)
    assert layer.obstacle is None and layer.is_depthwise
    assert layer.op == "DEPTHWISE_CONV_2D 2x3" and layer.shape == (1, 2, 3, 12)
    assert np.array_equal(layer.matrix, np.arange(72).reshape(12, 6))
    stored = bytes(model.buffers[model.subgraphs[0].tensors[layer.weights].buffer].data)
    assert layer.stored_weights.tobytes() == stored
    packed = layers.packed_layer(model, layer, "dense")
    assert (packed.op, packed.depth_multiplier, packed.channels) == (packing.OP_DEPTHWISE_CONV_2D, 3, 4)
    assert (packed.filter_size, packed.stride, packed.dilation) == ((2, 3), (1, 2), (1, 2))
    assert len(packed.multiplier) == (12 if per_channel else 1)


@pytest.mark.parametrize(
    "change,note",
    [
        (lambda t, o: setattr(o, "depthMultiplier", 2), "unusual shapes"),
        (lambda t, o: setattr(o, "depthMultiplier", 0), "unusual shapes"),
        (lambda t, o: setattr(t[1], "shape", np.array([2, 1, 3, 12])), "unusual shapes"),
        (lambda t, o: setattr(t[1], "shape", np.array([6, 12])), "unusual shapes"),
        (lambda t, o: setattr(t[3], "shape", np.array([1, 4, 4, 12])), "unusual shapes"),
        (lambda t, o: setattr(t[1].quantization, "quantizedDimension", 0), "quantised along the taps"),
        (lambda t, o: setattr(t[1].quantization, "scale", np.ones(6, np.float32)), "6 weight scales for 12 rows"),
        (lambda t, o: setattr(t[1].quantization, "zeroPoint", np.array([1])), "weight zero point is not 0"),
        (lambda t, o: setattr(t[1], "buffer", 0), "weights not constant"),
        (lambda t, o: setattr(o, "fusedActivationFunction", 4), "activation TANH"),
        (lambda t, o: setattr(o, "strideH", 256), "stride (256, 1)"),
        (lambda t, o: setattr(o, "dilationWFactor", 0), "dilation (1, 0)"),
    ],
)
def test_depthwise_layers_that_stay_say_why(change, note):
    model = through_bytes(depthwise())
    change(model.subgraphs[0].tensors, model.subgraphs[0].operators[0].builtinOptions)
    (layer,) = layers.find(model)
    assert layer.obstacle == note


def test_depth_multipliers_beyond_a_byte_stay():
    model = depthwise_model(rng(), np.ones((256, 9), np.int8), depth_multiplier=256)
    assert layers.find(through_bytes(model))[0].obstacle == "depth multiplier 256"


@pytest.mark.parametrize("value", [1 << 46, -(1 << 46), -(1 << 63)])
def test_int16_bias_beyond_what_tflm_computes_stays(value):
    model = through_bytes(conv_model(rng(), sparse_matrix(rng(), 40, 200, 0.9), int16=True))
    bias = model.subgraphs[0].tensors[2]
    values = np.frombuffer(bytes(model.buffers[bias.buffer].data), np.int64).copy()
    values[7] = value
    model.buffers[bias.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    _, (decision,), *_ = compressing.compress(model, "m")
    assert decision.note == "bias too large"


@pytest.mark.parametrize(
    "change,note",
    [
        (lambda t, o: setattr(t[3], "shape", np.array([1, 5, 6, 64])), "unusual shapes"),
        (lambda t, o: setattr(t[3], "shape", None), "unusual shapes"),
        (lambda t, o: setattr(o.builtinOptions, "padding", schema.Padding.VALID), "unusual shapes"),
        (lambda t, o: setattr(o.builtinOptions, "padding", 2), "unknown padding"),
        (lambda t, o: setattr(o.builtinOptions, "dilationHFactor", 0), "dilation (0, 1)"),
        (lambda t, o: setattr(o.builtinOptions, "dilationWFactor", 256), "dilation (1, 256)"),
        (lambda t, o: setattr(o.builtinOptions, "strideW", 0), "stride (1, 0)"),
    ],
)
def test_convolutions_that_do_not_fit_the_format_say_why(change, note):
    bias = np.zeros(64, np.int32)
    builder = Builder()
    x = builder.tensor("x", (1, 5, 5, 20), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng(), 64, 180, 0.9), filter_size=(3, 3), bias=bias)
    model = builder.finish([x], [y])
    change(model.subgraphs[0].tensors, model.subgraphs[0].operators[0])
    _, (decision,) = round_trip(model)
    assert decision.note == note


def obstacle(change) -> str:
    """Returns the obstacle to packing a sparse FULLY_CONNECTED after `change(tensors, operator)`."""
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    bias = np.zeros(64, np.int32)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 128, 0.9), (1, 64), bias=bias)
    z = builder.fully_connected(y, sparse_matrix(rng(), 64, 64, 0.0), (1, 64), name="other")
    model = builder.finish([x], [z])
    graph = model.subgraphs[0]
    operator = graph.operators[0]
    change([graph.tensors[i] for i in [*operator.inputs, *operator.outputs]], operator)
    _, decisions = round_trip(model)
    assert decisions[0].packed is None
    return decisions[0].note


@pytest.mark.parametrize(
    "change,note",
    [
        (
            lambda t, o: setattr(t[1].quantization, "zeroPoint", np.array([1])),
            "weight zero point is not 0",
        ),
        (lambda t, o: setattr(t[1], "quantization", None), "weights not quantised"),
        (lambda t, o: setattr(t[1].quantization, "zeroPoint", None), "weights not quantised"),
        (lambda t, o: setattr(t[0].quantization, "zeroPoint", None), "input without per-tensor quantisation"),
        (lambda t, o: setattr(t[1], "isVariable", True), "weights not constant"),
        (lambda t, o: setattr(t[1], "shape", np.array([0, 128])), "unusual shapes"),
        (lambda t, o: setattr(t[0], "type", schema.TensorType.INT16), "int8 output for an int16 input"),
        (lambda t, o: setattr(t[2], "type", schema.TensorType.INT64), "int64 bias"),
        (lambda t, o: setattr(t[1], "buffer", 0), "weights not constant"),
        (lambda t, o: setattr(t[2], "buffer", 0), "bias not constant"),
        (lambda t, o: setattr(t[0], "quantization", None), "input without per-tensor quantisation"),
        (
            lambda t, o: setattr(t[1].quantization, "scale", np.ones(5, np.float32)),
            "5 weight scales for 64 rows",
        ),
        (
            lambda t, o: (
                setattr(t[1].quantization, "scale", np.ones(64, np.float32)),
                setattr(t[1].quantization, "quantizedDimension", 1),
            ),
            "quantised along the input channels",
        ),
        (lambda t, o: setattr(o.builtinOptions, "weightsFormat", 1), "shuffled weights"),
        (lambda t, o: setattr(o.builtinOptions, "fusedActivationFunction", 4), "activation TANH"),
    ],
)
def test_layers_that_cannot_be_packed_say_why(change, note):
    assert obstacle(change) == note


OP = schema.BuiltinOperator


@pytest.mark.parametrize(
    "filter_size,channels,note",
    [
        ((3, 3), 10, "grouped convolution"),
        ((1, 1), 10, "grouped convolution"),
        ((256, 1), 20, "256x1 filter"),
    ],
)
def test_convolutions_that_stay(filter_size, channels, note):
    builder = Builder()
    x = builder.tensor("x", (1, 5, 5, 20), scale=0.1)
    taps = filter_size[0] * filter_size[1]
    weights = builder.tensor(
        "w",
        (64, *filter_size, channels),
        data=sparse_matrix(rng(), 64, taps * channels, 0.9),
        scale=0.01,
    )
    y = builder.conv_2d(x, weights)
    _, (decision,) = round_trip(builder.finish([x], [y]))
    assert decision.note == note


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
def test_packed_layer_multipliers_are_tflm_s_for_each_kind(make):
    """TFLM multiplies the scales of a per-tensor FULLY_CONNECTED in float, all others in double."""
    for scale in np.linspace(0.001, 0.1, 40, dtype=np.float32):
        model = make(rng(), np.ones((2, 8), np.int8), per_channel=False)
        graph = model.subgraphs[0]
        graph.tensors[1].quantization.scale[0] = scale
        (layer,) = layers.find(model)
        packed = layers.packed_layer(model, layer, "dense")
        x, w, y = (graph.tensors[i].quantization.scale[0] for i in (0, 1, 3))
        product = float(x * w) if make is fully_connected_model else float(x) * float(w)
        mantissa, exponent = np.frexp(product / float(y))
        assert int(packed.multiplier[0]) == round(mantissa * 2**31)
        assert int(packed.shift[0]) == exponent

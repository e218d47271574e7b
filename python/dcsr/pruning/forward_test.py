"""The forward pass against the TFLM interpreter, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

import dcsr
from dcsr import model as tflite
from dcsr.model import ModelError
from dcsr.pruning import forward
from dcsr.schema import schema
from dcsr.testing import models
from dcsr.testing.models import Builder, sparse_matrix

ACTIVATIONS = schema.ActivationFunctionType
PADDING = schema.Padding


def samples_for(model, rng, count=40):
    graph = model.subgraphs[0]
    arrays = []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        dtype = np.int16 if tensor.type == schema.TensorType.INT16 else np.int8
        info = np.iinfo(dtype)
        arrays.append(rng.integers(info.min, info.max, (count, *tensor.shape), dtype, endpoint=True))
    return arrays


def check(model, rng, *, in_numpy=None):
    """Compares the outputs of numpy and of single operators with the interpreter's."""
    content = tflite.serialize(model)
    samples = samples_for(model, rng)
    wanted = forward.interpreted_outputs(model, content, "model", samples)
    for numpy_too in (True, False) if in_numpy is None else (in_numpy,):
        got = forward.Network(model, "model", in_numpy=numpy_too).run(samples)
        for a, b in zip(wanted, got, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    return wanted


CONVOLUTIONS = [
    {},
    {"stride": (2, 2)},
    {"filter_size": (3, 3)},
    {"filter_size": (3, 3), "stride": (2, 1)},
    {"filter_size": (2, 3), "padding": PADDING.VALID},
    {"filter_size": (3, 2), "dilation": (2, 1), "pixels": (7, 6)},
    {"filter_size": (4, 2), "stride": (2, 2), "pixels": (9, 5)},
    {"per_channel": False},
    {"with_bias": False, "filter_size": (3, 3)},
    {"activation": ACTIVATIONS.RELU},
    {"activation": ACTIVATIONS.RELU6, "batches": 3},
    {"int16": True},
    {"int16": True, "filter_size": (3, 3), "with_bias": False},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_convolutions(options, seed):
    rng = np.random.default_rng(seed)
    height, width = options.get("filter_size", (1, 1))
    matrix = models.sparse_matrix(rng, 12, height * width * 10, 0.3)
    outputs = check(models.conv_model(rng, matrix, **options), rng)
    assert len(np.unique(outputs[0])) > 3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batches": 4},
        {"per_channel": True},
        {"with_bias": False},
        {"int16": True},
        {"activation": ACTIVATIONS.RELU},
    ],
    ids=str,
)
@pytest.mark.parametrize("cols", [24, 700])
def test_fully_connected(options, cols):
    rng = np.random.default_rng(cols)
    check(models.fully_connected_model(rng, models.sparse_matrix(rng, 12, cols, 0.3), **options), rng)


def test_rounding_at_halves_is_exact():
    """Multipliers of 2^-n make many accumulators lie on a half."""
    rng = np.random.default_rng(3)
    for scale in (0.5, 0.25, 1 / 64):
        builder = Builder()
        x = builder.tensor("x", (1, 32), scale=1.0, zero_point=0)
        matrix = rng.integers(-3, 4, (16, 32), np.int8)
        y = builder.fully_connected(x, matrix, (1, 16), weight_scale=scale, output_scale=1.0, output_zero_point=0)
        check(builder.finish([x], [y]), rng)


def test_weights_too_large_for_float32_are_exact():
    rng = np.random.default_rng(4)
    matrix = np.full((4, 2000), 127, np.int8)
    matrix[1::2] *= -1
    builder = Builder()
    x = builder.tensor("x", (1, 2000), scale=0.1, zero_point=-128)
    y = builder.fully_connected(x, matrix, (1, 4), weight_scale=0.01, output_scale=600.0)
    check(builder.finish([x], [y]), rng)


def depthwise_model(rng, *, multiplier=1, stride=1, dilation=1, padding=PADDING.SAME, activation=ACTIVATIONS.NONE):
    builder = Builder()
    x = builder.tensor("x", (1, 7, 6, 8), scale=0.1, zero_point=-20)
    channels = 8 * multiplier
    scales = rng.uniform(0.005, 0.05, channels).astype(np.float32)
    weights = builder.tensor(
        "w", (1, 3, 3, channels), data=rng.integers(-127, 128, (9, channels), np.int8), scale=scales, axis=3
    )
    bias = builder.tensor("b", (channels,), np.int32, data=rng.integers(-999, 999, channels), scale=0.1 * scales)
    span = 1 if padding == PADDING.SAME else 2 * dilation + 1
    shape = (1, (7 + stride - span) // stride, (6 + stride - span) // stride, channels)
    y = builder.tensor("y", shape, scale=0.4, zero_point=5)
    options = schema.DepthwiseConv2DOptionsT(
        padding=padding,
        strideH=stride,
        strideW=stride,
        dilationHFactor=dilation,
        dilationWFactor=dilation,
        depthMultiplier=multiplier,
        fusedActivationFunction=activation,
    )
    builder.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, [x, weights, bias], [y], options)
    return builder.finish([x], [y])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"padding": PADDING.VALID},
        {"dilation": 2},
        {"activation": ACTIVATIONS.RELU6},
        {"multiplier": 2},
    ],
    ids=str,
)
def test_depthwise_convolutions(options):
    rng = np.random.default_rng(5)
    check(depthwise_model(rng, **options), rng)


def residual_model(rng):
    """Convolution, ADD with the input, AVERAGE_POOL_2D, RESHAPE, FULLY_CONNECTED, SOFTMAX."""
    builder = Builder()
    x = builder.tensor("x", (1, 4, 4, 16), scale=0.1, zero_point=3)
    a = builder.conv_2d(x, models.sparse_matrix(rng, 16, 16, 0.2), output_scale=0.9, name="a")
    b = builder.tensor("sum", (1, 4, 4, 16), scale=1.0, zero_point=-4)
    builder.operator(schema.BuiltinOperator.ADD, [x, a], [b], schema.AddOptionsT())
    c = builder.tensor("pooled", (1, 1, 1, 16), scale=1.0, zero_point=-4)
    pool = schema.Pool2DOptionsT(padding=PADDING.VALID, strideH=4, strideW=4, filterHeight=4, filterWidth=4)
    builder.operator(schema.BuiltinOperator.AVERAGE_POOL_2D, [b], [c], pool)
    d = builder.tensor("flat", (1, 16), scale=1.0, zero_point=-4)
    shape = builder.tensor("shape", (2,), np.int32, data=np.array([1, 16]))
    builder.operator(schema.BuiltinOperator.RESHAPE, [c, shape], [d], schema.ReshapeOptionsT(newShape=[1, 16]))
    e = builder.fully_connected(d, models.sparse_matrix(rng, 6, 16, 0.2), (1, 6), output_scale=2.0)
    f = builder.tensor("probabilities", (1, 6), scale=1 / 256, zero_point=-128)
    builder.operator(schema.BuiltinOperator.SOFTMAX, [e], [f], schema.SoftmaxOptionsT(beta=0.05))
    return builder.finish([x], [f])


def test_other_operators_run_in_the_interpreter():
    rng = np.random.default_rng(6)
    outputs = check(residual_model(rng), rng)
    assert len(np.unique(outputs[0])) > 3


def test_scores_are_observed_before_softmax():
    rng = np.random.default_rng(7)
    model = residual_model(rng)
    network = forward.Network(model, "model").observing_scores()
    names = [tflite.text(model.subgraphs[0].tensors[index].name) for index in network.outputs]
    assert names == ["dense/out"]
    assert network.run(samples_for(model, rng, 3))[0].shape == (3, 1, 6)


def test_replaced_weights_are_those_of_a_patched_model():
    from dcsr.pruning import prune

    rng = np.random.default_rng(8)
    model = residual_model(rng)
    network = forward.Network(model, "model")
    old = network.weights(0)
    new = forward.Weights(
        models.sparse_matrix(rng, 16, 16, 0.7), rng.uniform(0.01, 0.02, 16).astype(np.float32), old.bias
    )
    patched = prune.written(model, network, {0: new})
    samples = samples_for(model, rng)
    wanted = forward.interpreted_outputs(patched, tflite.serialize(patched), "model", samples)
    for in_numpy in (True, False):
        changed = forward.Network(model, "model", in_numpy=in_numpy).with_weights({0: new})
        np.testing.assert_array_equal(changed.run(samples)[0], wanted[0])


def test_a_model_with_variables_is_refused():
    builder = Builder()
    x = builder.tensor("x", (1, 4), scale=0.1)
    handle = builder.tensor("handle", (), np.int32)
    builder.operator(schema.BuiltinOperator.VAR_HANDLE, [], [handle], schema.VarHandleOptionsT())
    with pytest.raises(ModelError, match="VAR_HANDLE: the model keeps variables"):
        forward.Network(builder.finish([x], [x]), "model")


def test_a_trained_model():
    content = Path("models/fashion_dscnn_90.tflite").read_bytes()
    model = tflite.parse(content, "model")
    check(model, np.random.default_rng(9), in_numpy=True)


def test_the_values_of_a_sample_are_counted():
    rng = np.random.default_rng(10)
    assert forward.Network(residual_model(rng), "model").sample_bytes() == 3 * 256


def test_activations_may_be_constant():
    """The first hidden state of an unrolled LSTM is a constant."""
    rng = np.random.default_rng(3)
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    h = builder.tensor("h", (1, 64), data=rng.integers(-9, 9, (1, 64)).astype(np.int8), scale=0.01)
    first = builder.fully_connected(x, sparse_matrix(rng, 64, 64, 0.0), (1, 64), output_scale=4.0, name="first")
    second = builder.fully_connected(h, sparse_matrix(rng, 64, 64, 0.0), (1, 64), output_scale=4.0, name="second")
    both = builder.tensor("both", (1, 64), scale=6.0)
    builder.operator(schema.BuiltinOperator.ADD, [first, second], [both], schema.AddOptionsT())
    model = builder.finish([x], [both])
    found = dcsr.prune(tflite.serialize(model), {"x": rng.integers(-99, 99, (60, 1, 64)).astype(np.int8)}, sparsity=0.5)
    notes = {layer.name: layer.note for layer in found.layers}
    assert notes == {"first/weights": "", "second/weights": "its input is constant"}

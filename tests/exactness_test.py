"""Compares compressed models with their dense originals in the stock TFLM interpreter, bit for bit, on small models."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dcsr
from dcsr import compressing, encodings, runtime
from dcsr import model as tflite
from dcsr.schema import schema
from dcsr.testing.models import (
    Builder,
    SparseLayout,
    conv_model,
    depthwise_model,
    fully_connected_model,
    separable,
    siamese,
    sparse_matrix,
    unrolled_lstm,
    with_sparse_weights,
)

ENCODINGS = [scheme for scheme in encodings.SCHEMES if scheme != "dcsr"]
ACTIVATIONS = {name: getattr(schema.ActivationFunctionType, name) for name in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")}


def run(data: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Runs the model in the stock interpreter. Returns the first output for each of the inputs."""
    interpreter = runtime.Interpreter.from_bytes(data)
    outputs = []
    for value in inputs:
        interpreter.set_input(value, 0)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(0)))
    return outputs


def random_inputs(model: schema.ModelT, seed: int) -> list[np.ndarray]:
    """Returns extreme and random values of the model's first input."""
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    shape = tuple(int(d) for d in tensor.shape)
    dtype = np.int16 if tensor.type == schema.TensorType.INT16 else np.int8
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    inputs = [np.full(shape, value, dtype) for value in (limits.min, limits.max, 0)]
    return inputs + [rng.integers(limits.min, limits.max, shape, dtype, endpoint=True) for _ in range(3)]


def assert_exact(
    model: schema.ModelT, seed: int, packed_layers: int = 1, sparse_form: schema.ModelT | None = None
) -> None:
    """Asserts that the model has the same outputs in every encoding as dense, on extreme and random inputs.

    Args:
      model: the dense model.
      seed: seed of the random inputs.
      packed_layers: expected number of packed layers.
      sparse_form: the same model with TFLite's own sparse tensors; if given, it is compressed instead of `model`.
    """
    inputs = random_inputs(model, seed)
    dense = tflite.serialize(model)
    want = run(dense, inputs)
    source = dense if sparse_form is None else tflite.serialize(sparse_form)
    for encoding in ENCODINGS:
        compressed, decisions, *_ = compressing.compress(
            tflite.parse(source, "m"), "m", method=encoding, min_sparsity=0, smaller_only=False, max_arena=1 << 30
        )
        assert sum(decision.packed is not None for decision in decisions) == packed_layers
        for number, (a, b) in enumerate(zip(want, run(tflite.serialize(compressed), inputs), strict=True)):
            assert a.shape == b.shape
            assert np.array_equal(a, b), (
                f"{encoding}, seed {seed}, input {number}: first difference at {np.argwhere(a != b)[0]}"
            )


# rows, cols, sparsity, batches
FC_SHAPES = [
    (1, 1, 0.0, 1),
    (1, 300, 0.9, 1),
    (10, 33, 0.5, 1),
    (12, 1536, 0.9, 1),
    (17, 31, 0.9, 5),
    (64, 64, 1.0, 2),
    (5, 70000, 0.97, 1),
    (3, 17, 0.0, 33),
]


@pytest.mark.parametrize("rows,cols,sparsity,batches", FC_SHAPES)
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("int16", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fully_connected(rows, cols, sparsity, batches, per_channel, activation, int16):
    seed = rows * cols + batches
    rng = np.random.default_rng(seed)
    model = fully_connected_model(
        rng,
        sparse_matrix(rng, rows, cols, sparsity),
        batches=batches,
        per_channel=per_channel,
        with_bias=bool(seed % 2),
        activation=ACTIVATIONS[activation],
        int16=int16,
    )
    assert_exact(model, seed)


# rows, cols, sparsity, pixels, batches, stride
CONV_SHAPES = [
    (1, 1, 0.0, (1, 1), 1, (1, 1)),
    (7, 3, 0.5, (1, 1), 1, (1, 1)),
    (64, 64, 0.9, (25, 5), 1, (1, 1)),
    (33, 17, 0.9, (7, 3), 2, (1, 1)),
    (16, 40, 0.8, (9, 7), 1, (2, 2)),
    (16, 40, 0.8, (9, 7), 3, (3, 2)),
    (20, 96, 1.0, (6, 6), 1, (1, 1)),
    (96, 20, 0.0, (3, 3), 1, (1, 4)),
]


@pytest.mark.parametrize("rows,cols,sparsity,pixels,batches,stride", CONV_SHAPES)
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("int16", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("padding", [schema.Padding.SAME, schema.Padding.VALID])
def test_conv_2d(rows, cols, sparsity, pixels, batches, stride, per_channel, activation, padding, int16):
    seed = rows * cols + batches + pixels[1]
    rng = np.random.default_rng(seed)
    model = conv_model(
        rng,
        sparse_matrix(rng, rows, cols, sparsity),
        pixels=pixels,
        batches=batches,
        stride=stride,
        per_channel=per_channel,
        with_bias=bool(seed % 2),
        activation=ACTIVATIONS[activation],
        padding=padding,
        int16=int16,
    )
    assert_exact(model, seed)


@pytest.mark.parametrize("output_scale", [2.0**-31, 1e-6, 1e-3, 1.0, 1e3, 1e7])
@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
def test_int16_requantisation_from_saturating_to_vanishing(output_scale, make):
    rng = np.random.default_rng(12)
    model = make(rng, sparse_matrix(rng, 20, 100, 0.8), per_channel=True, int16=True)
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[0]].quantization.scale[0] = output_scale
    # TFLM does not support shifts above 7.
    assert_exact(model, 12, packed_layers=0 if output_scale < 1e-6 else 1)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("output_scale", [2.0**-31, 1e-6, 1e-3, 0.1, 1.0, 1e3, 1e7])
@pytest.mark.parametrize("filter_size", [(1, 1), (3, 2)])
def test_int16_convolution_with_int32_bias(filter_size, output_scale, per_channel):
    rng = np.random.default_rng(14)
    taps = filter_size[0] * filter_size[1]
    model = conv_model(
        rng, sparse_matrix(rng, 20, 40 * taps, 0.8), filter_size=filter_size, per_channel=per_channel, int16=True
    )
    graph = model.subgraphs[0]
    bias = graph.tensors[graph.operators[0].inputs[2]]
    bias.type = schema.TensorType.INT32
    # The largest sums wrap.
    values = rng.integers(-(2**31), 2**31, 20).astype("<i4") >> rng.integers(0, 20, 20).astype(np.int32)
    model.buffers[bias.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    graph.tensors[graph.outputs[0]].quantization.scale[0] = output_scale
    assert_exact(model, 14)


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
def test_int16_bias_of_more_than_32_bits(make):
    rng = np.random.default_rng(13)
    model = make(rng, sparse_matrix(rng, 12, 50, 0.5), int16=True)
    graph = model.subgraphs[0]
    bias = graph.tensors[graph.operators[0].inputs[2]]
    values = rng.integers(-(2**45), 2**45, 12)
    model.buffers[bias.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    graph.tensors[graph.outputs[0]].quantization.scale[0] = 2e5
    assert_exact(model, 13)


# rows, channels, filter, pixels, batches, stride, dilation
FILTER_SHAPES = [
    (5, 3, (3, 3), (7, 6), 1, (1, 1), (1, 1)),
    (8, 16, (3, 3), (9, 8), 2, (2, 2), (1, 1)),
    (8, 4, (5, 3), (8, 9), 1, (2, 1), (1, 1)),
    (6, 1, (10, 4), (49, 10), 1, (2, 2), (1, 1)),
    (4, 7, (2, 2), (6, 5), 1, (1, 3), (1, 1)),
    (7, 5, (3, 3), (9, 10), 1, (1, 1), (2, 3)),
    (7, 5, (1, 4), (3, 12), 2, (2, 1), (5, 2)),
    (3, 9, (3, 1), (4, 4), 1, (3, 4), (1, 1)),
]


@pytest.mark.parametrize("rows,channels,filter_size,pixels,batches,stride,dilation", FILTER_SHAPES)
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("int16", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("padding", [schema.Padding.SAME, schema.Padding.VALID])
def test_conv_2d_with_larger_filters(
    rows, channels, filter_size, pixels, batches, stride, dilation, per_channel, activation, padding, int16
):
    seed = rows * channels + pixels[1]
    rng = np.random.default_rng(seed)
    model = conv_model(
        rng,
        sparse_matrix(rng, rows, filter_size[0] * filter_size[1] * channels, 0.8),
        filter_size=filter_size,
        pixels=pixels,
        batches=batches,
        stride=stride,
        dilation=dilation,
        per_channel=per_channel,
        with_bias=bool(seed % 2),
        activation=ACTIVATIONS[activation],
        padding=padding,
        int16=int16,
    )
    assert_exact(model, seed)


def assert_planned_exact(model: schema.ModelT, seed: int, plans: list[str], folder: Path) -> None:
    """Asserts that the model has the same outputs with every plan as dense, and that decompressing restores it.

    Args:
      model: the dense model.
      seed: seed of the random inputs.
      plans: for each plan, its list `tensors` in YAML.
      folder: for the plan files.
    """
    inputs = random_inputs(model, seed)
    dense = tflite.serialize(model)
    want = run(dense, inputs)
    for number, plan in enumerate(plans):
        path = folder / f"{number}.yaml"
        path.write_text(f"version: 1\ntensors: {plan}\n")
        compressed, _, *_ = compressing.compress(
            tflite.parse(dense, "m"), "m", plan=path, smaller_only=False, max_arena=1 << 30
        )
        for a, b in zip(want, run(tflite.serialize(compressed), inputs), strict=True):
            assert np.array_equal(a, b), f"{plan}, seed {seed}: first difference at {np.argwhere(a != b)[0]}"
        restored = compressing.decompress(tflite.parse(tflite.serialize(compressed), "m"), "m")
        assert tflite.serialize(restored) == tflite.serialize(tflite.parse(dense, "m"))


# channels, multiplier, filter, pixels, batches, stride, dilation
DEPTHWISE_SHAPES = [
    (1, 1, (3, 3), (1, 1), 1, (1, 1), (1, 1)),
    (20, 1, (3, 3), (25, 10), 1, (1, 1), (1, 1)),
    (17, 1, (3, 3), (9, 8), 2, (2, 2), (1, 1)),
    (5, 3, (3, 3), (10, 7), 1, (3, 3), (1, 1)),
    (6, 1, (5, 5), (11, 12), 1, (1, 1), (1, 1)),
    (6, 4, (5, 5), (11, 12), 1, (2, 2), (1, 1)),
    (33, 1, (1, 1), (5, 4), 1, (1, 1), (1, 1)),
    (7, 2, (1, 1), (5, 4), 1, (2, 1), (1, 1)),
    (8, 1, (1, 5), (4, 20), 1, (1, 1), (1, 1)),
    (8, 1, (3, 1), (9, 5), 1, (2, 3), (1, 1)),
    (9, 1, (3, 3), (9, 10), 1, (1, 1), (2, 3)),
    (1, 8, (10, 4), (49, 10), 1, (2, 2), (1, 1)),
    (24, 1, (7, 7), (7, 7), 1, (1, 1), (1, 1)),
]


@pytest.mark.parametrize("channels,multiplier,filter_size,pixels,batches,stride,dilation", DEPTHWISE_SHAPES)
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("padding", [schema.Padding.SAME, schema.Padding.VALID])
def test_depthwise_conv_2d(
    tmp_path, channels, multiplier, filter_size, pixels, batches, stride, dilation, per_channel, activation, padding
):
    extent = [(taps - 1) * gap + 1 for taps, gap in zip(filter_size, dilation, strict=True)]
    if padding == schema.Padding.VALID and any(size < span for size, span in zip(pixels, extent, strict=True)):
        padding = schema.Padding.SAME
    seed = channels * multiplier + pixels[1]
    rng = np.random.default_rng(seed)
    model = depthwise_model(
        rng,
        sparse_matrix(rng, channels * multiplier, filter_size[0] * filter_size[1], 0.1),
        filter_size=filter_size,
        pixels=pixels,
        batches=batches,
        depth_multiplier=multiplier,
        stride=stride,
        dilation=dilation,
        per_channel=per_channel,
        with_bias=bool(seed % 2),
        activation=ACTIVATIONS[activation],
        padding=padding,
    )
    methods = encodings.SCHEMES if activation == "NONE" and per_channel else encodings.DENSE_METHODS
    assert_planned_exact(model, seed, [f"[{{tensor: 1, method: {method}}}]" for method in methods], tmp_path)


@pytest.mark.parametrize("output_scale", [2.0**-31, 1e-6, 1e-3, 1.0, 1e3, 1e7])
def test_depthwise_requantisation_from_saturating_to_vanishing(tmp_path, output_scale):
    rng = np.random.default_rng(14)
    model = depthwise_model(rng, sparse_matrix(rng, 20, 9, 0))
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[0]].quantization.scale[0] = output_scale
    assert_planned_exact(model, 14, ["[{tensor: 1, method: dense}]"], tmp_path)


def test_dense_weights_of_a_whole_model(tmp_path):
    named = ("stem/weights", "depthwise/weights", "pointwise/weights")
    plans = [[f"{{tensor: {name}, method: dense}}" for name in named[first:]] for first in range(3)]
    assert_planned_exact(separable(), 15, [f"[{', '.join(plan)}]" for plan in plans], tmp_path)
    dense = tflite.serialize(separable())
    stripped = dcsr.compress(dense, plan=tmp_path / "0.yaml", strip=True)
    assert [row.coding for row in stripped.layers] == ["dense"] * 3
    assert dcsr.verify(dense, stripped.model).identical


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize("value", [-128, 127])
def test_padding_counts_as_zero_whatever_the_zero_point(value, zero_point):
    rng = np.random.default_rng(11)
    matrix = np.where(rng.random((9, 45)) < 0.5, value, 0).astype(np.int8)
    matrix[0] = value
    # The images are smaller than the filter, so most taps read padding.
    for pixels in ((1, 1), (2, 1), (3, 5)):
        model = conv_model(rng, matrix, filter_size=(3, 5), pixels=pixels)
        for tensor in (model.subgraphs[0].inputs[0], model.subgraphs[0].outputs[0]):
            model.subgraphs[0].tensors[tensor].quantization.zeroPoint[0] = zero_point
        assert_exact(model, 11)


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1),
    filter_size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    channels=st.integers(1, 20),
    extra=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from([schema.Padding.SAME, schema.Padding.VALID]),
)
def test_random_filters(seed, filter_size, channels, extra, stride, dilation, padding):
    rng = np.random.default_rng(seed)
    valid = padding == schema.Padding.VALID
    span = [(taps - 1) * gap + 1 if valid else 1 for taps, gap in zip(filter_size, dilation, strict=True)]
    model = conv_model(
        rng,
        sparse_matrix(rng, 5, filter_size[0] * filter_size[1] * channels, 0.8),
        filter_size=filter_size,
        pixels=(span[0] + extra[0], span[1] + extra[1]),
        stride=stride,
        dilation=dilation,
        padding=padding,
    )
    assert_exact(model, seed)


@pytest.mark.parametrize("value", [-128, -127, 127])
@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
def test_extreme_weights_and_zero_points(value, zero_point, make):
    rng = np.random.default_rng(zero_point + 128)
    matrix = np.where(rng.random((9, 515)) < 0.5, value, 0).astype(np.int8)
    matrix[0] = value
    model = make(rng, matrix)
    for tensor in (model.subgraphs[0].inputs[0], model.subgraphs[0].outputs[0]):
        model.subgraphs[0].tensors[tensor].quantization.zeroPoint[0] = zero_point
    assert_exact(model, 1)


@pytest.mark.parametrize("output_scale", [2.0**-31, 1e-6, 1e-3, 1.0, 1e3, 1e7])
@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
def test_requantisation_from_saturating_to_vanishing(output_scale, make):
    rng = np.random.default_rng(3)
    matrix = sparse_matrix(rng, 20, 100, 0.8)
    model = make(rng, matrix, per_channel=True)
    graph = model.subgraphs[0]
    # Input scale 0.1, weight scales about 0.03: real multipliers from 2^22 down to 2^-31.
    graph.tensors[graph.outputs[0]].quantization.scale[0] = output_scale
    assert_exact(model, 3)


@pytest.mark.parametrize("zero_point", [-128, 0, 1, 127])
def test_zero_point_on_saturated_sums_wraps_like_the_dense_kernel_s(zero_point):
    """With a multiplier of 2^31 - 1 and sums at the limit of int32, adding the zero point overflows."""
    limits = np.array([2**31 - 1, -(2**31), 2**31 - 50, -(2**31) + 50, 2**30, -(2**30)], np.int32)
    builder = Builder()
    x = builder.tensor("x", (1, 1, 1, 8), scale=1 + 181 * 2.0**-23)
    y = builder.conv_2d(
        x,
        np.zeros((6, 8), np.int8),
        bias=limits,
        weight_scale=1 - 362 * 2.0**-24,
        output_scale=1.0,
        output_zero_point=zero_point,
    )
    assert_exact(builder.finish([x], [y]), 8)


def test_sums_that_wrap_like_the_dense_kernel_s():
    rng = np.random.default_rng(4)
    bias = np.array([2**31 - 1, -(2**31), 2**31 - 1000, 0], np.int32)
    builder = Builder()
    x = builder.tensor("x", (1, 90), scale=0.1, zero_point=-128)
    y = builder.fully_connected(x, sparse_matrix(rng, 4, 90, 0.3), (1, 4), bias=bias, output_scale=1e6)
    assert_exact(builder.finish([x], [y]), 4)


@pytest.mark.parametrize("keep_num_dims", [True, False])
def test_fully_connected_of_higher_rank(keep_num_dims):
    rng = np.random.default_rng(5)
    builder = Builder()
    x = builder.tensor("x", (2, 3, 4, 40), scale=0.1, zero_point=9)
    shape = (2, 3, 4, 12) if keep_num_dims else (24, 12)
    y = builder.fully_connected(x, sparse_matrix(rng, 12, 40, 0.8), shape, keep_num_dims=keep_num_dims)
    assert_exact(builder.finish([x], [y]), 5)


def test_layers_that_share_weights():
    rng = np.random.default_rng(6)
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1, zero_point=3)
    weights = builder.tensor("w", (64, 64), data=sparse_matrix(rng, 64, 64, 0.9), scale=0.02)
    y = builder.fully_connected(x, weights, (1, 64), name="a")
    z = builder.fully_connected(y, weights, (1, 64), name="b")
    w = builder.conv_2d(_reshaped(builder, z, (1, 1, 1, 64)), sparse_matrix(rng, 8, 64, 0.7), name="c")
    assert_exact(builder.finish([x], [w]), 6, packed_layers=3)


def assert_rows_are_shared(model: schema.ModelT, layers: int, tensors: int) -> None:
    """Asserts that the smallest form of the model has all its layers packed, with shared rows, and is smaller.

    Args:
      model: the dense model.
      layers: number of layers.
      tensors: number of weight tensors, which is that of the shared rows.
    """
    dense = tflite.serialize(model)
    # The derived rows take more arena than dense layers, the encodings more time, and the ops more code.
    options = {"objective": "size", "slowest": 1000, "max_arena": 1 << 30, "code": "all"}
    result = dcsr.compress(dense, **options)
    found = [decision.candidate for decision in result.decisions]
    assert len(found) == layers and all(candidate and candidate.shared_blob for candidate in found)
    shared = {candidate.shared_blob for candidate in found}
    assert len(shared) == tensors
    assert all(result.model.count(blob) == 1 for blob in shared)
    of_layers = {candidate.blob for candidate in found}
    assert result.totals.layer_bytes == sum(map(len, shared)) + sum(map(len, of_layers))
    # The streams, and no copy of them for each layer.
    streams = {candidate.shared_blob: candidate.packed.streams.nbytes for candidate in found}
    assert result.totals.packed_bytes == sum(streams.values())
    assert len(result.model) < len(dense) and result.totals.layer_bytes < result.totals.dense_bytes
    assert dcsr.inspect(result.model).totals == result.totals
    assert dcsr.verify(dense, result.model)
    restored = dcsr.decompress(result.model)
    assert dcsr.compress(restored, **options).model == result.model
    stripped = dcsr.compress(dense, **options, strip=True).model
    assert len(stripped) < len(result.model)
    assert all(stripped.count(blob) == 1 for blob in shared)
    assert dcsr.verify(dense, stripped).identical


@pytest.mark.parametrize("per_channel", [True, False])
def test_unrolled_lstm(per_channel):
    """12 layers of 128 rows share two weight tensors, but no two of them have the same scales."""
    model = unrolled_lstm(per_channel=per_channel)
    assert_exact(model, 12, packed_layers=12)
    assert_rows_are_shared(model, layers=12, tensors=2)


@pytest.mark.parametrize("convolution", [True, False])
@pytest.mark.parametrize("int16", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_branches_that_share_weights(convolution, int16, per_channel):
    model = siamese(convolution=convolution, int16=int16, per_channel=per_channel)
    assert_exact(model, 21, packed_layers=2)
    assert_rows_are_shared(model, layers=2, tensors=1)


@pytest.mark.parametrize(
    "layout", [SparseLayout(), SparseLayout(csr=(0, 1), order=(1, 0)), SparseLayout(blocks={0: 4, 1: 8})]
)
@pytest.mark.parametrize("per_channel", [True, False])
def test_tflite_s_own_sparse_form_of_fully_connected(layout, per_channel):
    rng = np.random.default_rng(9)
    model = fully_connected_model(rng, sparse_matrix(rng, 24, 160, 0.9), per_channel=per_channel)
    assert_exact(model, 9, sparse_form=with_sparse_weights(model, layout))


@pytest.mark.parametrize("layout", [SparseLayout(csr=(3,)), SparseLayout(csr=(0, 3), blocks={0: 4, 3: 8})])
def test_tflite_s_own_sparse_form_of_conv_2d(layout):
    rng = np.random.default_rng(10)
    model = conv_model(rng, sparse_matrix(rng, 24, 40, 0.9))
    assert_exact(model, 10, sparse_form=with_sparse_weights(model, layout))


def _reshaped(builder: Builder, x: int, shape: tuple[int, ...]) -> int:
    out = builder.tensor("reshaped", shape, scale=0.5, zero_point=3)
    options = schema.ReshapeOptionsT(newShape=np.array(shape, np.int32))
    builder.operator(schema.BuiltinOperator.RESHAPE, [x], [out], options)
    return out


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 70),
    cols=st.integers(1, 300),
    sparsity=st.sampled_from([0.0, 0.5, 0.8, 0.9, 0.95, 1.0]),
    make=st.sampled_from([fully_connected_model, conv_model]),
    per_channel=st.booleans(),
)
def test_random_layers(seed, rows, cols, sparsity, make, per_channel):
    rng = np.random.default_rng(seed)
    assert_exact(make(rng, sparse_matrix(rng, rows, cols, sparsity), per_channel=per_channel), seed)


@pytest.mark.parametrize("int16", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("make", [conv_model, fully_connected_model])
def test_a_dense_layer_needs_nothing_that_strip_removes(make, per_channel, int16):
    rng = np.random.default_rng(15)
    model = make(rng, sparse_matrix(rng, 24, 40, 0.2), per_channel=per_channel, int16=int16)
    data = tflite.serialize(model)
    assert dcsr.verify(data, dcsr.strip(data)).identical

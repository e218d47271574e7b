"""Random layers with random options of the TFLite schema: compressed equals dense in the stock interpreter.

A layer that packing refuses stays dense and so is equal as well; a layer that TFLM refuses proves nothing. The test
counts both, so that it cannot pass without packed layers.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcsr import attributes, compressing, encodings, runtime
from dcsr import model as tflite
from dcsr.schema import schema
from dcsr.testing.models import Builder, sparse_matrix

ENCODINGS = [scheme for scheme in encodings.SCHEMES if scheme != "dcsr"]
ZERO_POINTS = st.one_of(st.sampled_from([-128, -1, 0, 127]), st.integers(-128, 127))
TYPES = schema.TensorType
# Mostly values that are packed; the others stay dense.
ACTIVATIONS = st.sampled_from([0, 0, 1, 1, 2, 2, 3, 3, 4, 5])
BIAS_TYPES = st.sampled_from([TYPES.FLOAT32, TYPES.FLOAT32, TYPES.INT64, TYPES.INT64, TYPES.INT32, TYPES.INT16])


@st.composite
def models(draw) -> schema.ModelT:
    """Draws a model of one CONV_2D or FULLY_CONNECTED."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    int16 = draw(st.booleans())
    is_conv = draw(st.booleans())
    rows = draw(st.sampled_from([1, 2, 3, 7, 16, 17, 33]))
    channels = draw(st.sampled_from([1, 2, 5, 16, 31, 64, 300]))
    batches = draw(st.integers(1, 3))
    builder = Builder()
    scale = draw(st.sampled_from([1e-6, 0.003, 0.1, 7.5]))
    zero_points = [0 if int16 and draw(st.integers(0, 9)) else draw(ZERO_POINTS) for _ in range(2)]
    if is_conv:
        filter_size = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
        stride, dilation = ((draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(2))
        padding = draw(st.sampled_from([schema.Padding.SAME, schema.Padding.VALID]))
        same = padding == schema.Padding.SAME
        least = [1 if same else (taps - 1) * gap + 1 for taps, gap in zip(filter_size, dilation, strict=True)]
        pixels = [size + draw(st.integers(0, 6)) for size in least]
        shape = (batches, *pixels, channels)
        cols = channels * filter_size[0] * filter_size[1]
    else:
        shape = draw(st.sampled_from([(batches, channels), (batches, 1, channels), (1, batches, 1, channels)]))
        cols = channels
    x = builder.tensor("x", shape, np.int16 if int16 else np.int8, scale=scale, zero_point=zero_points[0])

    if draw(st.booleans()):
        matrix = sparse_matrix(rng, rows, cols, draw(st.sampled_from([0.0, 0.6, 0.9, 1.0])))
    else:
        matrix = np.full((rows, cols), draw(st.sampled_from([-128, -127, 127])), np.int8)
    scales = rng.uniform(0.001, 0.1, rows if draw(st.booleans()) else 1).astype(np.float32)
    # From saturating to vanishing outputs, most of them in between.
    wanted = scale * 0.05 * np.sqrt(cols) * 2.0 ** draw(st.sampled_from([-12, -6, -2, 0, 0, 0, 2, 6, 12]))
    kinds = [np.int64, np.int64, np.int32] if int16 else [np.int32]
    limit = draw(st.sampled_from([1000, 2**20, 2**31 - 1]))
    bias = rng.integers(-limit, limit, rows).astype(draw(st.sampled_from(kinds))) if draw(st.booleans()) else None
    common = {
        "bias": bias,
        "weight_scale": scales,
        "output_scale": float(np.float32(wanted)),
        "output_zero_point": zero_points[1],
        "activation": draw(ACTIVATIONS),
    }
    if is_conv:
        y = builder.conv_2d(
            x, matrix, filter_size=filter_size, stride=stride, dilation=dilation, padding=padding, **common
        )
    else:
        keep = draw(st.booleans())
        out = (*shape[:-1], rows) if keep else (batches, rows)
        y = builder.fully_connected(x, matrix, out, keep_num_dims=keep, **common)
    model = builder.finish([x], [y])
    operator = model.subgraphs[0].operators[0]
    operator.builtinOptions.quantizedBiasType = draw(BIAS_TYPES)
    if not is_conv:
        operator.builtinOptions.asymmetricQuantizeInputs = draw(st.booleans())
        operator.builtinOptions.weightsFormat = draw(st.sampled_from([0] * 9 + [1]))
    if bias is None and draw(st.booleans()):
        operator.inputs = operator.inputs[:2]  # no bias, instead of index -1
    return model


def outputs(data: bytes, inputs: list[np.ndarray]) -> list[np.ndarray] | None:
    """Runs a model in the stock interpreter. Returns the output for each input; None if TFLM refuses the model."""
    try:
        interpreter = runtime.Interpreter.from_bytes(data)
    except (RuntimeError, tflite.ModelError):
        return None
    found = []
    for value in inputs:
        interpreter.set_input(value, 0)
        interpreter.invoke()
        found.append(np.array(interpreter.get_output(0)))
    return found


def check(model: schema.ModelT, seed: int, encoding: str) -> str:
    """Compares the model with its compressed form. Returns "packed", "refused by TFLM", or why it stays dense."""
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    dtype = np.int16 if tensor.type == TYPES.INT16 else np.int8
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    inputs = [np.full(tensor.shape, value, dtype) for value in (limits.min, limits.max, 0)]
    inputs += [rng.integers(limits.min, limits.max, tensor.shape, dtype, endpoint=True) for _ in range(2)]
    want = outputs(tflite.serialize(model), inputs)
    if want is None:
        return "refused by TFLM"
    compressed, (decision,), *_ = compressing.compress(
        tflite.parse(tflite.serialize(model), "m"),
        "m",
        method=encoding,
        min_sparsity=0,
        smaller_only=False,
        max_arena=1 << 30,
    )
    got = outputs(tflite.serialize(compressed), inputs)
    assert got is not None
    for number, (a, b) in enumerate(zip(want, got, strict=True)):
        assert a.shape == b.shape
        assert np.array_equal(a, b), f"{encoding}, input {number}: first difference at {np.argwhere(a != b)[0]}"
    return "packed" if decision.packed else decision.note


def test_random_options():
    outcomes: Counter[str] = Counter()

    @settings(max_examples=600, suppress_health_check=list(HealthCheck))
    @given(model=models(), seed=st.integers(0, 99), encoding=st.sampled_from(ENCODINGS))
    def compare(model: schema.ModelT, seed: int, encoding: str) -> None:
        outcomes[check(model, seed, encoding)] += 1

    compare()
    print(outcomes)
    assert outcomes["packed"] > 0.4 * outcomes.total()
    assert outcomes["refused by TFLM"] < 0.2 * outcomes.total()
    for note in (
        "activation TANH",
        "int32 bias with int16 activations",
        "no bias and quantized_bias_type int32: sums of 32 bits",
        "shuffled weights",
    ):
        assert outcomes[note] > 0, note


def layer_without_bias(kind: int, is_conv: bool) -> schema.ModelT:
    """Returns a sparse 16x8 layer without bias whose outputs depend on the type of its sums."""
    rng = np.random.default_rng(1)
    builder = Builder()
    x = builder.tensor("x", (1, 1, 1, 200) if is_conv else (1, 200), np.int16, scale=1e-4)
    matrix = sparse_matrix(rng, 64, 200, 0.8)
    options = {"weight_scale": 0.0123, "output_scale": 0.00321, "output_zero_point": 0}
    y = builder.conv_2d(x, matrix, **options) if is_conv else builder.fully_connected(x, matrix, (1, 64), **options)
    model = builder.finish([x], [y])
    model.subgraphs[0].operators[0].builtinOptions.quantizedBiasType = kind
    return model


@pytest.mark.parametrize("is_conv", [False, True])
def test_sums_of_16x8_layers_without_bias(is_conv):
    """TFLM's sums of 32 and 64 bits differ. Layers with 64-bit sums are packed, others stay dense."""
    inputs = [
        np.random.default_rng(2).integers(-32768, 32768, (1, 1, 1, 200) if is_conv else (1, 200)).astype(np.int16)
    ]
    of_type = {
        kind: outputs(tflite.serialize(layer_without_bias(kind, is_conv)), inputs)
        for kind in (TYPES.FLOAT32, TYPES.INT32, TYPES.INT64)
    }
    assert np.array_equal(of_type[TYPES.FLOAT32], of_type[TYPES.INT64])
    assert not np.array_equal(of_type[TYPES.INT32], of_type[TYPES.INT64])
    for kind in of_type:
        model = layer_without_bias(kind, is_conv)
        compressed, (decision,), *_ = compressing.compress(
            model, "m", objective="size", slowest=1000, max_arena=1 << 30
        )
        assert np.array_equal(outputs(tflite.serialize(compressed), inputs), of_type[kind])
        assert (decision.packed is None) == (kind == TYPES.INT32)
        assert decision.layer.caveat == (None if kind == TYPES.INT32 else attributes.SUMS_WITHOUT_BIAS)

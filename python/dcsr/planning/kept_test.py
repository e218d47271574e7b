"""Tests the estimates of operators that stay in TFLM against counts of CMSIS-NN's kernels."""

import numpy as np
import pytest

from dcsr import layers
from dcsr import model as tflite
from dcsr.planning import cost, kept, workload
from dcsr.planning.kept import DenseWork
from dcsr.schema import schema
from dcsr.testing.models import Builder

_OP = schema.BuiltinOperator


def pointwise(rows: int, cols: int, pixels: int) -> DenseWork:
    return DenseWork(rows * pixels, cols, rows)


def connected(rows: int, cols: int) -> DenseWork:
    return DenseWork(rows, cols, rows, is_fully_connected=True)


def filter_of(rows: int, pixels: int, channels: int, height: int, width: int) -> DenseWork:
    return DenseWork(rows * pixels, channels * height * width, rows, (height, width))


def depthwise_of(
    rows: int, pixels: int, height: int, width: int, *, is_plain: bool = True, inside: int | None = None
) -> DenseWork:
    size = (height, width)
    return DenseWork(rows * pixels, height * width, rows, size, is_depthwise=True, is_plain=is_plain, inside=inside)


# Counted with CMSIS-NN (//benchmarks:model): instructions on M55 and M4, cycles on M55. The taps of a 3x3 filter that
# lie inside of a map of 25x5 and 25x10 pixels: (3 * 25 - 2) * (3 * 5 - 2), (3 * 25 - 2) * (3 * 10 - 2).
@pytest.mark.parametrize(
    "work,m55,m4,cycles",
    [
        (pointwise(64, 64, 125), 202_994, 1_069_090, 224_985),
        (pointwise(276, 276, 250), 4_413_942, 30_357_503, None),
        (filter_of(64, 125, 1, 10, 4), 306_293, 1_118_235, 349_361),
        (filter_of(276, 250, 1, 10, 4), 1_799_051, 8_110_000, None),
        (depthwise_of(64, 125, 3, 3, inside=73 * 13), 168_773, 561_043, 205_779),
        (depthwise_of(276, 250, 3, 3, inside=73 * 28), 1_378_813, 4_886_488, None),
        (connected(12, 64), 799, 2_348, 901),
        (connected(12, 1536), 9_037, 35_371, None),
    ],
)
def test_layers_are_near_what_was_counted(work, m55, m4, cycles):
    found = kept.kept("cortex-m55", work)
    assert found.instructions == pytest.approx(m55, rel=0.1)
    assert found.time == found.cycles
    if cycles is not None:
        assert found.cycles == pytest.approx(cycles, rel=0.1)
    found = kept.kept("cortex-m4", work)
    assert found.cycles is None and found.time == found.instructions == pytest.approx(m4, rel=0.1)


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_more_work_takes_more(cpu):
    def time(work: DenseWork) -> int:
        return kept.kept(cpu, work).time

    assert time(depthwise_of(64, 100, 3, 3)) < time(depthwise_of(64, 100, 5, 5)) < time(depthwise_of(64, 200, 5, 5))
    assert time(filter_of(64, 100, 3, 3, 3)) < time(filter_of(64, 100, 6, 3, 3)) < time(filter_of(65, 100, 6, 3, 3))
    assert time(pointwise(64, 64, 100)) < time(pointwise(64, 128, 100)) < time(pointwise(64, 128, 101))
    assert 0 < time(connected(10, 64)) < time(connected(11, 64)) < time(connected(11, 96))
    assert time(depthwise_of(64, 100, 3, 3, is_plain=False)) > 0


def with_all_operators() -> schema.ModelT:
    builder = Builder()
    shape = (1, 6, 5, 24)
    a, b = (builder.tensor(name, shape, scale=0.1) for name in "ab")
    outputs: list[int] = []

    def add(code: int, inputs: list[int], shape: tuple[int, ...], options: object = None, dtype: type = np.int8) -> int:
        outputs.append(builder.tensor(f"out{len(outputs)}", shape, dtype, scale=0.1))
        builder.operator(code, inputs, outputs[-1:], options)
        return outputs[-1]

    axes = builder.tensor("axes", (2,), np.int32, data=np.array([1, 2]))
    pads = builder.tensor("pads", (4, 2), np.int32, data=np.array([[0, 0], [1, 1], [1, 1], [0, 0]]))
    row = builder.tensor("row", (24,), data=np.ones(24), scale=0.1)
    pool = schema.Pool2DOptionsT(filterHeight=2, filterWidth=2, strideH=2, strideW=2)
    add(_OP.ADD, [a, b], shape)
    add(_OP.ADD, [a, row], shape)
    add(_OP.MUL, [a, b], shape)
    add(_OP.MUL, [a, row], shape)
    add(_OP.MEAN, [a, axes], (1, 24))
    add(_OP.REDUCE_MAX, [a, axes], (1, 24))
    add(_OP.PAD, [a, pads], (1, 8, 7, 24))
    add(_OP.RESHAPE, [a], (1, 720))
    real = add(_OP.DEQUANTIZE, [a], shape, dtype=np.float32)
    add(_OP.QUANTIZE, [real], shape)
    add(_OP.QUANTIZE, [a], shape)
    add(_OP.AVERAGE_POOL_2D, [a], (1, 3, 2, 24), pool)
    add(_OP.MAX_POOL_2D, [a], (1, 3, 2, 24), pool)
    add(_OP.SOFTMAX, [a], shape)
    add(_OP.CONCATENATION, [a, b], (1, 12, 5, 24))
    add(_OP.TANH, [a], shape)
    return builder.finish([a, b], outputs)


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_operators_without_weights(cpu):
    model = with_all_operators()
    *known, unknown = (kept.other(model, 0, operator, cpu) for operator in model.subgraphs[0].operators)
    assert unknown is None
    assert all(one.instructions > 0 and (one.cycles is None) == (cpu not in cost.CYCLE_CPUS) for one in known)
    rest = workload.rest(model, [], cpu)
    assert rest.instructions == sum(one.instructions for one in known)
    assert rest.unknown == ("TANH",) and rest.time > 0


def test_taps_outside_of_the_image_are_not_counted():
    rng = np.random.default_rng(0)
    builder = Builder()
    x = builder.tensor("x", (1, 5, 4, 8), scale=0.1)
    y = builder.depthwise_conv_2d(x, rng.integers(-99, 99, (8, 9)).astype(np.int8))
    z = builder.conv_2d(y, rng.integers(-99, 99, (6, 8)).astype(np.int8), stride=(2, 2))
    model = tflite.parse(tflite.serialize(builder.finish([x], [z])), "m")
    depthwise, strided = (workload.dense_work(model, layer) for layer in layers.find(model))
    assert depthwise.inside == (3 * 5 - 2) * (3 * 4 - 2)
    assert depthwise.run_pixels == 0 and strided.run_pixels == 2
    # A stride makes runs of 2 pixels, fewer than a vector kernel takes at a time.
    assert "single output" in kept.layer_counts("cortex-m55", strided)["pointwise"]

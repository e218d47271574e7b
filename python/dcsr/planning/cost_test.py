"""The cost model: structure, scratch, and constants for all that the planner may ask about."""

import dataclasses

import numpy as np
import pytest

from dcsr import encodings, packing
from dcsr.planning import cost
from dcsr.testing.models import sparse_matrix

MATRIX = sparse_matrix(np.random.default_rng(0), 100, 200, 0.9)


def layer(encoding="rle", op=packing.OP_CONV_2D, scratch_budget=0, **changes) -> packing.PackedLayer:
    rows = len(MATRIX)
    packed = packing.PackedLayer(
        op=op,
        streams=encodings.encode(MATRIX, encoding),
        bias=np.zeros(rows, np.int32),
        multiplier=np.full(rows, 1 << 30, np.int32),
        shift=np.full(rows, -5, np.int8),
        input_zero_point=0,
        output_zero_point=3,
        activation_min=-128,
        activation_max=127,
        scratch_budget=scratch_budget,
    )
    return dataclasses.replace(packed, **changes)


def work(encoding="rle", op=packing.OP_CONV_2D, vectors=100, scratch_budget=0) -> cost.Work:
    return cost.work(layer(encoding, op, scratch_budget), cost.Shape(vectors))


def test_coding_is_the_name_that_encodes():
    for name in encodings.candidates():
        assert cost.coding(encodings.encode(MATRIX, name)) == name


# What a layer with a larger filter is multiplied with, and its fields: of 300 columns 12 channels for each tap.
WINDOW_SHAPE = cost.Shape(2 * 7 * 4, (14, 9), (7, 4))
WINDOW = {"filter_size": (5, 5), "stride": (2, 2), "dilation": (1, 1), "same_padding": True}
WIDE_MATRIX = sparse_matrix(np.random.default_rng(1), 60, 300, 0.85)


def other_work(encoding="rle", is_int16=False, is_window=True, scratch_budget=0) -> cost.Work:
    """A convolution of the kinds that are not 1x1 with int8 activations."""
    packed = layer(
        streams=encodings.encode(WIDE_MATRIX, encoding),
        bias=np.zeros(60, np.int64 if is_int16 else np.int32),
        multiplier=np.full(60, 1 << 30, np.int32),
        shift=np.full(60, -5, np.int8),
        int16_activations=is_int16,
        scratch_budget=scratch_budget,
        **(WINDOW if is_window else {}),
    )
    return cost.work(packed, WINDOW_SHAPE)


OTHERS = [(False, True), (True, True), (True, False)]


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("is_int16,is_window", OTHERS)
@pytest.mark.parametrize("budget", [0, 1, 12000])
def test_larger_filters_and_int16_have_an_estimate(cpu, is_int16, is_window, budget):
    for name in encodings.candidates():
        job = other_work(name, is_int16, is_window, budget)
        estimate = cost.estimate_work(cpu, job)
        assert estimate.instructions is not None, cost.parts(cpu, job)
        products = job.elements * job.vectors
        assert products / 10 < estimate.instructions < 150 * products + 100_000
        assert estimate.slowdown > 0


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_fully_connected_int16_has_an_estimate(cpu):
    for name in encodings.candidates():
        job = cost.work(layer(name, packing.OP_FULLY_CONNECTED, int16_activations=True), cost.Shape(1))
        estimate = cost.estimate_work(cpu, job)
        assert estimate.instructions > job.elements and estimate.scratch_bytes == 0
        assert estimate.slowdown > 0


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("is_int16,is_window", OTHERS)
def test_scratch_of_larger_filters_and_int16_keeps_to_the_budget(cpu, is_int16, is_window):
    least = cost.least_scratch_of_work(cpu, other_work("rle", is_int16, is_window))
    for budget in range(least - 50, 6 * least, 211):
        job = other_work("rle", is_int16, is_window, budget)
        plan = cost.plan(cpu, job)
        assert plan.bytes <= budget
        assert plan.is_portable == (budget < least) == (plan.bytes == 0)
        assert plan.passes == -(-job.vectors // plan.pixels)
        products = cost.products_1x1(cpu, job)
        assert sum(tiles * product.vectors for tiles, product in products) == job.vectors
    assert cost.plan(cpu, other_work("rle", is_int16, is_window, 1 << 20)).passes == 1


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("same_padding", [False, True])
def test_pieces_are_those_that_are_copied(stride, dilation, same_padding):
    """Tap by tap, as conv2d_im2col.c does it."""
    size, taps, images = (11, 9), (3, 4), 2
    extent = [(t - 1) * d + 1 for t, d in zip(taps, dilation, strict=True)]
    out = [-(-(n if same_padding else n - e + 1) // s) for n, e, s in zip(size, extent, stride, strict=True)]
    padding = [max((o - 1) * s + e - n, 0) // 2 for n, o, e, s in zip(size, out, extent, stride, strict=True)]
    pieces = 0
    for y in range(-padding[0], out[0] * stride[0] - padding[0], stride[0]):
        for x in range(-padding[1], out[1] * stride[1] - padding[1], stride[1]):
            for row in range(y, y + extent[0], dilation[0]):
                inside = all(0 <= c < size[1] for c in range(x, x + extent[1]))
                one = not 0 <= row < size[0] or (inside and dilation[1] == 1)
                pieces += 1 if one else taps[1]
    packed = layer(filter_size=taps, stride=stride, dilation=dilation, same_padding=same_padding)
    job = cost.work(packed, cost.Shape(images * out[0] * out[1], size, tuple(out)))
    assert job.pieces == images * pieces and job.taps == 12


def test_groups_of_dcsr_are_wide_beyond_a_byte():
    matrix = sparse_matrix(np.random.default_rng(2), 30, 4000, 0.98)
    expected = 0
    for columns in map(np.flatnonzero, matrix):
        expected += sum(np.ptp(columns[start : start + 16]) > 255 for start in range(0, len(columns), 16))
    assert expected > 30
    for name in ("dcsr4", "dcsr8", "dcsr8+huffman"):
        assert cost.work(layer(streams=encodings.encode(matrix, name)), cost.Shape(1)).wide_groups == expected


def test_slowdown_is_over_the_dense_product():
    """Few nonzeros are faster than all weights; the kernel without scratch is not, nor is int16 without vectors."""

    def slowdown(cpu: str, job: cost.Work) -> float:
        return cost.estimate_work(cpu, job).slowdown

    assert 0 < slowdown("cortex-m55", work("offset8")) < 0.7
    assert slowdown("cortex-m55", work("offset8", scratch_budget=1)) > 2
    assert slowdown("cortex-m55", other_work("offset8", is_int16=True)) > 1
    assert slowdown("cortex-m4", other_work("offset8", is_int16=True)) < 0.9
    assert slowdown("cortex-m4", dataclasses.replace(work(), coding="morse")) == 0


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("op", [packing.OP_CONV_2D, packing.OP_FULLY_CONNECTED])
@pytest.mark.parametrize("budget", [0, 1])
@pytest.mark.parametrize("vectors", [4, 50])
def test_all_candidates_have_an_estimate(cpu, op, budget, vectors):
    """If this fails for a new encoding or kernel: measure and fit anew (benchmarks/fit_cost.py)."""
    for name in encodings.candidates():
        job = work(name, op, vectors, budget)
        estimate = cost.estimate_work(cpu, job)
        assert estimate.instructions is not None, (job.coding, cost.structure(cpu, job)[0])
        # At least a tenth of an instruction for a product; 150 at most, where codes are read bit by bit for each.
        products = job.elements * job.vectors
        assert products / 10 < estimate.instructions < 150 * products + 100_000


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("budget", [0, 1])
def test_estimate_of_a_packed_layer_is_that_of_its_work(cpu, budget):
    packed, shape = layer("rle", scratch_budget=budget), cost.Shape(100)
    job = cost.work(packed, shape)
    estimate = cost.estimate(cpu, packed, shape)
    assert estimate == cost.estimate_work(cpu, job)
    assert estimate.kernel == cost.plan(cpu, job).kernel
    assert estimate.is_portable == cost.plan(cpu, job).is_portable == (budget == 1)
    assert cost.least_scratch(cpu, packed, shape) == cost.least_scratch_of_work(cpu, job)


def test_coding_without_constants_has_no_estimate():
    estimate = cost.estimate_work("cortex-m4", dataclasses.replace(work(), coding="morse"))
    assert estimate.instructions is None
    assert estimate.scratch_bytes == cost.estimate_work("cortex-m4", work()).scratch_bytes


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_scratch_keeps_to_the_budget_and_tiles_cover_all_pixels(cpu):
    least = cost.least_scratch_of_work(cpu, work())
    for budget in range(least - 50, 4 * least, 97):
        plan = cost.plan(cpu, work(scratch_budget=budget))
        assert plan.bytes <= budget
        assert plan.is_portable == (budget < least) == (plan.bytes == 0)
    assert cost.plan(cpu, work(scratch_budget=1 << 20)).passes == 1


def test_fully_connected_takes_no_scratch():
    job = work(op=packing.OP_FULLY_CONNECTED, vectors=1)
    assert cost.estimate_work("cortex-m55", job).scratch_bytes == 0
    assert cost.least_scratch_of_work("cortex-m55", job) == 0


def test_more_tiles_take_more_instructions():
    few, many = (cost.estimate_work("cortex-m55", work(scratch_budget=b)).instructions for b in (1 << 20, 8000))
    assert few < many


def test_rows_that_vectors_do_not_requantise_take_longer():
    shift = np.full(len(MATRIX), -5, np.int8)
    shift[:40] = 0
    bias = np.zeros(len(MATRIX), np.int32)
    bias[:10] = [1 << 22, -(1 << 31), *[(1 << 22) - 1] * 4, *[-(1 << 22)] * 4]
    zero = {"output_zero_point": -128}
    jobs = [
        cost.work(layer(**changes), cost.Shape(100))
        for changes in ({}, {"bias": bias}, {"shift": shift}, {"shift": shift, **zero}, {"shift": shift + 1, **zero})
    ]
    assert [job.slow_rows for job in jobs] == [0, 2, 40, 0, 40]
    fast, slow = (cost.estimate_work("cortex-m55", job).instructions for job in (jobs[0], jobs[2]))
    assert slow > 1.3 * fast
    one_multiplier = layer(multiplier=np.ones(1, np.int32), shift=np.ones(1, np.int8))
    assert cost.work(one_multiplier, cost.Shape(1)).slow_rows == len(MATRIX)


def test_no_constant_is_negative():
    from dcsr.planning.cost_constants import CONSTANTS

    assert set(CONSTANTS) == set(cost.CPUS) - {"cortex-m85"}
    for kernels in CONSTANTS.values():
        for constants in kernels.values():
            assert min(constants.values()) >= 0


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_kept_instructions_are_near_those_counted(cpu):
    """docs/results.md#cortex-m, dense: 276x276@250, 172x172@250, 64x64@125."""
    counted = {
        "cortex-m0plus": (98_455_079, 40_118_803, 3_383_831),
        "cortex-m3": (47_913_868, 19_245_834, 1_539_031),
        "cortex-m55": (3_961_776, 1_717_968, 181_022),
        "cortex-m85": (3_961_776, 1_717_968, 181_022),
    }.get(cpu, (23_199_540, 9_715_511, 890_640))
    for (outputs, products), count in zip(((69_000, 276), (43_000, 172), (8_000, 64)), counted, strict=True):
        assert cost.kept_instructions(cpu, False, outputs, products) == pytest.approx(count, rel=0.06)
    assert cost.kept_instructions(cpu, True, 69_000, 9) >= 2.3 * 69_000 * 9

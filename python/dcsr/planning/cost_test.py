"""Tests the cost model: counts, scratch, and constants for every layer that the planner can meet."""

import dataclasses

import numpy as np
import pytest

from dcsr import encodings, packing
from dcsr.model import ModelError
from dcsr.planning import cost, kernel_costs
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


# The size of a layer with a larger filter, and its fields: 300 columns are 25 taps of 12 channels.
WINDOW_SHAPE = cost.Shape(2 * 7 * 4, (14, 9), (7, 4))
WINDOW = {"filter_size": (5, 5), "stride": (2, 2), "dilation": (1, 1), "same_padding": True}
WIDE_MATRIX = sparse_matrix(np.random.default_rng(1), 60, 300, 0.85)
INT16 = {"int16_activations": True, "output_zero_point": 0}


def other_layer(encoding="rle", is_int16=False, is_window=True, scratch_budget=0) -> packing.PackedLayer:
    """Returns a convolution with a larger filter, int16 activations, or both."""
    return layer(
        streams=encodings.encode(WIDE_MATRIX, encoding),
        bias=np.zeros(60, np.int64 if is_int16 else np.int32),
        multiplier=np.full(60, 1 << 30, np.int32),
        shift=np.full(60, -5, np.int8),
        scratch_budget=scratch_budget,
        **(INT16 if is_int16 else {}),
        **(WINDOW if is_window else {}),
    )


OTHERS = [(False, True), (True, True), (True, False)]


def parts_of(cpu: str, packed: packing.PackedLayer, shape: cost.Shape) -> kernel_costs.Counts:
    return cost.costs(cpu, packed, shape).parts


def test_coding_is_the_name_that_encodes():
    for name in encodings.candidates():
        assert cost.coding(encodings.encode(MATRIX, name)) == name


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("is_int16,is_window", OTHERS)
@pytest.mark.parametrize("budget", [0, 1, 12000])
def test_larger_filters_and_int16_have_an_estimate(cpu, is_int16, is_window, budget):
    for name in encodings.candidates():
        packed = other_layer(name, is_int16, is_window, budget)
        estimate = cost.estimate(cpu, packed, WINDOW_SHAPE)
        assert estimate.instructions is not None, parts_of(cpu, packed, WINDOW_SHAPE)
        products = len(packed.streams.values) * WINDOW_SHAPE.vectors
        assert products / 10 < estimate.instructions < 150 * products + 100_000
        assert estimate.slowdown > 0


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_fully_connected_int16_has_an_estimate(cpu):
    for name in encodings.candidates():
        packed = layer(name, packing.OP_FULLY_CONNECTED, bias=np.zeros(len(MATRIX), np.int64), **INT16)
        estimate = cost.estimate(cpu, packed, cost.Shape(1))
        assert estimate.instructions > len(packed.streams.values) and estimate.scratch_bytes == 0
        assert estimate.kernel == "fully_connected_int16"
        assert estimate.slowdown > 0


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("is_int16,is_window", OTHERS)
def test_scratch_of_larger_filters_and_int16_keeps_to_the_budget(cpu, is_int16, is_window):
    packed = other_layer("rle", is_int16, is_window)
    least = cost.least_scratch(cpu, packed, WINDOW_SHAPE)
    for budget in range(least - 50, 6 * least, 211):
        costs = cost.costs(cpu, packed, WINDOW_SHAPE, budget)
        assert costs.scratch_bytes <= budget
        assert costs.is_portable == (budget < least) == (costs.scratch_bytes == 0)
    first = next(iter(cost.costs(cpu, packed, WINDOW_SHAPE, 1 << 20).parts.values()))
    assert first.get("tile", 1) == 1 and first.get("row", 60) == 60


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("same_padding", [False, True])
def test_pieces_are_those_that_are_copied(stride, dilation, same_padding):
    """Counts the copied pieces tap by tap, like conv2d_im2col.c."""
    size, taps, images = (11, 9), (3, 5), 2
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
    packed = dataclasses.replace(
        other_layer(), filter_size=taps, stride=stride, dilation=dilation, same_padding=same_padding
    )
    shape = cost.Shape(images * out[0] * out[1], size, tuple(out))
    assert parts_of("cortex-m4", packed, shape)["conv2d_im2col"]["piece"] == images * pieces


def test_groups_of_dcsr_are_wide_beyond_a_byte():
    matrix = sparse_matrix(np.random.default_rng(2), 30, 4000, 0.98)
    expected = 0
    for columns in map(np.flatnonzero, matrix):
        expected += sum(np.ptp(columns[start : start + 16]) > 255 for start in range(0, len(columns), 16))
    assert expected > 30
    for name in ("dcsr4", "dcsr8", "dcsr8+huffman"):
        packed = layer(
            op=packing.OP_FULLY_CONNECTED,
            streams=encodings.encode(matrix, name),
            bias=np.zeros(30, np.int32),
            multiplier=np.full(30, 1 << 30, np.int32),
            shift=np.full(30, -5, np.int8),
        )
        counts = parts_of("cortex-m4", packed, cost.Shape(1))["fully_connected"]
        assert counts[f"{name} wide group"] == expected


def test_slowdown_is_over_the_dense_product():
    """A sparse layer is faster than dense, but not with the kernel without scratch, nor with int16 without vectors."""

    def slowdown(cpu: str, packed: packing.PackedLayer, shape: cost.Shape) -> float:
        return cost.estimate(cpu, packed, shape).slowdown

    shape = cost.Shape(100)
    assert 0 < slowdown("cortex-m55", layer("offset8"), shape) < 0.7
    assert slowdown("cortex-m55", layer("offset8", scratch_budget=1), shape) > 2
    assert slowdown("cortex-m55", other_layer("offset8", is_int16=True), WINDOW_SHAPE) > 1
    assert slowdown("cortex-m4", other_layer("offset8", is_int16=True), WINDOW_SHAPE) < 0.9


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("op", [packing.OP_CONV_2D, packing.OP_FULLY_CONNECTED])
@pytest.mark.parametrize("budget", [0, 1])
@pytest.mark.parametrize("vectors", [1, 4, 50])
def test_all_candidates_have_an_estimate(cpu, op, budget, vectors):
    """If this fails for a new encoding or kernel, measure and fit again (benchmarks/fit_cost_model.py)."""
    for name in encodings.candidates():
        packed, shape = layer(name, op, budget), cost.Shape(vectors)
        estimate = cost.estimate(cpu, packed, shape)
        assert estimate.instructions is not None, (name, parts_of(cpu, packed, shape))
        # 0.1 to 250 instructions per product. The upper limit is for kernels that read codes bit by bit for one pixel.
        products = len(packed.streams.values) * vectors
        assert products / 10 < estimate.instructions < 250 * products + 100_000


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("budget", [0, 1])
def test_estimate_names_the_kernel(cpu, budget):
    estimate = cost.estimate(cpu, layer("rle", scratch_budget=budget), cost.Shape(100))
    own = {"cortex-m0plus": "conv1x1_c", "cortex-m55": "conv1x1_mve", "cortex-m85": "conv1x1_mve"}
    assert estimate.is_portable == (budget == 1)
    assert estimate.kernel == ("conv1x1_ref" if budget else own.get(cpu, "conv1x1_smlal"))


def test_coding_without_constants_has_no_estimate():
    constants = cost.kernel_constants()["cortex-m4"]
    parts = parts_of("cortex-m4", layer(), cost.Shape(100))
    assert cost.time(constants, parts) is not None
    parts["conv1x1_smlal"]["morse element"] = 1
    assert cost.time(constants, parts) is None


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_scratch_keeps_to_the_budget_and_tiles_cover_all_pixels(cpu):
    packed, shape = layer(), cost.Shape(100)
    least = cost.least_scratch(cpu, packed, shape)
    for budget in range(least - 50, 4 * least, 97):
        costs = cost.costs(cpu, packed, shape, budget)
        assert costs.scratch_bytes <= budget
        assert costs.is_portable == (budget < least) == (costs.scratch_bytes == 0)
    (counts,) = cost.costs(cpu, packed, shape, 1 << 20).parts.values()
    assert counts["row"] == len(MATRIX)


def test_budget_of_the_layer_counts_if_none_is_given():
    packed, shape = layer(scratch_budget=5000), cost.Shape(100)
    assert cost.costs("cortex-m4", packed, shape) == cost.costs("cortex-m4", layer(), shape, 5000)
    assert cost.costs("cortex-m4", layer(), shape) == cost.costs(
        "cortex-m4", layer(), shape, cost.default_scratch("cortex-m4")
    )


def test_fully_connected_takes_no_scratch():
    packed = layer(op=packing.OP_FULLY_CONNECTED)
    assert cost.estimate("cortex-m55", packed, cost.Shape(1)).scratch_bytes == 0
    assert cost.least_scratch("cortex-m55", packed, cost.Shape(1)) == 0


def test_more_tiles_take_more_instructions():
    few, many = (
        cost.estimate("cortex-m55", layer(scratch_budget=budget), cost.Shape(100)).instructions
        for budget in (1 << 20, 8000)
    )
    assert few < many


def test_rows_that_vectors_do_not_requantise_take_longer():
    shift = np.full(len(MATRIX), -5, np.int8)
    shift[:40] = 0
    bias = np.zeros(len(MATRIX), np.int32)
    bias[:10] = [1 << 22, -(1 << 31), *[(1 << 22) - 1] * 4, *[-(1 << 22)] * 4]
    zero = {"output_zero_point": -128}
    shape = cost.Shape(100)
    layers = [
        layer(**changes)
        for changes in ({}, {"bias": bias}, {"shift": shift}, {"shift": shift, **zero}, {"shift": shift + 1, **zero})
    ]
    slow_rows = [parts_of("cortex-m55", packed, shape)["conv1x1_mve"].get("slow output", 0) // 100 for packed in layers]
    assert slow_rows == [0, 2, 40, 40, 40]
    fast, slow = (cost.estimate("cortex-m55", packed, shape).instructions for packed in (layers[0], layers[2]))
    assert slow > 1.3 * fast
    one = layer(multiplier=np.ones(1, np.int32), shift=np.ones(1, np.int8))
    assert parts_of("cortex-m55", one, shape)["conv1x1_mve"]["slow output"] == 100 * len(MATRIX)


def test_damaged_layers_and_impossible_shapes_are_refused():
    blob = bytearray(packing.pack(layer()))
    blob[300] ^= 0x80
    shape = (1, 10, 10, 10, 10)
    with pytest.raises(ModelError, match=r"the kernels refuse the packed layer of shape \(1, 10, 10, 10, 10\): \w+"):
        kernel_costs.measure(kernel_costs.MVE, bytes(blob[:-8]), "rle", shape)
    for sizes in ((0, 1, 1, 1, 1), (1, 1, 1, 1, 1 << 31), (1 << 30, 1, 1, 4, 4)):
        with pytest.raises(ModelError, match="shape"):
            kernel_costs.measure(kernel_costs.MVE, packing.pack(layer()), "rle", sizes)


def test_missing_library_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv(kernel_costs.LIBRARY_VARIABLE, str(tmp_path / "missing.so"))
    kernel_costs._library.cache_clear()
    try:
        with pytest.raises(ModelError, match="missing.so; build it with `bazel build"):
            kernel_costs.default_scratch(kernel_costs.MVE)
        (tmp_path / "missing.so").write_text("no library")
        with pytest.raises(ModelError, match="missing.so is no library with the costs"):
            kernel_costs.default_scratch(kernel_costs.MVE)
    finally:
        kernel_costs._library.cache_clear()


def test_no_constant_is_negative():
    constants = cost.kernel_constants()
    assert set(constants) == set(cost.CPUS) - {"cortex-m85"}
    in_cycles = cost.all_cycle_constants()
    assert set(in_cycles) == set(cost.CYCLE_CPUS) - {"cortex-m85"}
    assert all(tuple(memories) == cost.MEMORIES for memories in in_cycles.values())
    of_memories = [kernels for memories in in_cycles.values() for kernels in memories.values()]
    for kernels in [*constants.values(), *of_memories]:
        for values in kernels.values():
            assert min(values.values()) >= 0


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("is_int16,is_window", [(False, False), *OTHERS])
@pytest.mark.parametrize("memory", cost.MEMORIES)
def test_cycles_are_estimated_where_the_planner_compares_them(cpu, is_int16, is_window, memory):
    for name in encodings.candidates():
        packed = other_layer(name, is_int16, is_window)
        estimate = cost.estimate(
            cpu, packed, WINDOW_SHAPE if is_window else cost.Shape(120, (10, 12), (10, 12)), memory
        )
        assert estimate.unit == cost.unit(cpu)
        if cpu in cost.CYCLE_CPUS:
            assert estimate.unit == cost.CYCLES
            assert (estimate.time, estimate.dense_time) == (estimate.cycles, estimate.dense_cycles)
            # Of vector code every third cycle has no instruction, and two instructions share some cycles of the others.
            assert 0.8 < estimate.cycles / estimate.instructions < 3
            assert 0.8 < estimate.dense_cycles / estimate.dense_instructions < 3
        else:
            assert estimate.unit == cost.INSTRUCTIONS
            assert estimate.cycles is None and estimate.dense_cycles is None
            assert (estimate.time, estimate.dense_time) == (estimate.instructions, estimate.dense_instructions)


def test_gathers_take_more_cycles_behind_a_cache():
    gathered, in_blocks = cost.Shape(9, (3, 3), (3, 3)), cost.Shape(250, (25, 10), (25, 10))
    for shape, least, most in ((gathered, 1.2, 2), (in_blocks, 1, 1.1)):
        dtcm, cached = (cost.estimate("cortex-m55", layer(), shape, memory).cycles for memory in cost.MEMORIES)
        assert least <= cached / dtcm <= most


def test_cores_have_short_names():
    assert [cost.cpu_name(name) for name in ("m55", "cortex-m55", "m0plus")] == [
        "cortex-m55",
        "cortex-m55",
        "cortex-m0plus",
    ]
    assert cost.cpu_name("m99") == "m99"

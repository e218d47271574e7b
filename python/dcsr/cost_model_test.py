"""The cost model: structure, scratch, and constants for all that the planner may ask about."""

import dataclasses

import numpy as np
import pytest

from dcsr import cost_model, encodings, packing
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


def work(encoding="rle", op=packing.OP_CONV_2D, vectors=100, scratch_budget=0) -> cost_model.Work:
    return cost_model.work(layer(encoding, op, scratch_budget), cost_model.Shape(vectors))


def test_coding_is_the_name_that_encodes():
    for name in encodings.candidates():
        assert cost_model.coding(encodings.encode(MATRIX, name)) == name


@pytest.mark.parametrize("cpu", cost_model.CPUS)
@pytest.mark.parametrize("op", [packing.OP_CONV_2D, packing.OP_FULLY_CONNECTED])
@pytest.mark.parametrize("budget", [0, 1])
@pytest.mark.parametrize("vectors", [4, 50])
def test_all_candidates_have_an_estimate(cpu, op, budget, vectors):
    """If this fails for a new encoding or kernel: measure and fit anew (benchmarks/fit_cost_model.py)."""
    for name in encodings.candidates():
        job = work(name, op, vectors, budget)
        estimate = cost_model.estimate(cpu, job)
        assert estimate.instructions is not None, (job.coding, cost_model.structure(cpu, job)[0])
        # At least a tenth of an instruction for a product; 150 at most, where codes are read bit by bit for each.
        products = job.elements * job.vectors
        assert products / 10 < estimate.instructions < 150 * products + 100_000


def test_coding_without_constants_has_no_estimate():
    estimate = cost_model.estimate("cortex-m4", dataclasses.replace(work(), coding="morse"))
    assert estimate.instructions is None
    assert estimate.scratch_bytes == cost_model.estimate("cortex-m4", work()).scratch_bytes


@pytest.mark.parametrize("cpu", cost_model.CPUS)
def test_scratch_keeps_to_the_budget_and_tiles_cover_all_pixels(cpu):
    least = cost_model.least_scratch(cpu, work())
    for budget in range(least - 50, 4 * least, 97):
        plan = cost_model.plan(cpu, work(scratch_budget=budget))
        assert plan.bytes <= budget
        assert plan.is_portable == (budget < least) == (plan.bytes == 0)
    assert cost_model.plan(cpu, work(scratch_budget=1 << 20)).passes == 1


def test_fully_connected_takes_no_scratch():
    job = work(op=packing.OP_FULLY_CONNECTED, vectors=1)
    assert cost_model.estimate("cortex-m55", job).scratch_bytes == 0
    assert cost_model.least_scratch("cortex-m55", job) == 0


def test_more_tiles_take_more_instructions():
    few, many = (cost_model.estimate("cortex-m55", work(scratch_budget=b)).instructions for b in (1 << 20, 8000))
    assert few < many


def test_rows_that_vectors_do_not_requantise_take_longer():
    shift = np.full(len(MATRIX), -5, np.int8)
    shift[:40] = 0
    bias = np.zeros(len(MATRIX), np.int32)
    bias[:10] = [1 << 22, -(1 << 31), *[(1 << 22) - 1] * 4, *[-(1 << 22)] * 4]
    zero = {"output_zero_point": -128}
    jobs = [
        cost_model.work(layer(**changes), cost_model.Shape(100))
        for changes in ({}, {"bias": bias}, {"shift": shift}, {"shift": shift, **zero}, {"shift": shift + 1, **zero})
    ]
    assert [job.slow_rows for job in jobs] == [0, 2, 40, 0, 40]
    fast, slow = (cost_model.estimate("cortex-m55", job).instructions for job in (jobs[0], jobs[2]))
    assert slow > 1.3 * fast
    one_multiplier = layer(multiplier=np.ones(1, np.int32), shift=np.ones(1, np.int8))
    assert cost_model.work(one_multiplier, cost_model.Shape(1)).slow_rows == len(MATRIX)


def test_no_constant_is_negative():
    from dcsr.cost_constants import CONSTANTS

    assert set(CONSTANTS) == set(cost_model.CPUS) - {"cortex-m85"}
    for kernels in CONSTANTS.values():
        for constants in kernels.values():
            assert min(constants.values()) >= 0

"""The cost model: structure, scratch, and constants for all that the planner may ask about."""

import dataclasses

import numpy as np
import pytest

from dcsr import cost_model, encodings, packing
from dcsr.testing.models import sparse_matrix

MATRIX = sparse_matrix(np.random.default_rng(0), 100, 200, 0.9)


def work(encoding="rle", op=packing.OP_CONV_2D, vectors=100, scratch_budget=0) -> cost_model.Work:
    return cost_model.work(op, encodings.encode(MATRIX, encoding), vectors, scratch_budget)


def test_coding_is_the_name_that_encodes():
    for name in encodings.candidates():
        assert cost_model.coding(encodings.encode(MATRIX, name)) == name


@pytest.mark.parametrize("cpu", cost_model.CPUS)
@pytest.mark.parametrize("op", [packing.OP_CONV_2D, packing.OP_FULLY_CONNECTED])
@pytest.mark.parametrize("budget", [0, 1])
def test_all_candidates_have_an_estimate(cpu, op, budget):
    """If this fails for a new encoding or kernel: measure and fit anew (benchmarks/fit_cost_model.py)."""
    for name in encodings.candidates():
        layer = cost_model.work(op, encodings.encode(MATRIX, name), 50, budget)
        estimate = cost_model.estimate(cpu, layer)
        assert estimate.instructions is not None, (layer.coding, cost_model.structure(cpu, layer)[0])
        # At least a tenth of an instruction for a product; a hundred at most.
        products = layer.elements * layer.vectors
        assert products / 10 < estimate.instructions < 100 * products + 100_000


def test_coding_without_constants_has_no_estimate():
    layer = dataclasses.replace(work(), coding="morse")
    estimate = cost_model.estimate("cortex-m4", layer)
    assert estimate.instructions is None
    assert estimate.scratch_bytes == cost_model.estimate("cortex-m4", work()).scratch_bytes


@pytest.mark.parametrize("cpu", cost_model.CPUS)
def test_scratch_keeps_to_the_budget_and_tiles_cover_all_pixels(cpu):
    least = cost_model.least_scratch(cpu, work())
    for budget in range(least - 50, 4 * least, 97):
        plan = cost_model.tiles(cpu, work(scratch_budget=budget))
        assert plan.bytes <= budget
        assert (plan.kernel == cost_model.PORTABLE) == (budget < least) == (plan.bytes == 0)
    assert cost_model.tiles(cpu, work(scratch_budget=1 << 20)).count == 1


def test_fully_connected_takes_no_scratch():
    layer = work(op=packing.OP_FULLY_CONNECTED, vectors=1)
    assert cost_model.estimate("cortex-m55", layer).scratch_bytes == 0
    assert cost_model.least_scratch("cortex-m55", layer) == 0


def test_more_tiles_take_more_instructions():
    few, many = (cost_model.estimate("cortex-m55", work(scratch_budget=b)).instructions for b in (1 << 20, 8000))
    assert few < many


def test_no_constant_is_negative():
    from dcsr.cost_constants import CONSTANTS

    assert set(CONSTANTS) == set(cost_model.CPUS)
    for kernels in CONSTANTS.values():
        for constants in kernels.values():
            assert min(constants.values()) >= 0

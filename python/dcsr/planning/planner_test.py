"""Tests the simulation of TFLM's memory planner."""

import numpy as np

from dcsr.planning import arena
from dcsr.planning.arena import Buffer
from dcsr.testing.models import Builder, three_convolutions
from dcsr.testing.round_trip import through_bytes


def test_planner_puts_large_buffers_first_and_fills_gaps():
    # The large buffer is at 0; the two of 32 bytes do not live at the same time, so they share a place.
    assert arena.greedy([Buffer(32, 0, 1), Buffer(64, 1, 2), Buffer(32, 2, 3)]) == 96
    assert arena.greedy([Buffer(32, 0, 3), Buffer(64, 1, 2), Buffer(16, 0, 0)]) == 96
    assert arena.greedy([Buffer(16, 0, 5), Buffer(48, 0, 1), Buffer(32, 2, 3), Buffer(16, 2, 3)]) == 64
    assert arena.greedy([]) == 0


def test_planned_arena_of_a_chain_is_its_two_largest_neighbours():
    model = through_bytes(three_convolutions())
    sizes = [100 * channels for channels in (64, 96, 80, 64)]
    assert arena.planned_bytes(model, []) == sizes[1] + sizes[2]
    # Scratch lives as long as its operator: that of the third one is beside the tensors of 80 and 64 channels.
    assert arena.planned_bytes(model, [0, 0, 1000]) == sizes[1] + sizes[2]
    assert arena.planned_bytes(model, [0, 1000, 0]) == sizes[1] + sizes[2] + 1008
    # Large scratch comes first, so that the tensors of 64 channels do not fit below it.
    assert arena.planned_bytes(model, [0, 0, 9000]) == sizes[1] + sizes[3] + sizes[2]


def test_constants_and_variables_are_not_planned():
    builder = Builder()
    x = builder.tensor("x", (1, 40), scale=0.1)
    y = builder.fully_connected(x, np.ones((20, 40), np.int8), (1, 20))
    model = builder.finish([x], [y])
    assert arena.tensor_buffers(model, 0) == [Buffer(48, 0, 1), Buffer(32, 1, 1)]
    model.subgraphs[0].tensors[x].isVariable = True
    assert arena.tensor_buffers(model, 0) == [Buffer(32, 1, 1)]

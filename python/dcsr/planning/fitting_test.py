"""Tests that the arena of a plan stays within its limit, and what that costs."""

from __future__ import annotations

import numpy as np
import pytest

from dcsr import compressing
from dcsr.model import ModelError
from dcsr.planning import builtin_memory, cost, footprint, linking, plan_file
from dcsr.planning.footprint import Footprint
from dcsr.schema import schema
from dcsr.testing.models import Builder, separable, sparse_matrix, three_convolutions, unrolled_lstm
from dcsr.testing.random_graphs import random_graph
from dcsr.testing.round_trip import through_bytes


@pytest.fixture(autouse=True)
def _code_does_not_count(monkeypatch):
    """The models are so small that they would stay dense for the code of the ops."""
    monkeypatch.setattr(linking, "with_few_parts", lambda model, layers, settings, plan, fit, grows: fit(settings))


def arenas(model: schema.ModelT, found: compressing.Compressed, cpu: str, kernels: str) -> tuple[int, int]:
    """Returns the bytes of the arena, dense and compressed."""
    whole = Footprint(model, cpu, kernels)
    return whole.nbytes(), whole.nbytes(footprint.of_decisions(found.decisions))


def wide() -> schema.ModelT:
    """Returns two 1x1 convolutions between large tensors: their scratch is above everything else."""
    rng = np.random.default_rng(8)
    builder = Builder()
    x = builder.tensor("x", (1, 12, 12, 96), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng, 96, 96, 0.9), name="first", bias=np.zeros(96, np.int32))
    z = builder.conv_2d(y, sparse_matrix(rng, 96, 96, 0.9), name="second", bias=np.zeros(96, np.int32))
    return through_bytes(builder.finish([x], [z]))


@pytest.mark.parametrize("cpu", cost.CPUS)
@pytest.mark.parametrize("objective", ["balanced", "size", "speed"])
@pytest.mark.parametrize("build", [wide, separable, three_convolutions])
def test_default_arena_is_at_most_the_dense_one(cpu, objective, build):
    model = through_bytes(build())
    found = compressing.compress(model, "m", cpu=cpu, objective=objective)
    assert any(decision.packed for decision in found.decisions)
    for_cmsis_nn, for_portable = (arenas(model, found, cpu, kernels) for kernels in builtin_memory.KERNELS)
    assert for_cmsis_nn[1] <= for_cmsis_nn[0]
    if not cost.has_vectors(cpu):
        assert for_portable[1] <= for_portable[0]
    figures = found.firmware
    assert figures.compressed.arena_bytes <= figures.dense.arena_bytes


@pytest.mark.parametrize("seed", range(40))
def test_arena_of_random_models_is_at_most_the_dense_one(seed):
    model = random_graph(seed)
    cpu = cost.CPUS[seed % len(cost.CPUS)]
    options = {"objective": "size"} if seed % 2 else {}
    found = compressing.compress(model, "m", cpu=cpu, dead_channels=seed % 3 == 0, **options)
    assert found.firmware.compressed.arena_bytes <= found.firmware.dense.arena_bytes


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m55"])
def test_the_limit_costs_time_and_a_larger_one_buys_it(cpu):
    model = wide()
    found = compressing.compress(model, "m", cpu=cpu)
    figures = found.firmware
    assert figures.arena_time > 0 and figures.unlimited_arena_bytes > figures.dense.arena_bytes
    assert all(decision.packed and decision.packed.scratch_budget > 0 for decision in found.decisions)
    free = compressing.compress(model, "m", cpu=cpu, max_arena=figures.unlimited_arena_bytes)
    assert free.firmware.arena_time == 0
    assert free.firmware.compressed.arena_bytes == figures.unlimited_arena_bytes
    assert all(decision.packed and decision.packed.scratch_budget == 0 for decision in free.decisions)

    def time(of: compressing.Compressed) -> int:
        return sum(decision.candidate.estimate.time or 0 for decision in of.decisions if decision.candidate)

    assert time(found) == time(free) + figures.arena_time
    least = figures.dense.arena_bytes - 1200
    small = compressing.compress(model, "m", cpu=cpu, max_arena=least)
    assert small.firmware.compressed.arena_bytes <= least and time(small) >= time(found)


def test_an_arena_that_cannot_be_reached_names_the_layer():
    with pytest.raises(ModelError) as error:
        compressing.compress(wide(), "wide.tflite", max_arena=20_000)
    message = str(error.value)
    beginning = "wide.tflite: does not fit into an arena of 20,000 bytes: 'second/weights' takes at least 28,"
    assert message.startswith(beginning)


def test_scratch_of_a_plan_comes_before_the_room_in_the_arena(tmp_path):
    model = wide()
    path = tmp_path / "plan.yaml"
    path.write_text("version: 1\ntensors: [{tensor: first/weights, method: rle, scratch: 30000}]")
    found = compressing.compress(model, "m", cpu="cortex-m4", plan=str(path))
    assert found.decisions[0].packed.scratch_budget == 30_000
    assert found.firmware.compressed.arena_bytes > found.firmware.dense.arena_bytes


@pytest.mark.parametrize("max_scratch", [2000, 100_000])
def test_max_scratch_limits_a_layer_further(max_scratch):
    found = compressing.compress(wide(), "m", cpu="cortex-m4", max_scratch=max_scratch)
    assert all(d.candidate.estimate.scratch_bytes <= max_scratch for d in found.decisions if d.candidate)
    assert found.firmware.compressed.arena_bytes <= found.firmware.dense.arena_bytes


def test_dumped_plan_within_the_arena(tmp_path):
    model = wide()
    found = compressing.compress(model, "m", cpu="cortex-m4")
    path = tmp_path / "plan.yaml"
    path.write_text(plan_file.plan_text(found.decisions, "a title"))
    again = compressing.compress(model, "m", cpu="cortex-m4", plan=str(path))
    assert [d.candidate.blob for d in again.decisions] == [d.candidate.blob for d in found.decisions]


def test_derived_rows_of_shared_weights_count():
    model = through_bytes(unrolled_lstm(steps=3))
    found = compressing.compress(model, "m", objective="size", max_arena=100_000)
    assert all(decision.packed and decision.packed.shared for decision in found.decisions)
    memory = footprint.of_decisions(found.decisions)
    assert {one.persistent for one in memory.values()} == {16 + 128 * 9}


def test_layers_that_share_weights_get_the_same_scratch():
    """Another room would store the packed layer twice."""
    rng = np.random.default_rng(9)
    builder = Builder()
    x = builder.tensor("x", (1, 12, 12, 96), scale=0.1)
    weights = builder.tensor("shared", (96, 1, 1, 96), data=sparse_matrix(rng, 96, 96, 0.9), scale=0.01)
    y = builder.conv_2d(x, weights, output_scale=0.1, output_zero_point=0, name="first")
    z = builder.conv_2d(y, weights, output_scale=0.1, output_zero_point=0, name="second")
    pooled = builder.tensor("pooled", (1, 2, 2, 96), scale=0.1)
    pool = schema.Pool2DOptionsT(filterHeight=6, filterWidth=6, strideH=6, strideW=6)
    builder.operator(schema.BuiltinOperator.AVERAGE_POOL_2D, [z], [pooled], pool)
    model = through_bytes(builder.finish([x], [pooled]))
    found = compressing.compress(model, "m", cpu="cortex-m4")
    budgets = {decision.packed.scratch_budget for decision in found.decisions}
    assert len(budgets) == 1 and budgets != {0}


def test_bound_of_the_time_with_size():
    rng = np.random.default_rng(3)
    builder = Builder()
    x = builder.tensor("x", (1, 2000), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng, 40, 2000, 0.8), (1, 40), bias=np.zeros(40, np.int32))
    model = through_bytes(builder.finish([x], [y]))
    ratios, sizes = [], []
    for slowest in (100, None, 1, 0.5):
        found = compressing.compress(model, "m", objective="size", slowest=slowest, slowest_start=1000)
        figures = found.firmware
        ratios.append(figures.compressed.cycles / figures.dense.cycles)
        sizes.append(len(found.decisions[0].candidate.blob))
        assert (figures.bound_bytes > 0) == (sizes[-1] > sizes[0])
    assert ratios[0] > 2 >= ratios[1] > 1 >= ratios[2] and 0.5 >= ratios[3]
    assert sizes == sorted(sizes)

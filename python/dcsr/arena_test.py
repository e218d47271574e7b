"""Tests in the wheel's interpreter that compressing does not enlarge the arena, and that its plan is simulated."""

import numpy as np
import pytest

import dcsr
from dcsr import compressing, isolation
from dcsr import model as tflite
from dcsr.planning import arena, cost
from dcsr.planning.settings import OBJECTIVES
from dcsr.schema import schema
from dcsr.testing.models import Builder, separable, sparse_matrix
from dcsr.testing.random_graphs import random_graph

_SEEDS = 40


def measured(content: bytes) -> int | None:
    """Returns the arena in bytes; None if the interpreter refuses the model."""
    try:
        return isolation.arena_used_bytes(content, isolation.DEFAULT_TIMEOUT)
    except RuntimeError:
        return None


def test_arena_of_random_models_is_at_most_the_dense_one():
    packed = 0
    for seed in range(_SEEDS):
        model = random_graph(seed)
        content = tflite.serialize(model)
        found = compressing.compress(
            tflite.parse(content, "m"),
            "m",
            cpu=cost.CPUS[seed % len(cost.CPUS)],
            objective=OBJECTIVES[seed % len(OBJECTIVES)],
            smaller_only=False,
            min_sparsity=0,
        )
        before = measured(content)
        if before is None or not any(decision.packed for decision in found.decisions):
            continue
        packed += 1
        after = measured(tflite.serialize(found.model))
        assert after is not None and after <= before, seed
    assert packed >= _SEEDS // 4


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m55"])
def test_arena_of_a_small_network_is_smaller(cpu):
    content = tflite.serialize(separable())
    result = dcsr.compress(content, cpu=cpu)
    assert result.totals.dense_bytes
    assert measured(result.model) < measured(content)


def chain(rng: np.random.Generator) -> bytes:
    """Returns 1x1 convolutions with tensors of different sizes, and an addition that keeps one of them alive."""
    builder = Builder()
    x = first = builder.tensor("x", (1, 9, 9, 16), scale=0.1, zero_point=1)
    for number in range(int(rng.integers(2, 7))):
        channels = int(rng.integers(4, 80))
        x = builder.conv_2d(x, sparse_matrix(rng, channels, builder.shape(x)[3], 0.5), name=f"conv{number}")
    x = builder.conv_2d(x, sparse_matrix(rng, 16, builder.shape(x)[3], 0.5), output_scale=0.1, output_zero_point=1)
    total = builder.tensor("total", (1, 9, 9, 16), scale=0.1, zero_point=1)
    builder.operator(schema.BuiltinOperator.ADD, [first, x], [total], schema.AddOptionsT())
    return tflite.serialize(builder.finish([first], [total]))


@pytest.mark.parametrize("seed", range(5))
def test_simulated_plan_is_what_the_interpreter_takes(seed):
    """Images twice as large make the planned part larger, and nothing else."""
    small = chain(np.random.default_rng(seed))
    model = tflite.parse(small, "m")
    for tensor in model.subgraphs[0].tensors:
        if len(tensor.shape) == 4 and tensor.shape[1] == 9:
            tensor.shape = np.array([1, 18, 9, tensor.shape[3]], np.int32)
    large = tflite.serialize(model)
    sizes = [arena.planned_bytes(tflite.parse(content, "m"), []) for content in (small, large)]
    assert measured(large) - measured(small) == sizes[1] - sizes[0] > 0

"""Tests the objectives, and layers that stay dense because they would not get smaller or share their weights."""

import numpy as np
import pytest

from dcsr import compressing, encodings, packing
from dcsr import model as tflite
from dcsr.planning import cost
from dcsr.planning.candidates import Candidate
from dcsr.planning.choice import Decision, choose
from dcsr.planning.cost import Estimate
from dcsr.planning.settings import OBJECTIVES
from dcsr.schema import schema
from dcsr.testing.models import Builder, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import rng, round_trip, through_bytes

OP = schema.BuiltinOperator


def add(builder: Builder, x: int, y: int, shape) -> int:
    out = builder.tensor("sum", shape, scale=0.5, zero_point=1)
    builder.operator(OP.ADD, [x, y], [out], schema.AddOptionsT(potScaleInt16=True))
    return out


def candidates(*sizes_and_times: tuple[int, int | None]) -> list[Candidate]:
    """Returns one candidate for each (bytes, estimated instructions)."""
    found = []
    for size, instructions in sizes_and_times:
        streams = encodings.Streams("rle", 1, 1000, np.zeros(size, np.int8))
        one = np.ones(1, np.int32)
        packed = packing.PackedLayer(packing.OP_CONV_2D, streams, one, one, one.astype(np.int8), 0, 0, -128, 127)
        found.append(Candidate(packed, cost.Shape(1), Estimate(instructions, 0)))
    return found


@pytest.mark.parametrize(
    "costs,size,balanced,speed",
    [
        ([(100, 1000), (120, 900)], 0, 1, 1),  # 11.1 % slower
        ([(100, 990), (120, 900)], 0, 0, 1),  # 10 % slower
        ([(100, 5000), (105, 1050), (110, 1000), (200, 1000)], 0, 1, 2),
        ([(100, 1000), (100, 900)], 1, 1, 1),
        ([(100, 1000), (90, None)], 1, 0, 0),  # no constants
        ([(100, None), (90, None)], 1, 1, 1),
        ([(100, 1000)], 0, 0, 0),
    ],
)
def test_objectives(costs, size, balanced, speed):
    """Checks the choices for a single layer."""
    found = candidates(*costs)
    for objective, expected in (("size", size), ("balanced", balanced), ("speed", speed)):
        [chosen] = choose([found], objective)
        assert chosen is found[expected], objective


def test_objectives_of_many_cost_tables():
    """Checks the choices against the definitions of the objectives, on random tables."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        costs = rng.integers(90, 120, (rng.integers(1, 6), 2)).tolist()
        chosen = {objective: choose([candidates(*costs)], objective)[0] for objective in OBJECTIVES}
        size = {objective: candidate.packed.streams.nbytes for objective, candidate in chosen.items()}
        time = {objective: candidate.estimate.instructions for objective, candidate in chosen.items()}
        assert size["size"] == min(cost[0] for cost in costs)
        assert time["speed"] == min(cost[1] for cost in costs)
        assert size["balanced"] == min(cost[0] for cost in costs if cost[1] <= 1.1 * time["speed"])


def test_balanced_weighs_layers_and_other_operators_against_each_other():
    """The budget of 10 % of the inference is spent where it saves the most bytes per instruction."""
    slow = candidates((1000, 10000), (700, 10800), (690, 11500))
    quick = candidates((1000, 100), (500, 900))
    sizes = {
        others: [c.packed.streams.nbytes for c in choose([slow, quick], "balanced", others)]
        for others in (0, 5900, 14000, 15000)
    }
    # Exchanges: 500 bytes for 800 instructions, 300 bytes for 800, 10 bytes for 700.
    assert sizes == {0: [1000, 500], 5900: [700, 500], 14000: [690, 500], 15000: [690, 500]}


def test_balanced_keeps_to_the_tenth():
    rng = np.random.default_rng(1)
    for _ in range(50):
        costs = [rng.integers(50, 200, (rng.integers(1, 6), 2)).tolist() for _ in range(rng.integers(1, 8))]
        layers = [candidates(*layer) for layer in costs]
        others = int(rng.integers(0, 2000))
        fast, balanced = (choose(layers, objective, others) for objective in ("speed", "balanced"))
        time = [sum(c.estimate.instructions for c in chosen) + others for chosen in (fast, balanced)]
        assert time[0] <= time[1] <= 1.1 * time[0]
        for i, layer in enumerate(layers):
            # No smaller candidate fits the rest of the budget.
            left = 1.1 * time[0] - time[1] + balanced[i].estimate.instructions
            smaller = [c for c in layer if c.packed.streams.nbytes < balanced[i].packed.streams.nbytes]
            assert all(c.estimate.instructions > left for c in smaller)


def write(tmp_path, text: str) -> str:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return str(path)


def compress(model: schema.ModelT, **options) -> list[Decision]:
    return compressing.compress(model, "m", **options)[1]


def test_speed_leaves_dense_what_is_faster_so(tmp_path):
    """With `speed`, a layer that is faster dense stays dense although it would get smaller. Methods override this."""
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(np.random.default_rng(3), 64, 128, 0.9), (1, 64), name="small")
    model = builder.finish([x], [y])
    assert compress(model, objective="balanced")[0].candidate.estimate.slowdown > 1
    (kept,) = compress(model, objective="speed")
    assert kept.packed is None and kept.note == "faster dense on cortex-m55"
    for options in (
        {"objective": "size"},
        {"objective": "balanced"},
        {"objective": "speed", "method": "offset8"},
        {"objective": "speed", "plan": write(tmp_path, "version: 1\ntensors: [{tensor: small/weights, method: rle}]")},
    ):
        assert compress(model, **options)[0].packed, options


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_of_larger_filters_and_int16(objective):
    """Checks the choices against the definitions of the objectives, on the estimates of all encodings."""
    rng = np.random.default_rng(4)
    builder = Builder()
    x = builder.tensor("x", (1, 12, 12, 32), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng, 64, 288, 0.9), filter_size=(3, 3), name="window")
    model = builder.finish([x], [y])
    (chosen,) = compress(model, objective=objective)
    found = {}
    for name in encodings.candidates():
        (one,) = compress(model, method=name)
        found[name] = one.packed.streams.nbytes, one.candidate.estimate.instructions
    size, time = chosen.packed.streams.nbytes, chosen.candidate.estimate.instructions
    sizes, times = zip(*found.values(), strict=True)
    assert (size, time) in found.values() and None not in times
    if objective == "size":
        assert size == min(sizes)
    elif objective == "speed":
        assert time == min(times)
    else:
        assert size == min(size for size, time in found.values() if time <= 1.1 * min(times))


def test_weights_that_another_operator_uses_stay():
    builder = Builder()
    matrix = sparse_matrix(rng(), 64, 64, 0.9)
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("w", (64, 64), data=matrix, scale=0.01)
    y = builder.fully_connected(x, weights, (1, 64))
    total = add(builder, weights, y, (64, 64))
    _, (decision,) = round_trip(builder.finish([x], [total]))
    assert decision.packed is None
    assert decision.note == "weights also used by operator 1 ADD"


def test_weights_that_are_an_output_stay():
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("w", (64, 64), data=sparse_matrix(rng(), 64, 64, 0.9), scale=0.01)
    y = builder.fully_connected(x, weights, (1, 64))
    _, (decision,) = round_trip(builder.finish([x], [y, weights]))
    assert decision.note == "weights also used by the model's inputs or outputs"


@pytest.mark.parametrize("sparsity", [1.0, 0.0])
def test_all_zero_and_full_layers(sparsity):
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, sparsity))
    _, (decision,) = round_trip(model, min_sparsity=0)
    assert bool(decision.packed) == (sparsity == 1.0)
    if not decision.packed:
        assert decision.note == "would not get smaller"


def test_tiny_layers_stay():
    _, (decision,) = round_trip(fully_connected_model(rng(), sparse_matrix(rng(), 4, 8, 0.8)))
    assert decision.note == "would not get smaller"


@pytest.mark.parametrize("rows,cols", [(16, 16), (24, 24), (32, 32), (40, 40), (64, 64)])
@pytest.mark.parametrize("method", encodings.METHODS)
def test_files_never_grow(rows, cols, method):
    model = through_bytes(fully_connected_model(rng(), sparse_matrix(rng(), rows, cols, 0.9)))
    compressed, _ = round_trip(model, method=method)
    assert len(tflite.serialize(compressed)) <= len(tflite.serialize(model))


def test_tensors_that_only_signatures_and_buffers_that_only_metadata_name_stay():
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    bias = np.zeros(64, np.int32)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 128, 0.9), (1, 64), bias=bias)
    model = builder.finish([x], [y])
    graph = model.subgraphs[0]
    model.signatureDefs = [
        schema.SignatureDefT(
            inputs=[schema.TensorMapT(name="b", tensorIndex=2)], outputs=[], signatureKey="s", subgraphIndex=0
        )
    ]
    _, (decision,) = round_trip(model)
    assert decision.packed
    model.metadataBuffer = np.array([graph.tensors[1].buffer], np.int32)
    _, (decision,) = round_trip(model)
    assert decision.note == "weights also used by the model's metadata"

"""Choosing among candidates, and plan files."""

import numpy as np
import pytest

from dcsr import convert, cost_model, encodings, layers, packing, planner
from dcsr import model as tflite
from dcsr.cost_model import Estimate
from dcsr.planner import Candidate, choose
from dcsr.schema import schema
from dcsr.testing.models import Builder, sparse_matrix


def candidates(*sizes_and_times: tuple[int, int | None]) -> list[Candidate]:
    """Candidates of so many bytes and estimated instructions."""
    found = []
    for size, instructions in sizes_and_times:
        streams = encodings.Streams("rle", 1, 1000, np.zeros(size, np.int8))
        one = np.ones(1, np.int32)
        packed = packing.PackedLayer(packing.OP_CONV_2D, streams, one, one, one.astype(np.int8), 0, 0, -128, 127)
        found.append(Candidate(packed, cost_model.work(packed, cost_model.Shape(1)), Estimate(instructions, 0)))
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
    """Of a layer alone."""
    found = candidates(*costs)
    for objective, expected in (("size", size), ("balanced", balanced), ("speed", speed)):
        [chosen] = choose([found], objective)
        assert chosen is found[expected], objective


def test_objectives_of_many_cost_tables():
    """By definition, on random tables."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        costs = rng.integers(90, 120, (rng.integers(1, 6), 2)).tolist()
        chosen = {objective: choose([candidates(*costs)], objective)[0] for objective in planner.OBJECTIVES}
        size = {objective: candidate.packed.streams.nbytes for objective, candidate in chosen.items()}
        time = {objective: candidate.estimate.instructions for objective, candidate in chosen.items()}
        assert size["size"] == min(cost[0] for cost in costs)
        assert time["speed"] == min(cost[1] for cost in costs)
        assert size["balanced"] == min(cost[0] for cost in costs if cost[1] <= 1.1 * time["speed"])


def test_balanced_weighs_layers_and_other_operators_against_each_other():
    """What a tenth of the whole time buys is spent where it saves most."""
    slow = candidates((1000, 10000), (700, 10800), (690, 11500))
    quick = candidates((1000, 100), (500, 900))
    sizes = {
        others: [c.packed.streams.nbytes for c in choose([slow, quick], "balanced", others)]
        for others in (0, 5900, 14000, 15000)
    }
    # 800 instructions for 500 bytes, 800 for 300, 700 for 10.
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
            # Nothing smaller would have fitted.
            left = 1.1 * time[0] - time[1] + balanced[i].estimate.instructions
            smaller = [c for c in layer if c.packed.streams.nbytes < balanced[i].packed.streams.nbytes]
            assert all(c.estimate.instructions > left for c in smaller)


@pytest.fixture(name="model")
def two_layers() -> schema.ModelT:
    rng = np.random.default_rng(3)
    builder = Builder()
    x = builder.tensor("x", (1, 10, 10, 64), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng, 96, 64, 0.9), name="first")
    z = builder.conv_2d(y, sparse_matrix(rng, 80, 96, 0.5), name="second")
    w = builder.conv_2d(z, sparse_matrix(rng, 64, 720, 0.9), filter_size=(3, 3), name="third")
    return tflite.parse(tflite.serialize(builder.finish([x], [w])), "m")


def write(tmp_path, text: str) -> str:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return str(path)


def compress(model: schema.ModelT, **options) -> list[convert.Choice]:
    return convert.compress(model, "m", **options)[1]


@pytest.mark.parametrize("method", encodings.METHODS)
def test_plan_chooses_encoding_and_scratch_of_a_tensor(model, tmp_path, method):
    index = int(model.subgraphs[0].operators[1].inputs[1])
    path = write(
        tmp_path,
        f"version: 1\ntensors:\n- {{tensor: first/weights, method: {method}, scratch: 5000}}\n"
        f"- {{tensor: {index}, method: {method}}}\n",
    )
    first, second, _ = compress(model, plan=path, max_scratch=9000)
    assert cost_model.coding(first.packed.streams) in encodings.candidates(method)
    assert first.packed.scratch_budget == 5000
    # Although half of it is not zero.
    if second.packed:
        assert cost_model.coding(second.packed.streams) in encodings.candidates(method)
        assert second.packed.scratch_budget == 9000
    else:
        assert second.note == "would not get smaller"


def test_plan_leaves_a_tensor_as_it_is(model, tmp_path):
    first, _, _ = compress(model, plan=write(tmp_path, "version: 1\ntensors: [{tensor: first/weights, method: none}]"))
    assert first.packed is None and first.note == "left out by the plan"


@pytest.mark.parametrize("objective", planner.OBJECTIVES)
@pytest.mark.parametrize("scratch", [None, 0, 3000])
def test_dumped_plan_makes_the_same_choices(model, tmp_path, objective, scratch):
    chosen = compress(model, objective=objective, max_scratch=scratch)
    text = planner.plan_text(
        [
            (c.layer, cost_model.coding(c.packed.streams), c.packed.scratch_budget)
            if c.packed
            else (c.layer, "none", 0)
            for c in chosen
        ],
        "a title",
    )
    again = compress(model, plan=write(tmp_path, text))
    assert [c.blob for c in again] == [c.blob for c in chosen]
    # Without scratch it is faster as it is.
    assert (chosen[0].packed is None) == (objective == "speed" and scratch == 0)


def test_speed_leaves_dense_what_is_faster_so(tmp_path):
    """Also a layer that would get smaller, unless it is told how to pack it."""
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(np.random.default_rng(3), 64, 128, 0.9), (1, 64), name="small")
    model = builder.finish([x], [y])
    assert compress(model, objective="balanced")[0].estimate.slowdown > 1
    (kept,) = compress(model, objective="speed")
    assert kept.packed is None and kept.note == "faster dense on cortex-m55"
    for options in (
        {"objective": "size"},
        {"objective": "balanced"},
        {"objective": "speed", "method": "offset8"},
        {"objective": "speed", "plan": write(tmp_path, "version: 1\ntensors: [{tensor: small/weights, method: rle}]")},
    ):
        assert compress(model, **options)[0].packed, options


@pytest.mark.parametrize("objective", planner.OBJECTIVES)
def test_objectives_of_larger_filters_and_int16(objective):
    """By definition, on the estimates of all encodings."""
    rng = np.random.default_rng(4)
    builder = Builder()
    x = builder.tensor("x", (1, 12, 12, 32), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng, 64, 288, 0.9), filter_size=(3, 3), name="window")
    model = builder.finish([x], [y])
    (chosen,) = compress(model, objective=objective)
    found = {}
    for name in encodings.candidates():
        (one,) = compress(model, method=name)
        found[name] = one.packed.streams.nbytes, one.estimate.instructions
    size, time = chosen.packed.streams.nbytes, chosen.estimate.instructions
    sizes, times = zip(*found.values(), strict=True)
    assert (size, time) in found.values() and None not in times
    if objective == "size":
        assert size == min(sizes)
    elif objective == "speed":
        assert time == min(times)
    else:
        assert size == min(size for size, time in found.values() if time <= 1.1 * min(times))


def test_plan_names_the_scratch_that_limits_tiles(model):
    """Less scratch means more tiles, each of which decodes the layer."""
    work = [compress(model, max_scratch=scratch, method="rle")[0].work for scratch in (None, 4000, 0)]
    tiles = [cost_model.plan("cortex-m4", entry) for entry in work]
    assert tiles[0].passes == 1 and tiles[1].passes > 1 and tiles[2].is_portable
    times = [cost_model.estimate("cortex-m4", entry).instructions for entry in work]
    assert times == sorted(times)


@pytest.mark.parametrize(
    "text,message",
    [
        ("[", "plan.yaml: not YAML"),
        ("a: 1", "not a plan: expected 'version: 1'"),
        ("version: 2\ntensors: []", "not a plan: expected 'version: 1'"),
        ("version: 1\nlayers: []", "unknown key 'layers'"),
        ("version: 1\ntensors: 5", "'tensors' is not a list"),
        ("version: 1\ntensors: [first]", "entry 1 of 'tensors': expected 'tensor: NAME or INDEX'"),
        (
            "version: 1\ntensors: [{tensor: nothing}]",
            "entry 1 of 'tensors': m has no layer whose weights are tensor 'nothing'; it has 1 'first/weights', 3 'sec",
        ),
        ("version: 1\ntensors: [{tensor: 0}]", "m has no layer whose weights are tensor 0; it has 1 'first"),
        ("version: 1\ntensors: [{tensor: 1, subgraph: 1}]", "has no layer whose weights are tensor 1"),
        ("version: 1\ntensors: [{tensor: 1.5}]", "'tensor' is a name or an index, not 1.5"),
        ("version: 1\ntensors: [{tensor: 1, subgraph: a}]", "'subgraph' is an index, not 'a'"),
        ("version: 1\ntensors: [{tensor: 1, method: best}]", "unknown method 'best'; known are auto, "),
        ("version: 1\ntensors: [{tensor: 1, method: dense}]", "unknown method 'dense'"),
        ("version: 1\ntensors: [{tensor: 1, encoding: rle}]", "unknown key 'encoding'"),
        ("version: 1\ntensors: [{tensor: 1, scratch: lots}]", "scratch is a number of bytes, not 'lots'"),
        ("version: 1\ntensors: [{tensor: 1, scratch: -1}]", "scratch is a number of bytes, not -1"),
        ("version: 1\ntensors: [{tensor: 1}, {tensor: first/weights}]", "'first/weights' has an entry already"),
        ("version: 1\ntensors: [{tensor: 1, method: rle+morse}]", "unknown method 'rle+morse'"),
    ],
)
def test_plans_that_do_not_fit(model, tmp_path, text, message):
    with pytest.raises(tflite.ModelError) as error:
        compress(model, plan=write(tmp_path, text))
    assert message in str(error.value)


def test_plan_for_a_layer_that_cannot_be_packed(model, tmp_path):
    graph = model.subgraphs[0]
    graph.tensors[graph.operators[2].inputs[1]].quantization.detailsType = 1
    with pytest.raises(tflite.ModelError, match="entry 1 of 'tensors': 'third/weights' cannot be packed: "):
        compress(model, plan=write(tmp_path, "version: 1\ntensors: [{tensor: third/weights, method: rle}]"))


def test_missing_plan(model, tmp_path):
    with pytest.raises(tflite.ModelError, match="none.yaml: No such file"):
        compress(model, plan=str(tmp_path / "none.yaml"))


def test_name_of_several_tensors_wants_an_index(tmp_path):
    rng = np.random.default_rng(3)
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng, 64, 64, 0.9), (1, 64), name="same")
    z = builder.fully_connected(y, sparse_matrix(rng, 64, 64, 0.9), (1, 64), name="same")
    model = builder.finish([x], [z])
    with pytest.raises(tflite.ModelError, match=r"name of several \(subgraph: index 0: 1, 0: 3\)"):
        compress(model, plan=write(tmp_path, "version: 1\ntensors: [{tensor: same/weights}]"))


def test_every_encoding_takes_part():
    matrix = sparse_matrix(np.random.default_rng(0), 20, 40, 0.8)
    tried = {encodings.encode(matrix, name).encoding for name in encodings.candidates()}
    assert tried == set(encodings.REGISTRY) - {"dense"}


def test_candidates_of_a_method():
    assert encodings.candidates("dcsr") == ("dcsr4", "dcsr8")
    assert encodings.candidates("dcsr8") == ("dcsr8",)
    assert encodings.candidates("rle") == ("rle",)
    assert set(encodings.candidates()) == {name for m in encodings.METHODS for name in encodings.candidates(m)}


def test_vectors_are_output_pixels_and_batches(model):
    found = layers.find(model)
    assert [layers.shape(model, layer).vectors for layer in found] == [100, 100, 100]
    builder = Builder()
    x = builder.tensor("x", (5, 64), scale=0.1)
    y = builder.fully_connected(x, np.ones((8, 64), np.int8), (5, 8))
    model = builder.finish([x], [y])
    assert layers.shape(model, layers.find(model)[0]) == cost_model.Shape(5)

"""Tests the objectives, and layers that stay dense because they would not get smaller or share their weights."""

import numpy as np
import pytest

from dcsr import compressing, encodings, packing
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.planning import cost
from dcsr.planning.candidates import Candidate
from dcsr.planning.choice import Decision, _together, choose
from dcsr.planning.cost import Estimate
from dcsr.planning.settings import OBJECTIVES
from dcsr.schema import schema
from dcsr.testing.models import Builder, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import UNBOUNDED, rng, round_trip, through_bytes

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


def test_balanced_ranks_exchanges_by_bytes_per_instruction():
    """400 bytes for 900 instructions, or 300 bytes for 300: the budget of 1,010 takes one of them."""
    slow = candidates((1000, 10000), (600, 10900))
    quick = candidates((1000, 100), (700, 400))
    for layers, expected in (([slow, quick], [1000, 700]), ([quick, slow], [700, 1000])):
        assert [c.packed.streams.nbytes for c in choose(layers, "balanced")] == expected
    # Between equal rates, the larger exchange wins.
    small, large = candidates((1000, 5000), (900, 5100)), candidates((1000, 5000), (600, 5400))
    for layers, expected in (([small, large], [1000, 600]), ([large, small], [600, 1000])):
        assert [c.packed.streams.nbytes for c in choose(layers, "balanced", -5600)] == expected


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
    return compressing.compress(model, "m", **(UNBOUNDED | options))[1]


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


@pytest.mark.parametrize(("zeros", "is_packed"), [(0.02, False), (0.3, False), (0.9, True)])
def test_size_does_not_buy_few_bytes_with_much_time(zeros, is_packed):
    """A filter of 5x5 runs in scalar code on the M55, and most of the weights are elsewhere."""
    rng = np.random.default_rng(5)
    builder = Builder()
    x = builder.tensor("x", (1, 12, 12, 16), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng, 16, 400, zeros), filter_size=(5, 5))
    z = builder.fully_connected(y, sparse_matrix(rng, 200, 2304, 0.9), (1, 200))
    model = builder.finish([x], [z])
    first, second = compress(model, objective="size")
    assert (first.packed is not None) == is_packed and second.packed
    if not is_packed:
        assert first.note == "faster dense on cortex-m55, by more than the saving is worth"
    if zeros > 0.1:
        assert all(decision.packed for decision in compress(model, objective="size", method="rice+huffman"))


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


def int16_convolution(sparsity: float = 0.7) -> schema.ModelT:
    """Returns a 1x1 convolution with int16 activations."""
    builder = Builder()
    x = builder.tensor("x", (1, 12, 12, 64), np.int16, scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng(), 64, 64, sparsity), output_zero_point=0, name="int16")
    return builder.finish([x], [y])


def test_int16_stays_dense_on_a_core_with_vectors():
    """They have no vector kernel for packed int16. `balanced` is the default."""
    for cpu in ("cortex-m55", "cortex-m85"):
        for options in ({}, {"objective": "balanced"}, {"objective": "speed"}):
            for zeros in (0.9, 0.97):
                (decision,) = compress(int16_convolution(zeros), cpu=cpu, **options)
                assert decision.packed is None
                assert decision.note == f"faster dense on {cpu}"
        (decision,) = compress(int16_convolution(), cpu=cpu, method="rice")
        assert decision.candidate.estimate.slowdown > 1.1
        (decision,) = compress(int16_convolution(), cpu=cpu, objective="size")
        assert decision.packed is not None
    for cpu in set(cost.CPUS) - set(cost.CYCLE_CPUS):
        (decision,) = compress(int16_convolution(), cpu=cpu)
        assert decision.packed is not None


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


def test_weights_that_are_activations_of_their_own_layer_stay():
    builder = Builder()
    x = builder.tensor("x", (64, 64), scale=0.1)
    weights = builder.tensor("w", (64, 64), data=sparse_matrix(rng(), 64, 64, 0.9), scale=0.01)
    y = builder.fully_connected(weights, weights, (64, 64))
    total = add(builder, x, y, (64, 64))
    _, (decision,) = round_trip(builder.finish([x], [total]))
    assert decision.note == "weights also used by operator 0 FULLY_CONNECTED"


def test_weights_that_are_an_output_stay():
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("w", (64, 64), data=sparse_matrix(rng(), 64, 64, 0.9), scale=0.01)
    y = builder.fully_connected(x, weights, (1, 64))
    _, (decision,) = round_trip(builder.finish([x], [y, weights]))
    assert decision.note == "weights also used by the model's inputs or outputs"


def unrolled(steps: int, *, rows: int = 64, scales=None) -> schema.ModelT:
    """Returns a recurrent layer of `steps` steps: y = weights * y. Step i has the output scale scales[i]."""
    builder = Builder()
    y = x = builder.tensor("x", (1, rows), scale=0.5, zero_point=3)
    weights = builder.tensor("w", (rows, rows), data=sparse_matrix(rng(), rows, rows, 0.85), scale=0.02)
    for step in range(steps):
        scale = 0.5 if scales is None else scales[step]
        y = builder.fully_connected(y, weights, (1, rows), output_scale=scale, name=f"step {step}")
    return builder.finish([x], [y])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_steps_with_equal_quantisation_share_one_packed_layer(objective):
    """All steps read one tensor, whose streams the file has once, also if `balanced` spends its budget on them."""
    model = through_bytes(unrolled(6))
    method = {"method": "rice"} if objective == "speed" else {}  # `speed` leaves such small layers dense
    compressed, decisions = round_trip(model, objective=objective, **method)
    assert len({decision.candidate.blob for decision in decisions}) == 1
    operators = compressed.subgraphs[0].operators
    assert len({int(operator.inputs[1]) for operator in operators}) == 1
    packed = decisions[0].candidate.blob
    contents = [bytes(buffer.data) for buffer in compressed.buffers if buffer.data is not None]
    assert contents.count(packed) == 1
    assert len(tflite.serialize(compressed)) < len(tflite.serialize(model)) - 1000


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_steps_with_different_quantisation_share_rows(objective):
    """Each step has a packed layer of 72 bytes. The streams are stored once, beside the scale of each row."""
    model = through_bytes(unrolled(6, rows=128, scales=[0.3, 0.4, 0.5, 0.6, 0.7, 0.8]))
    method = {"method": "rice"} if objective == "speed" else {}
    compressed, decisions = round_trip(model, objective=objective, **method)
    found = [decision.candidate for decision in decisions]
    assert [len(candidate.blob) for candidate in found] == [72] * 6
    assert len({candidate.blob for candidate in found}) == 6
    (shared,) = {candidate.shared_blob for candidate in found}
    assert len(shared) - found[0].packed.streams.nbytes in range(4, 20)  # one scale for all rows, padding
    operators = compressed.subgraphs[0].operators
    assert len({int(operator.inputs[1]) for operator in operators}) == 6
    assert {int(operator.inputs[2]) for operator in operators} == {1}  # the weights' place
    contents = [bytes(buffer.data) for buffer in compressed.buffers if buffer.data is not None]
    assert contents.count(shared) == 1
    assert len(tflite.serialize(compressed)) < len(tflite.serialize(model)) - 5000


def test_rows_are_not_shared_if_that_is_larger():
    """Small layers: the additional tensor costs more than the streams that are stored once."""
    model = through_bytes(unrolled(2, rows=4, scales=[0.3, 0.4]))
    _, decisions = round_trip(model, smaller_only=False)
    assert [decision.candidate.shared_blob for decision in decisions] == [None, None]


@pytest.mark.parametrize("inexact", [0, 4])
def test_a_layer_keeps_its_rows_if_a_multiplier_is_not_derived_exactly(monkeypatch, inexact):
    model = through_bytes(unrolled(6, rows=128, scales=[0.3, 0.4, 0.5, 0.6, 0.7, 0.8]))
    exact = layer_finder.share_rows

    def one_is_not(model, layer, packed):
        return None if layer.position == inexact else exact(model, layer, packed)

    monkeypatch.setattr(layer_finder, "share_rows", one_is_not)
    _, decisions = round_trip(model, objective="size")
    assert [decision.candidate.shared_blob is None for decision in decisions] == [
        position == inexact for position in range(6)
    ]
    assert len({decision.candidate.blob for decision in decisions}) == 6
    monkeypatch.setattr(layer_finder, "share_rows", lambda model, layer, packed: None)
    _, decisions = round_trip(model)
    assert [decision.note for decision in decisions] == ["would not get smaller: 6 operators share the weights"] * 6
    _, decisions = round_trip(model, smaller_only=False)
    assert [decision.candidate.shared_blob for decision in decisions] == [None] * 6


def test_equal_layers_are_chosen_together():
    """Six users of one packed layer: its bytes count once, its instructions six times."""
    found = candidates((1000, 1000), (600, 1150))
    # Apart, the budget is enough for four exchanges, and the file would have both packed layers.
    assert sorted(c.packed.streams.nbytes for c in choose([found] * 6, "balanced")) == [600] * 4 + [1000] * 2
    assert choose([_together([found] * 6)], "balanced")[0].packed.streams.nbytes == 1000
    found = candidates((1000, 1000), (600, 1090))
    assert choose([_together([found] * 6)], "balanced")[0].packed.streams.nbytes == 600
    merged = _together([found] * 6)
    assert [way.estimate.instructions for way in merged] == [6000, 6540]
    assert [way.packed.streams.nbytes for way in merged] == [1000, 600]
    unknown = _together([candidates((1000, None)), candidates((1000, 5))])
    assert unknown[0].estimate.instructions is None


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_weights_that_a_signature_names_stay(side):
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("w", (64, 64), data=sparse_matrix(rng(), 64, 64, 0.9), scale=0.01)
    y = builder.fully_connected(x, weights, (1, 64))
    model = builder.finish([x], [y])
    entry = schema.TensorMapT(name="w", tensorIndex=weights)
    signature = schema.SignatureDefT(inputs=[], outputs=[], signatureKey="s", subgraphIndex=0)
    setattr(signature, side, [entry])
    model.signatureDefs = [signature]
    _, (decision,) = round_trip(model)
    assert decision.note == "weights also used by the model's inputs or outputs"
    signature.subgraphIndex = 1  # of another subgraph, whose tensor has the same index
    builder.subgraph()
    builder.finish([], [])
    model.subgraphs[1].tensors = [schema.TensorT(name=b"t", shape=np.ones(1, np.int32)) for _ in range(3)]
    _, decisions = round_trip(model)
    assert decisions[0].packed


def test_bias_that_is_an_intermediate_of_another_operator_is_kept():
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    bias = np.arange(64, dtype=np.int32)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 128, 0.9), (1, 64), bias=bias)
    total = add(builder, y, y, (1, 64))
    model = builder.finish([x], [total])
    graph = model.subgraphs[0]
    number = int(graph.operators[0].inputs[2])
    graph.operators[1].intermediates = np.array([number], np.int32)
    compressed, (decision,) = round_trip(model)
    assert decision.packed
    (kept,) = compressed.subgraphs[0].operators[1].intermediates
    name = compressed.subgraphs[0].tensors[kept].name
    assert name == graph.tensors[number].name.encode()


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


def test_limit_of_size_holds_for_the_smallest_candidate_too():
    """If the encoding within the limit saves no bytes, a smaller one beyond the limit is no way out."""
    rng = np.random.default_rng(1)
    builder = Builder()
    x = builder.tensor("x", (1, 2, 2, 8), scale=0.1)
    scales = rng.uniform(0.01, 0.02, 32)
    y = builder.conv_2d(x, sparse_matrix(rng, 32, 72, 0.36), filter_size=(3, 3), weight_scale=scales)
    w = builder.tensor("w", (1, 4000), scale=0.1)
    z = builder.fully_connected(w, sparse_matrix(rng, 100, 4000, 0.97), (1, 100))
    convolution, large = compress(builder.finish([x, w], [y, z]), objective="size")
    assert convolution.packed is None and large.packed


def test_limit_of_size_counts_the_time_of_all_layers_that_share_weights():
    rng = np.random.default_rng(2)
    builder = Builder()
    matrix = sparse_matrix(rng, 48, 144, 0.6)
    shared = builder.tensor("shared", (48, 3, 3, 16), data=matrix, scale=0.01)
    inputs, outputs = [], []
    for scale in np.linspace(0.1, 0.2, 8):
        inputs.append(builder.tensor("x", (1, 12, 12, 16), scale=float(scale)))
        outputs.append(builder.conv_2d(inputs[-1], shared, filter_size=(3, 3)))
    inputs.append(builder.tensor("w", (1, 6000), scale=0.1))
    outputs.append(builder.fully_connected(inputs[-1], sparse_matrix(rng, 300, 6000, 0.97), (1, 300)))
    model = builder.finish(inputs, outputs)
    decisions = compress(model, objective="size")
    dense = sum(decision.kept.time for decision in decisions)
    group = decisions[:-1]
    added = sum(d.candidate.estimate.time - d.candidate.estimate.dense_time for d in group if d.candidate)
    saved = matrix.nbytes - group[0].packed.streams.nbytes if group[0].packed else 0
    assert added <= 100 * dense * saved / (matrix.nbytes + 300 * 6000)

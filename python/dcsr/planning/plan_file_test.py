"""Tests reading and writing of plan files."""

import numpy as np
import pytest

from dcsr import compressing, encodings
from dcsr import model as tflite
from dcsr.planning import cost, plan_file
from dcsr.planning.choice import Decision
from dcsr.planning.settings import OBJECTIVES
from dcsr.schema import schema
from dcsr.testing.models import Builder, conv_model, sparse_matrix, three_convolutions, unrolled_lstm
from dcsr.testing.round_trip import UNBOUNDED, through_bytes


@pytest.fixture(name="model")
def _model() -> schema.ModelT:
    return through_bytes(three_convolutions())


def write(tmp_path, text: str) -> str:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return str(path)


def compress(model: schema.ModelT, **options) -> list[Decision]:
    return compressing.compress(model, "m", **(UNBOUNDED | options))[1]


@pytest.mark.parametrize("method", encodings.METHODS)
def test_plan_chooses_encoding_and_scratch_of_a_tensor(model, tmp_path, method):
    index = int(model.subgraphs[0].operators[1].inputs[1])
    path = write(
        tmp_path,
        f"version: 1\ntensors:\n- {{tensor: first/weights, method: {method}, scratch: 5000}}\n"
        f"- {{tensor: {index}, method: {method}}}\n",
    )
    first, second, _ = compress(model, plan=path, max_scratch=9000)
    assert cost.coding(first.packed.streams) in encodings.candidates(method)
    assert first.packed.scratch_budget == 5000
    # Half of the weights of the second layer are nonzero: not every encoding makes it smaller.
    assert cost.coding(second.packed.streams) in encodings.candidates(method)
    assert second.packed.scratch_budget == 9000


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_plan_packs_what_it_names(model, tmp_path, objective):
    """None of these layers saves bytes with the encoding of the plan, and the file grows."""
    methods = {"first": "dense", "second": "rle", "third": "dense"}
    lines = [f"- {{tensor: {name}/weights, method: {method}, rows: plain}}" for name, method in methods.items()]
    plan = write(tmp_path, "\n".join(["version: 1", "tensors:", *lines]))
    decisions = compress(model, plan=plan, objective=objective)
    assert [cost.coding(decision.packed.streams).split("+")[0] for decision in decisions] == list(methods.values())


def test_plan_packs_what_it_names_for_all_readers_of_a_buffer(tmp_path):
    """Two tensors have the same buffer. The plan names one, so that both layers are packed."""
    rng = np.random.default_rng(3)
    builder = Builder()
    x = builder.tensor("x", (1, 16), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng, 16, 16, 0.5), (1, 16), name="one")
    z = builder.fully_connected(y, sparse_matrix(rng, 16, 16, 0.5), (1, 16), name="two")
    model = builder.finish([x], [z])
    first, second = (model.subgraphs[0].tensors[operator.inputs[1]] for operator in model.subgraphs[0].operators)
    second.buffer = first.buffer
    second.quantization = first.quantization
    model = through_bytes(model)
    plan = write(tmp_path, "version: 1\ntensors: [{tensor: one/weights, method: rle}]")
    one, two = compress(model, plan=plan, objective="size")
    assert (one.note, two.note) == ("", "") and one.packed and two.packed


def test_plan_leaves_a_tensor_as_it_is(model, tmp_path):
    first, _, _ = compress(model, plan=write(tmp_path, "version: 1\ntensors: [{tensor: first/weights, method: none}]"))
    assert first.packed is None and first.note == "left out by the plan"


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("scratch", [None, 0, 3000])
def test_dumped_plan_makes_the_same_choices(model, tmp_path, objective, scratch):
    chosen = compress(model, objective=objective, max_scratch=scratch)
    text = plan_file.plan_text(chosen, "a title")
    for other in OBJECTIVES:
        again = compress(model, plan=write(tmp_path, text), objective=other)
        blobs = [[d.candidate and d.candidate.blob for d in decisions] for decisions in (again, chosen)]
        assert blobs[0] == blobs[1]
    # Without scratch the first layer is faster dense.
    assert (chosen[0].packed is None) == (objective == "speed" and scratch == 0)


@pytest.mark.parametrize("objective", ["size", "balanced"])
def test_dumped_plan_of_layers_with_shared_rows(tmp_path, objective):
    shared = unrolled_lstm(steps=3)
    chosen = compress(shared, objective=objective)
    assert all(decision.candidate and decision.candidate.shared_blob for decision in chosen)
    again = compress(shared, plan=write(tmp_path, plan_file.plan_text(chosen, "a title")))
    blobs = [[(d.candidate.blob, d.candidate.shared_blob) for d in decisions] for decisions in (again, chosen)]
    assert blobs[0] == blobs[1]


@pytest.mark.parametrize("rows", ["plain", "shared"])
def test_plan_decides_whether_rows_are_shared(tmp_path, rows):
    lines = [f"- {{tensor: {name}, method: rle, rows: {rows}}}" for name in ("kernel", "recurrent_kernel")]
    model = unrolled_lstm(steps=3)
    plan = write(tmp_path, "\n".join(["version: 1", "tensors:", *lines]))
    decisions = compress(model, plan=plan, smaller_only=False)
    assert {decision.packed.row_form for decision in decisions} == {rows}
    again = compress(model, plan=write(tmp_path, plan_file.plan_text(decisions, "a title")), smaller_only=False)
    assert [decision.candidate.blob for decision in again] == [decision.candidate.blob for decision in decisions]


def test_dumped_plan_holds_what_memory_decided(tmp_path):
    rng = np.random.default_rng(3)
    model = through_bytes(conv_model(rng, sparse_matrix(rng, 96, 576, 0.9), pixels=(6, 6)))
    options = {"cpu": "cortex-m55", "code": "all"}
    (cached,) = compress(model, memory="cached", **options)
    assert cached.packed.slow_gathers
    (again,) = compress(model, plan=write(tmp_path, plan_file.plan_text([cached], "a title")), **options)
    assert again.candidate.blob == cached.candidate.blob
    assert compress(model, **options)[0].candidate.blob != cached.candidate.blob


def test_plan_for_one_of_two_weight_tensors_with_shared_rows(tmp_path):
    text = "version: 1\ntensors: [{tensor: kernel, method: rle}, {tensor: recurrent_kernel, method: none}]"
    decisions = compress(unrolled_lstm(), plan=write(tmp_path, text), smaller_only=False)
    codings = [d.packed and (cost.coding(d.packed.streams), d.packed.shared is not None) for d in decisions]
    assert codings == [("rle", True), None] * 6
    assert {d.note for d in decisions} == {"", "left out by the plan"}


def test_plan_names_the_scratch_that_limits_tiles(model):
    """With less scratch there are more tiles. Each tile decodes the layer again."""
    found = [compress(model, max_scratch=scratch, method="rle")[0].candidate for scratch in (None, 4000, 0)]
    costs = [cost.costs("cortex-m4", candidate.packed, candidate.shape) for candidate in found]
    rows = len(found[0].packed.bias)
    assert costs[0].parts["conv1x1_smlal"]["row"] == rows < costs[1].parts["conv1x1_smlal"]["row"]
    assert costs[2].is_portable
    times = [cost.estimate("cortex-m4", candidate.packed, candidate.shape).instructions for candidate in found]
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
        ("version: 1\ntensors: [{tensor: 1, encoding: rle}]", "unknown key 'encoding'"),
        ("version: 1\ntensors: [{tensor: 1, rows: tiny}]", "rows are plain, compact or shared, not 'tiny'"),
        ("version: 1\ntensors: [{tensor: 1, slow_gathers: 1}]", "slow_gathers is true or false, not 1"),
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

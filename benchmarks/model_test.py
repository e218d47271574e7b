"""Tests the benchmark of whole models: every operator on emulated cores, its failures, and the tables."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import dcsr
from benchmarks import emulated, model, model_measure, model_steps, model_tables, model_tflm
from dcsr import model as tflite
from dcsr.schema import schema
from dcsr.testing.models import Builder, sparse_matrix

SMALL = "models/kws/ds_cnn_s_90.tflite"
_OP = schema.BuiltinOperator
_RELU = schema.ActivationFunctionType.RELU


def many_operators() -> bytes:
    """A model with each operator that the benchmark knows, but those of models/, in odd sizes. From float to float."""
    rng = np.random.default_rng(5)
    builder = Builder()

    def tensor(name: str, shape: tuple[int, ...], scale: float = 0.05, zero_point: int = -3) -> int:
        return builder.tensor(name, shape, scale=scale, zero_point=zero_point)

    def ints(name: str, values: list) -> int:
        return builder.tensor(name, np.shape(values), np.int32, data=np.array(values))

    source = builder.tensor("source", (1, 9, 7, 5), np.float32)
    quantised = tensor("quantised", (1, 9, 7, 5), 0.1, 4)
    builder.operator(_OP.QUANTIZE, [source], [quantised])
    again = tensor("again", (1, 9, 7, 5))
    builder.operator(_OP.QUANTIZE, [quantised], [again])
    padded = tensor("padded", (1, 12, 8, 5))
    builder.operator(_OP.PAD, [again, ints("pads", [[0, 0], [1, 2], [0, 1], [0, 0]])], [padded], schema.PadOptionsT())
    pooled = tensor("pooled", (1, 6, 4, 5))
    pooling = schema.Pool2DOptionsT(
        padding=schema.Padding.SAME, strideH=2, strideW=2, filterHeight=3, filterWidth=3, fusedActivationFunction=_RELU
    )
    builder.operator(_OP.MAX_POOL_2D, [padded], [pooled], pooling)
    scale = builder.tensor("factors", (5,), data=rng.integers(-128, 128, 5), scale=0.02, zero_point=7)
    scaled = tensor("scaled", (1, 6, 4, 5))
    builder.operator(_OP.MUL, [pooled, scale], [scaled], schema.MulOptionsT())
    added = tensor("added", (1, 6, 4, 5), 0.08, 11)
    builder.operator(_OP.ADD, [scaled, pooled], [added], schema.AddOptionsT(fusedActivationFunction=_RELU))
    more = tensor("more", (1, 6, 4, 5), 0.11, 2)
    one = builder.tensor("one", (1,), data=np.array([37]), scale=0.04, zero_point=1)
    builder.operator(_OP.ADD, [added, one], [more], schema.AddOptionsT())
    squared = tensor("squared", (1, 6, 4, 5), 0.3)
    builder.operator(_OP.MUL, [more, added], [squared], schema.MulOptionsT())
    deep = tensor("deep", (1, 4, 2, 10), 0.4)
    _depthwise(builder, rng, squared, deep)
    mean = tensor("mean", (1, 10), 0.3, -8)
    builder.operator(_OP.MEAN, [deep, ints("axes", [1, 2])], [mean], schema.ReducerOptionsT())
    flat = tensor("flat", (1, 1, 10), 0.3, -8)
    builder.operator(_OP.RESHAPE, [mean, ints("shape", [1, 1, 10])], [flat], schema.ReshapeOptionsT())
    largest = tensor("largest", (1, 10), 0.3, -8)
    builder.operator(_OP.REDUCE_MAX, [flat, ints("axis", [1])], [largest], schema.ReducerOptionsT())
    likely = tensor("likely", (1, 10), 1 / 256, -128)
    builder.operator(_OP.SOFTMAX, [largest], [likely], schema.SoftmaxOptionsT(beta=1.0))
    result = builder.tensor("result", (1, 10), np.float32)
    builder.operator(_OP.DEQUANTIZE, [likely], [result])
    maximum = builder.tensor("maximum", (1,), np.float32)
    builder.operator(_OP.REDUCE_MAX, [result, ints("last", [1])], [maximum], schema.ReducerOptionsT())
    return tflite.serialize(builder.finish([source], [result, maximum]))


def _depthwise(builder: Builder, rng: np.random.Generator, source: int, target: int) -> None:
    """A dilated DEPTHWISE_CONV_2D without padding and without bias, with two filters for each channel."""
    weights = builder.tensor(
        "weights",
        (1, 2, 3, 10),
        data=rng.integers(-127, 128, (1, 2, 3, 10)),
        scale=rng.uniform(0.001, 0.01, 10),
        axis=3,
    )
    bias = builder.tensor("bias", (10,), np.int32, data=rng.integers(-999, 999, 10), scale=np.full(10, 0.001))
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.VALID, strideH=1, strideW=1, depthMultiplier=2, dilationHFactor=2, dilationWFactor=1
    )
    builder.operator(_OP.DEPTHWISE_CONV_2D, [source, weights, bias], [target], options)


def with_unknown_operator() -> bytes:
    """A sparse FULLY_CONNECTED, then a TANH, which the benchmark does not know."""
    rng = np.random.default_rng(2)
    builder = Builder()
    source = builder.tensor("source", (1, 300), scale=0.1)
    product = builder.fully_connected(source, sparse_matrix(rng, 20, 300, 0.9), (1, 20))
    result = builder.tensor("result", (1, 20), scale=1 / 128)
    builder.operator(_OP.TANH, [product], [result])
    return tflite.serialize(builder.finish([source], [result]))


@pytest.fixture(name="small", params=["m4", "m55"], scope="module")
def measured_small(request):
    return model_measure.compare("small", *model.pair(SMALL, request.param), request.param)


def test_small_model_is_measured(small):
    """The firmware compares each output with the interpreter's, so the numbers are of right results."""
    dense, compressed = small.dense, small.compressed
    assert [one.operator.name.removeprefix("DCSR_") for one in compressed.operators] == [
        one.operator.name for one in dense.operators
    ]
    packed = [one for one in compressed.operators if one.operator.name.startswith("DCSR_")]
    assert packed and all(one.kernel and one.cost.start_up > one.cost.persistent > 0 for one in packed)
    assert compressed.start_up == sum(one.cost.start_up for one in packed)
    assert dense.start_up == 0
    # 64 x 64 x 125 products, at most 16 in an instruction, and on an M4 at least one in four.
    convolutions = [one for one in dense.operators if one.operator.shape == (1, 25, 5, 64)]
    assert all(one.cost.inference > 64 * 125 for one in convolutions)
    assert small.totals()[1] < small.totals()[0]
    assert compressed.code_bytes > dense.code_bytes > 0
    assert dense.arena_bytes >= 2 * 25 * 5 * 64


def test_two_runs_are_equal(small):
    core = small.core
    assert model_measure.compare("small", *model.pair(SMALL, core), core) == small


def test_table_has_a_row_for_each_operator_and_the_sum(small):
    lines = model_tables.tables(small)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert len({len(row) for row in rows}) == 1
    numbers = [[int(row[column].replace(",", "")) for row in rows[1:]] for column in (3, 4)]
    for column in numbers:
        assert sum(column[:-1]) == column[-1]
    assert any("custom ops, with validation" in line for line in lines)
    assert not any("lack" in line for line in lines)


def test_all_operators_give_the_interpreters_outputs():
    content = many_operators()
    for core in ("m0plus", "m4", "m55"):
        found = model_measure.compare("many", content, content, core)
        assert [one.operator.name for one in found.dense.operators if one.cost is None] == []
        assert all(one.cost.inference > 5 for one in found.dense.operators)


def test_every_kind_of_step_is_tested():
    kinds = set()
    for content in (many_operators(), Path(SMALL).read_bytes()):
        values = model_measure.capture(content, "m", model_measure.samples(content, "m"))
        kinds |= {one.step.kind for one in model_steps.operators(tflite.parse(content, "m"), values)}
    assert kinds == {kind for kind in model_steps.KINDS if not kind.startswith("DCSR_")}


def test_unknown_operator_is_left_out_and_named():
    content = with_unknown_operator()
    compressed = dcsr.compress(content, objective="size", cpu="cortex-m4").model
    found = model_measure.compare("unknown", content, compressed, "m4")
    assert [one.cost is None for one in found.dense.operators] == [False, True]
    lines = model_tables.tables(found)
    assert "| 1 TANH | 20 |  | - | - | - |" in lines
    assert "**The totals lack operators:** 1 TANH (is not among the operators of this benchmark)." in lines
    numbers = model_tables.as_json(found)
    assert numbers["dense"]["lacks_operators"] == [1]
    assert "instructions" not in numbers["dense"]["operators"][1]


def test_operator_without_cost_on_one_side_is_in_no_total(small):
    first, *others = small.dense.operators
    dense = dataclasses.replace(small.dense, operators=(dataclasses.replace(first, cost=None, reason="why"), *others))
    lacking = dataclasses.replace(small, dense=dense)
    assert lacking.totals() == (
        small.totals()[0] - first.cost.inference,
        small.totals()[1] - small.compressed.operators[0].cost.inference,
    )
    assert "**The totals lack operators:** 0 CONV_2D (why)." in model_tables.tables(lacking)


def test_wrong_output_is_an_error_with_the_operators_name(monkeypatch):
    content = with_unknown_operator()
    right = model_steps.operators

    def changed(*arguments):
        first, *others = right(*arguments)
        output = bytes([first.step.output[0] ^ 1]) + first.step.output[1:]
        return [dataclasses.replace(first, step=dataclasses.replace(first.step, output=output)), *others]

    monkeypatch.setattr(model_steps, "operators", changed)
    with pytest.raises(emulated.FirmwareError, match="operator 0 FULLY_CONNECTED: output byte 0 is"):
        model_measure.compare("unknown", content, content, "m4")


def test_damaged_packed_layer_is_an_error():
    content = with_unknown_operator()
    compressed = dcsr.compress(content, objective="size", cpu="cortex-m4").model
    parsed = tflite.parse(compressed, "damaged")
    inputs = model_measure.samples(content, "m")
    first = model_steps.operators(parsed, model_measure.capture(compressed, "m", inputs))[0]
    sections = (first.step.sections[0], b"\0" * len(first.step.sections[1]))
    job = model_steps.job([dataclasses.replace(first.step, sections=sections)])
    with pytest.raises(emulated.FirmwareError, match="operator 0 DCSR_FULLY_CONNECTED cannot be run"):
        emulated.run("m4", model_measure.firmware("m4"), job, with_cycles=False)


def test_other_outputs_of_the_compressed_model_are_an_error():
    content = with_unknown_operator()
    other = bytearray(content)
    parsed = tflite.parse(content, "m")
    weights = bytes(parsed.buffers[parsed.subgraphs[0].tensors[1].buffer].data)
    at = content.index(weights)
    other[at : at + len(weights)] = bytes(len(weights))
    with pytest.raises(dcsr.ModelError, match="output 0 of the compressed model differs"):
        model_measure.compare("unknown", content, bytes(other), "m4")


@pytest.mark.parametrize("core", ["m4", "m55"])
def test_cycles_are_of_the_same_operators(core):
    pair = model.pair(SMALL, core)
    found = model_measure.compare("small", *pair, core, with_cycles=True)
    plain = model_measure.compare("small", *pair, core)
    assert found.totals() == plain.totals()
    assert found.totals("dtcm")[0] == sum(one.cost.cycles["dtcm"] for one in found.dense.operators)
    for one in (*found.dense.operators, *found.compressed.operators):
        assert 0.5 < one.cost.cycles["dtcm"] / one.cost.inference < 4
        assert one.cost.cycles["cached"] >= one.cost.cycles["dtcm"]
    titles = next(line for line in model_tables.tables(found) if line.startswith("| operator"))
    assert ("dense cycles, DTCM" in titles and "compressed cycles, cached" in titles) == (core == "m55")


def test_compressed_model_is_compared_with_its_original(tmp_path, capsys):
    path = tmp_path / "small.dcsr.tflite"
    path.write_bytes(model.pair(SMALL, "m4", objective="speed")[1])
    arguments = ["--cpu", "m4", "--cpu", "m0plus", "--json", str(tmp_path / "numbers.json")]
    assert model.main([str(path), *arguments]) == 0
    output = capsys.readouterr().out
    assert "### small.dcsr, Cortex-M4\n" in output and "### small.dcsr, Cortex-M0+\n" in output
    overview = output.split("### All models\n")[1].split("\n")
    assert [row.split(" | ")[:2] for row in overview if row.startswith("| small")] == [
        ["| small.dcsr", "Cortex-M4"],
        ["| small.dcsr", "Cortex-M0+"],
    ]
    assert len({row.count("|") for row in overview if row}) == 1
    [numbers, _] = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["compressed"]["file_bytes"] == path.stat().st_size
    expected = model_measure.compare("small", *model.pair(SMALL, "m4", objective="speed"), "m4")
    assert (numbers["dense"]["instructions"], numbers["compressed"]["instructions"]) == expected.totals()


def test_removed_operators_have_rows_of_their_own(small):
    dense, compressed = small.dense, small.compressed
    shorter = dataclasses.replace(compressed, operators=compressed.operators[:3] + compressed.operators[4:])
    pairs = dataclasses.replace(small, compressed=shorter).pairs
    assert len(pairs) == len(dense.operators)
    assert [one for one, other in pairs if other is None] == [dense.operators[3]]
    assert all(one.operator.name == other.operator.name.removeprefix("DCSR_") for one, other in pairs if other)


def test_models_in_tflms_interpreter(monkeypatch):
    """Without TFLM: the firmware's output is made up."""
    elf = model_measure.firmware("m4")
    original, compressed = model.pair(SMALL, "m4")
    count = len(tflite.parse(original, "m").subgraphs[0].operators)
    jobs = []

    def run(_core, _elf, job, _with_cycles):
        jobs.append(job)
        lines = [f"tflm: {i} {1000 + i} {100 * count + 7 + i} {5000 - i} {count}\n" for i in range(2)]
        lines += [f"operator: {i} {position} {100 - i}\n" for i in range(2) for position in range(count)]
        return "".join(lines).encode(), iter(())

    monkeypatch.setattr(emulated, "run", run)
    monkeypatch.setattr(model_tflm, "firmware", lambda _core: elf)
    monkeypatch.setattr(model_measure, "custom_code_bytes", lambda *_, **__: 44)
    found = model_tflm.compare("small", original, compressed, "m4")
    assert found.totals() == (100 * count + 7, 100 * count + 8)
    assert (found.dense.start_up, found.compressed.start_up) == (1000, 1001)
    assert jobs[0].count(original) == jobs[0].count(compressed) == 1
    lines = model_tables.tables(found)
    assert f"| interpreter |  |  | 7 | {count + 8} | {(count + 8) / 7:.3f} |" in lines
    assert "- Arena of TFLM's interpreter: 5,000 -> 4,999 bytes" in lines

    monkeypatch.setattr(emulated, "run", lambda *_: (b"tflm: 0 1 2 3 4\n", iter(())))
    with pytest.raises(emulated.FirmwareError, match="1 of 2 models were measured"):
        model_tflm.compare("small", original, compressed, "m4")

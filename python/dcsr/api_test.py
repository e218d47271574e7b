"""Tests the functions of `import dcsr`."""

import numpy as np
import pytest

import dcsr
from dcsr import html_report, report
from dcsr import model as tflite
from dcsr.cli import compress as cli
from dcsr.planning import linking
from dcsr.testing.models import (
    Builder,
    SparseLayout,
    fully_connected_model,
    sparse_matrix,
    three_convolutions,
    with_sparse_weights,
)
from dcsr.testing.round_trip import UNBOUNDED


@pytest.fixture(autouse=True)
def _code_does_not_count(monkeypatch):
    """The models are so small that they would stay dense for the code of the ops."""
    monkeypatch.setattr(linking, "with_few_parts", lambda model, layers, settings, plan, fit, grows: fit(settings))


@pytest.fixture(name="data", scope="module")
def _data() -> bytes:
    return tflite.serialize(three_convolutions())


@pytest.fixture(name="result", scope="module")
def _result(data) -> dcsr.Result:
    return dcsr.compress(data, **UNBOUNDED)


def test_bytes_and_paths_give_the_same(data, result, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    for model in (path, str(path)):
        again = dcsr.compress(model, **UNBOUNDED)
        assert again.model == result.model and again.name == str(path)
        assert [done.name for done in again.passes] == ["pack"]
    assert result.name == "model" and result.original == data
    assert (result.bytes_before, result.bytes_after) == (len(data), len(result.model))


def test_printed_result_is_what_the_command_prints(data, tmp_path, capsys):
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    assert cli.main([str(path), "-o", str(tmp_path / "o.tflite")]) == 0
    result = dcsr.compress(path)
    assert (tmp_path / "o.tflite").read_bytes() == result.model
    assert capsys.readouterr().out.startswith(f"{result}\ncheck it:")
    assert repr(result) == str(result)


def test_rows_and_totals(result):
    first, second, third = result.layers
    assert first.name == "first/weights" and (first.rows, first.cols) == (96, 64)
    assert second.layer_bytes is None and second.note
    totals = result.totals
    assert totals.dense_bytes == first.dense_bytes + third.dense_bytes
    assert totals.packed_bytes == first.packed_bytes + third.packed_bytes
    assert totals.other_instructions == second.dense_instructions
    assert totals.scratch_bytes == max(first.scratch_bytes, third.scratch_bytes)


def test_passes_say_what_they_did(result, data):
    assert [len(done.changes) for done in result.passes] == [2]
    assert "'first/weights' as " in str(result.passes[0]) and result.passes[0].can_be_undone
    rng = np.random.default_rng(0)
    sparse = with_sparse_weights(fully_connected_model(rng, sparse_matrix(rng, 64, 128, 0.9)), SparseLayout())
    stripped = dcsr.compress(tflite.serialize(sparse), strip=True, **UNBOUNDED)
    assert [(done.name, done.can_be_undone) for done in stripped.passes] == [
        ("densify", False),
        ("dead_channels", False),
        ("pack", True),
        ("strip", False),
    ]
    # The rows of a layer that writes an output stay.
    assert [bool(done.changes) for done in stripped.passes] == [True, False, True, True]


def test_decompress_and_inspect(data, result):
    assert dcsr.decompress(result.model) == data
    inspection = dcsr.inspect(result.model)
    assert [row.packed_bytes for row in inspection.layers] == [row.packed_bytes for row in result.layers]
    assert inspection.totals == result.totals
    assert str(inspection).endswith("\n".join(inspection.summary())) and repr(inspection) == str(inspection)
    assert dcsr.inspect(data, cpu="cortex-m4").totals.packed_bytes == 0


def test_verify(data, result):
    verification = dcsr.verify(data, result.model, samples=3)
    assert verification.identical and verification.difference == "" and verification.samples == 3
    assert str(verification).startswith("identical: 3 samples, every bit of every output\narena ")
    other = tflite.parse(data, "m")
    output = other.subgraphs[0].tensors[other.subgraphs[0].outputs[0]]
    output.quantization.zeroPoint = output.quantization.zeroPoint + 1
    verification = dcsr.verify(data, tflite.serialize(other), 2, 1)
    assert not verification.identical and "output 0" in verification.difference
    assert str(verification).startswith("different: sample 0, output 0: ")


def test_verify_on_given_inputs(data, result, tmp_path):
    x = np.zeros((4, 1, 10, 10, 64), np.int8)
    assert dcsr.verify(data, result.model, inputs={"x": x}).samples == 4
    # The leading 1 of the model may be left out, as for `prune`.
    assert dcsr.verify(data, result.model, inputs={"x": x[:, 0]}).samples == 4
    np.savez(tmp_path / "x.npz", x=x)
    assert dcsr.verify(data, result.model, inputs=tmp_path / "x.npz").samples == 4
    with pytest.raises(dcsr.ModelError, match="^inputs: input 'x' wants int8"):
        dcsr.verify(data, result.model, inputs={"x": x.astype(np.int16)})


def test_plan_makes_the_same_model(data, result, tmp_path):
    (tmp_path / "plan.yaml").write_text(result.plan())
    assert dcsr.compress(data, plan=tmp_path / "plan.yaml", objective="size", **UNBOUNDED).model == result.model


def test_progress_sees_the_layers(data, result):
    seen = []
    assert dcsr.compress(data, progress=lambda layers: seen.extend(layers) or layers, **UNBOUNDED).model == result.model
    assert len(seen) == 3


@pytest.mark.parametrize(
    "options,text",
    [
        ({"method": "best"}, "unknown method 'best'; known are auto, "),
        ({"objective": "small"}, "unknown objective 'small'; known are balanced, size, speed"),
        ({"cpu": "cortex-m99"}, "unknown cpu 'cortex-m99'; known are cortex-m0plus, "),
        ({"min_sparsity": 60}, "min_sparsity 60 is not between 0 and 1"),
        ({"max_scratch": -1}, "max_scratch -1 is no number of bytes"),
    ],
)
def test_wrong_arguments(data, options, text):
    with pytest.raises(ValueError, match="^" + text):
        dcsr.compress(data, **options)


def test_errors_name_the_model(tmp_path):
    for call in (dcsr.compress, dcsr.decompress, dcsr.inspect):
        with pytest.raises(dcsr.ModelError, match="^model: not a TFLite model"):
            call(b"no model at all")
        with pytest.raises(dcsr.ModelError, match="none.tflite: No such file"):
            call(tmp_path / "none.tflite")
    with pytest.raises(dcsr.ModelError, match="^mine: not a TFLite model"):
        dcsr.decompress(b"no model at all", name="mine")
    with pytest.raises(dcsr.ModelError, match="^original: not a TFLite model"):
        dcsr.verify(b"no model at all", b"neither")


def test_matrices():
    matrix = sparse_matrix(np.random.default_rng(1), 20, 50, 0.9)
    streams = dcsr.encode(matrix, "rice")
    assert isinstance(streams, dcsr.Streams) and streams.nbytes < matrix.nbytes
    np.testing.assert_array_equal(dcsr.decode(streams), matrix)


def test_interpreter(data, result):
    interpreter = dcsr.Interpreter.from_bytes(result.model)
    interpreter.set_input(np.zeros((1, 10, 10, 64), np.int8), 0)
    interpreter.invoke()
    assert interpreter.get_output(0).shape == (1, 10, 10, 64)


def test_removed_channels_are_reported():
    rng = np.random.default_rng(4)
    builder = Builder()
    x = builder.tensor("x", (1, 40), scale=0.1)
    y = builder.fully_connected(
        x, sparse_matrix(rng, 64, 40, 0.5), (1, 64), name="first", weight_scale=np.full(64, 0.01)
    )
    last = sparse_matrix(rng, 48, 64, 0.9)
    last[:, 8:40] = 0
    z = builder.fully_connected(y, last, (1, 48), name="last", weight_scale=np.full(48, 0.01))
    data = tflite.serialize(builder.finish([x], [z]))
    result = dcsr.compress(data, method="none", dead_channels=True)
    first, second = result.layers
    left = first.removed.channels_after
    assert 8 < left <= 32 and (first.rows, second.cols) == (left, left)
    assert (second.removed.inputs_before, second.removed.inputs_after) == (64, left)
    assert first.removed.bytes_before - first.removed.bytes_after == (64 - left) * 40
    assert f"dead channels: {64 - left} removed from the layers" in str(result)
    assert f"64x40 > {left}x40" in str(result) and "decompress" not in str(result)
    assert dcsr.verify(data, result.model, samples=3).identical
    total = (64 - left) * (40 + 48)
    assert report.as_json(result.layers)["layers"][0]["removed"]["channels_before"] == 64
    page = html_report.Page("m", result.cpu, result.objective, [1, 1], [None, None])
    html = html_report.render(page, result.layers)
    assert "<h2>Dead channels</h2>" in html and f"with {total:,} bytes of constants" in html
    packed = dcsr.compress(data, dead_channels=True, objective="size", **UNBOUNDED)
    assert "decompress will give back the model without its dead channels" in str(packed)
    assert dcsr.decompress(packed.model) == result.model
    again = dcsr.compress(result.model, method="none", dead_channels=True)
    assert again.model == result.model and "dead channels: none" in str(again)
    assert "Dead channels" not in html_report.render(page, again.layers)

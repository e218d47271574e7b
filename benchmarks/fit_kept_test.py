"""Tests the fit of the constants of operators that stay in TFLM."""

import json

import pytest

from benchmarks import fit_kept, kept_operators
from dcsr import layers
from dcsr import model as tflite
from dcsr.planning import cost, kept, workload


def operator_counts(model: tflite.schema.ModelT, cpu: str) -> list:
    found = {layer.position: layer for layer in layers.find(model)}
    return [
        kept.layer_counts(cpu, workload.dense_work(model, found[position]))
        if position in found
        else kept.other_counts(model, 0, operator)
        for position, operator in enumerate(model.subgraphs[0].operators)
    ]


@pytest.mark.parametrize("core", ["m55", "m3"])
def test_fit_finds_the_constants_that_made_the_counts(core, tmp_path, capsys):
    """Every operator has an estimate, so that the present constants can stand in for a measurement."""
    cpu = f"cortex-{core}"
    entries = []
    for name, build in kept_operators.MODELS.items():
        content = build()
        (tmp_path / f"{name}.tflite").write_bytes(content)
        model = tflite.parse(content, name)
        operators = []
        for counts in operator_counts(model, cpu):
            estimate = kept._estimate(cpu, counts)
            operators.append({"instructions": estimate.instructions, "cycles": {"dtcm": estimate.cycles}})
        entries.append({"model": name, "core": core, "dense_kernels": "CMSIS-NN", "dense": {"operators": operators}})
    (tmp_path / "counted.json").write_text(json.dumps(entries))
    output = tmp_path / "constants.json"
    other = {"cortex-m4": {"instructions": {"copy": {"layer": 7}}}}
    output.write_text(json.dumps(other))
    arguments = [str(tmp_path / "counted.json"), "--models", str(tmp_path), "-o", str(output)]
    assert fit_kept.main(arguments) == 0
    found = json.loads(output.read_text())
    assert found["cortex-m4"] == other["cortex-m4"]
    for entry in entries:
        model = tflite.read(tmp_path / f"{entry['model']}.tflite")
        for counts, measured in zip(operator_counts(model, cpu), entry["dense"]["operators"], strict=True):
            estimate = cost.time(found[cpu]["instructions"], counts)
            assert estimate == pytest.approx(measured["instructions"], rel=0.02)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| core | operator | count |")
    assert any(line.startswith(f"| {cpu} | pointwise | ") for line in lines)

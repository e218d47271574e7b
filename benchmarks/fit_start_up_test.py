"""Tests the fit of the constants of the start-up."""

import json

import pytest

from benchmarks import fit_start_up, start_up_models
from dcsr import compressing, layers
from dcsr import model as tflite
from dcsr.planning import start_up


def test_fit_finds_the_constants_that_made_the_counts(tmp_path, capsys):
    """The present constants stand in for a measurement. A core that was not counted keeps its constants."""
    cpu = "cortex-m55"
    entries = []
    for name, content in list(start_up_models.models())[::3]:
        (tmp_path / f"{name}.tflite").write_bytes(content)
        model = tflite.parse(content, name)
        packed = layers.is_compressed(model)
        dense = compressing.decompress(model, name) if packed else model
        counts = [fit_start_up.dense_counts(dense, cpu)]
        counts += [fit_start_up.packed_counts(model, dense, cpu)] if packed else []
        sides = [{"start_up_instructions": start_up.instructions(cpu, one)} for one in counts]
        entries.append(
            {"model": name, "core": "m55", "dense_kernels": "CMSIS-NN", "dense": sides[0], "compressed": sides[-1]}
        )
    assert {bool(entry["dense"] is entry["compressed"]) for entry in entries} == {False, True}
    (tmp_path / "counted.json").write_text(json.dumps(entries))
    output = tmp_path / "constants.json"
    other = {"cortex-m4": {"DCSR": {"layer": 7}}}
    output.write_text(json.dumps(other))
    assert fit_start_up.main([str(tmp_path / "counted.json"), "--models", str(tmp_path), "-o", str(output)]) == 0
    found = json.loads(output.read_text())
    assert found["cortex-m4"] == other["cortex-m4"]
    for part in ("rice", "dcsr4", "huffman"):
        for count, value in start_up._constants()[cpu][part].items():
            assert found[cpu][part][count] == pytest.approx(value, rel=0.05, abs=0.5)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"| {cpu} | ") and line.endswith(" 0.0% | 0.0% | 0.0% |")

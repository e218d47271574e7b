"""Tests the reading of what `model --json` counted."""

import json

import pytest

from benchmarks import counted
from dcsr import model as tflite
from dcsr.testing.models import three_convolutions


def arguments_of(folder, *entries):
    (folder / "counted.json").write_text(json.dumps(entries))
    arguments = [str(folder / "counted.json"), "--models", str(folder), "-o", str(folder / "constants.json")]
    return counted.parser("fit", "Fits.", "").parse_args(arguments)


def test_entries_come_with_core_and_model(tmp_path):
    content = tflite.serialize(three_convolutions())
    (tmp_path / "m.tflite").write_bytes(content)
    entry = {"model": "m", "core": "m4", "dense_kernels": "CMSIS-NN"}
    ((cpu, model, found),) = counted.entries(arguments_of(tmp_path, entry))
    assert cpu == "cortex-m4" and tflite.serialize(model) == content and found == entry


def test_counts_with_other_kernels_are_refused(tmp_path):
    arguments = arguments_of(tmp_path, {"model": "m", "core": "m4", "dense_kernels": "own"})
    with pytest.raises(tflite.ModelError, match="counted.json: was not counted with CMSIS-NN"):
        list(counted.entries(arguments))


def test_a_new_file_has_no_constants(tmp_path):
    arguments = arguments_of(tmp_path)
    assert counted.present(arguments) == {}
    arguments.output.write_text('{"cortex-m4": {}}')
    assert counted.present(arguments) == {"cortex-m4": {}}

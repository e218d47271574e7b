"""Tests the README generated from recorded results, and that models/README.md is up to date."""

import json
from pathlib import Path

import pytest

from training import model_cards
from training.errors import InputError


def write(folder, name, sparsity, int8, sizes):
    network = "_".join(name.split("_")[:-1])
    (folder / network[:6]).mkdir(exist_ok=True)
    result = {
        "name": name,
        "network": network,
        "dataset": "synthetic_speech",
        "test_samples": 100,
        "seed": 1,
        "cpu_seconds": 120,
        "command": f"bazel run //python:train_kws -- {name}",
        "target_sparsity": sparsity,
        "accuracy": {"dense_float": 0.9, "int8": int8, **({} if sparsity is None else {"pruned_float": 0.88})},
        "bytes": dict(zip(("before", "balanced", "size"), sizes, strict=True)),
        "sparsity": {"all_weights": sparsity or 0},
    }
    (folder / network[:6] / f"{name}.json").write_text(json.dumps(result))
    (folder / network[:6] / f"{name}.tflite").write_bytes(bytes(sizes[0]))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "ds_cnn_l_90", 0.9, 0.96, (400, 150, 140))
    write(tmp_path, "ds_cnn_l_dense", None, 0.97, (400, 401, 401))
    write(tmp_path, "ds_cnn_s_dense", None, 0.93, (90, 91, 91))
    return tmp_path


def test_readme_has_a_line_for_each_model_in_order(folder):
    assert model_cards.main([str(folder)]) == 0
    lines = (folder / "README.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| [")]
    assert [row.split("]")[0][3:] for row in rows] == [
        "ds_cnn/ds_cnn_s_dense.tflite",
        "ds_cnn/ds_cnn_l_dense.tflite",
        "ds_cnn/ds_cnn_l_90.tflite",
    ]
    assert "| 90 % | 90.0 % | 88.0 | **96.0** | 400 | 150 | 140 |" in rows[2]
    assert "| dense | 0.0 % | 90.0 | **97.0** | 400 |  |  |" in rows[1]
    assert (folder / model_cards.PICTURE).read_bytes().startswith(b"\x89PNG")


def test_curves_take_what_a_model_costs(folder):
    assert model_cards.curves(model_cards.read_results(folder)) == {
        "dense S, M, L": [(90, 0.93, "S"), (400, 0.97, "L")],
        "sparse L": [(140, 0.96, "90 %")],
    }


def test_model_that_is_not_the_recorded_one_is_refused(folder):
    (folder / "ds_cnn" / "ds_cnn_l_90.tflite").write_bytes(b"other")
    with pytest.raises(InputError, match="ds_cnn_l_90.json: tells of 400 bytes, the model has 5"):
        model_cards.main([str(folder)])


def test_folder_without_models_is_refused(tmp_path):
    with pytest.raises(InputError, match="no NAME.json"):
        model_cards.main([str(tmp_path)])


def test_readme_of_the_repository_is_up_to_date():
    folder = Path("models")
    tail = (folder / "README.tail.md").read_text()
    assert (folder / "README.md").read_text() == model_cards.text(model_cards.read_results(folder), "\n" + tail)

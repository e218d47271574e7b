"""Tests evaluate with models of the repository and artificial test sets."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dcsr import compressing, runtime
from dcsr import model as tflite
from training import calibration, evaluate, measuring
from training.data import load
from training.data.images import ImageData
from training.data.keywords import KeywordData
from training.errors import InputError

MODEL = Path("models/kws/ds_cnn_s_90.tflite")
CLIPS = Path("models/kws/keyword_clips.npz")


@pytest.fixture(autouse=True)
def samples(monkeypatch):
    """Replaces the test set by the recorded clips of held-out voices, one per class."""
    details = runtime.Interpreter.from_file(MODEL).get_input_details(0)["quantization_parameters"]
    with np.load(CLIPS) as archive:
        inputs = (archive["clips"].astype(np.float32) - details["zero_points"][0]) * details["scales"][0]
    labels = np.arange(12)
    data = KeywordData(inputs, labels, inputs, (inputs, labels), (inputs, labels), None)
    monkeypatch.setattr(load, "keywords", lambda *arguments: (data, "sha256"))
    return inputs, labels


def run(*arguments):
    return evaluate.main([*map(str, arguments), "--dataset", "synthetic_speech"])


def test_accuracy_and_confusion_are_printed_and_drawn(tmp_path, capsys, samples):
    inputs, labels = samples
    right = measuring.accuracy(measuring.outputs(MODEL.read_bytes(), inputs, "model"), labels)
    assert right > 0.9  # only correctly classified clips were recorded
    assert run(MODEL, "--png", tmp_path / "confusion.png") == 0
    out = capsys.readouterr().out
    assert f"accuracy {right:.4f} on {len(labels)} samples of synthetic_speech, test" in out
    assert out.splitlines()[1].startswith("down")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_compressed_model_answers_the_same(tmp_path, capsys):
    compressed, decisions, *_ = compressing.compress(tflite.read(MODEL), str(MODEL))
    assert any(decision.packed for decision in decisions)
    path = tmp_path / "small.tflite"
    path.write_bytes(tflite.serialize(compressed))
    assert run(path, "--against", MODEL) == 0
    assert "identical: every bit" in capsys.readouterr().out


def test_other_models_answer_is_told_apart(tmp_path, capsys):
    model = tflite.read(MODEL)
    [bias] = [buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data) == 4 * 12]
    bias.data = np.roll(np.asarray(bias.data).view(np.int32) + 500, 1).view(np.uint8)
    other = tmp_path / "other.tflite"
    other.write_bytes(tflite.serialize(model))
    assert run(other, "--against", MODEL) == 1
    printed = capsys.readouterr().out
    assert "different: " in printed and "another class for " in printed
    assert f"{MODEL}: accuracy " in printed


def test_confusion_counts_labels_in_rows():
    answers = np.array([[9, 1], [9, 1], [1, 9]])
    assert measuring.confusion(answers, np.array([0, 1, 1]), 2).tolist() == [[1, 0], [1, 1]]


def test_recorded_samples_are_the_models_inputs(tmp_path, capsys):
    assert run(MODEL, "--record", tmp_path / "samples.npz") == 0
    with np.load(tmp_path / "samples.npz") as new, np.load(CLIPS) as old:
        np.testing.assert_array_equal(new["inputs"], old["clips"])
    assert (tmp_path / "samples.h").read_text().count("\n    // ") == 12


def test_training_images_are_inputs_of_prune(monkeypatch):
    rng = np.random.default_rng(0)
    training, test = ((rng.integers(0, 256, (n, 32, 32, 1), np.uint8), np.arange(n)) for n in (50, 5))
    pictures = ImageData(training, test, test, 1, 2, True)
    monkeypatch.setattr(load, "image_set", lambda *arguments: (pictures, "sha256"))
    inputs, labels = calibration.DATASETS["fashion_mnist"]((1, 32, 32, 1))
    np.testing.assert_array_equal(inputs, training[0][labels].astype(np.float32) / 127.5 - 1)
    with pytest.raises(tflite.ModelError, match=r"its samples are \[32, 32, 1\], the model takes \[28, 28, 1\]"):
        calibration.DATASETS["fashion_mnist"]((1, 28, 28, 1))


def test_model_for_other_inputs_is_refused():
    with pytest.raises(InputError, match=r"takes inputs of \[28, 28, 1\], those of synthetic_speech are \[49, 10, 1\]"):
        run("models/fashion_dscnn_90.tflite")


def test_split_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="second_test: synthetic_speech has none"):
        run(MODEL, "--split", "second_test")


def test_data_that_only_training_can_fetch_are_said_to_be(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(InputError, match=f"speech_commands: not in {tmp_path} yet, .* --dataset speech_commands"):
        evaluate.main([str(MODEL), "--dataset", "speech_commands", "--cache", str(tmp_path)])


def test_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(tflite.ModelError, match="model.tflite"):
        run(path)

"""Tests train_kws end to end on a tiny set of synthetic speech: output files, resuming, and usage errors."""

import json
import os
import signal

import numpy as np
import pytest

from dcsr import layers as layer_finder
from dcsr import model as tflite
from training import fitting, train_kws
from training.data import load, synthetic_speech
from training.errors import InputError

SIZE = synthetic_speech.Size(variants=2, accents=1, keyword_takes=4, other_words=8, noises=20, flite_takes=1)
STAGES = ("dense", "prune", "retrain")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def arguments(output, cache, *more):
    common = ["--output", str(output), "--cache", str(cache), "--dataset", "synthetic_speech", "--threads", "1"]
    return [*common, "-a", "s", "-s", "0.9", "-e", "2", "-p", "3", "-r", "2", *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    output = tmp_path_factory.mktemp("output")
    assert train_kws.main(arguments(output, cache), SIZE) == 0
    return output


def test_run_leaves_sparse_and_compressed_model(finished):
    results = json.loads((finished / "ds_cnn_s_90.json").read_text())
    assert set(results["accuracy"]) == {"dense_float", "pruned_float", "int8", "int8_second_test"}
    content = (finished / "ds_cnn_s_90.tflite").read_bytes()
    assert results["bytes"]["before"] == len(content)
    assert results["bytes"]["balanced"] == (finished / "ds_cnn_s_90.dcsr.tflite").stat().st_size < len(content)
    pruned = [
        layer.matrix
        for layer in layer_finder.find(tflite.parse(content, "model"))
        if layer.matrix is not None and layer.matrix.shape[1] == 64
    ]
    assert [matrix.shape for matrix in pruned] == [(64, 64)] * 4 + [(12, 64)]
    for matrix in pruned:
        assert np.mean(matrix == 0) > 0.898
    assert layer_finder.is_compressed(tflite.read(finished / "ds_cnn_s_90.dcsr.tflite"))
    assert not (finished / "checkpoints" / "ds_cnn_s_90").exists()


def test_mlflow_has_what_was_asked_and_found(finished):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{finished / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("ds_cnn_s")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["sparsity"] == "0.9"
    assert run.data.params["dense_epochs"] == "2"
    for stage, epochs in zip(STAGES, (2, 3, 2), strict=True):
        curve = client.get_metric_history(run.info.run_id, f"{stage}_loss")
        assert [point.step for point in curve] == list(range(1, epochs + 1))
    results = json.loads((finished / "ds_cnn_s_90.json").read_text())
    for name, value in results["accuracy"].items():
        assert run.data.metrics[f"accuracy_{name}"] == pytest.approx(value)
    for layer in ("pointwise_1", "dense", "all_weights"):
        assert f"sparsity_{layer}" in run.data.metrics
    assert run.data.metrics["bytes_before"] == results["bytes"]["before"]
    files = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert files == {"ds_cnn_s_90.tflite", "ds_cnn_s_90.dcsr.tflite", "ds_cnn_s_90.json"}


def test_terminated_run_is_listed_as_killed_and_goes_on(tmp_path, cache, finished, monkeypatch):
    from mlflow.tracking import MlflowClient

    save = fitting.Checkpoints.save

    def terminated(self, *what):
        save(self, *what)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(fitting.Checkpoints, "save", terminated)
    with pytest.raises(KeyboardInterrupt):
        train_kws.main(arguments(tmp_path, cache), SIZE)
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("ds_cnn_s").experiment_id])
    assert run.info.status == "KILLED"
    monkeypatch.setattr(fitting.Checkpoints, "save", save)
    assert train_kws.main(arguments(tmp_path, cache), SIZE) == 0
    assert client.get_run(run.info.run_id).info.status == "FINISHED"


@pytest.mark.parametrize("stage, epoch", [("dense", 1), ("prune", 2), ("retrain", 1)])
def test_interrupted_run_ends_where_it_would_have_ended(tmp_path, cache, finished, monkeypatch, stage, epoch):
    save = fitting.Checkpoints.save

    def interrupted(self, name, done, *rest):
        save(self, name, done, *rest)
        if (name, done) == (stage, epoch):
            raise KeyboardInterrupt

    monkeypatch.setattr(fitting.Checkpoints, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_kws.main(arguments(tmp_path, cache), SIZE)
    assert not (tmp_path / "ds_cnn_s_90.tflite").exists()
    monkeypatch.setattr(fitting.Checkpoints, "save", save)
    assert train_kws.main(arguments(tmp_path, cache), SIZE) == 0
    name = "ds_cnn_s_90.tflite"
    assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()

    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("ds_cnn_s").experiment_id])
    assert run.info.status == "FINISHED"


def test_dense_weights_are_taken_up(tmp_path, cache, finished):
    weights = finished / "ds_cnn_s.weights.npz"
    assert train_kws.main(arguments(tmp_path, cache, "-w", str(weights)), SIZE) == 0
    name = "ds_cnn_s_90.tflite"
    assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_dense_run_leaves_no_zeros_behind(tmp_path, cache, finished):
    weights = finished / "ds_cnn_s.weights.npz"
    assert train_kws.main(arguments(tmp_path, cache, "-d", "-w", str(weights)), SIZE) == 0
    results = json.loads((tmp_path / "ds_cnn_s_dense.json").read_text())
    assert "pruned_float" not in results["accuracy"]
    assert results["target_sparsity"] is None
    assert max(layer["zeros"] / np.prod(layer["shape"]) for layer in results["layers"]) < 0.2


def test_other_networks_weights_are_refused_in_one_line(tmp_path, cache, finished):
    weights = finished / "ds_cnn_s.weights.npz"
    with pytest.raises(InputError, match="not the weights of ds_cnn_m: stem.kernel has shape"):
        train_kws.main([*arguments(tmp_path, cache, "-w", str(weights)), "-a", "m"], SIZE)
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"no weights")
    with pytest.raises(InputError, match="not an .npz file of weights"):
        train_kws.main(arguments(tmp_path, cache, "-w", str(bad)), SIZE)
    with pytest.raises(InputError, match="no such file of weights"):
        train_kws.main(arguments(tmp_path, cache, "-w", str(tmp_path / "none.npz")), SIZE)


def test_wrong_weights_are_refused_before_data_are_made(tmp_path, cache, finished, monkeypatch):
    monkeypatch.setattr(load, "keywords", lambda *_: pytest.fail("data were loaded"))
    with pytest.raises(InputError, match="not the weights of ds_cnn_l"):
        train_kws.main([*arguments(tmp_path, cache, "-w", str(finished / "ds_cnn_s.weights.npz")), "-a", "l"], SIZE)


@pytest.mark.parametrize(
    "more", [("-s", "1"), ("-s", "nan"), ("-e", "0"), ("-p", "0"), ("-r", "-1"), ("-a", "x"), ("--seed", "-1")]
)
def test_bad_usage_exits_with_2(tmp_path, cache, more, capsys):
    with pytest.raises(SystemExit) as stopped:
        train_kws.main(arguments(tmp_path, cache, *more), SIZE)
    assert stopped.value.code == 2
    assert more[0] in capsys.readouterr().err


def test_unusable_store_is_one_line(tmp_path, cache):
    with pytest.raises(InputError, match="--tracking_uri nonsense://store") as error:
        train_kws.main(arguments(tmp_path, cache, "--tracking_uri", "nonsense://store"), SIZE)
    assert "\n" not in str(error.value)

"""The stages that both training pipelines share, one function each.

    dense training -> pruning -> retraining -> int8 .tflite -> compress -> verify -> measure

A run writes to its output folder NAME.tflite (dense, with zeros), NAME.dcsr.tflite (compressed), NAME.json (the
measurements), the weights of the dense stage for runs with other sparsities, and MLflow's store.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dcsr import compressing, report, runtime, verification
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.planning.choice import Decision
from training import fitting, measuring, pruning, quantisation, tracking
from training.errors import InputError
from training.fitting import EpochData, Stage

DENSE, PRUNE, RETRAIN = "dense", "prune", "retrain"
REPRESENTATIVE = 500  # samples
_DROPOUT_COUNTER = "dropout.step"  # variable of mobilenet_v2's dropout


@dataclasses.dataclass(frozen=True)
class Task:
    """The data to learn from.

    name: name of the data set, as on the command line.
    fingerprint: hash of its content.
    samples: number of samples in an epoch.
    epoch: draws the augmented data of one epoch.
    validation, test: float inputs and labels.
    second_test: a further test set, or None.
    """

    name: str
    fingerprint: str
    samples: int
    epoch: EpochData
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    second_test: tuple[np.ndarray, np.ndarray] | None


@dataclasses.dataclass(frozen=True)
class Network:
    """The network to train.

    name: for example "ds_cnn_l"; the results are named after it.
    build: builds the tf_keras model, given a batch size or None.
    kept_dense: prunable layers that are not pruned.
    rates: highest learning rate of each stage.
    """

    name: str
    build: Callable[[int | None], Any]
    kept_dense: Collection[str]
    rates: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a run.

    output: folder to write to.
    epochs: number of epochs of each stage.
    sparsity: target sparsity of pruned layers; None keeps the model dense.
    weights: file of dense weights to start from; None trains a dense model first.
    seed: seed of the initial weights, and of the order and augmentation of the data.
    tracking_uri: MLflow's tracking store.
    command: the run's command line.
    """

    output: Path
    epochs: Mapping[str, int]
    sparsity: float | None
    weights: Path | None
    seed: int
    tracking_uri: str
    command: str


def run_name(network: Network, settings: Settings) -> str:
    """Base name of the run's files: ds_cnn_l_90 or ds_cnn_l_dense, for example."""
    return f"{network.name}_{'dense' if settings.sparsity is None else f'{100 * settings.sparsity:g}'}"


# ------------------------------------------------------------------------------------------ weights


def save_weights(model: Any, path: Path) -> None:
    """Writes the weights of a model without pruning wrappers to an .npz file, one array per variable."""
    with tflite.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{_variable_name(variable): variable.numpy() for variable in model.weights})


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of an .npz file by name; raises InputError if the file is invalid."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'not an .npz file of weights'}") from None
    except Exception as error:  # numpy and zipfile raise many kinds
        raise InputError(f"{path}: not an .npz file of weights ({error})") from None


def load_weights(model: Any, path: Path) -> None:
    """Loads weights written by `save_weights` into `model`.

    Raises:
      InputError: if the file is invalid or belongs to another network.
    """
    arrays = read_weights(path)
    # Weights can be used with any dropout rate, also with none.
    if any(_variable_name(variable) == _DROPOUT_COUNTER for variable in model.weights):
        arrays.setdefault(_DROPOUT_COUNTER, np.zeros((), np.int64))
    else:
        arrays.pop(_DROPOUT_COUNTER, None)
    for variable in model.weights:
        name = _variable_name(variable)
        shape = arrays[name].shape if name in arrays else None
        if shape != tuple(variable.shape):
            what = "is missing" if shape is None else f"has shape {list(shape)}, not {list(variable.shape)}"
            raise InputError(f"{path}: not the weights of {model.name}: {name} {what}")
    if extra := sorted(set(arrays) - {_variable_name(variable) for variable in model.weights}):
        raise InputError(f"{path}: not the weights of {model.name}: it has no {extra[0]}")
    model.set_weights([arrays[_variable_name(variable)] for variable in model.weights])


def _variable_name(variable: Any) -> str:
    return variable.name.split(":")[0].replace("/", ".")


# ------------------------------------------------------------------------------------ interruptions


def _fingerprint(network: Network, task: Task, settings: Settings) -> str:
    """Hash of everything that the result depends on. Only a run with the same hash may resume."""
    weights = hashlib.sha256(settings.weights.read_bytes()).hexdigest() if settings.weights else None
    values = (
        network.name,
        sorted(network.kept_dense),
        sorted(network.rates.items()),
        task.name,
        task.fingerprint,
        sorted(settings.epochs.items()),
        settings.sparsity,
        weights,
        settings.seed,
    )
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _open_checkpoints(folder: Path, fingerprint: str) -> tuple[fitting.Checkpoints, dict[str, Any]]:
    """Returns the checkpoints of an interrupted run with the same fingerprint, or empty ones, and the saved state."""
    state_file = folder / "state.json"
    try:
        state = json.loads(state_file.read_text())
    except (OSError, ValueError):
        state = {}
    if state.get("fingerprint") != fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
        state = {"fingerprint": fingerprint, "cpu_seconds": 0.0}
    folder.mkdir(parents=True, exist_ok=True)
    return fitting.Checkpoints(folder), state


# ------------------------------------------------------------------------------------------- stages


def _fit(model: Any, stage: str, network: Network, task: Task, settings: Settings, keep: Any, log: Any) -> None:
    fitting.fit(
        model,
        Stage(stage, settings.epochs[stage], network.rates[stage]),
        settings.seed,
        task.epoch,
        task.samples,
        task.validation,
        [] if stage == DENSE else pruning.callbacks(),
        keep,
        log,
    )


def _train_dense(network: Network, task: Task, settings: Settings, keep: Any, log: Any) -> Any:
    """Returns a dense model, trained or loaded from a file."""
    model = network.build(None)
    if settings.weights:
        load_weights(model, settings.weights)
    else:
        _fit(model, DENSE, network, task, settings, keep, log)
        save_weights(model, settings.output / f"{network.name}.weights.npz")
    return model


def _prune(model: Any, network: Network, task: Task, settings: Settings, keep: Any, log: Any) -> Any:
    """Returns a sparse model. It is trained while zeros are added, then retrained with fixed zeros."""
    steps = settings.epochs[PRUNE] * fitting.steps_per_epoch(task.samples)
    model = pruning.growing(model, settings.sparsity, steps, network.kept_dense)
    _fit(model, PRUNE, network, task, settings, keep, log)
    model = pruning.stripped(model)
    if settings.epochs[RETRAIN]:
        model = pruning.held(model, settings.sparsity, network.kept_dense)
        _fit(model, RETRAIN, network, task, settings, keep, log)
        model = pruning.stripped(model)
    return model


def _float_accuracy(model: Any, test: tuple[np.ndarray, np.ndarray]) -> float:
    return measuring.accuracy(model.predict(test[0], batch_size=500, verbose=0), test[1])


def _quantise(model: Any, network: Network, task: Task, settings: Settings) -> bytes:
    single = network.build(1)
    single.set_weights(model.get_weights())
    inputs, _ = task.epoch(np.random.default_rng([settings.seed, *b"representative"]))
    content = quantisation.quantise(single, inputs[:REPRESENTATIVE])
    wanted: dict[tuple[int, int], int] = {}
    for layer in model.layers:
        if pruning.is_prunable(layer) and layer.name not in network.kept_dense:
            kernel = layer.get_weights()[0]
            shape, zeros = (kernel.shape[-1], kernel.shape[-2]), int(np.count_nonzero(kernel == 0))
            wanted[shape] = min(zeros, wanted.get(shape, zeros))
    if settings.sparsity is not None:
        quantisation.check_zeros(content, network.name, wanted)
    return content


def _compress(content: bytes, name: str, objective: str) -> tuple[bytes, list[Decision]]:
    found = compressing.compress(
        tflite.parse(content, name), name, objective=objective, progress=common.progress(f"packing for {objective}")
    )
    return tflite.serialize(found.model), found.decisions


def _verify(content: bytes, compressed: bytes, name: str) -> int:
    """Compares both models bit for bit on random inputs; returns the number of samples."""
    inputs = verification.inputs_of(tflite.parse(content, name), name)
    samples = verification.random_samples(inputs, 20, 0)
    first, second = (runtime.Interpreter.from_bytes(blob) for blob in (content, compressed))
    if difference := verification.compare(first, second, inputs, 1, samples, common.progress("verifying")):
        raise ValueError(f"{name}: the compressed model answers otherwise: {difference.text}")
    return len(samples)


def _layers(content: bytes, name: str) -> list[dict[str, Any]]:
    """Describes the weights of the .tflite file, layer by layer."""
    return [
        {
            "name": report.shortened(layer.name),
            "op": layer.op,
            "shape": list(layer.matrix.shape),
            "zeros": int(np.count_nonzero(layer.matrix == 0)),
        }
        for layer in layer_finder.find(tflite.parse(content, name))
        if layer.matrix is not None
    ]


# ---------------------------------------------------------------------------------------------- run


def run(network: Network, task: Task, settings: Settings) -> dict[str, Any]:
    """Runs all stages; returns the content of NAME.json.

    Raises:
      InputError: if the output folder, the weights or the store cannot be used.
    """
    name = run_name(network, settings)
    checkpoints = settings.output / "checkpoints" / name
    keep, state = _open_checkpoints(checkpoints, _fingerprint(network, task, settings))
    started = time.process_time() - state["cpu_seconds"]
    with tracking.run(settings.tracking_uri, settings.output, network.name, name, state.get("run")) as tracked:
        state["run"] = tracked.identifier

        def remember() -> None:
            state["cpu_seconds"] = time.process_time() - started
            tflite.write_file(checkpoints / "state.json", json.dumps(state))

        def log(stage: str, epoch: int, figures: Mapping[str, float]) -> None:
            tracked.metrics({f"{stage}_{figure}": value for figure, value in figures.items()}, epoch)
            remember()

        remember()
        tracked.parameters(_parameters(network, task, settings))
        model = _train_dense(network, task, settings, keep, log)
        accuracies = {"dense_float": _float_accuracy(model, task.test)}
        if settings.sparsity is not None:
            model = _prune(model, network, task, settings, keep, log)
            accuracies["pruned_float"] = _float_accuracy(model, task.test)
        results = _finish(model, name, network, task, settings, accuracies)
        results["cpu_seconds"] = round(time.process_time() - started)
        path = settings.output / f"{name}.json"
        tflite.write_file(path, json.dumps(results, indent=1) + "\n")
        tracked.metrics({f"accuracy_{key}": value for key, value in results["accuracy"].items()})
        tracked.metrics({f"bytes_{key}": value for key, value in results["bytes"].items()})
        tracked.metrics({f"sparsity_{key}": value for key, value in results["sparsity"].items()})
        for suffix in (".tflite", ".dcsr.tflite", ".json"):
            tracked.artifact(settings.output / f"{name}{suffix}")
    shutil.rmtree(checkpoints, ignore_errors=True)
    return results


def _parameters(network: Network, task: Task, settings: Settings) -> dict[str, object]:
    return {
        "network": network.name,
        "dataset": task.name,
        "dataset_fingerprint": task.fingerprint,
        "training_samples": task.samples,
        "sparsity": "dense" if settings.sparsity is None else settings.sparsity,
        "seed": settings.seed,
        "batch": fitting.BATCH,
        "weights": settings.weights or "trained",
        "command": settings.command[:500],
        "kept_dense": len(network.kept_dense),
        **{f"{stage}_epochs": epochs for stage, epochs in settings.epochs.items()},
        **{f"{stage}_rate": rate for stage, rate in network.rates.items()},
    }


def _finish(
    model: Any, name: str, network: Network, task: Task, settings: Settings, accuracies: dict[str, float]
) -> dict[str, Any]:
    """Quantises, compresses, verifies, measures and writes the models; returns the results."""
    print(f"{name}: quantising and measuring", file=sys.stderr)
    content = _quantise(model, network, task, settings)
    smallest, _ = _compress(content, name, "size")
    compressed, _ = _compress(content, name, "balanced")
    compared = _verify(content, compressed, name) + _verify(content, smallest, name)
    inputs, labels = task.test
    answers = measuring.outputs(content, inputs, name, common.progress("measuring in TFLM"))
    accuracies["int8"] = measuring.accuracy(answers, labels)
    if task.second_test:
        second = measuring.outputs(content, task.second_test[0], name, common.progress("second test set"))
        accuracies["int8_second_test"] = measuring.accuracy(second, task.second_test[1])
    tflite.write_file(settings.output / f"{name}.tflite", content)
    tflite.write_file(settings.output / f"{name}.dcsr.tflite", compressed)
    layers = _layers(content, name)
    sparsity = pruning.sparsities(model, network.kept_dense)
    weights = sum(int(np.prod(layer["shape"])) for layer in layers)
    sparsity["all_weights"] = sum(layer["zeros"] for layer in layers) / weights
    return {
        "name": name,
        "network": network.name,
        "dataset": task.name,
        "dataset_fingerprint": task.fingerprint,
        "test_samples": len(labels),
        "command": settings.command,
        "seed": settings.seed,
        "target_sparsity": settings.sparsity,
        "accuracy": accuracies,
        "bytes": {"before": len(content), "balanced": len(compressed), "size": len(smallest)},
        "sparsity": sparsity,
        "layers": layers,
        "compared_samples": compared,
    }


def check_output(output: Path) -> None:
    """Creates the output folder; raises InputError on failure."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {output}: {error.strerror}") from None

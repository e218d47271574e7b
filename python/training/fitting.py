"""Trains a model with a checkpoint after each epoch: an interruption loses at most one epoch."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcsr import model as tflite

BATCH = 128

EpochData = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
Log = Callable[[str, int, dict[str, float]], None]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a run.

    name: "dense", "prune" or "retrain".
    epochs: number of epochs.
    rate: highest learning rate. The rate rises during the first 5 % of the steps, then falls to zero along a cosine.
    """

    name: str
    epochs: int
    rate: float


@dataclasses.dataclass
class Checkpoints:
    """The folder with the checkpoints of a run, from which an interrupted run resumes."""

    folder: Path

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.npz"

    def save(self, stage: str, epoch: int, arrays: Sequence[np.ndarray], log: Sequence[dict[str, float]]) -> None:
        """Replaces the checkpoint of a stage: `epoch` epochs are done, `log` has the figures of each of them."""
        with tflite.replacing(self._path(stage)) as temporary, temporary.open("wb") as file:
            values = {f"array_{index:04}": array for index, array in enumerate(arrays)}
            np.savez(file, epoch=epoch, log=json.dumps(list(log)), **values)

    def load(self, stage: str) -> tuple[int, list[np.ndarray], list[dict[str, float]]] | None:
        """Returns (epoch, arrays, log) of a stage's checkpoint, or None if it does not exist."""
        if not self._path(stage).exists():
            return None
        with np.load(self._path(stage), allow_pickle=False) as archive:
            names = sorted(name for name in archive.files if name.startswith("array_"))
            return int(archive["epoch"]), [archive[name] for name in names], json.loads(str(archive["log"]))


def steps_per_epoch(samples: int) -> int:
    """Number of batches in one epoch."""
    return math.ceil(samples / BATCH)


def _progress(stage: Stage, steps: int) -> Any:
    """Returns a callback that draws a progress bar on a terminal."""
    import tf_keras
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    class Bar(tf_keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task(stage.name, total=stage.epochs * steps, state="")
            self.epoch = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            state = f"epoch {self.epoch + 1}/{stage.epochs} loss {logs['loss']:.3f} accuracy {logs['accuracy']:.3f}"
            self.bar.update(self.task, completed=self.epoch * steps + batch + 1, state=state)

    return Bar()


def _state(model: Any) -> list[np.ndarray]:
    return [*model.get_weights(), *(variable.numpy() for variable in model.optimizer.variables)]


def _restore(model: Any, arrays: Sequence[np.ndarray]) -> None:
    count = len(model.weights)
    model.set_weights(arrays[:count])
    for variable, value in zip(model.optimizer.variables, arrays[count:], strict=True):
        variable.assign(value)


def fit(
    model: Any,
    stage: Stage,
    seed: int,
    epoch_data: EpochData,
    samples: int,
    validation: tuple[np.ndarray, np.ndarray],
    callbacks: Sequence[Any],
    checkpoints: Checkpoints,
    log: Log,
) -> None:
    """Trains `model` in place, starting from its checkpoint if there is one.

    The data of each epoch are drawn with a generator seeded by stage and epoch. A resumed run therefore ends with the
    same result as an uninterrupted one.

    Args:
      model: a tf_keras model that returns logits.
      stage: name, epochs and learning rate.
      seed: seed of the order and the augmentation of the data.
      epoch_data: draws the data of one epoch, already shuffled.
      samples: number of samples in an epoch.
      validation: inputs and labels; evaluated after each epoch.
      callbacks: callbacks of tf_keras.
      checkpoints: saved after each epoch.
      log: called with stage, epoch (from 1) and figures after each epoch. When a run resumes, it is also called for the
        epochs that were done before.
    """
    import tf_keras

    steps = stage.epochs * steps_per_epoch(samples)
    warm_up = max(1, steps // 20)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=stage.rate, warmup_steps=warm_up
    )
    model.compile(
        optimizer=tf_keras.optimizers.Adam(rate),
        loss=tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    done, history = 0, []
    if saved := checkpoints.load(stage.name):
        done, arrays, history = saved
        _restore(model, arrays)
        print(f"{stage.name}: going on after epoch {done} of {stage.epochs}", file=sys.stderr)
        for number, figures in enumerate(history, start=1):
            log(stage.name, number, figures)
    bar = _progress(stage, steps_per_epoch(samples)) if sys.stderr.isatty() else None
    if bar:
        bar.bar.start()
    try:
        for epoch in range(done, stage.epochs):
            inputs, labels = epoch_data(np.random.default_rng([seed, *stage.name.encode(), epoch]))
            result = model.fit(
                inputs,
                labels,
                batch_size=BATCH,
                shuffle=False,
                initial_epoch=epoch,
                epochs=epoch + 1,
                verbose=0,
                callbacks=[*callbacks, *([bar] if bar else [])],
            ).history
            loss, accuracy = model.evaluate(*validation, batch_size=500, verbose=0)
            figures = {
                "loss": result["loss"][0],
                "accuracy": result["accuracy"][0],
                "validation_loss": loss,
                "validation_accuracy": accuracy,
            }
            history.append(figures)
            log(stage.name, epoch + 1, figures)
            if not bar:
                text = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
                print(f"{stage.name} epoch {epoch + 1}/{stage.epochs} {text}", file=sys.stderr, flush=True)
            checkpoints.save(stage.name, epoch + 1, _state(model), history)
    finally:
        if bar:
            bar.bar.stop()

"""Google Speech Commands (arXiv 1804.03209) through TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training import features
from training.data import tfds_source
from training.data.keywords import LABELS, SILENCE, UNKNOWN, KeywordData
from training.errors import InputError

VERSION = "features 1"


def _read(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads mel energies and labels of a split. Clips are cut or padded to one second."""
    energies, labels = [], []
    for sample in tfds_source.samples("speech_commands", split, folder):
        clip = np.zeros(features.CLIP, np.float32)
        audio = np.asarray(sample["audio"])[: features.CLIP]
        clip[: len(audio)] = audio / 32768
        energies.append(features.mel_energies(clip[np.newaxis])[0])
        labels.append(int(sample["label"]))
    if not labels:
        raise InputError(f"speech_commands: split {split} is empty")
    return np.stack(energies), np.array(labels, np.int64)


def _balanced(labels: np.ndarray) -> np.ndarray:
    """Indices of all keyword clips, and of at most twice as many unknown clips as one keyword has on average."""
    unknown = np.flatnonzero(labels == LABELS.index(UNKNOWN))
    words = np.flatnonzero(~np.isin(labels, [LABELS.index(UNKNOWN), LABELS.index(SILENCE)]))
    most = max(1, 2 * len(words) // (len(LABELS) - 2))
    return np.sort(np.concatenate([words, unknown[:: -(-len(unknown) // most)] if len(unknown) else unknown]))


def build(folder: Path, track: Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]) -> KeywordData:
    """Reads the data set. Its silence clips serve as noise in training.

    Args:
      folder: the cache.
      track: given a description, wraps a sequence to show progress.

    Raises:
      InputError: if the data set is not available.
    """
    splits = {
        split: _read(folder, split) for split in track("reading speech_commands")(["train", "validation", "test"])
    }
    energies, labels = splits["train"]
    kept, silence = _balanced(labels), labels == LABELS.index(SILENCE)
    if not silence.any():
        raise InputError("speech_commands: the training split has no silence to take noise from")
    return KeywordData(
        # Augmentation expects words of unit level.
        training_energies=_levelled(energies[kept]),
        training_labels=labels[kept],
        noise_energies=_levelled(energies[silence]),
        validation=(features.mfcc(splits["validation"][0]), splits["validation"][1]),
        test=(features.mfcc(splits["test"][0]), splits["test"][1]),
        second_test=None,
    )


def _levelled(energies: np.ndarray) -> np.ndarray:
    """Scales each clip to the mean energy of a sound with unit root mean square."""
    unit = features.mel_energies(np.ones((1, features.CLIP), np.float32) * _unit_noise())[0].mean()
    return energies * (unit / np.maximum(energies.mean(axis=(1, 2), keepdims=True), 1e-12))


def _unit_noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, features.CLIP)).astype(np.float32)

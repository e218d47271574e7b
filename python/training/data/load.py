"""Loads data sets by name, through the cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.data import cache, images, speech_commands, synthetic_speech
from training.data.images import ImageData
from training.data.keywords import KeywordData
from training.errors import InputError

KEYWORD_SETS = ("speech_commands", "synthetic_speech")
IMAGE_SETS = ("cifar10", "fashion_mnist")

TrackNamed = Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]


def keywords(
    name: str, folder: Path, track: TrackNamed, size: synthetic_speech.Size | None = None
) -> tuple[KeywordData, str]:
    """Loads a keyword data set; returns it with its sha256.

    Args:
      name: one of KEYWORD_SETS.
      folder: the cache.
      track: given a description, wraps a sequence to show progress.
      size: size of synthetic_speech; None for the full set.

    Raises:
      InputError: if the data set is not in the cache and cannot be generated or downloaded.
    """
    if name == "synthetic_speech":
        wanted = size or synthetic_speech.Size()
        version = synthetic_speech.version(wanted)
        arrays, sha256 = cache.cached(folder, name, version, lambda: _flat(synthetic_speech.build(wanted, track)))
    else:
        version = speech_commands.VERSION
        arrays, sha256 = cache.cached(folder, name, version, lambda: _flat(speech_commands.build(folder, track)))
    return _nested(arrays), sha256


def image_set(name: str, folder: Path, upscale: bool) -> tuple[ImageData, str]:
    """Loads an image data set; returns it with its sha256. See `keywords` for arguments and errors."""
    if name == "fashion_mnist":
        return images.fashion_mnist(images.FASHION_MNIST, upscale)
    return images.cifar10(folder, upscale)


_PAIRS = ("validation", "test", "second_test")


def _flat(data: KeywordData) -> dict[str, np.ndarray]:
    arrays = {}
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        if field.name not in _PAIRS:
            arrays[field.name] = value
        elif value is not None:
            arrays[f"{field.name}_inputs"], arrays[f"{field.name}_labels"] = value
    return arrays


def _nested(arrays: dict[str, np.ndarray]) -> KeywordData:
    values = {name: array for name, array in arrays.items() if name.startswith(("training_", "noise_"))}
    for name in _PAIRS:
        present = f"{name}_inputs" in arrays
        values[name] = (arrays[f"{name}_inputs"], arrays[f"{name}_labels"]) if present else None
    try:
        return KeywordData(**values)
    except TypeError as error:
        raise InputError(f"a cached data set is not as expected: {error}; delete the cache") from error

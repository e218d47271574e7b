"""Data sets on disk: generated once, verified when read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dcsr import model as tflite


def default_folder() -> Path:
    """Default folder of data sets: $XDG_CACHE_HOME/dcsr or ~/.cache/dcsr."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcsr"


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def cached(
    folder: Path, name: str, version: str, make: Callable[[], Mapping[str, np.ndarray]]
) -> tuple[dict[str, np.ndarray], str]:
    """Returns the arrays of a data set from the cache, or generates and stores them.

    Args:
      folder: the cache; created if needed.
      name: name of the data set.
      version: version of its generator; every version has its own file.
      make: generates the arrays.

    Returns:
      (arrays, sha256 of the file). A damaged file is generated again.

    Raises:
      ModelError: if the folder cannot be written to.
    """
    stem = f"{name}-{re.sub('[^a-z0-9.]+', '-', version.lower())}"
    path, note = folder / f"{stem}.npz", folder / f"{stem}.json"
    if (arrays := _read(path, note)) is not None:
        return arrays, json.loads(note.read_text())["sha256"]
    arrays = dict(make())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise tflite.ModelError(f"{folder}: {error.strerror}; --cache names another folder") from error
    with tflite.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    sha256 = _digest(path)
    tflite.write_file(note, json.dumps({"version": version, "sha256": sha256}) + "\n")
    return arrays, sha256


def _read(path: Path, note: Path) -> dict[str, np.ndarray] | None:
    """Reads a cached file; None if it is missing or damaged."""
    try:
        if _digest(path) != json.loads(note.read_text())["sha256"]:
            return None
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None

"""Reads TensorFlow Datasets, which downloads missing data sets.

An unreachable host is reported immediately.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from training import stack
from training.errors import InputError

_TIMEOUT = 5  # seconds


def _check_reachable(name: str, urls: list[str]) -> None:
    """Raises InputError if a host does not answer. Without this check, TFDS would retry for minutes.

    With a proxy configured, the proxy is checked instead.
    """
    for url in urls:
        parts = urlsplit(url)
        proxy = os.environ.get(f"{parts.scheme}_proxy") or os.environ.get(f"{parts.scheme.upper()}_PROXY")
        target = urlsplit(proxy) if proxy else parts
        port = target.port or (443 if target.scheme == "https" else 80)
        try:
            socket.create_connection((target.hostname, port), timeout=_TIMEOUT).close()
        except OSError as error:
            raise InputError(
                f"{name}: not downloaded yet, and {target.hostname} cannot be reached ({error.strerror or error});"
                " connect, or name a folder that has it with --cache, or train on another --dataset"
            ) from None


def samples(name: str, split: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the samples of a split as numpy values. Downloads and prepares the data set if needed.

    Args:
      name: name of the data set in TFDS.
      split: "train", "validation" or "test".
      folder: our cache; TFDS uses `tensorflow_datasets` in it.

    Raises:
      InputError: if the data cannot be downloaded, or if TFDS is not installed.
    """
    stack.set_environment()
    try:
        import absl.logging
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(
            f"{name}: not in {folder} yet, and TensorFlow Datasets is not installed here ({error}); the training"
            f" commands have it: one that is started with --dataset {name} leaves the data there"
        ) from None
    absl.logging.set_verbosity(absl.logging.ERROR)  # our own message covers missing data sets
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = tfds.builder(name, data_dir=str(folder / "tensorflow_datasets"))
    if not _is_prepared(builder):
        _check_reachable(name, _URLS[name])
        with _one_line(name):
            builder.download_and_prepare()
    yield from tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))


_URLS = {
    "cifar10": ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
    "speech_commands": ["http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"],
}


def _is_prepared(builder: Any) -> bool:
    return builder.is_prepared() if hasattr(builder, "is_prepared") else Path(builder.data_dir).exists()


@contextlib.contextmanager
def _one_line(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of requests, tfds, tensorflow: downloading or unpacking failed
        raise InputError(f"{name}: {' '.join(str(error).split())[:300]}") from error

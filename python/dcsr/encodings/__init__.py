"""Encodings of sparse matrices: one module each, with NAME, CODE (docs/format.md), encode(matrix) and decode(streams).

To add one: write the module, name it in `_MODULES`, describe it in docs/format.md. The planner tries every encoding but
`dense`, with each keyword arguments of encode() in the module's VARIANTS, if it has that, else with none.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import numpy as np

from dcsr.encodings import dcsr, dense, rle
from dcsr.encodings.streams import MAX_COLS, MAX_ROWS, Streams, check_shape

__all__ = [
    "MAX_COLS",
    "MAX_ROWS",
    "REGISTRY",
    "Streams",
    "by_code",
    "candidates",
    "check_shape",
    "decode",
    "encode",
    "nbytes",
]

_MODULES: tuple[ModuleType, ...] = (dense, dcsr, rle)

REGISTRY: dict[str, ModuleType] = {module.NAME: module for module in _MODULES}


def encode(matrix: np.ndarray, encoding: str) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]) with the named encoding.

    Raises:
      KeyError: if there is no such encoding.
      ValueError: if the matrix is not one that can be encoded.
    """
    return REGISTRY[encoding].encode(matrix)


def decode(streams: Streams) -> np.ndarray:
    """The matrix that was encoded.

    Raises:
      ValueError: if the streams are inconsistent.
    """
    return REGISTRY[streams.encoding].decode(streams)


def nbytes(matrix: np.ndarray, encoding: str) -> int:
    """Exact bytes that `matrix` takes with the named encoding."""
    return encode(matrix, encoding).nbytes


def candidates(matrix: np.ndarray, encoding: str | None = None) -> Iterator[Streams]:
    """`matrix` (int8 or int16 [rows, cols]) in every way that a planner chooses from.

    Args:
      matrix: what is encoded.
      encoding: the only one that is tried; None tries all but `dense`.
    """
    names = [name for name in REGISTRY if name != "dense"] if encoding is None else [encoding]
    for name in names:
        for options in getattr(REGISTRY[name], "VARIANTS", ({},)):
            yield REGISTRY[name].encode(matrix, **options)


def by_code(code: int) -> ModuleType:
    """The module of an encoding number of the packed layer.

    Raises:
      ValueError: if the number is unknown.
    """
    for module in _MODULES:
        if module.CODE == code:
            return module
    raise ValueError(f"unknown encoding number {code}")

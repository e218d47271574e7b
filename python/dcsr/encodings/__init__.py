"""Encodings of sparse matrices: one module each, with NAME, CODE (docs/format.md), encode(matrix) and decode(streams).

To add one: write the module, name it in `_MODULES`, describe it in docs/format.md. An encoding with its parameter fixed
has a name of its own in `VARIANTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import numpy as np

from dcsr.encodings import dcsr, dense, offset8, rle
from dcsr.encodings.streams import MAX_COLS, MAX_ROWS, Streams, check_shape

__all__ = [
    "MAX_COLS",
    "MAX_ROWS",
    "METHODS",
    "REGISTRY",
    "VARIANTS",
    "Streams",
    "by_code",
    "candidates",
    "check_shape",
    "decode",
    "encode",
    "nbytes",
]

_MODULES: tuple[ModuleType, ...] = (dense, dcsr, rle, offset8)

REGISTRY: dict[str, ModuleType] = {module.NAME: module for module in _MODULES}

# Encodings with a parameter that they would choose themselves otherwise.
VARIANTS: dict[str, Callable[[np.ndarray], Streams]] = {
    f"dcsr{width}": partial(dcsr.encode, width=width) for width in dcsr.WIDTHS
}

# Names for encode(), without `dense`, which is for comparisons.
METHODS: tuple[str, ...] = tuple(name for name in (*REGISTRY, *VARIANTS) if name != "dense")


def encode(matrix: np.ndarray, encoding: str) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]) with the named encoding or variant of one.

    Raises:
      KeyError: if there is no such encoding.
      ValueError: if the matrix is not one that can be encoded.
    """
    variant = VARIANTS.get(encoding)
    return variant(matrix) if variant else REGISTRY[encoding].encode(matrix)


def decode(streams: Streams) -> np.ndarray:
    """The matrix that was encoded.

    Raises:
      ValueError: if the streams are inconsistent.
    """
    return REGISTRY[streams.encoding].decode(streams)


def nbytes(matrix: np.ndarray, encoding: str) -> int:
    """Exact bytes that `matrix` takes with the named encoding."""
    return encode(matrix, encoding).nbytes


def candidates(method: str | None = None) -> tuple[str, ...]:
    """Names for encode() that a planner chooses from, each with its parameter fixed.

    Args:
      method: a name for encode(), whose variants they are, or itself alone; None for those of all but `dense`.
    """
    if method is None:
        return tuple(name for encoding in REGISTRY if encoding != "dense" for name in candidates(encoding))
    return tuple(_variants(method)) or (method,)


def _variants(encoding: str) -> list[str]:
    return [name for name in VARIANTS if name.rstrip("0123456789") == encoding]


def by_code(code: int) -> ModuleType:
    """The module of an encoding number of the packed layer.

    Raises:
      ValueError: if the number is unknown.
    """
    for module in _MODULES:
        if module.CODE == code:
            return module
    raise ValueError(f"unknown encoding number {code}")

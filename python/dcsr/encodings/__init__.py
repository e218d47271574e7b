"""Encodings of sparse matrices: one module each, with NAME, CODE (docs/format.md), encode(matrix) and decode(streams).
Two have position_nbytes(matrix), the bytes of all streams but the values, where these are the nonzeros.

To add one: write the module, name it in `_MODULES`, describe it in docs/format.md. An encoding with its parameter fixed
has a name of its own in `VARIANTS`. Values are coded apart from that, by `huffman`: with any encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import ModuleType

import numpy as np

from dcsr.encodings import bitmap, dcsr, dense, huffman, offset8, rice, rle
from dcsr.encodings.streams import HUFFMAN, MAX_COLS, MAX_ROWS, PLAIN, Streams, check_matrix, check_shape

__all__ = [
    "HUFFMAN",
    "MAX_COLS",
    "MAX_ROWS",
    "METHODS",
    "PLAIN",
    "REGISTRY",
    "SCHEMES",
    "VALUE_CODINGS",
    "VARIANTS",
    "Streams",
    "by_code",
    "candidates",
    "check_shape",
    "decode",
    "encode",
    "encode_all",
    "nbytes",
    "row_lengths",
    "sizes",
]

_MODULES: tuple[ModuleType, ...] = (dense, dcsr, rle, offset8, rice, bitmap)

REGISTRY: dict[str, ModuleType] = {module.NAME: module for module in _MODULES}

# Encodings with a parameter that they would choose themselves otherwise.
VARIANTS: dict[str, Callable[[np.ndarray], Streams]] = {
    f"dcsr{width}": partial(dcsr.encode, width=width) for width in dcsr.WIDTHS
}

# In the order of their numbers in the packed layer.
VALUE_CODINGS = (PLAIN, HUFFMAN)

# All that encode() takes: encodings and their variants, and all of them with Huffman-coded values.
SCHEMES: tuple[str, ...] = tuple(f"{name}{coding}" for coding in ("", f"+{HUFFMAN}") for name in (*REGISTRY, *VARIANTS))

# Those that layers are compressed with; `dense` is for comparisons.
METHODS: tuple[str, ...] = tuple(scheme for scheme in SCHEMES if not scheme.startswith("dense"))


def encode(matrix: np.ndarray, scheme: str) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]) with one of SCHEMES.

    Raises:
      KeyError: if there is no such scheme.
      ValueError: if the matrix is not one that can be encoded; if its values are int16 and the scheme codes them.
    """
    return next(encode_all(matrix, [scheme]))


def encode_all(matrix: np.ndarray, schemes: Iterable[str]) -> Iterator[Streams]:
    """Encodes `matrix` with each of the schemes in turn, the positions once for those that differ in values only.

    Raises:
      KeyError, ValueError: as encode().
    """
    plain: dict[str, Streams] = {}
    for scheme in schemes:
        encoding, coding = _parts(scheme)
        if encoding not in plain:
            plain[encoding] = _encode_positions(matrix, encoding)
        yield huffman.encode(plain[encoding]) if coding else plain[encoding]


def sizes(matrix: np.ndarray, schemes: Iterable[str]) -> dict[str, int]:
    """Exact bytes that `matrix` takes with each of the schemes, in less time than encoding it with all of them.

    Raises:
      KeyError, ValueError: as encode().
    """
    matrix = check_matrix(matrix)
    nonzeros = matrix[matrix != 0]
    positions: dict[str, tuple[int, np.ndarray]] = {}  # bytes, and the values that are stored
    coded: dict[int, int] = {}  # bytes by id of the values
    result = {}
    for scheme in schemes:
        encoding, coding = _parts(scheme)
        if encoding not in positions:
            if hasattr(REGISTRY.get(encoding), "position_nbytes"):
                positions[encoding] = REGISTRY[encoding].position_nbytes(matrix), nonzeros
            else:
                streams = _encode_positions(matrix, encoding)
                positions[encoding] = streams.nbytes - streams.values.nbytes, streams.values
        position_bytes, values = positions[encoding]
        if coding and id(values) not in coded:
            coded[id(values)] = huffman.nbytes(values)
        result[scheme] = position_bytes + (coded[id(values)] if coding else values.nbytes)
    return result


def _parts(scheme: str) -> tuple[str, str]:
    """The encoding or variant of a scheme, and its value coding, "" for plain.

    Raises:
      KeyError: if there is no such value coding.
    """
    encoding, _, coding = scheme.partition("+")
    if coding not in ("", HUFFMAN):
        raise KeyError(scheme)
    return encoding, coding


def _encode_positions(matrix: np.ndarray, encoding: str) -> Streams:
    """With plain values."""
    return VARIANTS[encoding](matrix) if encoding in VARIANTS else REGISTRY[encoding].encode(matrix)


def decode(streams: Streams) -> np.ndarray:
    """The matrix that was encoded.

    Raises:
      ValueError: if the streams are inconsistent.
    """
    return REGISTRY[streams.encoding].decode(streams)


def row_lengths(streams: Streams) -> np.ndarray:
    """Elements of each row, int64 [rows], fillers included; also where they are not stored."""
    if streams.row_lengths is not None:
        return streams.row_lengths.astype(np.int64)
    if streams.encoding == bitmap.NAME:
        return bitmap.row_lengths(streams)
    return np.full(streams.rows, streams.cols, np.int64)


def nbytes(matrix: np.ndarray, scheme: str) -> int:
    """Exact bytes that `matrix` takes with the scheme."""
    return sizes(matrix, [scheme])[scheme]


def candidates(method: str | None = None) -> tuple[str, ...]:
    """Schemes that a planner chooses from, each with its parameter fixed.

    Args:
      method: a scheme, whose variants they are, or itself alone; None for those of all METHODS.
    """
    if method is None:
        return tuple(dict.fromkeys(name for scheme in METHODS for name in candidates(scheme)))
    encoding, plus, coding = method.partition("+")
    variants = [name for name in VARIANTS if name.rstrip("0123456789") == encoding]
    return tuple(f"{name}{plus}{coding}" for name in variants) or (method,)


def by_code(code: int) -> ModuleType:
    """The module of an encoding number of the packed layer.

    Raises:
      ValueError: if the number is unknown.
    """
    for module in _MODULES:
        if module.CODE == code:
            return module
    raise ValueError(f"unknown encoding number {code}")

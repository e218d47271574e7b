"""Encodings of sparse matrices, one module each.

Every module has NAME, CODE (its number in docs/format.md), LAYOUT, encode(matrix) and decode(streams). Modules that
store no row lengths have row_lengths(streams). Modules that store exactly the nonzeros may have
position_nbytes(matrix): the bytes of all streams except the values.

To add an encoding, follow docs/extending.md; here it is listed in `_MODULES`. `VARIANTS` names the encodings whose
parameter is fixed. Value coding is independent of the encoding: `huffman` works with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import ModuleType

import numpy as np

from dcsr.encodings import bitmap, dcsr, dense, huffman, offset8, rice, rle
from dcsr.encodings.streams import HUFFMAN, MAX_COLS, MAX_ROWS, PLAIN, Streams, check_matrix, check_shape

__all__ = [
    "DENSE_METHODS",
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

# Encodings with a fixed parameter. Without a variant, the encoder chooses the parameter.
VARIANTS: dict[str, Callable[[np.ndarray], Streams]] = {
    f"dcsr{width}": partial(dcsr.encode, width=width) for width in dcsr.WIDTHS
}

# Ordered by their number in the packed layer.
VALUE_CODINGS = (PLAIN, HUFFMAN)

# All names that encode() accepts: encodings and variants, each with plain and with Huffman-coded values.
SCHEMES: tuple[str, ...] = tuple(f"{name}{coding}" for coding in ("", f"+{HUFFMAN}") for name in (*REGISTRY, *VARIANTS))

# Schemes that make sparse weights smaller.
METHODS: tuple[str, ...] = tuple(scheme for scheme in SCHEMES if not scheme.startswith(dense.NAME))

# Schemes of layers that are packed because their kernel is faster than TFLM's.
DENSE_METHODS: tuple[str, ...] = tuple(scheme for scheme in SCHEMES if scheme.startswith(dense.NAME))


def encode(matrix: np.ndarray, scheme: str) -> Streams:
    """Encodes a matrix with one scheme.

    Args:
      matrix: int8 or int16 [rows, cols].
      scheme: one of SCHEMES.

    Raises:
      KeyError: if the scheme is unknown.
      ValueError: if the matrix cannot be encoded, or if the scheme Huffman-codes values and they are int16.
    """
    return next(encode_all(matrix, [scheme]))


def encode_all(matrix: np.ndarray, schemes: Iterable[str]) -> Iterator[Streams]:
    """Encodes a matrix with several schemes. Schemes that differ only in value coding share the encoded positions.

    Args:
      matrix: int8 or int16 [rows, cols].
      schemes: names from SCHEMES.

    Yields:
      The streams of each scheme, in the given order.

    Raises:
      KeyError, ValueError: see encode().
    """
    plain: dict[str, Streams] = {}
    for scheme in schemes:
        encoding, coding = _parts(scheme)
        if encoding not in plain:
            plain[encoding] = _encode_positions(matrix, encoding)
        yield huffman.encode(plain[encoding]) if coding else plain[encoding]


def sizes(matrix: np.ndarray, schemes: Iterable[str]) -> dict[str, int]:
    """Exact encoded size of a matrix for several schemes. Faster than encoding it with each of them.

    Args:
      matrix: int8 or int16 [rows, cols].
      schemes: names from SCHEMES.

    Returns:
      Bytes for each scheme.

    Raises:
      KeyError, ValueError: see encode().
    """
    matrix = check_matrix(matrix)
    nonzeros = matrix[matrix != 0]
    positions: dict[str, tuple[int, np.ndarray]] = {}  # bytes, stored values
    coded: dict[int, int] = {}  # bytes of the coded values, by id() of the array
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
    """Splits a scheme into its encoding or variant and its value coding. "" stands for plain values.

    Raises:
      KeyError: if the value coding is unknown.
    """
    encoding, _, coding = scheme.partition("+")
    if coding not in ("", HUFFMAN):
        raise KeyError(scheme)
    return encoding, coding


def _encode_positions(matrix: np.ndarray, encoding: str) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]) with an encoding or variant; the values stay plain."""
    return VARIANTS[encoding](matrix) if encoding in VARIANTS else REGISTRY[encoding].encode(matrix)


def decode(streams: Streams) -> np.ndarray:
    """Returns the original matrix, int8 or int16 [rows, cols].

    Raises:
      ValueError: if the streams are inconsistent.
    """
    return REGISTRY[streams.encoding].decode(streams)


def row_lengths(streams: Streams) -> np.ndarray:
    """Stored elements of each row, int64 [rows], including fillers. Derived if the encoding does not store them."""
    if streams.row_lengths is not None:
        return streams.row_lengths.astype(np.int64)
    lengths: np.ndarray = REGISTRY[streams.encoding].row_lengths(streams)
    return lengths


def nbytes(matrix: np.ndarray, scheme: str) -> int:
    """Exact encoded size in bytes of `matrix` (int8 or int16 [rows, cols]) with one scheme."""
    return sizes(matrix, [scheme])[scheme]


def candidates(method: str | None = None) -> tuple[str, ...]:
    """Returns the schemes that a planner chooses from, each with its parameter fixed.

    Args:
      method: a scheme. Its variants are returned, or the scheme itself if it has none. None stands for all METHODS.
    """
    if method is None:
        return tuple(dict.fromkeys(name for scheme in METHODS for name in candidates(scheme)))
    encoding, plus, coding = method.partition("+")
    variants = [name for name in VARIANTS if name.rstrip("0123456789") == encoding]
    return tuple(f"{name}{plus}{coding}" for name in variants) or (method,)


def by_code(code: int) -> ModuleType:
    """Returns the encoding module with this number in the packed layer.

    Raises:
      ValueError: if the number is unknown.
    """
    for module in _MODULES:
        if module.CODE == code:
            return module
    raise ValueError(f"unknown encoding number {code}")

"""The streams of an encoded matrix: all of the packed layer except header, bias and requantisation.

The bytes are those of docs/format.md. Streams that an encoding does not use are empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

MAX_ROWS = 1 << 20
MAX_COLS = (1 << 18) - 1
MAX_WEIGHTS = (1 << 31) - 1

# How an encoding stores row lengths: 1, 2 or 4 bytes each, packed bits, or not at all.
LENGTH_BYTES = "bytes"
LENGTH_BITS = "bits"
NO_LENGTHS = "none"

PLAIN = "plain"
HUFFMAN = "huffman"

# Matrix elements per block of rows. Encoding block by block bounds the memory of the index arrays.
_BLOCK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Layout:
    """What an encoding stores besides the values. Every module of an encoding has one as LAYOUT.

    Attributes:
      positions: the position streams that it uses, of index, delta and plane.
      row_lengths: LENGTH_BYTES, LENGTH_BITS or NO_LENGTHS.
      has_parameter: whether index_parameter may be other than 0.
      has_fillers: whether elements may be zeros.
    """

    positions: tuple[str, ...]
    row_lengths: str = LENGTH_BYTES
    has_parameter: bool = False
    has_fillers: bool = False


@dataclass(frozen=True)
class Streams:
    """An encoded matrix.

    Attributes:
      encoding: name in the registry.
      rows, cols: shape of the matrix.
      values: int8 or int16 [elements], stored values by row and column, including fillers.
      row_lengths: uint32 [rows], elements of each row; None if the encoding does not store them.
      index, delta, plane: the position streams.
      index_parameter: parameter of the encoding, 0 if it has none.
      row_length_bits: bits of a stored row length if they are bit-packed, else None.
      value_coding: PLAIN or HUFFMAN.
      codes: the coded values; HUFFMAN only.
      raw_bits: raw bits before the code of each value; HUFFMAN only.
    """

    encoding: str
    rows: int
    cols: int
    values: np.ndarray
    row_lengths: np.ndarray | None = None
    index: bytes = b""
    delta: bytes = b""
    plane: bytes = b""
    index_parameter: int = field(default=0)
    row_length_bits: int | None = None
    value_coding: str = PLAIN
    codes: bytes = b""
    raw_bits: int = 0

    @property
    def scheme(self) -> str:
        """Name of the encoding, followed by the value coding unless that is plain."""
        return self.encoding if self.value_coding == PLAIN else f"{self.encoding}+{self.value_coding}"

    @property
    def row_length_bytes(self) -> int:
        """Bytes of a stored row length: 0 (not stored as bytes), 1, 2 or 4."""
        if self.row_lengths is None or self.row_length_bits is not None:
            return 0
        longest = int(self.row_lengths.max(initial=0))
        return 1 if longest < 1 << 8 else 2 if longest < 1 << 16 else 4

    @property
    def position_bytes(self) -> int:
        """Exact bytes of the position streams, without row lengths."""
        return len(self.index) + len(self.delta) + len(self.plane)

    @property
    def parts(self) -> dict[str, int]:
        """Exact bytes of each stream, without the padding between sections."""
        return {
            "row_length": (8 * self.row_length_bytes * self.rows + (self.row_length_bits or 0) * self.rows + 7) // 8,
            "index": len(self.index),
            "delta": len(self.delta),
            "plane": len(self.plane),
            "values": self.values.nbytes if self.value_coding == PLAIN else len(self.codes),
        }

    @property
    def nbytes(self) -> int:
        """Exact bytes of all streams."""
        return sum(self.parts.values())


def check_matrix(matrix: np.ndarray) -> np.ndarray:
    """Returns `matrix` as a C-contiguous array if it can be encoded.

    Raises:
      ValueError: if it is not a non-empty 2-D int8 or int16 array within the format's limits.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.dtype not in (np.int8, np.int16):
        raise ValueError(f"expected an int8 or int16 matrix, got {matrix.dtype} with shape {matrix.shape}")
    rows, cols = matrix.shape
    check_shape(rows, cols)
    return np.ascontiguousarray(matrix)


def check_shape(rows: int, cols: int) -> None:
    """Raises ValueError if the shape exceeds the limits of the format."""
    if not (1 <= rows <= MAX_ROWS and 1 <= cols <= MAX_COLS and rows * cols <= MAX_WEIGHTS):
        raise ValueError(
            f"a {rows} x {cols} matrix is outside 1..{MAX_ROWS} rows, 1..{MAX_COLS} columns, {MAX_WEIGHTS} elements"
        )


def nonzero_blocks(
    matrix: np.ndarray,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the nonzeros of consecutive blocks of rows.

    Yields:
        (lengths, columns, values): nonzeros per row of the block, int64; columns of all nonzeros, int64; their values.
    """
    rows, cols = matrix.shape
    step = max(1, _BLOCK_ELEMENTS // cols)
    for start in range(0, rows, step):
        block = matrix[start : start + step]
        flat = np.flatnonzero(block)
        lengths = np.count_nonzero(block, axis=1).astype(np.int64)
        yield lengths, flat % cols, block.reshape(-1)[flat]


def positions_in_rows(lengths: np.ndarray) -> np.ndarray:
    """Position of each element within its row, int64 [sum(lengths)]."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum()), dtype=np.int64) - np.repeat(starts, lengths)


def columns_from_gaps(gaps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Columns of elements in rows of `lengths`. `gaps` are the empty columns before each element."""
    total = np.cumsum(gaps + 1)
    lengths = lengths[lengths > 0]
    starts = np.cumsum(lengths) - lengths
    return total - 1 - np.repeat((total - gaps - 1)[starts], lengths)


def pack_nibbles(nibbles: np.ndarray) -> bytes:
    """Packs values 0..15, two per byte. Even positions use the low nibble."""
    padded = np.zeros(len(nibbles) + len(nibbles) % 2, np.uint8)
    padded[: len(nibbles)] = nibbles
    return (padded[0::2] | padded[1::2] << 4).tobytes()


def unpack_nibbles(data: bytes) -> np.ndarray:
    """Inverse of pack_nibbles: uint8 [2 * len(data)]."""
    packed = np.frombuffer(data, np.uint8)
    nibbles = np.empty(2 * len(packed), np.uint8)
    nibbles[0::2] = packed & 15
    nibbles[1::2] = packed >> 4
    return nibbles


def check_columns(streams: Streams, columns: np.ndarray) -> None:
    """Raises ValueError if a column lies outside the matrix."""
    if columns.size and (columns.min() < 0 or columns.max() >= streams.cols):
        raise ValueError(f"{streams.encoding}: an index leaves its row")


def scatter(streams: Streams, columns: np.ndarray) -> np.ndarray:
    """Returns the matrix with `streams.values` at `columns` of their rows and zeros elsewhere.

    Raises:
      ValueError: if a column lies outside the matrix or does not increase within its row.
    """
    assert streams.row_lengths is not None
    lengths = streams.row_lengths.astype(np.int64)
    check_columns(streams, columns)
    if columns.size:
        first = positions_in_rows(lengths) == 0
        if np.any((np.diff(columns) <= 0) & ~first[1:]):
            raise ValueError(f"{streams.encoding}: indices do not increase within a row")
    matrix = np.zeros((streams.rows, streams.cols), streams.values.dtype)
    flat = np.repeat(np.arange(streams.rows, dtype=np.int64) * streams.cols, lengths) + columns
    matrix.reshape(-1)[flat] = streams.values
    return matrix


def check_row_lengths(streams: Streams) -> np.ndarray:
    """Returns the row lengths as int64 [rows].

    Raises:
      ValueError: if they are missing, if one exceeds the columns, or if their sum is not the number of values.
    """
    lengths = streams.row_lengths
    if lengths is None or len(lengths) != streams.rows:
        raise ValueError(f"{streams.encoding}: wrong number of row lengths")
    lengths = lengths.astype(np.int64)
    if lengths.max(initial=0) > streams.cols or int(lengths.sum()) != len(streams.values):
        raise ValueError(f"{streams.encoding}: row lengths do not fit the matrix")
    return lengths

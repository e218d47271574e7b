"""Bitmap encoding: one bit per matrix element. Format: docs/format.md#bitmap."""

from __future__ import annotations

import numpy as np

from dcsr.encodings.streams import NO_LENGTHS, Layout, Streams, check_matrix

NAME = "bitmap"
CODE = 5
LAYOUT = Layout(("index",), row_lengths=NO_LENGTHS)


def encode(matrix: np.ndarray) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]).

    Raises:
      ValueError: see streams.check_matrix.
    """
    matrix = check_matrix(matrix)
    flat = matrix.reshape(-1)
    present = flat != 0
    return Streams(NAME, *matrix.shape, values=flat[present], index=np.packbits(present, bitorder="little").tobytes())


def position_nbytes(matrix: np.ndarray) -> int:
    """Exact size in bytes of the bitmap of `matrix`."""
    return (matrix.size + 7) // 8


def row_lengths(streams: Streams) -> np.ndarray:
    """Nonzeros of each row, int64 [rows]."""
    return np.count_nonzero(_bits(streams).reshape(streams.rows, streams.cols), axis=1).astype(np.int64)


def _bits(streams: Streams) -> np.ndarray:
    """The bitmap as bool [rows * cols]: True for nonzeros."""
    index = np.frombuffer(streams.index, np.uint8)
    return np.unpackbits(index, count=streams.rows * streams.cols, bitorder="little").view(bool)


def decode(streams: Streams) -> np.ndarray:
    """Returns the original matrix.

    Raises:
      ValueError: if the bitmap has the wrong size, or if its number of ones is not the number of values.
    """
    elements = streams.rows * streams.cols
    if len(streams.index) != (elements + 7) // 8:
        raise ValueError("bitmap: wrong size")
    present = _bits(streams)
    if np.count_nonzero(present) != len(streams.values):
        raise ValueError("bitmap: not as many ones as values")
    matrix = np.zeros((streams.rows, streams.cols), streams.values.dtype)
    matrix.reshape(-1)[present] = streams.values
    return matrix

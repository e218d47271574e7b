"""One bit for each element of the matrix. Format: docs/format.md#bitmap."""

from __future__ import annotations

import numpy as np

from dcsr.encodings.streams import Streams, check_matrix

NAME = "bitmap"
CODE = 5


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
    """Exact bytes of the bitmap of `matrix`."""
    return (matrix.size + 7) // 8


def decode(streams: Streams) -> np.ndarray:
    """The matrix.

    Raises:
      ValueError: if the bitmap has the wrong size, or not as many ones as there are values.
    """
    elements = streams.rows * streams.cols
    if len(streams.index) != (elements + 7) // 8:
        raise ValueError("bitmap: wrong size")
    present = np.unpackbits(np.frombuffer(streams.index, np.uint8), count=elements, bitorder="little").view(bool)
    if np.count_nonzero(present) != len(streams.values):
        raise ValueError("bitmap: not as many ones as values")
    matrix = np.zeros((streams.rows, streams.cols), streams.values.dtype)
    matrix.reshape(-1)[present] = streams.values
    return matrix

"""Dense storage, row by row. Format: docs/format.md#dense."""

from __future__ import annotations

import numpy as np

from dcsr.encodings.streams import NO_LENGTHS, Layout, Streams, check_matrix

NAME = "dense"
CODE = 0
LAYOUT = Layout((), row_lengths=NO_LENGTHS, has_fillers=True)


def encode(matrix: np.ndarray) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]).

    Raises:
      ValueError: see streams.check_matrix.
    """
    matrix = check_matrix(matrix)
    return Streams(NAME, *matrix.shape, values=matrix.reshape(-1))


def row_lengths(streams: Streams) -> np.ndarray:
    """Elements of each row, int64 [rows]: all."""
    return np.full(streams.rows, streams.cols, np.int64)


def decode(streams: Streams) -> np.ndarray:
    """Returns the original matrix.

    Raises:
      ValueError: if the number of values is not rows * cols.
    """
    if len(streams.values) != streams.rows * streams.cols:
        raise ValueError("dense: wrong number of values")
    return streams.values.reshape(streams.rows, streams.cols).copy()

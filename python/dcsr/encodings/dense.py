"""Dense storage, row by row, for comparisons. Format: docs/format.md#dense."""

from __future__ import annotations

import numpy as np

from dcsr.encodings.streams import Streams, check_matrix

NAME = "dense"
CODE = 0


def encode(matrix: np.ndarray) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]).

    Raises:
      ValueError: see streams.check_matrix.
    """
    matrix = check_matrix(matrix)
    return Streams(NAME, *matrix.shape, values=matrix.reshape(-1))


def decode(streams: Streams) -> np.ndarray:
    """Returns the original matrix.

    Raises:
      ValueError: if the number of values is not rows * cols.
    """
    if len(streams.values) != streams.rows * streams.cols:
        raise ValueError("dense: wrong number of values")
    return streams.values.reshape(streams.rows, streams.cols).copy()

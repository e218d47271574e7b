"""Means and covariances of the input vectors of a layer, in the pruned and in the dense network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Vectors that are converted to float at once, and at most used of a layer: more say nothing new about a covariance.
_CHUNK = 4096
MOST_VECTORS = 1 << 17


class Moments:
    """Sums over vectors X of the pruned and Xd of the dense network, both without the zero point.

    Attributes:
      count: number of vectors.
    """

    def __init__(self, cols: int, *, centred: bool) -> None:
        """Starts with no vectors.

        Args:
          cols: length of a vector.
          centred: whether the means are subtracted, which is right for a layer with a bias.
        """
        self.count = 0
        self._centred = centred
        self._sum = np.zeros(cols)
        self._dense_sum = np.zeros(cols)
        self._square = np.zeros((cols, cols))
        self._cross: Array | None = None

    def add(self, vectors: Array, dense_vectors: Array | None, zero_point: int) -> None:
        """Adds vectors [n, cols] of both networks, integers; None for those of the dense one if they are the same."""
        if len(vectors) > MOST_VECTORS:
            chosen = np.linspace(0, len(vectors) - 1, MOST_VECTORS).astype(np.int64)
            vectors = vectors[chosen]
            dense_vectors = None if dense_vectors is None else dense_vectors[chosen]
        if dense_vectors is not None and self._cross is None:
            self._cross = self._square.copy()
        for start in range(0, len(vectors), _CHUNK):
            # Products of int16 inputs have more than 24 bits, and a covariance is a difference of their sums.
            real = np.float64 if vectors.dtype == np.int16 else np.float32
            part = vectors[start : start + _CHUNK].astype(real) - real(zero_point)
            self._square += part.T @ part
            self._sum += part.sum(axis=0, dtype=np.float64)
            dense = part
            if dense_vectors is not None:
                dense = dense_vectors[start : start + _CHUNK].astype(real) - real(zero_point)
            self._dense_sum += dense.sum(axis=0, dtype=np.float64)
            if self._cross is not None:
                self._cross += part.T @ dense
        self.count += len(vectors)

    @property
    def mean(self) -> Array:
        """float64 [cols], of the pruned network's vectors."""
        return self._sum / self.count

    @property
    def dense_mean(self) -> Array:
        """float64 [cols], of the dense network's vectors."""
        return self._dense_sum / self.count

    @property
    def covariance(self) -> Array:
        """float64 [cols, cols], of the pruned network's vectors."""
        square = self._square / self.count
        return square - np.outer(self.mean, self.mean) if self._centred else square

    @property
    def cross_covariance(self) -> Array:
        """float64 [cols, cols], of the pruned network's vectors (rows) with those of the dense network (columns)."""
        if self._cross is None:
            return self.covariance
        cross = self._cross / self.count
        return cross - np.outer(self.mean, self.dense_mean) if self._centred else cross

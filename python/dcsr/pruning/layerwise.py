"""Prunes one layer: targets of the dense network, removal, new scales, rounding, bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr.pruning import obs
from dcsr.pruning.forward import Weights
from dcsr.pruning.moments import Moments

Array = NDArray[Any]

DAMPING = 0.01
# Removals go on to this share of a row's weights.
MOST_SPARSITY = 0.985
# With more columns, the covariances between parts of the columns are left out: they would take too much memory.
MOST_COLUMNS = 2048
# The magnitude of a bias, at most; int32 has room for the accumulators besides.
_BIAS_LIMIT = 1 << 29
# The time of finding the order is rows * columns * width^2 with parts of the columns of this width.
_ORDER_WORK = 5e10


@dataclass(frozen=True)
class Pattern:
    """A mask that other runtimes ask for.

    Attributes:
      kept, group: at most `kept` nonzeros of `group` neighbouring inputs (N:M); 0 if it is a block.
      block: (rows, columns) of the blocks that are zero as a whole.
    """

    kept: int = 0
    group: int = 0
    block: tuple[int, int] = (1, 1)

    def fits(self, shape: tuple[int, int]) -> bool:
        """Whether a matrix [rows, cols] can have it."""
        rows, cols = shape
        return cols % self.group == 0 if self.group else rows % self.block[0] == 0 and cols % self.block[1] == 0


@dataclass(frozen=True)
class Part:
    """Rows and columns of a layer that have the same inputs.

    Attributes:
      rows, columns: their indices.
      hessian: float64 [width, width], damped covariance of the inputs in the pruned network.
      targets: float64 [rows, width], W0 times the Hessian, where W0 follows the dense network best.
    """

    rows: Array
    columns: Array
    hessian: Array
    targets: Array

    @property
    def place(self) -> tuple[Array, ...]:
        """Indices of the part in the matrix."""
        return np.ix_(self.rows, self.columns)


@dataclass(frozen=True)
class Problem:
    """A layer to prune, in real units: weights times their scales, activations as integers.

    Attributes:
      weights: the dense layer.
      parts: its weights; one part if there are at most MOST_COLUMNS, one for each row of a DEPTHWISE_CONV_2D.
      bias: float64 [rows], that with pruned weights of 0 would give the dense network's means; None without a bias.
      mean: float64 [cols], of the inputs in the pruned network; [rows, cols] of a DEPTHWISE_CONV_2D.
    """

    weights: Weights
    parts: list[Part]
    bias: Array | None
    mean: Array


class LayerMoments:
    """The moments of a layer's inputs, for each part of its weights.

    Attributes:
      places: (rows, columns) of each part, indices.
      parts: the moments of each.
    """

    def __init__(self, rows: int, cols: int, *, has_bias: bool, channels: int = 0) -> None:
        """Starts with no vectors.

        Args:
          rows: output channels.
          cols: columns of the matrix.
          has_bias: whether the layer has a bias.
          channels: input channels of a DEPTHWISE_CONV_2D; 0 for other layers.
        """
        self._channels = channels
        every_row, every_column = np.arange(rows), np.arange(cols)
        if channels:
            self.places = [(group, every_column) for group in np.array_split(every_row, channels)]
        else:
            split = np.array_split(every_column, -(-cols // MOST_COLUMNS))
            self.places = [(every_row, columns) for columns in split]
        self.parts = [Moments(len(columns), centred=has_bias) for _, columns in self.places]

    def add(self, vectors: Array, dense_vectors: Array | None, zero_point: int) -> None:
        """As Moments.add. The vectors of a DEPTHWISE_CONV_2D are [n, taps * channels]."""
        if self._channels:
            mine = self._by_channel(vectors)
            dense = None if dense_vectors is None else self._by_channel(dense_vectors)
            for number, part in enumerate(self.parts):
                part.add(mine[number], None if dense is None else dense[number], zero_point)
            return
        if len(self.parts) == 1:
            self.parts[0].add(vectors, dense_vectors, zero_point)
            return
        for (_, columns), part in zip(self.places, self.parts, strict=True):
            part.add(vectors[:, columns], None if dense_vectors is None else dense_vectors[:, columns], zero_point)

    def means(self, of_parts: Sequence[Array]) -> Array:
        """Returns the means of all parts: float64 [cols], or [rows, cols] of a DEPTHWISE_CONV_2D."""
        if not self._channels:
            return np.concatenate(of_parts)
        counts = [len(rows) for rows, _ in self.places]
        return np.repeat(np.stack(of_parts), counts, axis=0)

    def _by_channel(self, vectors: Array) -> Array:
        """Returns [channels, n, taps]."""
        return np.ascontiguousarray(vectors.reshape(len(vectors), -1, self._channels).transpose(2, 0, 1))


def problem(weights: Weights, moments: LayerMoments, damping: float = DAMPING) -> Problem:
    """The problem of a layer whose inputs have these moments."""
    scales = weights.scales.astype(np.float64)
    real = weights.matrix * scales[:, np.newaxis]
    parts = []
    for (rows, columns), part in zip(moments.places, moments.parts, strict=True):
        covariance = part.covariance
        hessian = obs.damped(covariance, damping)
        # W0 = W + (cov(Y, X) - W cov(X)) H^-1, times H.
        place = np.ix_(rows, columns)
        mine = real[place]
        parts.append(Part(rows, columns, hessian, mine @ hessian + mine @ (part.cross_covariance.T - covariance)))
    bias = None
    if weights.bias is not None:
        bias = weights.bias * scales + _applied(real, moments.means([part.dense_mean for part in moments.parts]))
    return Problem(weights, parts, bias, moments.means([part.mean for part in moments.parts]))


def _applied(matrix: Array, vectors: Array) -> Array:
    """The products [rows] of a matrix with one vector [cols], or of each row with its own, [rows, cols]."""
    found: Array = matrix @ vectors if vectors.ndim == 1 else (matrix * vectors).sum(axis=1)
    return found


def removal_order(given: Problem, pattern: Pattern) -> obs.Removal:
    """The order in which the weights of the layer are removed, up to MOST_SPARSITY."""
    rows, cols = given.weights.matrix.shape
    found = []
    for part in given.parts:
        if pattern.block != (1, 1):
            removal = obs.block_removal(part.targets, part.hessian, pattern.block, MOST_SPARSITY)
            found.append((part.rows, part.columns, removal))
            continue
        best = np.linalg.solve(part.hessian, part.targets.T).T
        width = max(16, int((_ORDER_WORK / (rows * cols)) ** 0.5))
        for chosen in np.array_split(np.arange(len(part.columns)), -(-len(part.columns) // width)):
            hessian = part.hessian[np.ix_(chosen, chosen)]
            removals = max(1, int(MOST_SPARSITY * len(chosen)))
            found.append((part.rows, part.columns[chosen], obs.removal(best[:, chosen], hessian, removals)))
    return obs.joined(found, cols)


def pattern_mask(given: Problem, pattern: Pattern) -> Array:
    """The N:M mask of a layer."""
    mask = np.ones(given.weights.matrix.shape, bool)
    for part in given.parts:
        mask[part.place] = obs.pattern_mask(part.targets, part.hessian, pattern.kept, pattern.group)
    return mask


def prune(given: Problem, mask: Array) -> Weights:
    """The layer with the weights where `mask` [rows, cols] is False removed and the others adapted.

    Each row gets a new scale: the adapted weights are larger than the dense ones, and would not fit the old scales. A
    layer with one scale keeps one.
    """
    adapted = np.zeros(mask.shape)
    for part in given.parts:
        adapted[part.place] = obs.solve(part.hessian, part.targets, mask[part.place])
    largest = np.abs(adapted).max(axis=1)
    old = given.weights.scales.astype(np.float64)
    if len(old) == 1:
        largest = largest.max(keepdims=True)
    # A row without weights keeps its scale. The bias must fit into 32 bits.
    scales = np.where(largest > 0, largest / obs.INT8_MAX, old)
    if given.bias is not None:
        needed = np.abs(given.bias) / _BIAS_LIMIT
        scales = np.maximum(scales, needed if len(scales) > 1 else needed.max())
    single = scales.astype(np.float32)
    each = np.broadcast_to(single.astype(np.float64), len(adapted)).copy()
    matrix = np.zeros(mask.shape, np.int8)
    for part in given.parts:
        matrix[part.place] = obs.round_to_int8(part.hessian, adapted[part.place], mask[part.place], each[part.rows])
    bias = None
    if given.bias is not None:
        bias = np.rint((given.bias - _applied(matrix * each[:, np.newaxis], given.mean)) / each).astype(np.int64)
    return Weights(matrix, single, bias)

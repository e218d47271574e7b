"""Prunes one layer: targets of the dense network, removal, new scales, rounding, bias."""

from __future__ import annotations

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
    """Some columns of a layer.

    Attributes:
      columns: their indices.
      hessian: float64 [width, width], damped covariance of their inputs in the pruned network.
      targets: float64 [rows, width], W0 times the Hessian, where W0 follows the dense network best.
    """

    columns: Array
    hessian: Array
    targets: Array


@dataclass(frozen=True)
class Problem:
    """A layer to prune, in real units: weights times their scales, activations as integers.

    Attributes:
      weights: the dense layer.
      parts: its columns; one part if there are at most MOST_COLUMNS.
      bias: float64 [rows], that with pruned weights of 0 would give the dense network's means; None without a bias.
      mean: float64 [cols], of the inputs in the pruned network.
    """

    weights: Weights
    parts: list[Part]
    bias: Array | None
    mean: Array


class LayerMoments:
    """The moments of a layer's inputs, for each part of its columns."""

    def __init__(self, cols: int, *, has_bias: bool) -> None:
        count = -(-cols // MOST_COLUMNS)
        self.columns = np.array_split(np.arange(cols), count)
        self.parts = [Moments(len(columns), centred=has_bias) for columns in self.columns]

    def add(self, vectors: Array, dense_vectors: Array | None, zero_point: int) -> None:
        """As Moments.add."""
        if len(self.parts) == 1:
            self.parts[0].add(vectors, dense_vectors, zero_point)
            return
        for columns, part in zip(self.columns, self.parts, strict=True):
            part.add(vectors[:, columns], None if dense_vectors is None else dense_vectors[:, columns], zero_point)


def problem(weights: Weights, moments: LayerMoments, damping: float = DAMPING) -> Problem:
    """The problem of a layer whose inputs have these moments."""
    scales = weights.scales.astype(np.float64)
    real = weights.matrix * scales[:, np.newaxis]
    parts = []
    for columns, part in zip(moments.columns, moments.parts, strict=True):
        covariance = part.covariance
        hessian = obs.damped(covariance, damping)
        # W0 = W + (cov(Y, X) - W cov(X)) H^-1, times H.
        mine = real[:, columns]
        parts.append(Part(columns, hessian, mine @ hessian + mine @ (part.cross_covariance.T - covariance)))
    bias = None
    if weights.bias is not None:
        bias = weights.bias * scales + real @ np.concatenate([part.dense_mean for part in moments.parts])
    return Problem(weights, parts, bias, np.concatenate([part.mean for part in moments.parts]))


def removal_order(given: Problem, pattern: Pattern) -> obs.Removal:
    """The order in which the weights of the layer are removed, up to MOST_SPARSITY."""
    rows, cols = given.weights.matrix.shape
    found = []
    for part in given.parts:
        if pattern.block != (1, 1):
            removal = obs.block_removal(part.targets, part.hessian, pattern.block, MOST_SPARSITY)
            found.append((part.columns, removal))
            continue
        best = np.linalg.solve(part.hessian, part.targets.T).T
        width = max(16, int((_ORDER_WORK / (rows * cols)) ** 0.5))
        for chosen in np.array_split(np.arange(len(part.columns)), -(-len(part.columns) // width)):
            hessian = part.hessian[np.ix_(chosen, chosen)]
            removals = max(1, int(MOST_SPARSITY * len(chosen)))
            found.append((part.columns[chosen], obs.removal(best[:, chosen], hessian, removals)))
    return obs.joined(found, cols)


def pattern_mask(given: Problem, pattern: Pattern) -> Array:
    """The N:M mask of a layer."""
    mask = np.ones(given.weights.matrix.shape, bool)
    for part in given.parts:
        mask[:, part.columns] = obs.pattern_mask(part.targets, part.hessian, pattern.kept, pattern.group)
    return mask


def prune(given: Problem, mask: Array) -> Weights:
    """The layer with the weights where `mask` [rows, cols] is False removed and the others adapted.

    Each row gets a new scale: the adapted weights are larger than the dense ones, and would not fit the old scales. A
    layer with one scale keeps one.
    """
    adapted = np.zeros(mask.shape)
    for part in given.parts:
        adapted[:, part.columns] = obs.solve(part.hessian, part.targets, mask[:, part.columns])
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
        inside = mask[:, part.columns]
        matrix[:, part.columns] = obs.round_to_int8(part.hessian, adapted[:, part.columns], inside, each)
    bias = None
    if given.bias is not None:
        bias = np.rint((given.bias - (matrix * each[:, np.newaxis]) @ given.mean) / each).astype(np.int64)
    return Weights(matrix, single, bias)

"""Optimal Brain Surgeon for one layer: which weights to remove, and the best values of the others.

A layer is Y = W X with W float [rows, cols]. Its loss is the mean square of the change of Y, summed over the rows:
sum over rows of (w - w0) H (w - w0)^T, where H [cols, cols] is the covariance of X, plus damping. Rows are independent.

Sources: Optimal Brain Compression, arXiv 2208.11580, algorithms 1 and 3 (exact removal and OBQ rounding); GPTQ, arXiv
2210.17323, section 3 (rounding with the Cholesky factor of the inverse).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

INT8_MAX = 127
# Removals between two updates of the inverses. In between, the removals are kept as rank-1 terms.
_BLOCK = 32
# Bytes of the inverses of the rows that are worked on together.
_BATCH_BYTES = 16 << 20


class Removal(NamedTuple):
    """The weights of a matrix in the order in which they are removed. Any number of the first ones may be.

    Attributes:
      order: int64 [n], indices into the flattened matrix.
      losses: float64 [n], the increase of the loss with each, not decreasing. The sum over the first ones bounds the
        loss without them.
    """

    order: Array
    losses: Array


def damped(covariance: Array, damping: float) -> Array:
    """`covariance` [cols, cols] with `damping` times its mean diagonal added to the diagonal; it has an inverse."""
    mean = float(np.mean(np.diagonal(covariance)))
    return covariance + (damping * mean or 1.0) * np.eye(len(covariance))


def removal(weights: Array, hessian: Array, removals: int) -> Removal:
    """Removes the weights of each row one by one, always that with the smallest loss, and adapts the remaining ones.

    One threshold over the loss increments of all rows then says how many weights each row loses.

    Works in float32; where rounding makes a diagonal element of an inverse negative, in float64.

    Args:
      weights: float [rows, cols].
      hessian: float64 [cols, cols], positive definite.
      removals: number of weights to remove from each row, at most cols.
    """
    rows, cols = weights.shape
    order = np.empty((rows, removals), np.int32)
    losses = np.empty((rows, removals), np.float64)
    single = np.linalg.inv(hessian).astype(np.float32)
    step = max(1, _BATCH_BYTES // (4 * cols * cols))
    for start in range(0, rows, step):
        batch = slice(start, min(start + step, rows))
        try:
            found = _trace_batch(weights[batch].astype(np.float32), single, removals)
        except FloatingPointError:
            found = _trace_in_float64(weights[batch], hessian, removals)
        order[batch], losses[batch] = found
    # Without a decrease in a row, a stable sort keeps the order of the row.
    np.maximum.accumulate(losses, axis=1, out=losses)
    flat = np.arange(rows)[:, np.newaxis] * cols + order
    return _sorted(flat.ravel(), losses.ravel())


def _trace_in_float64(weights: Array, hessian: Array, removals: int) -> tuple[Array, Array]:
    """As _trace_batch; a Hessian that is too close to singular for it is damped more."""
    damping = 0.0
    while True:
        inverse = np.linalg.inv(damped(hessian, damping) if damping else hessian)
        try:
            return _trace_batch(weights.astype(np.float64), inverse, removals)
        except FloatingPointError:
            if damping > 1:
                raise
            damping = 100 * damping or 1e-8


def _sorted(order: Array, losses: Array) -> Removal:
    by_loss = np.argsort(losses, kind="stable")
    return Removal(order[by_loss].astype(np.int64), losses[by_loss])


def _trace_batch(weights: Array, inverse: Array, removals: int) -> tuple[Array, Array]:
    """Order and losses of some rows, in the type of `weights`, which is overwritten.

    The inverse of each row, without its removed columns, is `inverses` minus the product of the rank-1 terms `terms`.
    After _BLOCK removals the terms are subtracted and the removed columns are cut out.

    Raises:
      FloatingPointError: if a diagonal element is not positive.
    """
    rows, cols = weights.shape
    order = np.empty((rows, removals), np.int32)
    losses = np.empty((rows, removals), weights.dtype)
    every = np.arange(rows)
    inverses = np.broadcast_to(inverse, (rows, cols, cols))
    columns = np.broadcast_to(np.arange(cols, dtype=np.int32), (rows, cols))
    diagonal = np.array(np.broadcast_to(np.diagonal(inverse), (rows, cols)))
    done = 0
    while done < removals:
        block = min(_BLOCK, removals - done)
        width = weights.shape[1]
        terms = np.empty((rows, block, width), weights.dtype)
        gone = np.zeros((rows, width), weights.dtype)
        for k in range(block):
            scores = weights * weights / diagonal + gone
            picked = scores.argmin(axis=1)
            order[:, done + k] = columns[every, picked]
            losses[:, done + k] = scores[every, picked]
            pivot = diagonal[every, picked]
            if not pivot.min() > 0:
                raise FloatingPointError("the inverse is not positive definite")
            column = inverses[every, picked]
            if k:
                column = column - np.einsum("rk,rkc->rc", terms[every, :k, picked], terms[:, :k])
            column /= np.sqrt(pivot)[:, np.newaxis]
            terms[:, k] = column
            weights -= (weights[every, picked] / np.sqrt(pivot))[:, np.newaxis] * column
            diagonal -= column * column
            weights[every, picked] = 0
            diagonal[every, picked] = 1
            gone[every, picked] = np.inf
        done += block
        if done < removals:
            kept = np.nonzero(gone == 0)[1].reshape(rows, width - block)
            inverses = inverses[every[:, np.newaxis, np.newaxis], kept[:, :, np.newaxis], kept[:, np.newaxis]]
            cut = np.take_along_axis(terms, kept[:, np.newaxis], axis=2)
            inverses -= np.matmul(cut.transpose(0, 2, 1), cut)
            weights, columns, diagonal = (np.take_along_axis(a, kept, axis=1) for a in (weights, columns, diagonal))
    return order, losses


def joined(parts: Sequence[tuple[Array, Array, Removal]], cols: int) -> Removal:
    """One removal for a matrix of which each part holds some rows and columns.

    Args:
      parts: (indices of the rows, indices of the columns, removal of the matrix of these).
      cols: columns of the whole matrix.
    """
    orders = []
    for rows, columns, part in parts:
        row, column = np.divmod(part.order, len(columns))
        orders.append(rows[row] * cols + columns[column])
    return _sorted(np.concatenate(orders), np.concatenate([part.losses for *_, part in parts]))


def block_removal(targets: Array, hessian: Array, block: tuple[int, int], share: float, rounds: int = 16) -> Removal:
    """Removes blocks of weights, in rounds; after each the remaining weights are adapted.

    The loss of a block is taken as the sum of those of its weights alone.

    Args:
      targets: as of `solve`.
      hessian: float64 [cols, cols].
      block: (rows, columns) of a block, divisors of the matrix's.
      share: of the blocks to remove, 0..1.
      rounds: number of rounds that would remove all.
    """
    shape = targets.shape
    grid = (shape[0] // block[0], block[0], shape[1] // block[1], block[1])
    places = np.arange(targets.size).reshape(grid).transpose(0, 2, 1, 3).reshape(grid[0] * grid[2], -1)
    alive = np.ones(len(places), bool)
    mask = np.ones(shape, bool)
    orders, losses = [], []
    total = int(share * len(places))
    while (left := total - int(np.sum(~alive))) > 0:
        scores = _single_losses(hessian, targets, mask).ravel()[places].sum(axis=1)
        scores[~alive] = np.inf
        cheapest = np.argsort(scores, kind="stable")[: min(left, -(-len(places) // rounds))]
        alive[cheapest] = False
        mask.ravel()[places[cheapest]] = False
        orders.append(places[cheapest].ravel())
        losses.append(np.repeat(scores[cheapest] / places.shape[1], places.shape[1]))
    if not orders:
        return Removal(np.zeros(0, np.int64), np.zeros(0))
    return Removal(np.concatenate(orders), np.maximum.accumulate(np.concatenate(losses)))


def pattern_mask(targets: Array, hessian: Array, kept: int, group: int) -> Array:
    """Boolean [rows, cols] with `kept` of each `group` neighbouring columns, which divides their number (N:M sparsity).

    In each round every group loses the weight that is cheapest alone, and the remaining ones are adapted.
    """
    mask = np.ones(targets.shape, bool)
    for _ in range(group - kept):
        scores = np.where(mask, _single_losses(hessian, targets, mask), np.inf)
        cheapest = scores.reshape(len(targets), -1, group).argmin(axis=2)
        np.put_along_axis(mask.reshape(len(targets), -1, group), cheapest[..., np.newaxis], False, axis=2)
    return mask


def _single_losses(hessian: Array, targets: Array, mask: Array) -> Array:
    """float64 [rows, cols]: the loss of removing each weight from those in the mask; 0 outside it."""
    scores = np.zeros(targets.shape)
    for rows, columns, inside in _batches(mask):
        inverse = np.linalg.inv(_support_blocks(hessian, columns, inside))
        wanted = np.where(inside, np.take_along_axis(targets[rows], columns, axis=1), 0)
        weights = np.matmul(inverse, wanted[..., np.newaxis])[..., 0]
        single = weights**2 / np.diagonal(inverse, axis1=1, axis2=2)
        at, where = np.nonzero(inside)
        scores[rows[at], columns[at, where]] = single[at, where]
    return scores


def mask_of(found: Removal, shape: tuple[int, int], removals: int) -> Array:
    """Boolean [rows, cols], False at the first `removals` weights."""
    mask = np.ones(shape, bool)
    mask.ravel()[found.order[:removals]] = False
    return mask


def solve(hessian: Array, targets: Array, mask: Array) -> Array:
    """The weights with the least loss that are zero where `mask` is False.

    Args:
      hessian: float64 [cols, cols].
      targets: float64 [rows, cols], W0 H for the weights W0 that have no loss.
      mask: boolean [rows, cols].

    Returns:
      float64 [rows, cols].
    """
    weights = np.zeros(targets.shape)
    for rows, columns, inside in _batches(mask):
        blocks = _support_blocks(hessian, columns, inside)
        wanted = np.where(inside, np.take_along_axis(targets[rows], columns, axis=1), 0)
        solved = np.linalg.solve(blocks, wanted[..., np.newaxis])[..., 0]
        at, where = np.nonzero(inside)
        weights[rows[at], columns[at, where]] = solved[at, where]
    return weights


def round_to_int8(hessian: Array, weights: Array, mask: Array, scales: Array) -> Array:
    """Rounds weights to int8, one column after the other, and has the later columns make up for the error.

    Args:
      hessian: float64 [cols, cols].
      weights: float64 [rows, cols].
      mask: boolean [rows, cols]; weights outside it are zero.
      scales: float64 [rows], the real value of 1.

    Returns:
      int8 [rows, cols], within -127..127.
    """
    rounded = np.zeros(weights.shape, np.int8)
    for rows, columns, inside in _batches(mask):
        # Columns with much energy come first: the others then make up for their errors.
        energy = np.where(inside, np.diagonal(hessian)[columns], -1)
        by_energy = np.argsort(-energy, axis=1, kind="stable")
        columns, inside = (np.take_along_axis(a, by_energy, axis=1) for a in (columns, inside))
        factor = np.linalg.cholesky(np.linalg.inv(_support_blocks(hessian, columns, inside))).transpose(0, 2, 1)
        values = np.where(inside, np.take_along_axis(weights[rows], columns, axis=1), 0)
        scale = scales[rows]
        quantised = np.zeros(values.shape, np.int8)
        for k in range(values.shape[1]):
            nearest = np.clip(np.rint(values[:, k] / scale), -INT8_MAX, INT8_MAX)
            quantised[:, k] = nearest
            error = (values[:, k] - nearest * scale) / factor[:, k, k]
            values[:, k + 1 :] -= error[:, np.newaxis] * factor[:, k, k + 1 :]
        at, where = np.nonzero(inside)
        rounded[rows[at], columns[at, where]] = quantised[at, where]
    return rounded


def _batches(mask: Array) -> list[tuple[Array, Array, Array]]:
    """Rows of similar support, so many that their blocks fit into _BATCH_BYTES.

    Returns:
      (rows [n], columns [n, width], inside [n, width]): the first columns of each row are those where the mask is True,
      and `inside` says how many they are. Rows without any are left out.
    """
    counts = mask.sum(axis=1)
    by_count = np.argsort(counts, kind="stable")
    by_count = by_count[counts[by_count] > 0]
    found = []
    start = 0
    while start < len(by_count):
        size = 1
        while start + size < len(by_count) and (size + 1) * 8 * int(counts[by_count[start + size]]) ** 2 < _BATCH_BYTES:
            size += 1
        rows = by_count[start : start + size]
        width = int(counts[rows[-1]])
        columns = np.argsort(~mask[rows], axis=1, kind="stable")[:, :width]
        found.append((rows, columns, np.arange(width) < counts[rows, np.newaxis]))
        start += size
    return found


def _support_blocks(hessian: Array, columns: Array, inside: Array) -> Array:
    """[n, width, width]: the Hessian of the columns of each row; columns that are not inside have the unit matrix's."""
    blocks = hessian[columns[:, :, np.newaxis], columns[:, np.newaxis]]
    both = inside[:, :, np.newaxis] & inside[:, np.newaxis]
    return np.where(both, blocks, np.eye(columns.shape[1]))

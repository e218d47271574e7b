"""Shares the loss out between the layers: how many weights each one loses.

Each layer is pruned alone at a few levels, and the error of the model's outputs is measured. Between the levels the
error follows the loss of the removal order. The choice minimises the sum of the errors plus a price times the cost. The
cost is the bytes or instructions of the layer after `compress`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_GRID_STEP = 0.01
_TINY = 1e-12
_PRICES = (1e-18, 1e6)


@dataclass(frozen=True)
class Measured:
    """A layer pruned alone.

    Attributes:
      size: number of weights.
      zeros: of the dense layer.
      levels: ascending shares of zeros, float [n].
      errors: of the outputs at each level, float [n].
      losses: that the removal order says for each level, float [n].
      increments: of the loss with each weight in the removal order.
      costs: at each level, float [n].
      dense_cost: if the layer is left alone.
    """

    size: int
    zeros: int
    levels: Array
    errors: Array
    losses: Array
    increments: Array
    costs: Array
    dense_cost: float


@dataclass(frozen=True)
class Curve:
    """The choices of a layer. The first is to leave it alone, with an error of 0.

    Attributes:
      removals: number of weights without which the layer is, int [n]; 0 at the first.
      zeros, errors, costs: [n].
    """

    removals: Array
    zeros: Array
    errors: Array
    costs: Array


def curve(measured: Measured) -> Curve:
    """The choices between the levels of a layer."""
    alone = (np.zeros(1, np.int64), np.array([measured.zeros]), np.zeros(1), np.array([measured.dense_cost]))
    if not len(measured.levels):
        return Curve(*alone)
    shares = np.arange(measured.levels[0], measured.levels[-1] + _GRID_STEP / 2, _GRID_STEP)
    removals = np.rint(shares * measured.size).astype(np.int64)
    loss = np.cumsum(measured.increments)[np.minimum(removals, len(measured.increments)) - 1]
    known = np.log(np.maximum.accumulate(np.maximum(measured.losses, _TINY)))
    wanted = np.log(np.maximum(loss, _TINY))
    errors = np.log(np.maximum.accumulate(np.maximum(measured.errors, _TINY)))
    interpolated = np.exp(np.interp(wanted, known, errors))
    costs = np.interp(shares, measured.levels, measured.costs)
    return Curve(*(np.concatenate(pair) for pair in zip(alone, (removals, removals, interpolated, costs), strict=True)))


def choose(curves: Sequence[Curve], price: float) -> list[int]:
    """The index of the best choice of each layer at a price for a unit of cost."""
    return [int(np.argmin(entry.errors + price * entry.costs)) for entry in curves]


def at_least(curves: Sequence[Curve], enough: Callable[[Sequence[int]], bool]) -> list[int] | None:
    """The choices at the lowest price at which they are enough; None if they are at no price.

    Args:
      curves: of the layers.
      enough: says whether the choices, one index for each layer, satisfy the aim. A higher price never makes a
        satisfied aim fail.
    """
    low, high = (float(np.log(price)) for price in _PRICES)
    best = choose(curves, float(np.exp(high)))
    if not enough(best):
        return None
    for _ in range(48):
        middle = (low + high) / 2
        choices = choose(curves, float(np.exp(middle)))
        if enough(choices):
            best, high = choices, middle
        else:
            low = middle
    return _eased(curves, best, enough)


def _eased(curves: Sequence[Curve], choices: list[int], enough: Callable[[Sequence[int]], bool]) -> list[int]:
    """The choices with layers pruned less as long as they are enough, first where that removes most of the error.

    At one price many layers go from dense to sparse together, and overshoot the aim.
    """
    choices = list(choices)
    while True:
        best, gain = None, 0.0
        for layer, entry in enumerate(curves):
            for index in range(choices[layer]):
                saved = float(entry.errors[choices[layer]] - entry.errors[index])
                if saved <= gain:
                    continue
                eased = [*choices[:layer], index, *choices[layer + 1 :]]
                if enough(eased):
                    best, gain = eased, saved
        if best is None:
            return choices
        choices = best

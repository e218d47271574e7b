"""Bounds of inference and start-up: layers that would make them too slow get other encodings, or stay dense."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dcsr.planning.candidates import Candidate, size_and_time

# Bytes that a layer which is slower than dense has to save for each percent of the dense inference that it adds.
BYTES_PER_PERCENT = 64
# Time of such a layer at most, relative to dense.
MOST_SLOWDOWN = 2


@dataclass(frozen=True)
class Group:
    """Layers whose streams are stored once. They are chosen together.

    Attributes:
      ways: the candidates, with the bytes of one layer and the time of all.
      dense_bytes: bytes of the dense layers that packing replaces, less those of a packed layer's header.
      dense_time: time of the dense layers; None if unknown.
      is_fixed: whether the user has named the encoding, so that no bound applies.
      start_ups: instructions of Prepare of all layers, for each way; 0 without a bound of the start-up.
      dense_start_up: the same of the dense layers.
    """

    ways: Sequence[Candidate]
    dense_bytes: int
    dense_time: int | None
    is_fixed: bool = False
    start_ups: Sequence[float] = ()
    dense_start_up: float = 0

    def added(self, way: Candidate) -> float:
        """Returns the time that a way adds to that of the dense layers; 0 if unknown."""
        if self.dense_time is None or way.estimate.time is None:
            return 0
        return way.estimate.time - self.dense_time


def worthwhile(group: Group, dense_inference: int) -> list[bool]:
    """Tells for each way of a group whether `balanced` may take it.

    If some way is not slower than dense, only such ways are taken. Else a way has to save BYTES_PER_PERCENT, and takes
    at most MOST_SLOWDOWN times the dense time.

    Args:
      group: the layers.
      dense_inference: time of the dense inference.
    """
    fast = [group.added(way) <= 0 for way in group.ways]
    if any(fast):
        return fast
    percent = max(dense_inference, 1) / 100
    most = (MOST_SLOWDOWN - 1) * (group.dense_time or 0)
    return [
        group.added(way) <= most and group.dense_bytes - way.nbytes >= BYTES_PER_PERCENT * group.added(way) / percent
        for way in group.ways
    ]


@dataclass(frozen=True)
class Limit:
    """A limit of the time of an inference, or of the instructions of the start-up.

    Attributes:
      amounts: what each way of each group takes; None stands for the dense layers. Groups whose amounts are unknown
        have 0 everywhere.
      rest: what everything else takes.
      most: the limit.
    """

    amounts: Sequence[Mapping[int | None, float]]
    rest: float
    most: float

    def total(self, ways: Sequence[int | None]) -> float:
        """Returns what everything takes."""
        return self.rest + sum(known[way] for known, way in zip(self.amounts, ways, strict=True))


def time_limit(groups: Sequence[Group], rest: float, most: float) -> Limit:
    """Returns the limit of the time of an inference."""
    amounts: list[dict[int | None, float]] = []
    for group in groups:
        dense = group.dense_time or 0
        amounts.append({number: dense + group.added(way) for number, way in enumerate(group.ways)} | {None: dense})
    return Limit(amounts, rest, most)


def start_up_limit(groups: Sequence[Group], rest: float, most: float) -> Limit:
    """Returns the limit of the start-up."""
    return Limit([dict(enumerate(group.start_ups)) | {None: group.dense_start_up} for group in groups], rest, most)


def within(
    groups: Sequence[Group],
    chosen: Sequence[int | None],
    limit: Limit,
    others: Sequence[Limit] = (),
    price: Callable[[float, float], float] = lambda nbytes, _: nbytes,
) -> list[int | None]:
    """Exchanges ways for others, or for dense layers, until everything takes at most what a limit says.

    Each step takes the exchange with the least price for what it saves. Steps that would exceed another limit are taken
    only if there are no others.

    Args:
      groups: the layers that can be packed.
      chosen: the number of a way of each group; None if its layers are dense.
      limit: the limit.
      others: further limits.
      price: price of an exchange, given the bytes and the time that it adds.

    Returns:
      The number of a way of each group; None where the layers stay dense.
    """
    result = list(chosen)
    times = time_limit(groups, 0, 0).amounts
    nbytes: list[dict[int | None, float]] = [
        {number: size_and_time(way)[0] for number, way in enumerate(group.ways)} | {None: group.dense_bytes}
        for group in groups
    ]

    def exchanges() -> Iterator[tuple[bool, float, int, int | None]]:
        """Yields (whether it exceeds another limit, price for what is saved, group, way) of each exchange."""
        totals = [other.total(result) for other in others]
        for number, (group, known) in enumerate(zip(groups, limit.amounts, strict=True)):
            now = result[number]
            if group.is_fixed:
                continue
            for way, amount in known.items():
                if amount >= known[now]:
                    continue
                added = price(nbytes[number][way] - nbytes[number][now], times[number][way] - times[number][now])
                after = [
                    (total, total + other.amounts[number][way] - other.amounts[number][now], other.most)
                    for other, total in zip(others, totals, strict=True)
                ]
                exceeds = any(new > max(most, old) for old, new, most in after)
                yield exceeds, added / (known[now] - amount), number, way

    while limit.total(result) > limit.most:
        exchange = min(exchanges(), key=lambda one: one[:2], default=None)
        if exchange is None:
            break
        result[exchange[2]] = exchange[3]
    return result

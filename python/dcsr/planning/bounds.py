"""Bounds of the time of an inference: layers that would make it too slow get faster encodings, or stay dense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """

    ways: Sequence[Candidate]
    dense_bytes: int
    dense_time: int | None
    is_fixed: bool = False

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


def within(groups: Sequence[Group], chosen: Sequence[int], rest: float, limit: float) -> list[int | None]:
    """Exchanges ways for faster ones, or for dense layers, until an inference takes at most `limit`.

    Each step takes the exchange that adds the fewest bytes for the time that it saves.

    Args:
      groups: the layers that can be packed.
      chosen: the number of a way of each group.
      rest: time of everything else.
      limit: time.

    Returns:
      The number of a way of each group; None where the layers stay dense.
    """
    result: list[int | None] = list(chosen)
    # Bytes and time of each way, and of the dense layers.
    costs: list[dict[int | None, tuple[float, float]]] = []
    for group in groups:
        dense_time = group.dense_time or 0
        known: dict[int | None, tuple[float, float]] = {
            number: (size_and_time(way)[0], dense_time + group.added(way)) for number, way in enumerate(group.ways)
        }
        costs.append(known | {None: (group.dense_bytes, dense_time)})

    def exchanges() -> Iterator[tuple[float, int, int | None]]:
        """Yields (bytes for the time saved, group, way) of each exchange."""
        for number, (group, known) in enumerate(zip(groups, costs, strict=True)):
            nbytes, time = known[result[number]]
            for way, (other_bytes, other_time) in known.items():
                if group.dense_time is not None and not group.is_fixed and other_time < time:
                    yield (other_bytes - nbytes) / (time - other_time), number, way

    while rest + sum(known[way][1] for known, way in zip(costs, result, strict=True)) > limit:
        exchange = min(exchanges(), key=lambda one: one[0], default=None)
        if exchange is None:
            break
        result[exchange[1]] = exchange[2]
    return result

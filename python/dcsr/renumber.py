"""Renumbering what a model refers to by index, after tensors or buffers were taken out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsr.schema import schema

OFFLINE_PLAN = b"OfflineMemoryAllocation"
_OFFLINE_PLAN_HEADER = 3  # version, subgraph, number of offsets


def indices(values: np.ndarray | Sequence[int] | None) -> list[int]:
    """A vector of the object API, which is None where the flatbuffer has none."""
    return [] if values is None else [int(value) for value in values]


def without(count: int, dropped: Sequence[int]) -> dict[int, int]:
    """New indices of 0 .. count - 1 when those in `dropped` go."""
    gone = set(dropped)
    return {old: new for new, old in enumerate(i for i in range(count) if i not in gone)}


def map_tensors(
    subgraph: schema.SubGraphT,
    mapping: dict[int, int],
    skip: set[int] | frozenset[int] = frozenset(),
) -> None:
    """Renumbers the tensors a subgraph and its operators (without those in `skip`) refer to."""
    holders = [(subgraph, ("inputs", "outputs"))]
    for o, operator in enumerate(subgraph.operators or []):
        if o not in skip:
            holders.append((operator, ("inputs", "outputs", "intermediates")))
    for holder, names in holders:
        for name in names:
            values = getattr(holder, name)
            if values is not None:
                mapped = [mapping[i] if i >= 0 else i for i in indices(values)]
                setattr(holder, name, np.array(mapped, np.int32))


def map_signatures(model: schema.ModelT, maps: Sequence[dict[int, int]]) -> None:
    """Renumbers the tensors that signatures name; `maps` are new indices, by subgraph."""
    for signature in model.signatureDefs or []:
        mapping = maps[signature.subgraphIndex]
        for tensor_map in [*(signature.inputs or []), *(signature.outputs or [])]:
            tensor_map.tensorIndex = mapping[tensor_map.tensorIndex]


def map_offline_plan(
    model: schema.ModelT, maps: Sequence[dict[int, int]], counts: Sequence[int]
) -> list[tuple[schema.MetadataT, bytes]]:
    """Renumbers TFLM's offline memory plan, which has an arena offset for every tensor of all subgraphs.

    Args:
      model: whose tensors are renumbered already.
      maps: new index of each tensor, by subgraph.
      counts: tensors of each subgraph before `maps` were applied.

    Returns:
      (metadata entry of a plan, its content as it was) of each plan that was renumbered.
    """
    renumbered = []
    for entry in model.metadata or []:
        if entry.name != OFFLINE_PLAN:
            continue
        buffer = model.buffers[entry.buffer]
        content = b"" if buffer.data is None else bytes(buffer.data)
        if len(content) != 4 * (_OFFLINE_PLAN_HEADER + sum(counts)):
            continue  # TFLM refuses such a plan; it stays as it is.
        words = np.frombuffer(content, "<i4")
        offsets = words[_OFFLINE_PLAN_HEADER:]
        mapped: list[int] = []
        start = 0
        for subgraph, mapping, count in zip(model.subgraphs, maps, counts, strict=True):
            # Constants are not planned, so neither are the packed tensors that were added.
            plan = [-1] * len(subgraph.tensors or [])
            for old, new in mapping.items():
                if old < count:
                    plan[new] = int(offsets[start + old])
            mapped += plan
            start += count
        header = [*words[: _OFFLINE_PLAN_HEADER - 1], len(mapped)]
        buffer.data = np.frombuffer(np.array(header + mapped, "<i4").tobytes(), np.uint8)
        renumbered.append((entry, words.tobytes()))
    return renumbered

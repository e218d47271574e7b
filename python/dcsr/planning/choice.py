"""Chooses one candidate for each layer by objective. Layers that get neither smaller nor faster stay dense."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dcsr import layers as layer_finder
from dcsr import packing
from dcsr.graph import Graph
from dcsr.layers import Layer
from dcsr.packing import PackedLayer
from dcsr.planning import bounds, start_up, stored, workload
from dcsr.planning.candidates import Candidate, size_and_time, time_and_size, with_little_scratch
from dcsr.planning.kept import Kept
from dcsr.planning.settings import BALANCED_TOLERANCE, Settings
from dcsr.schema import schema

# Limit of `size` for packed layers that are slower than dense: dense inferences of the whole model per share of the
# model's weights saved. 100 allows the time of one inference for each percent.
MOST_TIME_PER_SAVING = 100

_SAVES_NOTHING = "would not get smaller"
_TOO_SLOW = "faster dense on {}, for the bound of the inference"
_SLOW_START = "would start too slowly on {}"
_TENSOR_BYTES = 80  # of a constant tensor and its buffer in the file, besides its content


@dataclass(frozen=True)
class Decision:
    """The decision about a layer.

    Attributes:
      layer: the layer.
      candidate: the chosen encoding; None if the layer stays dense.
      note: reason why the layer stays dense; empty if it is packed.
      kept: rough count of the dense layer; None if unknown.
      is_named: whether a plan file or the method of the call names the encoding of the packed layer.
    """

    layer: Layer
    candidate: Candidate | None = None
    note: str = ""
    kept: Kept | None = None
    is_named: bool = False

    @property
    def packed(self) -> PackedLayer | None:
        """The packed layer; None if the layer stays dense."""
        return self.candidate.packed if self.candidate else None

    @property
    def dense_instructions(self) -> int | None:
        """Instructions of the layer's dense product, whether it is packed or not; None if unknown."""
        if self.candidate:
            return self.candidate.estimate.dense_instructions
        return self.kept.instructions if self.kept else None

    @property
    def dense_cycles(self) -> int | None:
        """Cycles of the layer's dense product, whether it is packed or not; None if unknown."""
        if self.candidate:
            return self.candidate.estimate.dense_cycles
        return self.kept.cycles if self.kept else None

    @property
    def instructions(self) -> int | None:
        """Instructions of the layer as it was decided; None if unknown."""
        return self.candidate.estimate.instructions if self.candidate else self.dense_instructions

    @property
    def cycles(self) -> int | None:
        """Cycles of the layer as it was decided; None if unknown."""
        return self.candidate.estimate.cycles if self.candidate else self.dense_cycles


def decide(
    model: schema.ModelT,
    layers: Sequence[Layer],
    found: Sequence[list[Candidate] | str],
    settings: Settings,
    saves: Callable[[Sequence[Decision]], bool] | None,
) -> list[Decision]:
    """Decides about each layer.

    The objective chooses among the candidates. If its choice does not save bytes, the smallest candidate is tried. If
    that does not save bytes either, the layer stays dense. This is checked twice: for each group of layers that share
    weights, and for the whole file, where the record and the operator codes add to the packed layers.

    A layer with dense weights is packed because it gets faster. It has to save bytes only with the objective `size`, or
    if it shares its weights with other layers, so that they would be stored more than once. A layer whose encoding is
    named by a plan file need not save bytes.

    Layers that share weights get shared rows if that makes them smaller, so that the streams are stored once.

    Args:
      model: the model.
      layers: the layers of the model.
      found: for each layer, its candidates or the reason why it stays dense.
      settings: the settings of the plan.
      saves: tells whether decisions make the file smaller; None to pack layers even if they save nothing.

    Returns:
      One decision for each layer, in their order.
    """
    if not settings.verified_image:  # layers with shared rows have no checksum
        found = _with_shared_rows(model, layers, found, settings)
    dense = [workload.kept(model, layer, settings.cpu) for layer in layers]
    rest = workload.rest(model, layers, settings.cpu).time
    inference = rest + sum(kept.time for kept in dense)
    if settings.objective == "size":
        found = _worth_their_time(model, layers, found, settings, inference)
    elif settings.objective == "balanced" and not settings.packs_slower:
        found = _not_slower(model, layers, found, settings, inference)
    decisions = _of_groups(model, layers, found, settings, dense, rest, saves)
    # Layers that stay dense because they would not get smaller may have been faster, so that others have to be.
    kept_dense = [bool(of.note) and not isinstance(ways, str) for of, ways in zip(decisions, found, strict=True)]
    if (settings.slowest, settings.start_up) != (None, None) and any(kept_dense):
        found = [of.note if is_dense else ways for of, ways, is_dense in zip(decisions, found, kept_dense, strict=True)]
        decisions = _of_groups(model, layers, found, settings, dense, rest, saves)
    if saves is None:
        return decisions
    smallest_candidates = _choose_together(found, "size")

    def smallest(number: int) -> Decision:
        return dataclasses.replace(decisions[number], candidate=smallest_candidates[number])

    planned = _planned_buffers(model, layers, settings)
    has_to_save = [
        bool(of.candidate) and not (_is_for_speed([of], settings) or _weights(model, of.layer).buffer in planned)
        for of in decisions
    ]
    without = [_dense(of, _SAVES_NOTHING) if must else of for of, must in zip(decisions, has_to_save, strict=True)]
    tries = [decisions]
    if settings.objective != "size":
        tries.append([smallest(n) if must else decisions[n] for n, must in enumerate(has_to_save)])
    for tried in tries if any(has_to_save) else []:
        # Layers that are packed for speed or by a plan may make the file larger, but the others have to save bytes.
        alone = [
            of if must else dataclasses.replace(of, candidate=None) for of, must in zip(tried, has_to_save, strict=True)
        ]
        if saves(tried) or (alone != tried and saves(alone)):
            return tried
    return without


def _of_groups(
    model: schema.ModelT,
    layers: Sequence[Layer],
    found: Sequence[list[Candidate] | str],
    settings: Settings,
    dense: Sequence[Kept],
    rest: int,
    saves: Callable[[Sequence[Decision]], bool] | None,
) -> list[Decision]:
    """Returns the decisions of the objective for each group of layers that share weights, if it saves bytes."""
    decisions = _by_objective(model, layers, found, settings, dense, rest)
    smallest = _choose_together(found, "size")
    groups: dict[int, list[int]] = {}
    for number, decision in enumerate(decisions):
        if decision.candidate:
            groups.setdefault(_weights(model, decision.layer).buffer, []).append(number)
    graph = Graph(model)
    planned = _planned_buffers(model, layers, settings)
    for buffer, numbers in groups.items():
        group = [decisions[number] for number in numbers]
        user = graph.other_user(buffer, {(decision.layer.subgraph, decision.layer.position) for decision in group})
        if user:
            group = [_dense(decision, f"weights also used by {user}") for decision in group]
        elif saves and not (_is_for_speed(group, settings) or _group_saves(model, group)):
            smaller = [dataclasses.replace(decisions[n], candidate=smallest[n]) for n in numbers]
            if _group_saves(model, smaller):
                group = smaller
            elif buffer not in planned:
                shared = f": {len(group)} operators share the weights" if len(group) > 1 else ""
                group = [_dense(decision, _SAVES_NOTHING + shared) for decision in group]
        for number, decision in zip(numbers, group, strict=True):
            decisions[number] = decision
    return decisions


def _is_for_speed(group: Sequence[Decision], settings: Settings) -> bool:
    """Whether layers with the same weights need not save bytes: one layer, with dense weights, which gets faster, or
    which takes the place of an operator of TFLM.
    """
    candidates = [decision.candidate for decision in group if decision.candidate]
    may_grow = settings.objective != "size" or group[0].layer.builtin in settings.replaced
    return may_grow and len(candidates) == 1 and candidates[0].has_dense_weights


def _planned_buffers(model: schema.ModelT, layers: Sequence[Layer], settings: Settings) -> set[int]:
    """Returns the buffers of the weights whose encoding a plan file names."""
    return {_weights(model, layer).buffer for layer in layers if settings.is_planned(layer)}


def _by_objective(
    model: schema.ModelT,
    layers: Sequence[Layer],
    found: Sequence[list[Candidate] | str],
    settings: Settings,
    dense: Sequence[Kept],
    rest: int,
) -> list[Decision]:
    """Returns the decisions of the objective alone. They pack every layer that has candidates, unless the inference
    would take more than settings.slowest times that of the dense model, or the layers more than settings.start_up.
    """
    others = rest + sum(kept.time for kept, ways in zip(dense, found, strict=True) if isinstance(ways, str))
    groups = _layers_with_common_streams(found)
    by_objective = _ways(groups, settings.objective, others, settings.most_time)
    ways: Sequence[int | None] = by_objective
    bounded = [_bounded(model, layers, group, settings) for group in groups]
    inference = rest + sum(kept.time for kept in dense)
    limit = bounds.time_limit(bounded, others, np.inf if settings.slowest is None else settings.slowest * inference)
    ways = fast = bounds.within(bounded, by_objective, limit)
    if settings.start_up is not None:
        kept_start = sum(
            _dense_start_up(model, layer, settings.cpu)
            for layer, candidates in zip(layers, found, strict=True)
            if isinstance(candidates, str)
        )
        start = bounds.start_up_limit(bounded, kept_start, settings.start_up)
        ways = bounds.within(bounded, fast, start, [limit], _price(bounded, settings.objective, inference))
    chosen = {
        number: candidates[way]
        for group, way in zip(groups, ways, strict=True)
        if way is not None
        for number, candidates in group
    }
    too_slow = {number for group, way in zip(groups, fast, strict=True) if way is None for number, _ in group}

    def note(number: int, ways: Sequence[Candidate]) -> str:
        if number in chosen:
            return ""
        if number in too_slow:
            return _TOO_SLOW.format(settings.cpu) + with_little_scratch(settings.cpu, ways)
        return _SLOW_START.format(settings.cpu)

    notes = [
        candidates if isinstance(candidates, str) else note(number, candidates)
        for number, candidates in enumerate(found)
    ]
    return [
        Decision(layer, chosen.get(number), note, kept)
        for number, (layer, note, kept) in enumerate(zip(layers, notes, dense, strict=True))
    ]


def _not_slower(
    model: schema.ModelT,
    layers: Sequence[Layer],
    found: Sequence[list[Candidate] | str],
    settings: Settings,
    inference: int,
) -> list[list[Candidate] | str]:
    """Removes the candidates that are slower than dense, unless all are and they save enough (bounds.worthwhile).

    Encodings that the user has named are not limited.
    """
    result = list(found)
    for group in _layers_with_common_streams(found):
        bounded = _bounded(model, layers, group, settings)
        if bounded.is_fixed:
            continue
        worth = bounds.worthwhile(bounded, inference)
        for number, candidates in group:
            kept = [candidate for candidate, is_kept in zip(candidates, worth, strict=True) if is_kept]
            result[number] = kept or f"faster dense on {settings.cpu}{with_little_scratch(settings.cpu, candidates)}"
    return result


def _bounded(
    model: schema.ModelT, layers: Sequence[Layer], group: Sequence[tuple[int, list[Candidate]]], settings: Settings
) -> bounds.Group:
    """Returns the layers of a group for the bounds of time."""
    times = [candidates[0].estimate.dense_time for _, candidates in group]
    before = stored.dense_bytes(model, [layers[number] for number, _ in group])
    ways = _together([candidates for _, candidates in group])
    is_fixed = not all(settings.is_free(layers[number]) for number, _ in group)
    starts, dense_start = [0.0] * len(ways), 0.0
    if settings.start_up is not None:
        # Each of the layers validates the streams, even if they are stored once.
        starts = [
            sum(start_up.instructions(settings.cpu, candidates[way].start_up) for _, candidates in group)
            for way in range(len(ways))
        ]
        dense_start = sum(_dense_start_up(model, layers[number], settings.cpu) for number, _ in group)
    dense_bytes = before - packing.HEADER_BYTES
    return bounds.Group(ways, dense_bytes, _sum_if_known(times), is_fixed, starts, dense_start)


def start_up_of(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> float:
    """Returns the instructions of Prepare of all layers, as settings.start_up bounds them."""
    return sum(
        start_up.instructions(cpu, of.candidate.start_up) if of.candidate else _dense_start_up(model, of.layer, cpu)
        for of in decisions
    )


def _dense_start_up(model: schema.ModelT, layer: Layer, cpu: str) -> float:
    return start_up.instructions(cpu, start_up.builtin(model, layer.subgraph, layer.operator))


def _price(groups: Sequence[bounds.Group], objective: str, inference: float) -> Callable[[float, float], float]:
    """Returns the price of bytes and time for an objective. For `balanced` a percent of both is worth the same."""
    if objective == "size":
        return lambda nbytes, _: nbytes
    if objective == "speed":
        return lambda _, time: time
    dense_bytes = max(sum(group.dense_bytes for group in groups), 1)
    return lambda nbytes, time: nbytes / dense_bytes + time / max(inference, 1)


def _worth_their_time(
    model: schema.ModelT,
    layers: Sequence[Layer],
    found: Sequence[list[Candidate] | str],
    settings: Settings,
    dense_time: int,
) -> list[list[Candidate] | str]:
    """Removes the candidates that cost `size` too much time for the bytes that they save.

    A candidate that is slower than the dense product may add MOST_TIME_PER_SAVING times the model's dense time,
    multiplied by the share of the model's weights that it saves. Layers whose streams are stored once count as one: the
    bytes of one, the time of all. Encodings that the user has named are not limited.
    """
    matrices = {_weights(model, layer).buffer: layer.matrix for layer in layers if layer.matrix is not None}
    per_byte = MOST_TIME_PER_SAVING * dense_time / max(sum(matrix.nbytes for matrix in matrices.values()), 1)

    def is_worth(numbers: Sequence[int], ways: Sequence[Candidate]) -> bool:
        added = sum((way.estimate.time or 0) - (way.estimate.dense_time or 0) for way in ways if way.estimate.slowdown)
        matrix = layers[numbers[0]].matrix
        assert matrix is not None
        before = stored.dense_bytes(model, [layers[number] for number in numbers])
        # The quantization of dense weights, which packing drops too, is no reason to be slower.
        saved = min(matrix.nbytes - ways[0].packed.streams.nbytes, before - stored.blob_bytes(ways))
        return added <= max(per_byte * saved, 0)

    result = list(found)
    for group in _layers_with_common_streams(found):
        numbers = [number for number, _ in group]
        if not all(settings.is_free(layers[number]) for number in numbers):
            continue
        worth = [is_worth(numbers, ways) for ways in zip(*(candidates for _, candidates in group), strict=True)]
        for number, candidates in group:
            kept = [candidate for candidate, is_kept in zip(candidates, worth, strict=True) if is_kept]
            result[number] = kept or f"faster dense on {settings.cpu}, by more than the saving is worth"
    return result


def _choose_together(found: Sequence[list[Candidate] | str], objective: str) -> dict[int, Candidate]:
    """Chooses a candidate for each layer that has candidates (see `choose`). Returns {number of the layer: candidate}.

    Layers whose streams are stored once get the same encoding: they count as one layer, which runs several times.
    """
    groups = _layers_with_common_streams(found)
    return {
        number: candidates[way]
        for group, way in zip(groups, _ways(groups, objective), strict=True)
        for number, candidates in group
    }


def _ways(
    groups: Sequence[Sequence[tuple[int, list[Candidate]]]],
    objective: str,
    others: int = 0,
    most_time: float | None = None,
) -> list[int]:
    """Returns the number of the chosen candidate of each group."""
    merged = [_together([candidates for _, candidates in group]) for group in groups]
    return [
        next(i for i, candidate in enumerate(ways) if candidate is choice)
        for ways, choice in zip(merged, choose(merged, objective, others, most_time), strict=True)
    ]


def _layers_with_common_streams(found: Sequence[list[Candidate] | str]) -> list[list[tuple[int, list[Candidate]]]]:
    """Groups the layers with candidates: those with the same shared rows, or with equal packed layers.

    Returns:
      (number, candidates) of the layers of each group.
    """
    groups: dict[tuple[bytes, ...], list[tuple[int, list[Candidate]]]] = {}
    for number, candidates in enumerate(found):
        if not isinstance(candidates, str):
            # Candidates differ only in their streams and in the form of their rows, so equal first ones mean equal
            # matrices and settings.
            forms = bytes(candidate.packed.compact is not None for candidate in candidates)
            key = (candidates[0].shared_blob or candidates[0].blob, forms, *_schemes(candidates))
            groups.setdefault(key, []).append((number, candidates))
    return list(groups.values())


def _schemes(candidates: Sequence[Candidate]) -> tuple[bytes, ...]:
    return tuple(candidate.packed.streams.scheme.encode() for candidate in candidates)


def _with_shared_rows(
    model: schema.ModelT, layers: Sequence[Layer], found: Sequence[list[Candidate] | str], settings: Settings
) -> list[list[Candidate] | str]:
    """Replaces the candidates of layers that share weights by candidates with shared rows, if that saves bytes.

    A plan can ask for shared rows, or for other ones.

    Layers whose packed layers are equal store them once anyway. Layers with another encoding in the plan, or with other
    weight scales, do not belong together. A layer keeps its own rows if its derived multipliers would not be exact.
    """
    groups: dict[tuple[object, ...], dict[int, list[Candidate]]] = {}
    for number, (layer, candidates) in enumerate(zip(layers, found, strict=True)):
        if not isinstance(candidates, str) and settings.of(layer).rows in (None, "shared"):
            weights = _weights(model, layer)
            scales = np.asarray(weights.quantization.scale, np.float32).tobytes()
            key = (weights.buffer, candidates[0].packed.streams.rows, scales, _schemes(candidates))
            groups.setdefault(key, {})[number] = candidates
    replaced = list(found)
    for own in groups.values():
        if len({candidates[0].blob for candidates in own.values()}) > 1:
            shared = _shared(model, layers, own)
            is_asked_for = any(settings.of(layers[number]).rows == "shared" for number in own)
            if is_asked_for or _least_bytes(shared) + _TENSOR_BYTES < _least_bytes(own):
                for number, ways in shared.items():
                    replaced[number] = ways
    return replaced


def _shared(
    model: schema.ModelT, layers: Sequence[Layer], own: Mapping[int, list[Candidate]]
) -> dict[int, list[Candidate]]:
    """Returns the candidates of a group, with shared rows where they are exact.

    Args:
      model: the model.
      layers: the layers of the model.
      own: {number of a layer: its candidates with own rows}.
    """
    shared: dict[int, list[Candidate]] = {}
    for number, candidates in own.items():
        packed = layer_finder.share_rows(model, layers[number], candidates[0].packed)
        shared[number] = [
            way
            if packed is None
            else dataclasses.replace(
                way.plain or way, packed=dataclasses.replace(way.packed, shared=packed.shared, compact=None)
            )
            for way in candidates
        ]
    return shared


def _least_bytes(group: Mapping[int, list[Candidate]]) -> int:
    """Returns the bytes of a group of layers with the smallest candidates."""
    return stored.blob_bytes([min(ways, key=size_and_time) for ways in group.values()])


def _together(users: Sequence[list[Candidate]]) -> Sequence[Candidate]:
    """Returns the candidates of layers whose streams are stored once: the bytes of one, the time of all."""
    if len(users) == 1:
        return users[0]
    merged = []
    for ways in zip(*users, strict=True):
        estimate = dataclasses.replace(
            ways[0].estimate,
            instructions=_sum_if_known([way.estimate.instructions for way in ways]),
            cycles=_sum_if_known([way.estimate.cycles for way in ways]),
        )
        merged.append(dataclasses.replace(ways[0], estimate=estimate))
    return merged


def _sum_if_known(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _dense(decision: Decision, note: str) -> Decision:
    return dataclasses.replace(decision, candidate=None, note=note)


def choose(
    layers: Sequence[Sequence[Candidate]], objective: str, others: int = 0, most_time: float | None = None
) -> list[Candidate]:
    """Chooses one candidate for each layer.

    `size` chooses the smallest, and `speed` the one with the least estimated time, in the unit of the core (cost.unit).
    `balanced` starts from `speed` and exchanges candidates for smaller ones (_make_smaller). All layers share its
    budget: BALANCED_TOLERANCE of the time of the whole inference with the fastest candidates.

    Ties are broken by the other measure, then by the order of the candidates. If a layer has candidates with an
    estimate, `speed` and `balanced` ignore its other candidates.

    Args:
      layers: the candidates of each layer, at least one for each.
      objective: one of OBJECTIVES.
      others: time of the layers that stay dense.
      most_time: time of the whole inference with `balanced`; None for BALANCED_TOLERANCE.

    Returns:
      The chosen candidate of each layer.
    """
    if objective == "size":
        return [min(layer, key=size_and_time) for layer in layers]
    timed = [[candidate for candidate in layer if candidate.estimate.time is not None] for layer in layers]
    chosen = [
        min(with_estimate, key=time_and_size) if with_estimate else min(layer, key=size_and_time)
        for layer, with_estimate in zip(layers, timed, strict=True)
    ]
    if objective == "balanced":
        fastest = sum(time_and_size(candidate)[0] for candidate, layer in zip(chosen, timed, strict=True) if layer)
        limit = (1 + BALANCED_TOLERANCE) * (fastest + others) if most_time is None else most_time
        _make_smaller(chosen, timed, limit - fastest - others)
    return chosen


def _make_smaller(chosen: list[Candidate], layers: Sequence[Sequence[Candidate]], budget: float) -> None:
    """Exchanges chosen candidates for smaller ones, in place, within a budget of additional time.

    Each step takes the exchange that saves the most bytes per additional time, until no exchange fits the rest of the
    budget. For a single layer, the result is the smallest candidate within the budget.
    """

    def exchanges() -> Iterator[tuple[int, Candidate, int, float]]:
        """Yields (layer, candidate, bytes saved, time added) of each exchange within the budget."""
        for i, layer in enumerate(layers):
            for candidate in layer:
                saved = size_and_time(chosen[i])[0] - size_and_time(candidate)[0]
                more = time_and_size(candidate)[0] - time_and_size(chosen[i])[0]
                if saved > 0 and more <= budget:
                    yield i, candidate, saved, more

    def rate(exchange: tuple[int, Candidate, int, float]) -> tuple[float, int]:
        _, _, saved, more = exchange
        return (saved / more if more > 0 else math.inf), saved

    while found := list(exchanges()):
        i, candidate, _, more = max(found, key=rate)
        chosen[i] = candidate
        budget -= more


def _weights(model: schema.ModelT, layer: Layer) -> schema.TensorT:
    return model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]


def _pairs(decisions: Sequence[Decision]) -> list[stored.Pair]:
    return [(decision.layer, decision.candidate) for decision in decisions]


def stored_bytes(decisions: Sequence[Decision]) -> int:
    """Returns the bytes of all weights, dense or packed, without those of operators that are not layers."""
    return stored.weight_bytes(_pairs(decisions))


def flash_bytes(model: schema.ModelT, decisions: Sequence[Decision]) -> int:
    """Returns the bytes of all layers in a stripped file: weights, biases and quantization, dense or packed."""
    return stored.layer_bytes(model, _pairs(decisions))


def _group_saves(model: schema.ModelT, group: Sequence[Decision]) -> bool:
    """Whether packed layers that share weights are smaller than the tensors that they replace."""
    packed = stored.blob_bytes([decision.candidate for decision in group if decision.candidate])
    return packed < stored.dense_bytes(model, [decision.layer for decision in group])

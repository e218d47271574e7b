"""Changes decisions that cost more code than they save: a firmware links a kernel or encoding for all its layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from dcsr import model as tflite
from dcsr.planning import code_bytes, cost
from dcsr.planning.candidates import Candidate, size_and_time
from dcsr.planning.choice import Decision
from dcsr.planning.settings import AUTO, Settings
from dcsr.schema import schema

_NOTE = "faster packed, but the code makes the firmware larger"


def fewer_codings(
    decisions: Sequence[Decision], found: Sequence[list[Candidate] | str], settings: Settings
) -> list[Decision]:
    """Exchanges encodings whose code takes more bytes than they save, if no layer gets slower.

    Layers with a plan, with a method that the user chose, with shared rows, or with the blob of another layer keep
    their encoding, and so do all with the objective `speed`.

    Args:
      decisions: one for each layer.
      found: for each layer, its candidates or the reason why it stays dense.
      settings: the settings of the plan.
    """
    decisions = list(decisions)
    if settings.objective == "speed":
        return decisions
    blobs = [of.candidate.blob for of in decisions if of.candidate]
    ways: dict[int, list[Candidate]] = {}
    for number, (of, candidates) in enumerate(zip(decisions, found, strict=True)):
        if of.candidate is None or isinstance(candidates, str) or of.candidate.packed.shared is not None:
            continue
        if settings.of(of.layer).method == AUTO and blobs.count(of.candidate.blob) == 1:
            ways[number] = [way for way in candidates if way.packed.shared is None]
    while better := _exchange(decisions, ways, settings.cpu):
        decisions = better
    return decisions


def _exchange(decisions: Sequence[Decision], ways: Mapping[int, list[Candidate]], cpu: str) -> list[Decision] | None:
    """Returns the decisions without one of their codings, the one that saves the most bytes; None if none does."""
    best: tuple[int, list[Decision]] | None = None
    now = parts(decisions)
    code = code_bytes.code_bytes(cpu, now)
    for coding in sorted({coding for _, coding in now}):
        allowed = {part for part in now if part[1] != coding}
        changed = list(decisions)
        added = 0
        for number, of in enumerate(decisions):
            if of.candidate is None or cost.coding(of.candidate.packed.streams) != coding:
                continue
            way = _replacement(of.candidate, ways.get(number, ()), allowed)
            if way is None:
                break
            changed[number] = dataclasses.replace(of, candidate=way)
            added += way.nbytes - of.candidate.nbytes
        else:
            saved = code - code_bytes.code_bytes(cpu, parts(changed)) - added
            if saved > 0 and (best is None or saved > best[0]):
                best = saved, changed
    return best[1] if best else None


def _replacement(
    candidate: Candidate, ways: Iterable[Candidate], allowed: Collection[code_bytes.Part]
) -> Candidate | None:
    """Returns the smallest candidate with parts that are allowed which is not slower; None if there is none."""
    most = candidate.estimate.time
    fitting = [
        way
        for way in ways
        if _parts(way) <= set(allowed)
        and way.estimate.time is not None
        and most is not None
        and way.estimate.time <= most
    ]
    return min(fitting, key=size_and_time, default=None)


def without_costly(
    model: schema.ModelT,
    decisions: Sequence[Decision],
    settings: Settings,
    carried_out: Callable[[Sequence[Decision]], schema.ModelT],
) -> list[Decision]:
    """Undoes the decisions to pack layers only for speed, if the firmware would be larger than the dense one.

    The firmware is the model and its operators' code, registered with the header of `compress --cc`. Layers that a plan
    or the user's choice of an encoding packs stay packed, and so does everything with the objective `speed`, or on a
    core for which the code of TFLM's operators was not measured.

    Args:
      model: the dense model.
      decisions: one for each layer.
      settings: the settings of the plan.
      carried_out: returns the model with some decisions.
    """
    decisions = list(decisions)
    for_speed = [
        of.candidate is not None and of.candidate.has_dense_weights and settings.of(of.layer).method == AUTO
        for of in decisions
    ]
    if settings.objective == "speed" or not any(for_speed) or not code_bytes.knows_tflm(settings.cpu):
        return decisions
    if _flash(carried_out(decisions), decisions, settings.cpu) <= _flash(model, (), settings.cpu):
        return decisions
    return [
        dataclasses.replace(of, candidate=None, note=_NOTE) if is_undone else of
        for of, is_undone in zip(decisions, for_speed, strict=True)
    ]


def parts(decisions: Sequence[Decision]) -> set[code_bytes.Part]:
    """Returns the kernels that the packed layers run, with their codings."""
    return {part for of in decisions if of.candidate for part in _parts(of.candidate)}


def _parts(candidate: Candidate) -> set[code_bytes.Part]:
    coding = cost.coding(candidate.packed.streams)
    return {(kernel, coding) for kernel in candidate.estimate.linked}


def _flash(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> int:
    names = {tflite.operator_name(model, operator) for _, operator in tflite.operators(model)}
    shared = any(of.packed and of.packed.shared is not None for of in decisions)
    code = code_bytes.code_bytes(cpu, parts(decisions), names, has_shared_rows=shared)
    return len(tflite.serialize(model)) + code

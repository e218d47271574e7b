"""Leaves layers dense whose kernels would make the whole firmware larger than that of the dense model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from dcsr import model as tflite
from dcsr.planning import code_bytes, cost
from dcsr.planning.choice import Decision
from dcsr.planning.settings import AUTO, Settings
from dcsr.schema import schema

_NOTE = "faster packed, but the code makes the firmware larger"


def without_costly(
    model: schema.ModelT,
    decisions: Sequence[Decision],
    settings: Settings,
    carried_out: Callable[[Sequence[Decision]], schema.ModelT],
) -> list[Decision]:
    """Undoes the decisions to pack layers only for speed, if the firmware would be larger than the dense one.

    The firmware is the model and its operators' code, registered with the header of `compress --cc`. Layers that a plan
    or the user's choice of an encoding packs stay packed, and so does everything with the objective `speed`.

    Args:
      model: the dense model.
      decisions: one for each layer.
      settings: the settings of the plan.
      carried_out: returns the model with some decisions.
    """
    decisions = list(decisions)
    for_speed = [
        bool(of.candidate) and of.candidate.has_dense_weights and settings.of(of.layer).method == AUTO
        for of in decisions
    ]
    if settings.objective == "speed" or not any(for_speed):
        return decisions
    if _flash(carried_out(decisions), decisions, settings.cpu) <= _flash(model, (), settings.cpu):
        return decisions
    return [
        dataclasses.replace(of, candidate=None, note=_NOTE) if is_undone else of
        for of, is_undone in zip(decisions, for_speed, strict=True)
    ]


def parts(decisions: Sequence[Decision]) -> set[code_bytes.Part]:
    """Returns the kernels that the packed layers run, with their codings."""
    packed = [of.candidate for of in decisions if of.candidate]
    return {(kernel, cost.coding(of.packed.streams)) for of in packed for kernel in of.estimate.linked}


def _flash(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> int:
    names = {tflite.operator_name(model, operator) for _, operator in tflite.operators(model)}
    shared = any(of.packed and of.packed.shared is not None for of in decisions)
    code = code_bytes.code_bytes(cpu, parts(decisions), names, has_shared_rows=shared)
    return len(tflite.serialize(model)) + code

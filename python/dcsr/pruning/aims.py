"""From the arguments of `dcsr.prune` to a session and one outcome."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.planning import cost
from dcsr.planning.settings import default_min_sparsity, place
from dcsr.pruning import inputs as representative
from dcsr.pruning import plan
from dcsr.pruning import prune as pruning
from dcsr.pruning.layerwise import Pattern
from dcsr.pruning.prune import Aim
from dcsr.pruning.session import Outcome, Progress, Session
from dcsr.schema import schema

Array = NDArray[Any]

DEFAULT_SPARSITY = 0.7


@dataclass(frozen=True)
class Target:
    """How far to prune; at most one of all but the pattern is given.

    Attributes:
      sparsity, max_disagreement, flash, max_instructions, pattern, max_cycles: as of `dcsr.prune`.
    """

    sparsity: float | None = None
    max_disagreement: float | None = None
    flash: int | None = None
    max_instructions: int | None = None
    pattern: str | None = None
    max_cycles: int | None = None


@dataclass(frozen=True)
class Found:
    """A pruned model with all that led to it.

    Attributes:
      session: the session.
      outcome: the outcome that was asked for.
      curve: outcomes at several sparsities.
      layers: (name, op, shape, weights, sparsity before, sparsity, note) of each layer.
      warnings: reasons to distrust it.
      plan: text of a plan file that leads to the same.
    """

    session: Session
    outcome: Outcome
    curve: list[Outcome]
    layers: list[tuple[str, str, str, int | None, float | None, float | None, str]]
    warnings: list[str]
    plan: str


def parse_pattern(text: str | None) -> Pattern:
    """The pattern of "N:M" or "RxC"; None is that of single weights.

    Raises:
      ValueError: if the text is neither.
    """
    if text is None:
        return Pattern()
    if found := re.fullmatch(r"(\d+):(\d+)", text):
        kept, group = map(int, found.groups())
        if 0 < kept < group <= 64:
            return Pattern(kept, group)
    if found := re.fullmatch(r"(\d+)x(\d+)", text):
        rows, cols = map(int, found.groups())
        if 0 < rows <= 64 and 0 < cols <= 64:
            return Pattern(block=(rows, cols))
    raise ValueError(f"pattern {text!r} is neither N:M, such as 2:4, nor RxC, such as 1x4")


def prune(
    content: bytes,
    name: str,
    given: representative.Given,
    target: Target,
    *,
    objective: str,
    cpu: str,
    memory: str,
    min_sparsity: float | None,
    exclude: Sequence[str],
    plan_path: str | os.PathLike[str] | None,
    holdout: float,
    samples: int,
    labels: Array | None,
    seed: int,
    with_curve: bool,
    progress: Progress,
) -> Found:
    """Prunes a model; arguments and errors are those of `dcsr.prune`."""
    times = [target.max_instructions, target.max_cycles]
    wanted = [target.sparsity, target.max_disagreement, target.flash, *times]
    pattern = parse_pattern(target.pattern)
    if sum(value is not None for value in wanted) + bool(pattern.group) > 1:
        raise ValueError(
            "only one of sparsity, max_disagreement, flash, max_instructions, max_cycles and an N:M pattern can be"
            " given"
        )
    if target.max_cycles is not None and cost.unit(cpu) != cost.CYCLES:
        raise ValueError(
            f"max_cycles: the cycles of {cpu} are not estimated; limit its instructions (max_instructions)"
        )
    if pattern.group and (plan_path or with_curve):
        raise ValueError("an N:M pattern fixes the sparsity: neither a plan nor a curve goes with it")
    model = tflite.parse(content, name)
    pruning.check(model, name)
    layers = layer_finder.find(model)
    excluded = plan.excluded(exclude, model, layers, name)
    fixed = plan.read(plan_path, model, layers, name) if plan_path else {}
    if pattern.group:
        for layer in layers:
            if layer.matrix is not None and not layer.is_depthwise and not pattern.fits(layer.matrix.shape):
                excluded[place(layer)] = f"{layer.matrix.shape[1]} columns are no multiple of {pattern.group}"
    excluded |= _with_constant_inputs(model, layers)
    samples_of = representative.load(given, model, name)
    if labels is not None and len(labels) != len(samples_of):
        raise ModelError(f"{samples_of.where}: has {len(samples_of)} samples, but there are {len(labels)} labels")
    if any(value is not None for value in times):
        objective = "speed"
    least = default_min_sparsity(objective) if min_sparsity is None else min_sparsity
    session = Session(
        content,
        name,
        samples_of,
        Aim(least, objective, cpu, pattern, memory),
        holdout=holdout,
        seed=seed,
        most_samples=samples,
        excluded=excluded,
        fixed=fixed,
        labels=labels,
        progress=progress,
    )
    if target.max_disagreement is not None:
        outcome = session.at_disagreement(target.max_disagreement)
    elif target.flash is not None:
        outcome = session.at_flash(target.flash)
    elif target.max_instructions is not None:
        outcome = session.at_instructions(target.max_instructions)
    elif target.max_cycles is not None:
        outcome = session.at_cycles(target.max_cycles)
    elif pattern.group:
        outcome = session.outcome(None)
    elif target.sparsity is None and fixed:
        outcome = session.as_planned()
    else:
        outcome = session.at_sparsity(DEFAULT_SPARSITY if target.sparsity is None else target.sparsity)
    curve = session.curve() if with_curve else []
    rows = _layers(layers, session, outcome)
    pruned = {position for group in session.groups for position in group.positions}
    shares = session.layer_sparsity(outcome)
    entries = [
        (layer, shares[layer.position] if not note else 0.0)
        for layer, (*_, note) in zip(layers, rows, strict=True)
        if layer.subgraph == 0 and layer.position in pruned
    ]
    title = f"{Path(name).name}, sparsity {outcome.sparsity:.3f}; prune --plan reads it"
    return Found(session, outcome, curve, rows, samples_of.warnings + session.warnings, plan.text(entries, title))


def _with_constant_inputs(model: schema.ModelT, layers: Sequence[Layer]) -> dict[tuple[int, int], str]:
    """Returns the weight tensors that only multiply constants, with the reason: nothing is known of other inputs."""
    constant: dict[tuple[int, int], bool] = {}
    for layer in layers:
        activations = model.subgraphs[layer.subgraph].tensors[int(layer.operator.inputs[0])]
        constant[place(layer)] = constant.get(place(layer), True) and tflite.is_constant(model, activations)
    return {where: "its input is constant" for where, only in constant.items() if only}


def _layers(
    layers: Sequence[Layer], session: Session, outcome: Outcome
) -> list[tuple[str, str, str, int | None, float | None, float | None, str]]:
    kept = {(entry.layer.subgraph, entry.layer.position): entry.reason for entry in session.kept}
    lost = {
        position: removals
        for group, removals in zip(session.groups, outcome.removals, strict=True)
        for position in group.positions
    }
    shares = session.layer_sparsity(outcome)
    rows: list[tuple[str, str, str, int | None, float | None, float | None, str]] = []
    for layer in layers:
        note = kept.get((layer.subgraph, layer.position), "")
        if not note and not lost[layer.position] and session.is_allocated:
            note = "costs more than it saves"
        matrix = None if layer.is_depthwise else layer.matrix
        before = None if matrix is None else float(1 - np.count_nonzero(matrix) / matrix.size)
        after = before
        if layer.subgraph == 0 and matrix is not None and plan.why_not(layer) is None:
            after = shares[layer.position]
        rows.append(
            (
                layer.name,
                layer.op,
                " x ".join(map(str, layer.shape if matrix is None else matrix.shape)),
                None if matrix is None else matrix.size,
                before,
                after,
                note,
            )
        )
    return rows

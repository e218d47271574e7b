"""Plans a model so that its firmware links few kernels and encodings: each has to save more bytes than it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dcsr import encodings
from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.planning import choice, code_bytes, cost, workload
from dcsr.planning.candidates import Candidate
from dcsr.planning.choice import Decision
from dcsr.planning.fitting import Fitted, Planner, time_of
from dcsr.planning.settings import ALL_CODE, AUTO, BALANCED_TOLERANCE, Settings, place
from dcsr.schema import schema

# Reason of layers that stay dense so that the firmware does not grow.
TOO_MUCH_CODE = "the code of the custom ops would take more than the model saves"
# Fewer bytes of code than these are within the error of the figures.
_LEAST_CODE = 64
# Share by which the layers may grow with `size`, for smaller code.
_MOST_GROWTH = 0.03
_NO_PART = "dense"  # the encoding that every kernel for dense weights needs

Fit = Callable[[Settings], Fitted]


def parts(decisions: Sequence[Decision]) -> set[code_bytes.Part]:
    """Returns the kernels that run, each with the coding of its layer."""
    return {
        (kernel, cost.coding(of.candidate.packed.streams))
        for of in decisions
        if of.candidate
        for kernel in of.candidate.estimate.linked
    }


def code(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> int:
    """Returns the bytes of code of our ops, and of the operators of TFLM in whose place they can be (code_bytes.py).

    Args:
      model: the model that was planned.
      decisions: one for each layer; none for the dense model.
      cpu: one of cost.CPUS.
    """
    packed = {(of.layer.subgraph, of.layer.position) for of in decisions if of.candidate}
    builtin = {
        tflite.operator_name(model, operator)
        for number, graph in enumerate(model.subgraphs)
        for position, operator in enumerate(graph.operators or [])
        if (number, position) not in packed
    }
    shared = any(of.candidate.packed.shared is not None for of in decisions if of.candidate)
    planes = any(of.candidate.packed.planes is not None for of in decisions if of.candidate)
    return code_bytes.code_bytes(cpu, parts(decisions), builtin, has_shared_rows=shared, has_planes=planes)


def flash(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> int:
    """Returns the bytes of layers and code that depend on the decisions."""
    return choice.flash_bytes(model, decisions) + code(model, decisions, cpu)


def measure(
    model: schema.ModelT, decisions: Sequence[Decision], settings: Settings, code_of: str
) -> Callable[[Sequence[Decision]], float]:
    """Returns what an objective improves about a finished plan, the lower the better: the flash with `size`, the time
    with `speed`, the product of both with `balanced`.

    It is inf for decisions with a larger flash than both `decisions` and the dense model, or of unknown time; and for
    those that are slower than `decisions`, except with `size`.

    Args:
      model: the model that is packed.
      decisions: the finished plan.
      settings: its settings.
      code_of: one of settings.CODES: whether the code of the kernels counts.
    """
    rest = workload.rest(model, [of.layer for of in decisions], settings.cpu).time

    def flash_of(found: Sequence[Decision]) -> int:
        return choice.flash_bytes(model, found) if code_of == ALL_CODE else flash(model, found, settings.cpu)

    dense = [dataclasses.replace(of, candidate=None) for of in decisions]
    most, before = max(flash_of(decisions), flash_of(dense)), time_of(decisions)

    def found(tried: Sequence[Decision]) -> float:
        nbytes, time = flash_of(tried), time_of(tried)
        if time is None or nbytes > most:
            return np.inf
        if settings.objective != "size" and before is not None and time > before:
            return np.inf
        if settings.objective == "size":
            return nbytes
        return rest + time if settings.objective == "speed" else nbytes * (rest + time)

    return found


def is_allowed(candidate: Candidate, without: frozenset[str]) -> bool:
    """Returns whether a candidate needs none of the kernels and codings in `without`."""
    return without.isdisjoint({cost.coding(candidate.packed.streams), *candidate.estimate.linked})


def with_few_parts(
    model: schema.ModelT,
    layers: Sequence[Layer],
    settings: Settings,
    plan: Planner,
    fit: Fit,
    grows: Callable[[Sequence[Decision]], bool],
) -> Fitted:
    """Plans a model, then again without kernels or encodings, as long as that makes the firmware smaller.

    With `balanced` the firmware has to become smaller by a larger share than the inference becomes slower, and the
    inference takes at most BALANCED_TOLERANCE longer than with the fastest encodings. With `size` the layers get at
    most _MOST_GROWTH larger, within the bounds of the settings. An operator of TFLM is not linked if all its layers are
    packed, some perhaps although that makes them slower. If the firmware would be larger than the dense one, it
    only has to be faster than that. If it still is larger, and the user has named no encoding, all layers stay dense.

    Args:
      model: the model that is packed.
      layers: its layers.
      settings: the settings of the plan. With `speed`, code does not count.
      plan: returns the decisions of settings, whether they make the file smaller or not.
      fit: the same within the limit of the arena, if they do.
      grows: tells whether decisions make the firmware larger than the dense one.
    """
    first = fit(settings)
    if settings.objective == "speed" or not parts(first.decisions):
        return first
    rest = workload.rest(model, layers, settings.cpu).time
    dense = [dataclasses.replace(of, candidate=None, note=of.note or TOO_MUCH_CODE) for of in first.decisions]
    dense_time = rest + (time_of(dense) or 0)
    bound = (settings.slowest or np.inf) * dense_time
    most_bytes, limit = np.inf, None
    if settings.objective == "size":
        most_bytes = (1 + _MOST_GROWTH) * choice.flash_bytes(model, first.decisions)
        limit = _longer(bound, rest, first)
    elif (fastest := fit(dataclasses.replace(settings, objective="speed")).time) is not None:
        limit = min((1 + BALANCED_TOLERANCE) * (rest + fastest), _longer(bound, rest, first))
    search = _Search(model, settings.cpu, rest, most_bytes, settings.objective == "balanced", plan, fit)
    limited = dataclasses.replace(settings, most_time=limit)
    best, reached = search.reduced(limited, search.with_one_coding(limited, first))
    if not grows(best.decisions):
        return best
    anyhow = dataclasses.replace(reached, most_time=_longer(dense_time, rest, best))
    most = flash(model, dense, settings.cpu)
    best = dataclasses.replace(search, weighs_time=False).within(most, anyhow, best, grows)
    is_fixed = any(settings.of(of.layer).method != AUTO for of in best.decisions if of.candidate)
    return best if is_fixed or not grows(best.decisions) else Fitted(dense, dense)


def _longer(time: float, rest: int, found: Fitted) -> float:
    """Returns the longer of a time and the inference of a plan."""
    return time if found.time is None else max(time, rest + found.time)


class _Changed(NamedTuple):
    """Settings, and a plan with them within the scratch of another plan."""

    tried: list[Decision]
    settings: Settings


@dataclass(frozen=True)
class _Search:
    """Leaves out one kernel or coding after the other, or packs all layers that keep an operator of TFLM linked.

    Attributes:
      model: the model that is packed.
      cpu: the core.
      rest: time of its operators without weights.
      most_bytes: of the layers.
      weighs_time: whether time counts as much as flash.
      plan, fit: as for `with_few_parts`.
    """

    model: schema.ModelT
    cpu: str
    rest: int
    most_bytes: float
    weighs_time: bool
    plan: Planner
    fit: Fit

    def with_one_coding(self, settings: Settings, found: Fitted) -> Fitted:
        """Returns `found`, or a plan whose sparse layers all have the same coding, if that is better."""
        if {coding for _, coding in parts(found.decisions)}.issubset(encodings.DENSE_METHODS):
            return found
        names = frozenset(encodings.METHODS)
        better = self._better(settings, found, [_without(settings, names - {name}) for name in sorted(names)])
        for changed in sorted(better, key=lambda one: self._measure(one.tried)):
            fitted = self.fit(changed.settings)
            if self._is_better(fitted.decisions, found.decisions, settings):
                return fitted
        return found

    def reduced(self, settings: Settings, found: Fitted) -> tuple[Fitted, Settings]:
        """Returns `found`, or what is better than that, and its settings. Each step improves as much as possible."""
        best = found
        while better := self._better(settings, best, self._steps(settings, best.decisions)):
            changed = min(better, key=lambda one: self._measure(one.tried))
            fitted = self.fit(changed.settings)
            if not self._is_better(fitted.decisions, best.decisions, settings):
                break
            best, settings = fitted, changed.settings
        return best, settings

    def within(
        self, most: int, settings: Settings, found: Fitted, grows: Callable[[Sequence[Decision]], bool]
    ) -> Fitted:
        """Returns the first plan that does not grow, or the smallest one.

        Each step takes the fastest plan with at most `most` bytes of flash; if there is none, the smallest.
        """

        def preference(changed: _Changed) -> tuple[bool, float]:
            nbytes, time = flash(self.model, changed.tried, self.cpu), time_of(changed.tried)
            return nbytes > most, time if nbytes <= most and time is not None else nbytes

        best = found
        while grows(best.decisions) and (better := self._better(settings, best, self._steps(settings, best.decisions))):
            changed = min(better, key=preference)
            fitted = self.fit(changed.settings)
            if not self._is_better(fitted.decisions, best.decisions, settings):
                break
            best, settings = fitted, changed.settings
        return best

    def _steps(self, settings: Settings, decisions: Sequence[Decision]) -> list[Settings]:
        """Returns the settings without one more kernel or coding, or without one more operator of TFLM."""
        steps = [_without(settings, {name}) for name in _worth_trying(decisions, self.cpu)]
        if code_bytes.knows_tflm(self.cpu):
            kept = {of.layer.builtin for of in decisions if of.candidate is None}
            for name in sorted(kept.intersection(code_bytes.REPLACED) - settings.replaced):
                steps.append(dataclasses.replace(settings, replaced=settings.replaced | {name}))
        return steps

    def _better(self, settings: Settings, found: Fitted, steps: Iterable[Settings]) -> list[_Changed]:
        """Returns the steps that promise to be better than `found`."""
        rooms = _rooms(found)
        tries = [_Changed(self.plan(dataclasses.replace(changed, rooms=rooms)), changed) for changed in steps]
        return [one for one in tries if self._is_better(one.tried, found.decisions, settings)]

    def _is_better(self, tried: Sequence[Decision], best: Sequence[Decision], settings: Settings) -> bool:
        """Whether a plan improves the firmware, within the limits of bytes and time."""
        time = time_of(tried)
        if settings.most_time is not None and time is not None and self.rest + time > settings.most_time:
            return False
        if choice.flash_bytes(self.model, tried) > self.most_bytes:
            return False
        # The plan of settings has no bound for layers that replace an operator of TFLM.
        if settings.start_up is not None and choice.start_up_of(self.model, tried, self.cpu) > settings.start_up:
            return False
        return self._measure(tried) < self._measure(best)

    def _measure(self, decisions: Sequence[Decision]) -> float:
        """Returns the flash, or its product with the time: a percent of one is then worth a percent of the other."""
        nbytes, time = flash(self.model, decisions, self.cpu), time_of(decisions)
        return nbytes * (self.rest + time) if self.weighs_time and time is not None else nbytes


def _without(settings: Settings, names: Collection[str]) -> Settings:
    return dataclasses.replace(settings, without=settings.without.union(names))


def _rooms(found: Fitted) -> dict[tuple[int, int], int]:
    """Returns the scratch of each packed layer if the arena has limited it."""
    if found.decisions is found.unlimited:
        return {}
    return {place(of.layer): of.candidate.estimate.scratch_bytes for of in found.decisions if of.candidate}


def _worth_trying(decisions: Sequence[Decision], cpu: str) -> list[str]:
    """Returns the kernels and codings without which the code would be smaller."""
    used = parts(decisions)
    names = {name for part in used for name in part} - {_NO_PART}

    def saved(name: str) -> int:
        left = {part for part in used if name not in part}
        return code_bytes.code_bytes(cpu, used) - code_bytes.code_bytes(cpu, left)

    return sorted(name for name in names if saved(name) >= _LEAST_CODE)


def allowed(layer: Layer, ways: list[Candidate] | str, settings: Settings) -> list[Candidate] | str:
    """Returns the candidates that need none of settings.without. Encodings that the user has named are not limited."""
    if isinstance(ways, str) or not settings.without or settings.of(layer).method != AUTO:
        return ways
    kept = [way for way in ways if is_allowed(way, settings.without)]
    return kept or "another encoding or kernel, whose code would take more than it saves"

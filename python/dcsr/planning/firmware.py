"""What a firmware pays for a model, dense and compressed: code, arena and time of an inference on a core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcsr.layers import Layer
from dcsr.planning import builtin_memory, code_bytes, footprint, linking, start_up, workload
from dcsr.planning.choice import Decision
from dcsr.planning.footprint import Footprint
from dcsr.planning.settings import ALLOWED_START_UP, DEFAULT_SLOWEST_START
from dcsr.schema import schema

# Error of the ratio of two start-ups. The limit of the start-up is lower by as much.
_START_UP_ERROR = 0.05


@dataclass(frozen=True)
class Figures:
    """The estimates of a model on a core.

    Attributes:
      arena_bytes: of TFLM's interpreter, with CMSIS-NN's kernels.
      instructions: of one inference; None if a packed layer has no estimate.
      cycles: likewise; None also on cores for which cycles are not estimated.
      code_bytes: of our ops, registered by the header of `compress --cc`, and of the operators of TFLM in whose place
        they can be (code_bytes.py); None on cores for which the latter are unknown.
      start_up: instructions of AllocateTensors in TFLM's interpreter; None on cores for which they are unknown.
    """

    arena_bytes: int
    instructions: int | None
    cycles: int | None
    code_bytes: int | None = None
    start_up: int | None = None


@dataclass(frozen=True)
class Firmware:
    """The estimates of a model before and after compression.

    Attributes:
      dense, compressed: the figures.
      unknown: names of operators without an estimate of time. They count as 0, before and after.
      arena_time: time that the limit of the arena costs, in the unit of the core; 0 if a larger arena saves none.
      unlimited_arena_bytes: the arena without that limit.
      bound_bytes: bytes that the bound of the time (--slowest) costs.
      start_up_bytes: bytes of the file that the bound of the start-up (--slowest-start) costs.
      unlimited_start_up: instructions of the start-up without that bound; None if unknown.
      slowest: time of an inference at most, relative to the dense one, that the user asked for; None without.
      slowest_start: likewise of the start-up.
      is_named: whether a plan file or the method of the call names the encodings of all packed layers.
    """

    dense: Figures
    compressed: Figures
    unknown: tuple[str, ...] = ()
    arena_time: int = 0
    unlimited_arena_bytes: int = 0
    bound_bytes: int = 0
    start_up_bytes: int = 0
    unlimited_start_up: int | None = None
    slowest: float | None = None
    slowest_start: float | None = None
    is_named: bool = False


def dense_figures(model: schema.ModelT, layers: Sequence[Layer], cpu: str) -> Figures:
    """Returns the figures of a dense model."""
    return figures(model, [Decision(layer, kept=workload.kept(model, layer, cpu)) for layer in layers], cpu)


def figures(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> Figures:
    """Returns the figures of a planned model.

    Args:
      model: the model that was planned.
      decisions: one for each layer.
      cpu: one of cost.CPUS.
    """
    rest = workload.rest(model, [decision.layer for decision in decisions], cpu)
    instructions = _sum([rest.instructions, *(decision.instructions for decision in decisions)])
    cycles = _sum([rest.cycles, *(decision.cycles for decision in decisions)])
    code = linking.code(model, decisions, cpu) if code_bytes.knows_tflm(cpu) else None
    return Figures(
        arena_bytes(model, decisions, cpu), instructions, cycles, code, start_up_instructions(model, decisions, cpu)
    )


def start_up_instructions(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> int | None:
    """Returns the instructions of AllocateTensors of a planned model on a core; None if they are unknown."""
    if not start_up.is_known(cpu):
        return None
    packed = {
        (of.layer.subgraph, of.layer.position): (of.candidate.packed, of.candidate.estimate.linked)
        for of in decisions
        if of.candidate
    }
    return round(start_up.instructions(cpu, start_up.counts(model, cpu, packed, footprint.of_decisions(decisions))))


def start_up_bound(original: schema.ModelT, cpu: str, ratio: float | None) -> float | None:
    """Returns the instructions that the start-up may take; None if those of the dense model are unknown.

    Args:
      original: the dense model.
      cpu: one of cost.CPUS.
      ratio: the start-up at most, relative to that of the dense model; None for DEFAULT_SLOWEST_START, or
        ALLOWED_START_UP more.
    """
    dense = start_up_instructions(original, [], cpu)
    if dense is None:
        return None
    return max(DEFAULT_SLOWEST_START * dense, dense + ALLOWED_START_UP) if ratio is None else ratio * dense


def start_up_limit(
    original: schema.ModelT, model: schema.ModelT, layers: Sequence[Layer], cpu: str, ratio: float | None
) -> float | None:
    """Returns the instructions that Prepare of all layers may take, so that the start-up keeps its bound; None if it is
    unknown.

    Args:
      original: the dense model.
      model: the model that is packed; `original`, perhaps without its dead channels.
      layers: its layers.
      cpu: one of cost.CPUS.
      ratio: the start-up at most, relative to that of the dense model; None for DEFAULT_SLOWEST_START, or
        ALLOWED_START_UP more.
    """
    if not start_up.is_known(cpu):
        return None
    before, after = (start_up.instructions(cpu, start_up.counts(of, cpu, {}, {})) for of in (original, model))
    of_layers = sum(
        start_up.instructions(cpu, start_up.builtin(model, layer.subgraph, layer.operator)) for layer in layers
    )
    most = (DEFAULT_SLOWEST_START if ratio is None else ratio) / (1 + _START_UP_ERROR) * before
    if ratio is None:
        most = max(most, before + ALLOWED_START_UP)
    return most - (after - of_layers)


def arena_bytes(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> int:
    """Returns the arena that a planned model needs on a core, with TFLM's structures and CMSIS-NN's kernels."""
    found = Footprint(model, cpu, builtin_memory.CMSIS_NN, footprint.planes_of(decisions))
    planned = found.nbytes(footprint.of_decisions(decisions))
    return planned + footprint.interpreter_bytes(model)


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None

"""Plans a model so that its arena stays within a limit: each layer gets the scratch that the arena has room for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.planning import builtin_memory, footprint
from dcsr.planning.builtin_memory import Memory
from dcsr.planning.choice import Decision
from dcsr.planning.footprint import Footprint, Place
from dcsr.planning.settings import Settings, place
from dcsr.schema import schema

# The default limit holds for both sets of kernels of the builtin operators, if that adds at most this share of time to
# a limit that only holds for CMSIS-NN's.
TOLERANCE = 0.01
_MOST_ROUNDS = 12
# Why layers stay dense if no plan fits.
NO_ROOM = "the arena would be larger than dense"
_LEAST_SCRATCH = 64  # bytes; less than any kernel needs


@dataclass(frozen=True)
class Limit:
    """A limit of the arena.

    Attributes:
      footprint: of the model.
      nbytes: bytes of the footprint at most.
    """

    footprint: Footprint
    nbytes: int

    def excess(self, decisions: Sequence[Decision]) -> int:
        """Returns the bytes above the limit; 0 or less if the decisions fit."""
        return self.footprint.nbytes(footprint.of_decisions(decisions)) - self.nbytes


@dataclass(frozen=True)
class Fitted:
    """Decisions within a limit.

    Attributes:
      decisions: one for each layer.
      unlimited: the decisions without a limit of the arena.
    """

    decisions: list[Decision]
    unlimited: list[Decision]

    @property
    def time(self) -> int | None:
        """Time of all layers, in the unit of the core; None if it is unknown for one that is packed."""
        return time_of(self.decisions)

    @property
    def slowdown(self) -> int:
        """Time that the limit costs, in the unit of the core; 0 if unknown."""
        now, before = time_of(self.decisions), time_of(self.unlimited)
        return 0 if now is None or before is None else now - before


Planner = Callable[[Settings], list[Decision]]


def limits(original: schema.ModelT, model: schema.ModelT, cpu: str, nbytes: int | None) -> dict[str, int]:
    """Returns the limits of the arena: {kernels of the builtin operators: bytes of the footprint at most}.

    Args:
      original: the dense model, whose arena is the limit without `nbytes`.
      model: the model that is packed.
      cpu: one of cost.CPUS.
      nbytes: a limit of the whole arena with CMSIS-NN's kernels; None if there is none.
    """
    if nbytes is not None:
        return {builtin_memory.CMSIS_NN: nbytes - footprint.interpreter_bytes(model)}
    return {kernels: Footprint(original, cpu, kernels).nbytes() for kernels in builtin_memory.KERNELS}


def within_dense(
    original: schema.ModelT, model: schema.ModelT, layers: Sequence[Layer], settings: Settings, plan: Planner
) -> Fitted:
    """Plans a model so that its arena is at most the dense model's.

    That holds with CMSIS-NN's kernels for the builtin operators; with the portable ones, too, unless that takes more
    than TOLERANCE of the time.

    Args:
      original: the dense model.
      model: the model that is packed; `original`, perhaps without its dead channels.
      layers: its layers.
      settings: the settings of the plan.
      plan: returns the decisions of settings.
    """
    found = limits(original, model, settings.cpu, None)
    limited = [Limit(Footprint(model, settings.cpu, kernels), nbytes) for kernels, nbytes in found.items()]
    free = plan(settings)
    with_both = _within(model, layers, settings, plan, free, limited)
    chosen = with_both
    if with_both is not free:
        chosen = within_all_or_first(with_both, _within(model, layers, settings, plan, free, limited[:1]))
    if chosen is None and any(entry.scratch is not None for entry in settings.overrides.values()):
        chosen = free  # the plan file asks for so much scratch
    if chosen is None:
        chosen = [dataclasses.replace(of, candidate=None, note=of.note or NO_ROOM) for of in free]
    return Fitted(chosen, free)


def within_all_or_first(with_all: list[Decision] | None, alone: list[Decision] | None) -> list[Decision] | None:
    """Returns the decisions within all limits, or those within the first alone if all cost more than TOLERANCE.

    Args:
      with_all: decisions within all limits; None if there are none.
      alone: decisions within the limit of CMSIS-NN's kernels alone; None if there are none.
    """
    slow, fast = (time_of(decisions) if decisions else None for decisions in (with_all, alone))
    # A plan of unknown time has a layer without an estimate, which the portable kernel runs.
    if with_all is None or (fast is not None and (slow is None or slow > (1 + TOLERANCE) * fast)):
        return alone
    return with_all


def within(
    model: schema.ModelT, layers: Sequence[Layer], settings: Settings, plan: Planner, nbytes: int, name: str
) -> Fitted:
    """Plans a model so that its arena, with TFLM's structures and CMSIS-NN's kernels, takes at most `nbytes` bytes.

    Args:
      model: the model that is packed.
      layers: its layers.
      settings: the settings of the plan.
      plan: returns the decisions of settings.
      nbytes: the limit.
      name: name of the model in messages.

    Raises:
      ModelError: if no plan fits.
    """
    structures = footprint.interpreter_bytes(model)
    limit = Limit(Footprint(model, settings.cpu, builtin_memory.CMSIS_NN), nbytes - structures)
    free = plan(settings)
    found = _within(model, layers, settings, plan, free, [limit])
    if found is None:
        # Dense layers keep more than packed ones, so that slower ones are packed as well.
        anyway = dataclasses.replace(settings, slowest=None, packs_slower=True)
        found = _within(model, layers, anyway, plan, plan(anyway), [limit])
    if found is None:
        obstacle = _obstacle(limit, layers, structures)
        raise ModelError(f"{name}: does not fit into an arena of {nbytes:,} bytes: {obstacle}")
    return Fitted(found, free)


def _within(
    model: schema.ModelT,
    layers: Sequence[Layer],
    settings: Settings,
    plan: Planner,
    free: list[Decision],
    limits: Sequence[Limit],
) -> list[Decision] | None:
    """Returns decisions within all limits, `free` if it is within them; None if no decisions are found."""
    return with_less_scratch(
        free,
        lambda rooms: plan(dataclasses.replace(settings, rooms=_of_weights(model, layers, rooms))),
        limits,
    )


def with_less_scratch(
    free: list[Decision], plan: Callable[[Mapping[Place, int]], list[Decision] | None], limits: Sequence[Limit]
) -> list[Decision] | None:
    """Returns decisions within all limits, `free` if it is within them; None if none are found.

    Args:
      free: decisions with all the scratch that the layers would like to have.
      plan: returns the decisions in which layers have at most some bytes of scratch; None if there are none.
      limits: the limits of the arena.
    """
    decisions: list[Decision] | None = free
    rooms: dict[Place, int] = {}
    for _ in range(_MOST_ROUNDS):
        if decisions is None or all(limit.excess(decisions) <= 0 for limit in limits):
            return decisions
        rooms |= _tightened(decisions, limits) if rooms else _rooms(decisions, limits)
        decisions = plan(rooms)
    return None


def _rooms(decisions: Sequence[Decision], limits: Sequence[Limit]) -> dict[Place, int]:
    """Returns the scratch that each layer may request if no other layer requests any."""
    packed = footprint.of_decisions(decisions)
    idle = {where: Memory(0, memory.persistent) for where, memory in packed.items()}
    return {
        where: min(limit.footprint.room(where, idle, limit.nbytes) for limit in limits)
        for where in ((of.layer.subgraph, of.layer.position) for of in decisions if of.layer.obstacle is None)
    }


def _tightened(decisions: Sequence[Decision], limits: Sequence[Limit]) -> dict[Place, int]:
    """Returns less scratch for some of the packed layers, so that all fit.

    Rooms for which each layer alone fits need not fit together: the planner of TFLM leaves gaps.
    """
    packed = footprint.of_decisions(decisions)

    def fits() -> bool:
        return all(limit.footprint.nbytes(packed) <= limit.nbytes for limit in limits)

    while not fits() and any(memory.scratch for memory in packed.values()):
        losses = []
        for where, memory in packed.items():
            room = min(limit.footprint.room(where, packed, limit.nbytes) for limit in limits)
            if 0 < room < memory.scratch:
                losses.append((memory.scratch - room, where))
        if losses:
            loss, where = min(losses)
            left = packed[where].scratch - loss
        else:
            where = max(packed, key=lambda one: packed[one].scratch)
            left = packed[where].scratch // 2 if packed[where].scratch > _LEAST_SCRATCH else 0
        packed[where] = Memory(left, packed[where].persistent)
    return {where: memory.scratch for where, memory in packed.items()}


def _of_weights(
    model: schema.ModelT, layers: Sequence[Layer], rooms: Mapping[Place, int]
) -> dict[tuple[int, int], int]:
    """Returns the rooms by weight tensor. Layers that share weights get the same, so that these are stored once."""
    of_buffer: dict[int, int] = {}
    owners = []
    for layer in layers:
        where = (layer.subgraph, layer.position)
        if where in rooms:
            buffer = model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]].buffer
            of_buffer[buffer] = min(rooms[where], of_buffer.get(buffer, rooms[where]))
            owners.append((layer, buffer))
    return {place(layer): of_buffer[buffer] for layer, buffer in owners}


def time_of(decisions: Sequence[Decision]) -> int | None:
    """Returns the time of the layers; None if it is unknown for one that is packed."""
    total = 0
    for decision in decisions:
        found = decision.candidate.estimate.time if decision.candidate else decision.kept.time if decision.kept else 0
        if found is None:
            return None
        total += found
    return total


def _obstacle(limit: Limit, layers: Sequence[Layer], structures: int) -> str:
    """Returns the layer that needs the largest arena, even packed and without scratch, and how much that is."""
    needs = [
        (limit.footprint.least_bytes((layer.subgraph, layer.position), layer.obstacle is None), layer.name)
        for layer in layers
    ]
    most, name = max(needs, default=(0, ""))
    return f"'{name}' takes at least {most + structures:,}"

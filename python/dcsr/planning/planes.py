"""Keeps activations between packed layers in planes where that makes the model faster (docs/planes.md).

A chain is a set of tensors that are in planes together. Every operator that reads or writes them is a packed layer
whose kernel takes planes, or an elementwise operator, to which the order of elements does not matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr import packing
from dcsr.graph import Graph, indices
from dcsr.model import ModelError
from dcsr.packing import PackedLayer, Planes
from dcsr.planning import cost, footprint, workload
from dcsr.planning.candidates import Candidate, budget
from dcsr.planning.choice import Decision
from dcsr.planning.fitting import Limit, time_of, with_less_scratch, within_all_or_first
from dcsr.planning.footprint import Footprint, Place
from dcsr.planning.settings import Settings, place
from dcsr.schema import schema

AUTO, NHWC, PLANES = "auto", "nhwc", "planes"
LAYOUTS = (AUTO, NHWC, PLANES)
DEFAULT_LAYOUT = AUTO

# Builtin operators that compute each element from the same element of inputs of the same shape.
_ELEMENTWISE = frozenset(("ADD", "SUB", "MUL", "RELU", "RELU6", "MAXIMUM", "MINIMUM"))
_INT8 = schema.TensorType.INT8

Tensor = tuple[int, int]  # (subgraph, index)


Measure = Callable[[Sequence[Decision]], float]
Takes = Callable[[Candidate, tuple[bool, bool]], bool]


def with_planes(
    model: schema.ModelT,
    decisions: Sequence[Decision],
    cpu: str,
    memory: str,
    layout: str,
    limits: Mapping[str, int],
    measure: Measure,
) -> list[Decision]:
    """Returns decisions with planes in those chains in which they are worth it.

    Args:
      model: the model that is packed.
      decisions: one for each layer.
      cpu: one of cost.CPUS.
      memory: one of cost.MEMORIES.
      layout: PLANES puts every chain in planes for which the core has kernels and the arena has room, AUTO those that
        improve `measure`, NHWC none.
      limits: {kernels of the builtin operators: bytes of the arena at most} (Footprint).
      measure: what AUTO improves, the lower the better; inf if decisions are not allowed.
    """
    best = list(decisions)
    ranked = _ranked_by(measure)
    if layout == NHWC:
        return best
    for tensors in chains(model, best, _takes(cpu, memory, needs_estimate=layout == AUTO)):
        tries = [
            tried
            for is_transposed in (False, True)
            if (tried := _within(model, best, tensors, is_transposed, cpu, memory, limits)) is not None
        ]
        if not tries:
            continue
        if layout == PLANES:
            best = min(tries, key=lambda one: (time_of(one) is None, time_of(one) or 0))
            continue
        timed = [one for one in tries if time_of(one) is not None]
        best = min([best, *timed], key=ranked)
    return best


def _ranked_by(measure: Measure) -> Callable[[Sequence[Decision]], tuple[float, int]]:
    """Returns a key for plans, the lower the better. The time decides between plans that a measure finds equal."""
    return lambda found: (measure(found), time_of(found) or 0)


def _within(
    model: schema.ModelT,
    decisions: Sequence[Decision],
    tensors: frozenset[Tensor],
    is_transposed: bool,
    cpu: str,
    memory: str,
    limits: Mapping[str, int],
) -> list[Decision] | None:
    """Returns `in_planes` within all limits, or within that of CMSIS-NN's kernels if all cost too much time."""
    with_all = in_planes(model, decisions, tensors, is_transposed, cpu, memory, limits)
    if len(limits) < 2:
        return with_all
    first = dict(list(limits.items())[:1])
    alone = in_planes(model, decisions, tensors, is_transposed, cpu, memory, first)
    return within_all_or_first(with_all, alone)


def better_that_fits(
    model: schema.ModelT,
    decisions: list[Decision],
    unlimited: list[Decision],
    cpu: str,
    limits: Mapping[str, int],
    measure: Measure,
) -> list[Decision]:
    """Returns `unlimited` if it fits and is better than `decisions`, else these.

    Layers that do not fit in NHWC may fit in planes, where they take another scratch.

    Args:
      model: the model that is packed.
      decisions: the finished plan of layers that fit in NHWC.
      unlimited: that of layers that need not fit.
      cpu: one of cost.CPUS.
      limits: {kernels of the builtin operators: bytes of the arena at most} (Footprint).
      measure: what counts, the lower the better.
    """

    def fits(found: Sequence[Decision], within: Mapping[str, int]) -> bool:
        sizes = footprint.planes_of(found)
        return all(
            Limit(Footprint(model, cpu, kernels, sizes), nbytes).excess(found) <= 0
            for kernels, nbytes in within.items()
        )

    if unlimited is decisions or not fits(unlimited, dict(list(limits.items())[:1])):
        return decisions
    if not fits(unlimited, limits) and within_all_or_first(decisions, unlimited) is decisions:
        return decisions
    return min(decisions, unlimited, key=_ranked_by(measure))


def as_planned(model: schema.ModelT, decisions: Sequence[Decision], settings: Settings, name: str) -> list[Decision]:
    """Returns the decisions with the layouts of a plan file.

    Args:
      model: the model that is packed.
      decisions: one for each layer.
      settings: the settings, of which an override has a layout.
      name: name of the model in messages.

    Raises:
      ModelError: if the layouts do not fit together: another operator reads or writes a tensor in NHWC.
    """
    changed = list(decisions)
    wanted: dict[int, tuple[bool, bool]] = {}  # by the id() of candidates, which `decisions` keeps
    orders: dict[Tensor, set[bool]] = {}  # whether the layers of a tensor in planes are transposed
    tensors: set[Tensor] = set()
    for number, decision in enumerate(decisions):
        candidate = decision.candidate
        if candidate is None:
            continue
        override = settings.of(decision.layer)
        ends = wanted[id(candidate)] = packing.LAYOUTS[override.layout or "nhwc"]
        if not any(ends):
            continue
        if not _can_have_planes(candidate.packed):
            raise ModelError(f"{name}: '{decision.layer.name}' cannot be in planes, which its plan asks for")
        s, operator = decision.layer.subgraph, decision.layer.operator
        mine = {(s, int(of[0])) for of, end in zip((operator.inputs, operator.outputs), ends, strict=True) if end}
        tensors |= mine
        for tensor in mine:
            orders.setdefault(tensor, set()).add(override.is_transposed)
        # The plan in NHWC may have given the layer less scratch than it gets in planes.
        packed = dataclasses.replace(candidate.packed, scratch_budget=budget(override))
        candidate = dataclasses.replace(candidate, packed=packed)
        candidate = _with_ends(candidate, ends, override.is_transposed, settings.cpu, settings.memory)
        changed[number] = dataclasses.replace(decision, candidate=candidate)
    found = chains(model, decisions, lambda candidate, ends: ends == wanted[id(candidate)])
    refused = f"{name}: the layouts of its plan do not fit together"
    if wrong := tensors - set().union(*found):
        raise ModelError(f"{refused}: {_tensor_name(model, min(wrong))} cannot be in planes on both sides")
    for chain in found:
        if len(set().union(*(orders.get(tensor, set()) for tensor in chain))) > 1:
            where = _tensor_name(model, min(chain))
            raise ModelError(f"{refused}: of the layers around {where}, only some are transposed")
    return changed


def _tensor_name(model: schema.ModelT, tensor: Tensor) -> str:
    s, index = tensor
    return f"tensor {index} '{tflite.text(model.subgraphs[s].tensors[index].name)}'"


def chains(model: schema.ModelT, decisions: Sequence[Decision], takes: Takes) -> list[frozenset[Tensor]]:
    """Returns the largest sets of tensors that can be in planes together, in the order of the model.

    Args:
      model: the model that is packed.
      decisions: one for each layer.
      takes: tells whether a layer may have its input and its output in planes.
    """
    weights = [place(of.layer) for of in decisions]
    # Packed layers that share weights are stored once only while they are equal.
    layers = {
        (of.layer.subgraph, of.layer.position): of.candidate
        for of in decisions
        if of.candidate and _can_have_planes(of.candidate.packed) and weights.count(place(of.layer)) == 1
    }
    found = []
    for number, graph in enumerate(model.subgraphs):
        mine = {position: candidate for (s, position), candidate in layers.items() if s == number}
        tensors = _largest(model, number, mine, takes)
        links = [
            {t for t in (*indices(operator.inputs), *indices(operator.outputs)) if t in tensors}
            for operator in graph.operators or []
        ]
        found += [frozenset((number, tensor) for tensor in group) for group in _connected(tensors, links)]
    return found


def _can_have_planes(packed: PackedLayer) -> bool:
    return packed.op != packing.OP_FULLY_CONNECTED and not packed.int16_activations and packed.shared is None


def _largest(model: schema.ModelT, number: int, layers: Mapping[int, Candidate], takes: Takes) -> set[int]:
    """Returns the tensors of a subgraph that can be in planes: starts from all, and removes what an operator does not
    take, until nothing changes.
    """
    graph = model.subgraphs[number]
    operators = graph.operators or []
    elementwise = {p for p, operator in enumerate(operators) if _is_elementwise(model, number, operator)}
    ends = Graph(model).ends(number)
    tensors = {
        index
        for index, tensor in enumerate(graph.tensors or [])
        if index not in ends and _is_image(tensor) and _has_only(operators, index, layers, elementwise)
    }
    is_changed = True
    while is_changed:
        removed: set[int] = set()
        for position in sorted(elementwise):
            own = {*indices(operators[position].inputs), *indices(operators[position].outputs)}
            if not own <= tensors:
                removed |= own & tensors
        for position, candidate in layers.items():
            source, target = int(operators[position].inputs[0]), int(operators[position].outputs[0])
            ends_in_planes = source in tensors, target in tensors
            if any(ends_in_planes) and not takes(candidate, ends_in_planes):
                removed |= _less(candidate, source, target, tensors, takes)
        touched = {
            index
            for position in layers
            for index in (int(operators[position].inputs[0]), int(operators[position].outputs[0]))
        }
        # The shape of a tensor in planes is restored from a packed layer.
        removed |= tensors - touched
        tensors -= removed
        is_changed = bool(removed)
    return tensors


def _less(candidate: Candidate, source: int, target: int, tensors: set[int], takes: Takes) -> set[int]:
    """Returns the tensors of a layer that cannot be in planes: the output, else the input, else both."""
    for ends_in_planes, removed in (((True, False), {target}), ((False, True), {source})):
        kept = {source, target} - removed
        if kept <= tensors and takes(candidate, ends_in_planes):
            return removed & tensors
    return {source, target} & tensors


def _takes(cpu: str, memory: str, needs_estimate: bool) -> Takes:
    """Returns a function that tells whether a core has a kernel of its own for a layer with these ends in planes."""

    def takes(candidate: Candidate, ends_in_planes: tuple[bool, bool]) -> bool:
        estimate = _with_ends(candidate, ends_in_planes, False, cpu, memory).estimate
        return not estimate.is_portable and not (needs_estimate and estimate.time is None)

    return takes


def _is_elementwise(model: schema.ModelT, number: int, operator: schema.OperatorT) -> bool:
    if tflite.operator_name(model, operator) not in _ELEMENTWISE:
        return False
    tensors = [model.subgraphs[number].tensors[i] for i in (*indices(operator.inputs), *indices(operator.outputs))]
    shapes = {tuple(indices(tensor.shape)) for tensor in tensors}
    return len(shapes) == 1 and all(
        tensor.type == _INT8 and not tflite.is_constant(model, tensor) and not tensor.isVariable for tensor in tensors
    )


def _is_image(tensor: schema.TensorT) -> bool:
    shape = indices(tensor.shape)
    fits = len(shape) == 4 and shape[0] == 1 and 0 < max(shape[1:3]) < 1 << 16
    return bool(fits and tensor.type == _INT8 and not tensor.isVariable)


def _has_only(
    operators: Sequence[schema.OperatorT], index: int, layers: Mapping[int, Candidate], elementwise: set[int]
) -> bool:
    """Whether a tensor is written by a layer or an elementwise operator, and read by nothing else as activations."""
    is_written = False
    for position, operator in enumerate(operators):
        inputs, outputs = indices(operator.inputs), indices(operator.outputs)
        if index not in (*inputs, *outputs, *indices(operator.intermediates)):
            continue
        if position in elementwise:
            is_written |= index in outputs
        elif position in layers and index not in inputs[1:]:
            is_written |= index in outputs
        else:
            return False
    return is_written


def _connected(tensors: Iterable[int], links: Iterable[set[int]]) -> list[set[int]]:
    """Groups tensors that are linked, directly or by others."""
    groups: list[set[int]] = [{tensor} for tensor in sorted(tensors)]
    for link in links:
        touched = [group for group in groups if group & link]
        if len(touched) > 1:
            merged = set().union(*touched)
            groups = [group for group in groups if not group & link] + [merged]
    return sorted(groups, key=min)


def in_planes(
    model: schema.ModelT,
    decisions: Sequence[Decision],
    tensors: frozenset[Tensor],
    is_transposed: bool,
    cpu: str,
    memory: str,
    limits: Mapping[str, int],
) -> list[Decision] | None:
    """Returns the decisions with the tensors in planes and as much scratch as the arena allows; None if they do not
    fit.
    """
    changed = list(decisions)
    touched: list[int] = []
    for number, decision in enumerate(decisions):
        if decision.candidate is None:
            continue
        s, operator = decision.layer.subgraph, decision.layer.operator
        ends = (s, int(operator.inputs[0])) in tensors, (s, int(operator.outputs[0])) in tensors
        if not any(ends):
            continue
        candidate = _with_ends(decision.candidate, ends, is_transposed, cpu, memory)
        changed[number] = dataclasses.replace(decision, candidate=candidate)
        touched.append(number)
    sizes = footprint.planes_of(changed)
    found = [Limit(Footprint(model, cpu, kernels, sizes), nbytes) for kernels, nbytes in limits.items()]
    return _with_less_scratch(changed, touched, found, cpu, memory)


def _with_less_scratch(
    decisions: list[Decision], numbers: Sequence[int], limits: Sequence[Limit], cpu: str, memory: str
) -> list[Decision] | None:
    """Lowers the scratch of layers until the arena is within all limits; None if the core's kernels need more."""
    wanted = {number: _candidate(decisions[number]) for number in numbers}

    def with_rooms(rooms: Mapping[Place, int]) -> list[Decision] | None:
        changed = list(decisions)
        for number, candidate in wanted.items():
            layer = decisions[number].layer
            room = rooms.get((layer.subgraph, layer.position), candidate.estimate.scratch_bytes)
            if room < candidate.estimate.scratch_bytes:
                packed = dataclasses.replace(candidate.packed, scratch_budget=max(room, 1))
                smaller = _estimated(candidate, packed, cpu, memory)
                if smaller.estimate.is_portable and not candidate.estimate.is_portable:
                    return None
                changed[number] = dataclasses.replace(decisions[number], candidate=smaller)
        return changed

    return with_less_scratch(decisions, with_rooms, limits)


def _candidate(decision: Decision) -> Candidate:
    assert decision.candidate is not None
    return decision.candidate


def _with_ends(candidate: Candidate, ends: tuple[bool, bool], is_transposed: bool, cpu: str, memory: str) -> Candidate:
    """Returns a candidate in NHWC as one with its input or its output, or both, in planes."""
    packed = candidate.packed
    size = candidate.shape.input_size
    if is_transposed:
        packed = layer_finder.transposed(packed)
        size = size[1], size[0]
    planes = Planes(size, *ends, is_transposed)
    return _estimated(candidate, dataclasses.replace(packed, planes=planes), cpu, memory)


def _estimated(candidate: Candidate, packed: PackedLayer, cpu: str, memory: str) -> Candidate:
    """Returns the candidate of a layer with planes, with the dense product of `candidate`."""
    shape = workload.planes_shape(packed)
    estimate = dataclasses.replace(
        cost.estimate(cpu, packed, shape, memory),
        dense_instructions=candidate.estimate.dense_instructions,
        dense_cycles=candidate.estimate.dense_cycles,
    )
    return Candidate(packed, shape, estimate)

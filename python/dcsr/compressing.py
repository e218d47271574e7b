"""Compresses and decompresses a model: finds its layers, plans them, and runs the passes.

Models are objects of the schema's object API. `api` offers the same functions for bytes and files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.passes import Done
from dcsr.passes import densify as densifying
from dcsr.passes.dead_channels import NAME as DEAD_CHANNELS
from dcsr.passes.dead_channels import WithoutDeadChannels
from dcsr.passes.dead_channels import dead_channels as remove_dead_channels
from dcsr.passes.pack import pack
from dcsr.passes.record import RECORD_NAME, restore
from dcsr.passes.strip import strip as strip_model
from dcsr.planning import builtin_memory, code_bytes, cost, fitting, linking, plan_file, planes, workload
from dcsr.planning.candidates import Candidate, Encoded, candidates
from dcsr.planning.choice import Decision, decide, flash_bytes, stored_bytes
from dcsr.planning.firmware import (
    Firmware,
    arena_bytes,
    dense_figures,
    figures,
    start_up_bound,
    start_up_instructions,
    start_up_limit,
)
from dcsr.planning.footprint import Footprint, interpreter_bytes
from dcsr.planning.settings import (
    ALL_CODE,
    AUTO,
    DEFAULT_CODE,
    DEFAULT_OBJECTIVE,
    Settings,
    default_min_sparsity,
    default_slowest,
)
from dcsr.schema import schema

# Share of time and bytes that a smaller arena may cost.
_ARENA_TOLERANCE = 0.01
# More bytes than the file records for a packed layer, and for all of them together.
_MOST_RECORDED = 1024
_TFLM_COMPRESSION = b"COMPRESSION_METADATA"


class Compressed(NamedTuple):
    """A compressed model.

    Attributes:
      model: the model.
      decisions: one for each layer with weights, in the order of the model. Their layers are those of the prepared
        model (see `prepare`).
      passes: the changes that each pass made, in the order in which they ran.
      firmware: the estimates of the model before and after.
      planned: the prepared model.
    """

    model: schema.ModelT
    decisions: list[Decision]
    passes: list[Done]
    firmware: Firmware
    planned: schema.ModelT


def compress(
    model: schema.ModelT,
    name: str,
    *,
    method: str = AUTO,
    min_sparsity: float | None = None,
    objective: str = DEFAULT_OBJECTIVE,
    cpu: str = cost.DEFAULT_CPU,
    max_scratch: int | None = None,
    max_arena: int | None = None,
    slowest: float | None = None,
    slowest_start: float | None = None,
    verified_image: bool = False,
    memory: str = cost.DEFAULT_MEMORY,
    code: str = DEFAULT_CODE,
    plan: str | os.PathLike[str] | None = None,
    layout: str = planes.DEFAULT_LAYOUT,
    smaller_only: bool = True,
    strip: bool = False,
    dead_channels: bool | None = None,
    progress: Callable[[list[Layer]], Iterable[Layer]] = iter,
) -> Compressed:
    """Packs the layers of `model` that are sparse enough and get smaller.

    The model is first prepared (see `prepare`). `decompress` then restores the prepared model.

    Args:
      model: the model; it is not changed.
      name: name of the model in error messages.
      method: one of settings.methods(): one encoding for all layers, `auto` (the planner chooses), or `none` (no layer
        is packed).
      min_sparsity: smallest share of zero weights, 0..1, with which a layer is packed; None for
        settings.default_min_sparsity(objective).
      objective: one of settings.OBJECTIVES.
      cpu: core for the estimates of time and scratch, one of cost.CPUS.
      max_scratch: largest scratch of a layer in bytes; None for the kernels' default.
      max_arena: largest arena in bytes, estimated with TFLM's structures; None for that of the dense model.
      slowest: time of an inference at most, relative to the dense one; None for settings.default_slowest(objective).
        Above 1, `balanced` packs layers that are slower than dense without further conditions.
      slowest_start: AllocateTensors at most, relative to the dense model's; None for settings.DEFAULT_SLOWEST_START, or
        ALLOWED_START_UP instructions more. Cores whose start-up is unknown have no bound.
      verified_image: whether packed layers get a checksum, for firmware whose image is verified as a whole. Start-up is
        then that of such a firmware.
      memory: where the firmware has the data, one of cost.MEMORIES, for the estimates of cycles.
      code: one of settings.CODES: whether kernels and encodings have to save the bytes of their code (linking.py).
      plan: path of a plan file. It overrides the other settings for the tensors it names: layers with an encoding there
        are packed even if that saves nothing.
      layout: one of planes.LAYOUTS: whether activations between packed layers may be in planes.
      smaller_only: whether layers stay dense that would not get smaller, or too slow by default.
      strip: whether to remove everything that inference does not need (passes/strip.py). A stripped model cannot be
        decompressed.
      dead_channels: whether to remove channels that nothing reads (passes/dead_channels.py); None for `strip`, unless
        the model would become larger by that, or its arena larger than dense.
      progress: wraps the list of layers that are being encoded.

    Returns:
      The compressed copy, the decisions and the changes.

    Raises:
      ModelError: if the model is compressed already or is not an int8 model, if the plan does not fit the model, or if
        the model does not fit into max_arena.
    """
    given = model
    removes = strip if dead_channels is None else dead_channels
    original, done = prepare(model, name, False)
    model, done = prepare(model, name, True) if removes else (original, done)
    layers = layer_finder.find(model)
    check_is_int8(layers, name)
    overrides = plan_file.read_plan(plan, model, layers, name) if plan else {}
    least = default_min_sparsity(objective) if min_sparsity is None else min_sparsity
    bound = default_slowest(objective) if slowest is None and smaller_only else slowest
    packs_slower = not smaller_only or (slowest is not None and slowest > 1)
    settings = Settings(objective, cpu, method, least, max_scratch, memory, overrides, bound, packs_slower)
    settings = dataclasses.replace(settings, verified_image=verified_image)
    if smaller_only or slowest_start is not None:
        most = start_up_limit(original, model, layers, cpu, slowest_start)
        settings = dataclasses.replace(settings, start_up=most)
    encoded: Encoded = {}
    lost = DEAD_CHANNELS if any(isinstance(entry, WithoutDeadChannels) and entry.changes for entry in done) else None

    before = _file_bytes(_carried_out(model, [], strip, lost)[0])
    dense_layers = flash_bytes(model, [Decision(layer) for layer in layers])

    def saves(decisions: Sequence[Decision]) -> bool:
        most = _MOST_RECORDED * (1 + sum(of.candidate is not None for of in decisions))
        if flash_bytes(model, decisions) + most < dense_layers:
            return True
        return _file_bytes(_carried_out(model, decisions, strip, lost)[0]) < before

    def grows(decisions: Sequence[Decision]) -> bool:
        if max_arena is not None and arena_bytes(model, [], cpu) > max_arena:
            return False  # the dense model is no alternative
        return _firmware_grows(model, pack(model, decisions, lost)[0], decisions, cpu, strip)

    ways: dict[tuple[int, str, int | None, bool], list[Candidate] | str] = {}

    def ways_of(number: int, wanted: Settings) -> list[Candidate] | str:
        layer = layers[number]
        key = (number, wanted.objective, wanted.room(layer), layer.builtin in wanted.replaced)
        if key not in ways:
            ways[key] = candidates(model, layer, wanted, encoded)
        return linking.allowed(layer, ways[key], wanted)

    for number, _ in enumerate(progress(layers)):
        ways_of(number, settings)

    def decided(wanted: Settings, is_smaller: Callable[[Sequence[Decision]], bool] | None) -> list[Decision]:
        return decide(model, layers, [ways_of(number, wanted) for number in range(len(layers))], wanted, is_smaller)

    plans: list[tuple[Settings, bool, list[Decision]]] = []

    def once(wanted: Settings, has_to_save: bool, saves: Callable[[Sequence[Decision]], bool] | None) -> list[Decision]:
        for known, had_to_save, decisions in plans:
            if had_to_save == has_to_save and known == wanted:
                return decisions
        plans.append((wanted, has_to_save, decided(wanted, saves)))
        return plans[-1][2]

    def planned(wanted: Settings) -> list[Decision]:
        return once(wanted, True, saves if smaller_only else None)

    def tried(wanted: Settings) -> list[Decision]:
        return once(wanted, False, lambda _: True)

    def completed(wanted: Settings, most: int | None) -> fitting.Fitted:
        """Returns the decisions of settings with their layouts, within the limit of the arena and without it."""

        def fitted_to(wanted: Settings) -> fitting.Fitted:
            if most is None:
                return fitting.within_dense(original, model, layers, wanted, planned)
            return fitting.within(model, layers, wanted, planned, most, name)

        if smaller_only and code != ALL_CODE:
            fitted = linking.with_few_parts(model, layers, wanted, tried, fitted_to, grows)
        else:
            fitted = fitted_to(wanted)
        if any(override.layout is not None for override in overrides.values()):
            decisions = planes.as_planned(model, fitted.decisions, wanted, name)
            needed = arena_bytes(model, decisions, cpu)
            if most is not None and needed > most:
                raise ModelError(
                    f"{name}: does not fit into an arena of {most:,} bytes: with the layouts of its plan it takes"
                    f" {needed:,}"
                )
            return fitting.Fitted(decisions, decisions)
        limits = fitting.limits(original, model, cpu, most)
        measure = linking.measure(model, fitted.decisions, wanted, code)
        decisions = planes.with_planes(model, fitted.decisions, cpu, memory, layout, limits, measure)
        unlimited = planes.with_planes(model, fitted.unlimited, cpu, memory, layout, {}, measure)
        return fitting.Fitted(planes.better_that_fits(model, decisions, unlimited, cpu, limits, measure), unlimited)

    bound_start = start_up_bound(original, cpu, slowest_start) if settings.start_up is not None else None
    unbounded = dataclasses.replace(settings, start_up=None)

    def finished(most: int | None) -> tuple[fitting.Fitted, fitting.Fitted]:
        """Returns the decisions within the bound of the start-up, and without it."""
        free = completed(unbounded, most)
        return _starting_in_time(model, cpu, free, bound_start, lambda: completed(settings, most)), free

    chosen, free = finished(max_arena)
    decisions = chosen.decisions
    compressed, passes = _carried_out(model, decisions, strip, lost)
    dense = dense_figures(original, layer_finder.find(original), cpu)
    larger = arena_bytes(model, chosen.unlimited, cpu)
    arena_time = 0
    if chosen.slowdown > 0 and larger > (dense.arena_bytes if max_arena is None else max_arena):
        # With a larger arena other kernels and planes may be chosen: only the finished plan tells whether it is faster.
        with contextlib.suppress(ModelError):
            arena_time = fitting.Fitted(decisions, finished(larger)[0].decisions).slowdown
    start_up_bytes = 0
    if chosen is not free:
        start_up_bytes = _file_bytes(compressed) - _file_bytes(_carried_out(model, free.decisions, strip, lost)[0])
    decisions = [
        dataclasses.replace(of, is_named=bool(of.candidate) and settings.of(of.layer).method != AUTO)
        for of in decisions
    ]
    found = Firmware(
        dense=dense,
        compressed=figures(model, decisions, cpu),
        unknown=workload.rest(model, layers, cpu).unknown,
        arena_time=max(arena_time, 0),
        unlimited_arena_bytes=larger,
        bound_bytes=_bound_bytes(planned, unbounded if chosen is free else settings),
        start_up_bytes=max(start_up_bytes, 0),
        unlimited_start_up=start_up_instructions(model, free.decisions, cpu),
        slowest=slowest,
        slowest_start=slowest_start,
        is_named=all(of.is_named for of in decisions if of.candidate) and any(of.is_named for of in decisions),
    )
    result = Compressed(compressed, decisions, done + passes, found, model)
    if lost is None or max_arena is not None or plan is not None:
        return result

    def again(**options: Any) -> Compressed:
        return compress(
            given,
            name,
            method=method,
            min_sparsity=min_sparsity,
            objective=objective,
            cpu=cpu,
            max_scratch=max_scratch,
            slowest=slowest,
            slowest_start=slowest_start,
            verified_image=verified_image,
            memory=memory,
            code=code,
            layout=layout,
            smaller_only=smaller_only,
            strip=strip,
            **options,
        )

    if dead_channels is None:
        before = result.firmware.dense.arena_bytes
        if _arena(result) > before or _stripped_bytes(model) > _stripped_bytes(original):
            return again(dead_channels=False)
    places = [(layer.subgraph, layer.position) for layer in layer_finder.find(original)]
    least = Footprint(original, cpu, builtin_memory.CMSIS_NN).lower_bound(places)
    if _arena(result) <= least + interpreter_bytes(original):
        return result
    return _without_larger_arena(result, again)


def _starting_in_time(
    model: schema.ModelT,
    cpu: str,
    free: fitting.Fitted,
    bound: float | None,
    quicker: Callable[[], fitting.Fitted],
) -> fitting.Fitted:
    """Returns a finished plan that keeps the bound of the start-up; if none does, the one with the shortest start-up.

    Planes and the choice of kernels change the start-up, so that only finished plans can be compared with the bound.

    Args:
      model: the model that is packed.
      cpu: the core.
      free: the finished plan without the bound.
      bound: instructions of the start-up at most; None without a bound.
      quicker: returns the finished plan of layers that keep the bound.
    """

    def start(of: fitting.Fitted) -> int:
        return start_up_instructions(model, of.decisions, cpu) or 0

    if bound is None or start(free) <= bound:
        return free
    return min((quicker(), free), key=start)


def _file_bytes(model: schema.ModelT) -> int:
    return len(tflite.serialize(model))


def _firmware_grows(
    model: schema.ModelT, packed: schema.ModelT, decisions: Sequence[Decision], cpu: str, strip: bool
) -> bool:
    """Whether packing makes a firmware larger: its code and the model, stripped as --cc writes it or as the file is.

    On cores for which the code of TFLM's operators is unknown, nothing is compared.
    """
    if not code_bytes.knows_tflm(cpu):
        return False
    code = linking.code(model, decisions, cpu) - linking.code(model, [], cpu)
    forms = [(strip_model(model)[0], strip_model(packed)[0])]
    if not strip:
        forms.append((model, packed))
    return any(_file_bytes(after) + code > _file_bytes(before) for before, after in forms)


def _without_larger_arena(result: Compressed, again: Callable[..., Compressed]) -> Compressed:
    """Returns a model without its dead channels whose arena is at most that of the model with them.

    The planner of TFLM may place the smaller tensors less well, so that the same scratch takes a larger arena.

    Args:
      result: the model without its dead channels.
      again: compresses the original with further options.
    """
    most = _arena(again(dead_channels=False))
    if _arena(result) <= most:
        return result
    try:
        limited = again(dead_channels=True, max_arena=most)
    except ModelError:
        return result
    before, after = (
        (one.firmware.compressed.cycles or one.firmware.compressed.instructions or 0, _file_bytes(one.model))
        for one in (result, limited)
    )
    is_as_good = all(new <= (1 + _ARENA_TOLERANCE) * old for new, old in zip(after, before, strict=True))
    return limited if is_as_good else result


def _arena(result: Compressed) -> int:
    return result.firmware.compressed.arena_bytes


def _stripped_bytes(model: schema.ModelT) -> int:
    return _file_bytes(strip_model(model)[0])


def _bound_bytes(planned: fitting.Planner, settings: Settings) -> int:
    """Returns the bytes of layers that the bound of the time costs, without a limit of the arena and of code."""
    if settings.slowest is None or settings.objective != "size":
        return 0
    free = planned(dataclasses.replace(settings, slowest=None))
    return max(stored_bytes(planned(settings)) - stored_bytes(free), 0)


def prepare(model: schema.ModelT, name: str, dead_channels: bool) -> tuple[schema.ModelT, list[Done]]:
    """Applies the passes that come before planning.

    Sparse tensors in TFLite's own format and their DENSIFY operators are replaced by their dense equivalent
    (passes/densify.py). Then dead channels are removed if `dead_channels` is set.

    Args:
      model: the model; it is not changed.
      name: name of the model in error messages.
      dead_channels: whether to remove dead channels.

    Returns:
      (the model to plan and pack, the changes of each pass).

    Raises:
      ModelError: if the model is compressed already, or has sparse tensors that cannot be expanded.
    """
    if layer_finder.is_compressed(model):
        raise ModelError(f"{name}: is compressed already; decompress it first")
    if any(entry.name == _TFLM_COMPRESSION for entry in model.metadata or []):
        raise ModelError(f"{name}: is compressed by TFLM's own compression; start from the model before that")
    if any(entry.name == RECORD_NAME for entry in model.metadata or []):
        raise ModelError(f"{name}: has metadata '{RECORD_NAME.decode()}', which compress would write; remove it first")
    done: list[Done] = []
    if densifying.is_sparse(model):
        model, densified = densifying.densify(model, name)
        done.append(densified)
    if dead_channels:
        model, removed = remove_dead_channels(model)
        done.append(removed)
    return model, done


def _carried_out(
    model: schema.ModelT, decisions: Sequence[Decision], strip: bool, lost: str | None
) -> tuple[schema.ModelT, list[Done]]:
    """Carries out the decisions on a copy; returns (the copy, the changes of each pass)."""
    compressed, packed = pack(model, decisions, lost)
    if not strip:
        return compressed, [packed]
    compressed, stripped = strip_model(compressed)
    return compressed, [packed, stripped]


def decompress(model: schema.ModelT, name: str) -> schema.ModelT:
    """Returns the dense model that was compressed to `model`. `model` is not changed.

    Raises:
      ModelError: if the model is not compressed, has lost its record, or is damaged. `name` begins the message.
    """
    if not layer_finder.is_compressed(model):
        raise ModelError(f"{name}: has no compressed layers")
    return restore(model, name)[0]


def check_is_int8(layers: Sequence[Layer], name: str) -> None:
    """Raises ModelError if the model has layers, but none with int8 weights and int8 or int16 activations."""
    if not layers or any(layer.is_int8 for layer in layers):
        return
    layer = layers[0]
    index = layer.operator.inputs[1]
    raise ModelError(
        f"{name}: subgraph {layer.subgraph}, tensor {index} '{layer.name}': {layer.obstacle};"
        " convert the model to int8 first (full-integer post-training quantisation)"
    )

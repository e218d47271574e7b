"""The functions of `import dcsr`. They take files or their content; docs/python.md shows examples."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dcsr import compressing, firmware_report, model_check, report
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.passes import Done
from dcsr.passes import densify as densifying
from dcsr.passes import strip as stripping
from dcsr.passes.dead_channels import NAME as DEAD_CHANNELS
from dcsr.passes.dead_channels import WithoutDeadChannels
from dcsr.planning import cost, plan_file
from dcsr.planning.choice import Decision
from dcsr.planning.firmware import Firmware
from dcsr.planning.planes import DEFAULT_LAYOUT, LAYOUTS
from dcsr.planning.settings import AUTO, CODES, DEFAULT_CODE, DEFAULT_OBJECTIVE, OBJECTIVES, methods
from dcsr.report import Row, Totals

if TYPE_CHECKING:
    from dcsr import isolation
    from dcsr.pruning.disagreement import Disagreement
    from dcsr.pruning.session import Cost, Outcome

Model: TypeAlias = bytes | str | os.PathLike[str]


@dataclass(frozen=True, repr=False)
class Result:
    """A compressed model and the figures of its layers. str() gives the table that the command `compress` prints.

    Attributes:
      model: content of the compressed .tflite file.
      original: content of the file before compression.
      name: name of the original in messages; by default its path.
      layers: one row for each layer with weights, in the order of the model.
      objective, cpu: the arguments of `compress`.
      decisions: the planner's decision about each layer; holds the layer and its weights.
      passes: the changes that each pass made.
      firmware: estimated arena and time of an inference, dense and compressed.
    """

    model: bytes
    original: bytes
    name: str
    layers: tuple[Row, ...]
    objective: str
    cpu: str
    decisions: tuple[Decision, ...]
    passes: tuple[Done, ...]
    firmware: Firmware

    @property
    def totals(self) -> Totals:
        """Sums over the packed layers."""
        return report.totals(self.layers)

    @property
    def bytes_before(self) -> int:
        """Bytes of the original file."""
        return len(self.original)

    @property
    def bytes_after(self) -> int:
        """Bytes of the compressed file."""
        return len(self.model)

    def plan(self) -> str:
        """Returns a plan file (YAML) that reproduces this model with `compress(..., plan=PATH)`."""
        title = f"{Path(self.name).name}, objective {self.objective}, {self.cpu}; for compress --plan with the same"
        title += " --cpu, --max-arena, --strip and --dead-channels"
        return plan_file.plan_text(self.decisions, title)

    def summary(self) -> list[str]:
        """Returns the lines below the table: the removed channels, the layers that stay dense, the whole firmware."""
        return self._summary(None)

    def summary_at(self, clock: float) -> list[str]:
        """Returns summary() with the milliseconds of an inference at a frequency in MHz."""
        return self._summary(clock)

    def _summary(self, clock: float | None) -> list[str]:
        lines = [*self._dead_channels(), *report.summary(self.layers, self.cpu)]
        lines += firmware_report.notes(self.firmware, self.cpu)
        return [*lines, firmware_report.line(self.firmware, self.bytes_before, self.bytes_after, self.cpu, clock)]

    def _dead_channels(self) -> list[str]:
        """Returns the lines about the removal of dead channels; an empty list if it was not asked for."""
        done = {entry.name: entry for entry in self.passes}
        if DEAD_CHANNELS not in done:
            return []
        if not done[DEAD_CHANNELS].changes:
            return ["dead channels: none"]
        lines = [report.dead_channels(self.layers)]
        if done["pack"].changes and "strip" not in done:
            lines.append("decompress will give back the model without its dead channels; keep the original")
        return lines

    def __str__(self) -> str:
        return report.table(self.layers, self.cpu) + "\n".join(self.summary())

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class Inspection:
    """The figures of a model's layers. str() gives the table that the command `inspect` prints.

    Attributes:
      model: content of the .tflite file.
      layers: one row for each layer with weights, in the order of the model.
      cpu: the argument of `inspect`.
    """

    model: bytes
    layers: tuple[Row, ...]
    cpu: str

    @property
    def totals(self) -> Totals:
        """Sums over the packed layers."""
        return report.totals(self.layers)

    def summary(self) -> list[str]:
        """Returns the lines below the table: the size of the file, and its packed layers."""
        others = sum(row.constant_bytes is not None for row in self.layers)
        lines = [f"file {len(self.model):,} bytes, {len(self.layers) - others} layers with weights"]
        if others:
            lines[0] += f", {others} other operator{'s' * (others > 1)} with constants"
        lines += report.registration(self.layers)
        if phrases := report.layer_summary(self.layers, self.cpu):
            lines.append("   ".join(phrases))
        return lines

    def __str__(self) -> str:
        return report.table(self.layers, self.cpu) + "\n".join(self.summary())

    __repr__ = __str__


@dataclass(frozen=True)
class Verification:
    """The comparison of two models. str() gives the output of the command `verify`.

    Attributes:
      identical: whether all outputs are equal, bit for bit.
      difference: description of the first output element that differs; empty if all are equal.
      samples: number of input sets that were compared.
      arena_bytes: (original, compressed) arena in bytes that the interpreter uses on this machine; None if it cannot
        run the models.
      layers: number of layers that were compared one by one, because the models cannot be run; None if they were run.
      reason: reason why the models cannot be run; empty if they were run.
    """

    identical: bool
    difference: str
    samples: int
    arena_bytes: tuple[int, int] | None
    layers: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.arena_bytes is None:
            outcome = "identical" if self.identical else f"different: {self.difference}"
            return (
                f"{self.reason}\nlayer by layer instead: {self.layers} packed layers against their dense originals,"
                f" {self.samples} random inputs each; all other operators are the same\n{outcome}"
            )
        before, after = self.arena_bytes
        outcome = (
            f"identical: {self.samples} samples, every bit of every output"
            if self.identical
            else f"different: {self.difference}"
        )
        return f"{outcome}\narena {before:,} -> {after:,} bytes ({after - before:+,})"


@dataclass(frozen=True)
class PrunedLayer:
    """A layer with weights of a pruned model.

    Attributes:
      name, op, shape: weight tensor, operator, and "rows x cols" or the shape of the weights.
      weights: their number; None if they are no int8 matrix.
      sparsity_before, sparsity: share of zeros; None likewise.
      note: why the layer was left alone; empty if it was pruned.
    """

    name: str
    op: str
    shape: str
    weights: int | None
    sparsity_before: float | None
    sparsity: float | None
    note: str


@dataclass(frozen=True, repr=False)
class Pruning:
    """A pruned model and what is known about it. Printed, it is the output of the command `prune`.

    Attributes:
      model: content of the pruned .tflite file, with zeros as int8 zeros; `compress` makes it small.
      original: content of the dense file.
      name: of the dense model, its path if it was a file.
      layers: all layers with weights, in the order of the model.
      sparsity: share of zeros of all weights that could be pruned.
      disagreement: with the dense model on inputs that were held out, one entry for each output. It is an estimate, and
        bounds a loss of accuracy only on data like the inputs.
      accuracy: of the dense and the pruned model on the same inputs; None without labels.
      cost, dense_cost: of the pruned and the dense model after `compress`.
      samples, held_out: number of inputs that the model was pruned with, and that were held out.
      curve: outcomes at several sparsities; empty unless asked for.
      warnings: reasons to distrust the result.
      plan: text of a plan file that leads to the same sparsities.
      cpu: core that time is estimated for.
    """

    model: bytes
    original: bytes
    name: str
    layers: tuple[PrunedLayer, ...]
    sparsity: float
    disagreement: tuple[Disagreement, ...]
    accuracy: tuple[float, float] | None
    cost: Cost
    dense_cost: Cost
    samples: int
    held_out: int
    curve: tuple[Outcome, ...]
    warnings: tuple[str, ...]
    plan: str
    cpu: str

    def summary(self) -> list[str]:
        """Lines about the whole model."""
        from dcsr.pruning import summary

        return summary.summary(self)

    def __str__(self) -> str:
        from dcsr.pruning import summary

        return summary.text(self)

    __repr__ = __str__


def prune(
    model: Model,
    inputs: Mapping[str, NDArray[Any]] | Sequence[NDArray[Any]] | str | os.PathLike[str],
    *,
    sparsity: float | None = None,
    max_disagreement: float | None = None,
    flash: int | None = None,
    max_instructions: int | None = None,
    max_cycles: int | None = None,
    pattern: str | None = None,
    objective: str = "size",
    cpu: str = cost.DEFAULT_CPU,
    memory: str = cost.DEFAULT_MEMORY,
    min_sparsity: float | None = None,
    exclude: Sequence[str] = (),
    plan: str | os.PathLike[str] | None = None,
    holdout: float = 0.33,
    samples: int = 1024,
    labels: NDArray[Any] | None = None,
    seed: int = 0,
    curve: bool = False,
    depthwise: bool = False,
    name: str | None = None,
    progress: Callable[[str], Callable[[Sequence[int]], Iterable[int]]] = lambda _: iter,
) -> Pruning:
    """Sets weights of a dense int8 model to zero and adapts the remaining ones, without training.

    The outputs of the model change. At most one of `sparsity`, `max_disagreement`, `flash`, `max_instructions` and
    `max_cycles` may be given; without any and without a plan, `sparsity` is .7.

    Args:
      model: content or path of a .tflite file with int8 weights and int8 or int16 activations, not compressed.
      inputs: representative inputs, without labels: an array [samples, *shape] for each input of the model, by name or
        in order; the path of an .npz with such arrays; or that of a folder with a .npy for each sample. Float arrays
        are quantised with the scale of the model's input. A few hundred are enough.
      sparsity: share of zeros of all weights that can be pruned, 0..1.
      max_disagreement: prune as far as the disagreement on the inputs that are held out allows, 0..1.
      flash: bytes that the compressed file may take.
      max_instructions: estimated instructions that an inference may take; implies the objective "speed".
      max_cycles: estimated cycles that an inference may take, likewise; for a Cortex-M55 or M85.
      pattern: "N:M" for at most N nonzeros of M neighbouring inputs, which replaces the sparsity; "RxC" for blocks of
        R rows and C columns; None for single weights.
      objective: of the `compress` that follows; with "speed" layers are chosen by their time, else by bytes.
      cpu: core that time is estimated for.
      memory: where the firmware has the data, `dtcm` or `cached`, for the estimates of cycles.
      min_sparsity: of the `compress` that follows; None for its default with the objective.
      exclude: names or indices of weight tensors that stay as they are.
      plan: path of a plan file with the sparsity of single layers.
      holdout: share of the inputs that the disagreement is measured on, 0..1.
      samples: limit of the inputs that the model is pruned with.
      labels: class of each input, to measure accuracy as well.
      seed: of the order of the inputs.
      curve: whether to prune to several sparsities, for `Pruning.curve`.
      depthwise: whether to prune DEPTHWISE_CONV_2D layers too. They have few weights, and each counts for more.
      name: of the model in messages; None for its path.
      progress: from a description to a wrapper of sequences, for progress bars.

    Raises:
      ModelError: if the model cannot be read or pruned, the inputs do not fit or are too few, or the aim cannot be
        reached.
      ValueError: if an argument has no such value.

    Source: Optimal Brain Compression, arXiv 2208.11580.
    """
    from dcsr.pruning import aims

    _check_one_of("objective", objective, OBJECTIVES)
    _check_one_of("cpu", cpu, cost.CPUS)
    _check_one_of("memory", memory, cost.MEMORIES)
    for argument, value in (("min_sparsity", min_sparsity), ("holdout", holdout), ("sparsity", sparsity)):
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{argument} {value} is not between 0 and below 1")
    if samples < 1:
        raise ValueError(f"samples {samples} is not positive")
    content, name = _read(model, name)
    found = aims.prune(
        content,
        name,
        inputs,
        aims.Target(sparsity, max_disagreement, flash, max_instructions, pattern, max_cycles),
        objective=objective,
        cpu=cpu,
        memory=memory,
        min_sparsity=min_sparsity,
        exclude=exclude,
        plan_path=plan,
        holdout=holdout,
        samples=samples,
        labels=None if labels is None else np.asarray(labels),
        seed=seed,
        with_curve=curve,
        depthwise=depthwise,
        progress=progress,
    )
    outcome, session = found.outcome, found.session
    return Pruning(
        model=outcome.model,
        original=content,
        name=name,
        layers=tuple(PrunedLayer(*entry) for entry in found.layers),
        sparsity=outcome.sparsity,
        disagreement=outcome.disagreement,
        accuracy=outcome.accuracy,
        cost=outcome.cost,
        dense_cost=session.dense_cost,
        samples=session.samples,
        held_out=session.held_out,
        curve=tuple(found.curve),
        warnings=tuple(found.warnings),
        plan=found.plan,
        cpu=cpu,
    )


def compress(
    model: Model,
    *,
    method: str = AUTO,
    min_sparsity: float | None = None,
    objective: str = DEFAULT_OBJECTIVE,
    cpu: str = cost.DEFAULT_CPU,
    memory: str = cost.DEFAULT_MEMORY,
    max_scratch: int | None = None,
    max_arena: int | None = None,
    slowest: float | None = None,
    slowest_start: float | None = None,
    verified_image: bool = False,
    code: str = DEFAULT_CODE,
    layout: str = DEFAULT_LAYOUT,
    plan: str | os.PathLike[str] | None = None,
    strip: bool = False,
    dead_channels: bool | None = None,
    name: str | None = None,
    progress: Callable[[list[Layer]], Iterable[Layer]] = iter,
) -> Result:
    """Packs the sparse layers of an int8 model. The outputs of the model do not change.

    Args:
      model: content or path of a .tflite file.
      method: one encoding for all packed layers, `auto` (the objective chooses for each layer), or `none` (no layer is
        packed).
      min_sparsity: smallest share of zero weights, 0..1, with which a layer is packed; None for 0.6, or
        no limit with the objective `size`.
      objective: `balanced`, `size` or `speed`.
      cpu: core for the estimates of time and scratch, such as `cortex-m4`: cycles on a Cortex-M55 or M85, on others
        instructions.
      memory: where the firmware has the data, `dtcm` or `cached`, for the estimates of cycles.
      max_scratch: largest scratch of a layer in bytes, 0..2^32 - 1; None for the kernels' default.
      max_arena: largest arena of the interpreter in bytes, estimated for the core; None for that of the dense model.
      slowest: time of an inference at most, as a multiple of the dense model's; None for 2 with the objective `size`
        and 1 with `balanced`.
      slowest_start: AllocateTensors at most, as a multiple of the dense model's; None for 1.5, or 50,000 instructions
        more. Without effect on cores for which the start-up is not estimated.
      verified_image: whether packed layers get a checksum, for firmware whose image is verified as a whole before it
        runs, and that checks the checksum in place of the streams (docs/embedding.md).
      code: `model` if the firmware links just the kernels and encodings of this model, so that each has to save the
        bytes of its code; `all` if it links all of them, for other models.
      layout: `auto` keeps activations between packed layers in planes where that makes the firmware better
        (docs/planes.md), `planes` wherever layers and the arena allow, `nhwc` nowhere.
      plan: path of a plan file. It overrides the other arguments for the tensors it names.
      strip: whether to remove everything that inference does not need. `decompress` cannot restore a stripped model.
      dead_channels: whether to remove channels that nothing reads before anything else; None for `strip`. `decompress`
        then restores the model without them.
      name: name of the model in messages; None for its path.
      progress: wraps the list of layers that are being encoded, for example in a progress bar.

    Returns:
      The compressed model with its figures. Layers that would not get smaller stay dense.

    Raises:
      ModelError: if the model cannot be read or compressed, or if the plan does not fit the model.
      ValueError: if an argument is out of range or unknown.
    """
    _check_one_of("method", method, methods())
    _check_one_of("objective", objective, OBJECTIVES)
    _check_one_of("cpu", cpu, cost.CPUS)
    _check_one_of("memory", memory, cost.MEMORIES)
    _check_one_of("code", code, CODES)
    _check_one_of("layout", layout, LAYOUTS)
    if min_sparsity is not None and not 0 <= min_sparsity <= 1:
        raise ValueError(f"min_sparsity {min_sparsity} is not between 0 and 1")
    if max_scratch is not None and not 0 <= max_scratch < 1 << 32:
        raise ValueError(f"max_scratch {max_scratch} is no number of bytes")
    if max_arena is not None and max_arena < 0:
        raise ValueError(f"max_arena {max_arena} is no number of bytes")
    if slowest is not None and not 0 < slowest < math.inf:
        raise ValueError(f"slowest {slowest} is not a positive number")
    if slowest_start is not None and not 0 < slowest_start < math.inf:
        raise ValueError(f"slowest_start {slowest_start} is not a positive number")
    data, name = _read(model, name)
    parsed = tflite.parse(data, name)
    if damage := model_check.damage(parsed):
        raise ModelError(f"{name}: damaged TFLite model ({damage})")
    compressed, decisions, passes, firmware, planned = compressing.compress(
        parsed,
        name,
        method=method,
        min_sparsity=min_sparsity,
        objective=objective,
        cpu=cpu,
        memory=memory,
        max_scratch=max_scratch,
        max_arena=max_arena,
        slowest=slowest,
        slowest_start=slowest_start,
        verified_image=verified_image,
        code=code,
        layout=layout,
        plan=plan,
        strip=strip,
        dead_channels=dead_channels,
        progress=progress,
    )
    removed = next((done.removed for done in passes if isinstance(done, WithoutDeadChannels)), None)
    # If no pass changed anything, the file stays as it is: another writer would lay it out differently.
    changed = any(done.changes for done in passes)
    return Result(
        model=tflite.serialize(compressed) if changed else data,
        original=data,
        name=name,
        layers=report.complete(
            planned,
            [report.row(decision) for decision in decisions],
            [decision.layer.weights for decision in decisions],
            [_contents(decision) for decision in decisions],
            removed,
        ),
        objective=objective,
        cpu=cpu,
        decisions=tuple(decisions),
        passes=tuple(passes),
        firmware=firmware,
    )


def decompress(model: Model, *, name: str | None = None) -> bytes:
    """Restores the dense model that was compressed. Only the ranges (min, max) of replaced tensors are lost.

    If the original had sparse tensors in TFLite's own format, the result is its dense equivalent. If dead channels were
    removed (`compress(..., dead_channels=True)`), the result is the model without them.

    Args:
      model: content or path of a compressed .tflite file.
      name: name of the model in messages; None for its path.

    Returns:
      The content of the dense .tflite file.

    Raises:
      ModelError: if the model cannot be read, is not compressed, is stripped, or is damaged.
    """
    data, name = _read(model, name)
    return tflite.serialize(compressing.decompress(tflite.parse(data, name), name))


def strip(model: Model, *, name: str | None = None) -> bytes:
    """Removes everything that TFLM does not read from a model, compressed or not. Its outputs do not change.

    Args:
      model: content or path of a .tflite file.
      name: name of the model in messages; None for its path.

    Returns:
      The content of the stripped .tflite file, which `decompress` cannot restore.

    Raises:
      ModelError: if the model cannot be read.
    """
    data, name = _read(model, name)
    return tflite.serialize(stripping.strip(tflite.parse(data, name))[0])


def inspect(
    model: Model, *, cpu: str = cost.DEFAULT_CPU, memory: str = cost.DEFAULT_MEMORY, name: str | None = None
) -> Inspection:
    """Measures the layers of a model, compressed or not.

    Args:
      model: content or path of a .tflite file.
      cpu: core for the estimates of time and scratch.
      memory: where the firmware has the data, `dtcm` or `cached`, for the estimates of cycles.
      name: name of the model in messages; None for its path.

    Returns:
      One row for each layer with weights. Sparse tensors in TFLite's own format are expanded first.

    Raises:
      ModelError: if the model cannot be read.
      ValueError: if the core or the memory is unknown.
    """
    _check_one_of("cpu", cpu, cost.CPUS)
    _check_one_of("memory", memory, cost.MEMORIES)
    data, name = _read(model, name)
    parsed = tflite.parse(data, name)
    if densifying.is_sparse(parsed):
        parsed, _ = densifying.densify(parsed, name)
    try:
        layers = layer_finder.find(parsed)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    rows = [report.inspected_row(parsed, layer, cpu, memory) for layer in layers]
    # Tensors of packed layers in the same buffer are stored once.
    buffers = [
        [parsed.subgraphs[layer.subgraph].tensors[index].buffer for index in layer.operator.inputs[1:]]
        if layer.packed
        else []
        for layer in layers
    ]
    weights = [layer.weights for layer in layers]
    return Inspection(data, report.complete(parsed, rows, weights, buffers), cpu)


def _contents(decision: Decision) -> list[bytes]:
    """Returns the tensors of a packed layer: the layer, and its shared rows if it has them. Empty for a dense layer."""
    candidate = decision.candidate
    if candidate is None:
        return []
    return [candidate.blob] if candidate.shared_blob is None else [candidate.blob, candidate.shared_blob]


def verify(
    original: Model,
    compressed: Model,
    samples: int = 20,
    seed: int = 0,
    inputs: str | os.PathLike[str] | Mapping[str, NDArray[Any]] | None = None,
    *,
    timeout: float | None = None,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Verification:
    """Runs two models in the TFLM interpreter on the same inputs and compares every output bit for bit.

    The interpreters run in child processes. If the interpreter lacks an operator of a model, each packed layer is
    compared on its own with the dense layer that it replaces.

    Args:
      original: content or path of a .tflite file.
      compressed: content or path of the model to compare it with.
      samples: number of random input sets.
      seed: seed of the random inputs.
      inputs: replaces the random inputs: an array [samples, *shape] or [*shape] of the input's dtype for each input,
        by name, or the path of an .npz file with such arrays. If names do not match, the order counts. None for random
        inputs.
      timeout: processor seconds for loading a model, and for each inference; None for 5.
      progress: wraps the sequence of sample numbers, for example in a progress bar.

    Returns:
      The first difference, if any, and the arena of both models.

    Raises:
      ModelError: if a model cannot be read or run, if the models differ in their inputs or in their number of outputs,
        or if the given inputs do not fit.
    """
    from dcsr import isolation, layerwise, verification

    seconds = isolation.DEFAULT_TIMEOUT if timeout is None else timeout
    files = [_read(original, None, "original"), _read(compressed, None, "compressed")]
    blobs, names = [data for data, _ in files], (files[0][1], files[1][1])
    models = [tflite.parse(blob, name) for blob, name in zip(blobs, names, strict=True)]
    for number, (model, name) in enumerate(zip(models, names, strict=True)):
        if densifying.is_sparse(model):
            models[number], _ = densifying.densify(model, name)
            blobs[number] = tflite.serialize(models[number])
        if problem := model_check.unwritten(models[number]):
            raise ModelError(f"{name}: {problem}: its outputs depend on what is in memory")
    wanted = verification.inputs_of(models[0], names[0])
    if verification.inputs_of(models[1], names[1]) != wanted:
        raise ModelError(f"{names[1]}: its inputs are not those of {names[0]}")
    outputs = {len(model.subgraphs[0].outputs) for model in models}
    if len(outputs) != 1:
        raise ModelError(f"{names[1]}: its number of outputs is not that of {names[0]}")
    chosen: Sequence[Sequence[NDArray[Any]]]
    if inputs is None:
        chosen = verification.RandomSamples(wanted, samples, seed)
    elif isinstance(inputs, Mapping):
        chosen = verification.array_samples(inputs, wanted, "inputs")
    else:
        chosen = verification.file_samples(inputs, wanted)

    with contextlib.ExitStack() as stack:
        interpreters = []
        for model, blob, name in zip(models, blobs, names, strict=True):
            try:
                interpreters.append(stack.enter_context(isolation.IsolatedInterpreter(blob, seconds)))
            except isolation.InterpreterDied as death:
                place = isolation.place_of_death(blob, None, death)
                raise ModelError(f"{name}: {death} when it loads the model{place}{_advice(death)}") from death
            except ValueError as error:
                raise ModelError(f"{name}: the TFLM interpreter refuses the model: {error}") from error
            except RuntimeError as error:
                reason = f"{name}: the TFLM interpreter refuses the model: {verification.refusal(model, error)}"
                if inputs is not None or layer_finder.is_compressed(models[0]):
                    raise ModelError(reason) from error
                try:
                    found = layerwise.compare(models[0], models[1], names, samples, seed, seconds, progress)
                except ModelError as other:
                    raise ModelError(f"{reason}. Nor can its layers be compared: {other}") from error
                if found.lacks_dead_channels:
                    reason += "; the original was compared without its dead channels, whose removal was not checked"
                return Verification(not found.difference, found.difference, samples, None, found.layers, reason)
        first, second = interpreters
        try:
            arenas = first.arena_used_bytes(), second.arena_used_bytes()
            difference = verification.compare(first, second, wanted, outputs.pop(), chosen, progress)
        except isolation.InterpreterDied as death:
            # Both run the same inputs. The first one that dies with them is the one that died.
            dead = 0 if not first.is_alive else 1
            sample = chosen.latest if isinstance(chosen, verification.RandomSamples) else None
            place = isolation.place_of_death(blobs[dead], sample, death) if sample else ""
            raise ModelError(f"{names[dead]}: {death}{place}{_advice(death)}") from death
        except RuntimeError as error:
            raise ModelError(f"{names[0]}, {names[1]}: the interpreter failed: {error}") from error
    return Verification(difference is None, difference.text if difference else "", len(chosen), arenas)


def _advice(death: isolation.InterpreterDied) -> str:
    return "; a longer --timeout may help" if death.slow else ""


def _read(model: Model, name: str | None, unnamed: str = "model") -> tuple[bytes, str]:
    """Returns (content, name for messages). `unnamed` is the name of content that was given without one."""
    if isinstance(model, (str, os.PathLike)):
        return tflite.read_bytes(model), name or str(model)
    return bytes(model), name or unnamed


def _check_one_of(argument: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"unknown {argument} {value!r}; known are {', '.join(known)}")

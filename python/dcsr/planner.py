"""Choosing the encoding of each layer: by size, by estimated time, or as a plan file says (docs/compressing.md)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dcsr import cost_model, encodings
from dcsr import model as tflite
from dcsr.encodings import Streams
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.packing import PackedLayer
from dcsr.schema import schema

OBJECTIVES = ("balanced", "size", "speed")
DEFAULT_OBJECTIVE = "balanced"
# Besides those of the encodings.
AUTO, NONE = "auto", "none"

# How much longer than with the fastest encodings an inference may take if that makes the model smaller.
BALANCED_TOLERANCE = 0.1

_PLAN_VERSION = 1
_ENTRY_KEYS = {"tensor", "subgraph", "method", "scratch"}


@dataclass(frozen=True)
class Candidate:
    """A way to encode a layer.

    Attributes:
      packed: the layer with its weights encoded so.
      work: what its cost depends on.
      estimate: of its cost on the core that is planned for.
    """

    packed: PackedLayer
    work: cost_model.Work
    estimate: cost_model.Estimate


@dataclass(frozen=True)
class Override:
    """What a plan says about a layer.

    Attributes:
      method: one of methods().
      scratch: bytes that its kernel may take; None for that of the settings.
    """

    method: str = AUTO
    scratch: int | None = None


@dataclass(frozen=True)
class Settings:
    """What is planned for.

    Attributes:
      objective: one of OBJECTIVES.
      cpu: one of cost_model.CPUS.
      method: one of methods().
      min_sparsity: share of zeros from which on a layer is packed; a plan's method goes before.
      max_scratch: bytes that a kernel may take; None for the kernels' default.
      overrides: of single layers, by subgraph and index of the weight tensor.
    """

    objective: str = DEFAULT_OBJECTIVE
    cpu: str = cost_model.DEFAULT_CPU
    method: str = AUTO
    min_sparsity: float = 0
    max_scratch: int | None = None
    overrides: dict[tuple[int, int], Override] = field(default_factory=dict)

    def of(self, layer: Layer) -> Override:
        """What holds for a layer."""
        mine = self.overrides.get(place(layer), Override(self.method))
        return mine if mine.scratch is not None else Override(mine.method, self.max_scratch)


def methods() -> tuple[str, ...]:
    """What --method takes: AUTO, NONE, or what all layers are encoded with."""
    return (AUTO, *encodings.METHODS, NONE)


def place(layer: Layer) -> tuple[int, int]:
    """(subgraph, index of the weight tensor) of a layer."""
    return layer.subgraph, int(layer.operator.inputs[1])


def candidates(
    layer: Layer, pack: Callable[[Streams, int], PackedLayer], shape: cost_model.Shape, settings: Settings
) -> list[Candidate] | str:
    """The ways to encode a layer without obstacle, at least one, or why it stays as it is.

    Args:
      layer: with a matrix.
      pack: makes the packed layer from its streams and scratch budget.
      shape: of what the layer is multiplied with.
      settings: what is planned for.
    """
    matrix = layer.matrix
    assert matrix is not None
    override = settings.of(layer)
    planned = place(layer) in settings.overrides
    if override.method == NONE:
        return "left out by the plan" if planned else "--method none"
    zeros = matrix.size - np.count_nonzero(matrix)
    by_name = planned and override.method != AUTO
    if not by_name and zeros < settings.min_sparsity * matrix.size:
        return f"below --min-sparsity {100 * settings.min_sparsity:g} %"
    found: list[Candidate] = []
    names = encodings.candidates(None if override.method == AUTO else override.method)
    for streams in encodings.encode_all(matrix, names):
        # All but the streams is the same for all.
        packed = dataclasses.replace(found[0].packed, streams=streams) if found else pack(streams, _budget(override))
        work = cost_model.work(packed, shape)
        found.append(Candidate(packed, work, cost_model.estimate(settings.cpu, work)))
    fastest = min(found, key=_time)
    if settings.objective == "speed" and override.method == AUTO and fastest.estimate.slowdown > 1:
        return f"faster dense on {settings.cpu}"
    return found


def choose(layers: Sequence[Sequence[Candidate]], objective: str, others: int = 0) -> list[Candidate]:
    """The best of the candidates of each layer, of which there is at least one.

    `size` takes the smallest, `speed` those with the fewest estimated instructions, `balanced` makes all layers
    together as small as they get while the whole inference takes at most BALANCED_TOLERANCE longer than with the
    fastest. Between equals the other measure decides, then the order. Where there are candidates with an estimate,
    `speed` and `balanced` look at no others.

    Args:
      layers: candidates of each layer.
      objective: one of OBJECTIVES.
      others: instructions that the model's other operators take.
    """
    if objective == "size":
        return [min(layer, key=_size) for layer in layers]
    timed = [[candidate for candidate in layer if candidate.estimate.instructions is not None] for layer in layers]
    chosen = [
        min(with_estimate, key=_time) if with_estimate else min(layer, key=_size)
        for layer, with_estimate in zip(layers, timed, strict=True)
    ]
    if objective == "balanced":
        fastest = sum(_time(candidate)[0] for candidate, layer in zip(chosen, timed, strict=True) if layer)
        _make_smaller(chosen, timed, BALANCED_TOLERANCE * (fastest + others))
    return chosen


def _make_smaller(chosen: list[Candidate], layers: Sequence[Sequence[Candidate]], instructions: float) -> None:
    """Takes smaller candidates in place of the chosen ones, for so many instructions more.

    First come those that save most bytes for an instruction, until none fits into what is left. Of one layer alone that
    ends with the smallest that fits.
    """

    def exchanges() -> Iterator[tuple[int, Candidate, int, float]]:
        """Of what can be had: layer, candidate, bytes less, instructions more."""
        for i, layer in enumerate(layers):
            for candidate in layer:
                saved = _size(chosen[i])[0] - _size(candidate)[0]
                more = _time(candidate)[0] - _time(chosen[i])[0]
                if saved > 0 and more <= instructions:
                    yield i, candidate, saved, more

    def rate(exchange: tuple[int, Candidate, int, float]) -> tuple[float, int]:
        _, _, saved, more = exchange
        return (saved / more if more > 0 else math.inf), saved

    while found := list(exchanges()):
        i, candidate, _, more = max(found, key=rate)
        chosen[i] = candidate
        instructions -= more


def _size(candidate: Candidate) -> tuple[int, float]:
    instructions = candidate.estimate.instructions
    return candidate.packed.streams.nbytes, math.inf if instructions is None else instructions


def _time(candidate: Candidate) -> tuple[float, int]:
    size, instructions = _size(candidate)
    return instructions, size


def _budget(override: Override) -> int:
    """A packed layer's scratch_budget, in which 0 stands for the kernels' default."""
    return 0 if override.scratch is None else max(override.scratch, 1)


def read_plan(
    path: str, model: schema.ModelT, layers: Sequence[Layer], model_name: str
) -> dict[tuple[int, int], Override]:
    """The overrides of a plan file.

    Args:
      path: of the file.
      model: that they are for.
      layers: of the model.
      model_name: for error messages.

    Raises:
      ModelError: if the file is no plan, or names what the model does not have.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path}: not YAML ({error})") from error
    if not isinstance(content, dict) or content.get("version") != _PLAN_VERSION:
        raise ModelError(f"{path}: not a plan: expected 'version: {_PLAN_VERSION}' and a list 'tensors'")
    entries = content.get("tensors") or []
    if unknown := set(map(str, content)) - {"version", "tensors"}:
        raise ModelError(f"{path}: unknown key '{sorted(unknown)[0]}'; a plan has 'version' and 'tensors'")
    if not isinstance(entries, list):
        raise ModelError(f"{path}: 'tensors' is not a list")
    overrides: dict[tuple[int, int], Override] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"{path}: entry {number} of 'tensors'"
        override = _override(entry, where)
        layer = _find(entry, model, layers, where, model_name)
        if layer.obstacle and override.method not in (NONE, AUTO):
            raise ModelError(f"{where}: '{layer.name}' cannot be packed: {layer.obstacle}")
        if place(layer) in overrides:
            raise ModelError(f"{where}: '{layer.name}' has an entry already")
        overrides[place(layer)] = override
    return overrides


def _override(entry: object, where: str) -> Override:
    if not isinstance(entry, dict) or "tensor" not in entry:
        raise ModelError(f"{where}: expected 'tensor: NAME or INDEX' with 'method', 'scratch' or both")
    if unknown := set(map(str, entry)) - _ENTRY_KEYS:
        raise ModelError(f"{where}: unknown key '{sorted(unknown)[0]}'; known are {', '.join(sorted(_ENTRY_KEYS))}")
    method, scratch = entry.get("method", AUTO), entry.get("scratch")
    if method is None:  # YAML's null
        method = NONE
    if str(method) not in methods():
        raise ModelError(f"{where}: unknown method '{method}'; known are {', '.join(methods())}")
    if scratch is not None and (type(scratch) is not int or not 0 <= scratch < 1 << 32):
        raise ModelError(f"{where}: scratch is a number of bytes, not {scratch!r}")
    return Override(str(method), scratch)


def _find(entry: dict, model: schema.ModelT, layers: Sequence[Layer], where: str, model_name: str) -> Layer:
    """The layer whose weights an entry names."""
    wanted, subgraph = entry["tensor"], entry.get("subgraph")
    if type(wanted) not in (int, str):
        raise ModelError(f"{where}: 'tensor' is a name or an index, not {wanted!r}")
    if subgraph is not None and type(subgraph) is not int:
        raise ModelError(f"{where}: 'subgraph' is an index, not {subgraph!r}")

    def matches(layer: Layer) -> bool:
        s, index = place(layer)
        if subgraph is not None and s != subgraph:
            return False
        if type(wanted) is int:
            return index == wanted and (subgraph is not None or s == 0)
        return wanted in (layer.name, tflite.text(model.subgraphs[s].tensors[index].name))

    # Operators that share a weight tensor are one entry.
    found = {place(layer): layer for layer in layers if matches(layer)}
    if not found:
        known = ", ".join(f"{place(layer)[1]} '{layer.name}'" for layer in layers[:4])
        more = ", ..." if len(layers) > 4 else ""
        raise ModelError(
            f"{where}: {model_name} has no layer whose weights are tensor {wanted!r}; it has {known or 'none'}{more}"
            " (compress --dump-plan lists all)"
        )
    if len(found) > 1:
        indices = ", ".join(f"{s}: {index}" for s, index in sorted(found))
        raise ModelError(
            f"{where}: tensor {wanted!r} is the name of several (subgraph: index {indices}); give the index"
        )
    return next(iter(found.values()))


def plan_text(choices: Sequence[tuple[Layer, str, int]], title: str) -> str:
    """A plan file, that makes the same choices again.

    Args:
      choices: layer, method (cost_model.coding or NONE), and scratch budget as in its packed layer.
      title: line for people.
    """
    lines = [f"# {_printable(title)}", f"version: {_PLAN_VERSION}", "tensors:"]
    seen = set()
    for layer, method, budget in choices:
        s, index = place(layer)
        if layer.matrix is None or layer.obstacle or (s, index) in seen:
            continue
        seen.add((s, index))
        lines.append(f"  - tensor: {index}  # {_printable(layer.name)}")
        if s:
            lines.append(f"    subgraph: {s}")
        lines.append(f"    method: {method}")
        if budget:
            lines.append(f"    scratch: {budget}")
    if not seen:
        lines[-1] = "tensors: []"
    return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)

"""The ways to encode a layer, each with its exact bytes and estimated cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from dcsr import encodings, packing
from dcsr import layers as layer_finder
from dcsr.compact_rows import CompactRows
from dcsr.encodings import Streams
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.packing import PackedLayer
from dcsr.planning import cost, start_up, workload
from dcsr.planning.kernel_costs import Counts
from dcsr.planning.settings import AUTO, NONE, Override, Settings, place
from dcsr.schema import schema

# Begins the reason of layers that are not sparse enough.
BELOW_MIN_SPARSITY = "below --min-sparsity"

# Share of a layer's time by which compact rows may slow it down with any objective.
COMPACT_ROWS_TOLERANCE = 0.01


@dataclass(frozen=True)
class Candidate:
    """A way to encode a layer.

    Attributes:
      packed: the packed layer.
      shape: size of the layer's input and output.
      estimate: estimated cost on the core of the plan.
      plain: the same with plain rows, if the packed layer has compact ones; else None.
    """

    packed: PackedLayer
    shape: cost.Shape
    estimate: cost.Estimate
    plain: Candidate | None = None

    @property
    def has_dense_weights(self) -> bool:
        """Whether the layer is packed to be faster, not to be smaller."""
        return self.packed.streams.scheme in encodings.DENSE_METHODS

    @cached_property
    def blob(self) -> bytes:
        """The serialised packed layer; with shared rows, all but these."""
        return packing.pack(self.packed)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the rows and the streams."""
        return self.packed.row_bytes + self.packed.streams.nbytes

    @cached_property
    def start_up(self) -> Counts:
        """Counts of what Prepare does for the layer."""
        return start_up.packed(self.packed, self.estimate.linked)

    @cached_property
    def shared_blob(self) -> bytes | None:
        """The serialised shared rows; None if the layer has its own rows."""
        return packing.pack_shared(self.packed)


Encoded: TypeAlias = dict[tuple[int, tuple[int, ...], str], list[Streams]]


def candidates(
    model: schema.ModelT, layer: Layer, settings: Settings, encoded: Encoded | None = None
) -> list[Candidate] | str:
    """Encodes a layer in all ways that the settings allow.

    Sparse encodings are for layers that get smaller. Dense weights are for convolutions that get faster: depthwise
    ones, those with a larger filter, such as the first of a model, and 1x1 convolutions with few zeros.

    Args:
      model: the model of the layer.
      layer: the layer.
      settings: the settings of the plan.
      encoded: the encoded weights of the model's layers so far, {(buffer, shape, method): streams}; this layer's are
        added. Layers that share weights are then encoded once.

    Returns:
      At least one candidate, or the reason why the layer stays dense.
    """
    if layer.obstacle:
        return layer.obstacle
    override = settings.of(layer)
    planned = place(layer) in settings.overrides
    if override.method == NONE:
        return "left out by the plan" if planned else "--method none"
    encoder = _Encoder(model, layer, settings, {} if encoded is None else encoded)
    if override.method != AUTO:
        if planned:
            return encoder.candidates(override.method)
        return "depthwise" if layer.is_depthwise else _if_sparse(encoder)
    faster = _faster_with_dense_weights(encoder)
    if layer.is_depthwise:
        return faster or f"depthwise, faster in TFLM on {settings.cpu}{with_little_scratch(settings.cpu, encoder.made)}"
    sparse = _if_sparse(encoder)
    if isinstance(sparse, str):
        too_little = with_little_scratch(settings.cpu, encoder.made)
        return faster or (f"{sparse}, faster in TFLM{too_little}" if too_little else sparse)
    return sparse + faster


def with_little_scratch(cpu: str, ways: Sequence[Candidate]) -> str:
    """Returns the end of the reason why a layer stays dense; empty if the scratch is not to blame.

    Args:
      cpu: the core.
      ways: candidates of the layer that were too slow.
    """
    for way in ways:
        budget = way.packed.scratch_budget
        if way.estimate.is_portable and budget:
            free = dataclasses.replace(way.packed, scratch_budget=0)
            if not cost.costs(cpu, free, way.shape).is_portable:
                return f" with {budget:,} bytes of scratch"
    return ""


class _Encoder:
    """Makes the candidates of a layer."""

    def __init__(self, model: schema.ModelT, layer: Layer, settings: Settings, encoded: Encoded) -> None:
        self.model, self.layer, self.settings = model, layer, settings
        self.method = settings.of(layer).method
        self._encoded = encoded
        self._shape = workload.shape(model, layer)
        self._packed: PackedLayer | None = None
        self._compact: CompactRows | None = None
        self.made: list[Candidate] = []

    @property
    def shares_weights(self) -> bool:
        """Whether several operators of the model read the weights."""
        graph = self.model.subgraphs
        buffer = graph[self.layer.subgraph].tensors[self.layer.operator.inputs[1]].buffer
        users = sum(
            len(operator.inputs) > 1 and operator.inputs[1] >= 0 and found.tensors[operator.inputs[1]].buffer == buffer
            for found in graph
            for operator in found.operators or []
            if operator.inputs is not None
        )
        return bool(users > 1)

    def candidates(self, method: str) -> list[Candidate]:
        """Returns the candidates of a method: AUTO, or one of encodings.SCHEMES."""
        layer, settings = self.layer, self.settings
        assert layer.matrix is not None
        weights = self.model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]
        key = (weights.buffer, layer.matrix.shape, method)
        if key not in self._encoded:
            names = encodings.candidates(None if method == AUTO else method)
            self._encoded[key] = list(encodings.encode_all(layer.matrix, names))
        found: list[Candidate] = []
        for streams in self._encoded[key]:
            # Candidates differ only in their streams and in slow_gathers.
            if self._packed is None:
                self._packed = layer_finder.pack(self.model, layer, streams, budget(settings.of(layer)))
                with_compact_rows = layer_finder.with_compact_rows(self.model, layer, self._packed)
                self._compact = with_compact_rows.compact if with_compact_rows else None
            packed = dataclasses.replace(self._packed, streams=streams, has_checksum=settings.verified_image)
            packed, shape, estimate = self._placed(packed)
            room = settings.room(layer)
            if room is not None and estimate.scratch_bytes > room:
                packed = dataclasses.replace(packed, scratch_budget=max(room, 1), slow_gathers=False)
                packed, shape, estimate = self._placed(packed)
            estimate = workload.compared(self.model, layer, packed, estimate, settings.cpu)
            found += self._with_rows(Candidate(packed, shape, estimate))
        self.made += found
        return found

    def _placed(self, packed: PackedLayer) -> tuple[PackedLayer, cost.Shape, cost.Estimate]:
        """Returns `placed`, or what the plan says about gathers."""
        settings, slow = self.settings, self.settings.of(self.layer).slow_gathers
        if slow is None or packed.op != packing.OP_CONV_2D:
            return placed(settings.cpu, packed, self._shape, settings.memory)
        packed = dataclasses.replace(packed, slow_gathers=slow)
        return packed, self._shape, cost.estimate(settings.cpu, packed, self._shape, settings.memory)

    def _with_rows(self, plain: Candidate) -> list[Candidate]:
        """Returns the candidate with the forms of rows between which the plan or the objective chooses."""
        rows = self.settings.of(self.layer).rows
        if self._compact is None and rows == "compact" and not self.shares_weights:
            raise ModelError(f"'{self.layer.name}' cannot have compact rows, which its plan asks for")
        if self._compact is None or rows in ("plain", "shared"):
            return [plain]
        compact = _compact(plain, self._compact, self.settings.cpu)
        if rows == "compact" or self.settings.objective == "size" or _takes_little_more(compact, plain):
            return [compact]
        # `balanced` weighs the bytes against the time of other layers.
        return [plain, compact] if self.settings.objective == "balanced" else [plain]


def _if_sparse(encoder: _Encoder) -> list[Candidate] | str:
    """Returns the candidates with sparse encodings, or the reason why there are none."""
    matrix, settings = encoder.layer.matrix, encoder.settings
    assert matrix is not None
    zeros = matrix.size - np.count_nonzero(matrix)
    if zeros < settings.min_sparsity * matrix.size:
        return f"{BELOW_MIN_SPARSITY} {100 * settings.min_sparsity:g} %"
    found = encoder.candidates(encoder.method)
    fastest = min(found, key=time_and_size)
    if encoder.method == AUTO and fastest.estimate.slowdown > _largest_slowdown(settings, found[0].packed):
        return f"faster dense on {settings.cpu}"
    return found


def _faster_with_dense_weights(encoder: _Encoder) -> list[Candidate]:
    """Returns the candidates with dense weights whose kernel is faster than TFLM's, as far as both are estimated.

    A portable kernel never is. For operators in settings.replaced any kernel with an estimate will do. Only `size`
    takes Huffman-coded values.
    """
    layer, settings = encoder.layer, encoder.settings
    # Layers that share weights get the same encoding, so that the weights are stored once. Dense ones would split them.
    is_convolution = layer.builtin == "CONV_2D" and not encoder.shares_weights
    if not layer.is_depthwise and not is_convolution:
        return []
    methods = encodings.DENSE_METHODS if settings.objective == "size" else encodings.DENSE_METHODS[:1]
    is_replaced = layer.builtin in settings.replaced
    kept = workload.kept(encoder.model, layer, settings.cpu).time
    found = []
    for candidate in (candidate for method in methods for candidate in encoder.candidates(method)):
        # Compact rows, which `size` prefers, may make a small layer slower than TFLM's.
        ways = [
            way
            for way in (candidate, candidate.plain)
            if way is not None and (_is_faster(way, kept) or is_replaced and way.estimate.time)
        ]
        found += ways[:1]
    return found


def _is_faster(candidate: Candidate, kept: int) -> bool:
    """Returns whether a core's own kernel runs an int8 layer in less than the time `kept`."""
    time = candidate.estimate.time
    is_own = not candidate.packed.int16_activations and not candidate.estimate.is_portable
    return is_own and time is not None and time < kept


def placed(
    cpu: str, packed: PackedLayer, shape: cost.Shape, memory: str
) -> tuple[PackedLayer, cost.Shape, cost.Estimate]:
    """Tells the kernels of a core with gathers that its data is behind a cache, if that makes the layer faster.

    Args:
      cpu: one of cost.CPUS.
      packed: the layer; a layer without slow_gathers.
      shape: size of its input and output.
      memory: one of cost.MEMORIES.

    Returns:
      (the layer, the shape, its estimated cost).
    """
    estimate = cost.estimate(cpu, packed, shape, memory)
    if memory == cost.DEFAULT_MEMORY or estimate.unit != cost.CYCLES or packed.op != packing.OP_CONV_2D:
        return packed, shape, estimate
    slow = dataclasses.replace(packed, slow_gathers=True)
    other = cost.estimate(cpu, slow, shape, memory)
    is_faster = other.time is not None and estimate.time is not None and other.time < estimate.time
    return (slow, shape, other) if is_faster else (packed, shape, estimate)


def _compact(plain: Candidate, rows: CompactRows, cpu: str) -> Candidate:
    """Returns a candidate with plain rows as one with compact rows."""
    packed = dataclasses.replace(plain.packed, compact=rows)
    return Candidate(packed, plain.shape, cost.with_compact_rows(cpu, plain.estimate), plain)


def _takes_little_more(compact: Candidate, plain: Candidate) -> bool:
    """Whether compact rows slow a layer down so little that no objective minds; also true without an estimate."""
    after, before = compact.estimate.time, plain.estimate.time
    return not after or not before or after <= (1 + COMPACT_ROWS_TOLERANCE) * before


def _largest_slowdown(settings: Settings, packed: PackedLayer) -> float:
    """Returns the time, relative to the dense product's, up to which an objective packs a layer.

    No packed kernel for int16 activations uses vectors. On a core with vectors the dense kernels do, and are up to six
    times as fast. Only `size` packs such a layer there.
    """
    if settings.objective != "size" and packed.int16_activations and cost.unit(settings.cpu) == cost.CYCLES:
        return 0
    return 1 if settings.objective == "speed" else np.inf


def size_and_time(candidate: Candidate) -> tuple[int, float]:
    """Returns (bytes of rows and streams, estimated time), a key for sorting. Without an estimate: infinity."""
    time = candidate.estimate.time
    return candidate.nbytes, np.inf if time is None else time


def time_and_size(candidate: Candidate) -> tuple[float, int]:
    """Returns (estimated time, bytes of rows and streams), a key for sorting."""
    size, time = size_and_time(candidate)
    return time, size


def budget(override: Override) -> int:
    """Returns the scratch_budget of the packed layer. 0 means the kernels' default there, so 0 bytes become 1."""
    return 0 if override.scratch is None else max(override.scratch, 1)

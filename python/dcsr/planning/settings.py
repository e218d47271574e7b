"""The settings of a plan: objective, core, method, and overrides of single layers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from dcsr import encodings
from dcsr.layers import Layer
from dcsr.planning import cost

OBJECTIVES = ("balanced", "size", "speed")
DEFAULT_OBJECTIVE = "balanced"
# Budget of `balanced`: the share by which an inference may take longer than with the fastest encodings.
BALANCED_TOLERANCE = 0.1
# Whose code the firmware links: that of the model, or all of it in any case, so that it does not count.
CODES = DEFAULT_CODE, ALL_CODE = ("model", "all")
# Bound of AllocateTensors, relative to the dense model's. So many instructions more are allowed in any case: half a
# millisecond at 100 MHz.
DEFAULT_SLOWEST_START = 1.5
ALLOWED_START_UP = 50_000
# Methods that are not encodings.
AUTO, NONE = "auto", "none"
DEFAULT_MIN_SPARSITY = 0.6  # of the objectives that weigh time


@dataclass(frozen=True)
class Override:
    """The entry of a plan for one layer.

    Attributes:
      method: one of methods().
      scratch: bytes of scratch that the kernel may use; None for max_scratch of the settings.
      rows: "plain", "compact" or "shared", the form of the rows; None if the objective decides.
      slow_gathers: whether the kernel gathers up to fewer pixels, as behind a cache; None if `memory` decides.
      layout: layout of input and output, one of packing.LAYOUTS; None if the planner decides for all layers.
      is_transposed: whether rows of the map are columns of the image, for a layout with planes.
    """

    method: str = AUTO
    scratch: int | None = None
    rows: str | None = None
    slow_gathers: bool | None = None
    layout: str | None = None
    is_transposed: bool = False


@dataclass(frozen=True)
class Settings:
    """The settings of a plan.

    Attributes:
      objective: one of OBJECTIVES.
      cpu: one of cost.CPUS.
      method: one of methods().
      min_sparsity: smallest share of zero weights, 0..1, with which a layer is packed. Does not apply to layers with an
        encoding in the plan file.
      max_scratch: bytes of scratch that a kernel may use; None for the kernels' default.
      memory: one of cost.MEMORIES, for the estimates of cycles.
      overrides: {place(layer): entry of the plan file}.
      slowest: time of an inference at most, relative to the dense one; None without a bound.
      packs_slower: whether `balanced` packs layers that are slower than dense without any condition.
      rooms: {place(layer): bytes of scratch for which the arena has room}. Scratch that a plan file names comes first.
      most_time: time of an inference at most with `balanced`, in the unit of the core; None for BALANCED_TOLERANCE.
      replaced: operators of TFLM whose layers all get packed if possible, with dense weights even if that is slower, so
        that the firmware does not link the operator (linking.py).
      without: names of kernels and codings that no layer gets, unless the user has named its encoding (linking.py).
      verified_image: whether packed layers get a checksum, for firmware that checks it in place of the streams.
      start_up: instructions that Prepare of all layers takes at most; None without a bound.
    """

    objective: str = DEFAULT_OBJECTIVE
    cpu: str = cost.DEFAULT_CPU
    method: str = AUTO
    min_sparsity: float = 0
    max_scratch: int | None = None
    memory: str = cost.DEFAULT_MEMORY
    overrides: dict[tuple[int, int], Override] = field(default_factory=dict)
    slowest: float | None = None
    packs_slower: bool = False
    rooms: dict[tuple[int, int], int] = field(default_factory=dict)
    most_time: float | None = None
    without: frozenset[str] = frozenset()
    start_up: float | None = None
    verified_image: bool = False
    replaced: frozenset[str] = frozenset()

    def is_free(self, layer: Layer) -> bool:
        """Whether the planner chooses the encoding of a layer by itself, so that its bounds of time apply."""
        return self.of(layer).method == AUTO and layer.builtin not in self.replaced

    def is_planned(self, layer: Layer) -> bool:
        """Whether a plan file names the encoding of a layer. Such a layer is packed even if that saves no bytes."""
        override = self.overrides.get(place(layer))
        return override is not None and override.method not in (AUTO, NONE)

    def of(self, layer: Layer) -> Override:
        """Returns the method, scratch and rows of a layer."""
        mine = self.overrides.get(place(layer), Override(self.method))
        return mine if mine.scratch is not None else dataclasses.replace(mine, scratch=self.max_scratch)

    def room(self, layer: Layer) -> int | None:
        """Returns the bytes of scratch for which the arena has room; None if they are not limited."""
        mine = self.overrides.get(place(layer))
        return None if mine is not None and mine.scratch is not None else self.rooms.get(place(layer))


def default_slowest(objective: str) -> float | None:
    """Returns the default of slowest. `speed` needs no bound: it keeps layers dense that are faster so."""
    return {"balanced": 1.0, "size": 2.0}.get(objective)


def default_min_sparsity(objective: str) -> float:
    """Returns the default of min_sparsity. `size` has no limit: it packs every layer that gets smaller."""
    return 0.0 if objective == "size" else DEFAULT_MIN_SPARSITY


def methods() -> tuple[str, ...]:
    """Returns the values of --method: AUTO, the encodings, NONE."""
    return (AUTO, *encodings.METHODS, NONE)


def place(layer: Layer) -> tuple[int, int]:
    """Returns (subgraph, index of the weight tensor) of a layer."""
    return layer.subgraph, int(layer.operator.inputs[1])

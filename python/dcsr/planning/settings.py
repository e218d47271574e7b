"""The settings of a plan: objective, core, method, and overrides of single layers."""

from __future__ import annotations

from dataclasses import dataclass, field

from dcsr import encodings
from dcsr.layers import Layer
from dcsr.planning import cost

OBJECTIVES = ("balanced", "size", "speed")
DEFAULT_OBJECTIVE = "balanced"
# Methods besides those of the encodings.
AUTO, NONE = "auto", "none"
DEFAULT_MIN_SPARSITY = 0.6


@dataclass(frozen=True)
class Override:
    """The entry of a plan for one layer.

    Attributes:
      method: one of methods().
      scratch: bytes that its kernel may take; None for that of the settings.
    """

    method: str = AUTO
    scratch: int | None = None


@dataclass(frozen=True)
class Settings:
    """The settings of a plan.

    Attributes:
      objective: one of OBJECTIVES.
      cpu: one of cost.CPUS.
      method: one of methods().
      min_sparsity: least share of zeros of a layer that is packed; a method from a plan file overrides it.
      max_scratch: bytes that a kernel may take; None for the kernels' default.
      overrides: of single layers, by subgraph and index of the weight tensor.
    """

    objective: str = DEFAULT_OBJECTIVE
    cpu: str = cost.DEFAULT_CPU
    method: str = AUTO
    min_sparsity: float = 0
    max_scratch: int | None = None
    overrides: dict[tuple[int, int], Override] = field(default_factory=dict)

    def of(self, layer: Layer) -> Override:
        """The method and scratch of a layer."""
        mine = self.overrides.get(place(layer), Override(self.method))
        return mine if mine.scratch is not None else Override(mine.method, self.max_scratch)


def methods() -> tuple[str, ...]:
    """The values of --method: AUTO, NONE, or an encoding for all layers."""
    return (AUTO, *encodings.METHODS, NONE)


def place(layer: Layer) -> tuple[int, int]:
    """(subgraph, index of the weight tensor) of a layer."""
    return layer.subgraph, int(layer.operator.inputs[1])

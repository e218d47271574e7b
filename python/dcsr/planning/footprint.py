"""The arena of a model on a core, dense and with packed layers: tensors, scratch, and what operators keep.

TFLM's own structures are left out, except in `interpreter_bytes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dcsr import packing
from dcsr.graph import length
from dcsr.planning import arena, builtin_memory
from dcsr.planning.builtin_memory import Memory
from dcsr.planning.candidates import Candidate
from dcsr.planning.choice import Decision
from dcsr.schema import schema

Place = tuple[int, int]  # (subgraph, position of an operator)

# Of a custom op (ops/README.md): its state and its scratch handle; and for each row what Prepare derives from shared
# rows, for int8 and for int16 activations.
_STATE_BYTES = 16
_HANDLE_BYTES = 4
_DERIVED_BYTES = {False: (4, 4, 1), True: (8, 4, 1)}

# Of TFLM's interpreter on a core of 32 bits: for each operator its node and its options, for each tensor, and once.
_NODE_BYTES = 48
_OPTION_BYTES = 22
_TENSOR_BYTES = 12
_ONCE_BYTES = 240


def of_candidate(candidate: Candidate) -> Memory:
    """Returns the memory that a packed layer requests."""
    packed, scratch = candidate.packed, candidate.estimate.scratch_bytes
    derived = 0
    if packed.shared is not None:
        parts = _DERIVED_BYTES[packed.int16_activations]
        derived = sum(arena.aligned(part * packed.streams.rows) for part in parts)
    return Memory(scratch, _STATE_BYTES + (_HANDLE_BYTES if scratch else 0) + derived)


def of_decisions(decisions: Iterable[Decision]) -> dict[Place, Memory]:
    """Returns the memory of the layers that are packed."""
    return {
        (decision.layer.subgraph, decision.layer.position): of_candidate(decision.candidate)
        for decision in decisions
        if decision.candidate
    }


def planes_of(decisions: Iterable[Decision]) -> dict[tuple[int, int], int]:
    """Returns the bytes of the tensors in planes, {(subgraph, tensor): bytes}."""
    found: dict[tuple[int, int], int] = {}
    for decision in decisions:
        packed, layer = decision.packed, decision.layer
        if packed is None:
            continue
        for index, size, channels in packed.tensors_in_planes(layer.operator.inputs, layer.operator.outputs):
            found[layer.subgraph, index] = packing.plane_bytes(size) * channels
    return found


class Footprint:
    """The arena of a model on a core.

    Attributes:
      kernels: kernels of the builtin operators, one of builtin_memory.KERNELS.
    """

    def __init__(
        self, model: schema.ModelT, cpu: str, kernels: str, sizes: Mapping[tuple[int, int], int] | None = None
    ) -> None:
        """Describes a model on a core. `sizes`: {(subgraph, tensor): bytes} of tensors in planes."""
        self.kernels = kernels
        planes = sizes or {}
        self._tensors = [
            arena.tensor_buffers(model, number, {tensor: size for (s, tensor), size in planes.items() if s == number})
            for number in range(len(model.subgraphs))
        ]
        self._builtin = {
            (number, position): builtin_memory.memory(model, number, operator, cpu, kernels)
            for number, graph in enumerate(model.subgraphs)
            for position, operator in enumerate(graph.operators or [])
        }

    def nbytes(self, packed: Mapping[Place, Memory] | None = None) -> int:
        """Returns the bytes of the arena.

        Args:
          packed: the memory of the operators that are replaced by packed layers; None for the dense model.
        """
        memory = self._builtin | dict(packed or {})
        # The subgraphs of control flow are planned together in TFLM. Their sum is an upper bound.
        planned = sum(
            arena.greedy(tensors + arena.scratch_buffers(self._scratch(memory, number)))
            for number, tensors in enumerate(self._tensors)
        )
        return planned + sum(one.persistent for one in memory.values())

    def lower_bound(self, places: Iterable[Place]) -> int:
        """Returns bytes that the arena takes at least, if operators at `places` are packed."""
        return self.nbytes(dict.fromkeys(places, Memory(0, _STATE_BYTES)))

    def room(self, place: Place, packed: Mapping[Place, Memory], limit: int) -> int:
        """Returns the scratch that an operator may request so that the arena takes at most `limit` bytes.

        Args:
          place: a layer.
          packed: the memory of the packed layers.
          limit: bytes.

        Returns:
          Bytes, a multiple of 16; 0 if there is no room.
        """
        kept = packed.get(place, Memory(0, _STATE_BYTES + _HANDLE_BYTES)).persistent

        def fits(scratch: int) -> bool:
            return self.nbytes({**packed, place: Memory(scratch, kept)}) <= limit

        low, high = 0, max(limit, 0) // arena.ALIGNMENT + 1
        # `low` fits or is 0, `high` does not fit.
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle * arena.ALIGNMENT) else (low, middle)
        return low * arena.ALIGNMENT

    def least_bytes(self, place: Place, can_be_packed: bool) -> int:
        """Returns the bytes of the arena while an operator runs, at least: its tensors, what all operators keep, and
        its scratch if it cannot be packed.
        """
        subgraph, position = place
        live = sum(one.size for one in self._tensors[subgraph] if one.first <= position + 1 <= one.last)
        kept = sum(min(one.persistent, _STATE_BYTES) for one in self._builtin.values())
        return live + kept + (0 if can_be_packed else self._builtin[place].scratch)

    def _scratch(self, memory: Mapping[Place, Memory], subgraph: int) -> Sequence[int]:
        """Returns the scratch of each operator of a subgraph."""
        return [one.scratch for (number, _), one in sorted(memory.items()) if number == subgraph]


def interpreter_bytes(model: schema.ModelT) -> int:
    """Returns roughly the bytes that TFLM's own structures take on a core of 32 bits.

    A packed layer has no bias tensor, so that the compressed model needs a little less than the dense one.
    """
    operators = sum(length(graph.operators) for graph in model.subgraphs)
    tensors = sum(length(graph.tensors) for graph in model.subgraphs)
    return _ONCE_BYTES + operators * (_NODE_BYTES + _OPTION_BYTES) + tensors * _TENSOR_BYTES

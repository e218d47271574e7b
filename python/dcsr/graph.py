"""A model as an editable graph: finds producers and consumers; adds, removes and renumbers parts.

The parts of a model refer to each other by index. Operators, signatures and TFLM's offline memory plan refer to
tensors, tensors and metadata to buffers, operators to operator codes. `Graph` changes each of these lists together with
all indices into it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import model as tflite
from dcsr.schema import schema

OFFLINE_PLAN = b"OfflineMemoryAllocation"
_OFFLINE_PLAN_HEADER = 3  # version, subgraph, number of offsets


def indices(values: NDArray[np.integer] | Sequence[int] | None) -> list[int]:
    """Converts a vector of the object API to a list. The object API gives None for a missing vector."""
    return [] if values is None else [int(value) for value in values]


def length(values: NDArray[np.generic] | Sequence[object] | None) -> int:
    """Returns the length of a vector of the object API; 0 for a missing vector (None)."""
    return 0 if values is None else len(values)


def byte_vector(data: bytes) -> NDArray[np.uint8]:
    """Converts `data` to the object API's form of a vector of bytes, uint8 [len(data)]."""
    return np.frombuffer(data, np.uint8)


def without(count: int, dropped: Collection[int]) -> dict[int, int]:
    """Renumbers 0 .. count - 1 without the indices in `dropped`; returns {old index: new index}."""
    gone = set(dropped)
    return {old: new for new, old in enumerate(i for i in range(count) if i not in gone)}


@dataclass
class TensorEdit:
    """Changes to the tensors of one subgraph.

    Attributes:
      replaced: {index: new tensor}.
      added: tensors to append.
      removed: indices of tensors to remove. No reference to them may be left.
    """

    replaced: dict[int, schema.TensorT] = field(default_factory=dict)
    added: list[schema.TensorT] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)


class Graph:
    """A model with its references. Methods that change the model change it in place.

    Subgraphs and tensors are given by index, operators by their position in the subgraph.

    Attributes:
      model: the model.
    """

    def __init__(self, model: schema.ModelT) -> None:
        self.model = model

    # ------------------------------------------------------------------------------------------ references

    def producer(self, subgraph: int, tensor: int) -> int | None:
        """Returns the position of the operator that writes a tensor; None for inputs and constants."""
        for position, operator in enumerate(self.model.subgraphs[subgraph].operators or []):
            if tensor in indices(operator.outputs):
                return position
        return None

    def consumers(self, subgraph: int, tensors: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yields (operator position, input number) of each operator input that is one of `tensors`."""
        for position, operator in enumerate(self.model.subgraphs[subgraph].operators or []):
            for number, index in enumerate(indices(operator.inputs)):
                if index in tensors:
                    yield position, number

    def ends(self, subgraph: int) -> set[int]:
        """Returns the tensors that an application accesses: inputs, outputs, and the tensors of signatures."""
        found = self.model.subgraphs[subgraph]
        return {
            *indices(found.inputs),
            *indices(found.outputs),
            *(entry.tensorIndex for owner, entry in self._signature_entries() if owner == subgraph),
        }

    def tensors_by_buffer(self) -> dict[int, list[schema.TensorT]]:
        """Returns {buffer: tensors of all subgraphs that use it}."""
        found: dict[int, list[schema.TensorT]] = {}
        for subgraph in self.model.subgraphs:
            for tensor in subgraph.tensors or []:
                found.setdefault(tensor.buffer, []).append(tensor)
        return found

    def tensors_of_buffer(self, subgraph: int, buffer: int) -> set[int]:
        """Returns the tensors of a subgraph that use the buffer."""
        tensors = self.model.subgraphs[subgraph].tensors or []
        return {index for index, tensor in enumerate(tensors) if tensor.buffer == buffer}

    def other_user(self, buffer: int, operators: Collection[tuple[int, int]]) -> str | None:
        """Finds a user of the weights in `buffer` besides those of some operators.

        Args:
          buffer: a buffer that holds weights.
          operators: (subgraph, position) of operators that may read it, as their second input.

        Returns:
          The other user, as words for a note; None if there is none.
        """
        for s, subgraph in enumerate(self.model.subgraphs):
            tensors = self.tensors_of_buffer(s, buffer)
            if tensors & self.ends(s):
                return "the model's inputs or outputs"
            for position, number in self.consumers(s, tensors):
                if (s, position) not in operators or number != 1:
                    return f"operator {position} {tflite.operator_name(self.model, subgraph.operators[position])}"
        return "the model's metadata" if buffer in self.metadata_buffers() else None

    def metadata_buffers(self) -> set[int]:
        """Returns the buffers to which metadata refer."""
        return {entry.buffer for entry in self.model.metadata or []} | set(indices(self.model.metadataBuffer))

    def used_buffers(self) -> set[int]:
        """Returns the buffers to which a tensor or metadata refer."""
        return set(self.tensors_by_buffer()) | self.metadata_buffers()

    def _signature_entries(self) -> Iterator[tuple[int, schema.TensorMapT]]:
        """Yields (subgraph, entry) for each tensor in a signature."""
        for signature in self.model.signatureDefs or []:
            for entry in [*(signature.inputs or []), *(signature.outputs or [])]:
                yield signature.subgraphIndex, entry

    # ------------------------------------------------------------------------------------------ adding

    def add_buffer(self, data: bytes) -> int:
        """Adds a buffer; returns its index."""
        self.model.buffers.append(schema.BufferT(data=byte_vector(data)))
        return len(self.model.buffers) - 1

    def add_metadata(self, name: bytes, data: bytes) -> None:
        """Adds a metadata entry with a buffer of its own."""
        entry = schema.MetadataT(name=name, buffer=self.add_buffer(data))
        self.model.metadata = [*(self.model.metadata or []), entry]

    def custom_code(self, name: str) -> int:
        """Returns the index of a custom operator's code. Adds the code if it is missing."""
        custom = schema.BuiltinOperator.CUSTOM
        for index, code in enumerate(self.model.operatorCodes):
            # The code of a builtin operator may have a custom code too, which nobody reads.
            is_custom = max(code.builtinCode, code.deprecatedBuiltinCode) == custom
            if is_custom and tflite.text(code.customCode) == name:
                return index
        self.model.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=custom, customCode=name, version=1, builtinCode=custom)
        )
        return len(self.model.operatorCodes) - 1

    # ------------------------------------------------------------------------------------------ tensors

    def redirect(self, maps: Sequence[Mapping[int, int]]) -> None:
        """Replaces every reference to a tensor by a reference to another tensor.

        Args:
          maps: for each subgraph, {index of the tensor: index of the other tensor}. References to tensors that are not
            in it stay.
        """
        complete: list[dict[int, int]] = []
        for number, (subgraph, mapping) in enumerate(zip(self.model.subgraphs, maps, strict=True)):
            complete.append({index: mapping.get(index, index) for index in range(len(subgraph.tensors or []))})
            self._map_tensors(number, complete[-1])
        self._map_signatures(complete)

    def change_tensors(self, edits: Sequence[TensorEdit]) -> list[tuple[schema.MetadataT, bytes]]:
        """Replaces, adds and removes tensors, and renumbers all references.

        Args:
          edits: one for each subgraph.

        Returns:
          (metadata entry, former content) of each offline memory plan that was renumbered.
        """
        counts, maps = [], []
        for number, (subgraph, edit) in enumerate(zip(self.model.subgraphs, edits, strict=True)):
            tensors = subgraph.tensors or []
            counts.append(len(tensors))
            mapping = without(len(tensors) + len(edit.added), edit.removed)
            maps.append(mapping)
            if edit.replaced or edit.added or edit.removed:
                changed = [edit.replaced.get(index, tensor) for index, tensor in enumerate(tensors)] + edit.added
                subgraph.tensors = [tensor for index, tensor in enumerate(changed) if index in mapping]
                self._map_tensors(number, mapping)
        self._map_signatures(maps)
        return self._map_offline_plans(maps, counts)

    def restore_tensors(
        self,
        tensors: Sequence[list[schema.TensorT]],
        maps: Sequence[Mapping[int, int]],
        replaced: AbstractSet[tuple[int, int]],
    ) -> None:
        """Undoes change_tensors, except for offline memory plans.

        Args:
          tensors: the restored tensors of each subgraph.
          maps: for each subgraph, {present index: index in `tensors`}.
          replaced: (subgraph, position) of operators whose tensor indices are not renumbered.
        """
        for number, (subgraph, restored, mapping) in enumerate(zip(self.model.subgraphs, tensors, maps, strict=True)):
            subgraph.tensors = restored
            self._map_tensors(number, mapping, {position for s, position in replaced if s == number})
        self._map_signatures(maps)

    def _map_tensors(self, subgraph: int, mapping: Mapping[int, int], skip: AbstractSet[int] = frozenset()) -> None:
        """Renumbers the tensor indices of a subgraph and of its operators, except for the operators in `skip`."""
        found = self.model.subgraphs[subgraph]
        holders: list[tuple[Any, tuple[str, ...]]] = [(found, ("inputs", "outputs"))]
        for position, operator in enumerate(found.operators or []):
            if position not in skip:
                holders.append((operator, ("inputs", "outputs", "intermediates")))
        for holder, names in holders:
            for name in names:
                values = getattr(holder, name)
                if values is not None:
                    mapped = [mapping[i] if i >= 0 else i for i in indices(values)]
                    setattr(holder, name, np.array(mapped, np.int32))

    def _map_signatures(self, maps: Sequence[Mapping[int, int]]) -> None:
        for subgraph, entry in self._signature_entries():
            entry.tensorIndex = maps[subgraph][entry.tensorIndex]

    def _map_offline_plans(
        self, maps: Sequence[Mapping[int, int]], counts: Sequence[int]
    ) -> list[tuple[schema.MetadataT, bytes]]:
        """Renumbers TFLM's offline memory plans. A plan holds an arena offset for each tensor of all subgraphs.

        Args:
          maps: for each subgraph, {former index: index}. The tensors themselves are renumbered already.
          counts: number of tensors of each subgraph before the change.

        Returns:
          (metadata entry, former content) of each plan that was renumbered.
        """
        renumbered = []
        for entry in self.model.metadata or []:
            if entry.name != OFFLINE_PLAN:
                continue
            buffer = self.model.buffers[entry.buffer]
            content = b"" if buffer.data is None else bytes(buffer.data)
            if len(content) != 4 * (_OFFLINE_PLAN_HEADER + sum(counts)):
                continue  # TFLM rejects a plan of the wrong length, so it stays unchanged.
            words = np.frombuffer(content, "<i4")
            offsets = words[_OFFLINE_PLAN_HEADER:]
            mapped: list[int] = []
            start = 0
            for subgraph, mapping, count in zip(self.model.subgraphs, maps, counts, strict=True):
                # Added tensors are constants. Constants have no place in the arena (-1).
                plan = [-1] * len(subgraph.tensors or [])
                for old, new in mapping.items():
                    if old < count:
                        plan[new] = int(offsets[start + old])
                mapped += plan
                start += count
            header = [*words[: _OFFLINE_PLAN_HEADER - 1], len(mapped)]
            buffer.data = byte_vector(np.array(header + mapped, "<i4").tobytes())
            renumbered.append((entry, content))
        return renumbered

    # ------------------------------------------------------------------------------------------ operators

    def remove_operators(self, subgraph: int, positions: AbstractSet[int]) -> None:
        """Removes operators. No reference to their outputs may be left."""
        found = self.model.subgraphs[subgraph]
        found.operators = [o for position, o in enumerate(found.operators or []) if position not in positions]

    def remove_codes(self, dropped: Collection[int], skip: AbstractSet[tuple[int, int]] = frozenset()) -> None:
        """Removes unused operator codes.

        Args:
          dropped: indices of the codes.
          skip: (subgraph, position) of operators whose code index is not renumbered.
        """
        codes = self.model.operatorCodes
        mapping = without(len(codes), dropped)
        self.model.operatorCodes = [codes[index] for index in mapping]
        for s, subgraph in enumerate(self.model.subgraphs):
            for position, operator in enumerate(subgraph.operators or []):
                if (s, position) not in skip:
                    operator.opcodeIndex = mapping[operator.opcodeIndex]

    # ------------------------------------------------------------------------------------------ buffers

    def remove_buffers(self, dropped: Collection[int]) -> None:
        """Removes buffers. No reference to them may be left."""
        mapping = without(len(self.model.buffers), dropped)
        for holder in self._buffer_holders():
            holder.buffer = mapping[holder.buffer]
        if self.model.metadataBuffer is not None:
            self.model.metadataBuffer = np.array([mapping[int(i)] for i in self.model.metadataBuffer], np.int32)
        self.model.buffers = [self.model.buffers[index] for index in mapping]

    def restore_buffers(
        self, count: int, dropped: AbstractSet[int], skip: AbstractSet[tuple[int, int]] = frozenset()
    ) -> None:
        """Undoes remove_buffers. The restored buffers are empty.

        Args:
          count: number of present buffers to keep. The buffers after them are removed.
          dropped: indices of the buffers to restore.
          skip: (subgraph, index) of tensors whose buffer index is not renumbered. Only these tensors may refer to a
            buffer that is removed.

        Raises:
          ValueError: if another tensor or metadata entry refers to a buffer that is removed, or if an index in
            `dropped` is out of range.
        """
        old_index = [index for index in range(count + len(dropped)) if index not in dropped]
        holders = list(self._buffer_holders(skip))
        if len(old_index) != count or any(holder.buffer >= count for holder in holders):
            raise ValueError("buffers do not fit")
        present = self.model.buffers
        self.model.buffers = [schema.BufferT() for _ in range(count + len(dropped))]
        for new, old in enumerate(old_index):
            self.model.buffers[old] = present[new]
        for holder in holders:
            holder.buffer = old_index[holder.buffer]
        if self.model.metadataBuffer is not None:
            self.model.metadataBuffer = np.array([old_index[i] for i in self.model.metadataBuffer], np.int32)

    def compact_buffers(self) -> None:
        """Removes empty and unused buffers. One empty buffer stays, as buffer 0."""
        holders = list(self._buffer_holders())
        kept = sorted({holder.buffer for holder in holders if length(self.model.buffers[holder.buffer].data)})
        index = {old: new for new, old in enumerate(kept, start=1)}
        for holder in holders:
            holder.buffer = index.get(holder.buffer, 0)
        self.model.buffers = [schema.BufferT(), *(self.model.buffers[old] for old in kept)]

    def _buffer_holders(
        self, skip: AbstractSet[tuple[int, int]] = frozenset()
    ) -> Iterator[schema.TensorT | schema.MetadataT]:
        """Yields the tensors that are not in `skip`, and the metadata entries."""
        for s, subgraph in enumerate(self.model.subgraphs):
            for index, tensor in enumerate(subgraph.tensors or []):
                if (s, index) not in skip:
                    yield tensor
        yield from self.model.metadata or []

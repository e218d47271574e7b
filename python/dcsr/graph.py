"""A model as a graph to edit: producers, consumers, and removal with the renumbering that follows.

A model refers to its parts by index: operators, signatures and TFLM's offline memory plan to tensors, tensors and
metadata to buffers, operators to operator codes. `Graph` changes these lists and every index into them together.
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
    """A vector of the object API, which is None if the flatbuffer has none."""
    return [] if values is None else [int(value) for value in values]


def length(values: NDArray[np.generic] | Sequence[object] | None) -> int:
    """Length of a vector of the object API, which is None if the flatbuffer has none."""
    return 0 if values is None else len(values)


def byte_vector(data: bytes) -> NDArray[np.uint8]:
    """`data` as the object API holds a vector of bytes."""
    return np.frombuffer(data, np.uint8)


def without(count: int, dropped: Collection[int]) -> dict[int, int]:
    """New index of each of 0 .. count - 1 that is not in `dropped`."""
    gone = set(dropped)
    return {old: new for new, old in enumerate(i for i in range(count) if i not in gone)}


@dataclass
class TensorEdit:
    """Changes to the tensors of one subgraph.

    Attributes:
      replaced: new tensors by index.
      added: tensors that follow the last one.
      removed: indices of tensors that go; nothing may refer to them any more.
    """

    replaced: dict[int, schema.TensorT] = field(default_factory=dict)
    added: list[schema.TensorT] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)


class Graph:
    """A model with its references. All methods that change something change `model` in place.

    A subgraph is named by its index, an operator by its position in the subgraph.

    Attributes:
      model: the model.
    """

    def __init__(self, model: schema.ModelT) -> None:
        self.model = model

    # ------------------------------------------------------------------------------------------ references

    def producer(self, subgraph: int, tensor: int) -> int | None:
        """The operator that writes a tensor; None for inputs and constants."""
        for position, operator in enumerate(self.model.subgraphs[subgraph].operators or []):
            if tensor in indices(operator.outputs):
                return position
        return None

    def consumers(self, subgraph: int, tensors: Collection[int]) -> Iterator[tuple[int, int]]:
        """(operator, number of its input) of each operator input that is one of the tensors."""
        for position, operator in enumerate(self.model.subgraphs[subgraph].operators or []):
            for number, index in enumerate(indices(operator.inputs)):
                if index in tensors:
                    yield position, number

    def ends(self, subgraph: int) -> set[int]:
        """Tensors that the application sees: inputs, outputs, and the tensors of signatures."""
        found = self.model.subgraphs[subgraph]
        return {
            *indices(found.inputs),
            *indices(found.outputs),
            *(entry.tensorIndex for owner, entry in self._signature_entries() if owner == subgraph),
        }

    def tensors_by_buffer(self) -> dict[int, list[schema.TensorT]]:
        """The tensors of all subgraphs that share each buffer."""
        found: dict[int, list[schema.TensorT]] = {}
        for subgraph in self.model.subgraphs:
            for tensor in subgraph.tensors or []:
                found.setdefault(tensor.buffer, []).append(tensor)
        return found

    def tensors_of_buffer(self, subgraph: int, buffer: int) -> set[int]:
        """Tensors of a subgraph that have their content in the buffer."""
        tensors = self.model.subgraphs[subgraph].tensors or []
        return {index for index, tensor in enumerate(tensors) if tensor.buffer == buffer}

    def metadata_buffers(self) -> set[int]:
        """Buffers that metadata refer to."""
        return {entry.buffer for entry in self.model.metadata or []} | set(indices(self.model.metadataBuffer))

    def used_buffers(self) -> set[int]:
        """Buffers that a tensor or metadata refer to."""
        return set(self.tensors_by_buffer()) | self.metadata_buffers()

    def _signature_entries(self) -> Iterator[tuple[int, schema.TensorMapT]]:
        """(subgraph, entry) of each tensor that a signature names."""
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
        """Index of the operator code of a custom operator, which is added if it is missing."""
        for index, code in enumerate(self.model.operatorCodes):
            if tflite.text(code.customCode) == name:
                return index
        custom = schema.BuiltinOperator.CUSTOM
        self.model.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=custom, customCode=name, version=1, builtinCode=custom)
        )
        return len(self.model.operatorCodes) - 1

    # ------------------------------------------------------------------------------------------ tensors

    def redirect(self, maps: Sequence[Mapping[int, int]]) -> None:
        """Has every reference to a tensor refer to another one.

        Args:
          maps: for each subgraph, index of the other tensor by index of the tensor; tensors may be missing.
        """
        complete: list[dict[int, int]] = []
        for number, (subgraph, mapping) in enumerate(zip(self.model.subgraphs, maps, strict=True)):
            complete.append({index: mapping.get(index, index) for index in range(len(subgraph.tensors or []))})
            self._map_tensors(number, complete[-1])
        self._map_signatures(complete)

    def change_tensors(self, edits: Sequence[TensorEdit]) -> list[tuple[schema.MetadataT, bytes]]:
        """Replaces, adds and removes tensors, and renumbers all references to the remaining ones.

        Args:
          edits: one for each subgraph.

        Returns:
          (metadata entry, its former content) of each offline memory plan that was renumbered.
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
          tensors: of each subgraph, as they shall be.
          maps: for each subgraph, index in `tensors` by present index.
          replaced: (subgraph, position) of operators that keep their indices.
        """
        for number, (subgraph, restored, mapping) in enumerate(zip(self.model.subgraphs, tensors, maps, strict=True)):
            subgraph.tensors = restored
            self._map_tensors(number, mapping, {position for s, position in replaced if s == number})
        self._map_signatures(maps)

    def _map_tensors(self, subgraph: int, mapping: Mapping[int, int], skip: AbstractSet[int] = frozenset()) -> None:
        """Renumbers the tensors that a subgraph and its operators, without those in `skip`, refer to."""
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
        """Renumbers TFLM's offline memory plans, which have an arena offset for every tensor of all subgraphs.

        Args:
          maps: new index of each tensor, by subgraph; the tensors are renumbered already.
          counts: tensors of each subgraph before that, without added ones.

        Returns:
          As change_tensors.
        """
        renumbered = []
        for entry in self.model.metadata or []:
            if entry.name != OFFLINE_PLAN:
                continue
            buffer = self.model.buffers[entry.buffer]
            content = b"" if buffer.data is None else bytes(buffer.data)
            if len(content) != 4 * (_OFFLINE_PLAN_HEADER + sum(counts)):
                continue  # TFLM refuses such a plan; it stays as it is.
            words = np.frombuffer(content, "<i4")
            offsets = words[_OFFLINE_PLAN_HEADER:]
            mapped: list[int] = []
            start = 0
            for subgraph, mapping, count in zip(self.model.subgraphs, maps, counts, strict=True):
                # Constants are not planned, and added tensors are constants.
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
        """Removes operators, whose outputs nothing may read any more."""
        found = self.model.subgraphs[subgraph]
        found.operators = [o for position, o in enumerate(found.operators or []) if position not in positions]

    def remove_codes(self, dropped: Collection[int], skip: AbstractSet[tuple[int, int]] = frozenset()) -> None:
        """Removes operator codes that no operator has.

        Args:
          dropped: their indices.
          skip: (subgraph, position) of operators that keep the index of their code.
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
        """Removes buffers, to which nothing may refer any more."""
        mapping = without(len(self.model.buffers), dropped)
        for holder in self._buffer_holders():
            holder.buffer = mapping[holder.buffer]
        if self.model.metadataBuffer is not None:
            self.model.metadataBuffer = np.array([mapping[int(i)] for i in self.model.metadataBuffer], np.int32)
        self.model.buffers = [self.model.buffers[index] for index in mapping]

    def restore_buffers(
        self, count: int, dropped: AbstractSet[int], skip: AbstractSet[tuple[int, int]] = frozenset()
    ) -> None:
        """Undoes remove_buffers; the buffers that were removed come back empty.

        Args:
          count: buffers that remain; those behind them go.
          dropped: indices of the removed buffers.
          skip: (subgraph, index) of tensors that may refer to a buffer that goes; they keep their index.

        Raises:
          ValueError: if that is impossible.
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
        """Keeps only the buffers with content that a tensor or metadata entry refers to, and an empty one, buffer 0."""
        holders = list(self._buffer_holders())
        kept = sorted({holder.buffer for holder in holders if length(self.model.buffers[holder.buffer].data)})
        index = {old: new for new, old in enumerate(kept, start=1)}
        for holder in holders:
            holder.buffer = index.get(holder.buffer, 0)
        self.model.buffers = [schema.BufferT(), *(self.model.buffers[old] for old in kept)]

    def _buffer_holders(
        self, skip: AbstractSet[tuple[int, int]] = frozenset()
    ) -> Iterator[schema.TensorT | schema.MetadataT]:
        """Tensors, without those in `skip`, and metadata entries."""
        for s, subgraph in enumerate(self.model.subgraphs):
            for index, tensor in enumerate(subgraph.tensors or []):
                if (s, index) not in skip:
                    yield tensor
        yield from self.model.metadata or []

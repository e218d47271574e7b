"""Replaces constants of operators, also those that several operators or tensors share."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsr.graph import Graph, TensorEdit, indices, length
from dcsr.schema import schema


@dataclass(frozen=True, eq=False)
class NewConstant:
    """New content of a constant.

    Attributes:
      position, number: operator, and number of its input that is the constant.
      content: the new data.
      shape: the new shape.
      kept: which entries of quantisation vectors stay that have one entry for each of these, bool; None for all.
    """

    position: int
    number: int
    content: bytes
    shape: list[int]
    kept: NDArray[np.bool_] | None


class Constants:
    """Collects the new constants of a model and writes them.

    A tensor changes in place if all its users want the same content. Otherwise users get tensors of their own.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._requests: dict[tuple[int, int], list[NewConstant]] = {}  # by (subgraph, tensor)
        self._buffers: dict[tuple[int, bytes], int] = {}  # {(former buffer, content): buffer}

    def request(self, s: int, constant: NewConstant) -> None:
        """Asks for new content of an operator's input in subgraph `s`."""
        index = int(self._graph.model.subgraphs[s].operators[constant.position].inputs[constant.number])
        self._requests.setdefault((s, index), []).append(constant)

    def write(self) -> None:
        """Changes the model as requested, and removes buffers that are no longer in use."""
        graph = self._graph
        before = graph.used_buffers()
        readers = Counter(
            (s, index)
            for s, subgraph in enumerate(graph.model.subgraphs)
            for operator in subgraph.operators or []
            for index in indices(operator.inputs)
        )
        ends = [graph.ends(s) for s in range(len(graph.model.subgraphs))]
        edits = [TensorEdit() for _ in graph.model.subgraphs]
        for (s, index), requests in self._requests.items():
            in_place = readers[s, index] == len(requests) and index not in ends[s]
            self._write_tensor(s, index, requests, edits[s], in_place)
        graph.change_tensors(edits)
        graph.remove_buffers((before - graph.used_buffers()) - {0})

    def _write_tensor(self, s: int, index: int, requests: list[NewConstant], edit: TensorEdit, in_place: bool) -> None:
        """Gives the operators that asked for it a changed copy of a tensor; one replaces it if `in_place` is set."""
        subgraph = self._graph.model.subgraphs[s]
        original = subgraph.tensors[index]
        places: dict[tuple[bytes, tuple[int, ...]], int] = {}
        for constant in requests:
            key = (constant.content, tuple(constant.shape))
            if key not in places:
                changed = self._changed(original, constant)
                if in_place and not places:
                    edit.replaced[index] = changed
                    places[key] = index
                else:
                    places[key] = len(subgraph.tensors) + len(edit.added)
                    edit.added.append(changed)
            inputs = np.array(subgraph.operators[constant.position].inputs, np.int32)
            inputs[constant.number] = places[key]
            subgraph.operators[constant.position].inputs = inputs

    def _changed(self, original: schema.TensorT, constant: NewConstant) -> schema.TensorT:
        """Returns a copy of a tensor with new content."""
        tensor = copy.deepcopy(original)
        key = (original.buffer, constant.content)
        if key not in self._buffers:
            self._buffers[key] = self._graph.add_buffer(constant.content)
        tensor.buffer = self._buffers[key]
        tensor.shape = np.array(constant.shape, np.int32)
        if length(tensor.shapeSignature):
            tensor.shapeSignature = np.array(constant.shape, np.int32)
        quantization = tensor.quantization
        if quantization is not None and constant.kept is not None:
            for name in ("scale", "zeroPoint", "min", "max"):
                values = getattr(quantization, name)
                if length(values) == len(constant.kept):
                    setattr(quantization, name, np.asarray(values)[constant.kept])
        return tensor

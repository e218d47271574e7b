"""The part of the arena that TFLM plans: tensors and scratch, placed as its GreedyMemoryPlanner places them.

Source: tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc and micro_allocation_info.cc.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcsr import model as tflite
from dcsr.graph import indices
from dcsr.schema import schema

ALIGNMENT = 16
_TYPE = schema.TensorType
_BYTES = {
    **dict.fromkeys((_TYPE.INT8, _TYPE.UINT8, _TYPE.BOOL), 1),
    **dict.fromkeys((_TYPE.INT16, _TYPE.UINT16, _TYPE.FLOAT16), 2),
    **dict.fromkeys((_TYPE.INT32, _TYPE.UINT32, _TYPE.FLOAT32), 4),
    **dict.fromkeys((_TYPE.INT64, _TYPE.UINT64, _TYPE.FLOAT64, _TYPE.COMPLEX64), 8),
}


@dataclass(frozen=True)
class Buffer:
    """Memory that is in use from one operator to another.

    Attributes:
      size: bytes, a multiple of 16.
      first, last: the first and the last operator, counted from 1; 0 is before the first one.
    """

    size: int
    first: int
    last: int


def planned_bytes(model: schema.ModelT, scratch: Sequence[int], subgraph: int = 0) -> int:
    """Returns the bytes of the tensors and of scratch in a subgraph.

    Args:
      model: the model.
      scratch: bytes of scratch of each operator.
      subgraph: index of the subgraph.
    """
    return greedy(tensor_buffers(model, subgraph) + scratch_buffers(scratch))


def tensor_buffers(model: schema.ModelT, subgraph: int, sizes: Mapping[int, int] | None = None) -> list[Buffer]:
    """Returns the buffers of the tensors of a subgraph that are neither constant nor variables.

    Args:
      model: the model.
      subgraph: index of the subgraph.
      sizes: {tensor: bytes} of tensors that do not have the size of the model.
    """
    planned = sizes or {}
    graph = model.subgraphs[subgraph]
    last_operator = len(graph.operators or [])
    first = dict.fromkeys(indices(graph.inputs), 0)
    last = dict.fromkeys(indices(graph.inputs), 0)
    for position, operator in enumerate(graph.operators or [], start=1):
        for index in indices(operator.outputs):
            first.setdefault(index, position)
            last[index] = position
        for index in indices(operator.inputs):
            if index in first:
                last[index] = position
    last |= {index: last_operator for index in indices(graph.outputs) if index in first}
    return [
        Buffer(aligned(planned.get(index) or _tensor_bytes(graph.tensors[index])), first[index], last[index])
        for index in sorted(first)
        if not graph.tensors[index].isVariable and not tflite.is_constant(model, graph.tensors[index])
    ]


def scratch_buffers(scratch: Sequence[int]) -> list[Buffer]:
    """Returns the buffers of the scratch of each operator, given in bytes."""
    return [Buffer(aligned(size), i, i) for i, size in enumerate(scratch, start=1) if size]


def greedy(buffers: Sequence[Buffer]) -> int:
    """Returns the bytes of the memory in which the planner places the buffers: the largest first, each in the first
    gap that is free while it is in use.
    """
    placed, _ = _placed(buffers)
    return max((offset + buffer.size for offset, buffer in placed), default=0)


def steps(buffers: Sequence[Buffer]) -> dict[str, int]:
    """Returns how often the planner compares two buffers, swaps them, and visits one while it places another."""
    _, visits = _placed(buffers)
    sizes = [buffer.size for buffer in reversed(buffers)]
    compares = swaps = 0
    # The planner sorts as here, in passes over all buffers until none swaps two.
    swapped = True
    while swapped:
        before = swaps
        for i in range(1, len(sizes)):
            if sizes[i - 1] < sizes[i]:
                sizes[i - 1], sizes[i] = sizes[i], sizes[i - 1]
                swaps += 1
        compares += max(len(sizes) - 1, 0)
        swapped = swaps > before
    return {"compare": compares, "swap": swaps, "visit": visits}


def _placed(buffers: Sequence[Buffer]) -> tuple[list[tuple[int, Buffer]], int]:
    """Returns the buffers as the planner places them, as (offset, buffer), and how many others it visits."""
    placed: list[tuple[int, Buffer]] = []  # by offset
    visits = 0
    # Among buffers of one size the planner begins with the last.
    for buffer in sorted(reversed(buffers), key=lambda one: -one.size):
        offset = 0
        for other_offset, other in placed:
            visits += 1
            if other.first > buffer.last or other.last < buffer.first:
                continue
            if other_offset - offset >= buffer.size:
                break
            offset = max(offset, other_offset + other.size)
        position = next((i for i, (start, _) in enumerate(placed) if start > offset), len(placed))
        visits += position
        placed.insert(position, (offset, buffer))
    return placed, visits


def aligned(size: int) -> int:
    """Returns the bytes that a buffer of `size` bytes takes."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _tensor_bytes(tensor: schema.TensorT) -> int:
    shape = [] if tensor.shape is None else [int(dim) for dim in tensor.shape]
    return math.prod(shape) * _BYTES.get(tensor.type, 1)

"""The start-up of a model on a core: instructions of AllocateTensors in TFLM's interpreter with CMSIS-NN's kernels.

As in cost.py, an estimate is a sum over counts, each multiplied by a constant of the core (start_up_constants.json,
benchmarks/README.md). The counts are those of TFLM's interpreter and of its memory planner, of the operators' Prepare,
and of the validation of packed layers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from dcsr import encodings
from dcsr import model as tflite
from dcsr.encodings import Streams
from dcsr.graph import indices, length
from dcsr.packing import PackedLayer
from dcsr.planning import arena, builtin_memory, cost
from dcsr.planning.builtin_memory import Memory
from dcsr.planning.kernel_costs import Counts
from dcsr.schema import schema

Place = tuple[int, int]  # (subgraph, position of an operator)

_GROUP = 16  # elements of a group of dcsr and offset8
_WORD_BITS = 32
_OFFSETS = 256  # columns that a group of offset8 reaches
# Kernels whose plan needs the longest row.
_PLAN_WITH_LONGEST_ROW = frozenset({"conv1x1_mve", "conv1x1_planes_mve"})
# rice: remainders of so few bits are added up so many at a time (format/rice.c).
_PACKED_BITS, _PACKED, _PACKED_WIDEST = 4, 8, 6


def is_known(cpu: str) -> bool:
    """Whether the start-up is estimated on a core."""
    return cost.measured_core(cpu) in _constants()


def instructions(cpu: str, counts: Counts) -> float:
    """Estimates instructions. The core must be known. Operators without a constant cost nothing of their own."""
    constants = _constants()[cost.measured_core(cpu)]
    return sum(
        constants.get(name, {}).get(count, 0) * number for name, of in counts.items() for count, number in of.items()
    )


def interpreter(
    model: schema.ModelT, memory: Mapping[Place, Memory], packed: Mapping[Place, PackedLayer] | None = None
) -> Counts:
    """Returns the counts of TFLM's interpreter, without the Prepare of operators.

    Args:
      model: the model before packing.
      memory: of each operator that requests some.
      packed: the packed layers. They have no bias tensor.
    """
    ends = length(model.subgraphs[0].inputs) + length(model.subgraphs[0].outputs)
    counts = Counter({"once": 1, "end": ends})
    for number, graph in enumerate(model.subgraphs):
        operators = graph.operators or []
        scratch = [memory.get((number, position), Memory()).scratch for position in range(len(operators))]
        buffers = arena.tensor_buffers(model, number) + arena.scratch_buffers(scratch)
        counts["operator"] += len(operators)
        counts["tensor"] += length(graph.tensors)
        counts["buffer"] += len(buffers)
        counts["scan"] += len(operators) * sum(size > 0 for size in scratch)
        counts.update(arena.steps(buffers))
    for (number, position), layer in (packed or {}).items():
        has_bias = layer.shared is None and length(model.subgraphs[number].operators[position].inputs) > 2
        counts["tensor"] -= has_bias
    return {"interpreter": dict(counts)}


def builtin(model: schema.ModelT, subgraph: int, operator: schema.OperatorT) -> Counts:
    """Returns the counts of the Prepare of a builtin operator."""
    name = tflite.operator_name(model, operator)
    counts = {"layer": 1}
    if name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        tensors = model.subgraphs[subgraph].tensors
        index = indices(operator.inputs)[1]
        shape = [int(dim) for dim in tensors[index].shape] if index >= 0 and tensors[index].shape is not None else []
        quantization = tensors[index].quantization
        has_channels = name != "FULLY_CONNECTED" or (quantization is not None and length(quantization.scale) > 1)
        if shape and has_channels:
            counts["channel"] = shape[-1 if name == "DEPTHWISE_CONV_2D" else 0]
        if name == "FULLY_CONNECTED":
            # With vectors, CMSIS-NN adds up the weights of each row.
            counts["weight"] = int(np.prod(shape))
            counts["row"] = shape[0] if shape else 1
    return {name: counts}


def packed(layer: PackedLayer, kernels: Sequence[str]) -> Counts:
    """Returns the counts of the Prepare of a packed layer.

    Args:
      layer: the packed layer.
      kernels: names of the kernels that run it.
    """
    streams = layer.streams
    coding = cost.coding(streams).split("+", maxsplit=1)[0]
    counts: dict[str, dict[str, int]] = {"DCSR": {"layer": 1}, "rows": {}}
    if coding != "dense" and not _PLAN_WITH_LONGEST_ROW.isdisjoint(kernels):
        counts["longest row"] = {"byte" if streams.row_length_bytes == 1 else "row": streams.rows}
        if coding == "bitmap":
            counts["longest row"]["word"] = streams.rows * (streams.cols // _WORD_BITS + 1)
    if layer.has_checksum:
        counts["checksum"] = {"word": (layer.row_bytes + streams.nbytes) // 4}
        return counts
    if layer.shared is not None:
        counts["shared rows"] = {"row": streams.rows, "element": len(streams.values)}
    if layer.compact is not None:
        counts["rows"]["compact"] = streams.rows
    elif layer.shared is None:
        counts["rows"]["plain"] = len(layer.multiplier)
    has_codes = streams.value_coding != encodings.PLAIN
    if coding not in ("dense", "bitmap") or (coding == "dense" and has_codes):
        counts["rows"]["length"] = streams.rows
    if coding in _POSITIONS:
        counts[coding] = _POSITIONS[coding](streams)
    if has_codes:
        counts["huffman"] = {"layer": 1, "symbol": 256 >> streams.raw_bits, "element": len(streams.values)}
    return {name: {count: number for count, number in of.items() if number} for name, of in counts.items()}


def _dcsr(streams: Streams) -> dict[str, int]:
    assert streams.row_lengths is not None
    groups = int((-(-streams.row_lengths.astype(np.int64) // _GROUP)).sum())
    return {"row": streams.rows, "group": groups, "element": len(streams.values), "plane": len(streams.plane)}


def _rle(streams: Streams) -> dict[str, int]:
    return {"row": streams.rows, "element": len(streams.values)}


def _offset8(streams: Streams) -> dict[str, int]:
    assert streams.row_lengths is not None
    lengths = streams.row_lengths.astype(np.int64)
    groups = -(-lengths // _GROUP)
    ends = np.cumsum(np.frombuffer(streams.index, "<u2").astype(np.int64))
    first = np.repeat(np.cumsum(groups) - groups, groups)
    bases = ends - np.concatenate(([0], ends))[first]
    lanes = np.minimum(_GROUP, np.repeat(lengths, groups) - _GROUP * (np.arange(len(ends)) - first))
    # Only the offsets of groups near the end of their row are compared with the columns.
    near = lanes[bases > streams.cols - _OFFSETS].sum()
    return {"row": streams.rows, "group": len(ends), "near": int(near)}


def _rice(streams: Streams) -> dict[str, int]:
    assert streams.row_lengths is not None
    lengths = streams.row_lengths.astype(np.int64)
    lengths = lengths[lengths > 0]
    widths = np.frexp((streams.index_parameter * streams.cols // (32 * lengths)).astype(np.float64))[1]
    at_once = np.where(widths < _PACKED_BITS, _PACKED, np.where(widths == _PACKED_BITS, _PACKED_WIDEST, 1))
    steps = np.where(widths > 0, -(-lengths // at_once), 0)
    return {"row": len(lengths), "word": len(streams.index) // 4, "step": int(steps.sum())}


def _bitmap(streams: Streams) -> dict[str, int]:
    return {"word": len(streams.index) // 4}


_POSITIONS: dict[str, Callable[[Streams], dict[str, int]]] = {
    "dcsr4": _dcsr,
    "dcsr8": _dcsr,
    "rle": _rle,
    "offset8": _offset8,
    "rice": _rice,
    "bitmap": _bitmap,
}


def merged(parts: Sequence[Counts]) -> Counts:
    """Returns the sum of counts."""
    total: dict[str, dict[str, int]] = {}
    for counts in parts:
        for name, of in counts.items():
            known = total.setdefault(name, {})
            for count, number in of.items():
                known[count] = known.get(count, 0) + number
    return total


def counts(
    model: schema.ModelT,
    cpu: str,
    layers: Mapping[Place, tuple[PackedLayer, Sequence[str]]],
    memory: Mapping[Place, Memory],
) -> Counts:
    """Returns the counts of a whole model.

    Args:
      model: the model before packing.
      cpu: one of cost.CPUS.
      layers: the packed layers, each with the names of the kernels that run it.
      memory: the memory of the packed layers.
    """
    requested = dict(memory)
    parts = [packed(layer, kernels) for layer, kernels in layers.values()]
    for number, graph in enumerate(model.subgraphs):
        for position, operator in enumerate(graph.operators or []):
            if (number, position) not in layers:
                requested[number, position] = builtin_memory.memory(
                    model, number, operator, cpu, builtin_memory.CMSIS_NN
                )
                parts.append(builtin(model, number, operator))
    return merged([interpreter(model, requested, {where: layer for where, (layer, _) in layers.items()}), *parts])


@cache
def _constants() -> dict[str, dict[str, dict[str, float]]]:
    """Returns {core: {part: {count: instructions}}}."""
    found: dict[str, dict[str, dict[str, float]]] = json.loads(
        Path(__file__).with_name("start_up_constants.json").read_text()
    )
    return found

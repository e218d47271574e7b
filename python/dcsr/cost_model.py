"""What a packed layer costs on a Cortex-M: instructions, estimated, and bytes of scratch, exactly.

The instructions of a kernel are a sum of counts that follow from the layer (how many columns are transposed, elements
decoded, products made), each times a constant of the core. The formula is here, the constants are in cost_constants.py,
which benchmarks/fit_cost_model.py writes. Scratch is computed as tflm_kernels/ does; benchmarks/cortex_m_test.py
compares both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dcsr import packing
from dcsr.encodings import Streams

DEFAULT_CPU = "cortex-m55"
# What a kernel may ask for if the packed layer does not say (tflm_kernels/kernels.c).
DEFAULT_SCRATCH_BUDGET = 32 * 1024

_VECTOR_PIXELS = 8  # what the inner loop of a convolution takes at a time
_GROUP_LANES = 16
_REFERENCE_TILE = 32  # vectors for which the portable kernel decodes a layer once


@dataclass(frozen=True)
class Work:
    """What the cost of a packed layer depends on.

    Attributes:
      op: packing.OP_CONV_2D or OP_FULLY_CONNECTED.
      coding: encoding and value coding, as `coding` names them.
      rows, cols: of the weights.
      elements: stored values, fillers included.
      longest_row: elements of the row that has most.
      position_bytes: of the streams that say where they are.
      vectors: output pixels of a convolution, batches of a FULLY_CONNECTED.
      scratch_budget: of the packed layer; 0 for the kernels' default.
    """

    op: int
    coding: str
    rows: int
    cols: int
    elements: int
    longest_row: int
    position_bytes: int
    vectors: int
    scratch_budget: int = 0


@dataclass(frozen=True)
class Estimate:
    """The cost of a packed layer on a core.

    Attributes:
      instructions: None if the core has no constants for the coding.
      scratch_bytes: what its kernel asks for.
    """

    instructions: int | None
    scratch_bytes: int


@dataclass(frozen=True)
class Tiles:
    """How a convolution kernel divides its scratch.

    Attributes:
      count: tiles, each of which decodes the layer; 0 if scratch is too small and the portable kernel runs.
      bytes: of scratch.
    """

    count: int
    bytes: int


def work(op: int, streams: Streams, vectors: int, scratch_budget: int = 0) -> Work:
    """The work of a layer with these streams."""
    lengths = streams.row_lengths
    return Work(
        op,
        coding(streams),
        streams.rows,
        streams.cols,
        len(streams.values),
        streams.cols if lengths is None else int(lengths.max(initial=0)),
        streams.position_bytes,
        vectors,
        scratch_budget,
    )


def coding(streams: Streams) -> str:
    """How a kernel sees the streams: the encoding, of dcsr with its base width, and the value coding if not plain."""
    width = str(streams.index_parameter) if streams.encoding == "dcsr" else ""
    values = getattr(streams, "value_coding", "plain")
    return streams.encoding + width + ("" if values == "plain" else f"+{values}")


def estimate(cpu: str, layer: Work) -> Estimate:
    """The cost of `layer` on the core named `cpu`.

    Raises:
      KeyError: if there is no such core.
    """
    from dcsr.cost_constants import CONSTANTS

    kernel, counts = structure(cpu, layer)
    constants = CONSTANTS[cpu].get(kernel, {})
    instructions = None
    if all(name in constants for name in counts):
        instructions = round(sum(constants[name] * count for name, count in counts.items()))
    return Estimate(instructions, tiles(cpu, layer).bytes)


def structure(cpu: str, layer: Work) -> tuple[str, dict[str, int]]:
    """(the kernel that a layer gets, what it does how often); a constant of the core stands for each name.

    What depends on the coding is named after it.
    """
    if layer.op == packing.OP_FULLY_CONNECTED:
        return "fully_connected", {
            "layer": 1,
            "row": layer.vectors * layer.rows,
            **_decoding(layer, layer.vectors),
        }
    plan = tiles(cpu, layer)
    if plan.count == 0:
        decodings = -(-layer.vectors // _REFERENCE_TILE)
        return "conv_portable", {
            "layer": 1,
            "output": layer.vectors * layer.rows,
            "product": layer.vectors * layer.elements,
            "row": decodings * layer.rows,
            **_decoding(layer, decodings),
        }
    blocks = -(-layer.vectors // _VECTOR_PIXELS)
    return "conv", {
        "layer": 1,
        "input": layer.vectors * layer.cols,
        "output": layer.vectors * layer.rows,
        "row_block": blocks * layer.rows,
        "product_block": blocks * layer.elements,
        "row": plan.count * layer.rows,
        **_decoding(layer, plan.count),
    }


def _decoding(layer: Work, times: int) -> dict[str, int]:
    return {
        f"{layer.coding} element": times * layer.elements,
        f"{layer.coding} position byte": times * layer.position_bytes,
    }


def tiles(cpu: str, layer: Work) -> Tiles:
    """How the core's kernel divides its scratch, which only convolutions have.

    Raises:
      KeyError: if there is no such core.
    """
    scratch = _SCRATCH[cpu]
    if layer.op == packing.OP_FULLY_CONNECTED:
        return Tiles(1, 0)
    list_bytes, block_bytes = scratch.list_bytes(layer), scratch.block_bytes(layer)
    budget = layer.scratch_budget or DEFAULT_SCRATCH_BUDGET
    if budget < list_bytes + block_bytes:
        return Tiles(0, 0)
    blocks = -(-layer.vectors // scratch.block_pixels)
    most = (budget - list_bytes) // block_bytes
    # As few tiles as the budget allows, then of about the same size.
    tile_blocks = -(-blocks // -(-blocks // min(most, blocks)))
    return Tiles(-(-blocks // tile_blocks), list_bytes + tile_blocks * block_bytes)


def least_scratch(cpu: str, layer: Work) -> int:
    """Bytes with which the core's own kernel does; with less the portable one runs."""
    if layer.op == packing.OP_FULLY_CONNECTED:
        return 0
    return _SCRATCH[cpu].list_bytes(layer) + _SCRATCH[cpu].block_bytes(layer)


@dataclass(frozen=True)
class _Scratch:
    """What a convolution kernel takes scratch for: the list of a row's elements, and blocks of transposed pixels."""

    block_pixels: int
    list_bytes: Callable[[Work], int]
    block_bytes: Callable[[Work], int]


def _smlal_entries(layer: Work) -> int:
    """Elements that a list holds: those of a row, to whole groups, if that is one list."""
    return min(layer.cols + _GROUP_LANES - 1, 254)


# make_plan of conv1x1_smlal.c: sums, and totals if a row may take several lists.
_SMLAL = _Scratch(
    block_pixels=8,
    list_bytes=lambda layer: 8 * (_smlal_entries(layer) + 2),
    block_bytes=lambda layer: 16 * layer.cols + 32 * (1 if layer.cols + _GROUP_LANES - 1 <= 254 else 2),
)
# make_plan of conv1x1_c.c.
_C = _Scratch(
    block_pixels=8,
    list_bytes=lambda layer: 8 * min(layer.cols, 256),
    block_bytes=lambda layer: 16 * layer.cols + 32,
)

_SCRATCH = {
    "cortex-m0plus": _C,
    "cortex-m3": _SMLAL,
    "cortex-m4": _SMLAL,
    "cortex-m7": _SMLAL,
    "cortex-m33": _SMLAL,
    "cortex-m55": _SMLAL,
    "cortex-m85": _SMLAL,
}

# Names as in toolchains/cores.bzl.
CPUS = tuple(_SCRATCH)

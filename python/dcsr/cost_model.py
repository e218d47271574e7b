"""What a packed layer costs on a Cortex-M: instructions, estimated, and bytes of scratch, exactly.

The instructions of a kernel are a sum of counts that follow from the layer (how many columns are transposed, elements
decoded, products made), each times a constant of the core. The formula is here, the constants are in cost_constants.py,
which benchmarks/fit_cost_model.py writes. Scratch is computed as tflm_kernels/ does; benchmarks/cortex_m_test.py
compares both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dcsr import packing
from dcsr.encodings import Streams
from dcsr.requantize import INT8_MAX, INT8_MIN

DEFAULT_CPU = "cortex-m55"
# What a kernel may ask for if the packed layer does not say (tflm_kernels/kernels.c).
DEFAULT_SCRATCH_BUDGET = 80 * 1024

_VECTOR_PIXELS = 8  # what the inner loop of a convolution takes at a time, on every core
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
      slow_rows: rows whose requantisation the vector kernel does not do with vectors.
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
    slow_rows: int = 0
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
    """Which kernel a convolution gets, and how that divides its scratch.

    Attributes:
      kernel: its name in cost_constants.py; PORTABLE if scratch is too small for the core's own.
      pixels: of a tile; the last one may have fewer.
      count: of tiles, each of which decodes the layer.
      bytes: of scratch.
    """

    kernel: str
    pixels: int
    count: int
    bytes: int


PORTABLE = "conv1x1_ref"


def work(packed: packing.PackedLayer, vectors: int) -> Work:
    """What the cost of a packed layer depends on, multiplied with so many vectors."""
    streams = packed.streams
    lengths = streams.row_lengths
    return Work(
        op=packed.op,
        coding=coding(streams),
        rows=streams.rows,
        cols=streams.cols,
        elements=len(streams.values),
        longest_row=streams.cols if lengths is None else int(lengths.max(initial=0)),
        position_bytes=streams.position_bytes,
        vectors=vectors,
        slow_rows=_slow_rows(packed),
        scratch_budget=packed.scratch_budget,
    )


def _slow_rows(packed: packing.PackedLayer) -> int:
    """Rows that conv1x1_mve.c leaves to its C code: a shift to the left, or a bias that its sums have no room for."""
    clamps = (packed.activation_min, packed.activation_max) != (INT8_MIN, INT8_MAX)
    in_full = clamps or packed.output_zero_point != packed.activation_min
    slow = (packed.shift > (-1 if in_full else 0)) | (np.abs(packed.bias.astype(np.int64)) > 1 << 22)
    return int(np.count_nonzero(np.broadcast_to(slow, packed.bias.shape)))


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

    What depends on the coding is named after it. What is never done is not named.
    """
    plan = tiles(cpu, layer)
    if plan.kernel == "conv1x1_mve":
        counts = _mve_counts(layer, plan)
    elif layer.op == packing.OP_FULLY_CONNECTED:
        counts = {"row": layer.vectors * layer.rows}
    elif plan.kernel == PORTABLE:
        counts = {
            "output": layer.vectors * layer.rows,
            "product": layer.vectors * layer.elements,
            "row": plan.count * layer.rows,
        }
    else:
        blocks = -(-layer.vectors // _VECTOR_PIXELS)
        counts = {
            "input": layer.vectors * layer.cols,
            "output": layer.vectors * layer.rows,
            "row": plan.count * layer.rows,
            "row block": blocks * layer.rows,
            "product block": blocks * layer.elements,
        }
    decodings = layer.vectors if layer.op == packing.OP_FULLY_CONNECTED else plan.count
    counts |= {
        "layer": 1,
        f"{layer.coding} element": decodings * layer.elements,
        f"{layer.coding} position byte": decodings * layer.position_bytes,
    }
    return plan.kernel, {name: count for name, count in counts.items() if count}


def _mve_counts(layer: Work, plan: Tiles) -> dict[str, int]:
    """A row has costs for each block of up to 32 pixels, and for each vector in it."""
    sizes = [plan.pixels] * (plan.count - 1) + [layer.vectors - plan.pixels * (plan.count - 1)]
    runs = [_mve_blocks(max(size, _VECTOR_PIXELS)) for size in sizes]
    blocks, vectors = (sum(column) for column in zip(*runs, strict=True))
    fast_rows = layer.rows - layer.slow_rows
    fast_elements = layer.elements * fast_rows // layer.rows
    return {
        "input": layer.vectors * layer.cols,
        "row": plan.count * layer.rows,
        "row block": blocks * fast_rows,
        "row vector": vectors * fast_rows,
        "product block": blocks * fast_elements,
        "product vector": vectors * fast_elements,
        "slow output": layer.vectors * layer.slow_rows,
        "slow product": layer.vectors * (layer.elements - fast_elements),
    }


def _mve_blocks(pixels: int) -> tuple[int, int]:
    """(blocks, vectors) that plan_runs of conv1x1_mve.c cuts a tile into; the last of a width may overlap."""
    done = blocks = vectors = 0
    for width in (32, 16, 8):
        count, rest = divmod(pixels - done, width)
        count += rest > width - _VECTOR_PIXELS
        if count == 0 or pixels < width:
            continue
        done += count * width
        blocks += count
        vectors += count * width // _VECTOR_PIXELS
        if done >= pixels:
            break
    return blocks, vectors


def tiles(cpu: str, layer: Work) -> Tiles:
    """What scratch of the layer's budget is for on a core: nothing for a FULLY_CONNECTED.

    Raises:
      KeyError: if there is no such core.
    """
    kernels = _CONVOLUTIONS[cpu]
    if layer.op == packing.OP_FULLY_CONNECTED:
        return Tiles("fully_connected", layer.vectors, 1, 0)
    budget = layer.scratch_budget or DEFAULT_SCRATCH_BUDGET
    for kernel in kernels:
        if found := kernel(layer, budget):
            return found
    return Tiles(PORTABLE, _REFERENCE_TILE, -(-layer.vectors // _REFERENCE_TILE), 0)


def least_scratch(cpu: str, layer: Work) -> int:
    """The smallest budget with which the portable kernel is not needed."""
    low, high = 0, 1 << 30
    while low < high:
        budget = (low + high) // 2
        if tiles(cpu, dataclasses.replace(layer, scratch_budget=max(budget, 1))).kernel == PORTABLE:
            low = budget + 1
        else:
            high = budget
    return low


# make_plan of the kernels: None if they do not take the layer with the budget.


def _mve_tiles(layer: Work, budget: int) -> Tiles | None:
    """conv1x1_mve.c: a list of words for the longest row, and pixels in blocks of 32, 16 and 8."""
    if layer.vectors < _VECTOR_PIXELS or layer.cols > 2048 or layer.rows > 9362:
        return None
    # dcsr_word_reader_bytes of row_words_mve.c.
    words = 2 * layer.longest_row + 1 + _GROUP_LANES
    list_bytes = 4 * words + _round_up(layer.longest_row + _GROUP_LANES, 4)
    most = max(budget - list_bytes, 0) // (_VECTOR_PIXELS * layer.cols) * _VECTOR_PIXELS
    if most < _VECTOR_PIXELS:
        return None
    tile = _round_up(layer.vectors, _VECTOR_PIXELS)
    if most < tile:
        unit = next(width for width in (32, 16, 8) if most >= width)
        tile = _round_up(-(-layer.vectors // -(-layer.vectors // (most // unit * unit))), unit)
    return Tiles("conv1x1_mve", tile, -(-layer.vectors // tile), list_bytes + tile * layer.cols)


def _smlal_tiles(layer: Work, budget: int) -> Tiles | None:
    """conv1x1_smlal.c: sums of a block's pixels, and totals if a row may take several lists."""
    longest = layer.cols + _GROUP_LANES - 1
    list_bytes = 8 * (min(longest, 254) + 2)
    block_bytes = 16 * layer.cols + 32 * (1 if longest <= 254 else 2)
    return _tiles_of_blocks("conv1x1_smlal", layer, budget, list_bytes, block_bytes)


def _c_tiles(layer: Work, budget: int) -> Tiles | None:
    """conv1x1_c.c."""
    return _tiles_of_blocks("conv1x1_c", layer, budget, 8 * min(layer.cols, 256), 16 * layer.cols + 32)


def _tiles_of_blocks(kernel: str, layer: Work, budget: int, list_bytes: int, block_bytes: int) -> Tiles | None:
    """As few tiles of blocks of 8 pixels as the budget allows, of about the same size."""
    most = (budget - list_bytes) // block_bytes
    if most < 1:
        return None
    blocks = -(-layer.vectors // _VECTOR_PIXELS)
    tile_blocks = -(-blocks // -(-blocks // min(most, blocks)))
    return Tiles(
        kernel, tile_blocks * _VECTOR_PIXELS, -(-blocks // tile_blocks), list_bytes + tile_blocks * block_bytes
    )


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


# What dcsr_conv1x1 (tflm_kernels/kernels.c) tries, in this order, before the portable kernel.
_CONVOLUTIONS: dict[str, tuple[Callable[[Work, int], Tiles | None], ...]] = {
    "cortex-m0plus": (_c_tiles,),
    "cortex-m3": (_smlal_tiles,),
    "cortex-m4": (_smlal_tiles,),
    "cortex-m7": (_smlal_tiles,),
    "cortex-m33": (_smlal_tiles,),
    "cortex-m55": (_mve_tiles, _smlal_tiles),
    "cortex-m85": (_mve_tiles, _smlal_tiles),
}

# Names as in toolchains/cores.bzl.
CPUS = tuple(_CONVOLUTIONS)

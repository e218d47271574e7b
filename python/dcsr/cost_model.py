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

from dcsr import encodings, packing
from dcsr.encodings import Streams
from dcsr.requantize import INT8_RANGE

DEFAULT_CPU = "cortex-m55"
_VECTOR_PIXELS = 8  # what the inner loop of a convolution takes at a time, on every core
_GROUP_LANES = 16
_GATHER_PIXELS, _DECODED_GATHER_PIXELS = 36, 12  # up to which a core with vectors gathers (kernels.c)
_GATHER_TILE, _GATHER_CHUNK = 20, 5  # pixels that share the decoding of a row, and the loading of a group
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
      is_modelled: whether the filter is 1x1 and activations are int8; nothing is known of the cost of others.
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
    is_modelled: bool = True


@dataclass(frozen=True)
class Estimate:
    """The cost of a packed layer on a core.

    Attributes:
      instructions: None if the core has no constants for the coding, or the layer is not modelled.
      scratch_bytes: what its kernel asks for; the most that it may if the layer is not modelled.
    """

    instructions: int | None
    scratch_bytes: int


@dataclass(frozen=True)
class Plan:
    """Which kernel a layer gets, and how that divides its scratch.

    Attributes:
      kernel: its name in cost_constants.py; PORTABLE if scratch is too small for the core's own.
      pixels: of a block of conv1x1_mve, else of a tile, for which the layer is decoded once; the last may have fewer.
      passes: tiles, each of which decodes the layer; of conv1x1_mve the times that it goes through the blocks.
      bytes: of scratch.
    """

    kernel: str
    pixels: int
    passes: int
    bytes: int


PORTABLE = "conv1x1_ref"
_NOT_MODELLED = "not modelled"


def work(packed: packing.PackedLayer, vectors: int) -> Work:
    """What the cost of a packed layer depends on, multiplied with so many vectors."""
    streams = packed.streams
    return Work(
        op=packed.op,
        coding=coding(streams),
        rows=streams.rows,
        cols=streams.cols,
        elements=len(streams.values),
        longest_row=int(encodings.row_lengths(streams).max()),
        position_bytes=streams.position_bytes,
        vectors=vectors,
        slow_rows=_slow_rows(packed),
        scratch_budget=packed.scratch_budget,
        is_modelled=packed.filter_size == (1, 1) and not packed.int16_activations,
    )


def _slow_rows(packed: packing.PackedLayer) -> int:
    """Rows that conv1x1_mve.c leaves to its C code: a shift to the left, or a bias that its sums have no room for."""
    clamps = (packed.activation_min, packed.activation_max) != INT8_RANGE
    in_full = clamps or packed.output_zero_point != packed.activation_min
    slow = (packed.shift > (-1 if in_full else 0)) | (packed.bias < -(1 << 22)) | (packed.bias >= 1 << 22)
    return int(np.count_nonzero(np.broadcast_to(slow, packed.bias.shape)))


def coding(streams: Streams) -> str:
    """How a kernel sees the streams: the encoding, of dcsr with its base width, and the value coding if not plain."""
    width = str(streams.index_parameter) if streams.encoding == "dcsr" else ""
    values = "" if streams.value_coding == encodings.PLAIN else f"+{streams.value_coding}"
    return streams.encoding + width + values


def estimate(cpu: str, layer: Work) -> Estimate:
    """The cost of `layer` on the core named `cpu`; on an M85, which is emulated by an M55, that on an M55.

    Raises:
      KeyError: if there is no such core.
    """
    from dcsr.cost_constants import CONSTANTS

    if not layer.is_modelled:
        return Estimate(None, plan(cpu, layer).bytes)
    kernel, counts = structure(cpu, layer)
    constants = CONSTANTS["cortex-m55" if cpu == "cortex-m85" else cpu].get(kernel, {})
    instructions = None
    if all(name in constants for name in counts):
        instructions = round(sum(constants[name] * count for name, count in counts.items()))
    return Estimate(instructions, plan(cpu, layer).bytes)


def structure(cpu: str, layer: Work) -> tuple[str, dict[str, int]]:
    """(the kernel that a layer gets, what it does how often); a constant of the core stands for each name.

    What depends on the coding is named after it. What is never done is not named.
    """
    found = plan(cpu, layer)
    decodings = readers = found.passes
    if layer.op == packing.OP_FULLY_CONNECTED:
        decodings = readers = layer.vectors
        counts = {f"{layer.coding} row": layer.vectors * layer.rows}
    elif found.kernel == "conv1x1_mve":
        decodings = readers = 1
        counts = _mve_counts(layer, found)
    elif found.kernel == "conv1x1_gather_mve":
        # Groups are loaded anew for every chunk of pixels.
        decodings = -(-layer.vectors // _GATHER_CHUNK)
        counts = {"output": layer.vectors * layer.rows, f"{layer.coding} row": decodings * layer.rows}
        if layer.coding not in ("offset8", "dcsr8"):
            counts[f"{layer.coding} decoded row"] = found.passes * layer.rows
            counts[f"{layer.coding} decoded element"] = found.passes * layer.elements
    elif found.kernel == PORTABLE:
        counts = {
            "output": layer.vectors * layer.rows,
            "product": layer.vectors * layer.elements,
            "row": found.passes * layer.rows,
        }
    else:
        blocks = -(-layer.vectors // _VECTOR_PIXELS)
        counts = {
            "input": layer.vectors * layer.cols,
            "output": layer.vectors * layer.rows,
            "row": found.passes * layer.rows,
            "row block": blocks * layer.rows,
            "product block": blocks * layer.elements,
        }
    counts |= {
        "layer": 1,
        f"{layer.coding} element": decodings * layer.elements,
        f"{layer.coding} position byte": decodings * layer.position_bytes,
    }
    if layer.coding.endswith(f"+{encodings.HUFFMAN}"):
        counts["table of codes"] = readers
    return found.kernel, {name: count for name, count in counts.items() if count}


def mve_blocks(layer: Work, found: Plan) -> tuple[int, int]:
    """Blocks of up to 32 pixels, and vectors of 8 pixels in all of them, that conv1x1_mve.c goes through in a pass."""
    blocks = vectors = first = 0
    while first < layer.vectors:
        # block_width of conv1x1_mve.c: the last blocks may overlap those before.
        width, left = found.pixels, layer.vectors - first
        while width > _VECTOR_PIXELS and (left <= width - _VECTOR_PIXELS or layer.vectors < width):
            width //= 2
        first += width
        blocks += 1
        vectors += width // _VECTOR_PIXELS
    return blocks, vectors


def _mve_counts(layer: Work, found: Plan) -> dict[str, int]:
    """A row has costs for each block, and for each vector in it."""
    blocks, vectors = mve_blocks(layer, found)
    fast_rows = layer.rows - layer.slow_rows
    fast_elements = layer.elements * fast_rows // layer.rows
    return {
        "input": layer.vectors * layer.cols * (found.passes if blocks > 1 else 1),
        "row": layer.rows,
        "row block": blocks * fast_rows,
        "row vector": vectors * fast_rows,
        "product block": blocks * fast_elements,
        "product vector": vectors * fast_elements,
        "slow output": layer.vectors * layer.slow_rows,
        "slow product": layer.vectors * (layer.elements - fast_elements),
    }


def plan(cpu: str, layer: Work) -> Plan:
    """The kernel of a layer on a core, and what its scratch is for: nothing for a FULLY_CONNECTED.

    Raises:
      KeyError: if there is no such core.
    """
    core = _CORES[cpu]
    if not layer.is_modelled:
        budget = layer.scratch_budget or core.scratch_budget
        return Plan(_NOT_MODELLED, layer.vectors, 1, budget if layer.op == packing.OP_CONV_2D else 0)
    if layer.op == packing.OP_FULLY_CONNECTED:
        return Plan("fully_connected", layer.vectors, 1, 0)
    for kernel in core.convolutions:
        if found := kernel(layer, layer.scratch_budget or core.scratch_budget):
            return found
    return Plan(PORTABLE, _REFERENCE_TILE, -(-layer.vectors // _REFERENCE_TILE), 0)


def dense_instructions(cpu: str, is_depthwise: bool, outputs: int, products: int) -> int:
    """What a convolution or FULLY_CONNECTED takes, about, that is not packed.

    A yardstick for what packed layers take, hence rough, and rather too low. It is a line through the dense 1x1
    convolutions of docs/results.md#cortex-m; of a DEPTHWISE_CONV_2D, what CMSIS-NN's takes for a product in DS-CNN and
    MobileNetV2 on a Cortex-M55, if a product of the line is not more.

    Args:
      cpu: one of CPUS.
      is_depthwise: whether it is a DEPTHWISE_CONV_2D.
      outputs: values that it computes.
      products: of an output (MACs).
    """
    core = _CORES[cpu]
    product = max(core.dense_product, _DEPTHWISE_PRODUCT) if is_depthwise else core.dense_product
    return round(outputs * (core.dense_output + products * product))


def default_scratch(cpu: str) -> int:
    """Bytes of scratch that a kernel may ask for if the packed layer does not say."""
    return _CORES[cpu].scratch_budget


def least_scratch(cpu: str, layer: Work) -> int:
    """The smallest budget with which the portable kernel is not needed."""
    low, high = 0, 1 << 30
    while low < high:
        budget = (low + high) // 2
        if plan(cpu, dataclasses.replace(layer, scratch_budget=max(budget, 1))).kernel == PORTABLE:
            low = budget + 1
        else:
            high = budget
    return low


# make_plan of the kernels: None if they do not take the layer with the budget.


def _gather_plan(layer: Work, _: int) -> Plan | None:
    """conv1x1_gather_mve.c."""
    if layer.vectors > (_GATHER_PIXELS if layer.coding in ("offset8", "rle") else _DECODED_GATHER_PIXELS):
        return None
    return Plan("conv1x1_gather_mve", _GATHER_TILE, -(-layer.vectors // _GATHER_TILE), 0)


def _mve_plan(layer: Work, budget: int) -> Plan | None:
    """conv1x1_mve.c: a block of pixels, a decoded row, and programs of as many rows as there is room for."""
    if layer.vectors < _VECTOR_PIXELS or layer.rows > 9362:
        return None
    header_words = 5
    most = layer.longest_row + _GROUP_LANES
    row_bytes = 4 * most + _round_up(most, 4)
    least = 4 * (2 * header_words + 1 + 3 * layer.longest_row + 1)
    rows = 4 * (layer.rows * (header_words + 1) + layer.elements * 5 // 2)
    for width in (32, 16, 8):
        block = layer.cols * width
        left = budget - block - row_bytes
        if block > 1 << 16 or left < least:
            continue
        if width > _VECTOR_PIXELS and (width // 2 >= layer.vectors or left < min(rows + least, block)):
            continue
        programs = min(left, rows + least) // 4 * 4
        if _round_up(block, 4) + row_bytes + programs > budget:
            programs -= 4
        passes = -(-rows // max(programs - least, 1))
        return Plan("conv1x1_mve", width, min(passes, layer.rows), _round_up(block, 4) + row_bytes + programs)
    return None


def _smlal_plan(layer: Work, budget: int) -> Plan | None:
    """conv1x1_smlal.c: sums of a block's pixels, and totals if a row may take several lists."""
    longest = layer.cols + _GROUP_LANES - 1
    list_bytes = 8 * (min(longest, 254) + 2)
    block_bytes = 16 * layer.cols + 32 * (1 if longest <= 254 else 2)
    return _plan_of_blocks("conv1x1_smlal", layer, budget, list_bytes, block_bytes)


def _c_plan(layer: Work, budget: int) -> Plan | None:
    """conv1x1_c.c."""
    return _plan_of_blocks("conv1x1_c", layer, budget, 8 * min(layer.cols, 256), 16 * layer.cols + 32)


def _plan_of_blocks(kernel: str, layer: Work, budget: int, list_bytes: int, block_bytes: int) -> Plan | None:
    """As few tiles of blocks of 8 pixels as the budget allows, of about the same size."""
    most = (budget - list_bytes) // block_bytes
    if most < 1:
        return None
    blocks = -(-layer.vectors // _VECTOR_PIXELS)
    tile_blocks = -(-blocks // -(-blocks // min(most, blocks)))
    return Plan(kernel, tile_blocks * _VECTOR_PIXELS, -(-blocks // tile_blocks), list_bytes + tile_blocks * block_bytes)


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


@dataclass(frozen=True)
class _Core:
    """What tflm_kernels/kernels.c has a core do.

    Attributes:
      scratch_budget: bytes, if the packed layer does not say.
      convolutions: what dcsr_conv1x1 tries, in this order, before the portable kernel.
      dense_output, dense_product: instructions for an output, and for each product of one, in dense 1x1 convolutions.
    """

    scratch_budget: int
    convolutions: tuple[Callable[[Work, int], Plan | None], ...]
    dense_output: float
    dense_product: float


_DEPTHWISE_PRODUCT = 2.3
_WITH_DSP = _Core(32 * 1024, (_smlal_plan,), 43, 1.06)
_WITH_MVE = _Core(48 * 1024, (_gather_plan, _mve_plan, _smlal_plan), 12, 0.164)

_CORES = {
    "cortex-m0plus": _Core(32 * 1024, (_c_plan,), 120, 4.74),
    "cortex-m3": _Core(32 * 1024, (_smlal_plan,), 41, 2.37),
    "cortex-m4": _WITH_DSP,
    "cortex-m7": _WITH_DSP,
    "cortex-m33": _WITH_DSP,
    "cortex-m55": _WITH_MVE,
    "cortex-m85": _WITH_MVE,
}

# Names as in toolchains/cores.bzl.
CPUS = tuple(_CORES)

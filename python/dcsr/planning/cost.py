"""The cost of a packed layer on a Cortex-M: instructions, estimated, and bytes of scratch, exactly; and the cost of its
dense product.

The rest of the package uses `estimate`, `least_scratch`, `kept_instructions`, `default_scratch`, `coding`, `Shape`,
`Estimate`, `CPUS` and `DEFAULT_CPU`. The others, `Work` among them, are for the benchmarks that fit the constants.

The instructions of a kernel are a sum of counts that follow from the layer (how many columns are transposed, elements
decoded, products made), each times a constant of the core. The formula is here, the constants are in cost_constants.py,
which benchmarks/fit_cost_model.py writes. A larger filter takes several kernels, one that copies patches and those for
1x1 filters on them. Scratch is computed as tflm_kernels/ does; benchmarks/cortex_m_test.py compares both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import encodings, packing
from dcsr.encodings import Streams, dcsr
from dcsr.requantize import INT8_RANGE

DEFAULT_CPU = "cortex-m55"
_VECTOR_PIXELS = 8  # what the inner loop of a convolution takes at a time, on every core
_GROUP_LANES = 16
_GATHER_PIXELS, _DECODED_GATHER_PIXELS = 36, 12  # up to which a core with vectors gathers (kernels.c)
_GATHER_TILE, _GATHER_CHUNK = 20, 5  # pixels that share the decoding of a row, and the loading of a group
_REFERENCE_TILE = 32  # vectors for which the portable kernel decodes a layer once
_TILE_STEP = 8  # pixels that conv2d_im2col.c has at least, and by which its tiles grow
_MOST_SCRATCH = 1 << 28  # that conv2d_im2col.c takes into account
_INT16_BLOCK, _INT16_LIST = 4, 256  # pixels and list entries of conv2d_int16_c.c


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
      fillers: elements of value 0.
      wide_groups: of dcsr, those with more than 256 columns between the first and the last.
      taps: of the filter.
      pieces: that the patches of a larger filter are copied in; 0 with a 1x1 filter.
      int16_activations: whether they are int16; else int8.
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
    fillers: int = 0
    wide_groups: int = 0
    taps: int = 1
    pieces: int = 0
    int16_activations: bool = False


@dataclass(frozen=True)
class Shape:
    """The size of a layer's input and output.

    Attributes:
      vectors: output pixels of a convolution, in all images, or batches of a FULLY_CONNECTED.
      input_size, output_size: (height, width) of the images of a convolution; they matter with larger filters only.
    """

    vectors: int
    input_size: tuple[int, int] = (1, 1)
    output_size: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Estimate:
    """The cost of a packed layer on a core.

    Attributes:
      instructions: None if the core has no constants for the coding.
      scratch_bytes: what its kernel asks for.
      dense_instructions: of the layer's dense product (baseline/dense_baseline.h); None without constants for it.
      kernel: name of the kernel that runs the layer.
      is_portable: whether scratch is too small for the core's own kernel.
    """

    instructions: int | None
    scratch_bytes: int
    dense_instructions: int | None = None
    kernel: str = ""
    is_portable: bool = False

    @property
    def slowdown(self) -> float:
        """Instructions over those of the dense product; 0 if either is not known."""
        return self.instructions / self.dense_instructions if self.instructions and self.dense_instructions else 0


@dataclass(frozen=True)
class Plan:
    """Which kernel a layer gets, and how that divides its scratch.

    Attributes:
      kernel: its name in cost_constants.py.
      pixels: of a block of conv1x1_mve, else of a tile, for which the layer is decoded once; the last may have fewer.
      passes: tiles, each of which decodes the layer; of conv1x1_mve the times that it goes through the blocks.
      bytes: of scratch.
      kernel_bytes: of these, what conv2d_im2col has for the kernel that it calls.
    """

    kernel: str
    pixels: int
    passes: int
    bytes: int
    kernel_bytes: int = 0

    @property
    def is_portable(self) -> bool:
        """Whether scratch is too small for the core's own kernel."""
        return self.kernel in _PORTABLE.values()


# By whether the filter is larger than 1x1, and activations are int16.
_PORTABLE = {
    (False, False): "conv1x1_ref",
    (True, False): "conv2d_ref",
    (False, True): "conv2d_int16_ref",
    (True, True): "conv2d_int16_ref",
}


def work(packed: packing.PackedLayer, shape: Shape) -> Work:
    """What the cost of a packed layer depends on, multiplied with what has the shape."""
    streams = packed.streams
    taps = packed.filter_size[0] * packed.filter_size[1]
    return Work(
        op=packed.op,
        coding=coding(streams),
        rows=streams.rows,
        cols=streams.cols,
        elements=len(streams.values),
        longest_row=int(encodings.row_lengths(streams).max()),
        position_bytes=streams.position_bytes,
        vectors=shape.vectors,
        slow_rows=_slow_rows(packed),
        scratch_budget=packed.scratch_budget,
        fillers=len(streams.values) - int(np.count_nonzero(streams.values)),
        wide_groups=dcsr.wide_groups(streams) if streams.encoding == dcsr.NAME else 0,
        taps=taps,
        pieces=_pieces(packed, shape) if taps > 1 else 0,
        int16_activations=packed.int16_activations,
    )


def _pieces(packed: packing.PackedLayer, shape: Shape) -> int:
    """How many pieces conv2d_im2col.c copies patches in, or fills: of a row of the filter one if it lies within the
    image, or above or below; else one for each tap.
    """
    (height, width), (out_height, out_width) = shape.input_size, shape.output_size
    tops, lefts = (
        _first_taps(*sizes)
        for sizes in zip(
            shape.input_size, shape.output_size, packed.filter_size, packed.dilation, packed.stride, strict=True
        )
    )
    rows = tops[:, np.newaxis] + np.arange(packed.filter_size[0]) * packed.dilation[0]
    rows_inside = int(np.count_nonzero((rows >= 0) & (rows < height)))
    rows_outside = rows.size - rows_inside
    whole = (lefts >= 0) & (lefts + packed.filter_size[1] <= width) & (packed.dilation[1] == 1)
    pieces_of_rows = int(np.where(whole, 1, packed.filter_size[1]).sum())
    images = shape.vectors // (out_height * out_width)
    return images * (rows_inside * pieces_of_rows + rows_outside * out_width)


def _first_taps(size: int, out_size: int, taps: int, dilation: int, stride: int) -> NDArray[Any]:
    """Along one dimension, where in the image the first tap of each output pixel is (conv_geometry.h)."""
    padding = max((out_size - 1) * stride + (taps - 1) * dilation + 1 - size, 0) // 2
    return np.arange(out_size) * stride - padding


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


def estimate(cpu: str, packed: packing.PackedLayer, shape: Shape) -> Estimate:
    """The cost of a packed layer on the core named `cpu`.

    Args:
      cpu: one of CPUS; an M85, which is emulated by an M55, has the cost of an M55.
      packed: the layer.
      shape: of its input and output.

    Raises:
      KeyError: if there is no such core.
    """
    return estimate_work(cpu, work(packed, shape))


def estimate_work(cpu: str, layer: Work) -> Estimate:
    """As estimate(), of a layer known by its Work only.

    Raises:
      KeyError: if there is no such core.
    """
    from dcsr.planning.cost_constants import CONSTANTS

    constants = CONSTANTS["cortex-m55" if cpu == "cortex-m85" else cpu]
    found = plan(cpu, layer)
    return Estimate(
        instructions(constants, parts(cpu, layer)),
        found.bytes,
        instructions(constants, dense_parts(cpu, layer)),
        found.kernel,
        found.is_portable,
    )


def dense_parts(cpu: str, layer: Work) -> dict[str, dict[str, int]]:
    """As parts(), of the dense product; how the layer is encoded does not matter."""
    is_convolution = layer.op == packing.OP_CONV_2D
    if is_convolution:
        name = "dense_conv1x1" if layer.taps == 1 and not layer.int16_activations else "dense_conv2d"
    else:
        name = "dense_fully_connected"
    outputs = layer.vectors * layer.rows
    # Vectors are not filled at the end of a row.
    lanes = (_GROUP_LANES // 2 if layer.int16_activations else _GROUP_LANES) if _CORES[cpu] is _WITH_MVE else 1
    counts = {"layer": 1, "output": outputs, "product": outputs * _round_up(layer.cols, lanes)}
    if is_convolution:
        # With int16 activations patches are copied tap by tap, those of a 1x1 filter too.
        pieces = layer.vectors * layer.taps if layer.int16_activations else layer.pieces
        counts |= {"input": layer.vectors * layer.cols, "patch": layer.vectors, "piece": pieces}
    return {name + "_int16" * layer.int16_activations: {name: count for name, count in counts.items() if count}}


def instructions(constants: dict[str, dict[str, float]], counts: dict[str, dict[str, int]]) -> int | None:
    """What the counts of kernels add up to, with the constants of a core; None if it does not have them all."""
    total = 0.0
    for kernel, of_kernel in counts.items():
        known = constants.get(kernel, {})
        if not all(name in known for name in of_kernel):
            return None
        total += sum(known[name] * count for name, count in of_kernel.items())
    return round(total)


def parts(cpu: str, layer: Work) -> dict[str, dict[str, int]]:
    """For each kernel that a layer takes, what it does how often: one kernel but for a larger filter.

    conv2d_im2col comes first; the kernels for 1x1 filters that it calls follow.
    """
    found = plan(cpu, layer)
    result: dict[str, dict[str, int]] = {}
    if found.kernel == "conv2d_im2col":
        result[found.kernel] = {
            "layer": 1,
            "tile": found.passes,
            "patch": layer.vectors,
            "piece": layer.pieces,
            "byte": layer.vectors * layer.cols,
        }
    for tiles, product in products_1x1(cpu, layer):
        kernel, counts = structure(cpu, product)
        of_kernel = result.setdefault(kernel, {})
        for name, count in counts.items():
            of_kernel[name] = of_kernel.get(name, 0) + tiles * count
    return result


def products_1x1(cpu: str, layer: Work) -> list[tuple[int, Work]]:
    """[(how often, product)]: those that conv2d_im2col.c makes of a layer with a larger filter; others are one."""
    found = plan(cpu, layer)
    if found.kernel != "conv2d_im2col":
        return [(1, layer)]
    full_tiles, rest = divmod(layer.vectors, found.pixels)
    tiles = [(full_tiles, found.pixels), (1, rest)]
    # A budget of 0 would be the default.
    budget = max(found.kernel_bytes, 1)
    return [(number, _tile(layer, pixels, budget)) for number, pixels in tiles if number and pixels]


def _tile(layer: Work, pixels: int, budget: int) -> Work:
    """The 1x1 convolution that conv2d_im2col.c makes of some pixels."""
    return dataclasses.replace(layer, vectors=pixels, taps=1, pieces=0, scratch_budget=budget)


def structure(cpu: str, layer: Work) -> tuple[str, dict[str, int]]:
    """(the kernel that a layer gets, what it does how often); a constant of the core stands for each name.

    What depends on the coding is named after it. What is never done is not named. Not for conv2d_im2col.
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
    elif found.is_portable:
        counts = {
            "output": layer.vectors * layer.rows,
            "product": layer.vectors * layer.elements,
            "row": found.passes * layer.rows,
        }
    elif found.kernel == "conv2d_int16_c":
        counts = _int16_counts(layer, found)
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
        f"{layer.coding} wide group": decodings * layer.wide_groups,
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


def _int16_counts(layer: Work, found: Plan) -> dict[str, int]:
    """Pixels are filled up to whole blocks, which multiply a row's nonzeros a list at a time."""
    blocks = -(-layer.vectors // _INT16_BLOCK)
    nonzeros = layer.elements - layer.fillers
    lists = -(-nonzeros // (layer.rows * (_INT16_LIST - _GROUP_LANES // 2))) if layer.cols > _INT16_LIST else 1
    return {
        "input": blocks * _INT16_BLOCK * layer.cols,
        "tap": blocks * _INT16_BLOCK * layer.taps,
        "output": layer.vectors * layer.rows,
        "row": found.passes * layer.rows,
        "row block": blocks * layer.rows * max(lists, 1),
        "product block": blocks * nonzeros,
    }


def plan(cpu: str, layer: Work) -> Plan:
    """The kernel of a layer on a core, and what its scratch is for: nothing for a FULLY_CONNECTED.

    Raises:
      KeyError: if there is no such core.
    """
    core = _CORES[cpu]
    if layer.op == packing.OP_FULLY_CONNECTED:
        return Plan("fully_connected_int16" if layer.int16_activations else "fully_connected", layer.vectors, 1, 0)
    budget = layer.scratch_budget or core.scratch_budget
    if layer.int16_activations:
        found = _int16_plan(layer, budget)
    elif layer.taps > 1:
        found = _im2col_plan(core, layer, budget)
    else:
        found = _conv1x1_plan(core, layer, budget)
    portable = _PORTABLE[layer.taps > 1, layer.int16_activations]
    return found or Plan(portable, _REFERENCE_TILE, -(-layer.vectors // _REFERENCE_TILE), 0)


def kept_instructions(cpu: str, is_depthwise: bool, outputs: int, products: int) -> int:
    """A rough count of instructions for a convolution or FULLY_CONNECTED that stays dense, of any type and weights.

    It is a yardstick for the cost of packed layers, and rather too low. It is a line through the dense 1x1
    convolutions of docs/results.md#cortex-m; of a DEPTHWISE_CONV_2D, what CMSIS-NN's takes for a product in DS-CNN and
    MobileNetV2 on a Cortex-M55, if a product of the line is not more.

    Args:
      cpu: one of CPUS.
      is_depthwise: whether it is a DEPTHWISE_CONV_2D.
      outputs: values that it computes.
      products: of an output (MACs).
    """
    core = _CORES[cpu]
    if is_depthwise:
        return round(outputs * products * max(core.dense_product, _DEPTHWISE_PRODUCT))
    return round(outputs * (core.dense_output + products * core.dense_product))


def default_scratch(cpu: str) -> int:
    """Bytes of scratch that a kernel may ask for if the packed layer does not say."""
    return _CORES[cpu].scratch_budget


def least_scratch(cpu: str, packed: packing.PackedLayer, shape: Shape) -> int:
    """The smallest scratch budget, in bytes, with which the core's own kernel runs the layer."""
    return least_scratch_of_work(cpu, work(packed, shape))


def least_scratch_of_work(cpu: str, layer: Work) -> int:
    """As least_scratch(), of a layer known by its Work only."""
    low, high = 0, 1 << 30
    while low < high:
        budget = (low + high) // 2
        if plan(cpu, dataclasses.replace(layer, scratch_budget=max(budget, 1))).is_portable:
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


def _plan_of_blocks(
    kernel: str, layer: Work, budget: int, list_bytes: int, block_bytes: int, block_pixels: int = _VECTOR_PIXELS
) -> Plan | None:
    """As few tiles of blocks as the budget allows, of about the same size."""
    most = (budget - list_bytes) // block_bytes
    if most < 1:
        return None
    blocks = -(-layer.vectors // block_pixels)
    tile_blocks = -(-blocks // -(-blocks // min(most, blocks)))
    return Plan(kernel, tile_blocks * block_pixels, -(-blocks // tile_blocks), list_bytes + tile_blocks * block_bytes)


def _int16_plan(layer: Work, budget: int) -> Plan | None:
    """conv2d_int16_c.c: a list, sums, and activations of as few tiles as the budget allows."""
    list_bytes = 8 * min(layer.cols, _INT16_LIST)
    block_bytes = 2 * _INT16_BLOCK * layer.cols + 8 * _INT16_BLOCK
    return _plan_of_blocks("conv2d_int16_c", layer, budget, list_bytes, block_bytes, _INT16_BLOCK)


def _conv1x1_plan(core: _Core, layer: Work, budget: int) -> Plan | None:
    """That of the first kernel which takes the layer."""
    return next((found for kernel in core.convolutions if (found := kernel(layer, budget))), None)


def _im2col_plan(core: _Core, layer: Work, budget: int) -> Plan | None:
    """conv2d_im2col.c: as few tiles as the budget allows, of about the same size."""
    asked_for = _im2col_tile(core, layer, budget)
    # The kernel plans anew with what it asked for.
    found = _im2col_tile(core, layer, asked_for.bytes) if asked_for else None
    return dataclasses.replace(found, bytes=asked_for.bytes) if found and asked_for else None


def _im2col_tile(core: _Core, layer: Work, budget: int) -> Plan | None:
    """make_plan of conv2d_im2col.c."""
    budget = min(budget, _MOST_SCRATCH)

    def tile(pixels: int) -> Plan | None:
        patch_bytes = _round_up(pixels * layer.cols, 16)
        inner = _conv1x1_plan(core, _tile(layer, pixels, 0), 4 * _MOST_SCRATCH)
        kernel_bytes = inner.bytes if inner else 0
        if pixels > budget // layer.cols or patch_bytes + kernel_bytes > budget:
            return None
        tiles = -(-layer.vectors // pixels)
        return Plan("conv2d_im2col", pixels, tiles, patch_bytes + kernel_bytes, kernel_bytes)

    whole = tile(layer.vectors)
    if whole or layer.vectors <= _TILE_STEP:
        return whole
    fits, most = 0, -(-layer.vectors // _TILE_STEP)
    while most - fits > 1:
        middle = fits + (most - fits) // 2
        if tile(middle * _TILE_STEP):
            fits = middle
        else:
            most = middle
    if not fits:
        return None
    tiles = -(-layer.vectors // (fits * _TILE_STEP))
    return tile(-(-layer.vectors // (tiles * _TILE_STEP)) * _TILE_STEP)


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


@dataclass(frozen=True)
class _Core:
    """What tflm_kernels/dispatch/kernels.c has a core do.

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

"""The time of operators that stay in TFLM, as CMSIS-NN's kernels run them.

As in cost.py, a time is a sum over counts, each multiplied by a constant of the core. The constants
(kept_constants.json) were fitted to builtin operators of many sizes (benchmarks/README.md). They leave out what TFLM's
interpreter takes for each operator, 200 to 650 instructions. TFLM has only portable kernels for MEAN, REDUCE_MAX,
QUANTIZE, and ADD and MUL of different shapes. Those of tflm_kernels/baseline were counted instead.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dcsr import model as tflite
from dcsr.graph import indices
from dcsr.planning import cost
from dcsr.planning.kernel_costs import Counts
from dcsr.schema import schema

_TYPE = schema.TensorType
_LANES = 16  # int8 elements of a vector
_BLOCK_CHANNELS = 124  # channels that a depthwise convolution takes at once with MVE (CH_IN_BLOCK_MVE)
_COPIES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CONCATENATION")
_REDUCTIONS = ("MEAN", "REDUCE_MAX")
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")


@dataclass(frozen=True)
class DenseWork:
    """The size of a layer that stays dense.

    Attributes:
      outputs: number of output values.
      products: products (MACs) per output value.
      rows: output channels.
      filter_size: (height, width) of a convolution, else (1, 1).
      is_depthwise: whether the layer is a DEPTHWISE_CONV_2D.
      is_plain: whether a DEPTHWISE_CONV_2D has neither a dilation nor a depth multiplier above 1.
      is_fully_connected: whether the layer is a FULLY_CONNECTED.
      run_pixels: pixels that a 1x1 convolution takes at a time: a row of the output if it has a stride; 0 for all.
      inside: number of pairs of a pixel and a tap that lies in the image; None if all do.
    """

    outputs: int
    products: int
    rows: int = 1
    filter_size: tuple[int, int] = (1, 1)
    is_depthwise: bool = False
    is_plain: bool = True
    is_fully_connected: bool = False
    run_pixels: int = 0
    inside: int | None = None


@dataclass(frozen=True)
class Kept:
    """A rough count of an operator that stays in TFLM.

    Attributes:
      instructions: of one inference.
      cycles: likewise; None if the core is not one of cost.CYCLE_CPUS.
    """

    instructions: int
    cycles: int | None = None

    @property
    def time(self) -> int:
        """Cycles or instructions, in the unit of the core."""
        return self.instructions if self.cycles is None else self.cycles


def kept(cpu: str, work: DenseWork) -> Kept:
    """Returns a rough count of a layer that stays dense.

    Args:
      cpu: one of cost.CPUS.
      work: the size of the layer.
    """
    found = _estimate(cpu, layer_counts(cpu, work))
    assert found is not None
    return found


def other(model: schema.ModelT, subgraph: int, operator: schema.OperatorT, cpu: str) -> Kept | None:
    """Returns a rough count of an operator without weights; None if it is unknown.

    Args:
      model: the model.
      subgraph: index of the operator's subgraph.
      operator: the operator.
      cpu: one of cost.CPUS.
    """
    counts = other_counts(model, subgraph, operator)
    return None if counts is None else _estimate(cpu, counts)


def _estimate(cpu: str, counts: Counts) -> Kept | None:
    constants = _constants()[cost.measured_core(cpu)]
    instructions = cost.time(constants[cost.INSTRUCTIONS], counts)
    if instructions is None:
        return None
    return Kept(instructions, cost.time(constants[cost.CYCLES], counts) if cpu in cost.CYCLE_CPUS else None)


def layer_counts(cpu: str, work: DenseWork) -> Counts:
    """Returns the counts of a layer that stays dense."""
    has_vectors = cost.has_vectors(cpu)
    rows, pixels = work.rows, max(work.outputs // work.rows, 1)
    taps = work.filter_size[0] * work.filter_size[1]
    cols = -(-work.products // _LANES) * _LANES if has_vectors else work.products
    if work.is_fully_connected:
        single = rows % (4 if has_vectors else 2 if cost.has_dsp(cpu) else 3)
        outputs = _outputs(pixels * (rows - single), pixels * single, cols)
        return _without_zeros("fully connected", {"layer": 1} | outputs)
    # Kernels take groups of pixels. Those that are left take longer.
    group = 4 if has_vectors else 2
    run = work.run_pixels if taps == 1 and work.run_pixels else pixels
    single = pixels // run * (run % group)
    inside = pixels * taps if work.inside is None else work.inside
    counts = {"layer": 1}
    if work.is_depthwise:
        if not work.is_plain:
            return {"other depthwise": counts | {"pixel": pixels, "output": work.outputs, "product": inside * rows}}
        if work.filter_size == (3, 3) and not has_vectors:
            return {"depthwise 3x3": counts | {"pixel": pixels, "output": work.outputs, "product": inside * rows}}
        if not cost.has_dsp(cpu):
            return {"depthwise": counts | {"pixel": pixels, "output": work.outputs, "product": inside * rows}}
        single = single if has_vectors else 0
        blocks = -(-rows // _BLOCK_CHANNELS) if has_vectors else 1
        channels = -(-rows // 4) * 4 if has_vectors else rows
        counts |= {"pixel": pixels * blocks, "tap": pixels * blocks * taps}
        counts |= _outputs((pixels - single) * channels, single * channels, taps)
        return _without_zeros("depthwise", counts)
    counts |= _outputs((pixels - single) * rows, single * rows, cols)
    if taps == 1:
        return _without_zeros("pointwise", counts | {"weight": rows * work.products})
    return _without_zeros("filter", counts | {"tap": pixels * taps, "byte": pixels * work.products})


def _outputs(grouped: int, single: int, products: int) -> dict[str, int]:
    return {
        "output": grouped,
        "product": grouped * products,
        "single output": single,
        "single product": single * products,
    }


def _without_zeros(kernel: str, counts: dict[str, int]) -> Counts:
    return {kernel: {name: count for name, count in counts.items() if count}}


def other_counts(model: schema.ModelT, subgraph: int, operator: schema.OperatorT) -> Counts | None:
    """Returns the counts of an operator without weights; None if it is unknown."""
    name = tflite.operator_name(model, operator)
    tensors = model.subgraphs[subgraph].tensors
    inputs = [index for index in indices(operator.inputs) if index >= 0]
    outputs = indices(operator.outputs)
    if not inputs or len(outputs) != 1:
        return None
    source, target = _shape(tensors[inputs[0]]), _shape(tensors[outputs[0]])
    types = tensors[inputs[0]].type, tensors[outputs[0]].type
    elements = math.prod(target)
    counts = {"layer": 1, "output": elements}
    if name in _COPIES:
        return {"copy": counts}
    if name in ("QUANTIZE", "DEQUANTIZE"):
        is_int8 = types == (_TYPE.INT8, _TYPE.INT8)
        return {"requantize" if is_int8 else name.lower(): counts}
    if name == "REDUCE_MAX" and types[0] == _TYPE.FLOAT32:
        return {"reduce max": counts | {"input": math.prod(source)}}
    if types[0] != _TYPE.INT8:
        return None
    if name in ("ADD", "MUL") and len(inputs) == 2:
        is_broadcast = math.prod(_shape(tensors[inputs[1]])) != math.prod(source)
        return {f"{name.lower()}{' broadcast' if is_broadcast else ''}": counts}
    if name in _REDUCTIONS:
        return {name.lower().replace("_", " "): counts | {"input": math.prod(source)}}
    options = operator.builtinOptions
    if name in _POOLS and len(target) == 4 and isinstance(options, schema.Pool2DOptionsT):
        window = options.filterHeight * options.filterWidth
        vectors = elements // target[3] * -(-target[3] // _LANES)
        more = {"vector": vectors, "tap": vectors * window, "product": elements * window}
        return {name.lower().replace("_", " "): counts | more | {"pixel": elements // target[3] * window}}
    if name in ("PAD", "PADV2") and target:
        return {"pad": counts | {"row": elements // target[-1]}}
    if name == "SOFTMAX":
        return {"softmax": counts}
    return None


def _shape(tensor: schema.TensorT) -> list[int]:
    return [max(int(dim), 1) for dim in ([] if tensor.shape is None else tensor.shape)]


@cache
def _constants() -> dict[str, dict[str, cost.KernelConstants]]:
    """Returns {core: {unit: constants}}."""
    found: dict[str, dict[str, cost.KernelConstants]] = json.loads(
        Path(__file__).with_name("kept_constants.json").read_text()
    )
    return found

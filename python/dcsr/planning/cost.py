"""The cost of a packed layer on a Cortex-M: estimated time, exact scratch, and the cost of its dense product.

The time of a kernel is a sum over counts (columns transposed, elements decoded, products computed), each multiplied by
a constant of the core. The counts come from the C code with which the kernels plan (kernel_costs.py). The constants are
data. benchmarks/fit_cost_model.py writes kernel_constants.json (instructions on all cores) and cycle_constants.json
(cycles on the cores of CYCLE_CPUS, for each memory); tail_constants.json is for compact rows. kept.py estimates
operators that stay in TFLM. The planner compares cycles where there are some, else instructions. The
Cortex-M85 has the constants of the M55.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dcsr import encodings, packing
from dcsr.encodings import Streams
from dcsr.planning import kernel_costs
from dcsr.planning.kernel_costs import Counts, KernelCosts

DEFAULT_CPU = "cortex-m55"

# The class of each core. The names are those of toolchains/cores.bzl.
_CLASSES = {
    "cortex-m0plus": kernel_costs.ARMV6M,
    "cortex-m3": kernel_costs.ARMV7M,
    "cortex-m4": kernel_costs.ARMV7EM,
    "cortex-m7": kernel_costs.ARMV7EM,
    "cortex-m33": kernel_costs.ARMV7EM,
    "cortex-m55": kernel_costs.MVE,
    "cortex-m85": kernel_costs.MVE,
}
CPUS = tuple(_CLASSES)

# Cores whose time is estimated in cycles: docs/cycles.md has a model of their pipeline that was compared with silicon.
CYCLE_CPUS = ("cortex-m55", "cortex-m85")
INSTRUCTIONS, CYCLES = "instructions", "cycles"

# Where a firmware has activations, scratch and weights: in the tightly coupled memory, or behind a cache. Only gathers
# differ.
MEMORIES = ("dtcm", "cached")
DEFAULT_MEMORY = "dtcm"

# {kernel: {count: instructions or cycles}} of one core
KernelConstants = dict[str, dict[str, float]]
# {core: constants}
Constants = dict[str, KernelConstants]

MOST_SCRATCH = 1 << 30  # bytes; more than any kernel can use


@dataclass(frozen=True)
class Shape:
    """The size of a layer's input and output.

    Attributes:
      vectors: output pixels of a convolution in all images of a batch; batches of a FULLY_CONNECTED.
      input_size, output_size: (height, width) of a convolution in pixels; (1, 1) for a FULLY_CONNECTED.
    """

    vectors: int
    input_size: tuple[int, int] = (1, 1)
    output_size: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Estimate:
    """The cost of a packed layer on a core.

    Attributes:
      instructions: instructions of one inference; None if the core has no constants for the coding.
      scratch_bytes: bytes of scratch that the kernel requests.
      dense_instructions: instructions of the layer's dense product (tflm_kernels/baseline); None without constants.
      kernel: name of the kernel that runs the layer.
      is_portable: whether the portable kernel runs, because the scratch is too small for the core's own kernel.
      cycles, dense_cycles: cycles of both; None if the core is not one of CYCLE_CPUS, or without constants.
      unit: unit of `time`: CYCLES or INSTRUCTIONS.
      tails: how often the kernels read the bias, multiplier and shift of a row.
      linked: names of all kernels that run, each by its own name (code_bytes.py).
    """

    instructions: int | None
    scratch_bytes: int
    dense_instructions: int | None = None
    kernel: str = ""
    is_portable: bool = False
    cycles: int | None = None
    dense_cycles: int | None = None
    unit: str = INSTRUCTIONS
    tails: int = 0
    linked: tuple[str, ...] = ()

    @property
    def time(self) -> int | None:
        """Cycles or instructions of one inference, in the unit of the core."""
        return self.cycles if self.unit == CYCLES else self.instructions

    @property
    def dense_time(self) -> int | None:
        """The same of the dense product."""
        return self.dense_cycles if self.unit == CYCLES else self.dense_instructions

    @property
    def slowdown(self) -> float:
        """Time divided by that of the dense product; 0 if one of them is unknown."""
        return self.time / self.dense_time if self.time and self.dense_time else 0


def cpu_name(name: str) -> str:
    """Returns the name of a core in full: "cortex-m55" for "m55"."""
    return name if name in CPUS or f"cortex-{name}" not in CPUS else f"cortex-{name}"


def core_class(cpu: str) -> int:
    """Returns the class of a core (kernel_costs.ARMV6M and so on)."""
    return _CLASSES[cpu]


def unit(cpu: str) -> str:
    """Returns the unit in which the time of the core is estimated: CYCLES or INSTRUCTIONS."""
    return CYCLES if cpu in CYCLE_CPUS else INSTRUCTIONS


def has_vectors(cpu: str) -> bool:
    """Whether the core has MVE."""
    return _CLASSES[cpu] == kernel_costs.MVE


def has_dsp(cpu: str) -> bool:
    """Whether the core has the DSP extension, as all cores with vectors do."""
    return _CLASSES[cpu] in (kernel_costs.ARMV7EM, kernel_costs.MVE)


def coding(streams: Streams) -> str:
    """Returns the coding by which kernels differ: the encoding or its variant, and the value coding if not plain.

    Examples: "rice", "dcsr4", "rice+huffman".
    """
    variant = f"{streams.encoding}{streams.index_parameter}"
    encoding = variant if variant in encodings.VARIANTS else streams.encoding
    return encoding if streams.value_coding == encodings.PLAIN else f"{encoding}+{streams.value_coding}"


def estimate(cpu: str, packed: packing.PackedLayer, shape: Shape, memory: str = DEFAULT_MEMORY) -> Estimate:
    """Estimates the cost of a packed layer on a core.

    Args:
      cpu: one of CPUS.
      packed: the layer.
      shape: size of its input and output.
      memory: one of MEMORIES. Makes no difference to instructions.

    Raises:
      KeyError: if the core is unknown.
      ModelError: if the kernels reject the layer, or if their library is missing.
    """
    found = costs(cpu, packed, shape)
    constants = kernel_constants()[measured_core(cpu)]
    of_cycles = cycle_constants(cpu, memory) if cpu in CYCLE_CPUS else {}
    of_plain_rows = Estimate(
        time(constants, found.parts),
        found.scratch_bytes,
        time(constants, found.dense),
        found.kernel,
        found.is_portable,
        time(of_cycles, found.parts),
        time(of_cycles, found.dense),
        unit(cpu),
        found.tails,
        found.linked,
    )
    return of_plain_rows if packed.compact is None else with_compact_rows(cpu, of_plain_rows)


def with_compact_rows(cpu: str, plain: Estimate) -> Estimate:
    """Returns the estimate of a layer with compact rows, given that of the same layer with plain rows."""
    added = _tail_constants()[measured_core(cpu)]

    def more(known: int | None, unit: str) -> int | None:
        return None if known is None else known + round(plain.tails * added[unit])

    return dataclasses.replace(
        plain, instructions=more(plain.instructions, INSTRUCTIONS), cycles=more(plain.cycles, CYCLES)
    )


def costs(cpu: str, packed: packing.PackedLayer, shape: Shape, budget: int | None = None) -> KernelCosts:
    """Determines the kernel of a packed layer on a core, its scratch and its counts.

    Args:
      cpu: one of CPUS.
      packed: the layer.
      shape: size of its input and output.
      budget: bytes of scratch; None for the budget of the layer, or the core's default if the layer has none.

    Raises:
      KeyError, ModelError: as estimate().
    """
    # Kernels cannot tell shared rows from own ones, and with_compact_rows() adds the time of compact ones.
    blob = packing.pack(packed.with_plain_rows)
    return kernel_costs.measure(_CLASSES[cpu], blob, coding(packed.streams), _conv_shape(packed, shape), budget)


def _conv_shape(packed: packing.PackedLayer, shape: Shape) -> tuple[int, int, int, int, int]:
    if packed.op == packing.OP_FULLY_CONNECTED:
        return (shape.vectors, 1, 1, 1, 1)
    height, width = shape.output_size
    return (max(shape.vectors // (height * width), 1), *shape.input_size, height, width)


def time(constants: KernelConstants, counts: Counts) -> int | None:
    """Estimates instructions or cycles: the sum of all counts, each multiplied by its constant.

    Args:
      constants: {kernel: {count: instructions or cycles}} of one core.
      counts: {kernel: {count: number}} of one layer.

    Returns:
      Instructions or cycles, rounded; None if a constant is missing.
    """
    total = 0.0
    for kernel, of_kernel in counts.items():
        known = constants.get(kernel, {})
        if not all(name in known for name in of_kernel):
            return None
        total += sum(known[name] * count for name, count in of_kernel.items())
    return round(total)


def least_scratch(cpu: str, packed: packing.PackedLayer, shape: Shape) -> int:
    """Returns the smallest scratch budget, in bytes, with which the core's own kernel runs the layer.

    MOST_SCRATCH if the core has no kernel for it.
    """
    low, high = 0, MOST_SCRATCH
    while low < high:
        budget = (low + high) // 2
        if costs(cpu, packed, shape, budget).is_portable:
            low = budget + 1
        else:
            high = budget
    return low


def default_scratch(cpu: str) -> int:
    """Returns the bytes of scratch that a kernel may request if the packed layer has no budget."""
    return kernel_costs.default_scratch(_CLASSES[cpu])


def measured_core(cpu: str) -> str:
    """Returns the core on which the constants of `cpu` were measured. The Cortex-M85 uses those of the M55."""
    return "cortex-m55" if cpu == "cortex-m85" else cpu


@cache
def kernel_constants() -> Constants:
    """Returns the fitted constants of every measured core, in instructions."""
    found: Constants = json.loads(Path(__file__).with_name("kernel_constants.json").read_text())
    return found


def cycle_constants(cpu: str, memory: str) -> KernelConstants:
    """Returns the fitted constants of a core in cycles.

    Args:
      cpu: one of CYCLE_CPUS.
      memory: one of MEMORIES.
    """
    return all_cycle_constants()[measured_core(cpu)][memory]


@cache
def all_cycle_constants() -> dict[str, dict[str, KernelConstants]]:
    """Returns {core: {memory: constants in cycles}} of every measured core."""
    found: dict[str, dict[str, KernelConstants]] = json.loads(
        Path(__file__).with_name("cycle_constants.json").read_text()
    )
    return found


@cache
def _tail_constants() -> dict[str, dict[str, float]]:
    """Returns {core: {unit: what reading a compact row takes in addition to a plain one}}."""
    found: dict[str, dict[str, float]] = json.loads(Path(__file__).with_name("tail_constants.json").read_text())
    return found

"""The cost of a packed layer on a Cortex-M: instructions, estimated, and bytes of scratch, exactly; and the cost of its
dense product.

A kernel's instructions are a sum of counts (columns transposed, elements decoded, products made), each times a constant
of the core. The counts come from the C code that the kernels plan with (kernel_costs.py). The constants are data:
kernel_constants.json, written by benchmarks/fit_cost_model.py, and kept_constants.json for layers that stay dense. An
M85 is emulated by an M55 and has its constants.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dcsr import encodings, packing
from dcsr.encodings import Streams
from dcsr.planning import kernel_costs
from dcsr.planning.kernel_costs import Counts, KernelCosts

DEFAULT_CPU = "cortex-m55"

# The class of each core, by its name in toolchains/cores.bzl.
_CLASSES = {
    "cortex-m0plus": kernel_costs.ARMV6M,
    "cortex-m3": kernel_costs.ARMV7M,
    "cortex-m4": kernel_costs.ARMV7M,
    "cortex-m7": kernel_costs.ARMV7M,
    "cortex-m33": kernel_costs.ARMV7M,
    "cortex-m55": kernel_costs.MVE,
    "cortex-m85": kernel_costs.MVE,
}
CPUS = tuple(_CLASSES)

# {core: {kernel: {count: instructions}}}
Constants = dict[str, dict[str, dict[str, float]]]

_MOST_SCRATCH = 1 << 30


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
      scratch_bytes: the scratch that its kernel requests.
      dense_instructions: of the layer's dense product (tflm_kernels/baseline); None without constants for it.
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


def coding(streams: Streams) -> str:
    """The coding as a kernel sees it: the encoding, or its variant, and the value coding if not plain."""
    variant = f"{streams.encoding}{streams.index_parameter}"
    encoding = variant if variant in encodings.VARIANTS else streams.encoding
    return encoding if streams.value_coding == encodings.PLAIN else f"{encoding}+{streams.value_coding}"


def estimate(cpu: str, packed: packing.PackedLayer, shape: Shape) -> Estimate:
    """The cost of a packed layer on a core.

    Args:
      cpu: one of CPUS.
      packed: the layer.
      shape: of its input and output.

    Raises:
      KeyError: if there is no such core.
      ModelError: if the kernels refuse the layer, or their library is missing.
    """
    found = costs(cpu, packed, shape)
    constants = kernel_constants()[_measured_core(cpu)]
    return Estimate(
        instructions(constants, found.parts),
        found.scratch_bytes,
        instructions(constants, found.dense),
        found.kernel,
        found.is_portable,
    )


def costs(cpu: str, packed: packing.PackedLayer, shape: Shape, budget: int | None = None) -> KernelCosts:
    """The kernel of a packed layer on a core, its scratch and its counts.

    Args:
      cpu: one of CPUS.
      packed: the layer.
      shape: of its input and output.
      budget: bytes of scratch; None for those of the layer, or the core's default.

    Raises:
      KeyError, ModelError: as estimate().
    """
    return kernel_costs.measure(
        _CLASSES[cpu], packing.pack(packed), coding(packed.streams), _conv_shape(packed, shape), budget
    )


def _conv_shape(packed: packing.PackedLayer, shape: Shape) -> tuple[int, int, int, int, int]:
    if packed.op == packing.OP_FULLY_CONNECTED:
        return (shape.vectors, 1, 1, 1, 1)
    height, width = shape.output_size
    return (max(shape.vectors // (height * width), 1), *shape.input_size, height, width)


def instructions(constants: dict[str, dict[str, float]], counts: Counts) -> int | None:
    """The sum of the counts of kernels, each times a constant of the core; None if a constant is missing."""
    total = 0.0
    for kernel, of_kernel in counts.items():
        known = constants.get(kernel, {})
        if not all(name in known for name in of_kernel):
            return None
        total += sum(known[name] * count for name, count in of_kernel.items())
    return round(total)


def least_scratch(cpu: str, packed: packing.PackedLayer, shape: Shape) -> int:
    """The smallest scratch budget, in bytes, with which the core's own kernel runs the layer."""
    low, high = 0, _MOST_SCRATCH
    while low < high:
        budget = (low + high) // 2
        if costs(cpu, packed, shape, budget).is_portable:
            low = budget + 1
        else:
            high = budget
    return low


def default_scratch(cpu: str) -> int:
    """Bytes of scratch that a kernel may request if the packed layer does not say."""
    return kernel_costs.default_scratch(_CLASSES[cpu])


def kept_instructions(cpu: str, is_depthwise: bool, outputs: int, products: int) -> int:
    """A rough count of instructions for a convolution or FULLY_CONNECTED that stays dense, of any type and weights.

    It is a yardstick for the cost of packed layers, and rather too low: a line through the dense 1x1 convolutions of
    docs/results.md#cortex-m. A product of a DEPTHWISE_CONV_2D takes at least what CMSIS-NN's takes in DS-CNN and
    MobileNetV2 on a Cortex-M55.

    Args:
      cpu: one of CPUS.
      is_depthwise: whether it is a DEPTHWISE_CONV_2D.
      outputs: values that it computes.
      products: of an output (MACs).
    """
    constants = _kept_constants()[_measured_core(cpu)]
    if is_depthwise:
        return round(outputs * products * constants["depthwise product"])
    return round(outputs * (constants["output"] + products * constants["product"]))


def _measured_core(cpu: str) -> str:
    """The core whose constants a core has."""
    return "cortex-m55" if cpu == "cortex-m85" else cpu


@cache
def kernel_constants() -> Constants:
    """The fitted constants of every core."""
    found: Constants = json.loads(Path(__file__).with_name("kernel_constants.json").read_text())
    return found


@cache
def _kept_constants() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(Path(__file__).with_name("kept_constants.json").read_text())
    return found

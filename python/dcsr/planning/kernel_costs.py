"""The kernel, scratch and counts of a packed layer on a core, from the C code with which the kernels plan.

Calls the shared library of tflm_kernels/costs (costs.h). The library is in the folder of the package, or at the path in
the environment variable DCSR_COSTS_LIBRARY.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dcsr.model import ModelError

LIBRARY_VARIABLE = "DCSR_COSTS_LIBRARY"

# DcsrCoreClass of costs.h.
ARMV6M, ARMV7M, ARMV7EM, MVE = 1, 2, 3, 4

# The lists of a table (DcsrKernels of kernels.h).
POINTWISE, LARGER, INT16, PLANES = 0, 1, 2, 3

_NAME = "_dcsr_costs.so"
_MOST_PARTS = 3
_DEFAULT_BUDGET = (1 << 64) - 1

# {kernel: {count: number}}. The names of counts that depend on the coding begin with it ("rle element").
Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class KernelCosts:
    """The kernel of a layer on a core, its scratch and its counts. Counts of 0 are omitted.

    Attributes:
      kernel: name of the kernel.
      scratch_bytes: bytes of scratch that the kernel requests.
      is_portable: whether the portable kernel runs, because the scratch is too small for the core's own kernel.
      gathers: number of vector gathers and scatters; 0 on cores without vectors.
      tails: how often the kernels read the bias, multiplier and shift of a row.
      parts: counts of each kernel that runs. A larger filter has several kernels, conv2d_im2col first.
      dense: counts of the layer's dense product.
      linked: names of all kernels that run, each by its own name.
    """

    kernel: str
    scratch_bytes: int
    is_portable: bool
    gathers: int
    tails: int
    parts: Counts
    dense: Counts
    linked: tuple[str, ...]


class _Shape(ctypes.Structure):
    """DcsrConvShape of kernels.h."""

    _fields_ = [
        (name, ctypes.c_int32) for name in ("batches", "input_height", "input_width", "output_height", "output_width")
    ]


@cache
def _library() -> ctypes.CDLL:
    """Loads the library.

    Raises:
      ModelError: if the library is missing or of another version.
    """
    path = os.environ.get(LIBRARY_VARIABLE) or Path(__file__).parents[1] / _NAME
    if not os.path.isfile(path):
        raise ModelError(
            f"the library with the costs of the kernels is missing: {path}; build it with"
            f" `bazel build //tflm_kernels/costs:_dcsr_costs.so` and set {LIBRARY_VARIABLE} to its path,"
            " or run through bazel"
        )
    try:
        library = ctypes.CDLL(os.path.abspath(path))
        library.dcsr_count_name.restype = ctypes.c_char_p
        library.dcsr_status_string.restype = ctypes.c_char_p
        library.dcsr_cost_bytes.restype = ctypes.c_size_t
        library.dcsr_kernel_name.restype = ctypes.c_char_p
        library.dcsr_kernel_of_list.restype = ctypes.c_uint32
    except (OSError, AttributeError) as error:
        raise ModelError(f"{path} is no library with the costs of the kernels: {error}") from error
    if library.dcsr_cost_bytes() != ctypes.sizeof(_cost_type(library.dcsr_count_count())):
        raise ModelError(f"{path} is a library of another version of this package")
    return library


@cache
def _cost_type(counts: int) -> Any:
    """Returns the type DcsrCost of costs.h, with the given number of counts."""

    class KernelCounts(ctypes.Structure):
        _fields_ = [("kernel", ctypes.c_char_p), ("counts", ctypes.c_uint64 * counts)]

    class Cost(ctypes.Structure):
        _fields_ = [
            ("kernel", ctypes.c_char_p),
            ("scratch_bytes", ctypes.c_uint64),
            ("gathers", ctypes.c_uint64),
            ("tails", ctypes.c_uint64),
            ("is_portable", ctypes.c_uint32),
            ("part_count", ctypes.c_uint32),
            ("linked", ctypes.c_uint64),
            ("parts", KernelCounts * _MOST_PARTS),
            ("dense", KernelCounts),
        ]

    return Cost


@cache
def _count_names() -> tuple[tuple[str, bool], ...]:
    """Returns (name, whether it depends on the coding) for each count."""
    library = _library()
    return tuple(
        (library.dcsr_count_name(i).decode(), bool(library.dcsr_count_is_coded(i)))
        for i in range(library.dcsr_count_count())
    )


@cache
def _kernel_names() -> tuple[str, ...]:
    found: list[str] = []
    while (name := _library().dcsr_kernel_name(len(found))) is not None:
        found.append(name.decode())
    return tuple(found)


def kernels_of_list(op: int, core_class: int, kind: int) -> list[str]:
    """Returns the kernels of a list in the order in which they are tried.

    Args:
      op: number of the operator in the packed layer.
      core_class: ARMV6M, ARMV7M, ARMV7EM or MVE.
      kind: POINTWISE, LARGER, INT16 or PLANES.
    """
    library, names = _library(), _kernel_names()
    found: list[str] = []
    while (kernel := library.dcsr_kernel_of_list(op, core_class, kind, len(found))) < len(names):
        found.append(names[kernel])
    return found


def default_scratch(core_class: int) -> int:
    """Returns the bytes of scratch that a kernel may request if the packed layer has no budget."""
    return int(_library().dcsr_default_scratch(core_class))


def measure(
    core_class: int,
    blob: bytes,
    coding: str,
    shape: tuple[int, int, int, int, int],
    budget: int | None = None,
) -> KernelCosts:
    """Determines the costs of a packed layer on a core.

    Args:
      core_class: ARMV6M, ARMV7M, ARMV7EM or MVE.
      blob: the packed layer (docs/format.md).
      coding: cost.coding() of the layer, for the names of counts.
      shape: (batches, input height, input width, output height, output width); sizes are 1 for a FULLY_CONNECTED.
      budget: bytes of scratch; None for the budget of the packed layer, or the default of the class if it has none.

    Raises:
      ModelError: if the blob is not a valid packed layer, if a size of the shape is not in 1..2^31 - 1, or if the
        library is missing.
    """
    if not all(0 < size < 1 << 31 for size in shape):
        raise ModelError(f"no kernel takes the shape {shape}")
    library = _library()
    cost = _cost_type(len(_count_names()))()
    data = (ctypes.c_uint32 * (-(-len(blob) // 4)))()  # aligned
    ctypes.memmove(data, blob, len(blob))
    status = library.dcsr_cost(
        data,
        ctypes.c_size_t(len(blob)),
        ctypes.byref(_Shape(*shape)),
        core_class,
        ctypes.c_uint64(_DEFAULT_BUDGET if budget is None else budget),
        ctypes.byref(cost),
    )
    if status != 0:
        reason = library.dcsr_status_string(status).decode()
        raise ModelError(f"the kernels refuse the packed layer of shape {shape}: {reason}")
    return KernelCosts(
        cost.kernel.decode(),
        cost.scratch_bytes,
        bool(cost.is_portable),
        cost.gathers,
        cost.tails,
        dict(_counts(part, coding) for part in cost.parts[: cost.part_count]),
        dict([_counts(cost.dense, coding)]),
        tuple(name for i, name in enumerate(_kernel_names()) if cost.linked >> i & 1),
    )


def _counts(part: Any, coding: str) -> tuple[str, dict[str, int]]:
    named = {
        f"{coding} {name}" if is_coded else name: int(count)
        for (name, is_coded), count in zip(_count_names(), part.counts, strict=True)
        if count
    }
    return part.kernel.decode(), named

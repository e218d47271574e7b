"""The bytes of code that a firmware links for kernels and encodings, and that TFLM's own operators take.

A firmware that registers its operators with the header of `compress --cc` links only the kernels and the readers that
its model needs. code_bytes.json has the sizes of their functions on each core: `bazel run //benchmarks:code_parts`
measures them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import TypedDict

# A kernel and the coding of a layer (cost.coding) that it runs.
Part = tuple[str, str]

# Operators of TFLM whose place our ops take.
REPLACED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class _Core(TypedDict):
    # {kernel: {coding: name of its code}}; all codings but "huffman" have plain values.
    runs: dict[str, dict[str, str]]
    # (bytes, codes that use these functions)
    groups: list[tuple[int, list[str]]]


def code_bytes(
    cpu: str,
    used: Collection[Part],
    builtin: Iterable[str] = (),
    *,
    has_shared_rows: bool = False,
    has_planes: bool = False,
) -> int:
    """Returns the bytes of code of our ops with these parts, and of TFLM's operators in REPLACED.

    Args:
      cpu: one of cost.CPUS.
      used: kernels with the coding of each layer: `linked` of its estimate and cost.coding(). Without any, our ops are
        not linked.
      builtin: names of the operators that stay in TFLM. Those that are not in REPLACED count nothing: they are linked
        with and without our ops.
      has_shared_rows: whether layers have shared rows.
      has_planes: whether activations are in planes.
    """
    core = _table()[_measured_core(cpu)]
    codes = {f"TFLM {name}" for name in builtin}
    if used:
        codes.add("shared rows" if has_shared_rows else "ops")
    if has_planes:
        codes.add("layouts")
    for kernel, coding in used:
        encoding, _, values = coding.partition("+")
        runs = core["runs"][kernel]
        codes.add(runs["huffman" if values else encoding])
        codes.add(f"reader {encoding.rstrip('48') if encoding.startswith('dcsr') else encoding}")
        if values:
            codes.add("reader huffman")
    return sum(size for size, users in core["groups"] if not codes.isdisjoint(users))


def knows_tflm(cpu: str) -> bool:
    """Returns whether the table has the code of TFLM's operators on a core."""
    return any(users[0].startswith("TFLM ") for _, users in _table()[_measured_core(cpu)]["groups"])


def _measured_core(cpu: str) -> str:
    return "cortex-m55" if cpu == "cortex-m85" else cpu


@cache
def _table() -> dict[str, _Core]:
    found: dict[str, _Core] = json.loads(Path(__file__).with_name("code_bytes.json").read_text())
    return found

"""The line about the whole firmware: flash of model and code, arena, inference and start-up, dense and compressed."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from dcsr.planning import cost
from dcsr.planning.firmware import Figures, Firmware

_MEGA = 1e6


def line(firmware: Firmware, before: int, after: int, cpu: str, clock: float | None = None) -> str:
    """Returns the line.

    Args:
      firmware: the estimates.
      before: bytes of the file before compression.
      after: bytes of the file after compression.
      cpu: the core of the estimates.
      clock: frequency of the core in MHz, to show milliseconds; None if unknown.
    """
    parts = [f"flash {_flash(firmware, before, after)}", f"arena {_change(*arenas(firmware))}"]
    if (times := inference(firmware, cpu)) is not None:
        unit = cost.unit(cpu)
        ratio = f" (x {times[1] / times[0]:.3f}{_milliseconds(times[1], clock, unit)})" if times[0] else ""
        parts.append(f"inference {_millions(times[0])} -> {_millions(times[1])} M {unit}{ratio}")
    if (starts := start_ups(firmware)) is not None:
        ratio = f"x {starts[1] / starts[0]:.3f}{_milliseconds(starts[1], clock, cost.INSTRUCTIONS)}"
        parts.append(f"start-up {_millions(starts[0])} -> {_millions(starts[1])} M instructions ({ratio})")
    return f"{', '.join(parts)} on {cpu}"


def notes(firmware: Firmware, cpu: str) -> list[str]:
    """Returns the lines about the bounds of arena and time, and about operators without an estimate."""
    lines = []
    unit = cost.unit(cpu)
    times = inference(firmware, cpu)
    if firmware.arena_time > 0 and times is not None:
        more = firmware.arena_time / max(times[1] - firmware.arena_time, 1)
        lines.append(
            f"the limit of the arena costs {firmware.arena_time:,} {unit} ({more:+.1%});"
            f" --max-arena {firmware.unlimited_arena_bytes} would avoid that"
        )
    if firmware.bound_bytes:
        lines.append(f"--slowest costs {firmware.bound_bytes:,} bytes: without it the inference would take longer")
    starts = start_ups(firmware)
    if firmware.start_up_bytes and starts is not None and firmware.unlimited_start_up:
        lines.append(
            f"the bound of the start-up costs {firmware.start_up_bytes:,} bytes;"
            f" --slowest-start {_rounded_up(firmware.unlimited_start_up / starts[0])} avoids that"
        )
    if firmware.slowest_start is not None and starts is not None and starts[1] > firmware.slowest_start * starts[0]:
        ratio = starts[1] / starts[0]
        way_out = f"--slowest-start {_rounded_up(ratio)} allows that"
        if firmware.is_named:
            way_out = "it follows from the encodings that the plan or --method names"
        lines.append(
            f"--slowest-start {firmware.slowest_start:g} is not met: the start-up of this plan is estimated at"
            f" {ratio:.3f} times the dense one; {way_out}"
        )
    if firmware.dense.start_up is None:
        lines.append(f"the start-up is not estimated on {cpu}, so it has no bound")
    if firmware.slowest is not None and times is not None and times[1] > firmware.slowest * times[0]:
        lines.append(
            f"--slowest {firmware.slowest:g} cannot be met: the fastest plan with these options takes"
            f" {times[1] / times[0]:.3f} times the dense inference"
        )
    if firmware.unknown:
        lines.append(f"the time of the inference lacks {', '.join(firmware.unknown)}: no estimate")
    return lines


def arenas(firmware: Firmware) -> tuple[int, int]:
    """Returns the bytes of the arena, dense and compressed."""
    return firmware.dense.arena_bytes, firmware.compressed.arena_bytes


def inference(firmware: Firmware, cpu: str) -> tuple[int, int] | None:
    """Returns the time of an inference in the unit of the core, dense and compressed; None if one is unknown."""

    def time(figures: Figures) -> int | None:
        return figures.cycles if cost.unit(cpu) == cost.CYCLES else figures.instructions

    before, after = time(firmware.dense), time(firmware.compressed)
    return None if before is None or after is None else (before, after)


def start_ups(firmware: Firmware) -> tuple[int, int] | None:
    """Returns the instructions of the start-up, dense and compressed; None if they are unknown."""
    before, after = firmware.dense.start_up, firmware.compressed.start_up
    return None if before is None or after is None else (before, after)


def as_json(firmware: Firmware) -> dict[str, Any]:
    """Returns the estimates as data for JSON."""
    return asdict(firmware)


def code(firmware: Firmware) -> tuple[int, int] | None:
    """Returns the bytes of code that depend on the model, dense and compressed; None if they are unknown."""
    before, after = firmware.dense.code_bytes, firmware.compressed.code_bytes
    return None if before is None or after is None else (before, after)


def _flash(firmware: Firmware, before: int, after: int) -> str:
    if (found := code(firmware)) is None:
        return _change(before, after)
    total = (after + found[1]) / (before + found[0]) - 1
    return f"{before:,} + {found[0]:,} code -> {after:,} + {found[1]:,} bytes ({total:+.1%})"


def _change(before: int, after: int) -> str:
    return f"{before:,} -> {after:,} bytes ({(after - before) / before:+.1%})" if before else f"{after:,} bytes"


def _rounded_up(ratio: float) -> str:
    """Returns a ratio with two digits, not smaller than it is."""
    return f"{math.ceil(100 * ratio) / 100:g}"


def _millions(number: int) -> str:
    """Returns millions with three digits or more, trailing zeros included."""
    return f"{number / _MEGA:#.3g}".rstrip(".") if number < 100 * _MEGA else f"{number / _MEGA:.0f}"


def _milliseconds(time: int, clock: float | None, unit: str) -> str:
    """Returns a phrase about the time at a frequency. An instruction takes a cycle or more."""
    if clock is None:
        return ""
    least = "" if unit == cost.CYCLES else "at least "
    return f", {least}{time / clock / 1000:.3g} ms at {clock:g} MHz"

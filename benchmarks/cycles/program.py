"""Describes a firmware's instructions to the QEMU plugin (plugin.c), with the numbers of its core."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.cycles import timings
from benchmarks.cycles.instructions import Access, Decoded, Kind

# The layouts of pipeline.h and plugin.c.
_HEADER = struct.Struct("<4s3I")
_MAGIC = b"DYCC"
_CORE = struct.Struct("<13I")
_INSTRUCTION = struct.Struct("<5I10B2x")
_PAIRS, _LIGHT = 1, 2


class UnknownInstructionError(Exception):
    """A core of timings.py has no timing for a class of instructions."""


def serialise(core: timings.Core, decoded: Iterable[Decoded]) -> bytes:
    """Returns the file for the plugin."""
    packed = [pack(core, instruction) for instruction in sorted(decoded, key=lambda one: one.address)]
    header = _HEADER.pack(_MAGIC, _CORE.size, _INSTRUCTION.size, len(packed))
    return header + pack_core(core) + b"".join(packed)


def pack_core(core: timings.Core) -> bytes:
    """Returns the struct Core of pipeline.h."""
    return _CORE.pack(
        core.width,
        core.needs_light,
        core.early_cycles,
        core.taken,
        core.predicts,
        core.mispredicted,
        core.indirect,
        core.load_pc,
        core.misaligned_target,
        *core.code,
        core.code_vector,
        core.accesses,
    )


def pack(core: timings.Core, decoded: Decoded) -> bytes:
    """Returns the struct Instruction of pipeline.h."""
    timing = core.classes.get(decoded.name)
    kind = decoded.kind
    if timing is None:
        timing, kind = timings.Timing(), Kind.UNKNOWN
    issue = timing.issue
    busy = timing.busy
    latency = timing.latency
    if timing.registers_in_cycle:
        transfers = -(-decoded.registers // timing.registers_in_cycle)
        issue += transfers
        busy += transfers - 1
        latency += transfers - 1
    if decoded.shifts:
        latency = max(latency, core.shifted_latency)
    issue_memory = issue if timing.issue_memory is None else timing.issue_memory
    pairs = 0
    if core.width > 1 and (decoded.size == 2 or not core.pairs_narrow):
        pairs = _PAIRS | (_LIGHT if decoded.is_light else 0)
    return _INSTRUCTION.pack(
        decoded.address,
        _set(decoded.reads),
        _set(decoded.offsets),
        _set(decoded.writes),
        _set(decoded.bases),
        decoded.size,
        kind,
        decoded.access,
        timing.pipe,
        busy,
        latency,
        issue,
        issue_memory,
        decoded.access == Access.SCALAR and decoded.name in ("load", "store", "store_indexed"),
        pairs,
    )


def _set(registers: Iterable[int]) -> int:
    return sum(1 << register for register in registers)


def unknown(core: timings.Core, decoded: Iterable[Decoded]) -> Sequence[str]:
    """Returns the texts of the instructions that the core's table does not have."""
    return sorted({one.text for one in decoded if one.kind == Kind.UNKNOWN or one.name not in core.classes})


def regions(output: str) -> Iterator[dict[str, int]]:
    """Reads the plugin's output: for each region instructions and cycles, {"instructions", "dtcm", "cached"}.

    Raises:
      UnknownInstructionError: if a region executes an instruction that has no timing.
    """
    for line in output.splitlines():
        count, dtcm, cached, without_timing = map(int, line.removeprefix("cycles: ").split())
        if without_timing:
            raise UnknownInstructionError(f"{without_timing} executed instructions have no timing")
        yield {"instructions": count, "dtcm": dtcm, "cached": cached}

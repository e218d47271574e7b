"""Runs sequences of instructions, written as assembly, through the model of the pipeline. For tests."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.cycles import instructions, program, timings
from benchmarks.cycles.instructions import Decoded

_LIBRARY = Path(__file__).with_name("_dcsr_pipeline.so")
_PIPELINE_BYTES = 4096  # enough for struct Pipeline of pipeline.h
MEMORIES = ("dtcm", "cached")
CODE = 0x10000000


@dataclass(frozen=True)
class Instructions:
    """Instructions at increasing addresses.

    Attributes:
      decoded: the instructions.
      accesses: for each instruction the addresses that it accesses.
    """

    decoded: tuple[Decoded, ...]
    accesses: tuple[tuple[int, ...], ...]


def parse(text: str, start: int = CODE) -> Instructions:
    """Reads one instruction a line, as objdump prints it. An @ precedes the addresses that it accesses."""
    decoded: list[Decoded] = []
    accesses = []
    address = start
    for line in filter(None, map(str.strip, text.splitlines())):
        code, _, accessed = line.partition("@")
        mnemonic, _, operands = code.strip().partition(" ")
        is_wide = mnemonic.endswith(".w") or mnemonic.startswith("v") or mnemonic[:3] in ("dls", "wls", "le", "let")
        decoded.append(instructions.decode(address, "0000 0000" if is_wide else "0000", mnemonic, operands.strip()))
        accesses.append(tuple(int(number, 0) for number in accessed.split()))
        address += decoded[-1].size
    return Instructions(tuple(decoded), tuple(accesses))


def cycles(core: str, text: str, executed: Sequence[int] | None = None, memory: str = "dtcm", start: int = CODE) -> int:
    """Returns the cycles of a sequence.

    Args:
      core: one of timings.CORES.
      text: the instructions, as for parse().
      executed: indices of the executed instructions in order; None: each once.
      memory: one of MEMORIES.
      start: address of the first instruction.
    """
    library = _library()
    sequence = parse(text, start)
    order = list(range(len(sequence.decoded)) if executed is None else executed)
    numbers = timings.CORES[core]
    packed_core = ctypes.create_string_buffer(program.pack_core(numbers))
    packed = [ctypes.create_string_buffer(program.pack(numbers, one)) for one in sequence.decoded]
    pipeline = ctypes.create_string_buffer(_PIPELINE_BYTES)
    library.pipeline_start(pipeline, packed_core, MEMORIES.index(memory))
    for index, following in zip(order, [*order[1:], None], strict=True):
        one = sequence.decoded[index]
        next_address = one.address + one.size if following is None else sequence.decoded[following].address
        accesses = sequence.accesses[index]
        array = (ctypes.c_uint32 * max(len(accesses), 1))(*accesses)
        library.pipeline_step(
            pipeline, packed[index], ctypes.c_uint32(next_address), array, ctypes.c_size_t(len(accesses))
        )
    return int(library.pipeline_cycles(pipeline))


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(_LIBRARY.absolute()))
    library.pipeline_cycles.restype = ctypes.c_uint64
    library.pipeline_bytes.restype = ctypes.c_size_t
    assert library.pipeline_bytes() <= _PIPELINE_BYTES
    return library

"""Cycles of instruction classes on each core. docs/cycles.md has the source of every number.

The only table of numbers: pipeline.c has the rules by which they combine.
"""

from __future__ import annotations

from dataclasses import dataclass

# Numbers of the pipes of pipeline.c. None has no limit of its own.
NONE, MEMORY, INTEGER, MULTIPLY, CONTROL, BRANCH = range(6)


@dataclass(frozen=True)
class Timing:
    """Cycles of a class of instructions.

    Attributes:
      pipe: the pipe that it occupies.
      busy: cycles on the pipe.
      latency: cycles from its issue to that of an instruction that uses its result.
      issue: cycles from its issue to that of the next instruction.
      issue_memory: the same if the next one is a single load or store; None: as `issue`.
      registers_in_cycle: registers that it loads or stores in a cycle, if it has several. `issue` is then in addition.
    """

    pipe: int = NONE
    busy: int = 1
    latency: int = 1
    issue: int = 1
    issue_memory: int | None = None
    registers_in_cycle: int = 0


@dataclass(frozen=True)
class Core:
    """Numbers of a core. All but `classes` are those of `Core` in pipeline.h.

    Attributes:
      classes: {class: timing}.
      shifted_latency: latency of arithmetic with a shifted operand.
      pairs_narrow: only 16-bit instructions may share a cycle.
    """

    classes: dict[str, Timing]
    width: int = 1
    needs_light: bool = False
    pairs_narrow: bool = False
    early_cycles: int = 0
    taken: int = 1
    predicts: bool = False
    mispredicted: int = 0
    indirect: int = 2
    load_pc: int = 2
    misaligned_target: int = 0
    code: tuple[int, int] = (0, 0)
    code_vector: int = 0
    accesses: int = 1
    shifted_latency: int = 1


_PLAIN = Timing()
_SINGLE = dict.fromkeys(
    ("nop", "move", "add", "alu", "select", "field", "compare_branch", "call", "branch_register", "branch"), _PLAIN
)
_TWO = Timing(latency=2)


def _vector(pipe: int, latency: int) -> Timing:
    return Timing(pipe, busy=2, latency=latency)


_M55 = Core(
    classes={
        **_SINGLE,
        "field": _TWO,
        "long_shift": _TWO,
        "multiply": _TWO,
        "multiply_add": _TWO,
        "multiply_long": _TWO,
        "multiply_long_add": _TWO,
        "divide": Timing(latency=8, issue=7),
        "load": _TWO,
        "load_double": _TWO,
        "store": _PLAIN,
        "store_indexed": _PLAIN,
        "store_double": _PLAIN,
        "load_multiple": Timing(latency=2, issue=0, registers_in_cycle=2),
        "store_multiple": Timing(issue=0, registers_in_cycle=2),
        "table_branch": Timing(latency=2),
        "loop_end": _PLAIN,
        "loop_start": _PLAIN,
        "control": Timing(CONTROL),
        "float_load": Timing(MEMORY, latency=2, issue=0, registers_in_cycle=2),
        "float_store": Timing(MEMORY, issue=0, registers_in_cycle=2),
        "float": Timing(MULTIPLY, latency=2),
        "float_slow": Timing(MULTIPLY, busy=20, latency=20, issue=20),
        "vector_load": _vector(MEMORY, 1),
        "vector_store": _vector(MEMORY, 1),
        "vector_gather": _vector(MEMORY, 2),
        "vector_integer": _vector(INTEGER, 1),
        "vector_round": _vector(INTEGER, 2),
        "vector_reduce_8": _vector(INTEGER, 2),
        "vector_reduce_16": _vector(INTEGER, 3),
        "vector_reduce_32": _vector(INTEGER, 4),
        "vector_narrow": _vector(INTEGER, 3),
        "vector_from_scalar": _vector(INTEGER, 1),
        "vector_multiply": _vector(MULTIPLY, 2),
        "vector_compare": _vector(MULTIPLY, 1),
        "vector_to_scalar": _vector(MULTIPLY, 1),
        "vector_control": Timing(CONTROL),
    },
    width=2,
    needs_light=True,
    pairs_narrow=True,
    early_cycles=4,
    taken=1,
    predicts=True,
    mispredicted=2,
    indirect=2,
    load_pc=3,
    misaligned_target=1,
    code=(0x10000000, 0x10080000),
    code_vector=4,
    accesses=2,
    shifted_latency=2,
)

# One instruction at a time, its result ready for the next one. A load takes two cycles, one less before another load or
# store. `1 + N` for several registers.
_IN_TURN = {
    **_SINGLE,
    "multiply": _PLAIN,
    "load": Timing(latency=2, issue=2, issue_memory=1),
    "store": _PLAIN,
    "store_indexed": Timing(issue=2),
    "load_double": Timing(latency=2, registers_in_cycle=1),
    "store_double": Timing(registers_in_cycle=1),
    "load_multiple": Timing(latency=2, registers_in_cycle=1),
    "store_multiple": Timing(registers_in_cycle=1),
    "table_branch": Timing(latency=2, issue=2),
    "divide": Timing(latency=7, issue=7),
}
# Only dense QUANTIZE and DEQUANTIZE of whole models and newlib's printf use the floating-point unit.
_FLOAT = {
    "float": Timing(latency=2),
    "float_slow": Timing(latency=14, issue=14),
    "float_load": Timing(latency=2, registers_in_cycle=1),
    "float_store": Timing(registers_in_cycle=1),
}

_M0PLUS = Core(
    classes={
        **_SINGLE,
        "multiply": _PLAIN,
        "load": Timing(latency=2, issue=2),
        "store": Timing(issue=2),
        "store_indexed": Timing(issue=2),
        "load_multiple": Timing(latency=2, registers_in_cycle=1),
        "store_multiple": Timing(registers_in_cycle=1),
        "call": Timing(issue=2),
    },
    taken=1,
    indirect=1,
    load_pc=2,
)

_REFILL = {"taken": 2, "indirect": 2, "load_pc": 2, "misaligned_target": 1}

_M3 = Core(
    classes={
        **_IN_TURN,
        "multiply_add": Timing(latency=2, issue=2),
        "multiply_long": Timing(latency=3, issue=3),
        "multiply_long_add": Timing(latency=4, issue=4),
    },
    **_REFILL,
)

_M4 = Core(
    classes={
        **_IN_TURN,
        **_FLOAT,
        "multiply_add": _PLAIN,
        "multiply_long": _PLAIN,
        "multiply_long_add": _PLAIN,
    },
    **_REFILL,
)

_M33 = Core(
    classes={
        **_IN_TURN,
        **_FLOAT,
        "multiply_add": _TWO,
        "multiply_long": _PLAIN,
        "multiply_long_add": _TWO,
        "load": _TWO,
        "store_indexed": _PLAIN,
        "load_multiple": Timing(latency=2, issue=0, registers_in_cycle=1),
        "store_multiple": Timing(issue=0, registers_in_cycle=1),
    },
    **_REFILL,
)

_M7 = Core(
    classes={
        **_SINGLE,
        **_FLOAT,
        "multiply": Timing(MULTIPLY, latency=2),
        "multiply_add": Timing(MULTIPLY, latency=2),
        "multiply_long": Timing(MULTIPLY, latency=2),
        "multiply_long_add": Timing(MULTIPLY, latency=2),
        "divide": Timing(latency=7, issue=7),
        "load": _TWO,
        "store": Timing(MEMORY),
        "store_indexed": Timing(MEMORY),
        "load_double": Timing(MEMORY, latency=2),
        "store_double": Timing(MEMORY),
        "load_multiple": Timing(MEMORY, latency=2, issue=0, registers_in_cycle=2),
        "store_multiple": Timing(MEMORY, issue=0, registers_in_cycle=2),
        "table_branch": Timing(latency=2, issue=2),
        "branch": Timing(BRANCH),
        "compare_branch": Timing(BRANCH),
        "call": Timing(BRANCH),
        "branch_register": Timing(BRANCH),
    },
    width=2,
    taken=0,
    predicts=True,
    mispredicted=6,
    indirect=2,
    load_pc=4,
)

CORES = {"m0plus": _M0PLUS, "m3": _M3, "m4": _M4, "m7": _M7, "m33": _M33, "m55": _M55}

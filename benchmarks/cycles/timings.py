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
    mispredicted: int = 2
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
        "select": _TWO,
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
    mispredicted=2,
    indirect=2,
    load_pc=3,
    misaligned_target=1,
    code=(0x10000000, 0x10080000),
    code_vector=4,
    accesses=2,
    shifted_latency=2,
)

CORES = {"m55": _M55}

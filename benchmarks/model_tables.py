"""The tables of the benchmark of whole models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.emulated import CORES_WITH_GATHERS, MEMORIES
from benchmarks.model_measure import Comparison, Measured, Side
from benchmarks.model_steps import CUSTOM


def tables(comparison: Comparison) -> list[str]:
    """Returns the lines of a model's table and of its totals, in Markdown."""
    memories = _memories(comparison)
    dense_title = "dense, CMSIS-NN" if comparison.has_cmsis_nn else "dense"
    titles = ["operator", "output", "encoding, kernel", dense_title, "compressed", "ratio"]
    for memory in memories:
        where = f", {MEMORIES[memory]}" if len(memories) > 1 else ""
        titles += [f"{title}{where}" for title in ("dense cycles", "compressed cycles", "ratio of cycles")]
    lines = [
        f"### {comparison.name}, {_core(comparison)}",
        "",
        f"| {' | '.join(titles)} |",
        "|---" * len(titles) + "|",
    ]
    for dense, compressed in comparison.pairs:
        lines.append(f"| {' | '.join(_row(dense, compressed, memories))} |")
    if comparison.in_tflm:
        between = _pair(comparison.dense.interpreter, comparison.compressed.interpreter)
        lines.append(f"| interpreter |  |  | {' | '.join(between)} |" + " |" * 3 * len(memories))
    totals = _pair(*comparison.totals())
    for memory in memories:
        totals += _pair(*comparison.totals(memory))
    lines += [f"| **total** |  |  | {' | '.join(totals)} |", "", *_summary(comparison)]
    return lines


def overview(comparisons: Sequence[Comparison]) -> list[str]:
    """Returns the lines of a table with a row for each model and core, in Markdown."""
    has_cycles = all(_memories(comparison) for comparison in comparisons)
    titles = ["model", "core", "instructions, dense", "compressed", "ratio"]
    if has_cycles:
        titles += ["cycles, dense", "compressed", "ratio"]
    in_tflm = all(comparison.in_tflm for comparison in comparisons)
    titles += ["arena, dense", "compressed", "code, dense", "compressed"]
    titles += ["start-up, dense", "compressed"] if in_tflm else ["start-up"]
    lines = ["### All models", "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for comparison in comparisons:
        dense, compressed = comparison.dense, comparison.compressed
        cells = [comparison.name, _core(comparison), *_pair(*comparison.totals())]
        cells += _pair(*comparison.totals("dtcm")) if has_cycles else []
        for numbers in (
            (dense.arena_bytes, compressed.arena_bytes),
            (dense.code_bytes, compressed.code_bytes),
        ):
            cells += _pair(*numbers)[:2]
        cells += _pair(dense.start_up, compressed.start_up)[0 if in_tflm else 1 : 2]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _core(comparison: Comparison) -> str:
    return f"Cortex-{comparison.core.upper().replace('PLUS', '+')}"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Returns the numbers that --json writes."""
    return {
        "model": comparison.name,
        "core": comparison.core,
        "in_tflm": comparison.in_tflm,
        "dense_kernels": "CMSIS-NN" if comparison.has_cmsis_nn else "own",
        **{
            name: _side_json(side, instructions)
            for name, side, instructions in zip(
                ("dense", "compressed"), (comparison.dense, comparison.compressed), comparison.totals(), strict=True
            )
        },
    }


def _memories(comparison: Comparison) -> list[str]:
    """The memories for which there are cycles; one on cores where all are the same."""
    costs = [one.cost for one in comparison.dense.operators if one.cost is not None]
    if not any(cost.cycles for cost in costs):
        return []
    return [memory for memory in MEMORIES if memory == "dtcm" or comparison.core in CORES_WITH_GATHERS]


def _row(dense: Measured | None, compressed: Measured | None, memories: Sequence[str]) -> list[str]:
    shown = compressed or dense
    assert shown is not None
    operator = shown.operator
    cells = [
        f"{operator.position} {operator.name}",
        "x".join(map(str, operator.shape[1:] if len(operator.shape) > 1 else operator.shape)),
        shown.kernel,
    ]
    cells += _pair(*(one.cost.inference if one and one.cost else None for one in (dense, compressed)))
    for memory in memories:
        cells += _pair(*(one.cost.cycles[memory] if one and one.cost else None for one in (dense, compressed)))
    return cells


def _pair(dense: int | None, compressed: int | None) -> list[str]:
    """The cells of two numbers and their ratio."""
    cells = ["-" if number is None else f"{number:,}" for number in (dense, compressed)]
    return [*cells, f"{compressed / dense:.3f}" if dense and compressed is not None else "-"]


def _summary(comparison: Comparison) -> list[str]:
    dense, compressed = comparison.dense, comparison.compressed
    lines = []
    lacking: dict[tuple[str, str], list[int]] = {}
    for one in [shown for pair in comparison.pairs for shown in pair if shown is not None]:
        if one.cost is None and one.operator.position not in lacking.get((one.operator.name, one.reason), ()):
            lacking.setdefault((one.operator.name, one.reason), []).append(one.operator.position)
    if lacking:
        which = "; ".join(
            f"{', '.join(map(str, positions))} {name} ({reason})" for (name, reason), positions in lacking.items()
        )
        lines += [f"**The totals lack operators:** {which}.", ""]
    ops = sum(one.operator.name.startswith(CUSTOM) for one in compressed.operators)
    if comparison.in_tflm:
        arena, code = "Arena of TFLM's interpreter", "Code of the custom ops"
    else:
        arena, code = "Arena (tensors and scratch as TFLM's planner places them)", "Code of the kernels"
    for title, numbers in (
        ("File", (dense.file_bytes, compressed.file_bytes)),
        (arena, (dense.arena_bytes, compressed.arena_bytes)),
        (code, (dense.code_bytes, compressed.code_bytes)),
    ):
        lines.append(f"- {title}: {numbers[0]:,} -> {numbers[1]:,} bytes")
    if comparison.in_tflm:
        lines.append(f"- Start-up (AllocateTensors): {dense.start_up:,} -> {compressed.start_up:,} instructions")
    else:
        lines.append(f"- Start-up of the {ops} custom ops, with validation: {compressed.start_up:,} instructions")
    return lines


def _side_json(side: Side, instructions: int) -> dict[str, Any]:
    return {
        "file_bytes": side.file_bytes,
        "arena_bytes": side.arena_bytes,
        "code_bytes": side.code_bytes,
        "instructions": instructions,
        "start_up_instructions": side.start_up,
        "interpreter_instructions": side.interpreter,
        "lacks_operators": [one.operator.position for one in side.operators if one.cost is None],
        "operators": [_operator_json(one) for one in side.operators],
    }


def _operator_json(one: Measured) -> dict[str, Any]:
    known = {"position": one.operator.position, "operator": one.operator.name, "shape": list(one.operator.shape)}
    if one.cost is None:
        return known | {"reason": one.reason}
    cost = one.cost
    return known | {
        "kernel": one.kernel,
        "instructions": cost.inference,
        "start_up_instructions": cost.start_up,
        "scratch_bytes": cost.scratch,
        "persistent_bytes": cost.persistent,
        **({"cycles": dict(cost.cycles)} if cost.cycles else {}),
    }

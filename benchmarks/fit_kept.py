"""Fits the planner's constants of operators that stay in TFLM to what `model` counted."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from benchmarks import counted
from benchmarks.fit_cost_model import non_negative_least_squares
from dcsr import layers
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.planning import cost, kept, workload
from dcsr.planning.kernel_costs import Counts

_DESCRIPTION = """\
Fits kept_constants.json to the dense operators that `model --json` counted with CMSIS-NN: least squares of the relative
error, no constant below 0. Prints the errors of the estimates as a Markdown table. Cores that were not counted keep
their constants."""

_EPILOG = """\
example:
  fit_kept counted/*.json --models counted -o python/dcsr/planning/kept_constants.json

exit status: 0 done, 2 bad usage or bad input"""

_DIGITS = 5

# (counts, instructions, cycles or None) of an operator
Sample = tuple[Counts, int, int | None]


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    arguments = counted.parser("fit_kept", _DESCRIPTION, _EPILOG).parse_args(argv)
    samples: dict[str, list[Sample]] = {}
    for cpu, model, entry in counted.entries(arguments):
        samples.setdefault(cpu, []).extend(samples_of(model, entry["dense"]["operators"], cpu))
    present = counted.present(arguments)
    print("| core | operator | count | unit | median error | 90 % within | largest error |")
    print("|---" * 7 + "|")
    for cpu, found in samples.items():
        present[cpu] = {cost.INSTRUCTIONS: fit([(counts, time) for counts, time, _ in found])}
        _print_errors(cpu, cost.INSTRUCTIONS, present[cpu], [(counts, time) for counts, time, _ in found])
        cycles = [(counts, time) for counts, _, time in found if time is not None]
        if cpu in cost.CYCLE_CPUS:
            present[cpu][cost.CYCLES] = fit(cycles)
            _print_errors(cpu, cost.CYCLES, present[cpu], cycles)
    arguments.output.write_text(_text(present))
    return common.EXIT_OK


def samples_of(model: tflite.ModelT, operators: Sequence[dict], cpu: str) -> list[Sample]:
    """Returns the counts and times of the operators of a dense model."""
    found = {layer.position: layer for layer in layers.find(model) if layer.subgraph == 0}
    samples: list[Sample] = []
    for position, (operator, measured) in enumerate(zip(model.subgraphs[0].operators, operators, strict=True)):
        if position in found:
            counts = kept.layer_counts(cpu, workload.dense_work(model, found[position]))
        else:
            counts = kept.other_counts(model, 0, operator)
        if counts is not None and "instructions" in measured:
            cycles = measured.get("cycles", {}).get("dtcm")
            samples.append((counts, measured["instructions"], cycles))
    return samples


def fit(samples: Sequence[tuple[Counts, int]]) -> cost.KernelConstants:
    """Returns the constants, {kernel: {count: time}}."""
    constants: cost.KernelConstants = {}
    for kernel in sorted({kernel for counts, _ in samples for kernel in counts}):
        rows = [(counts[kernel], time) for counts, time in samples if kernel in counts]
        names = list(dict.fromkeys(name for counts, _ in rows for name in counts))
        matrix = np.array([[counts.get(name, 0) / time for name in names] for counts, time in rows])
        solution = non_negative_least_squares(matrix, np.ones(len(rows)))
        constants[kernel] = {name: float(f"{value:.{_DIGITS}g}") for name, value in zip(names, solution, strict=True)}
    return constants


def _print_errors(
    cpu: str, unit: str, constants: dict[str, cost.KernelConstants], samples: Sequence[tuple[Counts, int]]
) -> None:
    errors: dict[str, list[float]] = {}
    for counts, time in samples:
        estimate = cost.time(constants[unit], counts)
        assert estimate is not None
        errors.setdefault(next(iter(counts)), []).append(abs(estimate / time - 1))
    for kernel, found in sorted(errors.items()):
        cells = [cpu, kernel, str(len(found)), unit]
        cells += [f"{value:.1%}" for value in (np.median(found), np.quantile(found, 0.9), max(found))]
        print(f"| {' | '.join(cells)} |")


def _text(constants: dict[str, dict[str, cost.KernelConstants]]) -> str:
    """Returns the constants as JSON with a line for each kernel."""
    cores = []
    for cpu, units in constants.items():
        blocks = []
        for unit, kernels in units.items():
            lines = [f'   "{kernel}": {json.dumps(of)}' for kernel, of in kernels.items()]
            blocks.append(f'  "{unit}": {{\n' + ",\n".join(lines) + "\n  }")
        cores.append(f' "{cpu}": {{\n' + ",\n".join(blocks) + "\n }")
    return "{\n" + ",\n".join(cores) + "\n}\n"


if __name__ == "__main__":
    common.run("fit_kept", main)

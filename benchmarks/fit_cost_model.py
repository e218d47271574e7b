"""fit_cost_model: the constants of python/dcsr/planning/cost.py from instructions that cortex_m counted."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsr import model as tflite
from dcsr.cli import common
from dcsr.planning import cost
from dcsr.planning.choice import BALANCED_TOLERANCE
from dcsr.planning.kernel_costs import Counts

_DESCRIPTION = """\
Fits the constants of the planner's cost model (python/dcsr/planning/kernel_constants.json) to the instructions of
layers on emulated cores: least squares of the relative error, no constant below 0. Prints the errors on those layers,
and on layers that are held out of the fit, as Markdown tables for docs/results.md. A further table shows what the
planner's choices by these estimates cost. A kernel or coding of a core that was not measured gets no constants."""

_EPILOG = """\
example, all of it (a few minutes):
  cortex_m --models DIR --layers all --method every --scratch-budget 0 --scratch-budget 1 --scratch-budget 9000
      --scratch-budget 30000 --json all.json
  fit_cost_model all.json -o python/dcsr/planning/kernel_constants.json

exit status: 0 done, 2 bad usage or bad input"""


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("fit_cost_model", _DESCRIPTION, _EPILOG)
    parser.add_argument("measured", metavar="MEASURED.json", nargs="+", help="what cortex_m --json wrote")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="constants to write")
    arguments = parser.parse_args(argv)
    measured: dict[str, list[Sample]] = defaultdict(list)
    for path in arguments.measured:
        for core, samples in read(path).items():
            measured[core] += samples
    if not any(measured.values()):
        raise tflite.ModelError(f"{arguments.measured[0]}: has no layers")
    constants = {core: fit(fitted(measured[core])) for core in sorted(measured, key=list(cost.CPUS).index)}
    # Maps with few pixels fill no vector: there an M55 takes the kernel of an M33, and no published layer has it do so.
    if constants.keys() >= {"cortex-m33", "cortex-m55"}:
        for kernel, values in constants["cortex-m33"].items():
            constants["cortex-m55"].setdefault(kernel, values)
    if arguments.output:
        tflite.write_file(arguments.output, json.dumps(constants, indent=1) + "\n")
    held_out = {core: [sample for sample in samples if sample.is_held_out] for core, samples in measured.items()}
    lines = error_table(constants, {core: fitted(samples) for core, samples in measured.items()})
    if any(held_out.values()):
        lines += ["", "Held out:", "", *error_table(constants, held_out)]
    print("\n".join([*lines, "", *choice_table(constants, measured)]))
    return common.EXIT_OK


@dataclass(frozen=True)
class Sample:
    """A layer that was run.

    Attributes:
      name: of the layer and its model.
      coding: of its weights.
      counts, dense_counts: how often the kernels of the sparse and the dense product do what.
      packed_bytes: of its encoded weights.
      instructions, dense_instructions: counted.
      is_held_out: whether it is not there to be fitted to.
    """

    name: str
    coding: str
    counts: Counts
    dense_counts: Counts
    packed_bytes: int
    instructions: int
    dense_instructions: int
    is_held_out: bool = False


def fitted(samples: Sequence[Sample]) -> list[Sample]:
    """Those that are not held out."""
    return [sample for sample in samples if not sample.is_held_out]


def dense(samples: Sequence[Sample]) -> list[Sample]:
    """One for each dense product."""
    return list({(sample.name.split(",")[0], sample.dense_instructions): sample for sample in samples}.values())


def read(path: str) -> dict[str, list[Sample]]:
    """The layers of each core in a file that cortex_m wrote.

    Raises:
      tflite.ModelError: if it is no such file.
    """
    try:
        results = json.loads(Path(path).read_text())
        return {
            f"cortex-{result['core']}": [
                Sample(
                    f"{layer['weights']} {layer['layer']}",
                    layer["encoding"],
                    layer["counts"],
                    layer["dense_counts"],
                    layer["packed_bytes"],
                    layer["sparse_instructions"],
                    layer["dense_instructions"],
                    bool(layer.get("held_out")),
                )
                for layer in result["layers"]
            ]
            for result in results
        }
    except OSError as error:
        raise tflite.ModelError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise tflite.ModelError(f"{path}: not what cortex_m --json writes ({error!r})") from error


def fit(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """The constants of each kernel of a core, all fitted together, as a layer may take several kernels."""
    rows = [(sample.counts, sample.instructions) for sample in samples]
    rows += [(sample.dense_counts, sample.dense_instructions) for sample in dense(samples)]
    names = list(dict.fromkeys((kernel, name) for counts, _ in rows for kernel in counts for name in counts[kernel]))
    matrix = np.array([[counts.get(kernel, {}).get(name, 0) for kernel, name in names] for counts, _ in rows], float)
    matrix /= np.array([[instructions] for _, instructions in rows], float)
    # As many equations as there are constants have the same solution.
    q, r = np.linalg.qr(matrix)
    solution = non_negative_least_squares(r, q.T @ np.ones(len(rows)))
    constants: dict[str, dict[str, float]] = defaultdict(dict)
    for (kernel, name), value in zip(names, solution, strict=True):
        constants[kernel][name] = float(f"{value:.5g}")
    return dict(sorted(constants.items()))


def non_negative_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """X >= 0 with least |matrix x - target|, by Lawson and Hanson's active set.

    Args:
      matrix: float64 [samples, unknowns], no column all zeros.
      target: float64 [samples].
    """
    norms = np.linalg.norm(matrix, axis=0)
    scaled = matrix / norms
    x = np.zeros(len(norms))
    free = np.zeros(len(norms), bool)
    for _ in range(3 * len(norms)):
        gradient = scaled.T @ (target - scaled @ x)
        gradient[free] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= 1e-9:
            break
        free[best] = True
        while True:
            wanted = np.zeros_like(x)
            wanted[free] = np.linalg.lstsq(scaled[:, free], target, rcond=None)[0]
            if not np.any(wanted[free] <= 0):
                break
            # As far towards it as nothing leaves the allowed range; what comes to 0 is no longer free.
            leaving = free & (wanted <= 0)
            x += np.min(x[leaving] / (x[leaving] - wanted[leaving])) * (wanted - x)
            free &= x > 1e-12
            x[~free] = 0
        x = wanted
    return x / norms


def error_table(constants: dict[str, dict], measured: dict[str, list[Sample]]) -> list[str]:
    """Markdown: relative errors of the estimates, for each kernel."""
    lines = [
        "| core | kernel | runs | median error | 90 % of runs within | largest error | worst coding, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for core, samples in measured.items():
        errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        rows = [(sample.counts, sample.coding, sample.instructions) for sample in samples]
        rows += [(sample.dense_counts, "dense", sample.dense_instructions) for sample in dense(samples)]
        for counts, coding, instructions in rows:
            estimate = cost.instructions(constants[core], counts)
            assert estimate is not None, counts
            errors[next(iter(counts))][coding].append(abs(estimate / instructions - 1))
        for kernel, by_coding in sorted(errors.items()):
            values = np.concatenate(list(by_coding.values()))
            worst = max(by_coding, key=lambda coding: np.median(by_coding[coding]))
            cells = [core, kernel.replace("_", " "), str(len(values))]
            cells += [f"{value:.1%}" for value in (np.median(values), np.quantile(values, 0.9), max(values))]
            cells.append(f"{worst} {np.median(by_coding[worst]):.1%}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def choice_table(constants: dict[str, dict], measured: dict[str, list[Sample]]) -> list[str]:
    """Markdown: what `balanced` and `speed` cost by count, where they choose by estimate for a layer alone."""
    lines = [
        "| core | layers | objective | slower than the fastest encoding: median | largest | bytes / smallest |",
        "|---|---|---|---|---|---|",
    ]
    for core, samples in measured.items():
        groups = [group for group in _same_layers(samples) if len(group) > 1]
        for objective in ("balanced", "speed") if groups else ():
            slower, chosen_bytes, least_bytes = [], 0, 0
            for group in groups:
                times = [_estimate(constants, core, sample) for sample in group]
                limit = min(times) * (1 + BALANCED_TOLERANCE if objective == "balanced" else 1)
                allowed = [sample for sample, time in zip(group, times, strict=True) if time <= limit]
                chosen = min(allowed, key=lambda sample: sample.packed_bytes)
                slower.append(chosen.instructions / min(sample.instructions for sample in group) - 1)
                chosen_bytes += chosen.packed_bytes
                least_bytes += min(sample.packed_bytes for sample in group)
            cells = [core, str(len(groups)), objective, f"{np.median(slower):.1%}", f"{max(slower):.1%}"]
            lines.append(f"| {' | '.join([*cells, f'{chosen_bytes / least_bytes:.3f}'])} |")
    return lines


def _same_layers(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Samples that follow each other and are one layer in different codings."""
    groups: list[list[Sample]] = []
    for sample in samples:
        if not groups or groups[-1][0].name != sample.name or sample.coding in {s.coding for s in groups[-1]}:
            groups.append([])
        groups[-1].append(sample)
    return groups


def _estimate(constants: dict[str, dict], core: str, sample: Sample) -> float:
    estimate = cost.instructions(constants[core], sample.counts)
    assert estimate is not None
    return estimate


if __name__ == "__main__":
    common.run("fit_cost_model", main)

"""fit_cost_model: fits the constants of python/dcsr/planning/cost.py to the instructions and cycles of cortex_m."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsr import model as tflite
from dcsr.cli import common
from dcsr.planning import cost
from dcsr.planning.kernel_costs import Counts
from dcsr.planning.settings import BALANCED_TOLERANCE

_DESCRIPTION = """\
Fits the constants of the planner's cost model (python/dcsr/planning/) to layers on emulated cores: those of
kernel_constants.json to instructions, and those of cycle_constants.json to cycles, with data in DTCM and behind a
cache, of the cores that the planner compares by cycles. Least squares of the relative error, no constant below 0.
Prints the errors on those layers, and on layers that are held out of the fit, as Markdown tables for docs/results.md. A
further table shows what the planner's choices by these estimates cost. A kernel or coding of a core that was not
measured gets no constants."""

_EPILOG = """\
example, all of it (a few minutes):
  cortex_m --models DIR --layers all --method every --scratch-budget 0 --scratch-budget 1 --scratch-budget 9000
      --scratch-budget 30000 --cycles --json all.json
  fit_cost_model all.json -o python/dcsr/planning/kernel_constants.json
      --cycles python/dcsr/planning/cycle_constants.json
example, a new kernel whose layers have "3x3" in their name (the constants of all others stay):
  cortex_m --layers dense --layer 3x3 --cycles --json new.json
  fit_cost_model new.json --only-missing -o python/dcsr/planning/kernel_constants.json
      --cycles python/dcsr/planning/cycle_constants.json
example, kernels whose estimates were off:
  fit_cost_model all.json new.json --kernel conv1x1_mve --kernel conv1x1_gather_mve
      -o python/dcsr/planning/kernel_constants.json --cycles python/dcsr/planning/cycle_constants.json

exit status: 0 done, 2 bad usage or bad input"""


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("fit_cost_model", _DESCRIPTION, _EPILOG)
    parser.add_argument("measured", metavar="MEASURED.json", nargs="+", help="what cortex_m --json wrote")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="constants to write, in instructions")
    parser.add_argument("--cycles", metavar="FILE.json", help="constants to write, in cycles")
    parser.add_argument(
        "--only-missing",
        action="store_true",
        help="keep all present constants, and fit only those that a kernel or coding lacks",
    )
    parser.add_argument(
        "--kernel",
        metavar="NAME",
        action="append",
        default=[],
        help="fit this kernel again and keep the constants of all others; may be repeated",
    )
    arguments = parser.parse_args(argv)
    keeps = arguments.only_missing or bool(arguments.kernel)
    measured = _read_all(arguments.measured)
    if not any(measured.values()):
        raise tflite.ModelError(f"{arguments.measured[0]}: has no layers")
    present = _without(cost.kernel_constants(), measured, arguments.kernel) if keeps else {}
    constants = fit_all(measured, present)
    lines = tables(constants, measured)
    in_cycles: dict[str, dict[str, cost.KernelConstants]] = defaultdict(dict)
    for memory in cost.MEMORIES:
        with_cycles = _read_all(arguments.measured, memory)
        present = {core: of[memory] for core, of in cost.all_cycle_constants().items() if keeps}
        present = _without(present, with_cycles, arguments.kernel)
        of_memory = fit_all(with_cycles, present)
        planned = {core: samples for core, samples in with_cycles.items() if core in cost.CYCLE_CPUS}
        for core in planned:
            in_cycles[core][memory] = of_memory[core]
        if planned:
            lines += ["", f"Cycles, {memory}:", "", *tables(of_memory, planned)]
    if arguments.cycles and not in_cycles:
        raise tflite.ModelError(f"{arguments.measured[0]}: has no cycles of a core that the planner compares by them")
    if arguments.output:
        tflite.write_file(arguments.output, json.dumps(constants, indent=1) + "\n")
    if arguments.cycles:
        tflite.write_file(arguments.cycles, json.dumps(in_cycles, indent=1) + "\n")
    print("\n".join(lines))
    return common.EXIT_OK


def _without(constants: cost.Constants, measured: Collection[str], kernels: Sequence[str]) -> cost.Constants:
    """Returns the constants without those of the kernels on the measured cores."""
    return {
        core: {kernel: of for kernel, of in of_core.items() if core not in measured or kernel not in kernels}
        for core, of_core in constants.items()
    }


def _read_all(paths: Sequence[str], memory: str | None = None) -> dict[str, list[Sample]]:
    """Returns the samples of all files, as read()."""
    measured: dict[str, list[Sample]] = defaultdict(list)
    for path in paths:
        for core, samples in read(path, memory).items():
            measured[core] += samples
    return measured


def fit_all(
    measured: dict[str, list[Sample]], present: dict[str, cost.KernelConstants] | None = None
) -> dict[str, cost.KernelConstants]:
    """Returns the fitted constants of each core, with the `present` ones, which stay as they are."""
    known = present or {}
    cores = sorted({*measured, *known}, key=list(cost.CPUS).index)
    constants = {core: fit(fitted(measured.get(core, [])), known.get(core)) for core in cores}
    # With few pixels, which do not fill a vector, an M55 runs kernels of the M33. No published layer does that, so
    # kernels that were not measured on the M55 get the constants of the M33.
    if constants.keys() >= {"cortex-m33", "cortex-m55"}:
        for kernel, values in constants["cortex-m33"].items():
            constants["cortex-m55"].setdefault(kernel, values)
    return constants


def tables(constants: dict[str, cost.KernelConstants], measured: dict[str, list[Sample]]) -> list[str]:
    """Returns the Markdown tables of the errors and of the choices."""
    held_out = {core: [sample for sample in samples if sample.is_held_out] for core, samples in measured.items()}
    lines = error_table(constants, {core: fitted(samples) for core, samples in measured.items()})
    if any(held_out.values()):
        lines += ["", "Held out:", "", *error_table(constants, held_out)]
    return [*lines, "", *choice_table(constants, measured)]


@dataclass(frozen=True)
class Sample:
    """A measured layer.

    Attributes:
      name: name of the model and of the layer.
      coding: coding of the weights (cost.coding).
      counts, dense_counts: counts of the kernels of the sparse and of the dense product.
      packed_bytes: bytes of the encoded weights.
      time, dense_time: measured instructions or cycles of both products.
      is_held_out: whether the layer is excluded from the fit.
    """

    name: str
    coding: str
    counts: Counts
    dense_counts: Counts
    packed_bytes: int
    time: int
    dense_time: int
    is_held_out: bool = False


def fitted(samples: Sequence[Sample]) -> list[Sample]:
    """Returns the samples that are not held out."""
    return [sample for sample in samples if not sample.is_held_out]


def dense(samples: Sequence[Sample]) -> list[Sample]:
    """Returns one sample for each dense product."""
    return list({(sample.name.split(",")[0], sample.dense_time): sample for sample in samples}.values())


def read(path: str, memory: str | None = None) -> dict[str, list[Sample]]:
    """Reads a file that cortex_m wrote.

    Args:
      path: of the file.
      memory: one of cost.MEMORIES, for cycles; None for instructions.

    Returns:
      {core: samples}; cores without cycles have none if a memory is given.

    Raises:
      tflite.ModelError: if the file cannot be read or is not such a file.
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
                    layer["estimated_cycles"]["sparse"][memory] if memory else layer["sparse_instructions"],
                    layer["estimated_cycles"]["dense"][memory] if memory else layer["dense_instructions"],
                    bool(layer.get("held_out")),
                )
                for layer in result["layers"]
            ]
            for result in results
            if memory is None or all("estimated_cycles" in layer for layer in result["layers"])
        }
    except OSError as error:
        raise tflite.ModelError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise tflite.ModelError(f"{path}: not what cortex_m --json writes ({error!r})") from error


def fit(samples: Sequence[Sample], present: cost.KernelConstants | None = None) -> dict[str, dict[str, float]]:
    """Fits the constants of a core: least squares of the relative error, no constant below 0.

    All kernels are fitted together, because a layer may use several kernels.

    Args:
      samples: layers measured on the core.
      present: constants that stay as they are; None if all are fitted.

    Returns:
      {kernel: {count: instructions or cycles}}, with the present ones.
    """
    known = present or {}

    def is_missing(counts: Counts) -> bool:
        return any(name not in known.get(kernel, {}) for kernel, names in counts.items() for name in names)

    def explained(counts: Counts) -> float:
        return sum(known.get(kernel, {}).get(name, 0) * n for kernel, of in counts.items() for name, n in of.items())

    rows = [(sample.counts, sample.time) for sample in samples]
    rows += [(sample.dense_counts, sample.dense_time) for sample in dense(samples)]
    rows = [(counts, time) for counts, time in rows if is_missing(counts)]
    constants: dict[str, dict[str, float]] = defaultdict(dict, {kernel: dict(of) for kernel, of in known.items()})
    if not rows:
        return dict(sorted(constants.items()))
    names = list(dict.fromkeys((kernel, name) for counts, _ in rows for kernel in counts for name in counts[kernel]))
    names = [(kernel, name) for kernel, name in names if name not in known.get(kernel, {})]
    matrix = np.array([[counts.get(kernel, {}).get(name, 0) for kernel, name in names] for counts, _ in rows], float)
    matrix /= np.array([[time] for _, time in rows], float)
    target = np.array([1 - explained(counts) / time for counts, time in rows])
    # QR reduces the system to one equation per constant. The solution is the same.
    q, r = np.linalg.qr(matrix)
    solution = non_negative_least_squares(r, q.T @ target)
    for (kernel, name), value in zip(names, solution, strict=True):
        constants[kernel][name] = float(f"{value:.5g}")
    return dict(sorted(constants.items()))


def non_negative_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Minimises |matrix x - target| for x >= 0 with the active-set method of Lawson and Hanson.

    Args:
      matrix: float64 [samples, unknowns]. No column may be all zeros.
      target: float64 [samples].

    Returns:
      x, float64 [unknowns].
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
            # Move towards the solution until the first unknown reaches 0. Unknowns at 0 are no longer free.
            leaving = free & (wanted <= 0)
            x += np.min(x[leaving] / (x[leaving] - wanted[leaving])) * (wanted - x)
            free &= x > 1e-12
            x[~free] = 0
        x = wanted
    return x / norms


def error_table(constants: dict[str, dict], measured: dict[str, list[Sample]]) -> list[str]:
    """Returns a Markdown table of the relative errors of the estimates, one line per core and kernel."""
    lines = [
        "| core | kernel | runs | median error | 90 % of runs within | largest error | worst coding, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for core, samples in measured.items():
        errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        rows = [(sample.counts, sample.coding, sample.time) for sample in samples]
        rows += [(sample.dense_counts, "dense", sample.dense_time) for sample in dense(samples)]
        for counts, coding, time in rows:
            estimate = cost.time(constants[core], counts)
            assert estimate is not None, counts
            errors[next(iter(counts))][coding].append(abs(estimate / time - 1))
        for kernel, by_coding in sorted(errors.items()):
            values = np.concatenate(list(by_coding.values()))
            worst = max(by_coding, key=lambda coding: np.median(by_coding[coding]))
            cells = [core, kernel.replace("_", " "), str(len(values))]
            cells += [f"{value:.1%}" for value in (np.median(values), np.quantile(values, 0.9), max(values))]
            cells.append(f"{worst} {np.median(by_coding[worst]):.1%}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def choice_table(constants: dict[str, dict], measured: dict[str, list[Sample]]) -> list[str]:
    """Returns a Markdown table of the measured cost of the choices that `balanced` and `speed` make by estimate.

    Each layer is chosen for alone, as if it were the whole model.
    """
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
                slower.append(chosen.time / min(sample.time for sample in group) - 1)
                chosen_bytes += chosen.packed_bytes
                least_bytes += min(sample.packed_bytes for sample in group)
            cells = [core, str(len(groups)), objective, f"{np.median(slower):.1%}", f"{max(slower):.1%}"]
            lines.append(f"| {' | '.join([*cells, f'{chosen_bytes / least_bytes:.3f}'])} |")
    return lines


def _same_layers(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Groups consecutive samples of the same layer in different codings."""
    groups: list[list[Sample]] = []
    for sample in samples:
        if not groups or groups[-1][0].name != sample.name or sample.coding in {s.coding for s in groups[-1]}:
            groups.append([])
        groups[-1].append(sample)
    return groups


def _estimate(constants: dict[str, dict], core: str, sample: Sample) -> float:
    estimate = cost.time(constants[core], sample.counts)
    assert estimate is not None
    return estimate


if __name__ == "__main__":
    common.run("fit_cost_model", main)

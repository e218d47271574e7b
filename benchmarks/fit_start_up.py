"""Fits the planner's constants of the start-up to what `model` counted in TFLM's interpreter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import counted
from benchmarks.fit_cost_model import non_negative_least_squares
from dcsr import compressing, layers
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.planning import footprint, start_up, workload
from dcsr.planning.builtin_memory import Memory
from dcsr.planning.candidates import Candidate, placed
from dcsr.planning.kernel_costs import Counts
from dcsr.planning.start_up import Place

_DESCRIPTION = """\
Fits start_up_constants.json to AllocateTensors of the models that `model --json` counted in TFLM's interpreter with
CMSIS-NN: least squares of the relative error, no constant below 0. Prints the errors of the estimates as a Markdown
table. Cores that were not counted keep their constants."""

_EPILOG = """\
example:
  fit_start_up counted.json --models counted -o python/dcsr/planning/start_up_constants.json

exit status: 0 done, 2 bad usage or bad input"""

_DIGITS = 4

Sample = tuple[Counts, int]


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    arguments = counted.parser("fit_start_up", _DESCRIPTION, _EPILOG).parse_args(argv)
    samples: dict[str, dict[str, Sample]] = {}
    for cpu, model, entry in counted.entries(arguments):
        samples.setdefault(cpu, {}).update(samples_of(model, entry, cpu))
    present = counted.present(arguments)
    present |= {cpu: fit(list(found.values())) for cpu, found in samples.items()}
    arguments.output.write_text(_text(present))
    print("| core | models | median error | 90 % within | largest error |")
    print("|---" * 5 + "|")
    for cpu, found in samples.items():
        errors = [abs(_estimate(present[cpu], counts) / count - 1) for counts, count in found.values()]
        cells = [f"{value:.1%}" for value in (np.median(errors), np.quantile(errors, 0.9), max(errors))]
        print(f"| {' | '.join([cpu, str(len(errors)), *cells])} |")
    return common.EXIT_OK


def samples_of(model: tflite.ModelT, entry: Mapping, cpu: str) -> dict[str, Sample]:
    """Returns {name: (counts, instructions)} of a model, which is dense or compressed, and of its dense form."""
    name = str(entry["model"])
    if not layers.is_compressed(model):
        return {name: (dense_counts(model, cpu), entry["dense"]["start_up_instructions"])}
    dense = compressing.decompress(model, name)
    return {
        f"{name}, dense": (dense_counts(dense, cpu), entry["dense"]["start_up_instructions"]),
        name: (packed_counts(model, dense, cpu), entry["compressed"]["start_up_instructions"]),
    }


def dense_counts(model: tflite.ModelT, cpu: str) -> Counts:
    """Returns the counts of a dense model."""
    return start_up.counts(model, cpu, {}, {})


def packed_counts(model: tflite.ModelT, dense: tflite.ModelT, cpu: str) -> Counts:
    """Returns the counts of a compressed model, given the dense model."""
    found: dict[Place, Candidate] = {}
    for layer in layers.find(model):
        if layer.packed is not None:
            shape = workload.shape(model, layer)
            packed, shape, estimate = placed(cpu, layer.packed, shape, "dtcm")
            found[layer.subgraph, layer.position] = Candidate(packed, shape, estimate)
    memory: dict[Place, Memory] = {where: footprint.of_candidate(one) for where, one in found.items()}
    packed_layers = {where: (one.packed, one.estimate.linked) for where, one in found.items()}
    return start_up.counts(dense, cpu, packed_layers, memory)


def fit(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Returns the constants, {part: {count: instructions}}."""
    names = sorted({(part, count) for counts, _ in samples for part, of in counts.items() for count in of})
    matrix = np.array(
        [[counts.get(part, {}).get(count, 0) / total for part, count in names] for counts, total in samples]
    )
    solution = non_negative_least_squares(matrix, np.ones(len(samples)))
    constants: dict[str, dict[str, float]] = {}
    for (part, count), value in zip(names, solution, strict=True):
        constants.setdefault(part, {})[count] = float(f"{value:.{_DIGITS}g}")
    return constants


def _estimate(constants: dict[str, dict[str, float]], counts: Counts) -> float:
    return sum(
        constants.get(part, {}).get(count, 0) * number for part, of in counts.items() for count, number in of.items()
    )


def _text(constants: dict[str, dict[str, dict[str, float]]]) -> str:
    """Returns the constants as JSON with a line for each part."""
    cores = []
    for cpu, parts in constants.items():
        lines = [f'  "{part}": {json.dumps(of)}' for part, of in parts.items()]
        cores.append(f' "{cpu}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(cores) + "\n}\n"


if __name__ == "__main__":
    common.run("fit_start_up", main)

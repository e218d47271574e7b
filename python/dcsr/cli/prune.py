"""prune: makes a dense int8 model sparse, without training."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import dcsr
from dcsr import arrays
from dcsr import model as tflite
from dcsr.cli import common, reports
from dcsr.errors import ModelError
from dcsr.files import Outputs
from dcsr.planning import cost, settings
from dcsr.pruning import summary

Array: TypeAlias = NDArray[Any]
# From the name of a data set and the shape of a model's input to samples and labels.
Dataset: TypeAlias = Callable[[tuple[int, ...]], tuple[Array, Array]]

_DESCRIPTION = """\
Sets most weights of a dense int8 .tflite model to zero and adapts the remaining ones, without training, from a few
hundred recorded inputs without labels. The result is a normal .tflite model, which `compress` then makes small.

Layers: CONV_2D and FULLY_CONNECTED with int8 weights; DEPTHWISE_CONV_2D only with --depthwise. The zeros are shared out
between the layers so that the model's outputs change least for the bytes (or, with --objective speed, the time)
that `compress` saves. A layer that would not get cheaper stays dense.

A third of the inputs is held out. On these the pruned model is compared with the dense one: the disagreement is an
estimate, and bounds a loss of accuracy only on data like the inputs. Inputs must be real: with random numbers the model
loses its accuracy. Many speakers, scenes or devices matter more than many samples."""

_EPILOG = """\
examples:
  prune model.tflite --inputs recorded.npz -o sparse.tflite
  prune model.tflite --inputs samples/ -o sparse.tflite --sparsity .8 --report report.html --curve
  prune model.tflite --inputs recorded.npz -o sparse.tflite --max-disagreement .01
  prune model.tflite --inputs recorded.npz -o sparse.tflite --flash 100000
  prune model.tflite --inputs recorded.npz -o sparse.tflite --objective speed --cpu cortex-m4 --sparsity .6
  prune model.tflite --dataset fashion_mnist -o sparse.tflite
then:
  compress sparse.tflite -o small.tflite --objective size

recorded.npz has an array [samples, ...] for each input of the model, as the model takes it or as float:
  numpy.savez("recorded.npz", inputs=samples)

exit status: 0 done, 2 bad usage or bad input, or an aim that cannot be reached (nothing is written then)"""


def share(value: str) -> float:
    """An argument from 0 to below 1."""
    number = common.number(value)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and below 1")
    return number


def command_line(datasets: Mapping[str, Dataset] | None = None) -> argparse.ArgumentParser:
    """Returns the parser of the tool's arguments. `datasets` are those of --dataset, by name."""
    parser = common.parser("prune", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="MODEL.tflite", help="dense int8 model")
    parser.add_argument("-o", "--output", metavar="OUT.tflite", required=True, help="model to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--inputs",
        metavar="X.npz|FOLDER",
        help="recorded inputs: arrays [samples, ...] in an .npz or .npy, or a folder with a .npy for each sample",
    )
    source.add_argument(
        "--dataset",
        metavar="NAME",
        help="training samples of a data set of `evaluate`"
        + (f": {', '.join(datasets)}" if datasets else " (not in this package: start with `bazel run //python:prune`)"),
    )
    aim = parser.add_mutually_exclusive_group()
    aim.add_argument(
        "--sparsity", type=share, metavar="S", help="share of zeros of all weights that can be pruned (default: 0.7)"
    )
    aim.add_argument(
        "--max-disagreement",
        type=share,
        metavar="D",
        help="prune as far as the outputs for held-out inputs allow: another class for at most this share of them, or"
        " this normalised error of outputs that are no classes",
    )
    aim.add_argument(
        "--flash", type=common.positive_integer, metavar="BYTES", help="prune until the compressed file fits"
    )
    aim.add_argument(
        "--max-instructions",
        type=common.positive_integer,
        metavar="N",
        help="prune until an inference is estimated to take at most so many; implies --objective speed",
    )
    aim.add_argument(
        "--max-cycles",
        type=common.positive_integer,
        metavar="N",
        help="the same in cycles, which are estimated for cortex-m55 and m85",
    )
    parser.add_argument(
        "--pattern",
        metavar="N:M|RxC",
        help="for other runtimes: 2:4 keeps 2 weights of 4 neighbouring inputs in every layer that has a multiple of 4,"
        " without an aim; 1x4 removes blocks of 1 row and 4 columns",
    )
    parser.add_argument(
        "--objective",
        choices=settings.OBJECTIVES,
        default="size",
        help="that `compress` will get; with speed, layers are chosen by time instead of bytes (default: %(default)s)",
    )
    parser.add_argument(
        "--cpu",
        type=cost.cpu_name,
        choices=cost.CPUS,
        default=cost.DEFAULT_CPU,
        help="core that time is estimated for: cycles on cortex-m55 and m85, instructions on others;"
        " m55 is short for cortex-m55 (default: %(default)s)",
    )
    reports.add_memory(parser)
    parser.add_argument(
        "--min-sparsity",
        type=share,
        metavar="S",
        help="that `compress` will get: layers with fewer zeros stay dense"
        f" (default: {settings.DEFAULT_MIN_SPARSITY}; with --objective size no limit)",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="TENSOR",
        help="leave the layer with this weight tensor alone, by name or index; may be repeated",
    )
    parser.add_argument(
        "--depthwise",
        action="store_true",
        help="prune DEPTHWISE_CONV_2D too; they have few weights, whose zeros save bytes only with --objective size",
    )
    parser.add_argument(
        "--plan", metavar="PLAN.yaml", help="sparsity of single layers; overrides all other options for them"
    )
    parser.add_argument("--dump-plan", metavar="PLAN.yaml", help="also write the sparsity of each layer as a plan")
    parser.add_argument(
        "--holdout",
        type=share,
        default=0.33,
        metavar="S",
        help="share of the inputs that only the disagreement is measured on (default: %(default)s)",
    )
    parser.add_argument(
        "--samples",
        type=common.positive_integer,
        default=1024,
        metavar="N",
        help="use at most so many inputs besides (default: %(default)s)",
    )
    parser.add_argument("--labels", metavar="Y.npy", help="class of each input, to print the accuracy as well")
    parser.add_argument(
        "--curve",
        action="store_true",
        help="also prune to other sparsities, and print disagreement, flash and time of each",
    )
    parser.add_argument("--report", metavar="REPORT.html", help="also write a page with the layers and the curve")
    parser.add_argument("--json", metavar="REPORT.json", help="also write all numbers as JSON")
    parser.add_argument(
        "--seed", type=common.natural_number, default=0, help="of the order of the inputs (default: %(default)s)"
    )
    return parser


def main(argv: Sequence[str], datasets: Mapping[str, Dataset] | None = None) -> int:
    """Runs the tool; returns its exit status.

    Args:
      argv: the arguments.
      datasets: for --dataset, by name.
    """
    datasets = datasets or {}
    arguments = command_line(datasets).parse_args(argv)
    read = [path for path in (arguments.model, arguments.inputs, arguments.labels, arguments.plan) if path]
    with Outputs(read) as outputs:
        outputs.check_all((arguments.output, arguments.report, arguments.json, arguments.dump_plan))
        result = _prune(arguments, datasets)
        outputs.add(arguments.output, result.model)
        if arguments.dump_plan:
            outputs.add(arguments.dump_plan, result.plan)
        if arguments.json:
            outputs.add(arguments.json, json.dumps(summary.as_json(result), indent=2) + "\n")
        if arguments.report:
            from dcsr.pruning import page

            outputs.add(arguments.report, page.render(result))
        outputs.prepare()
        # Printed before the files appear: if stdout is full, no file is left.
        common.say(str(result), _next_step(arguments))
        outputs.commit()
    for warning in result.warnings:
        common.note(f"warning: {warning}")
    return common.EXIT_OK


def _prune(arguments: argparse.Namespace, datasets: Mapping[str, Dataset]) -> dcsr.Pruning:
    inputs, labels = _inputs(arguments, datasets)
    try:
        return dcsr.prune(
            arguments.model,
            inputs,
            sparsity=arguments.sparsity,
            max_disagreement=arguments.max_disagreement,
            flash=arguments.flash,
            max_instructions=arguments.max_instructions,
            max_cycles=arguments.max_cycles,
            pattern=arguments.pattern,
            objective=arguments.objective,
            cpu=arguments.cpu,
            memory=arguments.memory,
            min_sparsity=arguments.min_sparsity,
            exclude=arguments.exclude,
            plan=arguments.plan,
            holdout=arguments.holdout,
            samples=arguments.samples,
            labels=labels,
            seed=arguments.seed,
            curve=arguments.curve,
            depthwise=arguments.depthwise,
            progress=common.progress,
        )
    except ValueError as error:
        raise ModelError(str(error)) from error


def _next_step(arguments: argparse.Namespace) -> str:
    """Returns the last line of the output: the command that compresses the model."""
    compress = f"{common.command}compress" if common.command else "bazel run //python:compress --"
    small = Path(arguments.output).with_suffix(".small.tflite")
    is_limited = arguments.max_instructions or arguments.max_cycles
    options = ["--objective", "speed" if is_limited else arguments.objective]
    if arguments.cpu != cost.DEFAULT_CPU:
        options += ["--cpu", arguments.cpu]
    if arguments.memory != cost.DEFAULT_MEMORY:
        options += ["--memory", arguments.memory]
    if arguments.min_sparsity is not None:
        options += ["--min-sparsity", f"{arguments.min_sparsity:g}"]
    command = shlex.join([arguments.output, "-o", str(small), *options])
    return f"compress it:  {compress} {common.one_line(command)}"


def _inputs(arguments: argparse.Namespace, datasets: Mapping[str, Dataset]) -> tuple[str | list[Array], Array | None]:
    """The inputs, and the labels if there are any."""
    labels = _labels(arguments.labels) if arguments.labels else None
    if arguments.inputs:
        return arguments.inputs, labels
    if arguments.dataset not in datasets:
        known = ", ".join(datasets) or "none in this package; start with `bazel run //python:prune`, or give --inputs"
        raise ModelError(f"--dataset {arguments.dataset}: unknown; known are {known}")
    if labels is not None:
        raise ModelError(f"{arguments.labels}: --labels is for --inputs; a data set has its own")
    from dcsr.pruning.inputs import wanted

    inputs = wanted(tflite.read(arguments.model), arguments.model)
    samples, labels = datasets[arguments.dataset](inputs[0].shape)
    return [samples], labels


def _labels(path: str) -> Array:
    labels = arrays.read(path)
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ModelError(f"{path}: expected a .npy with one integer for each input")
    return labels

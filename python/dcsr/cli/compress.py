"""compress: packs the sparse layers of a .tflite model."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsr import cc_array, convert, cost_model, densify, planner, report
from dcsr import model as tflite
from dcsr.cli import common, reports
from dcsr.model import ModelError

_DESCRIPTION = """\
Turns a pruned int8 .tflite model into one whose sparse layers are custom ops with compressed weights.
The outputs of the model stay the same bit for bit. Layers: FULLY_CONNECTED and CONV_2D; the rest of the
model is kept as it is, and so is a layer that would not get smaller (the table says why). int8 weights in TFLite's own
sparse form (EXPERIMENTAL_SPARSITY, with DENSIFY operators, which TFLM cannot run) are expanded first."""

_EPILOG = """\
examples:
  compress model.tflite -o small.tflite
  compress model.tflite -o small.tflite --objective size --strip
  compress model.tflite -o small.tflite --cpu cortex-m4 --max-scratch 16384 --report report.html
  compress model.tflite -o small.tflite --dump-plan plan.yaml       edit it, then --plan plan.yaml
  compress model.tflite -o small.tflite --cc firmware/model.cc      also firmware/model.h

exit status: 0 done, 2 bad usage or bad input (nothing is written then)"""


def _share(value: str) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return share


def _bytes(value: str) -> int:
    number = int(value)
    if not 0 <= number < 1 << 32:
        raise argparse.ArgumentTypeError(f"{value} is no number of bytes")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = common.parser("compress", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="IN.tflite", help="int8 model with pruned weights")
    parser.add_argument("-o", "--output", metavar="OUT.tflite", required=True, help="model to write")
    parser.add_argument(
        "--method",
        choices=convert.METHODS,
        default="auto",
        help="encoding of the packed layers; auto has the objective choose for each, none packs nothing; dcsr4 and"
        " dcsr8 are dcsr with deltas of so many bits (default: %(default)s)",
    )
    parser.add_argument(
        "--min-sparsity",
        type=_share,
        default=convert.DEFAULT_MIN_SPARSITY,
        metavar="S",
        help="share of zero weights from which on a layer is packed, 0..1 (default: %(default)s)",
    )
    parser.add_argument(
        "--objective",
        choices=planner.OBJECTIVES,
        default=planner.DEFAULT_OBJECTIVE,
        help="what auto aims at: the smallest layers, the fastest, or balanced, the smallest with which an inference"
        " is estimated to take at most 10 %% longer than with the fastest; with speed a layer that is faster dense"
        " stays so (default: %(default)s)",
    )
    parser.add_argument(
        "--max-scratch",
        type=_bytes,
        metavar="BYTES",
        help="scratch that a layer's kernel may take; less makes it slower (default: what the firmware is built with,"
        f" else {cost_model.default_scratch('cortex-m55')} on cores with vectors,"
        f" {cost_model.default_scratch('cortex-m4')} on others)",
    )
    parser.add_argument(
        "--plan", metavar="PLAN.yaml", help="encoding and scratch of single layers, before all the above"
    )
    parser.add_argument("--dump-plan", metavar="PLAN.yaml", help="also write the choices as a plan")
    parser.add_argument(
        "--strip",
        action="store_true",
        help="leave out names, signatures, metadata, attached files, and what decompress needs",
    )
    parser.add_argument("--cc", metavar="OUT.cc", help="also write the model as a C++ array, with OUT.h beside it")
    parser.add_argument("--numpy", metavar="DIR", help="also write the weights of every int8 layer as DIR/*.npy")
    reports.add_arguments(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    arguments = _parser().parse_args(argv)
    _check_outputs(arguments)
    data = tflite.read_bytes(arguments.model)
    model = tflite.parse(data, arguments.model)
    compressed, choices = convert.compress(
        model,
        arguments.model,
        method=arguments.method,
        min_sparsity=arguments.min_sparsity,
        objective=arguments.objective,
        cpu=arguments.cpu,
        max_scratch=arguments.max_scratch,
        plan=arguments.plan,
        strip=arguments.strip,
        progress=common.progress("packing"),
    )
    result = tflite.serialize(compressed)
    rows = [report.row(choice) for choice in choices]

    # The model takes its place last: once it is there, all is, and without it there is nothing.
    with tflite.replacing(arguments.output) as temporary:
        temporary.write_bytes(result)
        _write_extras(arguments, choices, rows, data, result)

    report.print_table(rows, sys.stdout)
    for line in report.summary(rows, len(data), len(result), arguments.cpu):
        print(line)
    _warn_of_little_scratch(choices, arguments.cpu)
    _note_slow_layers(choices, arguments.cpu)
    if any(choice.packed for choice in choices):
        paths = shlex.join([arguments.model, arguments.output])
        verify = f"{common.command}verify" if common.command else "bazel run //python:verify --"
        print(f"check it:  {verify} {paths}")
    else:
        what = "the dense equivalent of the input" if densify.is_sparse(model) else "the input, written anew"
        print(f"no layer was packed: the output is {what}")
    return common.EXIT_OK


def _write_extras(
    arguments: argparse.Namespace,
    choices: Sequence[convert.Choice],
    rows: Sequence[report.Row],
    data: bytes,
    result: bytes,
) -> None:
    """What --numpy, --dump-plan, --report, --json and --cc ask for."""
    if arguments.numpy:
        _write_matrices(Path(arguments.numpy), choices)
    reports.write(arguments, rows, {"_before": data, "_after": result}, arguments.objective)
    if arguments.dump_plan:
        tflite.write_file(arguments.dump_plan, _plan_text(arguments, choices))
    if arguments.cc:
        cc_array.write(Path(arguments.cc), result, source=arguments.output)


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Raises ModelError if two outputs have the same name, or that of the C++ source is none."""
    if arguments.cc and Path(arguments.cc).suffix not in cc_array.SUFFIXES:
        raise ModelError(f"{arguments.cc}: expected a name ending in {', '.join(cc_array.SUFFIXES)}")
    header = Path(arguments.cc).with_suffix(".h") if arguments.cc else None
    outputs = (arguments.output, arguments.json, arguments.report, arguments.dump_plan, arguments.cc, header)
    named = [path for path in outputs if path]
    for path in named:
        if sum(os.path.realpath(path) == os.path.realpath(other) for other in named) > 1:
            raise ModelError(f"{path}: is named for two outputs")


def _plan_text(arguments: argparse.Namespace, choices: Sequence[convert.Choice]) -> str:
    chosen = [
        (choice.layer, cost_model.coding(choice.packed.streams), choice.packed.scratch_budget)
        if choice.packed
        else (choice.layer, planner.NONE, 0)
        for choice in choices
    ]
    title = f"{Path(arguments.model).name}, objective {arguments.objective}, {arguments.cpu}; compress --plan reads it"
    return planner.plan_text(chosen, title)


def _note_slow_layers(choices: Sequence[convert.Choice], cpu: str) -> None:
    """Says which layers are estimated to have been faster before."""
    slow = [choice for choice in choices if choice.estimate and choice.estimate.slowdown > 1]
    if slow:
        now = sum(choice.estimate.instructions for choice in slow)
        before = sum(choice.estimate.dense_instructions for choice in slow)
        worst = max(slow, key=lambda choice: choice.estimate.instructions - choice.estimate.dense_instructions)
        layers = "1 packed layer is" if len(slow) == 1 else f"{len(slow)} packed layers are"
        print(
            f"note: {layers} estimated to be slower than dense on {cpu}: {now:,} instead of"
            f" {before:,} instructions, most of all '{report.shortened(worst.layer.name)}'; --objective speed avoids"
            " that",
            file=sys.stderr,
        )


def _warn_of_little_scratch(choices: Sequence[convert.Choice], cpu: str) -> None:
    """Says so if scratch is too small for the kernel of some layers."""
    needed = [
        cost_model.least_scratch(cpu, choice.work)
        for choice in choices
        if choice.work and cost_model.plan(cpu, choice.work).is_portable
    ]
    if needed:
        print(
            f"warning: {len(needed)} layers are left too little scratch for the kernels of {cpu} and run on the"
            f" portable one; --max-scratch {max(needed)} is enough for all",
            file=sys.stderr,
        )


def _write_matrices(directory: Path, choices: Sequence[convert.Choice]) -> None:
    """One .npy for each matrix, named after its place and tensor."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(f"{directory}: {error.strerror}") from error
    for choice in choices:
        layer = choice.layer
        if layer.matrix is None:
            continue
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in layer.name)[-80:]
        path = directory / f"{layer.subgraph}_{layer.position:03}_{name}.npy"
        with tflite.replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, layer.matrix)

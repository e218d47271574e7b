"""compress: packs the sparse layers of a .tflite model."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsr import cc_array, convert, densify, report
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.model import ModelError

_DESCRIPTION = """\
Turns a pruned int8 .tflite model into one whose sparse layers are custom ops with compressed weights.
The outputs of the model stay the same bit for bit. Layers: FULLY_CONNECTED and CONV_2D; the rest of the
model is kept as it is, and so is a layer that would not get smaller (the table says why). int8 weights in TFLite's own
sparse form (EXPERIMENTAL_SPARSITY, with DENSIFY operators, which TFLM cannot run) are expanded first."""

_EPILOG = """\
examples:
  compress model.tflite -o small.tflite
  compress model.tflite -o small.tflite --method dcsr --json report.json
  compress model.tflite -o small.tflite --cc firmware/model.cc      also firmware/model.h

exit status: 0 done, 2 bad usage or bad input (nothing is written then)"""


def _share(value: str) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return share


def _parser() -> argparse.ArgumentParser:
    parser = common.parser("compress", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="IN.tflite", help="int8 model with pruned weights")
    parser.add_argument("-o", "--output", metavar="OUT.tflite", required=True, help="model to write")
    parser.add_argument(
        "--method",
        choices=convert.METHODS,
        default="auto",
        help="encoding of the packed layers; auto takes the smallest for each, none packs nothing; dcsr4 and dcsr8 are"
        " dcsr with deltas of so many bits (default: %(default)s)",
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
        choices=convert.OBJECTIVES,
        default="balanced",
        help="what auto aims at; at present each means the smallest encoding (default: %(default)s)",
    )
    parser.add_argument("--cc", metavar="OUT.cc", help="also write the model as a C++ array, with OUT.h beside it")
    parser.add_argument("--numpy", metavar="DIR", help="also write the weights of every int8 layer as DIR/*.npy")
    parser.add_argument("--json", metavar="REPORT.json", help="also write the table as JSON")
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
        progress=common.progress("packing"),
    )
    result = tflite.serialize(compressed)
    rows = [report.row(choice) for choice in choices]

    # The model takes its place last: once it is there, all is, and without it there is nothing.
    with tflite.replacing(arguments.output) as temporary:
        temporary.write_bytes(result)
        _write_extras(arguments, choices, rows, len(data), result)

    report.print_table(rows, sys.stdout)
    for line in report.summary(rows, len(data), len(result)):
        print(line)
    if any(choice.packed for choice in choices):
        paths = shlex.join([arguments.model, arguments.output])
        print(f"check it:  bazel run //python:verify -- {paths}")
    else:
        what = "the dense equivalent of the input" if densify.is_sparse(model) else "the input, written anew"
        print(f"no layer was packed: the output is {what}")
    return common.EXIT_OK


def _write_extras(
    arguments: argparse.Namespace,
    choices: Sequence[convert.Choice],
    rows: Sequence[report.Row],
    bytes_before: int,
    result: bytes,
) -> None:
    """What --numpy, --json and --cc ask for."""
    if arguments.numpy:
        _write_matrices(Path(arguments.numpy), choices)
    if arguments.json:
        table = report.as_json(
            rows, model=arguments.model, file_bytes_before=bytes_before, file_bytes_after=len(result)
        )
        tflite.write_file(arguments.json, json.dumps(table, indent=2) + "\n")
    if arguments.cc:
        cc_array.write(Path(arguments.cc), result, source=arguments.output)


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Raises ModelError if two outputs have the same name, or that of the C++ source is none."""
    if arguments.cc and Path(arguments.cc).suffix not in cc_array.SUFFIXES:
        raise ModelError(f"{arguments.cc}: expected a name ending in {', '.join(cc_array.SUFFIXES)}")
    header = Path(arguments.cc).with_suffix(".h") if arguments.cc else None
    named = [path for path in (arguments.output, arguments.json, arguments.cc, header) if path]
    for path in named:
        if sum(os.path.realpath(path) == os.path.realpath(other) for other in named) > 1:
            raise ModelError(f"{path}: is named for two outputs")


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

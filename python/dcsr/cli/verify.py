"""verify: compares a model and its compressed form bit for bit."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dcsr import densify, runtime, verification
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.model import ModelError

_DESCRIPTION = """\
Runs two models in the TFLM interpreter on the same inputs, compares every output bit for bit, and prints the arena
bytes that both use. Inputs are random over the whole range of their type unless a file gives them. A model with
TFLite's own sparse tensors, which TFLM cannot run, is taken as its dense equivalent."""

_EPILOG = """\
examples:
  verify model.tflite small.tflite
  verify model.tflite small.tflite --samples 100 --seed 7
  verify model.tflite small.tflite --inputs recorded.npz    an array [samples, ...] for each input

exit status: 0 all outputs are identical, 1 one differs (printed with its place), 2 bad usage or bad input"""


def positive_integer(value: str) -> int:
    """An argument of at least 1; argparse names it by this function."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return number


def natural_number(value: str) -> int:
    """An argument of at least 0."""
    number = int(value)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return number


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("verify", _DESCRIPTION, _EPILOG)
    parser.add_argument("original", metavar="ORIGINAL.tflite")
    parser.add_argument("compressed", metavar="COMPRESSED.tflite")
    parser.add_argument("--samples", type=positive_integer, default=20, help="random inputs (default: %(default)s)")
    parser.add_argument("--seed", type=natural_number, default=0, help="of the random inputs (default: %(default)s)")
    parser.add_argument("--inputs", metavar="FILE.npz", help="inputs to use instead of random ones")
    arguments = parser.parse_args(argv)
    paths = (arguments.original, arguments.compressed)
    blobs = [tflite.read_bytes(path) for path in paths]
    models = [tflite.parse(blob, path) for blob, path in zip(blobs, paths, strict=True)]
    for number, (model, path) in enumerate(zip(models, paths, strict=True)):
        if densify.is_sparse(model):
            models[number] = densify.densify(model, path)
            blobs[number] = tflite.serialize(models[number])
    inputs = verification.inputs_of(models[0], paths[0])
    if verification.inputs_of(models[1], paths[1]) != inputs:
        raise ModelError(f"{paths[1]}: its inputs are not those of {paths[0]}")
    outputs = {len(model.subgraphs[0].outputs) for model in models}
    if len(outputs) != 1:
        raise ModelError(f"{paths[1]}: its number of outputs is not that of {paths[0]}")
    if arguments.inputs:
        samples = verification.file_samples(arguments.inputs, inputs)
    else:
        samples = verification.random_samples(inputs, arguments.samples, arguments.seed)

    interpreters = [_interpreter(blob, path) for blob, path in zip(blobs, paths, strict=True)]
    arenas = [runtime.arena_used_bytes(blob) for blob in blobs]
    try:
        difference = verification.compare(*interpreters, inputs, outputs.pop(), samples, common.progress("comparing"))
    except RuntimeError as error:
        raise ModelError(f"{paths[0]}, {paths[1]}: the interpreter failed: {error}") from error
    if difference:
        print(f"different: {difference.text}")
    else:
        print(f"identical: {len(samples)} samples, every bit of every output")
    print(f"arena {arenas[0]:,} -> {arenas[1]:,} bytes ({arenas[1] - arenas[0]:+,})")
    return common.EXIT_DIFFERENT if difference else common.EXIT_OK


def _interpreter(blob: bytes, path: str) -> runtime.Interpreter:
    try:
        return runtime.Interpreter.from_bytes(blob)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: the TFLM interpreter refuses the model: {error}") from error

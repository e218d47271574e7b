"""verify: compares a model and its compressed form bit for bit."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import dcsr
from dcsr.cli import common

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
    """Parses an argument of at least 1. argparse prints the function's name in error messages."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return number


def natural_number(value: str) -> int:
    """Parses an argument of at least 0."""
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
    verification = dcsr.verify(
        arguments.original,
        arguments.compressed,
        arguments.samples,
        arguments.seed,
        arguments.inputs,
        progress=common.progress("comparing"),
    )
    print(verification)
    return common.EXIT_OK if verification.identical else common.EXIT_DIFFERENT

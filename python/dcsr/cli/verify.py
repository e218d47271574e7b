"""verify: compares a model and its compressed form bit for bit."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import dcsr
from dcsr.cli import common

_DESCRIPTION = """\
Runs two models in the TFLM interpreter on the same inputs, compares every output bit for bit, and prints the arena
bytes that both use. Inputs are random over the whole range of their type unless a file gives them. A model with
TFLite's own sparse tensors, which TFLM cannot run, is taken as its dense equivalent. If the interpreter lacks an
operator of the model, each packed layer is compared on its own with the dense layer that it replaces."""

_EPILOG = """\
examples:
  verify model.tflite small.tflite
  verify model.tflite small.tflite --samples 100 --seed 7
  verify model.tflite small.tflite --inputs recorded.npz    an array [samples, ...] for each input

exit status: 0 all outputs are identical, 1 one differs (printed with its place), 2 bad usage or bad input"""


def command_line() -> argparse.ArgumentParser:
    """Returns the parser of the tool's command line."""
    parser = common.parser("verify", _DESCRIPTION, _EPILOG)
    parser.add_argument("original", metavar="ORIGINAL.tflite")
    parser.add_argument("compressed", metavar="COMPRESSED.tflite")
    parser.add_argument(
        "--samples", type=common.positive_integer, default=20, help="random inputs (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=common.natural_number, default=0, help="of the random inputs (default: %(default)s)"
    )
    parser.add_argument("--inputs", metavar="FILE.npz", help="inputs to use instead of random ones")
    common.add_timeout(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    arguments = command_line().parse_args(argv)
    verification = dcsr.verify(
        arguments.original,
        arguments.compressed,
        arguments.samples,
        arguments.seed,
        arguments.inputs,
        timeout=arguments.timeout,
        progress=common.progress("comparing"),
    )
    common.say(str(verification))
    return common.EXIT_OK if verification.identical else common.EXIT_DIFFERENT

"""decompress: restores the dense model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import dcsr
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.files import Outputs, read_bytes
from dcsr.passes.dead_channels import NAME as DEAD_CHANNELS
from dcsr.passes.record import lost_before_packing

_DESCRIPTION = """\
Turns a compressed model back into the dense one: tensors, operators, weights, biases and quantisation equal the
original's (of one with TFLite's own sparse tensors: its dense equivalent's); ranges (min, max) of what was replaced
are gone. Needs the record that compress leaves in the model's metadata, and compress --strip leaves out."""

_EPILOG = """\
example:
  decompress small.tflite -o model.tflite

exit status: 0 done, 2 bad usage or bad input (nothing is written then)"""


def command_line() -> argparse.ArgumentParser:
    """Returns the parser of the tool's command line."""
    parser = common.parser("decompress", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="IN.tflite", help="compressed model")
    parser.add_argument("-o", "--output", metavar="OUT.tflite", required=True, help="model to write")
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    arguments = command_line().parse_args(argv)
    with Outputs([arguments.model]) as outputs:
        outputs.check(arguments.output)
        data = read_bytes(arguments.model)
        result = dcsr.decompress(data, name=arguments.model)
        outputs.add(arguments.output, result)
        outputs.prepare()
        common.say(f"{arguments.model} {len(data):,} -> {arguments.output} {len(result):,} bytes")
        if lost_before_packing(tflite.parse(data, arguments.model), arguments.model) == DEAD_CHANNELS:
            common.say("the original had dead channels too, which compress --dead-channels removed for good")
        outputs.commit()
    return common.EXIT_OK

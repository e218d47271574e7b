"""inspect: prints the table of layers of any .tflite model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import dcsr
from dcsr import report
from dcsr.cli import common, reports
from dcsr.files import Outputs

_DESCRIPTION = """\
Prints the layers with weights of a model, compressed or not: operator, shape, sparsity, encoding, bytes of the
weights dense (before) and as stored (after), the bits stored for each nonzero besides its value, and for packed layers
the estimated time and the scratch on a core. TFLite's own sparse tensors are shown as the dense ones that they
stand for."""

_EPILOG = """\
examples:
  inspect small.tflite
  inspect small.tflite --cpu cortex-m4 --report report.html

exit status: 0 done, 2 bad usage or bad input"""


def command_line() -> argparse.ArgumentParser:
    """Returns the parser of the tool's command line."""
    parser = common.parser("inspect", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="IN.tflite")
    reports.add_arguments(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    arguments = command_line().parse_args(argv)
    with Outputs(reports.inputs(arguments)) as outputs:
        reports.check(arguments, outputs)
        inspection = dcsr.inspect(arguments.model, cpu=arguments.cpu, memory=arguments.memory)
        reports.add(outputs, arguments, inspection.layers, {"": inspection.model})
        outputs.prepare()
        common.say(
            report.printed_table(inspection.layers, arguments.cpu, sys.stdout).rstrip("\n"), *inspection.summary()
        )
        outputs.commit()
    return common.EXIT_OK

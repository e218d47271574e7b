"""inspect: prints the table of layers of any .tflite model."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import dcsr
from dcsr import report
from dcsr.cli import common, reports

_DESCRIPTION = """\
Prints the layers with weights of a model, compressed or not: operator, shape, sparsity, encoding, bytes of the
weights dense (before) and as stored (after), the bits stored for each nonzero besides its value, and for packed layers
the estimated instructions and the scratch on a core. TFLite's own sparse tensors are shown as the dense ones that they
stand for."""

_EPILOG = """\
examples:
  inspect small.tflite
  inspect small.tflite --cpu cortex-m4 --report report.html

exit status: 0 done, 2 bad usage or bad input"""


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("inspect", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="IN.tflite")
    reports.add_arguments(parser)
    arguments = parser.parse_args(argv)
    inspection = dcsr.inspect(arguments.model, cpu=arguments.cpu)
    reports.write(arguments, inspection.layers, {"": inspection.model})
    report.print_table(inspection.layers, sys.stdout)
    for line in inspection.summary():
        print(line)
    return common.EXIT_OK

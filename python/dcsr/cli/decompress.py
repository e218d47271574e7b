"""decompress: restores the dense model."""

from __future__ import annotations

from collections.abc import Sequence

import dcsr
from dcsr import model as tflite
from dcsr.cli import common

_DESCRIPTION = """\
Turns a compressed model back into the dense one: tensors, operators, weights, biases and quantisation equal the
original's (of one with TFLite's own sparse tensors: its dense equivalent's); ranges (min, max) of what was replaced
are gone. Needs the record that compress leaves in the model's metadata, and compress --strip leaves out."""

_EPILOG = """\
example:
  decompress small.tflite -o model.tflite

exit status: 0 done, 2 bad usage or bad input (nothing is written then)"""


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("decompress", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="IN.tflite", help="compressed model")
    parser.add_argument("-o", "--output", metavar="OUT.tflite", required=True, help="model to write")
    arguments = parser.parse_args(argv)
    data = tflite.read_bytes(arguments.model)
    result = dcsr.decompress(data, name=arguments.model)
    tflite.write_file(arguments.output, result)
    print(f"{arguments.model} {len(data):,} -> {arguments.output} {len(result):,} bytes")
    return common.EXIT_OK

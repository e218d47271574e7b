"""inspect: prints the per-layer table of any .tflite model."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dcsr import convert, densify, layers, report
from dcsr import model as tflite
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
    data = tflite.read_bytes(arguments.model)
    model = tflite.parse(data, arguments.model)
    if densify.is_sparse(model):
        model = densify.densify(model, arguments.model)
    rows = []
    try:
        for layer in layers.find(model):
            tensor = model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]
            shape = layers.shape(model, layer) if layer.packed else None
            blob = tflite.buffer_bytes(model, tensor)
            kept = convert.kept_instructions(model, layer, arguments.cpu)
            rows.append(report.inspected_row(layer, blob, shape, kept, arguments.cpu))
    except tflite.ModelError as error:
        raise tflite.ModelError(f"{arguments.model}: {error}") from error
    reports.write(arguments, rows, {"": data})
    report.print_table(rows, sys.stdout)
    print(f"file {len(data):,} bytes, {len(rows)} layers with weights")
    if phrases := report.layer_summary(rows, arguments.cpu):
        print("   ".join(phrases))
    return common.EXIT_OK

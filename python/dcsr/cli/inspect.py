"""inspect: prints the per-layer table of any .tflite model."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from dcsr import densify, layers, report
from dcsr import model as tflite
from dcsr.cli import common

_DESCRIPTION = """\
Prints the layers with weights of a model, compressed or not: operator, shape, sparsity, encoding, bytes of the
weights dense (before) and as stored (after), and the bits stored for each nonzero besides its value. TFLite's own
sparse tensors are shown as the dense ones that they stand for."""

_EPILOG = """\
example:
  inspect small.tflite

exit status: 0 done, 2 bad usage or bad input"""


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("inspect", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="IN.tflite")
    parser.add_argument("--json", metavar="REPORT.json", help="also write the table as JSON")
    arguments = parser.parse_args(argv)
    data = tflite.read_bytes(arguments.model)
    model = tflite.parse(data, arguments.model)
    if densify.is_sparse(model):
        model = densify.densify(model, arguments.model)
    rows = []
    try:
        for layer in layers.find(model):
            tensor = model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]
            rows.append(report.inspected_row(layer, tflite.buffer_bytes(model, tensor)))
    except tflite.ModelError as error:
        raise tflite.ModelError(f"{arguments.model}: {error}") from error
    if arguments.json:
        table = report.as_json(rows, model=arguments.model, file_bytes=len(data))
        tflite.write_file(arguments.json, json.dumps(table, indent=2) + "\n")
    report.print_table(rows, sys.stdout)
    total = report.totals(rows)
    print(f"file {len(data):,} bytes, {len(rows)} layers with weights")
    if total["dense_bytes"]:
        ratio = total["packed_bytes"] / total["dense_bytes"]
        print(f"packed layers {total['dense_bytes']:,} -> {total['packed_bytes']:,} ({ratio:.3f})")
    return common.EXIT_OK

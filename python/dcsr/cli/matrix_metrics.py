"""matrix_metrics: prints the bytes of a weight matrix in each storage scheme."""

from __future__ import annotations

import json
import tokenize
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import metrics
from dcsr import model as tflite
from dcsr.cli import common

_DESCRIPTION = """\
Prints the bytes that a weight matrix takes dense, as CSR, BCSR (2x2) and PSR, in every encoding, with zlib and as dCSR
with its parts, and the entropy bounds. The definitions are in dcsr/metrics.py."""

_EPILOG = """\
example:
  matrix_metrics weights.npy        an int8 or int16 array [rows, ...]; rows are output channels

exit status: 0 done, 2 bad usage or bad input"""


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("matrix_metrics", _DESCRIPTION, _EPILOG)
    parser.add_argument("weights", metavar="WEIGHTS.npy")
    parser.add_argument("--json", metavar="REPORT.json", help="also write the numbers as JSON")
    arguments = parser.parse_args(argv)
    matrix = load_matrix(arguments.weights)
    try:
        sizes = metrics.measure(matrix)
    except ValueError as error:
        raise tflite.ModelError(f"{arguments.weights}: {error}") from error
    nonzeros = int(np.count_nonzero(matrix))
    if arguments.json:
        report = {"rows": matrix.shape[0], "cols": matrix.shape[1], "nonzeros": nonzeros}
        text = json.dumps(report | {"bytes": sizes}, indent=2) + "\n"
        tflite.write_file(arguments.json, text)

    rows, cols = matrix.shape
    print(
        f"{arguments.weights}: {matrix.dtype} {rows} x {cols}, {nonzeros:,} nonzeros"
        f" ({1 - nonzeros / matrix.size:.1%} zeros)"
    )
    print(f"{'scheme':<18}{'bytes':>14}{'of dense':>10}{'overhead bits/nz':>18}")
    for scheme, size in sizes.items():
        part = "." in scheme
        overhead = "-"
        if nonzeros and not part:
            overhead = f"{8 * (size - nonzeros * matrix.itemsize) / nonzeros:.2f}"
        label = f"  {scheme.split('.')[1]}" if part else scheme
        print(f"{label:<18}{size:>14,}{size / matrix.nbytes:>10.4f}{overhead:>18}")
    return common.EXIT_OK


def load_matrix(path: str) -> NDArray[Any]:
    """Reads an int8 or int16 matrix from a .npy file. Arrays of more dimensions are reshaped to [rows, rest].

    Raises:
      ModelError: if the file cannot be read or does not hold such a matrix.
    """
    try:
        matrix = np.load(path, allow_pickle=False)
    except OSError as error:
        raise tflite.ModelError(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError, SyntaxError, MemoryError, tokenize.TokenError, zipfile.BadZipFile) as error:
        raise tflite.ModelError(f"{path}: not a .npy file of numbers ({error})") from error
    if not isinstance(matrix, np.ndarray):
        raise tflite.ModelError(f"{path}: an .npz archive; give one .npy of it")
    matrix = matrix.astype(matrix.dtype.newbyteorder("="), copy=False)
    if matrix.dtype not in (np.int8, np.int16) or matrix.ndim < 2 or not matrix.size:
        raise tflite.ModelError(
            f"{path}: {matrix.dtype} with shape {list(matrix.shape)}; expected an int8 or int16 matrix"
        )
    return matrix.reshape(matrix.shape[0], -1)

"""Measures the size of a matrix in each storage scheme, and the entropy bounds of all schemes.

Works on any int8 or int16 numpy matrix. Definitions, for R rows, n columns and k nonzeros of v bytes each:

  dense         v * R * n bytes.
  csr           v * k bytes, k column indices of 1, 2 or 4 bytes, R + 1 row pointers of 2 or 4 bytes.
  bcsr          CSR of 2x2 blocks: 4 v bytes per block with a nonzero; edges are padded with zeros.
  psr           k values, k packed column indices of ceil(log2 n) bits, row lengths as in dCSR.
  rle, dcsr and so on    the encodings of this package (docs/format.md).
  rice+huffman  rice with Huffman-coded values; int8 matrices only.
  zlib6, zlib9  the dense bytes compressed by zlib at levels 6 and 9.
  bound         log2 C(n, k_row) bits for the positions in each row, plain values.
  bound_entropy the same positions, values at their zero-order entropy.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import encodings

# dcsr is listed last, with its parts.
_SCHEMES = (*(name for name in encodings.REGISTRY if name not in ("dense", "dcsr")), "rice+huffman")


def measure(matrix: NDArray[Any]) -> dict[str, int]:
    """Measures a matrix in every scheme of the module's table.

    Args:
      matrix: int8 or int16 [rows, cols].

    Returns:
      {scheme: bytes}, rounded up, followed by the parts of dCSR: `dcsr.row_length`, `dcsr.index`, `dcsr.delta`,
      `dcsr.plane` and `dcsr.values`.

    Raises:
      ValueError: if `matrix` has another type, another rank or too many rows or columns.
    """
    dcsr = encodings.encode(matrix, "dcsr")
    matrix = np.ascontiguousarray(matrix)
    raw = matrix.tobytes()
    nonzeros = int(np.count_nonzero(matrix))
    item = matrix.itemsize
    bound, bound_entropy = bounds(matrix)
    sizes = {
        "dense": len(raw),
        "csr": _csr(matrix.shape[0], matrix.shape[1], nonzeros, item),
        "bcsr": _bcsr(matrix),
        "psr": item * nonzeros
        + dcsr.parts["row_length"]
        + math.ceil(nonzeros * (matrix.shape[1] - 1).bit_length() / 8),
        **encodings.sizes(matrix, [name for name in _SCHEMES if item == 1 or "+" not in name]),
        "zlib6": len(zlib.compress(raw, 6)),
        "zlib9": len(zlib.compress(raw, 9)),
        "dcsr": dcsr.nbytes,
        "bound": math.ceil(bound),
        "bound_entropy": math.ceil(bound_entropy),
    }
    return sizes | {f"dcsr.{part}": size for part, size in dcsr.parts.items()}


def bounds(matrix: NDArray[Any]) -> tuple[float, float]:
    """Computes the bounds `bound` and `bound_entropy` of the module's table, in bytes, not rounded.

    Args:
      matrix: int8 or int16 [rows, cols].

    Returns:
      (bytes with plain values, bytes with values at their zero-order entropy).
    """
    cols = matrix.shape[1]
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log2(np.arange(1, cols + 1)))])
    lengths = np.count_nonzero(matrix, axis=1)
    positions = float(np.sum(log_factorial[cols] - log_factorial[lengths] - log_factorial[cols - lengths]))
    # Histogram of the values as unsigned bit patterns. It excludes zero, because the positions already encode zeros.
    patterns = matrix.view(np.uint8 if matrix.itemsize == 1 else np.uint16)
    counts = np.bincount(patterns.reshape(-1), minlength=2)[1:]
    counts = counts[counts > 0]
    nonzeros = int(counts.sum())
    entropy = float(-(counts * np.log2(counts / nonzeros)).sum()) if nonzeros else 0.0
    return positions / 8 + matrix.itemsize * nonzeros, (positions + entropy) / 8


def _csr(rows: int, cols: int, stored: int, item: int, block: int = 1) -> int:
    """Returns the bytes of CSR with `stored` entries of `block` values of `item` bytes each."""
    index = 1 if cols <= 1 << 8 else 2 if cols <= 1 << 16 else 4
    pointer = 2 if stored < 1 << 16 else 4
    return stored * (item * block + index) + (rows + 1) * pointer


def _bcsr(matrix: NDArray[Any]) -> int:
    rows, cols = (size + size % 2 for size in matrix.shape)
    padded = np.zeros((rows, cols), bool)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix != 0
    blocks = padded.reshape(rows // 2, 2, cols // 2, 2).any(axis=(1, 3))
    return _csr(rows // 2, cols // 2, int(blocks.sum()), matrix.itemsize, block=4)

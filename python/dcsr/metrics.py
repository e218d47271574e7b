"""How many bytes a matrix takes in each storage scheme, and the entropy bounds below which none can go.

Usable on any int8 or int16 numpy matrix. Definitions, for k nonzeros of v bytes in n columns, R rows:

  dense         v * R * n.
  csr           v * k, a column index of 1, 2 or 4 bytes each, R + 1 row pointers of 2 or 4 bytes.
  bcsr          CSR of 2x2 blocks: 4 v bytes a block that has a nonzero; edges are filled with zeros.
  psr           positions as packed column indices of ceil(log2 n) bits each, row lengths as dCSR has them.
  rle, dcsr, offset8, bitmap, rice    the encodings of this package.
  rice+huffman  rice with Huffman-coded values, of int8 matrices.
  zlib6, zlib9  the dense bytes through zlib.
  bound         log2 C(n, k_row) bits for the positions of each row, values plain.
  bound_entropy the same with the values at their zero-order entropy.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import encodings

_SCHEMES = ("rle", "offset8", "bitmap", "rice", "rice+huffman")


def measure(matrix: NDArray[Any]) -> dict[str, int]:
    """Bytes of `matrix` (int8 or int16 [rows, cols]) in every scheme of the module's table, rounded up.

    The dCSR parts follow as `dcsr.row_length`, `dcsr.index`, `dcsr.delta`, `dcsr.plane` and `dcsr.values`.

    Raises:
      ValueError: if it is not such a matrix.
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
    """(bytes with plain values, bytes with values at zero-order entropy), positions at log2 C(n, k) bits a row."""
    cols = matrix.shape[1]
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log2(np.arange(1, cols + 1)))])
    lengths = np.count_nonzero(matrix, axis=1)
    positions = float(np.sum(log_factorial[cols] - log_factorial[lengths] - log_factorial[cols - lengths]))
    # Values as unsigned bit patterns, counted; zero is a position and no value.
    patterns = matrix.view(np.uint8 if matrix.itemsize == 1 else np.uint16)
    counts = np.bincount(patterns.reshape(-1), minlength=2)[1:]
    counts = counts[counts > 0]
    nonzeros = int(counts.sum())
    entropy = float(-(counts * np.log2(counts / nonzeros)).sum()) if nonzeros else 0.0
    return positions / 8 + matrix.itemsize * nonzeros, (positions + entropy) / 8


def _csr(rows: int, cols: int, stored: int, item: int, block: int = 1) -> int:
    """Bytes of CSR with `stored` entries of `block` values each."""
    index = 1 if cols <= 1 << 8 else 2 if cols <= 1 << 16 else 4
    pointer = 2 if stored < 1 << 16 else 4
    return stored * (item * block + index) + (rows + 1) * pointer


def _bcsr(matrix: NDArray[Any]) -> int:
    rows, cols = (size + size % 2 for size in matrix.shape)
    padded = np.zeros((rows, cols), bool)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix != 0
    blocks = padded.reshape(rows // 2, 2, cols // 2, 2).any(axis=(1, 3))
    return _csr(rows // 2, cols // 2, int(blocks.sum()), matrix.itemsize, block=4)

"""Size of a matrix in each storage scheme, and the entropy bounds that no scheme can beat.

Works on any int8 or int16 numpy matrix. Definitions, for k nonzeros of v bytes, n columns and R rows:

  dense         v * R * n.
  csr           v * k, one column index of 1, 2 or 4 bytes each, R + 1 row pointers of 2 or 4 bytes.
  bcsr          CSR of 2x2 blocks: 4 v bytes per block with a nonzero; edges are padded with zeros.
  psr           positions as packed column indices of ceil(log2 n) bits each, row lengths as in dCSR.
  rle, dcsr and so on    the encodings of this package (docs/format.md).
  rice+huffman  rice with Huffman-coded values; int8 matrices only.
  zlib6, zlib9  the dense bytes compressed by zlib at level 6 and 9.
  bound         log2 C(n, k_row) bits for the positions of each row, values plain.
  bound_entropy the same, with the values at their zero-order entropy.
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
      Bytes per scheme, rounded up. The parts of dCSR follow as `dcsr.row_length`, `dcsr.index`, `dcsr.delta`,
      `dcsr.plane` and `dcsr.values`.

    Raises:
      ValueError: if `matrix` is not such a matrix.
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
    """Returns (bytes with plain values, bytes with values at zero-order entropy).

    Both count log2 C(n, k) bits per row for the positions.
    """
    cols = matrix.shape[1]
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log2(np.arange(1, cols + 1)))])
    lengths = np.count_nonzero(matrix, axis=1)
    positions = float(np.sum(log_factorial[cols] - log_factorial[lengths] - log_factorial[cols - lengths]))
    # Histogram of the values as unsigned bit patterns. Zero is left out: it is counted as a position.
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

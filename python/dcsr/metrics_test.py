"""Tests sizes with hand-counted matrices and exact binomials."""

import math
import zlib

import numpy as np
import pytest

from dcsr import encodings, metrics
from dcsr.testing.models import sparse_matrix


def test_hand_counted_matrix():
    matrix = np.zeros((4, 6), np.int8)
    matrix[0, 0], matrix[0, 5], matrix[1, 1], matrix[3, 2] = 1, 2, 1, -1
    sizes = metrics.measure(matrix)
    assert sizes["dense"] == 24
    assert sizes["csr"] == 4 * 2 + 5 * 2
    # blocks of 2x2 with a nonzero: (0, 0), (0, 2), (1, 1)
    assert sizes["bcsr"] == 3 * (4 + 1) + 3 * 2
    assert sizes["psr"] == 4 + 4 + 2  # values, row lengths, 4 x 3 bits
    assert sizes["bitmap"] == 4 + 3
    # Row lengths have 2 bits. With parameter 15, k is 1 in row 0 and 2 in rows 1 and 3. The gaps 0, 4, 1, 2 have
    # quotients of 1, 3, 1 and 1 bits, and remainders of 1, 1, 2 and 2 bits.
    assert sizes["rice"] == 4 + 1 + 1 + 1
    assert sizes["rle"] == 4 + 4 + 2
    assert sizes["offset8"] == 4 + 4 + 3 * 2 + 4  # values, row lengths, 3 groups, offsets
    positions = math.log2(math.comb(6, 2)) + 2 * math.log2(6)
    assert sizes["bound"] == math.ceil(4 + positions / 8)
    # values: 1 twice, 2 and -1 once each
    assert sizes["bound_entropy"] == math.ceil((positions + 2 * 1 + 2 * 2) / 8)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_parts_add_up_and_bounds_hold(dtype):
    matrix = sparse_matrix(np.random.default_rng(3), 50, 300, 0.9, dtype)
    sizes = metrics.measure(matrix)
    parts = [size for name, size in sizes.items() if name.startswith("dcsr.")]
    assert sum(parts) == sizes["dcsr"] == encodings.nbytes(matrix, "dcsr")
    assert sizes["zlib9"] == len(zlib.compress(matrix.tobytes(), 9))
    for name in ("csr", "bcsr", "psr", *encodings.REGISTRY):
        assert sizes[name] >= sizes["bound"], name
    assert ("rice+huffman" in sizes) == (dtype == np.int8)
    assert sizes.get("rice+huffman", math.inf) >= sizes["bound_entropy"]
    assert sizes["bound"] >= sizes["bound_entropy"]


@pytest.mark.parametrize("fill", [0, 5])
def test_constant_matrices(fill):
    sizes = metrics.measure(np.full((8, 33), fill, np.int8))
    assert sizes["bound"] == (8 * 33 if fill else 0)
    assert sizes["bound_entropy"] == 0


def test_works_on_slices_and_transposes():
    matrix = sparse_matrix(np.random.default_rng(4), 20, 30, 0.5)
    assert metrics.measure(matrix.T)["bound"] == metrics.measure(matrix.T.copy())["bound"]

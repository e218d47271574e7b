"""The readers in C and in Python refuse the same blobs, and decode the same weights: on mutated test vectors."""

from __future__ import annotations

import ctypes
from collections import Counter
from pathlib import Path

import format_vectors
import numpy as np
import pytest

from dcsr import encodings, packing
from dcsr.testing.models import sparse_matrix

OK = 0
REPEATED_COLUMN = -1  # tests/verdict.c
CAPACITY = 1 << 22

# Sizes and offsets at which a reader's arithmetic may go wrong.
INTERESTING = [0, 1, 2, 4, 15, 16, 17, 0x7F, 0x80, 0xFF, 0x100, 0x7FF, 0x800, 0x7FFF, 0x8000, 0xFFFF]
INTERESTING += [0x3FFFF, 0x40000, 1 << 20, 1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF]

LIBRARY = ctypes.CDLL(str(Path("tests/_dcsr_verdict.so").resolve()))
MATRIX = np.zeros(CAPACITY, np.int8)


def c_verdict(blob: bytes) -> tuple[int, np.ndarray]:
    """Returns (status of tests/verdict.c, its matrix in the first elements of an int8 array)."""
    aligned = (ctypes.c_uint32 * (len(blob) // 4 + 1))()
    ctypes.memmove(aligned, blob, len(blob))
    pointer = MATRIX.ctypes.data_as(ctypes.c_void_p)
    status = LIBRARY.dcsr_verdict(aligned, ctypes.c_size_t(len(blob)), pointer, ctypes.c_size_t(CAPACITY))
    return status, MATRIX


def python_verdict(blob: bytes) -> tuple[packing.PackedLayer, np.ndarray] | None:
    """Returns (layer, matrix); None if Python refuses the blob."""
    try:
        layer = packing.unpack(blob)
        return layer, encodings.decode(layer.streams)
    except ValueError:
        return None


def compare(blob: bytes, what: str) -> int:
    """Asserts that both readers agree. Returns the status of the C reader."""
    status, weights = c_verdict(blob)
    accepted = python_verdict(blob)
    if status == REPEATED_COLUMN:
        # docs/format.md#offset8: a decoder that rebuilds the matrix refuses what a kernel need not refuse.
        assert accepted is None, f"{what}: Python accepts two nonzeros in a column"
        return status
    assert (accepted is not None) == (status == OK), f"{what}: status {status} in C, Python accepts: {accepted}"
    if accepted is not None:
        matrix = accepted[1]
        assert np.array_equal(weights[: matrix.size], matrix.reshape(-1)), f"{what}: the matrices differ"
    return status


def seeds() -> dict[str, bytes]:
    """Returns the test vectors of docs/format.md, and a small layer in every scheme and coding of values."""
    found = {name: packing.pack(layer) for name, layer in format_vectors.layers().items()}
    rng = np.random.default_rng(3)
    template = format_vectors.layers()["dcsr"]
    for scheme in encodings.SCHEMES:
        matrix = sparse_matrix(rng, 4, 90, 0.7)
        streams = encodings.encode(matrix, scheme)
        found[f"random {scheme}"] = packing.pack(
            packing.PackedLayer(**{**vars(template), "streams": streams, "stride": (1, 1), "filter_size": (1, 1)})
        )
    return found


SEEDS = seeds()


def test_the_library_decodes():
    for name, blob in SEEDS.items():
        assert compare(blob, name) == OK


@pytest.mark.parametrize("name", SEEDS)
def test_every_value_of_every_header_byte(name):
    blob = SEEDS[name]
    values = sorted({v for v in range(256) if v < 40 or v % 16 in (0, 15) or v > 250})
    for offset in range(packing.HEADER_BYTES):
        for value in values:
            changed = bytearray(blob)
            changed[offset] = value
            compare(bytes(changed), f"{name}, byte {offset} = {value}")


@pytest.mark.parametrize("name", SEEDS)
def test_every_bit_of_the_sections(name):
    blob = SEEDS[name]
    for offset in range(packing.HEADER_BYTES, len(blob)):
        for bit in range(8):
            changed = bytearray(blob)
            changed[offset] ^= 1 << bit
            compare(bytes(changed), f"{name}, byte {offset}, bit {bit}")


@pytest.mark.parametrize("name", SEEDS)
def test_every_size(name):
    blob = SEEDS[name]
    for size in range(len(blob)):
        assert compare(blob[:size], f"{name}, {size} bytes") != OK
    assert compare(blob + bytes(5), f"{name}, longer") == OK


def mutate(blob: bytes, rng: np.random.Generator) -> bytes:
    """Returns `blob` with one to four fields or bytes changed; most changes are in the header and the row lengths."""
    changed = bytearray(blob)
    for _ in range(rng.integers(1, 5)):
        limit = packing.HEADER_BYTES if rng.random() < 0.5 else len(changed)
        width = int(rng.choice([1, 2, 4]))
        offset = int(rng.integers(limit)) // width * width
        kind = rng.integers(3)
        if kind == 0:
            changed[offset] = (changed[offset] + int(rng.integers(-2, 3))) % 256
        else:
            value = int(rng.choice(INTERESTING)) if kind == 1 else int(rng.integers(1 << 32))
            changed[offset : offset + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(changed[: len(blob)])


@pytest.mark.parametrize("name", SEEDS)
def test_random_mutations(name):
    rng = np.random.default_rng(sum(name.encode()))
    seen: Counter[int] = Counter()
    for number in range(1500):
        seen[compare(mutate(SEEDS[name], rng), f"{name}, mutation {number}")] += 1
    assert seen[OK] > 20 and len(seen) > 4, seen

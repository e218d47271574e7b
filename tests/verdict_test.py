"""The readers in C and in Python refuse the same blobs, and decode the same weights: on mutated test vectors."""

from __future__ import annotations

import ctypes
from collections import Counter
from pathlib import Path
from typing import TypeAlias

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

# A packed layer, and its shared rows or None.
Blobs: TypeAlias = tuple[bytes, bytes | None]

LIBRARY = ctypes.CDLL(str(Path("tests/_dcsr_verdict.so").resolve()))
MATRIX = np.zeros(CAPACITY, np.int8)
DERIVED = np.zeros(13 << 20, np.uint8)  # of as many rows as a layer can have


def _aligned(data: bytes | None) -> ctypes.Array[ctypes.c_uint32] | None:
    if data is None:
        return None
    aligned = (ctypes.c_uint32 * (len(data) // 4 + 1))()
    ctypes.memmove(aligned, data, len(data))
    return aligned


def c_verdict(blobs: Blobs) -> tuple[int, np.ndarray]:
    """Returns (status of tests/verdict.c, its matrix in the first elements of an int8 array)."""
    arguments: list[object] = []
    for data in blobs:
        arguments += [_aligned(data), ctypes.c_size_t(len(data or b""))]
    for array in (MATRIX, DERIVED):
        arguments += [array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes)]
    return LIBRARY.dcsr_verdict(*arguments), MATRIX


def python_verdict(blobs: Blobs) -> tuple[packing.PackedLayer, np.ndarray] | None:
    """Returns (layer, matrix); None if Python refuses the blobs."""
    try:
        layer = packing.unpack(*blobs)
        return layer, encodings.decode(layer.streams)
    except ValueError:
        return None


def compare(blobs: Blobs, what: str) -> int:
    """Asserts that both readers agree. Returns the status of the C reader."""
    status, weights = c_verdict(blobs)
    accepted = python_verdict(blobs)
    if status == REPEATED_COLUMN:
        # docs/format.md#offset8: a decoder that rebuilds the matrix refuses what a kernel need not refuse.
        assert accepted is None, f"{what}: Python accepts two nonzeros in a column"
        return status
    assert (accepted is not None) == (status == OK), f"{what}: status {status} in C, Python accepts: {accepted}"
    if accepted is not None:
        layer, matrix = accepted
        assert np.array_equal(weights[: matrix.size], matrix.reshape(-1)), f"{what}: the matrices differ"
        if layer.shared is not None:
            rows = layer.bias.tobytes() + layer.multiplier.tobytes() + layer.shift.tobytes()
            assert DERIVED[: len(rows)].tobytes() == rows, f"{what}: the derived rows differ"
    return status


def pack(layer: packing.PackedLayer) -> Blobs:
    return packing.pack(layer), packing.pack_shared(layer)


def seeds() -> dict[str, Blobs]:
    """Returns the test vectors of docs/format.md, and a small layer in every scheme and coding of values."""
    found = {name: pack(layer) for name, layer in format_vectors.layers().items()}
    rng = np.random.default_rng(3)
    template = format_vectors.layers()["dcsr"]
    for scheme in encodings.SCHEMES:
        matrix = sparse_matrix(rng, 4, 90, 0.7)
        streams = encodings.encode(matrix, scheme)
        found[f"random {scheme}"] = pack(
            packing.PackedLayer(**{**vars(template), "streams": streams, "stride": (1, 1), "filter_size": (1, 1)})
        )
    return found


SEEDS = seeds()
TENSORS = [(name, number) for name, blobs in SEEDS.items() for number in range(2) if blobs[number] is not None]


def replaced(blobs: Blobs, number: int, content: bytes | bytearray) -> Blobs:
    """Returns the blobs with another content of one of them."""
    layer, shared = (bytes(content) if n == number else blob for n, blob in enumerate(blobs))
    assert layer is not None
    return layer, shared


def test_the_library_decodes():
    for name, blobs in SEEDS.items():
        assert compare(blobs, name) == OK


@pytest.mark.parametrize("name", SEEDS)
def test_every_value_of_every_header_byte(name):
    blob = SEEDS[name][0]
    values = sorted({v for v in range(256) if v < 40 or v % 16 in (0, 15) or v > 250})
    for offset in range(packing.HEADER_BYTES):
        for value in values:
            changed = bytearray(blob)
            changed[offset] = value
            compare(replaced(SEEDS[name], 0, changed), f"{name}, byte {offset} = {value}")


@pytest.mark.parametrize("name,number", TENSORS)
def test_every_bit_of_the_sections(name, number):
    blob = SEEDS[name][number]
    for offset in range(0 if number else packing.HEADER_BYTES, len(blob)):
        for bit in range(8):
            changed = bytearray(blob)
            changed[offset] ^= 1 << bit
            compare(replaced(SEEDS[name], number, changed), f"{name}, tensor {number}, byte {offset}, bit {bit}")


@pytest.mark.parametrize("name,number", TENSORS)
def test_every_size(name, number):
    blob = SEEDS[name][number]
    for size in range(len(blob)):
        assert compare(replaced(SEEDS[name], number, blob[:size]), f"{name}, tensor {number}, {size} bytes") != OK
    assert compare(replaced(SEEDS[name], number, blob + bytes(5)), f"{name}, tensor {number} longer") == OK


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
    blobs = SEEDS[name]
    for mutation in range(1500):
        number = mutation % 2 if blobs[1] is not None else 0
        changed = replaced(blobs, number, mutate(blobs[number], rng))
        seen[compare(changed, f"{name}, mutation {mutation}")] += 1
    assert seen[OK] > 20 and len(seen) > 4, seen

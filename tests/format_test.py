"""docs/format.md against the code: vectors are current, compute what they should, and are refused when changed."""

import re
from pathlib import Path

import format_vectors
import numpy as np
import pytest

from dcsr import encodings, packing, requantize

DOCUMENT = Path("docs/format.md").read_text()
VECTORS = format_vectors.load(DOCUMENT)
REFUSED = format_vectors.load_refused(DOCUMENT)


def matrices() -> dict[str, np.ndarray]:
    """Returns the matrix of each vector, element by element as the document describes it."""
    small = [[0] * 40 for _ in range(4)]
    for column, value in {0: 1, 1: -2, 18: 3, 39: -128}.items():
        small[0][column] = value
    for number, column in enumerate(range(3, 39, 2)):
        small[2][column] = 127 if column == 21 else number - 9
    small[3] = [-1] * 40
    wide = [[0] * 5000 for _ in range(2)]
    for column, value in {4990: 5, 4991: 6, 4999: 7}.items():
        wide[0][column] = value
    for column in range(15):
        wide[1][column] = column + 1
    wide[1][300] = -16
    skewed = [[0] * 600 for _ in range(2)]
    for column in range(0, 600, 3):
        skewed[0][column] = 1
    for column, value in {0: 2, 3: -1, 6: 127, 9: -128, 12: 2, 15: 2, 18: -1}.items():
        skewed[0][column] = value
    skewed[1][599] = 2
    of_small = ("dcsr", "filter", "int16", "int32_sums", "rle", "rice", "bitmap", "huffman_dcsr")
    of_small += ("shared", "shared_int16", "compact", "checksum", "compact_checksum")
    of_wide = ("dcsr_escape", "dcsr_bytes", "offset8")
    found = {name: small for name in of_small} | {name: wide for name in of_wide}
    found |= {"dense": [row[:5] for row in small[:2]], "huffman": skewed}
    found["depthwise"] = [small[2][:6], small[2][6:12], small[3][:6], small[3][6:12]]
    found |= {"planes": found["depthwise"], "planes_compact": small}
    found["depthwise_huffman"] = [small[2][column : column + 3] for column in range(3, 33, 3)]
    return {name: np.array(rows, np.int8) for name, rows in found.items()}


MATRICES = matrices()


def test_section_is_what_the_encoders_give():
    assert DOCUMENT.endswith(format_vectors.document()), (
        "docs/format.md#test-vectors is not current; print it with: format_vectors document"
    )


def test_header_table_has_the_numbers_of_the_registry():
    (row,) = re.findall(r"^\| 6 \| u8 \| encoding \| (.*) \|$", DOCUMENT, re.MULTILINE)
    documented = {name: int(code) for code, name in (entry.split(" = ") for entry in row.split(", "))}
    assert documented == {name: module.CODE for name, module in encodings.REGISTRY.items()}


@pytest.mark.parametrize("name", encodings.REGISTRY)
def test_every_encoding_has_a_section(name):
    assert f"\n### {name}\n" in DOCUMENT


def test_every_encoding_has_a_vector():
    streams = [packing.unpack(v.layer, v.shared).streams for v in VECTORS]
    assert {s.encoding for s in streams} == set(encodings.REGISTRY)
    assert {s.value_coding for s in streams} == set(encodings.VALUE_CODINGS)
    assert {s.raw_bits for s in streams if s.codes} == {2, 4}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.name)
def test_vector_decodes_and_computes(vector):
    layer = packing.unpack(vector.layer, vector.shared)
    assert np.array_equal(encodings.decode(layer.streams), MATRICES[vector.name])
    outputs = packing.run(layer, format_vectors.activations(layer))[1]
    assert outputs.tobytes() == vector.output


def test_every_row_of_the_table_is_read():
    assert len(REFUSED) == DOCUMENT.count("| `kDcsrError")


@pytest.mark.parametrize("refused", REFUSED, ids=lambda r: f"{r.vector} {r.change}")
def test_changed_vector_is_refused(refused):
    (vector,) = [v for v in VECTORS if v.name == refused.vector]
    layer, shared = refused.apply(vector)
    assert (layer, shared) != (vector.layer, vector.shared)
    with pytest.raises(ValueError, match="."):
        encodings.decode(packing.unpack(layer, shared).streams)


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.shared], ids=lambda v: v.name)
def test_shared_rows_give_the_multipliers_of_tflm(vector):
    layer = packing.unpack(vector.layer, vector.shared)
    scales = np.array([0.01, 0.02, 0, 0.03] if vector.name == "shared" else [0.01], np.float32)
    expected = requantize.layer_multipliers(np.float32(0.05), scales, np.float32(0.04), product_in_float=False)
    assert np.array_equal(layer.shared.weight_scale, scales)
    assert all(map(np.array_equal, (layer.multiplier, layer.shift), expected))

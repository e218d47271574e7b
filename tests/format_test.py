"""docs/format.md against the code: vectors are current, compute what they should, and are refused when changed."""

import re
from pathlib import Path

import format_vectors
import numpy as np
import pytest

from dcsr import encodings, packing

DOCUMENT = Path("docs/format.md").read_text()
VECTORS = format_vectors.load(DOCUMENT)
REFUSED = format_vectors.load_refused(DOCUMENT)


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
    streams = [packing.unpack(v.layer).streams for v in VECTORS]
    assert {s.encoding for s in streams} == set(encodings.REGISTRY)
    assert {s.value_coding for s in streams} == set(encodings.VALUE_CODINGS)
    assert {s.raw_bits for s in streams if s.codes} == {2, 4}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.name)
def test_vector_decodes_and_computes(vector):
    layer = packing.unpack(vector.layer)
    original = format_vectors.layers()[vector.name]
    assert np.array_equal(encodings.decode(layer.streams), encodings.decode(original.streams))
    outputs = packing.run(layer, format_vectors.activations(layer))[1]
    assert outputs.tobytes() == vector.output


def test_every_row_of_the_table_is_read():
    assert len(REFUSED) == DOCUMENT.count("| `kDcsrError")


@pytest.mark.parametrize("refused", REFUSED, ids=lambda r: f"{r.vector} {r.change}")
def test_changed_vector_is_refused(refused):
    (vector,) = [v for v in VECTORS if v.name == refused.vector]
    blob = refused.apply(vector.layer)
    assert blob != vector.layer
    with pytest.raises(ValueError, match="."):
        encodings.decode(packing.unpack(blob).streams)

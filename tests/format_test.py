"""Tests that the vectors in docs/format.md are current and decode correctly."""

from pathlib import Path

import format_vectors
import numpy as np
import pytest

from dcsr import encodings, packing

DOCUMENT = Path("docs/format.md").read_text()
VECTORS = format_vectors.load(DOCUMENT)


def test_section_is_what_the_encoders_give():
    assert DOCUMENT.endswith(format_vectors.document()), (
        "docs/format.md#test-vectors is not current; print it with: format_vectors document"
    )


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

"""Tests which encodings a layer can have, and the settings that keep it dense."""

import numpy as np

from dcsr import encodings
from dcsr.testing.models import fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import rng, round_trip


def test_min_sparsity_and_method_none():
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.7))
    assert round_trip(model)[1][0].packed
    assert round_trip(model, min_sparsity=0.9)[1][0].note == "below --min-sparsity 90 %"
    assert round_trip(model, method="none")[1][0].note == "--method none"


def test_every_encoding_takes_part():
    matrix = sparse_matrix(np.random.default_rng(0), 20, 40, 0.8)
    tried = {encodings.encode(matrix, name).encoding for name in encodings.candidates()}
    assert tried == set(encodings.REGISTRY) - {"dense"}


def test_candidates_of_a_method():
    assert encodings.candidates("dcsr") == ("dcsr4", "dcsr8")
    assert encodings.candidates("dcsr8") == ("dcsr8",)
    assert encodings.candidates("rle") == ("rle",)
    assert set(encodings.candidates()) == {name for m in encodings.METHODS for name in encodings.candidates(m)}

"""Tests which encodings a layer can have, and the settings that keep it dense."""

import numpy as np

from dcsr import encodings, packing
from dcsr.planning import cost
from dcsr.planning.candidates import placed
from dcsr.testing.models import conv_model, fully_connected_model, sparse_matrix
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


def _planned(pixels: tuple[int, int], memory: str) -> tuple[packing.PackedLayer, cost.Estimate]:
    model = conv_model(rng(), sparse_matrix(rng(), 96, 576, 0.9), pixels=pixels)
    _, (decision,) = round_trip(model, method="offset8", memory=memory)
    assert decision.candidate is not None
    packed = packing.unpack(decision.candidate.blob)
    return packed, cost.estimate("cortex-m55", packed, decision.candidate.shape, memory)


def test_layers_behind_a_cache_are_gathered_up_to_fewer_pixels_where_that_is_faster():
    for pixels, memory, kernel in (
        ((6, 6), "dtcm", "conv1x1_gather_mve"),
        ((6, 6), "cached", "conv1x1_mve"),
        ((5, 4), "cached", "conv1x1_gather_mve"),
    ):
        packed, estimate = _planned(pixels, memory)
        assert packed.slow_gathers == (kernel == "conv1x1_mve")
        assert estimate.kernel == kernel


def test_placing_a_layer_behind_a_cache_never_makes_it_slower():
    packed, _ = _planned((6, 6), "dtcm")
    for side in range(1, 8):
        shape = cost.Shape(side * side, (side, side), (side, side))
        before = cost.estimate("cortex-m55", packed, shape, "cached")
        assert placed("cortex-m55", packed, shape, "cached")[2].time <= before.time
        assert placed("cortex-m55", packed, shape, "dtcm")[0] is packed
        assert placed("cortex-m4", packed, shape, "cached")[0] is packed

"""Tests that the multipliers and shifts of shared rows are those of TFLM, and that other ones are refused."""

import dataclasses

import numpy as np
import pytest

from dcsr import encodings, packing, shared_rows
from dcsr.requantize import MAX_INT16_SHIFT, MAX_SHIFT, layer_multipliers
from dcsr.shared_rows import SharedRows
from dcsr.testing.models import sparse_matrix


def random_scales(rng: np.random.Generator, count: int, low: float = -12, high: float = 1) -> np.ndarray:
    return np.exp(rng.uniform(low, high, count)).astype(np.float32)


def assert_derived(
    input_scale: np.float32, weight_scale: np.ndarray, output_scale: np.float32, wanted: tuple[np.ndarray, np.ndarray]
) -> None:
    """Checks that a ratio is found which gives the wanted multipliers and shifts."""
    found = shared_rows.find_ratio(input_scale, weight_scale, output_scale, wanted, MAX_SHIFT)
    assert found is not None, (input_scale, weight_scale, output_scale)
    assert all(map(np.array_equal, shared_rows.multipliers(weight_scale, *found, MAX_SHIFT), wanted))


@pytest.mark.parametrize("seed", range(40))
def test_ratio_of_scales_gives_every_multiplier(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        input_scale, output_scale = random_scales(rng, 2)
        weight_scale = random_scales(rng, 200, -14, -1)
        weight_scale[::50] = 0
        wanted = layer_multipliers(input_scale, weight_scale, output_scale, product_in_float=False)
        assert_derived(input_scale, weight_scale, output_scale, wanted)


@pytest.mark.parametrize("seed", range(20))
def test_product_that_tflm_rounds_to_float(seed):
    """A FULLY_CONNECTED with one scale: no ratio of scales gives the multiplier, but some other ratio does."""
    rng = np.random.default_rng(seed)
    for _ in range(50):
        input_scale, output_scale = random_scales(rng, 2)
        weight_scale = random_scales(rng, 1, -14, -1)
        wanted = layer_multipliers(input_scale, weight_scale, output_scale, product_in_float=True)
        assert_derived(input_scale, weight_scale, output_scale, wanted)


def test_multipliers_that_tflm_rounds_up_to_a_power_of_two():
    """The quotient of the scales is a little below 2^-7 and 2^-8, TFLM's is not."""
    powers = 0
    for step in range(400):
        scales = np.float32(0.1), np.array([0.01], np.float32), np.float32(0.1 + step * 0.001)
        wanted = layer_multipliers(*scales, product_in_float=True)
        assert_derived(*scales, wanted)
        powers += int(wanted[0][0]) == 1 << 30
    assert powers == 2


def test_scales_of_all_sizes():
    sizes = [np.float32(2.0**-126), np.float32(1e-30), np.float32(1e-4), np.float32(1), np.float32(3e38)]
    checked = 0
    for input_scale in sizes:
        for output_scale in sizes:
            for weight_scale in sizes:
                scale = np.array([weight_scale], np.float32)
                try:
                    wanted = layer_multipliers(input_scale, scale, output_scale, product_in_float=False)
                except ValueError:
                    continue
                assert_derived(input_scale, scale, output_scale, wanted)
                checked += 1
    assert checked > 60


def test_no_ratio_is_found_for_multipliers_that_do_not_follow_from_scales():
    weight_scale = np.array([0.01, 0.02], np.float32)
    multiplier, shift = layer_multipliers(np.float32(1), weight_scale, np.float32(1), product_in_float=False)
    scales = np.float32(1), weight_scale, np.float32(1)
    assert shared_rows.find_ratio(*scales, (multiplier, shift), MAX_SHIFT) is not None
    assert shared_rows.find_ratio(*scales, (multiplier + np.array([0, 9], np.int32), shift), MAX_SHIFT) is None
    assert shared_rows.find_ratio(*scales, (multiplier, shift + np.array([0, 40], np.int8)), MAX_SHIFT) is None
    assert shared_rows.find_ratio(*scales, (multiplier, shift - np.array([0, 90], np.int8)), MAX_SHIFT) is None
    assert shared_rows.find_ratio(*scales, (np.zeros(2, np.int32), np.zeros(2, np.int8)), MAX_SHIFT) is None


@pytest.mark.parametrize("scale", [-1.0, np.inf, np.nan, 1e-40, -0.0])
def test_weight_scale_that_is_neither_0_nor_positive_and_normal(scale):
    weight_scale = np.array([0.5, scale], np.float32)
    with pytest.raises(ValueError, match="weight scale"):
        shared_rows.multipliers(weight_scale, 1 << 47, 1, MAX_SHIFT)
    wanted = np.array([1 << 30, 0], np.int32), np.zeros(2, np.int8)
    assert shared_rows.find_ratio(np.float32(1), weight_scale, np.float32(1), wanted, MAX_SHIFT) is None


@pytest.mark.parametrize("max_shift", [MAX_SHIFT, MAX_INT16_SHIFT])
def test_largest_and_smallest_shift(max_shift):
    one = np.array([1], np.float32)
    assert shared_rows.multipliers(one, 1 << 47, max_shift, max_shift) == (1 << 30, max_shift)
    with pytest.raises(ValueError, match="shift"):
        shared_rows.multipliers(one, 1 << 47, max_shift + 1, max_shift)
    assert shared_rows.multipliers(one, 1 << 47, -31, max_shift) == (1 << 30, -31)
    assert shared_rows.multipliers(one, 1 << 47, -32, max_shift) == (0, 0)


def layer_with_shared_rows(scheme: str, *, int16: bool, has_bias: bool, per_row: bool) -> packing.PackedLayer:
    rng = np.random.default_rng(2)
    matrix = sparse_matrix(rng, 9, 100, 0.8)
    scale = random_scales(rng, 9 if per_row else 1, -9, -3)
    bias = rng.integers(-5000, 5000, 9).astype(np.int64 if int16 else np.int32) if has_bias else None
    ratio, exponent = (1 << 47) + 12345678901, 0
    multiplier, shift = shared_rows.multipliers(scale, ratio, exponent, MAX_INT16_SHIFT)
    zero_point = 0 if int16 else -11
    return packing.PackedLayer(
        op=packing.OP_FULLY_CONNECTED,
        streams=encodings.encode(matrix, scheme),
        bias=packing.int16_bias(bias, 9) if int16 else packing.fold_bias(bias, matrix, zero_point),
        multiplier=multiplier,
        shift=shift,
        input_zero_point=zero_point,
        output_zero_point=0,
        activation_min=-100,
        activation_max=100,
        int16_activations=int16,
        shared=SharedRows(scale, ratio, exponent, bias),
    )


@pytest.mark.parametrize("scheme", encodings.SCHEMES)
@pytest.mark.parametrize("int16", [True, False])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("per_row", [True, False])
def test_layer_goes_round(scheme, int16, has_bias, per_row):
    layer = layer_with_shared_rows(scheme, int16=int16, has_bias=has_bias, per_row=per_row)
    data, shared = packing.pack(layer), packing.pack_shared(layer)
    assert len(data) == 64 + 8 + (9 * (8 if int16 else 4) if has_bias else 0)
    assert len(shared) % 4 == 0
    for got in (packing.unpack(data, shared), packing.unpack(data + bytes(12), shared + bytes(12))):
        for name in ("bias", "multiplier", "shift"):
            assert np.array_equal(getattr(got, name), getattr(layer, name)), name
            assert getattr(got, name).dtype == getattr(layer, name).dtype
        assert np.array_equal(encodings.decode(got.streams), encodings.decode(layer.streams))
        assert np.array_equal(got.shared.weight_scale, layer.shared.weight_scale)
        assert (got.shared.ratio, got.shared.exponent) == (layer.shared.ratio, layer.shared.exponent)
        assert (got.shared.bias is None) == (not has_bias)
    assert packing.pack_shared(layer.with_plain_rows) is None
    own = packing.unpack(packing.pack(layer.with_plain_rows))
    assert np.array_equal(own.bias, layer.bias) and own.shared is None


def test_layer_without_its_shared_rows_or_with_those_of_another_is_refused():
    layer = layer_with_shared_rows("rice", int16=False, has_bias=True, per_row=True)
    data, shared = packing.pack(layer), packing.pack_shared(layer)
    with pytest.raises(ValueError, match="no tensor with them"):
        packing.unpack(data)
    with pytest.raises(ValueError, match="has no shared rows"):
        packing.unpack(packing.pack(layer.with_plain_rows), shared)
    with pytest.raises(ValueError, match="do not fit its size"):
        packing.unpack(data, shared[:-4])
    other = dataclasses.replace(layer, streams=encodings.encode(np.ones((9, 100), np.int8), "rice"))
    with pytest.raises(ValueError):
        packing.unpack(data, packing.pack_shared(other))


def test_streams_are_read_once():
    known: packing.Known = {}
    layer = layer_with_shared_rows("rice+huffman", int16=False, has_bias=True, per_row=True)
    data, shared = packing.pack(layer), packing.pack_shared(layer)
    other = bytearray(data)
    other[24] = 0xFB  # input zero point -5
    first, second = packing.unpack(data, shared, known), packing.unpack(bytes(other), shared, known)
    assert second.streams is first.streams and not np.array_equal(second.bias, first.bias)
    # Every other change of the header that is valid, and describes the streams, gives other streams.
    for offset in [6, 7, *range(12, 24), *range(34, 52), *range(56, 60)]:
        for value in range(256):
            changed = bytearray(data)
            changed[offset] = value
            try:
                alone = packing.unpack(bytes(changed), shared)
            except ValueError:
                continue
            again = packing.unpack(bytes(changed), shared, known)
            assert again.streams.nbytes == alone.streams.nbytes
            assert np.array_equal(again.streams.values, alone.streams.values)
            assert np.array_equal(again.bias, alone.bias)

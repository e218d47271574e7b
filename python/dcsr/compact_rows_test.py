"""Tests for dcsr.compact_rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dcsr import compact_rows
from dcsr.requantize import layer_multipliers

INPUT_SCALE, OUTPUT_SCALE = np.float32(0.0471), np.float32(0.0313)


def tails(bias, weight_scale, input_scale=INPUT_SCALE, output_scale=OUTPUT_SCALE):
    """Returns (compact rows, bias, multiplier, shift) of rows with these scales."""
    scale = np.asarray(weight_scale, np.float32)
    multiplier, shift = layer_multipliers(input_scale, scale, output_scale, product_in_float=False)
    bias = np.asarray(bias, np.int32)
    return compact_rows.find(bias, (multiplier, shift), scale, input_scale, output_scale), bias, multiplier, shift


def check_round_trip(compact, bias, multiplier, shift):
    data = compact_rows.pack(compact, bias, multiplier, shift)
    assert len(data) == compact.nbytes == compact_rows.size_of(data + b"more", len(bias))
    read, *numbers = compact_rows.unpack(data, len(bias))
    for number, wanted in zip(numbers, (bias, multiplier, shift), strict=True):
        np.testing.assert_array_equal(number, wanted)
    assert compact_rows.pack(read, *numbers) == data


@pytest.mark.parametrize("rows", [1, 2, 3, 31, 32, 33, 700])
def test_rows_are_restored_exactly(rows):
    rng = np.random.default_rng(rows)
    for _ in range(20):
        bias = rng.integers(-(1 << rng.integers(1, 31)), 1 << rng.integers(1, 31), rows)
        found = tails(bias, rng.lognormal(-5, rng.uniform(0, 3), rows))
        assert found[0] is not None
        check_round_trip(*found)


@pytest.mark.parametrize("seed", range(30))
def test_usual_rows_take_six_bytes_without_exceptions(seed):
    rng = np.random.default_rng(seed)
    input_scale, output_scale = np.exp(rng.uniform(-6, 0, 2))
    found = tails(
        rng.integers(-90000, 90000, 500), rng.lognormal(-5, 0.7, 500), np.float32(input_scale), np.float32(output_scale)
    )
    assert found[0].is_exception.sum() <= 2
    assert found[0].nbytes == 16 + 6 * 500 + 12 * found[0].is_exception.sum()
    check_round_trip(*found)


def test_rows_far_from_the_others_are_exceptions():
    bias, scale = np.arange(100), np.full(100, 0.01)
    bias[[7, 50]] = [1 << 30, -(1 << 30)]
    scale[8] = 1e-9
    found = tails(bias, scale)
    assert np.flatnonzero(found[0].is_exception).tolist() == [7, 8, 50]
    check_round_trip(*found)


@pytest.mark.parametrize("step", [1 << 12, (1 << 31) - (1 << 18)])
def test_window_of_biases(step):
    # The window has 2^19 - 8 biases, and begins anywhere.
    first = -(1 << 31) if step > 1 << 20 else -step
    bias = np.array([first, first + (1 << 19) - 9, first + (1 << 19) - 8])
    found = tails(bias, np.full(3, 0.01))
    assert found[0].is_exception.sum() == 1
    check_round_trip(*found)


def test_window_of_shifts():
    found = tails(np.zeros(34, int), np.repeat(2.0 ** np.arange(-20, -3), 2))
    assert np.unique(found[3]).size == 17 and found[0].is_exception.sum() == 2
    check_round_trip(*found)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-42])
def test_row_whose_multiplier_is_0_is_an_exception(scale):
    found = tails([5, -6, 7], [0.01, scale, 0.02])
    assert found[2][1] == 0
    assert found[0].is_exception.tolist() == [False, True, False]
    check_round_trip(*found)


def test_multipliers_of_other_scales_are_exceptions():
    scale = np.full(20, 0.01, np.float32)
    multiplier, shift = layer_multipliers(INPUT_SCALE, scale, OUTPUT_SCALE, product_in_float=False)
    bias = np.zeros(20, np.int32)
    multiplier[1] += 1000
    found = compact_rows.find(bias, (multiplier, shift), scale, INPUT_SCALE, OUTPUT_SCALE)
    assert np.flatnonzero(found.is_exception).tolist() == [1]
    check_round_trip(found, bias, multiplier, shift)


def test_rows_without_multipliers_have_no_compact_form():
    zeros = np.zeros(2, np.int32), np.zeros(2, np.int8)
    scale = np.zeros(2, np.float32)
    assert compact_rows.find(np.zeros(2, np.int32), zeros, scale, INPUT_SCALE, OUTPUT_SCALE) is None


def test_exception_has_to_exist_and_to_be_in_range():
    compact, bias, multiplier, shift = tails([5, -6, 7], [0.01, 0, 0.02])
    missing = dataclasses.replace(compact, record=np.where(compact.is_exception, 1, compact.record))
    with pytest.raises(ValueError, match="multiplier or shift"):
        compact_rows.unpack(compact_rows.pack(missing, bias, multiplier, shift), 3)
    for wrong in ((multiplier - 1, shift), (multiplier, shift + 31), (multiplier, shift - 32)):
        with pytest.raises(ValueError, match="multiplier or shift"):
            compact_rows.unpack(compact_rows.pack(compact, bias, wrong[0], wrong[1].astype(np.int32)), 3)


def test_head_is_checked():
    data = compact_rows.pack(*tails([5, 6], [0.01, 0.02]))
    with pytest.raises(ValueError, match="do not fit"):
        compact_rows.size_of(data[:15], 2)

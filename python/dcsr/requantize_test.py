"""Tests requantisation with exact integer arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsr import requantize


def exact(accumulator: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier according to gemmlowp's comments, with unbounded integers."""
    shifted = accumulator << max(shift, 0)
    shifted = (shifted + 2**31) % 2**32 - 2**31
    # SaturatingRoundingDoublingHighMul: round to nearest, half up (the nudge truncates towards zero).
    product = shifted * multiplier
    nudge = 2**30 if product >= 0 else 1 - 2**30
    quotient = abs(product + nudge) >> 31
    high = quotient if product + nudge >= 0 else -quotient
    # RoundingDivideByPOT: round to nearest, half away from zero.
    value = Fraction(high, 1 << max(-shift, 0))
    sign = -1 if value < 0 else 1
    return sign * int(abs(value) + Fraction(1, 2))


EDGES = [0, 1, -1, 2**31 - 1, -(2**31), 2**30, -(2**30), 2**15, 255, -256, 3, -3]


@given(
    st.one_of(st.sampled_from(EDGES), st.integers(-(2**31), 2**31 - 1)),
    st.one_of(st.sampled_from([0, 2**30, 2**31 - 1]), st.integers(2**30, 2**31 - 1)),
    st.integers(-31, 30),
)
def test_requantize_is_exact(accumulator, multiplier, shift):
    got = requantize.requantize(
        np.array([accumulator], np.int32),
        np.array([multiplier], np.int32),
        np.array([shift], np.int8),
    )
    assert int(got[0]) == exact(accumulator, multiplier, shift)


@pytest.mark.parametrize(
    "accumulator,multiplier,shift,expected",
    [
        (100, 2**30, 0, 50),
        (101, 2**30, 0, 51),  # the product rounds halves up
        (-101, 2**30, 0, -50),  # also for negative numbers
        (10, 2**30, -1, 3),
        (-10, 2**30, -1, -3),  # the division rounds halves away from zero
        (-6, 2**30, -1, -2),
        (-4, 2**30, -2, -1),
        (-5, 2**30, 3, -20),
        (2**30, 2**30, 1, -(2**30)),  # the left shift wraps
        (-(2**31), 2**31 - 1, -31, -1),
    ],
)
def test_requantize_by_hand(accumulator, multiplier, shift, expected):
    arguments = np.array([accumulator], np.int32), np.array([multiplier], np.int32), np.array([shift], np.int8)
    assert int(requantize.requantize(*arguments)[0]) == expected == exact(accumulator, multiplier, shift)


@pytest.mark.parametrize(
    "accumulator,multiplier,shift,expected",
    [
        (1000, 2**30, 1, 1000),
        (1001, 2**30, 0, 501),  # 500.5, half up
        (-1001, 2**30, 0, -500),
        (32768, 2**31 - 1, 0, 32767),  # the multiplier is 32767 / 2^15, not 2^15 / 2^15
        (65536, 0x7FFF0000, -1, 32767),
        (65536, 0x7FFE7FFF, -1, 32766),
        (2**46, 2**30, -31, 16384),
        (-(2**46), 2**30, -31, -16384),
        (1, 2**30, 7, 64),
    ],
)
def test_requantize_int16_by_hand(accumulator, multiplier, shift, expected):
    arguments = np.array([accumulator], np.int64), np.array([multiplier], np.int32), np.array([shift], np.int8)
    assert int(requantize.requantize_int16(*arguments)[0]) == expected


@given(st.floats(2**-30, 2**29))
def test_quantize_multiplier_is_within_half_a_unit(real):
    multiplier, shift = requantize.quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    unit = Fraction(2) ** (shift - 31)
    assert abs(Fraction(real) - multiplier * unit) <= unit / 2


@pytest.mark.parametrize(
    "real,expected",
    [
        (0.0, (0, 0)),
        (0.5, (2**30, 0)),
        (1.0, (2**30, 1)),
        (2.0**-40, (0, 0)),
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),
        (1 - 2.0**-40, (2**30, 1)),  # the mantissa rounds up to 1
    ],
)
def test_quantize_multiplier_edges(real, expected):
    assert requantize.quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [-1.0, float("inf"), float("nan"), 2.0**31])
def test_scales_that_cannot_be_represented_are_refused(real):
    with pytest.raises(ValueError):
        requantize.quantize_multiplier(real)


@pytest.mark.parametrize(
    "activation,scale,zero_point,expected",
    [
        ("NONE", 0.1, 5, (-128, 127)),
        ("RELU", 0.1, 5, (5, 127)),
        ("RELU", 0.1, -128, (-128, 127)),
        ("RELU6", 0.1, -100, (-100, -40)),
        ("RELU6", 0.01, 0, (0, 127)),
        ("RELU_N1_TO_1", 0.1, 3, (-7, 13)),
        ("RELU_N1_TO_1", 0.001, 0, (-128, 127)),
        # 6 / scale is 24.5 in float32, which rounds up, and 24.49999984 in double.
        ("RELU6", 0.2448979616165161, -100, (-100, -75)),
    ],
)
def test_activation_range(activation, scale, zero_point, expected):
    assert requantize.activation_range(activation, np.float32(scale), zero_point) == expected


@pytest.mark.parametrize("activation,scale", [("RELU6", 2e-9), ("RELU_N1_TO_1", 4e-10), ("RELU6", 1e-45)])
def test_bounds_that_tflm_cannot_quantise_are_refused(activation, scale):
    with pytest.raises(ValueError, match="outside int32"):
        requantize.activation_range(activation, np.float32(scale), 0)
    assert requantize.activation_range("RELU", np.float32(scale), 0) == (0, 127)


def test_float_and_double_products_differ_where_tflm_s_do():
    input_scale, output_scale = np.float32(0.1), np.float32(0.3)
    scales = np.linspace(0.001, 0.1, 500, dtype=np.float32)
    arguments = (input_scale, scales, output_scale)
    in_float = requantize.layer_multipliers(*arguments, product_in_float=True)[0]
    in_double = requantize.layer_multipliers(*arguments, product_in_float=False)[0]
    assert np.any(in_float != in_double)
    assert np.max(np.abs(in_float.astype(np.int64) - in_double)) <= 128

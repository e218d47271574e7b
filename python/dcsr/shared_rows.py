"""Rows that several packed layers share (docs/format.md#shared-rows): how bias, multipliers and shifts are derived."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATIO_BITS = 48
FLOAT_BITS = 23
FLOAT_BIAS = 127
_MAX_FLOAT_EXPONENT = 254
MIN_SHIFT = -31


@dataclass(frozen=True)
class SharedRows:
    """The parts of a packed layer from which its bias, multipliers and shifts are derived.

    Attributes:
      weight_scale: float32 [rows] or [1]; belongs to the weights. Each is 0 or a positive normal number.
      ratio: mantissa of (input scale / output scale), in [2^47, 2^48).
      exponent: its exponent: the quotient is ratio * 2^(exponent - 48).
      bias: the bias that is not folded, int32 or int64 [rows]; None if it is 0.
    """

    weight_scale: NDArray[Any]
    ratio: int
    exponent: int
    bias: NDArray[Any] | None


def float_bits(weight_scale: NDArray[Any]) -> NDArray[Any]:
    """Returns the bits of float32 numbers, int64."""
    return np.ascontiguousarray(weight_scale, np.float32).view(np.uint32).astype(np.int64)


def is_normal(weight_scale: NDArray[Any]) -> NDArray[Any]:
    """Whether each float32 is a positive normal number."""
    exponent = float_bits(weight_scale) >> FLOAT_BITS
    normal: NDArray[np.bool_] = (exponent > 0) & (exponent <= _MAX_FLOAT_EXPONENT)
    return normal


def derive(scale: NDArray[Any], ratio: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Derives multipliers with the integer arithmetic of tflm_kernels/format/derived_multiplier.h.

    Args:
      scale: int64; the low 23 bits are those of a float32, the others are ignored.
      ratio: see SharedRows.

    Returns:
      (int64 multipliers, int64: what their product adds to the shifts), of the shape of `scale`.
    """
    significand = (scale & ((1 << FLOAT_BITS) - 1)) | 1 << FLOAT_BITS
    # The product of 24 and 48 bits, without its lowest 24.
    product = significand * (ratio >> 24) + (significand * (ratio & 0xFFFFFF) >> 24)
    is_long = product >> 47
    drop = 16 + is_long
    rounded = (product + (np.int64(1) << (drop - 1))) >> drop
    carry = rounded >> 31
    return rounded >> carry, is_long + carry


def multipliers(
    weight_scale: NDArray[Any], ratio: int, exponent: int, max_shift: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Derives multipliers and shifts with the integer arithmetic of tflm_kernels/format/shared_rows.c.

    Args:
      weight_scale: see SharedRows.
      ratio: see SharedRows.
      exponent: see SharedRows.
      max_shift: largest shift.

    Returns:
      (int32 multipliers, int8 shifts), of the shape of weight_scale.

    Raises:
      ValueError: if a weight scale is neither 0 nor a positive normal number, or if a shift is too large.
    """
    stored = float_bits(weight_scale)
    if np.any((stored != 0) & ~is_normal(weight_scale)):
        raise ValueError("a weight scale of the packed layer is out of range")
    multiplier, added = derive(stored, ratio)
    shift = (stored >> FLOAT_BITS) + exponent - FLOAT_BIAS + added
    is_zero = (stored == 0) | (shift < MIN_SHIFT)
    if np.any(~is_zero & (shift > max_shift)):
        raise ValueError("a multiplier or shift of the packed layer is out of range")
    return (
        np.where(is_zero, 0, multiplier).astype(np.int32),
        np.where(is_zero, 0, np.clip(shift, MIN_SHIFT, max_shift)).astype(np.int8),
    )


def find_ratio(
    input_scale: np.float32,
    weight_scale: NDArray[Any],
    output_scale: np.float32,
    wanted: tuple[NDArray[Any], NDArray[Any]],
    max_shift: int,
) -> tuple[int, int] | None:
    """Finds the ratio from which `multipliers` derives the wanted multipliers and shifts, bit for bit.

    Args:
      input_scale: scale of the input, positive.
      weight_scale: float32 [rows] or [1].
      output_scale: scale of the output, positive.
      wanted: (multipliers, shifts), of the shape of weight_scale.
      max_shift: see multipliers().

    Returns:
      (ratio, exponent); None if no ratio was found.
    """
    quotient = Fraction(float(input_scale)) / Fraction(float(output_scale))
    exponent = quotient.numerator.bit_length() - quotient.denominator.bit_length()
    exponent += quotient >= Fraction(2) ** exponent
    ratio = round(quotient * Fraction(2) ** (RATIO_BITS - exponent))
    # The product of scales may be rounded before the division (requantize.layer_multipliers), so the quotient itself
    # need not do. Each row whose multiplier is not 0 limits the ratio: its product has to round to the multiplier.
    low, high = 1 << RATIO_BITS - 1, (1 << RATIO_BITS) - 1
    ratio = min(max(ratio, low), high)
    for bits, multiplier, shift in zip(
        float_bits(weight_scale).tolist(), *(part.tolist() for part in wanted), strict=True
    ):
        if multiplier:
            significand = bits & ((1 << FLOAT_BITS) - 1) | 1 << FLOAT_BITS
            drop = shift + FLOAT_BIAS + 40 - (bits >> FLOAT_BITS) - exponent
            if drop < 2:
                return None
            # Below 2^30 a product is rounded at a bit less: it has to round to 2^31, which becomes 2^30.
            below = 1 if multiplier == 1 << 30 else 2
            low = max(low, -(-((4 * multiplier - below) << (drop - 2)) // significand))
            high = min(high, (((2 * multiplier + 1) << (drop - 1)) - 1) // significand)
    if low > high:
        return None
    ratio = min(max(ratio, low), high)
    try:
        derived = multipliers(weight_scale, ratio, exponent, max_shift)
    except ValueError:
        return None
    return (ratio, exponent) if all(map(np.array_equal, derived, wanted)) else None

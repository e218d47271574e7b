"""Fixed-point requantisation, bit-exact with TFLM.

Sources: QuantizeMultiplier (tensorflow/lite/kernels/internal/quantization_util.cc), MultiplyByQuantizedMultiplier
(.../internal/common.cc, double rounding), CalculateActivationRangeQuantized and PopulateConvolutionQuantizationParams
(tensorflow/lite/kernels/kernel_util.cc).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SHIFT = 30
MAX_INT16_SHIFT = 7  # with int16 activations
INT8_RANGE = (-128, 127)
INT16_RANGE = (-32768, 32767)

# {fused activation: (lower, upper) bound as real values}. None means unbounded.
ACTIVATION_BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU6": (0.0, 6.0),
}


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Converts a real factor to fixed point, like TFLM's QuantizeMultiplier.

    Returns:
      (multiplier, shift) with real ~= multiplier * 2^(shift - 31). The multiplier is 0 or in [2^30, 2^31).

    Raises:
      ValueError: if `real` is negative, not finite, or too large for a shift of at most 30.
    """
    if not (math.isfinite(real) and real >= 0):
        raise ValueError(f"requantisation scale {real} is negative or not finite")
    if real == 0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    # Rounds half away from zero like std::round: the mantissa is positive.
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > MAX_SHIFT:
        raise ValueError(f"requantisation scale {real} is too large")
    return multiplier, shift


def layer_multipliers(
    input_scale: np.float32,
    weight_scales: NDArray[Any],
    output_scale: np.float32,
    *,
    product_in_float: bool,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Computes the multipliers and shifts of a layer, one pair per weight scale.

    Args:
      input_scale: float32, as stored in the model.
      weight_scales: float32 [rows] or [1].
      output_scale: float32.
      product_in_float: True if TFLM multiplies input and weight scale in float (per-tensor FULLY_CONNECTED), False if
        in double (CONV_2D, per-channel FULLY_CONNECTED).

    Returns:
      (int32 multipliers, int8 shifts), [rows] or [1] each.

    Raises:
      ValueError: if a scale cannot be represented.
    """
    multipliers, shifts = [], []
    for scale in np.asarray(weight_scales, np.float32):
        if product_in_float:
            product = float(np.float32(input_scale) * scale)
        else:
            product = float(input_scale) * float(scale)
        multiplier, shift = quantize_multiplier(product / float(output_scale))
        multipliers.append(multiplier)
        shifts.append(shift)
    return np.array(multipliers, np.int32), np.array(shifts, np.int8)


def activation_range(
    activation: str, scale: np.float32, zero_point: int, limits: tuple[int, int] = INT8_RANGE
) -> tuple[int, int]:
    """Returns the quantised (minimum, maximum) of an output with a fused activation.

    Args:
      activation: key of ACTIVATION_BOUNDS.
      scale: scale of the output, float32.
      zero_point: zero point of the output.
      limits: (minimum, maximum) of the output type.

    Raises:
      KeyError: if the activation is unknown.
      ValueError: if the range is empty, for example because the zero point lies outside the type.
    """
    low, high = ACTIVATION_BOUNDS[activation]
    minimum, maximum = limits
    if low is not None:
        minimum = max(minimum, _quantize(low, scale, zero_point))
    if high is not None:
        maximum = min(maximum, _quantize(high, scale, zero_point))
    if not limits[0] <= minimum <= maximum <= limits[1]:
        raise ValueError(f"activation {activation} leaves the empty range {minimum}..{maximum}")
    return minimum, maximum


def _quantize(value: float, scale: np.float32, zero_point: int) -> int:
    quotient = float(np.float32(value) / np.float32(scale))
    return zero_point + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))


def requantize(accumulators: NDArray[Any], multipliers: NDArray[Any], shifts: NDArray[Any]) -> NDArray[Any]:
    """TFLM's MultiplyByQuantizedMultiplier for int32 accumulators.

    Args:
      accumulators: int32 [..., rows].
      multipliers: int32 [rows] or [1].
      shifts: int8, same shape as multipliers.

    Returns:
      int32 [..., rows].
    """
    shifts = shifts.astype(np.int64)
    multipliers = multipliers.astype(np.int64)
    left, right = np.maximum(shifts, 0), np.maximum(-shifts, 0)
    shifted = (accumulators.astype(np.int64) << left).astype(np.int32).astype(np.int64)
    product = shifted * multipliers
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    # The division truncates towards zero. Multipliers are not negative, so the product never saturates.
    high = np.sign(nudged) * (np.abs(nudged) >> 31)
    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + (high < 0)
    rounded: NDArray[np.int64] = (high >> right) + ((high & mask) > threshold)
    return rounded.astype(np.int32)


def requantize_int16(accumulators: NDArray[Any], multipliers: NDArray[Any], shifts: NDArray[Any]) -> NDArray[Any]:
    """TFLM's MultiplyByQuantizedMultiplier for int64 accumulators, as used with int16 activations.

    It uses the upper 16 bits of the multiplier and rounds once, half up.

    Args:
      accumulators: int64 [..., rows].
      multipliers: int32 [rows] or [1].
      shifts: int8, same shape as multipliers.

    Returns:
      int32 [..., rows], modulo 2^32.
    """
    reduced = np.minimum((multipliers.astype(np.int64) + (1 << 15)) >> 16, 0x7FFF)
    right = 15 - shifts.astype(np.int64)
    with np.errstate(over="ignore"):
        product = accumulators * reduced + (np.int64(1) << (right - 1))
    shifted: NDArray[np.int64] = product >> right
    return shifted.astype(np.int32)

"""Compact rows (docs/format.md#compact-rows): bias, multiplier and shift of a row in six bytes."""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr.requantize import MAX_SHIFT
from dcsr.shared_rows import FLOAT_BITS, MIN_SHIFT, float_bits, is_normal

_HEAD = struct.Struct("<IiihH")
_EXCEPTION = struct.Struct("<3i")
HEAD_BYTES = _HEAD.size
_MAX_EXCEPTIONS = (1 << 16) - 1

# A record, from its lowest bit on.
_ADDED_BITS, _SHIFT_BITS, _BIAS_BITS, _FACTOR_BITS = 1, 4, 3, 24
_SHIFT_AT = _ADDED_BITS
_BIAS_AT = _SHIFT_AT + _SHIFT_BITS
_FACTOR_AT = _BIAS_AT + _BIAS_BITS
_RECORD_BYTES, _BIAS_HIGH_BYTES = 4, 2
_BIASES = (1 << 8 * _BIAS_HIGH_BYTES) - 1 << _BIAS_BITS  # without those whose upper bits are 0

# The encoder tries this many distances between the smallest factor and 0. They round differently.
_FACTORS_BEFORE = 4


@dataclass(frozen=True)
class CompactRows:
    """The stored form of the rows of a layer.

    Attributes:
      ratio, first_multiplier: a factor gives the multiplier first_multiplier + (factor * ratio >> 24), plus 0 or 1.
      first_bias, first_shift: what is added to the bias and the shift of a record.
      record: uint32 [rows]: factor, lower bits of the bias, shift and 0 or 1; for an exception its number.
      bias_high: uint16 [rows]: the upper bits of the bias; 0 for an exception, a row whose bias, multiplier and shift
        are stored as they are.
    """

    ratio: int
    first_multiplier: int
    first_bias: int
    first_shift: int
    record: NDArray[Any]
    bias_high: NDArray[Any]

    @property
    def is_exception(self) -> NDArray[Any]:
        """Whether each row is an exception, bool [rows]."""
        exceptions: NDArray[np.bool_] = self.bias_high == 0
        return exceptions

    @property
    def nbytes(self) -> int:
        """Stored bytes, a multiple of 4."""
        return _stored_bytes(len(self.record), int(self.is_exception.sum()))


def _stored_bytes(rows: int, exceptions: int) -> int:
    halves = -(-rows * _BIAS_HIGH_BYTES // 4) * 4
    return HEAD_BYTES + exceptions * _EXCEPTION.size + rows * _RECORD_BYTES + halves


def find(
    bias: NDArray[Any],
    wanted: tuple[NDArray[Any], NDArray[Any]],
    weight_scale: NDArray[Any],
    input_scale: np.float32,
    output_scale: np.float32,
) -> CompactRows | None:
    """Finds the compact form of rows. Every bias, multiplier and shift is restored exactly.

    A few rows often are exceptions: those without nonzeros, whose scale and bias mean nothing, lie far from the others.

    Args:
      bias: int32 [rows], folded.
      wanted: (multipliers, shifts), [rows] each.
      weight_scale: float32 [rows].
      input_scale: float32, positive.
      output_scale: likewise.

    Returns:
      The compact form; None if all rows would be exceptions, or more than the format has.
    """
    multiplier, shift = (part.astype(np.int64) for part in wanted)
    wide_bias = bias.astype(np.int64)
    fits = (multiplier >> 30 == 1) & is_normal(weight_scale)
    if not fits.any():
        return None
    slope, steps = _steps(multiplier, weight_scale, math.frexp(float(input_scale) / float(output_scale))[0])
    ratio, first_multiplier, factor, added, fits = _fit(multiplier, slope, steps, fits)
    first_shift, fits = _inside(shift, fits, 1 << _SHIFT_BITS)
    first_bias, fits = _inside(wide_bias, fits, _BIASES)
    exceptions = int(np.count_nonzero(~fits))
    if exceptions > _MAX_EXCEPTIONS:
        return None
    first_bias -= 1 << _BIAS_BITS
    if first_bias < -(1 << 31):
        first_bias += 1 << 32  # biases are modulo 2^32
    code = (wide_bias - first_bias) & 0xFFFFFFFF
    low_bias = code & (1 << _BIAS_BITS) - 1
    record = factor << _FACTOR_AT | low_bias << _BIAS_AT | shift - first_shift << _SHIFT_AT | added
    record[~fits] = np.arange(exceptions)
    bias_high = np.where(fits, code >> _BIAS_BITS, 0)
    return CompactRows(
        ratio, first_multiplier, first_bias, first_shift, record.astype(np.uint32), bias_high.astype(np.uint16)
    )


def _steps(multiplier: NDArray[Any], weight_scale: NDArray[Any], quotient: float) -> tuple[float, NDArray[Any]]:
    """Writes multipliers as multiples of one number, apart from their rounding.

    A multiplier is the significand of its weight scale, or twice that, times the significand of the quotient of scales.

    Args:
      multiplier: int64 [rows].
      weight_scale: float32 [rows].
      quotient: significand of input scale / output scale, 0.5 .. 1.

    Returns:
      (slope, int64 steps [rows]): a multiplier is about slope * steps.
    """
    slope = quotient * 2.0 ** (31 - FLOAT_BITS - 1)
    significand = float_bits(weight_scale) & (1 << FLOAT_BITS) - 1 | 1 << FLOAT_BITS
    once = np.abs(multiplier - slope * significand) < np.abs(multiplier - 2 * slope * significand)
    return slope, np.where(once, significand, 2 * significand)


def _fit(
    multiplier: NDArray[Any], slope: float, steps: NDArray[Any], fits: NDArray[Any]
) -> tuple[int, int, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Finds the line from which most multipliers differ by 0 or 1.

    Args:
      multiplier: int64 [rows].
      slope: see _steps().
      steps: likewise.
      fits: bool [rows], the rows to look at; at least one.

    Returns:
      (ratio, first multiplier, factor [rows], 0 or 1 [rows], bool [rows]: whether a row of `fits` is exact).
    """
    best: tuple[int, int, NDArray[Any], NDArray[Any], NDArray[Any]] | None = None
    most = -1
    first, _ = _window(np.sort(steps[fits]), (1 << _FACTOR_BITS) - _FACTORS_BEFORE)
    nearest = round(slope * (1 << _FACTOR_BITS))
    for before, ratio in itertools.product(range(_FACTORS_BEFORE), (nearest, nearest - 1, nearest + 1)):
        factor = steps - (first - before)
        tried = fits & (factor >= 0) & (factor < 1 << _FACTOR_BITS)
        rest = multiplier - (factor * ratio >> _FACTOR_BITS)
        first_multiplier, covered = _window(np.sort(rest[tried]), 1 << _ADDED_BITS)
        if covered > most:
            added = rest - first_multiplier
            best = ratio, first_multiplier, factor, added, tried & (added >= 0) & (added < 1 << _ADDED_BITS)
            most = covered
        if covered == np.count_nonzero(fits):
            break
    assert best is not None
    return best


def _inside(numbers: NDArray[Any], fits: NDArray[Any], span: int) -> tuple[int, NDArray[Any]]:
    """Finds the window of `span` integers with most numbers of `fits`. Returns (its first, bool: those within)."""
    first, _ = _window(np.sort(numbers[fits]), span)
    return first, fits & (numbers >= first) & (numbers < first + span)


def _window(ordered: NDArray[Any], span: int) -> tuple[int, int]:
    """Finds the window of `span` consecutive integers with the most numbers. Returns (its first integer, how many)."""
    counts = np.searchsorted(ordered, ordered + span, "left") - np.arange(len(ordered))
    first = int(np.argmax(counts))
    return int(ordered[first]), int(counts[first])


def pack(compact: CompactRows, bias: NDArray[Any], multiplier: NDArray[Any], shift: NDArray[Any]) -> bytes:
    """Serialises rows. `bias`, `multiplier` and `shift` are those of the layer, [rows] each."""
    is_exception = compact.is_exception
    head = _HEAD.pack(
        compact.ratio, compact.first_multiplier, compact.first_bias, compact.first_shift, int(is_exception.sum())
    )
    exceptions = np.stack([part[is_exception].astype("<i4") for part in (bias, multiplier, shift)], axis=1)
    halves = compact.bias_high.astype("<u2").tobytes()
    return head + exceptions.tobytes() + compact.record.astype("<u4").tobytes() + halves + bytes(-len(halves) % 4)


def size_of(data: bytes, rows: int) -> int:
    """Returns the bytes of the compact rows at the beginning of `data`.

    Raises:
      ValueError: if `data` is too short.
    """
    if len(data) < HEAD_BYTES:
        raise ValueError("the sections of the packed layer do not fit its size")
    *_, exceptions = _HEAD.unpack_from(data)
    return _stored_bytes(rows, exceptions)


def unpack(data: bytes, rows: int) -> tuple[CompactRows, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Parses compact rows, whose size is size_of().

    Returns:
      (compact rows, int32 biases, int32 multipliers, int8 shifts), [rows] each.

    Raises:
      ValueError: if a multiplier or shift is out of range, or if an exception is missing.
    """
    ratio, first_multiplier, first_bias, first_shift, count = _HEAD.unpack_from(data)
    records = HEAD_BYTES + count * _EXCEPTION.size
    halves = records + rows * _RECORD_BYTES
    exceptions = np.frombuffer(data[HEAD_BYTES:records], "<i4").reshape(count, 3).astype(np.int64)
    record = np.frombuffer(data[records:halves], "<u4").astype(np.int64)
    bias_high = np.frombuffer(data[halves : halves + rows * _BIAS_HIGH_BYTES], "<u2").astype(np.int64)
    compact = CompactRows(
        ratio, first_multiplier, first_bias, first_shift, record.astype(np.uint32), bias_high.astype(np.uint16)
    )
    is_exception = compact.is_exception
    if np.any(record[is_exception] >= count):
        raise ValueError("a multiplier or shift of the packed layer is out of range")
    product = (record >> _FACTOR_AT) * ratio >> _FACTOR_BITS
    numbers = (
        first_bias + (bias_high << _BIAS_BITS | record >> _BIAS_AT & (1 << _BIAS_BITS) - 1),
        first_multiplier + product + (record & 1),
        first_shift + (record >> _SHIFT_AT & (1 << _SHIFT_BITS) - 1),
    )
    for number, stored in zip(numbers, exceptions.T, strict=True):
        number[is_exception] = stored[record[is_exception]]
    bias, multiplier, shift = numbers
    multiplier = multiplier.astype(np.uint32).astype(np.int32)  # modulo 2^32
    if multiplier.min() < 0 or shift.min() < MIN_SHIFT or shift.max() > MAX_SHIFT:
        raise ValueError("a multiplier or shift of the packed layer is out of range")
    return compact, bias.astype(np.uint32).astype(np.int32), multiplier, shift.astype(np.int8)

"""Compact rows (docs/format.md#compact-rows): bias, multiplier and shift of a row in a few bits."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr.encodings import bits
from dcsr.requantize import MAX_SHIFT
from dcsr.shared_rows import FLOAT_BIAS, FLOAT_BITS, MIN_SHIFT, derive, find_ratio, float_bits, is_normal

_HEAD = struct.Struct("<IHhiBBH")
_EXCEPTION = struct.Struct("<3i")
HEAD_BYTES = _HEAD.size
_MAX_BIAS_BITS = 32
_MAX_EXPONENT_BITS = 6
_MAX_EXCEPTIONS = (1 << 16) - 1
_READABLE_BITS = 25  # of bits.unpack


@dataclass(frozen=True)
class CompactRows:
    """The stored form of the rows of a layer.

    Attributes:
      ratio, exponent: multipliers and shifts are derived from them and from `scale`.
      first_bias: the smallest bias, except for exceptions.
      bias_bits, exponent_bits: bits of two fields of a record.
      scale: uint32 [rows]: significand and exponent of a weight scale; for an exception its number.
      is_exception: bool [rows]: whether bias, multiplier and shift of a row are stored as they are.
    """

    ratio: int
    exponent: int
    first_bias: int
    bias_bits: int
    exponent_bits: int
    scale: NDArray[Any]
    is_exception: NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Stored bytes, a multiple of 4."""
        return _stored_bytes(len(self.scale), int(self.is_exception.sum()), self.bias_bits, self.exponent_bits)


def _record_bits(bias_bits: int, exponent_bits: int) -> int:
    return bias_bits + FLOAT_BITS + exponent_bits


def _stored_bytes(rows: int, exceptions: int, bias_bits: int, exponent_bits: int) -> int:
    words = -(-rows * _record_bits(bias_bits, exponent_bits) // 32)
    return HEAD_BYTES + exceptions * _EXCEPTION.size + 4 * words


def find(
    bias: NDArray[Any],
    wanted: tuple[NDArray[Any], NDArray[Any]],
    weight_scale: NDArray[Any],
    input_scale: np.float32,
    output_scale: np.float32,
) -> CompactRows | None:
    """Finds the smallest compact form of rows. Every bias, multiplier and shift is restored exactly.

    Args:
      bias: int32 [rows], folded.
      wanted: (multipliers, shifts), [rows] each.
      weight_scale: float32 [rows].
      input_scale: float32, positive.
      output_scale: likewise.

    Returns:
      The compact form; None if multipliers cannot be derived exactly, or if there are too many exceptions.
    """
    multiplier, shift = wanted
    derivable = (multiplier != 0) & is_normal(weight_scale)
    if not derivable.any():
        return None
    found = find_ratio(
        input_scale, weight_scale[derivable], output_scale, (multiplier[derivable], shift[derivable]), MAX_SHIFT
    )
    if found is None:
        return None
    ratio, exponent = found
    stored = float_bits(weight_scale)
    widths = _widths(bias.astype(np.int64), stored >> FLOAT_BITS, derivable)
    if widths is None:
        return None
    first_bias, bias_bits, first_exponent, exponent_bits, is_exception = widths
    scale = stored - (first_exponent << FLOAT_BITS)
    scale[is_exception] = np.arange(is_exception.sum())
    return CompactRows(
        ratio,
        exponent - FLOAT_BIAS + first_exponent,
        first_bias,
        bias_bits,
        exponent_bits,
        scale.astype(np.uint32),
        is_exception,
    )


def _widths(
    bias: NDArray[Any], exponents: NDArray[Any], derivable: NDArray[Any]
) -> tuple[int, int, int, int, NDArray[Any]] | None:
    """Chooses the widths of the fields, and the rows that are exceptions, so that the fewest bytes are stored.

    A few rows often lie far from the others: those without nonzeros, whose scale and bias mean nothing.

    Args:
      bias: int64 [rows].
      exponents: int64 [rows], of the weight scales.
      derivable: bool [rows], whether a row may be other than an exception; at least one is.

    Returns:
      (first bias, its bits, first exponent, its bits, bool [rows]: exceptions); None if there are too many exceptions.
    """
    best: tuple[int, int, int, int, NDArray[Any]] | None = None
    fewest = None
    for exponent_bits in range(_MAX_EXPONENT_BITS + 1):
        first_exponent, _ = _window(np.sort(exponents[derivable]), 1 << exponent_bits)
        fits = derivable & (exponents >= first_exponent) & (exponents < first_exponent + (1 << exponent_bits))
        ordered = np.sort(bias[fits])
        for bias_bits in range(1, _MAX_BIAS_BITS + 1):
            # The last code marks an exception.
            span = (1 << bias_bits) - 1
            first_bias, covered = _window(ordered, span)
            exceptions = len(bias) - covered
            size = _stored_bytes(len(bias), exceptions, bias_bits, exponent_bits)
            if exceptions <= _MAX_EXCEPTIONS and (fewest is None or size < fewest):
                fewest = size
                inside = fits & (bias >= first_bias) & (bias < first_bias + span)
                best = first_bias, bias_bits, first_exponent, exponent_bits, ~inside
            if covered == len(ordered):
                break
        if fits.sum() == derivable.sum():
            break
    return best


def _window(ordered: NDArray[Any], span: int) -> tuple[int, int]:
    """Finds the window of `span` consecutive integers with the most numbers. Returns (its first integer, how many)."""
    counts = np.searchsorted(ordered, ordered + span, "left") - np.arange(len(ordered))
    first = int(np.argmax(counts))
    return int(ordered[first]), int(counts[first])


def pack(compact: CompactRows, bias: NDArray[Any], multiplier: NDArray[Any], shift: NDArray[Any]) -> bytes:
    """Serialises rows. `bias`, `multiplier` and `shift` are those of the layer, [rows] each."""
    is_exception = compact.is_exception
    head = _HEAD.pack(
        compact.ratio & 0xFFFFFFFF,
        compact.ratio >> 32,
        compact.exponent,
        compact.first_bias,
        compact.bias_bits,
        compact.exponent_bits,
        int(is_exception.sum()),
    )
    exceptions = np.stack([part[is_exception].astype("<i4") for part in (bias, multiplier, shift)], axis=1)
    code = np.where(is_exception, (1 << compact.bias_bits) - 1, bias.astype(np.int64) - compact.first_bias)
    fields = np.stack([code, compact.scale.astype(np.int64)], axis=1)
    widths = np.tile([compact.bias_bits, FLOAT_BITS + compact.exponent_bits], len(code))
    records = bits.pack(fields.ravel(), widths)
    return head + exceptions.tobytes() + records + bytes(-len(records) % 4)


def size_of(data: bytes, rows: int) -> int:
    """Returns the bytes of the compact rows at the beginning of `data`.

    Raises:
      ValueError: if `data` is too short, or if a field is out of range.
    """
    if len(data) < HEAD_BYTES:
        raise ValueError("the sections of the packed layer do not fit its size")
    *_, bias_bits, exponent_bits, exceptions = _HEAD.unpack_from(data)
    if not 1 <= bias_bits <= _MAX_BIAS_BITS or exponent_bits > _MAX_EXPONENT_BITS:
        raise ValueError("a header field of the packed layer is out of range")
    return _stored_bytes(rows, exceptions, bias_bits, exponent_bits)


def unpack(data: bytes, rows: int) -> tuple[CompactRows, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Parses compact rows, whose size is size_of().

    Returns:
      (compact rows, int32 biases, int32 multipliers, int8 shifts), [rows] each.

    Raises:
      ValueError: if a multiplier or shift is out of range, or if an exception is missing.
    """
    low, high, exponent, first_bias, bias_bits, exponent_bits, count = _HEAD.unpack_from(data)
    begin = HEAD_BYTES + count * _EXCEPTION.size
    exceptions = np.frombuffer(data[HEAD_BYTES:begin], "<i4").reshape(count, 3).astype(np.int64)
    scale_bits = FLOAT_BITS + exponent_bits
    starts = np.arange(rows, dtype=np.int64) * _record_bits(bias_bits, exponent_bits)
    code = _wide(data[begin:], starts, bias_bits)
    scale = _wide(data[begin:], starts + bias_bits, scale_bits)
    is_exception = code == (1 << bias_bits) - 1
    if np.any(is_exception & (scale >= count)):
        raise ValueError("a multiplier or shift of the packed layer is out of range")
    multiplier, added = derive(scale, high << 32 | low)
    shift = exponent + (scale >> FLOAT_BITS) + added
    bias = first_bias + code
    bias[is_exception], multiplier[is_exception], shift[is_exception] = exceptions[scale[is_exception]].T
    if multiplier.min() < 0 or shift.min() < MIN_SHIFT or shift.max() > MAX_SHIFT:
        raise ValueError("a multiplier or shift of the packed layer is out of range")
    compact = CompactRows(
        high << 32 | low, exponent, first_bias, bias_bits, exponent_bits, scale.astype(np.uint32), is_exception
    )
    return compact, bias.astype(np.int32), multiplier.astype(np.int32), shift.astype(np.int8)


def _wide(data: bytes, starts: NDArray[Any], width: int) -> NDArray[Any]:
    """Reads numbers of up to 32 bits, int64."""
    low = min(width, _READABLE_BITS)
    numbers: NDArray[np.int64] = bits.unpack(data, starts, low)
    if width > low:
        numbers |= bits.unpack(data, starts + low, width - low) << low
    return numbers

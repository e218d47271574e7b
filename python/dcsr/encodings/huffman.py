"""Huffman coding of values. Works with any encoding of the positions. Format: docs/format.md#huffman."""

from __future__ import annotations

import dataclasses

import numpy as np

from dcsr.encodings import bits
from dcsr.encodings.streams import HUFFMAN, Streams

MAX_CODE_BITS = 8
MAX_RAW_BITS = 4
_WINDOWS = 1 << MAX_CODE_BITS

_CHUNK_BYTES = 1 << 18  # bytes of codes that are decoded at a time


def encode(streams: Streams) -> Streams:
    """Returns the same streams with Huffman-coded values. The number of raw low bits is chosen for the smallest size.

    Raises:
      ValueError: if the values are not int8.
    """
    _, raw_bits, lengths = _best_code(streams.values)
    value = np.arange(256)
    symbol, raw = value >> raw_bits, value & ((1 << raw_bits) - 1)
    stored = streams.values.view(np.uint8)
    words = (raw | _codes(lengths)[symbol] << raw_bits)[stored]
    widths = (lengths[symbol] + raw_bits)[stored]
    stored_lengths = (lengths[0::2] | lengths[1::2] << 4).astype(np.uint8).tobytes()
    return dataclasses.replace(
        streams, value_coding=HUFFMAN, raw_bits=raw_bits, codes=bits.pack(words, widths) + stored_lengths
    )


def nbytes(values: np.ndarray) -> int:
    """Exact size in bytes of the value section.

    Args:
      values: int8 [elements].

    Raises:
      ValueError: if the values are not int8.
    """
    return _best_code(values)[0]


def decode(codes: bytes, elements: int, raw_bits: int) -> np.ndarray:
    """Decodes a value section.

    Args:
      codes: the section.
      elements: number of values.
      raw_bits: raw low bits of each value.

    Returns:
      int8 [elements].

    Raises:
      ValueError: if the code is not complete, or if the section does not end with the last value.
    """
    if not 0 <= raw_bits <= MAX_RAW_BITS or len(codes) < _length_bytes(raw_bits):
        raise ValueError("huffman: no room for the code lengths")
    end = len(codes) - _length_bytes(raw_bits)
    stored = np.frombuffer(codes, np.uint8)[end:]
    lengths = np.stack([stored & 15, stored >> 4], axis=1).reshape(-1).astype(np.int64)
    used = lengths[lengths > 0]
    if lengths.max() > MAX_CODE_BITS or int((_WINDOWS >> used).sum()) != _WINDOWS:
        raise ValueError("huffman: the code is not complete")
    symbol_of = np.zeros(_WINDOWS, np.int64)
    for symbol, code in enumerate(_codes(lengths)):
        if lengths[symbol]:
            symbol_of[code :: 1 << lengths[symbol]] = symbol

    starts = _starts(codes[:end], elements, raw_bits, lengths[symbol_of] + raw_bits)
    windows = bits.unpack(codes[:end], starts, raw_bits + MAX_CODE_BITS)
    raw = windows & ((1 << raw_bits) - 1)
    return (symbol_of[windows >> raw_bits] << raw_bits | raw).astype(np.uint8).view(np.int8)


def code_lengths(frequencies: np.ndarray) -> np.ndarray:
    """Computes an optimal complete prefix code of at most 8 bits.

    Args:
      frequencies: [symbols], at most 256 symbols.

    Returns:
      int64 [symbols]: code lengths. Symbols that do not occur have length 0, but at least two symbols get a code.
    """
    lengths = np.zeros(len(frequencies), np.int64)
    present = np.flatnonzero(frequencies)
    if len(present) < 2:
        # A complete code needs two symbols.
        present = np.union1d(present, [0, 1])[:2] if not len(present) or present[0] < 2 else np.array([0, present[0]])
        lengths[present] = 1
        return lengths
    # Package-merge: each of 8 rounds pairs neighbours of the sorted symbols and packages into new packages. The code
    # length of a symbol is the number of times it occurs in the cheapest 2 n - 2 items of the last round.
    order = present[np.argsort(frequencies[present], kind="stable")]
    weights = frequencies[order]
    is_symbol, packages = [], weights[:0]
    for _ in range(MAX_CODE_BITS):
        merged = np.concatenate([weights, packages])
        sorting = np.argsort(merged, kind="stable")
        is_symbol.append(sorting < len(weights))
        merged = merged[sorting]
        packages = merged[: len(merged) // 2 * 2].reshape(-1, 2).sum(axis=1)
    taken = 2 * len(weights) - 2
    for of_round in reversed(is_symbol):
        symbols = int(np.count_nonzero(of_round[:taken]))
        lengths[order[:symbols]] += 1
        taken = 2 * (taken - symbols)
    return lengths


def _best_code(values: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Finds the raw bits with the smallest section. Returns its bytes, the raw bits, and the code lengths."""
    if values.dtype != np.int8:
        raise ValueError(f"huffman: codes int8 values, not {values.dtype}")
    counts = np.bincount(values.view(np.uint8), minlength=256)
    candidates = []
    for raw_bits in range(MAX_RAW_BITS + 1):
        frequencies = counts.reshape(-1, 1 << raw_bits).sum(axis=1)
        lengths = code_lengths(frequencies)
        size = (int(frequencies @ (lengths + raw_bits)) + 7) // 8 + _length_bytes(raw_bits)
        candidates.append((size, raw_bits, lengths))
    return min(candidates, key=lambda candidate: candidate[0])


def _length_bytes(raw_bits: int) -> int:
    """Size in bytes of the stored code lengths."""
    return (256 >> raw_bits) // 2


def _codes(lengths: np.ndarray) -> np.ndarray:
    """The canonical code of each symbol, int64. The lowest bit is the first bit of the code."""
    codes = np.zeros(len(lengths), np.int64)
    following = 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        width = int(lengths[symbol])
        if width:
            code = following >> (MAX_CODE_BITS - width)
            codes[symbol] = int(f"{code:0{width}b}"[::-1], 2)
            following += _WINDOWS >> width
    return codes


def _starts(data: bytes, elements: int, raw_bits: int, width_of: np.ndarray) -> np.ndarray:
    """Finds the bit position of each value, int64 [elements].

    Args:
      data: the codes.
      elements: number of values.
      raw_bits: raw bits before each code.
      width_of: total bits of code and raw bits, indexed by the 8 bits after the raw bits.

    Raises:
      ValueError: if the last value does not end in the last byte.
    """
    padded = np.frombuffer(data + bytes(2), np.uint8).astype(np.uint32)
    starts: list[int] = []
    at = 0
    for first in range(0, len(data), _CHUNK_BYTES):
        chunk = padded[first : first + _CHUNK_BYTES + 2]
        words = chunk[:-2] | chunk[1:-1] << 8 | chunk[2:] << 16
        windows = words[:, np.newaxis] >> np.arange(raw_bits, raw_bits + 8, dtype=np.uint32) & 0xFF
        widths = width_of.astype(np.uint8)[windows].tobytes()
        base = 8 * first
        at -= base
        while at < len(widths) and len(starts) < elements:
            starts.append(at + base)
            at += widths[at]
        at += base
    if len(starts) != elements or (at + 7) // 8 != len(data):
        raise ValueError("huffman: the codes do not fit the number of values")
    return np.array(starts, np.int64)

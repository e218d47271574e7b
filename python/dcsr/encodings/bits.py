"""Bit streams. Bits fill each byte from the lowest to the highest."""

from __future__ import annotations

import numpy as np


class BitWriter:
    """Writes numbers of variable bit width back to back."""

    def __init__(self) -> None:
        self._whole: list[bytes] = []
        self._rest = 0  # bits of the last, incomplete byte
        self._rest_bits = 0

    def write(self, numbers: np.ndarray, widths: np.ndarray) -> None:
        """Appends integers [n]. Each is below 2 ** width; widths [n] are 0 .. 56 bits."""
        numbers = np.concatenate([[self._rest], numbers]).astype(np.uint64)
        widths = np.concatenate([[self._rest_bits], widths]).astype(np.int64)
        ends = np.cumsum(widths)
        starts = ends - widths
        total = int(ends[-1])
        words = np.zeros(total // 64 + 2, "<u8")
        # A number spans at most two words. Numbers that start in the same word are adjacent, so reduceat merges them.
        word = starts >> 6
        offset = (starts & 63).astype(np.uint64)
        first = np.flatnonzero(np.diff(word, prepend=-1))
        words[word[first]] |= np.bitwise_or.reduceat(numbers << offset, first)
        beyond = numbers >> np.uint64(1) >> (np.uint64(63) - offset)
        words[word[first] + 1] |= np.bitwise_or.reduceat(beyond, first)
        data = words.tobytes()
        self._whole.append(data[: total // 8])
        self._rest, self._rest_bits = data[total // 8], total % 8

    def write_bits(self, flags: np.ndarray) -> None:
        """Appends single bits, uint8 [n], each 0 or 1."""
        rest = self._rest >> np.arange(self._rest_bits) & 1
        flags = np.concatenate([rest.astype(np.uint8), flags])
        data = np.packbits(flags, bitorder="little").tobytes() + bytes(1)
        self._whole.append(data[: len(flags) // 8])
        self._rest, self._rest_bits = data[len(flags) // 8], len(flags) % 8

    def getvalue(self) -> bytes:
        """Returns the stream. Unused bits of the last byte are 0."""
        return b"".join([*self._whole, bytes([self._rest] if self._rest_bits else [])])


def pack(numbers: np.ndarray, widths: np.ndarray) -> bytes:
    """Packs `numbers` into a bit stream. See BitWriter.write for the arguments."""
    writer = BitWriter()
    writer.write(numbers, widths)
    return writer.getvalue()


def unpack(data: bytes, starts: np.ndarray, widths: np.ndarray | int) -> np.ndarray:
    """Reads numbers from a bit stream.

    Args:
      data: the stream. It must contain all bits of the numbers.
      starts: int64 [n], bit position of each number.
      widths: bits of each number, [n] or one for all; at most 25.

    Returns:
      int64 [n].
    """
    padded = np.frombuffer(data + bytes(4), np.uint8)
    byte = starts >> 3
    window = np.zeros(len(starts), np.int64)
    for i in range(4):
        window |= padded[byte + i].astype(np.int64) << (8 * i)
    return window >> (starts & 7) & ((1 << np.asarray(widths, np.int64)) - 1)


def length(numbers: np.ndarray) -> np.ndarray:
    """Bit length of each number, int64. Numbers are below 2 ** 53; the bit length of 0 is 0."""
    # The exponent that frexp returns for an integer is its bit length.
    return np.frexp(numbers.astype(np.float64))[1].astype(np.int64)

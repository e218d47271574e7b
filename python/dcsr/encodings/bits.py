"""Streams of bits, the lowest bit of each byte first."""

from __future__ import annotations

import numpy as np


class BitWriter:
    """Numbers of any number of bits each, one after the other."""

    def __init__(self) -> None:
        self._whole: list[bytes] = []
        self._rest = 0  # bits that do not fill a byte yet
        self._rest_bits = 0

    def write(self, numbers: np.ndarray, widths: np.ndarray) -> None:
        """Appends `numbers`, each below 2 ** width; widths are 0 .. 56."""
        numbers = np.concatenate([[self._rest], numbers]).astype(np.uint64)
        widths = np.concatenate([[self._rest_bits], widths]).astype(np.int64)
        ends = np.cumsum(widths)
        starts = ends - widths
        total = int(ends[-1])
        words = np.zeros(total // 64 + 2, "<u8")
        # A number lies in the word where it starts and the one after; numbers that start in a word are neighbours.
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
        """Appends bits, uint8 0 or 1."""
        rest = self._rest >> np.arange(self._rest_bits) & 1
        flags = np.concatenate([rest.astype(np.uint8), flags])
        data = np.packbits(flags, bitorder="little").tobytes() + bytes(1)
        self._whole.append(data[: len(flags) // 8])
        self._rest, self._rest_bits = data[len(flags) // 8], len(flags) % 8

    def getvalue(self) -> bytes:
        """The stream; unused bits of its last byte are 0."""
        return b"".join([*self._whole, bytes([self._rest] if self._rest_bits else [])])


def pack(numbers: np.ndarray, widths: np.ndarray) -> bytes:
    """The stream of `numbers`, see BitWriter.write."""
    writer = BitWriter()
    writer.write(numbers, widths)
    return writer.getvalue()


def unpack(data: bytes, starts: np.ndarray, widths: np.ndarray | int) -> np.ndarray:
    """The numbers at the bits `starts` of a stream, int64; widths are at most 25, and all bits are in the stream."""
    padded = np.frombuffer(data + bytes(4), np.uint8)
    byte = starts >> 3
    window = np.zeros(len(starts), np.int64)
    for i in range(4):
        window |= padded[byte + i].astype(np.int64) << (8 * i)
    return window >> (starts & 7) & ((1 << np.asarray(widths, np.int64)) - 1)


def length(numbers: np.ndarray) -> np.ndarray:
    """Bits of each number up to its highest one, int64; numbers are below 2 ** 53."""
    # frexp's exponent of an integer is its bit length.
    return np.frexp(numbers.astype(np.float64))[1].astype(np.int64)

"""Golomb-Rice coded column gaps. The smallest index, but decoding is serial. Format: docs/format.md#rice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dcsr.encodings import bits
from dcsr.encodings.streams import (
    LENGTH_BITS,
    Layout,
    Streams,
    check_matrix,
    check_row_lengths,
    columns_from_gaps,
    nonzero_blocks,
    positions_in_rows,
    scatter,
)

NAME = "rice"
CODE = 4
LAYOUT = Layout(("index", "delta"), row_lengths=LENGTH_BITS, has_parameter=True)

PARAMETERS = range(1, 33)
_USUAL_PARAMETER = 15  # best for random positions


def encode(matrix: np.ndarray, *, parameter: int | None = None) -> Streams:
    """Encodes a matrix.

    Args:
      matrix: int8 or int16 [rows, cols].
      parameter: 1 .. 32, determines the number of remainder bits; None selects the smallest result.

    Raises:
      ValueError: see streams.check_matrix.
    """
    matrix = check_matrix(matrix)
    cols = matrix.shape[1]
    if parameter is None:
        parameter = _best_parameter(matrix)[0]
    all_lengths, all_values = [], []
    quotients, remainders = bits.BitWriter(), bits.BitWriter()
    for lengths, gaps, values in _gap_blocks(matrix):
        widths = np.repeat(_remainder_bits(lengths, cols, parameter), lengths)
        ones = np.cumsum((gaps >> widths) + 1) - 1
        unary = np.zeros(int(ones[-1]) + 1 if len(ones) else 0, np.uint8)
        unary[ones] = 1
        quotients.write_bits(unary)
        remainders.write(gaps & ((1 << widths) - 1), widths)
        all_lengths.append(lengths)
        all_values.append(values)
    row_lengths = np.concatenate(all_lengths).astype(np.uint32)
    return Streams(
        NAME,
        *matrix.shape,
        values=np.concatenate(all_values),
        row_lengths=row_lengths,
        row_length_bits=int(row_lengths.max(initial=0)).bit_length(),
        index=quotients.getvalue(),
        delta=remainders.getvalue(),
        index_parameter=parameter,
    )


def position_nbytes(matrix: np.ndarray) -> int:
    """Exact size in bytes of the row lengths and the index of `matrix` (C-contiguous)."""
    longest = int(np.count_nonzero(matrix, axis=1).max())
    return (matrix.shape[0] * longest.bit_length() + 7) // 8 + _best_parameter(matrix)[1]


def decode(streams: Streams) -> np.ndarray:
    """Returns the original matrix.

    Raises:
      ValueError: if the streams are inconsistent or an index leaves its row.
    """
    lengths = check_row_lengths(streams)
    if streams.index_parameter not in PARAMETERS:
        raise ValueError("rice: unknown parameter")
    elements = len(streams.values)
    unary = np.unpackbits(np.frombuffer(streams.index, np.uint8), bitorder="little")
    ones = np.flatnonzero(unary)[:elements]
    end = int(ones[-1]) + 1 if len(ones) else 0
    if len(ones) != elements or (end + 7) // 8 != len(streams.index):
        raise ValueError("rice: the quotients have the wrong size")
    widths = np.repeat(_remainder_bits(lengths, streams.cols, streams.index_parameter), lengths)
    ends = np.cumsum(widths)
    if (int(ends[-1] if elements else 0) + 7) // 8 != len(streams.delta):
        raise ValueError("rice: the remainders have the wrong size")
    remainders = bits.unpack(streams.delta, ends - widths, widths)
    gaps = (np.diff(ones, prepend=-1) - 1 << widths) + remainders
    return scatter(streams, columns_from_gaps(gaps, lengths))


def _gap_blocks(matrix: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields for consecutive blocks of rows: row lengths, zeros before each nonzero, and the nonzeros."""
    for lengths, columns, values in nonzero_blocks(matrix):
        gaps = np.diff(columns, prepend=-1) - 1
        first = positions_in_rows(lengths) == 0
        gaps[first] = columns[first]
        yield lengths, gaps, values


def _remainder_bits(lengths: np.ndarray, cols: int, parameter: int | np.ndarray) -> np.ndarray:
    """Remainder bits for rows of these lengths, int64."""
    return bits.length(parameter * cols // (32 * np.maximum(lengths, 1)))


def _best_parameter(matrix: np.ndarray) -> tuple[int, int]:
    """Returns the parameter with the fewest bytes of quotients and remainders, and that number of bytes."""
    parameters = np.array(PARAMETERS)[:, np.newaxis]
    quotient_bits = np.zeros(len(parameters), np.int64)
    remainder_bits = np.zeros(len(parameters), np.int64)
    for lengths, gaps, _ in _gap_blocks(matrix):
        lengths = lengths[lengths > 0]
        if not len(lengths):
            continue
        widths = _remainder_bits(lengths[np.newaxis], matrix.shape[1], parameters)
        low = int(widths.min())
        starts = np.cumsum(lengths) - lengths
        quotients = np.stack([np.add.reduceat(gaps >> k, starts) for k in range(low, int(widths.max()) + 1)])
        quotient_bits += quotients[widths - low, np.arange(len(lengths))].sum(axis=1) + lengths.sum()
        remainder_bits += (lengths * widths).sum(axis=1)
    nbytes = (quotient_bits + 7) // 8 + (remainder_bits + 7) // 8
    best = min(PARAMETERS, key=lambda parameter: (nbytes[parameter - 1], abs(parameter - _USUAL_PARAMETER)))
    return best, int(nbytes[best - 1])

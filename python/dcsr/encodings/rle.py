"""Relative indexing with 4-bit gaps and filler zeros, the baseline of the paper. Format: docs/format.md#rle."""

from __future__ import annotations

import numpy as np

from dcsr.encodings.streams import (
    Layout,
    Streams,
    check_matrix,
    check_row_lengths,
    columns_from_gaps,
    nonzero_blocks,
    pack_nibbles,
    positions_in_rows,
    scatter,
    unpack_nibbles,
)

NAME = "rle"
CODE = 2
LAYOUT = Layout(("index",), has_fillers=True)

_MAX_GAP = 15


def encode(matrix: np.ndarray) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]).

    Raises:
      ValueError: see streams.check_matrix.
    """
    matrix = check_matrix(matrix)
    all_lengths, all_gaps, all_values = [], [], []
    for lengths, columns, values in nonzero_blocks(matrix):
        previous = np.concatenate([[-1], columns[:-1]])
        previous[positions_in_rows(lengths) == 0] = -1
        zeros = columns - previous - 1
        # A filler covers 16 zeros: a gap of 15 and the filler itself.
        fillers = zeros // (_MAX_GAP + 1)
        place = np.cumsum(fillers + 1) - 1
        stored = int(place[-1]) + 1 if len(place) else 0
        gaps = np.full(stored, _MAX_GAP, np.uint8)
        gaps[place] = zeros % (_MAX_GAP + 1)
        filled = np.zeros(stored, matrix.dtype)
        filled[place] = values
        row_of = np.repeat(np.arange(len(lengths)), lengths)
        all_lengths.append(lengths + np.bincount(row_of, fillers, len(lengths)).astype(np.int64))
        all_gaps.append(gaps)
        all_values.append(filled)
    return Streams(
        NAME,
        *matrix.shape,
        values=np.concatenate(all_values),
        row_lengths=np.concatenate(all_lengths).astype(np.uint32),
        index=pack_nibbles(np.concatenate(all_gaps)),
    )


def decode(streams: Streams) -> np.ndarray:
    """Returns the original matrix.

    Raises:
      ValueError: if the streams are inconsistent or an index leaves its row.
    """
    lengths = check_row_lengths(streams)
    elements = len(streams.values)
    if len(streams.index) != (elements + 1) // 2:
        raise ValueError("rle: wrong number of gaps")
    gaps = unpack_nibbles(streams.index)[:elements].astype(np.int64)
    return scatter(streams, columns_from_gaps(gaps, lengths))

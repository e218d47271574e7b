"""Groups of 16 with one 16-bit step and a byte offset each: what vector kernels decode fastest.

Format: docs/format.md#offset8.
"""

from __future__ import annotations

import numpy as np

from dcsr.encodings.streams import (
    Streams,
    check_columns,
    check_matrix,
    check_row_lengths,
    nonzero_blocks,
    positions_in_rows,
)

NAME = "offset8"
CODE = 3

LANES = 16

_MAX_OFFSET = 255
_MAX_STEP = 65535


def encode(matrix: np.ndarray) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]), columns in ascending order.

    Raises:
      ValueError: see streams.check_matrix.
    """
    matrix = check_matrix(matrix)
    blocks = [_encode_block(*block, matrix.shape[1]) for block in nonzero_blocks(matrix)]
    lengths, steps, offsets, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Streams(
        NAME,
        *matrix.shape,
        values=values,
        row_lengths=lengths.astype(np.uint32),
        index=steps.astype("<u2").tobytes(),
        delta=offsets.astype(np.uint8).tobytes(),
    )


def _encode_block(
    lengths: np.ndarray, columns: np.ndarray, values: np.ndarray, cols: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row lengths with fillers, steps, offsets and values of a block of rows."""
    if not len(columns):
        return lengths, columns, columns, values
    row = np.repeat(np.arange(len(lengths)), lengths)
    start = _group_starts(lengths, columns, row, cols)
    base, group_row = columns[start], row[start]
    first = np.diff(group_row, prepend=-1) != 0
    step = np.where(first, base, np.diff(base, prepend=0))

    # Groups of fillers bridge what is too far for one step; they are whole, and so are groups but the last of a row.
    bridges = np.maximum(step - 1, 0) // _MAX_STEP
    nonzeros = np.diff(start, append=len(columns))
    lanes = np.where(np.append(first[1:], True), nonzeros, LANES)
    place = np.cumsum(bridges + 1) - 1
    steps = np.full(int(place[-1]) + 1, _MAX_STEP)
    steps[place] = step - bridges * _MAX_STEP

    # Fillers have the offset of the element before them, in a bridge 0.
    stored = LANES * bridges + lanes
    end = np.cumsum(stored)
    kept = np.repeat(end - lanes, nonzeros) + positions_in_rows(nonzeros)
    offsets = np.zeros(int(end[-1]), np.int64)
    filled = np.zeros(len(offsets), values.dtype)
    filled[kept] = values
    offsets[kept] = columns - np.repeat(base, nonzeros)
    fillers = lanes - nonzeros
    last = offsets[end - lanes + nonzeros - 1]
    offsets[np.repeat(end - fillers, fillers) + positions_in_rows(fillers)] = np.repeat(last, fillers)
    return np.bincount(group_row, stored, len(lengths)).astype(np.int64), steps, offsets, filled


def _group_starts(lengths: np.ndarray, columns: np.ndarray, row: np.ndarray, cols: int) -> np.ndarray:
    """The element that each group begins with: it ends with the row, after 16 elements or 255 columns."""
    # Rows far enough apart that no group reaches the next one.
    key = row * (cols + _MAX_OFFSET + 1) + columns
    beyond = np.searchsorted(key, key + _MAX_OFFSET + 1)
    row_end = np.repeat(np.cumsum(lengths), lengths)
    following = np.minimum(np.minimum(beyond, row_end), np.arange(LANES, LANES + len(columns))).tolist()
    starts = []
    at = 0
    while at < len(following):
        starts.append(at)
        at = following[at]
    return np.array(starts)


def decode(streams: Streams) -> np.ndarray:
    """The matrix.

    Raises:
      ValueError: if the streams are inconsistent, an index leaves its row, or a column has two nonzeros.
    """
    lengths = check_row_lengths(streams)
    groups = (lengths + LANES - 1) // LANES
    if len(streams.delta) != len(streams.values) or len(streams.index) != 2 * int(groups.sum()):
        raise ValueError("offset8: wrong number of steps or offsets")
    total = np.cumsum(np.frombuffer(streams.index, "<u2").astype(np.int64))
    # What the rows before have added up to.
    before = np.concatenate([[0], total])[(np.cumsum(groups) - groups)]
    base = total - np.repeat(before, groups)
    in_row = positions_in_rows(lengths)
    first_group = np.repeat(np.cumsum(groups) - groups, lengths)
    columns = base[first_group + in_row // LANES] + np.frombuffer(streams.delta, np.uint8)
    check_columns(streams, columns)

    flat = np.repeat(np.arange(streams.rows, dtype=np.int64) * streams.cols, lengths) + columns
    nonzero = np.flatnonzero(streams.values)
    flat = flat[nonzero]
    if len(np.unique(flat)) != len(flat):
        raise ValueError("offset8: two values for one column")
    matrix = np.zeros((streams.rows, streams.cols), streams.values.dtype)
    matrix.reshape(-1)[flat] = streams.values[nonzero]
    return matrix

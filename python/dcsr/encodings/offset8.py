"""Groups of 16 elements: one 16-bit step per group, one byte offset per element. Fastest to decode with vectors.

Format: docs/format.md#offset8.
"""

from __future__ import annotations

import numpy as np

from dcsr.encodings.streams import (
    Layout,
    Streams,
    check_columns,
    check_matrix,
    check_row_lengths,
    nonzero_blocks,
    positions_in_rows,
)

NAME = "offset8"
CODE = 3
LAYOUT = Layout(("index", "delta"), has_fillers=True)

LANES = 16

_MAX_OFFSET = 255
_MAX_STEP = 65535

# Limits on the 16-bit sums of the kernels before they carry: magnitude and number of values (row_words_mve.h).
_MOST_MAGNITUDE = 254
_MOST_SUMMED = 6

# Memory banks of a Cortex-M55's DTCM (docs/cycles.md).
_BANK_BYTES = 4
_BANKS = 4


def encode(matrix: np.ndarray) -> Streams:
    """Encodes `matrix` (int8 or int16 [rows, cols]).

    Columns ascend from group to group, or from pair to pair of groups. Within a group or pair, the elements are ordered
    such that vector kernels for convolutions need the fewest carries (docs/kernels.md). Among such orders, neighbours
    that are gathered together are in different memory banks.

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
    """Returns the row lengths including fillers, the steps, the offsets and the values of a block of rows."""
    if not len(columns):
        return lengths, columns, columns, values
    row = np.repeat(np.arange(len(lengths)), lengths)
    start = _group_starts(lengths, columns, row, cols)
    base, group_row = columns[start], row[start]
    first = np.diff(group_row, prepend=-1) != 0
    step = np.where(first, base, np.diff(base, prepend=0))

    # Groups of fillers bridge gaps that exceed one step. Every group is full except the last one of a row.
    bridges = np.maximum(step - 1, 0) // _MAX_STEP
    nonzeros = np.diff(start, append=len(columns))
    lanes = np.where(np.append(first[1:], True), nonzeros, LANES)
    place = np.cumsum(bridges + 1) - 1
    steps = np.full(int(place[-1]) + 1, _MAX_STEP)
    steps[place] = step - bridges * _MAX_STEP

    # A filler repeats the offset of the preceding element. In a bridge all offsets are 0.
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
    _order(lanes, group_row, base, steps, place, end - lanes, offsets, filled)
    return np.bincount(group_row, stored, len(lengths)).astype(np.int64), steps, offsets, filled


def _order(
    lanes: np.ndarray,
    group_row: np.ndarray,
    base: np.ndarray,
    steps: np.ndarray,
    place: np.ndarray,
    start: np.ndarray,
    offsets: np.ndarray,
    values: np.ndarray,
) -> None:
    """Reorders elements within groups, or within pairs of groups of a row that span at most 256 columns. In place.

    Args:
      lanes: number of lanes of each group.
      group_row: row of each group.
      base: first column of each group.
      steps: steps of all groups, bridges included. Both groups of a pair get the base of the first.
      place: index of each group in steps.
      start: index of each group in offsets and values.
      offsets: offsets of all elements.
      values: values of all elements.
    """
    groups = len(lanes)
    highest = base + np.maximum.reduceat(offsets, start) if groups else base
    # Two groups can be a pair if they are in the same row, near enough, and have no bridge between them.
    pairs = (group_row[:-1] == group_row[1:]) & (highest[1:] - base[:-1] <= _MAX_OFFSET) & (np.diff(place) == 1)
    first = np.ones(groups, bool)
    at = 0
    for at_pair in np.flatnonzero(pairs).tolist():
        if at_pair >= at:
            first[at_pair + 1] = False
            at = at_pair + 2
    second = np.flatnonzero(~first)
    moved = base[second] - base[second - 1]
    steps[place[second]] -= moved
    following = second + 1
    following = following[(following < groups)]
    same_row = group_row[following] == group_row[following - 1]
    steps[place[following[same_row]]] += moved[: len(following)][same_row]
    offsets[np.repeat(start[second], lanes[second]) + positions_in_rows(lanes[second])] += np.repeat(
        moved, lanes[second]
    )

    window = np.cumsum(first) - 1
    sizes = np.bincount(window, lanes).astype(np.int64)
    taken = np.repeat(start, lanes) + positions_in_rows(lanes)
    in_window = positions_in_rows(sizes)
    row = np.repeat(np.arange(len(sizes)), sizes)
    magnitudes = np.full((len(sizes), 2 * LANES), -1, np.int64)
    magnitudes[row, in_window] = np.abs(values[taken].astype(np.int64))
    order, sums = _fewest_sums(magnitudes)
    columns = np.zeros((len(sizes), 2 * LANES), np.int64)
    columns[row, in_window] = offsets[taken] + base[first][row]
    order = _apart(order, sums, columns)[row, in_window]
    source = taken[np.repeat(np.cumsum(sizes) - sizes, sizes) + order]
    offsets[taken], values[taken] = offsets[source], values[source]


def _fewest_sums(magnitudes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orders the elements of each window such that they fit into few sums of neighbours. Best fit, largest first.

    Args:
        magnitudes: int64 [windows, elements]; -1 after the last element of a window.

    Returns:
        The order of the elements, and the number of the sum of each in this order.
    """
    windows, elements = magnitudes.shape
    by_size = np.argsort(-magnitudes, axis=1, kind="stable")
    sorted_sizes = np.take_along_axis(magnitudes, by_size, axis=1)
    sums = np.zeros((windows, elements), np.int64)
    counts = np.zeros((windows, elements), np.int64)
    chosen = np.zeros((windows, elements), np.int64)
    used = np.zeros(windows, np.int64)
    all_windows = np.arange(windows)
    for i in range(elements):
        size = np.maximum(sorted_sizes[:, i], 0)
        room = (counts > 0) & (counts < _MOST_SUMMED) & (sums + size[:, None] <= _MOST_MAGNITUDE)
        fullest = np.where(room, sums, -1)
        best = np.argmax(fullest, axis=1)
        new = fullest[all_windows, best] < 0
        best = np.where(new, used, best)
        used += new
        sums[all_windows, best] += size
        counts[all_windows, best] += 1
        chosen[:, i] = best
    # Fullest sums first. Padding (-1) stays at the end.
    rank = np.argsort(np.argsort(-sums, axis=1, kind="stable"), axis=1, kind="stable")
    key = np.take_along_axis(rank, chosen, axis=1)
    key[sorted_sizes < 0] = elements
    in_sums = np.argsort(key, axis=1, kind="stable")
    return np.take_along_axis(by_size, in_sums, axis=1), np.take_along_axis(key, in_sums, axis=1)


def _apart(order: np.ndarray, sums: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Reorders elements within their sums such that the two elements of a pair of lanes are in different banks.

    A Cortex-M55 gathers two bytes a cycle from its DTCM, unless they are in different words of the same bank.

    Args:
        order: order of the elements of each window.
        sums: number of the sum of each element in this order.
        columns: column of each element, int64 [windows, elements].
    """
    elements = order.shape[1]
    word = np.take_along_axis(columns, order, axis=1) // _BANK_BYTES
    order = order.copy()
    # An element that conflicts with its partner is exchanged with another one of its sum, if that suits both pairs.
    partners = np.arange(elements) ^ 1
    for lane in range(elements):
        partner = word[:, lane ^ 1, None]
        left = np.flatnonzero(_conflicts(word[:, lane, None], partner)[:, 0])
        some = word[left]
        suits = ~_conflicts(some, partner[left]) & ~_conflicts(some[:, lane, None], some[:, partners])
        suits &= sums[left] == sums[left, lane, None]
        suits[:, [lane, lane ^ 1]] = False
        found = suits.any(axis=1)
        left, other = left[found], np.argmax(suits[found], axis=1)
        for array in (order, word):
            array[left, other], array[left, lane] = array[left, lane], array[left, other]
    return order


def _conflicts(word: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (word != other) & (word % _BANKS == other % _BANKS)


def _group_starts(lengths: np.ndarray, columns: np.ndarray, row: np.ndarray, cols: int) -> np.ndarray:
    """First element of each group. A group ends after 16 elements, at 255 columns, or at the end of its row."""
    # Rows are spaced so that no group reaches into the next row.
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
    """Returns the original matrix.

    Raises:
      ValueError: if the streams are inconsistent, an index leaves its row, or a column has two nonzeros.
    """
    lengths = check_row_lengths(streams)
    groups = (lengths + LANES - 1) // LANES
    if len(streams.delta) != len(streams.values) or len(streams.index) != 2 * int(groups.sum()):
        raise ValueError("offset8: wrong number of steps or offsets")
    total = np.cumsum(np.frombuffer(streams.index, "<u2").astype(np.int64))
    # Sum of all steps of the preceding rows.
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

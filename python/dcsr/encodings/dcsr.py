"""Delta-compressed sparse rows: groups of 16 nonzeros, stored as small deltas from a line. Format: docs/format.md#dcsr.

The scheme of the paper (arXiv 2111.12345, section III) without the faults of the published encoder: base steps never
wrap, no fillers are stored, and rows may have any length.
"""

from __future__ import annotations

import numpy as np

from dcsr.encodings.streams import (
    Layout,
    Streams,
    check_matrix,
    check_row_lengths,
    nonzero_blocks,
    pack_nibbles,
    positions_in_rows,
    scatter,
    unpack_nibbles,
)

NAME = "dcsr"
CODE = 1
LAYOUT = Layout(("index", "delta", "plane"), has_parameter=True)

LANES = 16
WIDTHS = (4, 8)  # bits of a delta in the delta stream; higher bits are in planes

_STEP_ESCAPE = -2048


def encode(matrix: np.ndarray, width: int | None = None) -> Streams:
    """Encodes a matrix.

    Args:
      matrix: int8 or int16 [rows, cols]; rows are output channels.
      width: bits of a base delta, one of WIDTHS; None selects the smaller result. With 8, most groups have no planes,
        and vector kernels can gather with the byte offsets.

    Raises:
      ValueError: see streams.check_matrix.
    """
    if width is None:
        return min((encode(matrix, candidate) for candidate in WIDTHS), key=lambda streams: streams.nbytes)
    if width not in WIDTHS:
        raise ValueError(f"dcsr: a base delta has {' or '.join(map(str, WIDTHS))} bits, not {width}")
    matrix = check_matrix(matrix)
    all_lengths, all_values = [], []
    index, delta, plane = [], [], []
    for lengths, columns, values in nonzero_blocks(matrix):
        all_lengths.append(lengths)
        all_values.append(values)
        if len(columns):
            for stream, data in zip(
                (index, delta, plane),
                _encode_block(lengths, columns, matrix.shape[1], width),
                strict=True,
            ):
                stream.append(data)
    return Streams(
        NAME,
        *matrix.shape,
        values=np.concatenate(all_values),
        row_lengths=np.concatenate(all_lengths).astype(np.uint32),
        index=b"".join(index),
        delta=b"".join(delta),
        plane=b"".join(plane),
        index_parameter=width,
    )


class _Groups:
    """Layout of the groups for the given row lengths. All arrays are int64 unless stated otherwise.

    Attributes:
      slope: [groups], slope of the row's line in 1/16 columns per lane; 0 with 8-bit deltas.
      lanes: [groups], number of lanes, 1..16.
      first: bool [groups], True for the first group of a row.
      start: [groups], index of the element in lane 0.
      group: [elements], group of each element.
      lane: [elements], lane of each element.
      line: [elements], value of the line at the element's lane.
    """

    def __init__(self, lengths: np.ndarray, cols: int, width: int):
        lengths = lengths[lengths > 0]
        groups = (lengths + LANES - 1) // LANES
        position = positions_in_rows(lengths)
        self.slope = np.repeat(LANES * cols // lengths if width == 4 else np.zeros_like(lengths), groups)
        in_row = positions_in_rows(groups)
        self.first = in_row == 0
        self.lanes = np.minimum(LANES, np.repeat(lengths, groups) - LANES * in_row)
        self.start = np.cumsum(self.lanes) - self.lanes
        self.lane = position % LANES
        self.group = np.repeat(np.arange(len(self.lanes)), self.lanes)
        self.line = (self.slope[self.group] * self.lane) >> 4


def _nibble_places(groups: _Groups) -> tuple[np.ndarray, int]:
    """Returns the nibble index of each element in the delta stream, and the size of that stream in bytes."""
    size = (groups.lanes + 1) // 2
    return 2 * (np.cumsum(size) - size)[groups.group] + groups.lane, int(size.sum())


def _plane_places(groups: _Groups, planes: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns the bit index of each element in its first plane, the bits between planes, and the stream's bytes."""
    plane_bytes = (groups.lanes + 7) // 8
    size = plane_bytes * planes
    first_bit = 8 * (np.cumsum(size) - size)[groups.group] + groups.lane
    return first_bit, 8 * plane_bytes[groups.group], int(size.sum())


def _encode_block(lengths: np.ndarray, columns: np.ndarray, cols: int, width: int) -> tuple[bytes, bytes, bytes]:
    """Returns the index, delta and plane streams of a block of rows."""
    groups = _Groups(lengths, cols, width)
    offset = columns - groups.line
    base = np.minimum.reduceat(offset, groups.start)
    delta = offset - base[groups.group]
    # The exponent that frexp returns for an integer is its bit length.
    bits = np.frexp(np.maximum.reduceat(delta, groups.start).astype(np.float64))[1].astype(np.int64)
    planes = np.maximum(bits - width, 0)

    expected = np.zeros_like(base)
    expected[1:] = base[:-1] + groups.slope[:-1]
    expected[groups.first] = 0
    step = base - expected
    escaped = (step <= _STEP_ESCAPE) | (step >= -_STEP_ESCAPE)
    step[escaped] = _STEP_ESCAPE
    size = 1 + 2 * escaped
    place = np.cumsum(size) - size
    index = np.zeros(int(size.sum()), "<u2")
    index[place] = ((step & 0xFFF) << 4 | planes).astype(np.uint16)
    index[place[escaped] + 1] = (base[escaped] & 0xFFFF).astype(np.uint16)
    index[place[escaped] + 2] = (base[escaped] >> 16 & 0xFFFF).astype(np.uint16)

    if width == 4:
        place, size = _nibble_places(groups)
        nibbles = np.zeros(2 * size, np.uint8)
        nibbles[place] = delta & 15
        low = pack_nibbles(nibbles)
    else:
        low = (delta & 255).astype(np.uint8).tobytes()

    first_bit, next_plane, size = _plane_places(groups, planes)
    plane_bits = np.zeros(8 * size, np.uint8)
    for p in range(int(planes.max(initial=0))):
        has = planes[groups.group] > p
        plane_bits[first_bit[has] + p * next_plane[has]] = delta[has] >> (width + p) & 1
    plane = np.packbits(plane_bits, bitorder="little").tobytes()
    return index.tobytes(), low, plane


def decode(streams: Streams) -> np.ndarray:
    """Returns the original matrix.

    Raises:
      ValueError: if the streams are inconsistent or an index leaves its row.
    """
    return scatter(streams, _decode_columns(streams)[1])


def wide_groups(streams: Streams) -> int:
    """Number of groups that span more than 256 columns. Vector kernels split them, as their offsets exceed a byte.

    Raises:
      ValueError: see decode.
    """
    groups, columns = _decode_columns(streams)
    if not len(columns):
        return 0
    span = np.maximum.reduceat(columns, groups.start) - np.minimum.reduceat(columns, groups.start)
    return int(np.count_nonzero(span > 255))


def _decode_columns(streams: Streams) -> tuple[_Groups, np.ndarray]:
    """Returns the groups and the column of each element, int64 [elements]."""
    lengths = check_row_lengths(streams)
    width = streams.index_parameter
    if width not in WIDTHS or len(streams.index) % 2:
        raise ValueError("dcsr: unknown parameter or odd index stream")
    groups = _Groups(lengths, streams.cols, width)
    base, planes = _decode_descriptors(np.frombuffer(streams.index, "<u2"), groups)

    place, size = _nibble_places(groups) if width == 4 else (slice(None), len(streams.values))
    if size != len(streams.delta):
        raise ValueError("dcsr: the delta stream has the wrong size")
    low = unpack_nibbles(streams.delta) if width == 4 else np.frombuffer(streams.delta, np.uint8)
    delta = low[place].astype(np.int64)

    first_bit, next_plane, size = _plane_places(groups, planes)
    if size != len(streams.plane):
        raise ValueError("dcsr: the plane stream has the wrong size")
    bits = np.unpackbits(np.frombuffer(streams.plane, np.uint8), bitorder="little")
    for p in range(int(planes.max(initial=0))):
        has = planes[groups.group] > p
        bit = bits[first_bit[has] + p * next_plane[has]].astype(np.int64)
        delta[has] += bit << (width + p)
    return groups, base[groups.group] + groups.line + delta


def _decode_descriptors(index: np.ndarray, groups: _Groups) -> tuple[np.ndarray, np.ndarray]:
    """Returns the base and the number of planes of each group, int64 [groups] each."""
    count = len(groups.lanes)
    escape = np.zeros(len(index), bool)
    payload = np.zeros(len(index), bool)
    # The two words after an escape are its payload, even if they look like an escape.
    for at in np.flatnonzero(index >> 4 == _STEP_ESCAPE & 0xFFF):
        if not payload[at]:
            if at + 2 >= len(index):
                raise ValueError("dcsr: the index stream ends within an escape")
            escape[at] = True
            payload[at + 1 : at + 3] = True
    place = np.flatnonzero(~payload)
    if len(place) != count:
        raise ValueError("dcsr: the index stream has the wrong size")
    word = index[place].astype(np.int64)
    step = (word >> 4 ^ 0x800) - 0x800
    escaped = escape[place]

    # A base is a running sum that restarts at the first group of a row and at an escape.
    change = step + np.concatenate([[0], groups.slope[:-1]])[:count]
    change[groups.first] = step[groups.first]
    at = place[escaped]
    absolute = index[at + 1].astype(np.int64) | index[at + 2].astype(np.int64) << 16
    change[escaped] = (absolute ^ 1 << 31) - (1 << 31)
    anew = groups.first | escaped
    total = np.cumsum(change)
    start = np.flatnonzero(anew)
    before = np.repeat((total - change)[start], np.diff(np.append(start, count)))
    base = total - before
    if np.any(np.abs(base) > 1 << 24):
        raise ValueError("dcsr: a base is out of range")
    return base, word & 15

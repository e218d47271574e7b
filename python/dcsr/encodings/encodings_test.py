"""Round trips of every encoding, and the faults of the published dCSR encoder."""

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcsr import encodings
from dcsr.encodings import dcsr
from dcsr.testing.models import sparse_matrix

NAMES = sorted([*encodings.REGISTRY, *encodings.VARIANTS])
SPARSE = [name for name in NAMES if name != "dense"]

# rows, cols, sparsity
SHAPES = [
    (1, 1, 0.0),
    (1, 1, 1.0),
    (1, 16, 0.0),
    (1, 17, 0.0),
    (3, 15, 0.5),
    (5, 31, 0.9),
    (7, 33, 0.0),
    (4, 255, 0.3),
    (4, 256, 0.0),
    (4, 257, 0.0),
    (64, 64, 0.9),
    (276, 276, 0.7),
    (12, 16560, 0.95),
    (2, 65535, 0.0),
    (2, 65535, 0.999),
    (3, 70000, 0.2),
    (2, encodings.MAX_COLS, 0.9999),
]


def assert_round_trip(matrix: np.ndarray, name: str) -> None:
    streams = encodings.encode(matrix, name)
    back = encodings.decode(streams)
    assert back.dtype == matrix.dtype
    np.testing.assert_array_equal(back, matrix)
    assert streams.nbytes == sum(streams.parts.values()) == encodings.nbytes(matrix, name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("rows,cols,sparsity", SHAPES)
def test_round_trip(name, dtype, rows, cols, sparsity):
    rng = np.random.default_rng(rows * cols)
    assert_round_trip(sparse_matrix(rng, rows, cols, sparsity, dtype), name)


@st.composite
def matrices(draw) -> np.ndarray:
    """Matrices with clustered rows, empty rows and columns, of many densities."""
    rows = draw(st.integers(1, 12))
    cols = draw(st.sampled_from([1, 2, 3, 15, 16, 17, 40, 100, 256, 300, 5000]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.int8, np.int16]))
    matrix = sparse_matrix(rng, rows, cols, draw(st.sampled_from([0, 0.3, 0.9, 0.99, 1])), dtype)
    for row in range(rows):
        kind = draw(st.sampled_from(["as it is", "empty", "full", "front", "ends"]))
        if kind == "empty":
            matrix[row] = 0
        elif kind == "full":
            matrix[row] = -1
        elif kind == "front":
            matrix[row, cols // 4 :] = 0
        elif kind == "ends":
            matrix[row, 1:-1] = 0
            matrix[row, [0, -1]] = 7
    return matrix


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150)
@given(matrix=matrices())
@example(matrix=np.zeros((3, 40), np.int8))
@example(matrix=np.full((3, 40), -128, np.int8))
def test_round_trip_property(name, matrix):
    assert_round_trip(matrix, name)


@pytest.mark.parametrize("name", NAMES)
def test_large_matrix(name):
    """4096 x 65535 as the largest that is promised, in memory that a laptop has."""
    matrix = np.zeros((4096, 65535), np.int8)
    matrix[::7, ::97] = 3
    matrix[-1, -1] = -128
    assert_round_trip(matrix, name)


@pytest.mark.parametrize("name", ["dcsr4", "dcsr8", "offset8"])
@pytest.mark.parametrize("cols", [276, 300, 5000, 16560, 65535, 200000])
def test_deltas_of_256_and_more_do_not_wrap(cols, name):
    matrix = np.zeros((4, cols), np.int8)
    matrix[0, [0, 1, 2, cols - 1]] = 1  # a far outlier within a group
    matrix[1, :16] = 1
    matrix[1, -16:] = 1  # a base step over the whole row
    matrix[2, -40:] = 1  # a large first base
    matrix[3, ::2] = 1
    assert_round_trip(matrix, name)


@pytest.mark.parametrize("name", ["dcsr", "dcsr4", "dcsr8"])
def test_dcsr_stores_no_more_values_than_nonzeros(name):
    matrix = sparse_matrix(np.random.default_rng(0), 12, 16560, 0.95)
    streams = encodings.encode(matrix, name)
    assert len(streams.values) == np.count_nonzero(matrix)


@pytest.mark.parametrize("width", [4, 8])
def test_dcsr_takes_the_width_with_fewer_bytes(width):
    matrix = np.zeros((40, 1600), np.int8)
    # Near a line, and 16 in a cluster far from the next, whose line is steep.
    matrix[:, :: 100 if width == 4 else 1] = 1
    if width == 8:
        matrix[:, 20:] = 0
        matrix[:, 1580:] = 1
    sizes = {name: encodings.nbytes(matrix, name) for name in ("dcsr4", "dcsr8")}
    streams = encodings.encode(matrix, "dcsr")
    assert streams.index_parameter == width
    assert streams.nbytes == sizes[f"dcsr{width}"] == min(sizes.values())
    assert len(set(sizes.values())) == 2


def test_dcsr8_has_a_byte_for_each_lane_and_no_line():
    matrix = np.zeros((1, 1000), np.int8)
    matrix[0, [7, 10, 262, 263]] = [1, 2, 3, 4]
    streams = encodings.encode(matrix, "dcsr8")
    # deltas 0, 3, 255 and 256: a plane, in which lane 3 is
    assert streams.index == bytes([0x71, 0x00])
    assert streams.delta == bytes([0, 3, 255, 0])
    assert streams.plane == bytes([8])


def test_dcsr_refuses_another_width():
    with pytest.raises(ValueError, match="4 or 8"):
        dcsr.encode(np.ones((2, 2), np.int8), width=5)


def test_offset8_cuts_groups_that_span_more_than_255_columns():
    matrix = np.zeros((2, 600), np.int8)
    matrix[0, [3, 258, 259, 400, 599]] = [1, 2, 3, 4, 5]
    matrix[1, [0, 255]] = [6, 7]
    streams = encodings.encode(matrix, "offset8")
    # 3 and 258; 259 and 400; 599: two groups of 16 and one of 1. Row 1 has one of 2.
    assert streams.row_lengths.tolist() == [33, 2]
    assert np.frombuffer(streams.index, "<u2").tolist() == [3, 256, 340, 0]
    assert list(streams.delta) == [0, *[255] * 15, 0, *[141] * 15, 0, 0, 255]
    assert streams.values.tolist() == [1, 2, *[0] * 14, 3, 4, *[0] * 14, 5, 6, 7]


@pytest.mark.parametrize("gap,bridges", [(65535, 0), (65536, 1), (131070, 1), (131071, 2)])
def test_offset8_bridges_gaps_with_groups_of_fillers(gap, bridges):
    matrix = np.zeros((2, 262143), np.int8)
    matrix[0, gap] = 9  # from the start of the row
    matrix[1, [1, 1 + gap]] = [2, 3]
    streams = encodings.encode(matrix, "offset8")
    assert streams.row_lengths.tolist() == [16 * bridges + 1, 16 + 16 * bridges + 1]
    assert np.frombuffer(streams.index, "<u2").max() <= 65535
    assert_round_trip(matrix, "offset8")


def offset8_streams(steps, offsets, values, cols=300):
    return encodings.Streams(
        "offset8",
        1,
        cols,
        values=np.array(values, np.int8),
        row_lengths=np.array([len(values)], np.uint32),
        index=np.array(steps, "<u2").tobytes(),
        delta=bytes(offsets),
    )


def test_offset8_columns_may_come_in_any_order():
    matrix = encodings.decode(offset8_streams([40], [255, 0, 7], [1, 2, 3]))
    assert matrix[0, [295, 40, 47]].tolist() == [1, 2, 3]
    assert np.count_nonzero(matrix) == 3


def test_offset8_fillers_may_have_any_column():
    matrix = encodings.decode(offset8_streams([40], [1, 1, 1, 1], [0, 5, 0, 0]))
    assert matrix[0, 41] == 5
    assert np.count_nonzero(matrix) == 1


@pytest.mark.parametrize(
    "steps,offsets,values",
    [
        ([40], [1, 1], [5, 5]),  # a column twice
        ([40], [1, 1], [5, -5]),
        ([45], [255], [1]),  # column 300
        ([300], [0], [0]),  # of a filler
        ([40], [1], [1, 2]),
        ([40, 1], [1], [1]),
        ([], [1], [1]),
    ],
)
def test_offset8_refuses_what_is_no_matrix(steps, offsets, values):
    with pytest.raises(ValueError, match="offset8"):
        encodings.decode(offset8_streams(steps, offsets, values))


def test_rle_bridges_runs_of_16_zeros_with_fillers():
    matrix = np.zeros((1, 64), np.int8)
    matrix[0, [0, 16, 33, 63]] = [1, 2, 3, 4]
    streams = encodings.encode(matrix, "rle")
    # gap 15 to column 16; a filler at 32 before 33; a filler at 49 and gap 13 before 63
    assert streams.values.tolist() == [1, 2, 0, 3, 0, 4]
    assert streams.index == bytes([0xF0, 0x0F, 0xDF])


@pytest.mark.parametrize("longest,width", [(255, 1), (256, 2), (65535, 2), (65536, 4)])
@pytest.mark.parametrize("name", SPARSE)
def test_row_lengths_take_the_width_of_the_longest(name, longest, width):
    matrix = np.zeros((3, 70000), np.int8)
    matrix[1, :longest] = 1
    streams = encodings.encode(matrix, name)
    assert streams.row_length_bytes == width
    assert_round_trip(matrix, name)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((0, 5), np.int8),
        np.zeros((5, 0), np.int8),
        np.zeros(5, np.int8),
        np.zeros((2, 3, 4), np.int8),
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2), np.uint8),
        np.zeros((1, encodings.MAX_COLS + 1), np.int8),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_matrix_is_refused(name, bad):
    with pytest.raises(ValueError):
        encodings.encode(bad, name)


@pytest.mark.parametrize("name", NAMES)
def test_non_contiguous_matrices(name):
    matrix = sparse_matrix(np.random.default_rng(1), 40, 60, 0.8)
    assert_round_trip(matrix.T, name)
    assert_round_trip(matrix[::2, ::3], name)


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(SPARSE),
    stream=st.sampled_from(["index", "delta", "plane", "row_lengths", "values"]),
)
def test_damaged_streams_are_refused_or_decode_within_the_matrix(seed, name, stream):
    rng = np.random.default_rng(seed)
    streams = encodings.encode(sparse_matrix(rng, 6, 400, 0.9), name)
    content = getattr(streams, stream)
    if isinstance(content, bytes):
        if not content:
            return
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        damaged = bytes(damaged[: len(damaged) - int(rng.integers(2))])
    else:
        damaged = content[: len(content) - int(rng.integers(2))].copy()
        damaged[rng.integers(len(damaged))] += rng.integers(1, 5).astype(damaged.dtype)
    try:
        matrix = encodings.decode(dataclasses.replace(streams, **{stream: damaged}))
    except ValueError:
        return
    assert matrix.shape == (6, 400)


def test_registry_names_and_codes_are_those_of_the_format():
    codes = {name: module.CODE for name, module in encodings.REGISTRY.items()}
    assert codes == {"dense": 0, "dcsr": 1, "rle": 2, "offset8": 3}
    for name, code in codes.items():
        assert encodings.by_code(code).NAME == name
    with pytest.raises(ValueError):
        encodings.by_code(200)

"""Tests round trips of every encoding, and cases in which the published dCSR encoder fails."""

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcsr import encodings, metrics
from dcsr.encodings import bits, dcsr, huffman, rice
from dcsr.encodings.streams import LENGTH_BITS, LENGTH_BYTES
from dcsr.testing.models import sparse_matrix

NAMES = sorted([*encodings.REGISTRY, *encodings.VARIANTS])
SCHEMES = sorted(encodings.SCHEMES)
SPARSE = [name for name in NAMES if name != "dense"]
WITH_LENGTH_BYTES = [name for name, module in encodings.REGISTRY.items() if module.LAYOUT.row_lengths == LENGTH_BYTES]

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


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("rows,cols,sparsity", SHAPES)
def test_round_trip(name, rows, cols, sparsity):
    rng = np.random.default_rng(rows * cols)
    assert_round_trip(sparse_matrix(rng, rows, cols, sparsity), name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows,cols,sparsity", SHAPES)
def test_round_trip_of_int16(name, rows, cols, sparsity):
    rng = np.random.default_rng(rows * cols)
    assert_round_trip(sparse_matrix(rng, rows, cols, sparsity, np.int16), name)


@pytest.mark.parametrize("name", NAMES)
def test_int16_values_have_no_code(name):
    with pytest.raises(ValueError, match="int16"):
        encodings.encode(np.ones((2, 3), np.int16), f"{name}+huffman")
    with pytest.raises(ValueError, match="int16"):
        encodings.nbytes(np.ones((2, 3), np.int16), f"{name}+huffman")


@pytest.mark.parametrize("scheme", ["zip", "rice+zip", "+huffman", "rice+huffman+huffman"])
def test_unknown_schemes_are_refused(scheme):
    with pytest.raises(KeyError):
        encodings.encode(np.ones((2, 3), np.int8), scheme)
    with pytest.raises(KeyError):
        encodings.sizes(np.ones((2, 3), np.int8), [scheme])


@st.composite
def matrices(draw) -> np.ndarray:
    """Matrices of many densities, with clustered rows and with empty rows and columns."""
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


@pytest.mark.parametrize("name", SCHEMES)
@settings(max_examples=100)
@given(matrix=matrices())
@example(matrix=np.zeros((3, 40), np.int8))
@example(matrix=np.full((3, 40), -128, np.int8))
def test_round_trip_property(name, matrix):
    assert_round_trip(matrix.astype(np.int8) if name.endswith("huffman") else matrix, name)


@pytest.mark.parametrize("name", NAMES)
def test_large_matrix(name):
    """4096 x 65535, the largest supported matrix, fits the memory of a laptop."""
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
    # One row near its line. One with a cluster of 16 far from the next, so that its line is steep.
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
    # Deltas 0, 3, 255 and 256: one plane, with the bit of lane 3.
    assert streams.index == bytes([0x71, 0x00])
    assert streams.delta == bytes([0, 3, 255, 0])
    assert streams.plane == bytes([8])


def test_dcsr_refuses_another_width():
    with pytest.raises(ValueError, match="4 or 8"):
        dcsr.encode(np.ones((2, 2), np.int8), width=5)


def test_offset8_neighbours_are_rarely_in_different_words_of_a_memory_bank():
    random = np.random.default_rng(1)
    matrix = np.where(random.random((100, 320)) < 0.1, random.integers(-60, 60, (100, 320)), 0).astype(np.int8)
    streams = encodings.encode(matrix, "offset8")
    steps = iter(np.frombuffer(streams.index, "<u2").tolist())
    offsets = iter(np.frombuffer(streams.delta, np.uint8).tolist())
    pairs = conflicts = before = 0
    for length in streams.row_lengths.tolist():
        base = 0
        for lane in range(length):
            base += next(steps) if lane % 16 == 0 else 0
            word = (base + next(offsets)) // 4
            if lane % 2:
                pairs += 1
                conflicts += word != before and word % 4 == before % 4
            before = word
    # A random order has 25 %.
    assert conflicts < 0.08 * pairs


def test_offset8_cuts_groups_that_span_more_than_255_columns():
    matrix = np.zeros((2, 600), np.int8)
    matrix[0, [3, 258, 259, 400, 599]] = [1, 2, 3, 4, 5]
    matrix[1, [0, 255]] = [6, 7]
    streams = encodings.encode(matrix, "offset8")
    # Groups {3, 258}, {259, 400}, {599}: the first two are filled up to 16. Row 1 has one group of 2.
    assert streams.row_lengths.tolist() == [33, 2]
    assert np.frombuffer(streams.index, "<u2").tolist() == [3, 256, 340, 0]
    # The order within a group is arbitrary. Fillers have the offset of the last nonzero.
    elements = list(zip(streams.delta, streams.values.tolist(), strict=True))
    groups = [sorted(elements[start:end]) for start, end in ((0, 16), (16, 32), (32, 33), (33, 35))]
    assert groups == [
        [(0, 1), *[(255, 0)] * 14, (255, 2)],
        [(0, 3), *[(141, 0)] * 14, (141, 4)],
        [(0, 5)],
        [(0, 6), (255, 7)],
    ]


@pytest.mark.parametrize("name", SCHEMES)
def test_row_lengths_are_those_of_the_matrix_and_its_fillers(name):
    matrix = sparse_matrix(np.random.default_rng(1), 20, 43, 0.8)
    matrix[[0, 7]] = 0
    streams = encodings.encode(matrix, name)
    lengths = encodings.row_lengths(streams)
    nonzeros = np.count_nonzero(matrix, axis=1)
    if streams.encoding == "dense":
        assert lengths.tolist() == [43] * 20
    elif encodings.REGISTRY[streams.encoding].LAYOUT.has_fillers:
        assert np.all(lengths >= nonzeros) and np.all((lengths == 0) == (nonzeros == 0))
    else:
        assert lengths.tolist() == nonzeros.tolist()
    assert lengths.sum() == len(streams.values)


@pytest.mark.parametrize("name", NAMES)
def test_streams_are_those_of_the_layout(name):
    streams = encodings.encode(sparse_matrix(np.random.default_rng(2), 20, 3000, 0.99), name)
    layout = encodings.REGISTRY[streams.encoding].LAYOUT
    assert [part for part in ("index", "delta", "plane") if getattr(streams, part)] == list(layout.positions)
    assert bool(streams.row_length_bytes) == (layout.row_lengths == LENGTH_BYTES)
    assert bool(streams.row_length_bits) == (layout.row_lengths == LENGTH_BITS)
    assert bool(streams.index_parameter) == layout.has_parameter


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
@pytest.mark.parametrize("name", WITH_LENGTH_BYTES)
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


@pytest.mark.parametrize("longest,bits", [(0, 0), (1, 1), (255, 8), (256, 9), (70000, 17)])
def test_row_lengths_of_rice_take_the_bits_of_the_longest(longest, bits):
    matrix = np.zeros((3, 70000), np.int8)
    matrix[1, :longest] = 1
    streams = encodings.encode(matrix, "rice")
    assert (streams.row_length_bits, streams.row_length_bytes) == (bits, 0)
    assert streams.parts["row_length"] == (3 * bits + 7) // 8
    assert_round_trip(matrix, "rice")


def test_rice_by_hand():
    matrix = np.zeros((2, 20), np.int8)
    matrix[0, [3, 4, 17]] = [1, 2, 3]
    matrix[1, 19] = 4
    streams = rice.encode(matrix, parameter=16)
    # k is 2 in row 0, since 16 * 20 // (32 * 3) = 3, and 4 in row 1. Gaps 3, 0, 12 and 19:
    # quotients 0, 0, 3 and 1; remainders 3, 0, 0 of 2 bits and 3 of 4 bits.
    assert streams.index == bytes([0b10100011])
    assert streams.delta == bytes([0b11000011, 0])
    assert streams.row_lengths.tolist() == [3, 1]
    assert streams.row_length_bits == 2


@pytest.mark.parametrize("parameter", rice.PARAMETERS)
def test_any_parameter_of_rice_decodes_and_the_chosen_one_is_the_smallest(parameter):
    matrix = sparse_matrix(np.random.default_rng(2), 20, 400, 0.9)
    matrix[:, 100:300] = 0
    streams = rice.encode(matrix, parameter=parameter)
    np.testing.assert_array_equal(rice.decode(streams), matrix)
    assert rice.encode(matrix).nbytes <= streams.nbytes


def test_rice_quotients_are_few_whatever_the_gaps():
    matrix = np.zeros((2, 200000), np.int8)
    matrix[0, [*range(15), 199999]] = 1
    streams = encodings.encode(matrix, "rice")
    assert streams.nbytes - len(streams.values) < 16 * 20 // 8


def test_bitmap_by_hand():
    matrix = np.array([[0, 7, 0, 0, 1], [1, 0, 0, 0, -1]], np.int8)
    streams = encodings.encode(matrix, "bitmap")
    assert streams.index == bytes([0b00110010, 0b10])
    assert streams.values.tolist() == [7, 1, 1, -1]
    assert streams.nbytes == 4 + 2


def test_huffman_by_hand():
    values = np.array([3, 3, 3, 3, -1, 3, -1, 5], np.int8)
    streams = encodings.encode(values.reshape(1, -1), "dense")
    streams = dataclasses.replace(streams, raw_bits=4, value_coding="huffman")
    # With 4 raw bits there are two symbols, 0 and 15, with the codes 0 and 1.
    lengths = bytes([1, 0, 0, 0, 0, 0, 0, 0x10])
    words = [(v & 15) | (v < 0) << 4 for v in values.tolist()]
    number = sum(word << (5 * i) for i, word in enumerate(words))
    codes = number.to_bytes(5, "little") + lengths
    np.testing.assert_array_equal(huffman.decode(codes, 8, 4), values)


def test_huffman_codes_are_canonical():
    frequencies = np.array([1, 5, 2, 0, 100, 2])
    lengths = huffman.code_lengths(frequencies)
    assert lengths.tolist() == [4, 2, 4, 0, 1, 3]
    # Codes 1110, 10, 1111, -, 0, 110, written from their first bit, which is stored lowest.
    assert huffman._codes(lengths).tolist() == [0b0111, 0b01, 0b1111, 0, 0b0, 0b011]


@settings(max_examples=200)
@given(
    frequencies=st.lists(st.integers(0, 10**6), min_size=2, max_size=256),
    halving=st.sampled_from([0.05, 0.5, 2]),
)
def test_code_lengths_are_complete_limited_and_no_worse_than_equal_ones(frequencies, halving):
    counts = np.array(frequencies, np.int64) >> np.minimum(np.arange(len(frequencies)) * halving, 40).astype(int)
    lengths = huffman.code_lengths(counts)
    used = lengths[lengths > 0]
    assert used.max() <= 8
    assert np.sum(256 >> used) == 256
    assert np.all(lengths[counts > 0] > 0)
    assert len(used) == max(2, np.count_nonzero(counts))
    assert counts @ lengths <= counts.sum() * max(1, int(len(used) - 1).bit_length())


def test_huffman_of_one_value_takes_a_bit_each():
    for value in (-128, 0, 1, 15, 16, 127):
        streams = huffman.encode(encodings.encode(np.full((1, 8000), value, np.int8), "dense"))
        assert (len(streams.codes), streams.raw_bits) == (1000 + 128, 0)
        np.testing.assert_array_equal(huffman.decode(streams.codes, 8000, streams.raw_bits), streams.values)


def test_damaged_codes_are_refused_or_give_as_many_values():
    matrix = sparse_matrix(np.random.default_rng(5), 6, 400, 0.8)
    matrix[:] = matrix // 4
    streams = encodings.encode(matrix, "rice+huffman")
    rng = np.random.default_rng(6)
    accepted = 0
    for _ in range(500):
        damaged = bytearray(streams.codes)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        try:
            values = huffman.decode(bytes(damaged), len(streams.values), streams.raw_bits)
        except ValueError:
            continue
        assert values.shape == streams.values.shape
        accepted += 1
    assert 0 < accepted < 500
    for size in range(len(streams.codes)):
        with pytest.raises(ValueError):
            huffman.decode(streams.codes[:size], len(streams.values), streams.raw_bits)
    with pytest.raises(ValueError):
        huffman.decode(streams.codes, len(streams.values), 5)


def test_rice_and_huffman_are_close_to_the_entropy():
    """Checks the bytes of positions, and of values with the frequencies of a pruned layer."""
    rng = np.random.default_rng(7)
    weights = rng.normal(0, 30, (276, 276))
    weights[np.abs(weights) < np.quantile(np.abs(weights), 0.9)] = 0
    matrix = np.clip(np.rint(weights), -128, 127).astype(np.int8)
    plain, coded = metrics.bounds(matrix)
    assert encodings.nbytes(matrix, "rice") < 1.04 * plain
    assert encodings.nbytes(matrix, "rice+huffman") < 1.06 * coded


@pytest.mark.parametrize("rows,cols,sparsity", [shape for shape in SHAPES if shape[0] * shape[1] < 1 << 18])
def test_sizes_are_those_of_the_encoded_matrix(rows, cols, sparsity):
    matrix = sparse_matrix(np.random.default_rng(cols), rows, cols, sparsity)
    sizes = encodings.sizes(matrix, encodings.SCHEMES)
    assert sizes == {scheme: encodings.encode(matrix, scheme).nbytes for scheme in encodings.SCHEMES}


@settings(max_examples=100)
@given(
    numbers=st.lists(st.integers(0, 2**25 - 1), max_size=60),
    widths=st.lists(st.integers(0, 25), min_size=60, max_size=60),
    cut=st.integers(0, 60),
)
def test_bit_streams(numbers, widths, cut):
    widths = np.array(widths[: len(numbers)], np.int64)
    numbers = np.array(numbers, np.int64) & ((1 << widths) - 1)
    expected = sum(int(n) << int(s) for n, s in zip(numbers, np.cumsum(widths) - widths, strict=True))
    data = bits.pack(numbers, widths)
    assert data == expected.to_bytes((int(widths.sum()) + 7) // 8, "little")
    assert bits.unpack(data, np.cumsum(widths) - widths, widths).tolist() == numbers.tolist()
    pieces = bits.BitWriter()
    pieces.write(numbers[:cut], widths[:cut])
    for number, width in zip(numbers[cut:], widths[cut:], strict=True):
        pieces.write_bits((int(number) >> np.arange(width) & 1).astype(np.uint8))
    assert pieces.getvalue() == data


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
    if content is None:
        return
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


def test_codes_of_the_registry_are_different():
    """tests:format_py_test compares them with the document."""
    for name, module in encodings.REGISTRY.items():
        assert encodings.by_code(module.CODE).NAME == name
    with pytest.raises(ValueError):
        encodings.by_code(200)

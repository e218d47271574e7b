"""Tests the packed layer: round trips, bias folding, and rejected data."""

import dataclasses
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsr import encodings, packing
from dcsr.testing.models import sparse_matrix


def make_layer(encoding="dcsr", rows=9, cols=100, per_row=True, seed=0) -> packing.PackedLayer:
    rng = np.random.default_rng(seed)
    matrix = sparse_matrix(rng, rows, cols, 0.8)
    multipliers = rows if per_row else 1
    return packing.PackedLayer(
        op=packing.OP_CONV_2D,
        streams=encodings.encode(matrix, encoding),
        bias=rng.integers(-(2**31), 2**31, rows).astype(np.int32),
        multiplier=rng.integers(2**30, 2**31, multipliers).astype(np.int32),
        shift=rng.integers(-31, 31, multipliers).astype(np.int8),
        input_zero_point=-128,
        output_zero_point=127,
        activation_min=-127,
        activation_max=126,
        stride=(2, 255),
        scratch_budget=18432,
    )


def assert_equal(a: packing.PackedLayer, b: packing.PackedLayer) -> None:
    for x, y in ((a, b), (a.streams, b.streams)):
        for field in dataclasses.fields(x):
            if field.name != "streams":
                np.testing.assert_array_equal(getattr(x, field.name), getattr(y, field.name))


@pytest.mark.parametrize("encoding", sorted(encodings.SCHEMES))
@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("rows,cols", [(1, 1), (2, 3), (9, 100), (3, 70000)])
def test_round_trip(encoding, per_row, rows, cols):
    layer = make_layer(encoding, rows, cols, per_row)
    data = packing.pack(layer)
    assert len(data) % 4 == 0
    assert_equal(packing.unpack(data), layer)
    # A tensor may be longer than the packed layer in it.
    assert_equal(packing.unpack(data + bytes(12)), layer)


@pytest.mark.parametrize(
    "filter_size,dilation,same_padding",
    [((1, 1), (1, 1), False), ((5, 2), (1, 1), True), ((1, 20), (7, 255), False), ((100, 1), (1, 1), True)],
)
def test_filter_goes_round(filter_size, dilation, same_padding):
    layer = dataclasses.replace(make_layer(), filter_size=filter_size, dilation=dilation, same_padding=same_padding)
    data = packing.pack(layer)
    assert data[60:64] == (bytes(4) if filter_size == (1, 1) else bytes([*filter_size, *dilation]))
    assert_equal(packing.unpack(data), layer)


def int16_layer(**changes) -> packing.PackedLayer:
    rng = np.random.default_rng(1)
    layer = dataclasses.replace(
        make_layer(),
        bias=rng.integers(-(2**46), 2**46, 9),
        shift=rng.integers(-31, 8, 9).astype(np.int8),
        input_zero_point=0,
        output_zero_point=0,
        activation_min=-32768,
        activation_max=32767,
        int16_activations=True,
    )
    return dataclasses.replace(layer, **changes)


def test_int16_activations_go_round():
    layer = int16_layer()
    data = packing.pack(layer)
    assert len(data) == len(packing.pack(make_layer())) + 4 * 9
    assert_equal(packing.unpack(data), layer)
    matrix = encodings.decode(layer.streams)
    assert np.array_equal(packing.unfold_bias(layer, matrix), layer.bias)


@pytest.mark.parametrize(
    "changes",
    [{"input_zero_point": 1}, {"output_zero_point": -1}, {"activation_min": 1, "activation_max": 0}]
    + [{"shift": np.full(9, 8, np.int8)}],
)
def test_impossible_int16_layers_are_refused(changes):
    with pytest.raises(ValueError):
        packing.unpack(packing.pack(int16_layer(**changes)))


def test_int16_run_equals_a_plain_loop():
    layer = int16_layer(shift=np.full(9, -8, np.int8))
    x = np.random.default_rng(5).integers(-32768, 32768, (3, 100)).astype(np.int16)
    accumulators, outputs = packing.run(layer, x)
    matrix = encodings.decode(layer.streams)
    for v in range(3):
        for r in range(9):
            total = sum(int(a) * int(b) for a, b in zip(matrix[r], x[v], strict=True)) + int(layer.bias[r])
            assert accumulators[v, r] == total
            reduced = min((int(layer.multiplier[r]) + 32768) // 65536, 32767)
            scaled = (total * reduced + 2**22) // 2**23
            scaled = (scaled + 2**31) % 2**32 - 2**31
            assert outputs[v, r] == min(max(scaled, -32768), 32767)


@pytest.mark.parametrize(
    "op,flags,window",
    [
        (packing.OP_CONV_2D, 5, (0, 0, 0, 0)),
        (packing.OP_CONV_2D, 1, (1, 1, 1, 1)),
        (packing.OP_CONV_2D, 1, (3, 3, 1, 1)),
        (packing.OP_CONV_2D, 1, (2, 2, 0, 1)),
        (packing.OP_CONV_2D, 1, (2, 0, 1, 1)),
        (packing.OP_CONV_2D, 1, (0, 0, 1, 1)),
        (packing.OP_FULLY_CONNECTED, 1, (2, 2, 1, 1)),
        (packing.OP_DEPTHWISE_CONV_2D, 1, (10, 10, 1, 1)),
    ],
)
def test_impossible_filters_are_refused(op, flags, window):
    data = bytearray(packing.pack(make_layer()))
    data[5], data[34], data[60:64] = op, flags, bytes(window)
    with pytest.raises(ValueError, match="header field"):
        packing.unpack(bytes(data))


@pytest.mark.parametrize("scheme", ["dcsr", "rice", "bitmap+huffman"])
def test_size_is_header_sections_and_padding(scheme):
    layer = make_layer(scheme, 9, 100)
    parts = layer.streams.parts
    expected = packing.HEADER_BYTES + 36 + 36 + 12 + sum(-(-size // 4) * 4 for size in parts.values())
    assert len(packing.pack(layer)) == expected


@settings(max_examples=50)
@given(zero_point=st.integers(-128, 127), with_bias=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_folded_bias_equals_adding_the_zero_point_to_every_activation(zero_point, with_bias, seed):
    rng = np.random.default_rng(seed)
    matrix = sparse_matrix(rng, 5, 60, 0.5)
    bias = rng.integers(-(2**31), 2**31, 5).astype(np.int32) if with_bias else None
    x = rng.integers(-128, 128, 60)
    plain = matrix.astype(np.int64) @ (x - zero_point) + (0 if bias is None else bias)
    folded = packing.fold_bias(bias, matrix, zero_point)
    assert np.array_equal((matrix.astype(np.int64) @ x + folded).astype(np.int32), plain.astype(np.int32))
    layer = dataclasses.replace(make_layer(rows=5, cols=60), bias=folded, input_zero_point=zero_point)
    original = np.zeros(5, np.int32) if bias is None else bias
    assert np.array_equal(packing.unfold_bias(layer, matrix), original)


@pytest.mark.parametrize(
    "offset,form,value",
    [
        (0, "4s", b"dCSX"),
        (4, "B", 2),
        (5, "B", 0),
        (5, "B", 3),
        (6, "B", 77),
        (7, "B", 1),
        (7, "B", 2),
        (8, "I", 64),
        (8, "I", 2**32 - 4),
        (12, "I", 0),
        (12, "I", 2**32 - 1),
        (16, "I", 0),
        (16, "I", 2**32 - 1),
        (20, "I", 2**32 - 1),
        (24, "h", 128),
        (26, "h", -129),
        (28, "h", 127),
        (30, "h", 128),
        (32, "B", 0),
        (34, "B", 3),
        (34, "B", 9),
        (35, "B", 3),
        (37, "B", 1),
        (38, "B", 1),
        (39, "B", 1),
        (40, "I", 2**32 - 1),
        (56, "I", 1),
        (63, "B", 1),
    ],
)
def test_wrong_header_fields_are_refused(offset, form, value):
    data = bytearray(packing.pack(make_layer()))
    struct.pack_into(f"<{form}", data, offset, value)
    with pytest.raises(ValueError):
        packing.unpack(bytes(data))


@pytest.mark.parametrize("offset,form,value", [(35, "B", 1), (36, "B", 0), (36, "B", 33), (37, "B", 19), (39, "B", 1)])
def test_wrong_header_fields_of_rice_are_refused(offset, form, value):
    data = bytearray(packing.pack(make_layer("rice")))
    struct.pack_into(f"<{form}", data, offset, value)
    with pytest.raises(ValueError):
        encodings.decode(packing.unpack(bytes(data)).streams)


@pytest.mark.parametrize("offset,form,value", [(7, "B", 0), (38, "B", 5), (56, "I", 0), (56, "I", 2**32 - 1)])
def test_wrong_header_fields_of_huffman_are_refused(offset, form, value):
    data = bytearray(packing.pack(make_layer("bitmap+huffman")))
    struct.pack_into(f"<{form}", data, offset, value)
    with pytest.raises(ValueError):
        packing.unpack(bytes(data))


def depthwise_layer(rows=12, multiplier=3, filter_size=(2, 3), **changes) -> packing.PackedLayer:
    rng = np.random.default_rng(2)
    matrix = rng.integers(-128, 128, (rows, filter_size[0] * filter_size[1])).astype(np.int8)
    layer = dataclasses.replace(
        make_layer(rows=rows),
        op=packing.OP_DEPTHWISE_CONV_2D,
        streams=encodings.encode(matrix, changes.pop("encoding", "dense")),
        shift=np.full(rows, -6, np.int8),
        filter_size=filter_size,
        same_padding=filter_size != (1, 1),
        depth_multiplier=multiplier,
    )
    return dataclasses.replace(layer, **changes)


@pytest.mark.parametrize("encoding", sorted(encodings.SCHEMES))
@pytest.mark.parametrize("multiplier", [1, 3, 12])
@pytest.mark.parametrize("filter_size", [(2, 3), (1, 1)])
def test_depthwise_goes_round(encoding, multiplier, filter_size):
    layer = depthwise_layer(multiplier=multiplier, filter_size=filter_size, encoding=encoding)
    data = packing.pack(layer)
    assert data[5] == packing.OP_DEPTHWISE_CONV_2D and data[39] == multiplier
    assert_equal(packing.unpack(data), layer)
    assert layer.channels == 12 // multiplier


@pytest.mark.parametrize(
    "offset,value",
    [
        (4, 2),  # version
        (5, packing.OP_CONV_2D),
        (5, packing.OP_FULLY_CONNECTED),
        (34, 1 | 2 | 4),  # int16 activations
        (39, 0),
        (39, 5),
        (39, 24),
        (60, 3),
        (60, 4),
        (61, 0),
        (62, 0),
    ],
)
def test_wrong_header_fields_of_depthwise_are_refused(offset, value):
    data = bytearray(packing.pack(depthwise_layer()))
    data[offset] = value
    with pytest.raises(ValueError):
        packing.unpack(bytes(data), bytes(200) if offset == 4 else None)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_run_equals_a_plain_loop(multiplier):
    layer = depthwise_layer(multiplier=multiplier)
    x = np.random.default_rng(5).integers(-128, 128, (4, layer.channels, 6)).astype(np.int8)
    accumulators, outputs = packing.run(layer, x)
    matrix = encodings.decode(layer.streams)
    assert outputs.shape == (4, 12)
    for v in range(4):
        for r in range(12):
            vector = x[v, r // multiplier]
            total = sum(int(a) * int(b) for a, b in zip(matrix[r], vector, strict=True)) + int(layer.bias[r])
            assert accumulators[v, r] == (total + 2**31) % 2**32 - 2**31


def test_row_lengths_of_three_bytes_are_refused_even_if_the_sections_fit():
    layer = make_layer("dcsr", rows=4, cols=40)
    data = bytearray(packing.pack(layer))
    start = packing.HEADER_BYTES + 16 + 16 + 4
    lengths = layer.streams.row_lengths
    assert data[35] == 1 and data[start : start + 4] == bytes(lengths.astype(np.uint8))
    data[start : start + 4] = b"".join(int(length).to_bytes(3, "little") for length in lengths)
    data[35] = 3
    struct.pack_into("<I", data, 8, len(data))
    with pytest.raises(ValueError, match="header field"):
        packing.unpack(bytes(data))


@pytest.mark.parametrize("width", [18, 19])
def test_row_lengths_of_rice_have_at_most_18_bits(width):
    layer = make_layer("rice", rows=4, cols=40)
    streams = dataclasses.replace(layer.streams, row_length_bits=width)
    data = packing.pack(dataclasses.replace(layer, streams=streams))
    if width == 18:
        assert np.array_equal(encodings.decode(packing.unpack(data).streams), encodings.decode(layer.streams))
    else:
        with pytest.raises(ValueError, match="header field"):
            packing.unpack(data)


def test_truncated_layers_are_refused():
    data = packing.pack(make_layer())
    for size in range(len(data)):
        with pytest.raises(ValueError):
            packing.unpack(data[:size])


@settings(max_examples=300)
@given(encoding=st.sampled_from(sorted(encodings.SCHEMES)), seed=st.integers(0, 2**32 - 1))
def test_damaged_layers_are_refused_or_decode_to_a_matrix(encoding, seed):
    rng = np.random.default_rng(seed)
    data = bytearray(packing.pack(make_layer(encoding, seed=seed)))
    for _ in range(rng.integers(1, 4)):
        limit = len(data) if rng.random() < 0.5 else packing.HEADER_BYTES
        data[rng.integers(limit)] = rng.integers(256)
    try:
        matrix = encodings.decode(packing.unpack(bytes(data)).streams)
    except ValueError:
        return
    assert matrix.dtype == np.int8


def test_layer_too_large_for_memory_is_refused():
    data = bytearray(packing.pack(make_layer("dcsr", rows=1, cols=1)))
    struct.pack_into("<I", data, 16, encodings.MAX_COLS)
    struct.pack_into("<I", data, 12, encodings.MAX_ROWS)
    with pytest.raises(ValueError, match="elements"):
        packing.unpack(bytes(data))


def test_int16_weights_are_refused():
    streams = encodings.encode(np.ones((2, 2), np.int16), "dcsr")
    with pytest.raises(ValueError, match="int16"):
        packing.pack(dataclasses.replace(make_layer(rows=2, cols=2), streams=streams))


def test_run_equals_a_plain_loop():
    layer = dataclasses.replace(make_layer(), multiplier=np.full(9, 1 << 30, np.int32), shift=np.full(9, -6, np.int8))
    x = np.random.default_rng(5).integers(-128, 128, (3, 100)).astype(np.int8)
    accumulators, outputs = packing.run(layer, x)
    matrix = encodings.decode(layer.streams)
    for v in range(3):
        for r in range(9):
            total = sum(int(a) * int(b) for a, b in zip(matrix[r], x[v], strict=True)) + int(layer.bias[r])
            total = (total + 2**31) % 2**32 - 2**31
            assert accumulators[v, r] == total
    assert outputs.min() >= -127 and outputs.max() <= 126


@pytest.mark.parametrize("encoding", sorted(encodings.SCHEMES))
@pytest.mark.parametrize("per_row", [True, False])
def test_checksum_goes_round_and_is_checked(encoding, per_row):
    layer = make_layer(encoding, per_row=per_row)
    plain, checked = packing.pack(layer), packing.pack(dataclasses.replace(layer, has_checksum=True))
    assert len(checked) == len(plain) + 4 and checked[4] == packing.VERSION_2
    assert checked[packing.HEADER_BYTES : -4] == plain[packing.HEADER_BYTES :]
    assert_equal(packing.unpack(checked + bytes(8)), dataclasses.replace(layer, has_checksum=True))
    for offset in (52, packing.HEADER_BYTES, len(checked) // 2, len(checked) - 1):
        damaged = bytearray(checked)
        damaged[offset] ^= 0x40
        with pytest.raises(ValueError, match="checksum"):
            packing.unpack(bytes(damaged))


def test_checksum_of_words():
    """The formula of docs/format.md, in steps."""
    first = 0x12345678 * 0x9E3779B9 % 2**32
    second = ((first << 5 | first >> 27) % 2**32 ^ 0xFFFFFFFF) * 0x9E3779B9 % 2**32
    assert packing.checksum(struct.pack("<2I", 0x12345678, 0xFFFFFFFF)) == second

"""Tests the record of replaced parts, and the restored model."""

import zlib

import numpy as np
import pytest

from dcsr import compressing, layers
from dcsr import model as tflite
from dcsr.passes import record
from dcsr.passes.record import RECORD_NAME
from dcsr.schema import schema
from dcsr.testing.compare import assert_same, without_ranges
from dcsr.testing.models import conv_model, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import UNBOUNDED, rng, round_trip, through_bytes


def record_of(compressed: schema.ModelT) -> bytes:
    (entry,) = (e for e in compressed.metadata if e.name == RECORD_NAME)
    return bytes(compressed.buffers[entry.buffer].data)


def with_ranges(model: schema.ModelT) -> schema.ModelT:
    """Adds min and max to all quantised tensors, like older converters."""
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        if tensor.quantization is not None:
            values = np.random.default_rng(index).random(len(tensor.quantization.scale)).astype(np.float32)
            tensor.quantization.min, tensor.quantization.max = -values, 2 * values
    return model


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
@pytest.mark.parametrize("ranges", [True, False])
def test_record_has_nothing_for_each_channel(make, ranges):
    """Scales are derived from the requantisation, bit for bit. Zero points are 0. Ranges are omitted."""
    model = make(rng(), sparse_matrix(rng(), 512, 512, 0.9), per_channel=True)
    x, weights, bias = model.subgraphs[0].tensors[:3]
    weights.quantization.scale = (10 ** rng().uniform(-6, 0, 512)).astype(np.float32)
    bias.quantization.scale = layers.derived_bias_scale(x, weights)
    original = through_bytes(with_ranges(model) if ranges else model)
    compressed, decisions, *_ = compressing.compress(original, "m", **UNBOUNDED)
    assert decisions[0].packed
    assert len(record_of(compressed)) < 512
    back = compressing.decompress(through_bytes(compressed), "m")
    assert_same(without_ranges(original, decisions), back)
    # Tensors that are not replaced keep their ranges.
    assert (back.subgraphs[0].tensors[0].quantization.min is not None) == ranges


def test_scales_that_do_not_follow_from_the_requantisation_are_recorded():
    model = conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True)
    # The multiplier of such a small scale is 0.
    model.subgraphs[0].tensors[1].quantization.scale[3] = 1e-14
    compressed, decisions = round_trip(model)
    assert decisions[0].packed and decisions[0].packed.multiplier[3] == 0


def test_single_scales_that_differ_do_not_cost_the_others():
    """A converter may leave a bias scale that differs in one bit, in a channel without nonzeros."""
    model = conv_model(rng(), sparse_matrix(rng(), 512, 128, 0.9), per_channel=True)
    x, weights, bias = model.subgraphs[0].tensors[:3]
    weights.quantization.scale = (10 ** rng().uniform(-6, 0, 512)).astype(np.float32)
    bias.quantization.scale = layers.derived_bias_scale(x, weights)
    length = len(record_of(round_trip(model)[0]))
    bias.quantization.scale[7] = np.nextafter(bias.quantization.scale[7], np.float32(1))
    assert len(record_of(round_trip(model)[0])) < length + 64
    bias.quantization.scale[8] = 0  # 0 marks a derived scale in the record, but this scale is really 0
    round_trip(model)


def test_compact_rows_are_given_back():
    model = conv_model(rng(), sparse_matrix(rng(), 200, 128, 0.9), per_channel=True)
    weights, bias = model.subgraphs[0].tensors[1:3]
    # A row far from the others, and one whose multiplier is 0: exceptions.
    weights.quantization.scale[3] = 1e-14
    values = np.frombuffer(model.buffers[bias.buffer].data, np.int32).copy()
    values[5] = 1 << 30
    model.buffers[bias.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    _, [decision] = round_trip(model, objective="size")
    assert decision.packed.row_form == "compact"
    assert np.flatnonzero(decision.packed.compact.is_exception).tolist() == [3, 5]


def test_records_of_the_first_version_are_read():
    compressed, _ = round_trip(conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True))
    (entry,) = (e for e in compressed.metadata if e.name == RECORD_NAME)
    back = []
    for version in (2, 1, 3):
        content = record.unpack_record(compressed.buffers[entry.buffer].data)
        content.version = version
        compressed.buffers[entry.buffer].data = np.frombuffer(record.pack_record(content), np.uint8)
        if version in (1, 2):
            back.append(tflite.serialize(compressing.decompress(compressed, "m")))
        else:
            with pytest.raises(tflite.ModelError, match="of version 3"):
                compressing.decompress(compressed, "m")
    assert back[0] == back[1]


def test_bias_with_unusual_quantisation_is_given_back():
    model = conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True)
    bias = model.subgraphs[0].tensors[2]
    bias.quantization.scale = bias.quantization.scale * np.float32(1.5)
    round_trip(model)
    bias.quantization.zeroPoint = None
    round_trip(model)
    bias.quantization = None
    round_trip(model)


def test_damaged_records_give_one_clear_error():
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True)
    compressed, _ = round_trip(model)
    (entry,) = (e for e in compressed.metadata if e.name == RECORD_NAME)
    good = bytes(compressed.buffers[entry.buffer].data)
    inflated = zlib.decompress(good)
    random = rng()
    for trial in range(200):
        raw = bytearray(inflated if trial % 2 else good)
        for _ in range(1 + trial % 5):
            raw[random.integers(len(raw))] = random.integers(256)
        damaged = zlib.compress(bytes(raw)) if trial % 2 else bytes(raw)
        compressed.buffers[entry.buffer].data = np.frombuffer(damaged, np.uint8)
        try:
            compressing.decompress(compressed, "m")
        except tflite.ModelError as error:
            assert str(error).startswith("m: ")
    compressed.metadata = None
    with pytest.raises(tflite.ModelError, match="stripped"):
        compressing.decompress(compressed, "m")

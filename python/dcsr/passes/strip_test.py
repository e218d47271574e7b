"""Tests that a stripped model has everything that inference needs, and nothing else."""

import numpy as np
import pytest

from dcsr import compressing
from dcsr import model as tflite
from dcsr.passes.strip import strip
from dcsr.schema import schema
from dcsr.testing.models import conv_model, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import rng, through_bytes


def test_strip_leaves_what_running_the_model_needs():
    model = conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True)
    plan = np.array([1, 0, 4, 0, -1, -1, 1 << 14], np.int32)
    data = schema.BufferT(data=np.frombuffer(plan.tobytes(), np.uint8))
    text = schema.BufferT(data=np.frombuffer(b"1.5.0", np.uint8))
    first = len(model.buffers)
    model.buffers += [data, text]
    model.metadata = [
        schema.MetadataT(name="OfflineMemoryAllocation", buffer=first),
        schema.MetadataT(name="min_runtime_version", buffer=first + 1),
    ]
    stripped = through_bytes(compressing.compress(through_bytes(model), "m", strip=True)[0])
    graph = stripped.subgraphs[0]
    assert {tensor.name for tensor in graph.tensors} == {None} and graph.name is None
    assert stripped.description is None and stripped.signatureDefs is None
    assert [entry.name for entry in stripped.metadata] == [b"OfflineMemoryAllocation"]
    kept = stripped.buffers[stripped.metadata[0].buffer].data
    assert np.frombuffer(bytes(kept), np.int32).tolist() == [1, 0, 3, 0, -1, 1 << 14]
    assert graph.operators[0].customOptions is None
    # The empty buffer, the packed layer, the offline memory plan.
    assert len(stripped.buffers) == 3 and stripped.buffers[0].data is None
    with pytest.raises(tflite.ModelError, match="m: has no 'dcsr_original' metadata.*--strip"):
        compressing.decompress(stripped, "m")


def test_strip_keeps_one_of_equal_zero_points():
    model = conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.1), per_channel=True)
    stripped, (decision,), *_ = compressing.compress(through_bytes(model), "m", strip=True)
    assert decision.packed is None
    weights = stripped.subgraphs[0].tensors[1]
    assert weights.quantization.zeroPoint.tolist() == [0]
    assert len(weights.quantization.scale) == 64


def test_zero_points_that_differ_stay():
    model = fully_connected_model(rng(), sparse_matrix(rng(), 3, 8, 0.0), per_channel=True)
    weights = model.subgraphs[0].tensors[1].quantization
    for zero_points, expected in (([0, 0, 0], [0]), ([0, 1, 0], [0, 1, 0])):
        weights.zeroPoint = np.array(zero_points)
        stripped, _ = strip(model)
        assert list(stripped.subgraphs[0].tensors[1].quantization.zeroPoint) == expected


@pytest.mark.parametrize("build", [conv_model, fully_connected_model])
def test_quantisation_of_biases_goes_as_far_as_tflm_does_not_read_it(build):
    model = through_bytes(build(rng(), sparse_matrix(rng(), 64, 128, 0.1), per_channel=True))
    stripped, done = strip(model)
    bias = stripped.subgraphs[0].tensors[2]
    if build is conv_model:
        assert bias.quantization is None
    else:
        assert len(bias.quantization.scale) == len(bias.quantization.zeroPoint) == 1
        assert bias.quantization.scale[0] == model.subgraphs[0].tensors[2].quantization.scale[0]
    assert "quantisation of biases" in done.changes[0]


def test_quantisation_of_a_bias_with_another_use_stays():
    model = through_bytes(conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.1), per_channel=True))
    graph = model.subgraphs[0]
    graph.outputs = np.array([*graph.outputs, 2], np.int32)
    assert len(strip(model)[0].subgraphs[0].tensors[2].quantization.scale) == 64


def test_a_uint8_bias_keeps_its_quantisation():
    model = through_bytes(conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.1), per_channel=False))
    model.subgraphs[0].tensors[0].type = schema.TensorType.UINT8
    assert strip(model)[0].subgraphs[0].tensors[2].quantization is not None


def test_buffers_of_a_stripped_model_are_aligned_to_4_or_8():
    model = conv_model(rng(), sparse_matrix(rng(), 3, 7, 0.1), per_channel=True)
    stripped, _ = strip(through_bytes(model))
    data = tflite.serialize(stripped)
    for buffer in stripped.buffers:
        if buffer.data is not None:
            content = bytes(buffer.data)
            assert any(data[at : at + len(content)] == content for at in range(0, len(data), 4))
    assert len(data) < len(tflite.serialize(through_bytes(stripped)))

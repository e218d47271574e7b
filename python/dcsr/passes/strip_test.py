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
    stripped, (decision,), _ = compressing.compress(through_bytes(model), "m", strip=True)
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

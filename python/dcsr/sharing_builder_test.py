"""Tests that equal parts of a flatbuffer are stored once, and that readers see no difference."""

import copy

import flatbuffers
import numpy as np
import pytest

from dcsr import model as tflite
from dcsr import structure
from dcsr.schema import schema
from dcsr.sharing_builder import SharingBuilder
from dcsr.testing.compare import assert_same
from dcsr.testing.models import conv_model, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import rng, through_bytes


def _plainly(model: schema.ModelT) -> bytes:
    """Serialises a model with the library's builder."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), tflite.FILE_IDENTIFIER)
    return bytes(builder.Output())


def _tensors(*tensors: schema.TensorT) -> schema.ModelT:
    graph = schema.SubGraphT(tensors=list(tensors), outputs=np.array([0], np.int32))
    return schema.ModelT(version=3, operatorCodes=[], subgraphs=[graph], buffers=[schema.BufferT()])


def _tensor(name: str, scale: list[float], shape: tuple[int, ...] = (1, 64)) -> schema.TensorT:
    quantization = schema.QuantizationParametersT(scale=np.array(scale, np.float32), zeroPoint=np.zeros(1, np.int64))
    return schema.TensorT(name=name, shape=np.array(shape, np.int32), quantization=quantization)


@pytest.mark.parametrize("build", [conv_model, fully_connected_model])
def test_a_reader_sees_no_difference(build):
    model = build(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True)
    plain = tflite.parse(_plainly(model), "m")
    shared = tflite.parse(tflite.serialize(model), "m")
    assert_same(plain, shared)
    assert len(tflite.serialize(model)) < len(_plainly(model))


def test_equal_vectors_strings_and_tables_are_stored_once():
    scale = np.linspace(0.5, 1, 64).tolist()
    one, three = (len(tflite.serialize(_tensors(*[_tensor("n" * 90, scale) for _ in range(n)]))) for n in (1, 3))
    # Each further tensor takes its entry in the list of tensors: an offset to the same table.
    assert three - one <= 2 * 4 + 4
    other = len(tflite.serialize(_tensors(*[_tensor(name * 90, scale) for name in "abc"])))
    # Tables that differ in one field share the others.
    assert one + 2 * 90 < other < one + 2 * (90 + 40)


def test_equal_bytes_of_other_types_or_signs_are_not_the_same():
    model = _tensors(_tensor("a", [1.0]), _tensor("b", [1.0]))
    model.subgraphs[0].tensors[1].quantization.scale = None
    model.subgraphs[0].tensors[1].quantization.min = np.array([1.0], np.float32)
    model.metadata = [schema.MetadataT(name="a", buffer=0), schema.MetadataT(name="b", buffer=0)]
    assert_same(through_bytes(model), tflite.parse(_plainly(model), "m"))
    builder = SharingBuilder(64)
    offsets = [
        builder.CreateNumpyVector(np.array(values, kind))
        for values, kind in [
            ([1], np.int32),
            ([1], np.uint32),
            ([1, 0], np.int16),
            ([1], np.int32),
            ([-0.0], np.float32),
            ([0.0], np.float32),
        ]
    ]
    assert offsets[0] == offsets[1] == offsets[3]  # the same bytes of the same width
    assert len(set(offsets)) == 4


def test_vectors_of_offsets_are_not_shared():
    # Two lists of one table each: the offsets are equal numbers, and lead to different tables.
    graphs = []
    for name in "ab":
        tensor = schema.TensorT(name=name, shape=np.array([1], np.int32))
        graphs.append(schema.SubGraphT(tensors=[tensor], outputs=np.array([0], np.int32)))
    model = schema.ModelT(version=3, operatorCodes=[], subgraphs=graphs, buffers=[schema.BufferT()])
    assert [graph.tensors[0].name for graph in through_bytes(model).subgraphs] == [b"a", b"b"]


def test_random_models_are_read_as_written():
    random = rng()
    for _ in range(40):
        tensors = [
            _tensor(
                "ab"[random.integers(2)],
                random.choice([0.5, 1.0, -0.0], random.integers(1, 4)).tolist(),
                tuple(random.integers(1, 3, random.integers(1, 4))),
            )
            for _ in range(random.integers(1, 30))
        ]
        model = _tensors(*tensors)
        model.buffers = [schema.BufferT(data=random.integers(0, 2, 3).astype(np.uint8)) for _ in range(9)]
        assert_same(through_bytes(model), tflite.parse(_plainly(copy.deepcopy(model)), "m"))


def test_a_file_that_would_look_like_a_bomb_is_written_without_sharing():
    model = _tensors(*[_tensor("n", [1.0]) for _ in range(4000)])
    data = tflite.serialize(model)
    structure.check(data)
    assert len(data) > 4000 * 32

"""Tests the expansion of TFLite's own sparse tensors. //tests compares the outputs of such models."""

import copy

import numpy as np
import pytest

from dcsr import compressing, layers
from dcsr import model as tflite
from dcsr.passes import densify
from dcsr.schema import schema
from dcsr.testing.compare import assert_same
from dcsr.testing.models import (
    Builder,
    SparseLayout,
    conv_model,
    fully_connected_model,
    sparse_form,
    sparse_matrix,
    with_sparse_weights,
)
from dcsr.testing.round_trip import UNBOUNDED

MATRIX_LAYOUTS = [
    SparseLayout(),
    SparseLayout(csr=(0, 1)),
    SparseLayout(csr=()),
    SparseLayout(order=(1, 0)),
    SparseLayout(order=(1, 0), csr=(0,)),
    SparseLayout(vector="Uint16Vector"),
    SparseLayout(blocks={1: 4}),
    SparseLayout(blocks={0: 4}, csr=(0, 1)),
    SparseLayout(blocks={0: 4, 1: 8}),
    SparseLayout(blocks={0: 4, 1: 8}, order=(1, 0, 3, 2)),
    SparseLayout(blocks={1: 4, 0: 2}, order=(0, 1, 3, 2)),
    SparseLayout(blocks={1: 16}, csr=(0, 1)),
]
FILTER_LAYOUTS = [
    SparseLayout(csr=(3,)),
    SparseLayout(csr=(0, 1, 2, 3), order=(0, 3, 1, 2)),
    SparseLayout(csr=(3,), blocks={0: 4, 3: 8}),
    SparseLayout(csr=(1, 3), blocks={3: 16}, order=(2, 1, 0, 3, 4)),
]


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def through_bytes(model: schema.ModelT) -> schema.ModelT:
    return tflite.parse(tflite.serialize(model), "m")


@pytest.mark.parametrize("shape,layouts", [((16, 48), MATRIX_LAYOUTS), ((8, 3, 2, 32), FILTER_LAYOUTS)])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_expanded_is_what_was_stored(shape, layouts, sparsity):
    for layout in layouts:
        dense = sparse_matrix(rng(), shape[0], int(np.prod(shape[1:])), sparsity).reshape(shape)
        parameters, values = sparse_form(dense, layout)
        np.testing.assert_array_equal(densify.expand(parameters, shape, values), dense, err_msg=str(layout))


def test_small_vectors():
    dense = sparse_matrix(rng(), 3, 20, 0.7)
    parameters, values = sparse_form(dense, SparseLayout(vector="Uint8Vector"))
    np.testing.assert_array_equal(densify.expand(parameters, dense.shape, values), dense)


def test_example_of_the_schema():
    """The 2 x 4 matrix [[1, 0, 2, 3], [0, 0, 0, 4]] in CSR, written down by hand."""
    vector = schema.Int32VectorT
    parameters = schema.SparsityParametersT(
        traversalOrder=[0, 1],
        dimMetadata=[
            schema.DimensionMetadataT(format=schema.DimensionType.DENSE, denseSize=2),
            schema.DimensionMetadataT(
                format=schema.DimensionType.SPARSE_CSR,
                arraySegments=vector([0, 3, 4]),
                arrayIndices=vector([0, 2, 3, 3]),
            ),
        ],
    )
    dense = densify.expand(parameters, (2, 4), np.array([1, 2, 3, 4], np.int8))
    assert dense.tolist() == [[1, 0, 2, 3], [0, 0, 0, 4]]


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
@pytest.mark.parametrize("direct", [False, True])
def test_model_becomes_its_dense_equivalent(make, direct):
    dense = make(rng(), sparse_matrix(rng(), 64, 128, 0.9))
    layout = SparseLayout(csr=(3,)) if make is conv_model else SparseLayout()
    sparse = with_sparse_weights(dense, layout)
    if direct:
        # TFLite's own sparse kernels need no DENSIFY: the operator reads the sparse tensor itself.
        graph = sparse.subgraphs[0]
        graph.operators = graph.operators[-1:]
        graph.operators[0].inputs[1] = 1
        graph.tensors.pop()
        sparse.operatorCodes.pop()
    sparse = through_bytes(sparse)
    untouched = copy.deepcopy(sparse)
    assert densify.is_sparse(sparse) and not densify.is_sparse(dense)
    assert_same(through_bytes(dense), densify.densify(sparse, "m")[0])
    assert_same(untouched, sparse)
    (layer,) = layers.find(sparse)
    assert layer.obstacle == ("weights in TFLite's own sparse form" if direct else "weights not constant")


def test_compressed_as_the_dense_equivalent_and_decompressed_to_it():
    dense = through_bytes(fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9)))
    sparse = through_bytes(with_sparse_weights(dense, SparseLayout(blocks={1: 4})))
    compressed, (decision,), *_ = compressing.compress(sparse, "m", **UNBOUNDED)
    assert decision.packed
    assert_same(compressing.compress(dense, "m", **UNBOUNDED)[0], compressed)
    assert_same(dense, compressing.decompress(through_bytes(compressed), "m"))


def test_layers_that_are_not_packed_become_dense():
    dense = through_bytes(fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.3)))
    sparse = through_bytes(with_sparse_weights(dense, SparseLayout()))
    compressed, (decision,), *_ = compressing.compress(sparse, "m", **UNBOUNDED)
    assert decision.note == "below --min-sparsity 60 %"
    assert_same(dense, compressed)


def test_layers_that_share_weights_share_the_constant():
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("w", (64, 64), data=sparse_matrix(rng(), 64, 64, 0.9), scale=0.02)
    y = builder.fully_connected(x, weights, (1, 64), name="a")
    z = builder.fully_connected(y, weights, (1, 64), name="b")
    dense = builder.finish([x], [z])
    dense.signatureDefs = [
        schema.SignatureDefT(
            inputs=[schema.TensorMapT("x", x)],
            outputs=[schema.TensorMapT("z", z)],
            signatureKey="main",
            subgraphIndex=0,
        )
    ]
    sparse = through_bytes(with_sparse_weights(dense, SparseLayout()))
    assert_same(through_bytes(dense), densify.densify(sparse, "m")[0])


def test_buffer_that_others_read_is_kept():
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng(), 32, 64, 0.9), (1, 32))
    dense = builder.finish([x], [y])
    model = with_sparse_weights(dense, SparseLayout())
    weights = model.subgraphs[0].tensors[1]
    stored = bytes(model.buffers[weights.buffer].data)
    reader = schema.TensorT(shape=np.array([len(stored)], np.int32), type=schema.TensorType.INT8, buffer=weights.buffer)
    model.subgraphs[0].tensors.append(reader)
    result = densify.densify(through_bytes(model), "m")[0]
    assert bytes(result.buffers[weights.buffer].data) == stored
    expected = bytes(dense.buffers[dense.subgraphs[0].tensors[1].buffer].data)
    assert tflite.buffer_bytes(result, result.subgraphs[0].tensors[1]) == expected


def test_offline_memory_plan_follows_the_tensors():
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 128, 0.9), (1, 64))
    # x, weights, out, output of DENSIFY
    plan = np.array([1, 0, 4, 0, -1, 128, 256], np.int32)
    metadata = [schema.MetadataT(name="OfflineMemoryAllocation", buffer=builder.buffer(plan.tobytes()))]
    model = with_sparse_weights(builder.finish([x], [y]), SparseLayout())
    model.metadata = metadata
    dense = densify.densify(through_bytes(model), "m")[0]
    (entry,) = dense.metadata
    assert np.frombuffer(bytes(dense.buffers[entry.buffer].data), np.int32).tolist() == [1, 0, 3, 0, -1, 128]


def level(model: schema.ModelT, index: int) -> schema.DimensionMetadataT:
    return model.subgraphs[0].tensors[1].sparsity.dimMetadata[index]


def parameters(model: schema.ModelT) -> schema.SparsityParametersT:
    return model.subgraphs[0].tensors[1].sparsity


DAMAGES = [
    (lambda m: setattr(parameters(m), "traversalOrder", None), "impossible traversal order"),
    (lambda m: setattr(parameters(m), "traversalOrder", np.array([0, 0, 2], np.int32)), "impossible traversal order"),
    (lambda m: setattr(parameters(m), "traversalOrder", np.array([0, 2, 1], np.int32)), "impossible traversal order"),
    (lambda m: setattr(parameters(m), "blockMap", np.array([2], np.int32)), "impossible block map"),
    (lambda m: setattr(parameters(m), "blockMap", np.array([1, 1], np.int32)), "impossible block map"),
    (lambda m: setattr(parameters(m), "blockMap", None), "impossible traversal order"),
    (lambda m: setattr(parameters(m), "dimMetadata", None), "0 dimensions described, not 3"),
    (lambda m: parameters(m).dimMetadata.pop(), "2 dimensions described, not 3"),
    (lambda m: setattr(level(m, 0), "denseSize", 63), "dimension 0 of the traversal has size 63, not 64"),
    (lambda m: setattr(level(m, 0), "denseSize", 2**30), "dimension 0 of the traversal has size"),
    (lambda m: setattr(level(m, 0), "format", 7), "unknown format 7"),
    (lambda m: setattr(level(m, 2), "denseSize", 0), "impossible blocks along dimension 1"),
    (lambda m: setattr(level(m, 2), "denseSize", 3), "impossible blocks along dimension 1"),
    (lambda m: setattr(level(m, 2), "format", 1), "impossible blocks along dimension 1"),
    (lambda m: setattr(level(m, 1), "arraySegments", None), "has 0 segments, not 65"),
    (lambda m: level(m, 1).arraySegments.values.__setitem__(0, 1), "has segments that do not fit"),
    (lambda m: level(m, 1).arraySegments.values.__setitem__(3, 0), "has segments that do not fit"),
    (lambda m: level(m, 1).arraySegments.values.__setitem__(-1, 2**31 - 1), "has segments that do not fit"),
    (lambda m: setattr(level(m, 1), "arrayIndices", None), "has segments that do not fit its 0 indices"),
    (lambda m: level(m, 1).arrayIndices.values.__setitem__(0, -1), "has an index outside 0..31"),
    (lambda m: level(m, 1).arrayIndices.values.__setitem__(0, 32), "has an index outside 0..31"),
    (lambda m: level(m, 1).arrayIndices.values.__setitem__(0, 31), "has indices that do not increase"),
    (lambda m: setattr(m.buffers[1], "data", m.buffers[1].data[:-1]), "elements stored, not"),
    (lambda m: setattr(m.subgraphs[0].tensors[1], "shape", np.array([64, 0], np.int32)), "impossible shape"),
    (lambda m: setattr(m.subgraphs[0].tensors[1], "shape", None), "impossible shape"),
]


@pytest.mark.parametrize("damage,text", DAMAGES)
def test_damaged_parameters_are_named(damage, text):
    dense = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9))
    model = through_bytes(with_sparse_weights(dense, SparseLayout(blocks={1: 4})))
    for table in (level(model, 1).arraySegments, level(model, 1).arrayIndices):
        table.values = np.array(table.values)
    damage(model)
    with pytest.raises(tflite.ModelError) as error:
        compressing.compress(through_bytes(model), "kws.tflite")
    message = str(error.value)
    assert message.startswith(
        "kws.tflite: subgraph 0, tensor 1 'dense/weights': its sparsity parameters are damaged: "
    ), message
    assert text in message


@pytest.mark.parametrize("shape", [(2**15, 2**15), (2**20, 3)])
def test_small_files_cannot_expand_to_any_size(shape):
    dense = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9))
    model = through_bytes(with_sparse_weights(dense, SparseLayout(blocks={1: 4})))
    model.subgraphs[0].tensors[1].shape = np.array(shape, np.int32)
    with pytest.raises(tflite.ModelError, match=r"kws.tflite: its sparse tensors have more than [\d,]+ elements"):
        compressing.compress(model, "kws.tflite")


def retype(model: schema.ModelT, kind: int) -> None:
    for tensor in (model.subgraphs[0].tensors[1], model.subgraphs[0].tensors[-1]):
        tensor.type = kind


def change_scale(model: schema.ModelT) -> None:
    model.subgraphs[0].tensors[-1].quantization.scale = np.array([7], np.float32)


def change_zero_point(model: schema.ModelT) -> None:
    model.subgraphs[0].tensors[-1].quantization.zeroPoint = np.array([1])


def change_dimension(model: schema.ModelT) -> None:
    model.subgraphs[0].tensors[-1].quantization.quantizedDimension = 1


def densify_twice(model: schema.ModelT) -> None:
    graph = model.subgraphs[0]
    again = copy.deepcopy(graph.operators[0])
    again.inputs, again.outputs = graph.operators[0].outputs, np.array([len(graph.tensors)], np.int32)
    graph.tensors.append(copy.deepcopy(graph.tensors[-1]))
    graph.operators.insert(1, again)
    layer = graph.operators[-1]
    layer.inputs = np.array([layer.inputs[0], again.outputs[0], *layer.inputs[2:]], np.int32)


@pytest.mark.parametrize(
    "change,text",
    [
        (lambda m: retype(m, schema.TensorType.FLOAT32), "sparse weights of type float32; they must be int8"),
        (lambda m: retype(m, schema.TensorType.FLOAT16), "sparse weights of type float16; they must be int8"),
        (lambda m: setattr(m.subgraphs[0].tensors[-1], "type", schema.TensorType.INT16), "another type or shape"),
        (
            lambda m: setattr(m.subgraphs[0].tensors[-1], "shape", np.array([128, 64], np.int32)),
            "another type or shape",
        ),
        (change_scale, "DENSIFY changes the quantisation"),
        (change_zero_point, "DENSIFY changes the quantisation"),
        (change_dimension, "DENSIFY changes the quantisation"),
    ],
)
def test_what_is_no_int8_densify_is_refused(change, text):
    model = through_bytes(
        with_sparse_weights(fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9)), SparseLayout())
    )
    change(model)
    with pytest.raises(tflite.ModelError) as error:
        compressing.compress(model, "kws.tflite")
    assert str(error.value).startswith("kws.tflite: subgraph 0, tensor 1 'dense/weights': "), error.value
    assert text in str(error.value)


def test_densify_of_densify_is_refused():
    """The output of the first DENSIFY is not a constant."""
    model = through_bytes(
        with_sparse_weights(fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9)), SparseLayout())
    )
    densify_twice(model)
    with pytest.raises(tflite.ModelError, match="DENSIFY of a tensor that is not constant"):
        compressing.compress(model, "m")
    # If the tensor between them has data, it is a constant and an output at once.
    between = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].outputs[0]]
    model.buffers.append(schema.BufferT(data=np.zeros(64 * 128, np.uint8)))
    between.buffer = len(model.buffers) - 1
    with pytest.raises(tflite.ModelError, match="DENSIFY of what a DENSIFY gives"):
        compressing.compress(model, "m")


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
def test_sparse_weights_with_a_scale_for_each_row_keep_their_dimension(make):
    dense = make(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True)
    for axis in (0, 1):
        dense.subgraphs[0].tensors[1].quantization.quantizedDimension = axis
        layout = SparseLayout(csr=(3,)) if make is conv_model else SparseLayout()
        result = densify.densify(through_bytes(with_sparse_weights(dense, layout)), "m")[0]
        assert result.subgraphs[0].tensors[1].quantization.quantizedDimension == axis
        (layer,) = layers.find(result)
        assert layer.obstacle == ("quantised along the input channels" if axis else None)


def test_float_constant_behind_densify_is_refused():
    builder = Builder()
    weights = builder.tensor("w", (4, 8), np.float32, data=np.ones((4, 8), np.float32))
    out = builder.tensor("d", (4, 8), np.float32)
    builder.operator(schema.BuiltinOperator.DENSIFY, [weights], [out], schema.DensifyOptionsT())
    with pytest.raises(tflite.ModelError, match="DENSIFY of type float32; weights must be int8"):
        compressing.compress(builder.finish([], [out]), "m")

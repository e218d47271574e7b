"""Tests producers and consumers of tensors, and the renumbering after removals."""

import numpy as np
import pytest

from dcsr.graph import Graph, TensorEdit, without
from dcsr.schema import schema
from dcsr.testing.models import Builder, sparse_matrix
from dcsr.testing.round_trip import rng, through_bytes

OP = schema.BuiltinOperator


@pytest.fixture(name="graph")
def _graph() -> Graph:
    """x (0), w (1), bias (2) -> y (3) in a FULLY_CONNECTED; y, y -> z (4) in an ADD; a signature names x and z."""
    builder = Builder()
    x = builder.tensor("x", (1, 8), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng(), 4, 8, 0.5), (1, 4), bias=np.zeros(4, np.int32))
    z = builder.tensor("z", (1, 4), scale=0.1)
    builder.operator(OP.ADD, [y, y], [z], schema.AddOptionsT())
    model = builder.finish([x], [z])
    model.signatureDefs = [
        schema.SignatureDefT(
            inputs=[schema.TensorMapT(name="x", tensorIndex=x)],
            outputs=[schema.TensorMapT(name="z", tensorIndex=z)],
            signatureKey="s",
            subgraphIndex=0,
        )
    ]
    return Graph(through_bytes(model))


def test_producers_and_consumers(graph):
    assert [graph.producer(0, index) for index in range(5)] == [None, None, None, 0, 1]
    assert list(graph.consumers(0, {0, 2})) == [(0, 0), (0, 2)]
    assert list(graph.consumers(0, {3})) == [(1, 0), (1, 1)]
    assert list(graph.consumers(0, {4})) == []
    assert graph.ends(0) == {0, 4}


def test_users_of_buffers(graph):
    tensors = graph.model.subgraphs[0].tensors
    assert graph.tensors_of_buffer(0, tensors[1].buffer) == {1}
    assert graph.tensors_by_buffer()[tensors[2].buffer] == [tensors[2]]
    graph.add_metadata(b"note", b"text")
    assert graph.metadata_buffers() == {len(graph.model.buffers) - 1}
    assert graph.used_buffers() == {t.buffer for t in tensors} | graph.metadata_buffers()


def test_changed_tensors_are_renumbered_everywhere(graph):
    subgraph = graph.model.subgraphs[0]
    names = [tensor.name for tensor in subgraph.tensors]
    subgraph.operators[0].inputs = subgraph.operators[0].inputs[:2]
    added = schema.TensorT(name=b"added")
    new = schema.TensorT(name=b"new")
    assert graph.change_tensors([TensorEdit(replaced={1: new}, added=[added], removed={2})]) == []
    assert [tensor.name for tensor in subgraph.tensors] == [names[0], b"new", names[3], names[4], b"added"]
    assert [list(o.inputs) for o in subgraph.operators] == [[0, 1], [2, 2]]
    assert list(subgraph.outputs) == [3]
    assert graph.model.signatureDefs[0].outputs[0].tensorIndex == 3


def test_restored_tensors_have_their_indices_back(graph):
    subgraph = graph.model.subgraphs[0]
    tensors, recorded = list(subgraph.tensors), subgraph.operators[0]
    subgraph.operators[0] = schema.OperatorT(opcodeIndex=0, inputs=recorded.inputs[:2], outputs=recorded.outputs)
    graph.change_tensors([TensorEdit(removed={2})])
    graph.restore_tensors([tensors], [{new: old for old, new in without(5, {2}).items()}], replaced={(0, 0)})
    assert subgraph.tensors == tensors
    assert list(subgraph.operators[1].inputs) == [3, 3] and list(subgraph.outputs) == [4]
    assert graph.model.signatureDefs[0].outputs[0].tensorIndex == 4


def test_redirected_references(graph):
    graph.redirect([{3: 0, 4: 3}])
    subgraph = graph.model.subgraphs[0]
    assert [list(o.inputs) for o in subgraph.operators] == [[0, 1, 2], [0, 0]]
    assert list(subgraph.outputs) == [3] and graph.model.signatureDefs[0].outputs[0].tensorIndex == 3


def test_offline_plan_follows_and_its_former_content_is_returned(graph):
    content = np.array([1, 0, 5, 0, -1, -1, 16, 32], "<i4").tobytes()
    graph.add_metadata(b"OfflineMemoryAllocation", content)
    (entry,) = graph.model.metadata
    edit = TensorEdit(added=[schema.TensorT()], removed={2})
    graph.model.subgraphs[0].operators[0].inputs = np.array([0, 1], np.int32)
    assert graph.change_tensors([edit]) == [(entry, content)]
    words = np.frombuffer(bytes(graph.model.buffers[entry.buffer].data), "<i4")
    assert words.tolist() == [1, 0, 5, 0, -1, 16, 32, -1]
    # TFLM does not use a plan of the wrong length, so it stays unchanged.
    graph.model.buffers[entry.buffer].data = np.zeros(4, np.uint8)
    assert graph.change_tensors([TensorEdit()]) == []


def test_removed_and_restored_buffers(graph):
    tensors = graph.model.subgraphs[0].tensors
    before = [tensor.buffer for tensor in tensors]
    content = [bytes(buffer.data) if buffer.data is not None else b"" for buffer in graph.model.buffers]
    dropped = {before[1]}
    count = len(content) - 1
    tensors[1].buffer = 0
    graph.remove_buffers(dropped)
    assert len(graph.model.buffers) == count
    assert bytes(graph.model.buffers[tensors[2].buffer].data) == content[before[2]]
    graph.restore_buffers(count, dropped)
    assert [tensor.buffer for tensor in tensors] == [before[0], 0, *before[2:]]
    with pytest.raises(ValueError, match="buffers do not fit"):
        graph.restore_buffers(1, {2})
    graph.compact_buffers()
    assert [len(buffer.data) for buffer in graph.model.buffers[1:]] == [len(content[before[2]])]
    assert graph.model.buffers[0].data is None


def test_operator_codes(graph):
    operators = graph.model.subgraphs[0].operators
    assert graph.custom_code("NEW") == graph.custom_code("NEW") == 2
    graph.remove_operators(0, {0})
    assert len(operators) == 2 and graph.model.subgraphs[0].operators == operators[1:]
    graph.remove_codes([0])
    assert operators[1].opcodeIndex == 0 and len(graph.model.operatorCodes) == 2
    graph.remove_codes([0], skip={(0, 0)})
    assert operators[1].opcodeIndex == 0 and len(graph.model.operatorCodes) == 1

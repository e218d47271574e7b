"""Tests packing and restoring of small models. //tests compares their outputs."""

import numpy as np
import pytest
from flatbuffers import flexbuffers

from dcsr import compressing, encodings, layers
from dcsr import model as tflite
from dcsr.planning.settings import methods
from dcsr.schema import schema
from dcsr.testing.models import Builder, conv_model, depthwise_model, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import UNBOUNDED, rng, round_trip, through_bytes

OP = schema.BuiltinOperator


def names(model: schema.ModelT) -> list[list[str]]:
    return [[tflite.operator_name(model, operator) for operator in subgraph.operators] for subgraph in model.subgraphs]


def add(builder: Builder, x: int, y: int, shape) -> int:
    out = builder.tensor("sum", shape, scale=0.5, zero_point=1)
    builder.operator(OP.ADD, [x, y], [out], schema.AddOptionsT(potScaleInt16=True))
    return out


@pytest.mark.parametrize("method", [m for m in methods() if m != "none"])
@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_single_layer(method, make, with_bias, per_channel):
    matrix = sparse_matrix(rng(), 40, 200, 0.9)
    model = make(rng(), matrix, with_bias=with_bias, per_channel=per_channel)
    compressed, (decision,) = round_trip(model, method=method)
    assert decision.packed is not None
    assert len(decision.packed.multiplier) == (40 if per_channel else 1)
    np.testing.assert_array_equal(encodings.decode(decision.packed.streams), matrix)
    code = "DCSR_CONV_2D" if make is conv_model else "DCSR_FULLY_CONNECTED"
    assert names(compressed) == [[code]]
    # Activations, packed layer, output. The bias and its buffer are removed.
    assert len(compressed.subgraphs[0].tensors) == 3
    assert len(tflite.serialize(compressed)) < len(tflite.serialize(model))


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
@pytest.mark.parametrize("with_bias", [True, False])
def test_int16_activations(make, with_bias):
    matrix = sparse_matrix(rng(), 40, 200, 0.9)
    compressed, (decision,) = round_trip(make(rng(), matrix, int16=True, with_bias=with_bias), objective="size")
    assert decision.packed.int16_activations and decision.packed.bias.dtype == np.int64
    assert decision.layer.op.endswith(", int16")
    (layer,) = layers.find(compressed)
    assert layer.op.startswith("DCSR_") and layer.op.endswith(", int16")
    options = flexbuffers.Loads(bytes(compressed.subgraphs[0].operators[0].customOptions))
    assert options["activations"] == "INT16"


def test_custom_options_show_the_geometry():
    matrix = sparse_matrix(rng(), 40, 200, 0.9)
    model = conv_model(rng(), matrix, stride=(2, 3), activation=schema.ActivationFunctionType.RELU6)
    compressed, _ = round_trip(model, method="rle")
    options = flexbuffers.Loads(bytes(compressed.subgraphs[0].operators[0].customOptions))
    assert options == {
        "op": "CONV_2D",
        "encoding": "rle",
        "rows": 40,
        "cols": 200,
        "fused_activation_function": "RELU6",
        "stride_h": 2,
        "stride_w": 3,
        "padding": "SAME",
    }


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("filter_size,dilation", [((3, 3), (1, 1)), ((1, 2), (3, 4)), ((4, 1), (1, 1))])
def test_larger_filters(filter_size, dilation, padding):
    matrix = sparse_matrix(rng(), 40, filter_size[0] * filter_size[1] * 20, 0.9)
    model = conv_model(
        rng(),
        matrix,
        filter_size=filter_size,
        dilation=dilation,
        pixels=(6, 7),
        stride=(1, 2),
        padding=getattr(schema.Padding, padding),
    )
    compressed, (decision,) = round_trip(model)
    assert decision.packed.filter_size == filter_size and decision.packed.dilation == dilation
    assert decision.packed.same_padding == (padding == "SAME")
    np.testing.assert_array_equal(encodings.decode(decision.packed.streams), matrix)
    options = flexbuffers.Loads(bytes(compressed.subgraphs[0].operators[0].customOptions))
    assert options.items() >= {"filter_h": filter_size[0], "filter_w": filter_size[1]}.items()
    assert options.items() >= {"dilation_h": dilation[0], "dilation_w": dilation[1], "padding": padding}.items()
    (layer,) = layers.find(compressed)
    assert layer.op == f"DCSR_CONV_2D {filter_size[0]}x{filter_size[1]}"
    assert layer.packed.filter_size == filter_size and layer.packed.stride == (1, 2)


@pytest.mark.parametrize("method", [*encodings.DENSE_METHODS, "dcsr4", "rice+huffman"])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_depthwise(tmp_path, method, with_bias, per_channel, padding):
    """A plan may give a depthwise layer any encoding."""
    matrix = sparse_matrix(rng(), 36, 15, 0.2)
    model = depthwise_model(
        rng(),
        matrix,
        filter_size=(3, 5),
        depth_multiplier=2,
        pixels=(12, 13),
        stride=(2, 1),
        dilation=(1, 2),
        padding=getattr(schema.Padding, padding),
        with_bias=with_bias,
        per_channel=per_channel,
    )
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"version: 1\ntensors: [{{tensor: 1, method: {method}}}]\n")
    compressed, (decision,) = round_trip(model, plan=plan, smaller_only=False)
    assert decision.packed.streams.scheme == method.rstrip("4")
    np.testing.assert_array_equal(encodings.decode(decision.packed.streams), matrix)
    assert names(compressed) == [["DCSR_DEPTHWISE_CONV_2D"]]
    (layer,) = layers.find(compressed)
    assert layer.op == "DCSR_DEPTHWISE_CONV_2D 3x5" and layer.is_depthwise
    options = flexbuffers.Loads(bytes(compressed.subgraphs[0].operators[0].customOptions))
    expected = {"op": "DEPTHWISE_CONV_2D", "depth_multiplier": 2, "filter_h": 3, "filter_w": 5, "stride_h": 2}
    assert options.items() >= (expected | {"dilation_w": 2, "padding": padding}).items()


def test_constant_buffers_are_aligned_to_16():
    model = conv_model(rng(), sparse_matrix(rng(), 37, 201, 0.9))
    data = tflite.serialize(compressing.compress(through_bytes(model), "m", **UNBOUNDED)[0])
    root = schema.Model.GetRootAs(data, 0)
    assert data[4:8] == b"TFL3"
    buffers = [root.Buffers(i) for i in range(root.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if not b.DataIsNone()]
    assert starts and all(start % 16 == 0 for start in starts)


def test_deprecated_operator_code_alone_is_read():
    builder = Builder()
    x = builder.tensor("x", (1, 200), scale=0.1)
    matrix = sparse_matrix(rng(), 40, 200, 0.9)
    y = builder.fully_connected(x, matrix, (1, 40), deprecated_only=True)
    compressed, (decision,) = round_trip(builder.finish([x], [y]))
    assert decision.packed
    assert names(compressed) == [["DCSR_FULLY_CONNECTED"]]


def test_everything_else_of_the_model_is_preserved():
    builder = Builder()
    x = builder.tensor("x", (1, 4, 4, 100), scale=0.1, zero_point=-4)
    y = builder.conv_2d(x, sparse_matrix(rng(), 60, 100, 0.9), bias=np.arange(60, dtype=np.int32))
    custom = builder.tensor("custom/out", (1, 4, 4, 60), scale=0.5)
    builder.operator(OP.CUSTOM, [y], [custom], custom="SOMEBODYS_OP", custom_options=b"\x01\x02\x03")
    z = builder.conv_2d(custom, sparse_matrix(rng(), 80, 60, 0.1), name="not_sparse")
    flat = builder.tensor("flat", (1, 1280), scale=0.5)
    builder.operator(OP.RESHAPE, [z], [flat], schema.ReshapeOptionsT(newShape=np.array([1, 1280], np.int32)))
    out = builder.fully_connected(flat, sparse_matrix(rng(), 10, 1280, 0.9), (1, 10), name="fc")
    model = builder.finish([x], [out])
    model.signatureDefs = [
        schema.SignatureDefT(
            inputs=[schema.TensorMapT(name="image", tensorIndex=x)],
            outputs=[schema.TensorMapT(name="scores", tensorIndex=out)],
            signatureKey="serving_default",
            subgraphIndex=0,
        )
    ]
    model.metadata = [schema.MetadataT(name="min_runtime_version", buffer=builder.buffer(b"1.5.0"))]
    compressed, decisions = round_trip(model)
    assert [bool(c.packed) for c in decisions] == [True, False, True]
    assert names(compressed) == [["DCSR_CONV_2D", "SOMEBODYS_OP", "CONV_2D", "RESHAPE", "DCSR_FULLY_CONNECTED"]]
    subgraph = compressed.subgraphs[0]
    assert bytes(subgraph.operators[1].customOptions) == b"\x01\x02\x03"
    signature = compressed.signatureDefs[0]
    assert subgraph.tensors[signature.inputs[0].tensorIndex].name == b"x"
    assert subgraph.tensors[signature.outputs[0].tensorIndex].name == b"fc/out"
    assert subgraph.tensors[subgraph.outputs[0]].name == b"fc/out"
    for entry in compressed.metadata:
        if entry.name == b"min_runtime_version":
            assert bytes(compressed.buffers[entry.buffer].data) == b"1.5.0"


def test_several_subgraphs():
    builder = Builder()
    for index in range(3):
        if index:
            builder.subgraph()
        x = builder.tensor("x", (1, 300), scale=0.1)
        y = builder.fully_connected(x, sparse_matrix(rng(), 30, 300, 0.9), (1, 30))
        model = builder.finish([x], [y])
    compressed, decisions = round_trip(model)
    assert all(decision.packed for decision in decisions)
    assert names(compressed) == [["DCSR_FULLY_CONNECTED"]] * 3


def test_operators_that_agree_in_all_share_a_packed_layer():
    builder = Builder()
    matrix = sparse_matrix(rng(), 64, 64, 0.9)
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("shared", (64, 64), data=matrix, scale=0.01)
    y = builder.fully_connected(x, weights, (1, 64))
    z = builder.fully_connected(x, weights, (1, 64))
    compressed, decisions = round_trip(builder.finish([x], [add(builder, y, z, (1, 64))]))
    assert all(decision.packed for decision in decisions)
    packed = {int(op.inputs[1]) for op in compressed.subgraphs[0].operators[:2]}
    assert len(packed) == 1
    # The empty buffer, the packed layer, the record.
    assert len(compressed.buffers) == 3


@pytest.mark.parametrize("same_tensor", [True, False])
def test_shared_weights_with_different_scales(same_tensor):
    """The requantisation differs, so one matrix gives two packed layers. Both replace the weights."""
    builder = Builder()
    matrix = sparse_matrix(rng(), 64, 64, 0.9)
    x = builder.tensor("x", (1, 64), scale=0.1, zero_point=3)
    buffer = builder.buffer(matrix.tobytes())
    first = builder.tensor("shared", (64, 64), buffer=buffer, scale=0.01)
    second = first if same_tensor else builder.tensor("shared2", (64, 64), buffer=buffer, scale=0.02)
    bias = builder.tensor("bias", (64,), np.int32, data=np.arange(64, dtype=np.int32), scale=0.001)
    y = builder.fully_connected(x, first, (1, 64), bias=bias, name="a")
    z = builder.fully_connected(y, second, (1, 64), bias=bias, name="b")
    w = builder.fully_connected(z, first, (1, 64), name="c")
    compressed, decisions = round_trip(builder.finish([x], [w]))
    assert all(decision.packed for decision in decisions)
    assert len({decision.candidate.blob for decision in decisions}) == 3
    assert b"bias" not in [t.name for t in compressed.subgraphs[0].tensors]


def test_weights_shared_across_subgraphs():
    builder = Builder()
    matrix = sparse_matrix(rng(), 64, 64, 0.9)
    buffer = builder.buffer(matrix.tobytes())
    for index in range(2):
        if index:
            builder.subgraph()
        x = builder.tensor("x", (1, 64), scale=0.1)
        weights = builder.tensor("w", (64, 64), buffer=buffer, scale=0.01)
        y = builder.fully_connected(x, weights, (1, 64))
        model = builder.finish([x], [y])
    compressed, decisions = round_trip(model)
    assert all(decision.packed for decision in decisions)
    assert len(compressed.buffers) == 3


def test_bias_that_another_operator_uses_stays():
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    bias = builder.tensor("bias", (64,), np.int32, data=np.arange(64, dtype=np.int32), scale=0.001)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 64, 0.9), (1, 64), bias=bias)
    copied = builder.tensor("copy", (64,), np.int32)
    builder.operator(OP.RESHAPE, [bias], [copied], schema.ReshapeOptionsT())
    compressed, (decision,) = round_trip(builder.finish([x], [y, copied]))
    assert decision.packed
    assert b"bias" in [t.name for t in compressed.subgraphs[0].tensors]


def test_offline_memory_plan_follows_the_tensors():
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    bias = np.zeros(64, np.int32)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 128, 0.9), (1, 64), bias=bias)
    model = builder.finish([x], [y])
    # x, weights, bias, out
    plan = np.array([1, 0, 4, 0, -1, -1, 128], np.int32)
    model.metadata = [schema.MetadataT(name="OfflineMemoryAllocation", buffer=builder.buffer(plan.tobytes()))]
    compressed, _ = round_trip(model)
    (entry,) = (e for e in compressed.metadata if e.name == b"OfflineMemoryAllocation")
    got = np.frombuffer(bytes(compressed.buffers[entry.buffer].data), np.int32)
    assert got.tolist() == [1, 0, 3, 0, -1, 128]

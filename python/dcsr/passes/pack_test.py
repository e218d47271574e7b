"""Compressing and decompressing models made for each case. Exact outputs are tested in //tests."""

import copy
import io
import zipfile
import zlib

import numpy as np
import pytest
from flatbuffers import flexbuffers

from dcsr import convert, encodings, layers
from dcsr import model as tflite
from dcsr.convert import RECORD_NAME
from dcsr.schema import schema
from dcsr.testing.compare import assert_same, without_ranges
from dcsr.testing.models import Builder, conv_model, fully_connected_model, sparse_matrix

OP = schema.BuiltinOperator


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def through_bytes(model: schema.ModelT) -> schema.ModelT:
    """The model as a file gives it, with numpy vectors and byte strings."""
    return tflite.parse(tflite.serialize(model), "m")


def round_trip(model: schema.ModelT, **options) -> tuple[schema.ModelT, list[convert.Choice]]:
    """Compresses `model` and asserts that decompress gives it back; returns the compressed one and the choices."""
    original = through_bytes(model)
    untouched = copy.deepcopy(original)
    compressed, choices = convert.compress(original, "m", **options)
    assert_same(untouched, original)
    compressed = through_bytes(compressed)
    if any(choice.packed for choice in choices):
        assert_same(original, convert.decompress(compressed, "m"))
        assert RECORD_NAME in [entry.name for entry in compressed.metadata]
    else:
        assert_same(original, compressed)
    return compressed, choices


def names(model: schema.ModelT) -> list[list[str]]:
    return [[tflite.operator_name(model, operator) for operator in subgraph.operators] for subgraph in model.subgraphs]


def add(builder: Builder, x: int, y: int, shape) -> int:
    out = builder.tensor("sum", shape, scale=0.5, zero_point=1)
    builder.operator(OP.ADD, [x, y], [out], schema.AddOptionsT(potScaleInt16=True))
    return out


@pytest.mark.parametrize("method", [m for m in convert.METHODS if m != "none"])
@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_single_layer(method, make, with_bias, per_channel):
    matrix = sparse_matrix(rng(), 40, 200, 0.9)
    model = make(rng(), matrix, with_bias=with_bias, per_channel=per_channel)
    compressed, (choice,) = round_trip(model, method=method)
    assert choice.packed is not None
    assert len(choice.packed.multiplier) == (40 if per_channel else 1)
    np.testing.assert_array_equal(encodings.decode(choice.packed.streams), matrix)
    code = "DCSR_CONV_2D" if make is conv_model else "DCSR_FULLY_CONNECTED"
    assert names(compressed) == [[code]]
    # Activations, packed layer, output; the bias is gone with its buffer.
    assert len(compressed.subgraphs[0].tensors) == 3
    assert len(tflite.serialize(compressed)) < len(tflite.serialize(model))


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
@pytest.mark.parametrize("with_bias", [True, False])
def test_int16_activations(make, with_bias):
    matrix = sparse_matrix(rng(), 40, 200, 0.9)
    compressed, (choice,) = round_trip(make(rng(), matrix, int16=True, with_bias=with_bias))
    assert choice.packed.int16_activations and choice.packed.bias.dtype == np.int64
    assert choice.layer.op.endswith(", int16")
    (layer,) = layers.find(compressed)
    assert layer.op.startswith("DCSR_") and layer.op.endswith(", int16")
    options = flexbuffers.Loads(bytes(compressed.subgraphs[0].operators[0].customOptions))
    assert options["activations"] == "INT16"


@pytest.mark.parametrize(
    "change,note",
    [
        (lambda t: setattr(t[0].quantization, "zeroPoint", np.array([1])), "int16 input with a zero point"),
        (lambda t: setattr(t[3].quantization, "zeroPoint", np.array([-1])), "int16 output with a zero point"),
        (lambda t: setattr(t[2], "type", schema.TensorType.INT32), "int32 bias with int16 activations"),
        (
            lambda t: setattr(t[3].quantization, "scale", np.array([1e-9], np.float32)),
            "requantisation scale too large for int16",
        ),
    ],
)
def test_int16_layers_that_stay_say_why(change, note):
    model = through_bytes(conv_model(rng(), sparse_matrix(rng(), 40, 200, 0.9), int16=True))
    change(model.subgraphs[0].tensors)
    _, (choice,) = convert.compress(model, "m")
    assert choice.note == note and not choice.packed


@pytest.mark.parametrize("value", [1 << 46, -(1 << 46), -(1 << 63)])
def test_int16_bias_beyond_what_tflm_computes_stays(value):
    model = through_bytes(conv_model(rng(), sparse_matrix(rng(), 40, 200, 0.9), int16=True))
    bias = model.subgraphs[0].tensors[2]
    values = np.frombuffer(bytes(model.buffers[bias.buffer].data), np.int64).copy()
    values[7] = value
    model.buffers[bias.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    _, (choice,) = convert.compress(model, "m")
    assert choice.note == "bias too large"


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
    compressed, (choice,) = round_trip(model)
    assert choice.packed.filter_size == filter_size and choice.packed.dilation == dilation
    assert choice.packed.same_padding == (padding == "SAME")
    np.testing.assert_array_equal(encodings.decode(choice.packed.streams), matrix)
    options = flexbuffers.Loads(bytes(compressed.subgraphs[0].operators[0].customOptions))
    assert options.items() >= {"filter_h": filter_size[0], "filter_w": filter_size[1]}.items()
    assert options.items() >= {"dilation_h": dilation[0], "dilation_w": dilation[1], "padding": padding}.items()
    (layer,) = layers.find(compressed)
    assert layer.op == f"DCSR_CONV_2D {filter_size[0]}x{filter_size[1]}"
    assert layer.packed.filter_size == filter_size and layer.packed.stride == (1, 2)


@pytest.mark.parametrize(
    "change,note",
    [
        (lambda t, o: setattr(t[3], "shape", np.array([1, 5, 6, 64])), "unusual shapes"),
        (lambda t, o: setattr(t[3], "shape", None), "unusual shapes"),
        (lambda t, o: setattr(o.builtinOptions, "padding", schema.Padding.VALID), "unusual shapes"),
        (lambda t, o: setattr(o.builtinOptions, "padding", 2), "unknown padding"),
        (lambda t, o: setattr(o.builtinOptions, "dilationHFactor", 0), "dilation (0, 1)"),
        (lambda t, o: setattr(o.builtinOptions, "dilationWFactor", 256), "dilation (1, 256)"),
        (lambda t, o: setattr(o.builtinOptions, "strideW", 0), "stride (1, 0)"),
    ],
)
def test_convolutions_that_do_not_fit_the_format_say_why(change, note):
    bias = np.zeros(64, np.int32)
    builder = Builder()
    x = builder.tensor("x", (1, 5, 5, 20), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng(), 64, 180, 0.9), filter_size=(3, 3), bias=bias)
    model = builder.finish([x], [y])
    change(model.subgraphs[0].tensors, model.subgraphs[0].operators[0])
    _, (choice,) = round_trip(model)
    assert choice.note == note


def test_constant_buffers_are_aligned_to_16():
    model = conv_model(rng(), sparse_matrix(rng(), 37, 201, 0.9))
    data = tflite.serialize(convert.compress(through_bytes(model), "m")[0])
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
    compressed, (choice,) = round_trip(builder.finish([x], [y]))
    assert choice.packed
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
    compressed, choices = round_trip(model)
    assert [bool(c.packed) for c in choices] == [True, False, True]
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
    compressed, choices = round_trip(model)
    assert all(choice.packed for choice in choices)
    assert names(compressed) == [["DCSR_FULLY_CONNECTED"]] * 3


def test_operators_that_agree_in_all_share_a_packed_layer():
    builder = Builder()
    matrix = sparse_matrix(rng(), 64, 64, 0.9)
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("shared", (64, 64), data=matrix, scale=0.01)
    y = builder.fully_connected(x, weights, (1, 64))
    z = builder.fully_connected(x, weights, (1, 64))
    compressed, choices = round_trip(builder.finish([x], [add(builder, y, z, (1, 64))]))
    assert all(choice.packed for choice in choices)
    packed = {int(op.inputs[1]) for op in compressed.subgraphs[0].operators[:2]}
    assert len(packed) == 1
    # the empty one, the packed layer, the record
    assert len(compressed.buffers) == 3


@pytest.mark.parametrize("same_tensor", [True, False])
def test_shared_weights_with_different_scales(same_tensor):
    """Two packed layers of one matrix, as the requantisation differs; both replace the weights."""
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
    compressed, choices = round_trip(builder.finish([x], [w]))
    assert all(choice.packed for choice in choices)
    assert len({choice.blob for choice in choices}) == 3
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
    compressed, choices = round_trip(model)
    assert all(choice.packed for choice in choices)
    assert len(compressed.buffers) == 3


def test_weights_that_another_operator_uses_stay():
    builder = Builder()
    matrix = sparse_matrix(rng(), 64, 64, 0.9)
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("w", (64, 64), data=matrix, scale=0.01)
    y = builder.fully_connected(x, weights, (1, 64))
    total = add(builder, weights, y, (64, 64))
    _, (choice,) = round_trip(builder.finish([x], [total]))
    assert choice.packed is None
    assert choice.note == "weights also used by operator 1 ADD"


def test_weights_that_are_an_output_stay():
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("w", (64, 64), data=sparse_matrix(rng(), 64, 64, 0.9), scale=0.01)
    y = builder.fully_connected(x, weights, (1, 64))
    _, (choice,) = round_trip(builder.finish([x], [y, weights]))
    assert choice.note == "weights also used by the model's inputs or outputs"


def test_bias_that_another_operator_uses_stays():
    builder = Builder()
    x = builder.tensor("x", (1, 64), scale=0.1)
    bias = builder.tensor("bias", (64,), np.int32, data=np.arange(64, dtype=np.int32), scale=0.001)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 64, 0.9), (1, 64), bias=bias)
    copied = builder.tensor("copy", (64,), np.int32)
    builder.operator(OP.RESHAPE, [bias], [copied], schema.ReshapeOptionsT())
    compressed, (choice,) = round_trip(builder.finish([x], [y, copied]))
    assert choice.packed
    assert b"bias" in [t.name for t in compressed.subgraphs[0].tensors]


@pytest.mark.parametrize("sparsity", [1.0, 0.0])
def test_all_zero_and_full_layers(sparsity):
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, sparsity))
    _, (choice,) = round_trip(model, min_sparsity=0)
    assert bool(choice.packed) == (sparsity == 1.0)
    if not choice.packed:
        assert choice.note == "would not get smaller"


def test_tiny_layers_stay():
    _, (choice,) = round_trip(fully_connected_model(rng(), sparse_matrix(rng(), 4, 8, 0.8)))
    assert choice.note == "would not get smaller"


@pytest.mark.parametrize("rows,cols", [(16, 16), (24, 24), (32, 32), (40, 40), (64, 64)])
@pytest.mark.parametrize("method", ["dcsr", "dcsr8", "offset8", "rle", "rice", "rice+huffman", "bitmap"])
def test_files_never_grow(rows, cols, method):
    model = through_bytes(fully_connected_model(rng(), sparse_matrix(rng(), rows, cols, 0.9)))
    compressed, _ = round_trip(model, method=method)
    assert len(tflite.serialize(compressed)) <= len(tflite.serialize(model))


def test_tensors_that_only_signatures_and_buffers_that_only_metadata_name_stay():
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    bias = np.zeros(64, np.int32)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 128, 0.9), (1, 64), bias=bias)
    model = builder.finish([x], [y])
    graph = model.subgraphs[0]
    model.signatureDefs = [
        schema.SignatureDefT(
            inputs=[schema.TensorMapT(name="b", tensorIndex=2)], outputs=[], signatureKey="s", subgraphIndex=0
        )
    ]
    _, (choice,) = round_trip(model)
    assert choice.packed
    model.metadataBuffer = np.array([graph.tensors[1].buffer], np.int32)
    _, (choice,) = round_trip(model)
    assert choice.note == "weights also used by the model's metadata"


def test_min_sparsity_and_method_none():
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.7))
    assert round_trip(model)[1][0].packed
    assert round_trip(model, min_sparsity=0.9)[1][0].note == "below --min-sparsity 90 %"
    assert round_trip(model, method="none")[1][0].note == "--method none"


def obstacle(change) -> str:
    """Why a sparse FULLY_CONNECTED stays after `change(tensors, operator)`."""
    builder = Builder()
    x = builder.tensor("x", (1, 128), scale=0.1)
    bias = np.zeros(64, np.int32)
    y = builder.fully_connected(x, sparse_matrix(rng(), 64, 128, 0.9), (1, 64), bias=bias)
    z = builder.fully_connected(y, sparse_matrix(rng(), 64, 64, 0.0), (1, 64), name="other")
    model = builder.finish([x], [z])
    graph = model.subgraphs[0]
    operator = graph.operators[0]
    change([graph.tensors[i] for i in [*operator.inputs, *operator.outputs]], operator)
    _, choices = round_trip(model)
    assert choices[0].packed is None
    return choices[0].note


@pytest.mark.parametrize(
    "change,note",
    [
        (
            lambda t, o: setattr(t[1].quantization, "zeroPoint", np.array([1])),
            "weight zero point is not 0",
        ),
        (lambda t, o: setattr(t[1], "quantization", None), "weights not quantised"),
        (lambda t, o: setattr(t[1].quantization, "zeroPoint", None), "weights not quantised"),
        (lambda t, o: setattr(t[0].quantization, "zeroPoint", None), "input without per-tensor quantisation"),
        (lambda t, o: setattr(t[1], "isVariable", True), "weights not constant"),
        (lambda t, o: setattr(t[1], "shape", np.array([0, 128])), "unusual shapes"),
        (lambda t, o: setattr(t[0], "type", schema.TensorType.INT16), "int8 output for an int16 input"),
        (lambda t, o: setattr(t[2], "type", schema.TensorType.INT64), "int64 bias"),
        (lambda t, o: setattr(t[1], "buffer", 0), "weights not constant"),
        (lambda t, o: setattr(t[2], "buffer", 0), "bias not constant"),
        (lambda t, o: setattr(t[0], "quantization", None), "input without per-tensor quantisation"),
        (
            lambda t, o: setattr(t[1].quantization, "scale", np.ones(5, np.float32)),
            "5 weight scales for 64 rows",
        ),
        (
            lambda t, o: (
                setattr(t[1].quantization, "scale", np.ones(64, np.float32)),
                setattr(t[1].quantization, "quantizedDimension", 1),
            ),
            "quantised along the input channels",
        ),
        (lambda t, o: setattr(o.builtinOptions, "weightsFormat", 1), "shuffled weights"),
        (lambda t, o: setattr(o.builtinOptions, "fusedActivationFunction", 4), "activation TANH"),
    ],
)
def test_layers_that_cannot_be_packed_say_why(change, note):
    assert obstacle(change) == note


@pytest.mark.parametrize(
    "filter_size,channels,note",
    [
        ((3, 3), 10, "grouped convolution"),
        ((1, 1), 10, "grouped convolution"),
        ((256, 1), 20, "256x1 filter"),
    ],
)
def test_convolutions_that_stay(filter_size, channels, note):
    builder = Builder()
    x = builder.tensor("x", (1, 5, 5, 20), scale=0.1)
    taps = filter_size[0] * filter_size[1]
    weights = builder.tensor(
        "w",
        (64, *filter_size, channels),
        data=sparse_matrix(rng(), 64, taps * channels, 0.9),
        scale=0.01,
    )
    y = builder.conv_2d(x, weights)
    _, (choice,) = round_trip(builder.finish([x], [y]))
    assert choice.note == note


@pytest.mark.parametrize("dtype,text", [(np.float32, "float32 weights"), (np.uint8, "uint8 weights")])
def test_models_that_are_not_int8_are_refused(dtype, text):
    builder = Builder()
    x = builder.tensor("x", (1, 8), dtype)
    weights = builder.tensor("dense/MatMul", (4, 8), dtype, data=np.zeros((4, 8), dtype))
    y = builder.tensor("y", (1, 4), dtype)
    builder.operator(OP.FULLY_CONNECTED, [x, weights, -1], [y], schema.FullyConnectedOptionsT())
    with pytest.raises(tflite.ModelError) as error:
        convert.compress(through_bytes(builder.finish([x], [y])), "kws.tflite")
    message = f"kws.tflite: subgraph 0, tensor 1 'dense/MatMul': {text}; convert the model to int8 first"
    assert str(error.value).startswith(message)


def test_compressed_models_are_refused():
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9))
    compressed, _ = round_trip(model)
    with pytest.raises(tflite.ModelError, match="compressed already"):
        convert.compress(compressed, "m")
    with pytest.raises(tflite.ModelError, match="no compressed layers"):
        convert.decompress(through_bytes(model), "m")


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


def test_files_attached_to_the_model_are_kept():
    """TFLite Metadata appends label files as a ZIP archive to the flatbuffer."""
    data = tflite.serialize(fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9)))
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "yes\nno\n" * 50)
    compressed, (choice,) = convert.compress(tflite.parse(stream.getvalue(), "m"), "m")
    assert choice.packed
    result = tflite.serialize(compressed)
    back = tflite.serialize(convert.decompress(tflite.parse(result, "c"), "c"))
    for form in (result, back):
        with zipfile.ZipFile(io.BytesIO(form)) as archive:
            assert archive.testzip() is None
            assert archive.read("labels.txt") == b"yes\nno\n" * 50
    assert back.startswith(data)
    damaged = result.replace(b"PK\1\2", b"PK\1\3")
    with pytest.raises(tflite.ModelError, match="ZIP archive"):
        tflite.parse(damaged, "m")


def record_of(compressed: schema.ModelT) -> bytes:
    (entry,) = (e for e in compressed.metadata if e.name == RECORD_NAME)
    return bytes(compressed.buffers[entry.buffer].data)


def with_ranges(model: schema.ModelT) -> schema.ModelT:
    """The model with min and max for all that is quantised, as older converters write them."""
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        if tensor.quantization is not None:
            values = np.random.default_rng(index).random(len(tensor.quantization.scale)).astype(np.float32)
            tensor.quantization.min, tensor.quantization.max = -values, 2 * values
    return model


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
@pytest.mark.parametrize("ranges", [True, False])
def test_record_has_nothing_for_each_channel(make, ranges):
    """Scales follow from the requantisation, bit for bit, and zero points are 0; ranges are dropped."""
    model = make(rng(), sparse_matrix(rng(), 512, 512, 0.9), per_channel=True)
    x, weights, bias = model.subgraphs[0].tensors[:3]
    weights.quantization.scale = (10 ** rng().uniform(-6, 0, 512)).astype(np.float32)
    bias.quantization.scale = layers.derived_bias_scale(x, weights)
    original = through_bytes(with_ranges(model) if ranges else model)
    compressed, choices = convert.compress(original, "m")
    assert choices[0].packed
    assert len(record_of(compressed)) < 512
    back = convert.decompress(through_bytes(compressed), "m")
    assert_same(without_ranges(original, choices), back)
    # Ranges of what is not replaced stay.
    assert (back.subgraphs[0].tensors[0].quantization.min is not None) == ranges


def test_scales_that_do_not_follow_from_the_requantisation_are_recorded():
    model = conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True)
    # TFLM takes such a scale for 0.
    model.subgraphs[0].tensors[1].quantization.scale[3] = 1e-14
    compressed, choices = round_trip(model)
    assert choices[0].packed and choices[0].packed.multiplier[3] == 0


def test_single_scales_that_differ_do_not_cost_the_others():
    """As a converter leaves them in channels without nonzeros: a bias scale that is off by one bit."""
    model = conv_model(rng(), sparse_matrix(rng(), 512, 128, 0.9), per_channel=True)
    x, weights, bias = model.subgraphs[0].tensors[:3]
    weights.quantization.scale = (10 ** rng().uniform(-6, 0, 512)).astype(np.float32)
    bias.quantization.scale = layers.derived_bias_scale(x, weights)
    length = len(record_of(round_trip(model)[0]))
    bias.quantization.scale[7] = np.nextafter(bias.quantization.scale[7], np.float32(1))
    assert len(record_of(round_trip(model)[0])) < length + 64
    bias.quantization.scale[8] = 0  # stands for itself nevertheless
    round_trip(model)


def test_records_of_the_first_version_are_read():
    compressed, _ = round_trip(conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=True))
    (entry,) = (e for e in compressed.metadata if e.name == RECORD_NAME)
    back = []
    for version in (2, 1, 3):
        record = convert._unpack_record(compressed.buffers[entry.buffer].data)
        record.version = version
        compressed.buffers[entry.buffer].data = np.frombuffer(convert._pack_record(record), np.uint8)
        if version in (1, 2):
            back.append(tflite.serialize(convert.decompress(compressed, "m")))
        else:
            with pytest.raises(tflite.ModelError, match="of version 3"):
                convert.decompress(compressed, "m")
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
    stripped = through_bytes(convert.compress(through_bytes(model), "m", strip=True)[0])
    graph = stripped.subgraphs[0]
    assert {tensor.name for tensor in graph.tensors} == {None} and graph.name is None
    assert stripped.description is None and stripped.signatureDefs is None
    assert [entry.name for entry in stripped.metadata] == [b"OfflineMemoryAllocation"]
    kept = stripped.buffers[stripped.metadata[0].buffer].data
    assert np.frombuffer(bytes(kept), np.int32).tolist() == [1, 0, 3, 0, -1, 1 << 14]
    assert graph.operators[0].customOptions is None
    # The empty one, the packed layer, the plan of the arena.
    assert len(stripped.buffers) == 3 and stripped.buffers[0].data is None
    with pytest.raises(tflite.ModelError, match="m: has no 'dcsr_original' metadata.*--strip"):
        convert.decompress(stripped, "m")


def test_strip_keeps_one_of_equal_zero_points():
    model = conv_model(rng(), sparse_matrix(rng(), 64, 128, 0.1), per_channel=True)
    stripped, (choice,) = convert.compress(through_bytes(model), "m", strip=True)
    assert choice.packed is None
    weights = stripped.subgraphs[0].tensors[1]
    assert weights.quantization.zeroPoint.tolist() == [0]
    assert len(weights.quantization.scale) == 64


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
            convert.decompress(compressed, "m")
        except tflite.ModelError as error:
            assert str(error).startswith("m: ")
    compressed.metadata = None
    with pytest.raises(tflite.ModelError, match="stripped"):
        convert.decompress(compressed, "m")


@pytest.mark.parametrize("make", [fully_connected_model, conv_model])
def test_packed_layer_multipliers_are_tflm_s_for_each_kind(make):
    """Per-tensor FULLY_CONNECTED multiplies the scales in float, everything else in double."""
    for scale in np.linspace(0.001, 0.1, 40, dtype=np.float32):
        model = make(rng(), np.ones((2, 8), np.int8), per_channel=False)
        graph = model.subgraphs[0]
        graph.tensors[1].quantization.scale[0] = scale
        (layer,) = layers.find(model)
        packed = layers.packed_layer(model, layer, "dense")
        x, w, y = (graph.tensors[i].quantization.scale[0] for i in (0, 1, 3))
        product = float(x * w) if make is fully_connected_model else float(x) * float(w)
        mantissa, exponent = np.frexp(product / float(y))
        assert int(packed.multiplier[0]) == round(mantissa * 2**31)
        assert int(packed.shift[0]) == exponent

"""Tests the limits on tables, elements and memory that a model file may ask for, and references that lead nowhere."""

import zlib

import numpy as np
import pytest

import dcsr
from dcsr import model as tflite
from dcsr import model_check, packing, structure
from dcsr.custom_ops import CUSTOM_CODES
from dcsr.passes import record
from dcsr.schema import schema
from dcsr.testing.models import Builder, conv_model, fully_connected_model, sparse_matrix


def small_model() -> schema.ModelT:
    rng = np.random.default_rng(0)
    return fully_connected_model(rng, sparse_matrix(rng, 40, 60, 0.9))


class SharedVectors(schema.SubGraphT):
    """A subgraph that is written once; all references lead to the same table."""

    def Pack(self, builder):  # noqa: N802 (generated name)
        if id(builder) not in self.written:
            self.written[id(builder)] = super().Pack(builder)
        return self.written[id(builder)]


def bomb(subgraphs: int, tensors: int) -> bytes:
    """A model whose subgraphs are all the same table, and so are the tensors of that table."""
    builder = Builder()
    for number in range(tensors):
        builder.tensor(f"t{number}", (1, 2), scale=1.0)
    model = builder.finish([0], [1])
    shared = SharedVectors(**vars(model.subgraphs[0]))
    shared.written = {}
    model.subgraphs = [shared] * subgraphs
    return tflite.serialize(model)


def test_shared_tables_are_refused_by_every_tool():
    data = bomb(300, 40)
    assert len(data) < 10_000
    for function in (dcsr.compress, dcsr.decompress, dcsr.inspect, lambda d: dcsr.verify(d, d)):
        with pytest.raises(dcsr.ModelError, match="tables of the file are too many for its size"):
            function(data)
    dcsr.inspect(bomb(3, 40))


class ZeroPointLast(schema.QuantizationParametersT):
    """Writes the zero points at the end of the table, as other writers do."""

    def Pack(self, builder):  # noqa: N802 (generated name)
        scale, zero_point = builder.CreateNumpyVector(self.scale), builder.CreateNumpyVector(self.zeroPoint)
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddZeroPoint(builder, zero_point)  # the first field is written at the end
        schema.QuantizationParametersAddScale(builder, scale)
        return schema.QuantizationParametersEnd(builder)


def test_last_field_of_a_table_may_be_the_offset_of_a_vector_of_long_numbers():
    model = small_model()
    old = model.subgraphs[0].tensors[0].quantization
    model.subgraphs[0].tensors[0].quantization = ZeroPointLast(scale=old.scale, zeroPoint=old.zeroPoint)
    parsed = tflite.parse(tflite.serialize(model), "m")
    assert parsed.subgraphs[0].tensors[0].quantization.zeroPoint.tolist() == old.zeroPoint.tolist()


def test_record_is_limited_like_a_file():
    model = tflite.parse(dcsr.compress(tflite.serialize(small_model()), slowest=1000).model, "m")
    (entry,) = [entry for entry in model.metadata if entry.name == record.RECORD_NAME]
    for content in (zlib.compress(bomb(300, 40)), zlib.compress(bytes(40 << 20)), zlib.compress(b"x" * 100)):
        model.buffers[entry.buffer].data = np.frombuffer(content, np.uint8)
        with pytest.raises(dcsr.ModelError, match="the record of the original is damaged"):
            dcsr.decompress(tflite.serialize(model))


def test_packed_layers_with_too_many_elements_are_refused():
    rng = np.random.default_rng(1)
    matrix = np.zeros((4, 1 << 17), np.int8)
    layer = dcsr.compress(tflite.serialize(fully_connected_model(rng, sparse_matrix(rng, 40, 60, 0.9))), slowest=1000)
    packed = layer.decisions[0].packed
    assert packed is not None
    blob = packing.pack(
        packing.PackedLayer(
            **{
                **vars(packed),
                "streams": dcsr.encode(matrix, "rle"),
                "bias": np.zeros(4, np.int32),
                "multiplier": np.full(4, 1 << 30, np.int32),
                "shift": np.zeros(4, np.int8),
            }
        )
    )
    builder = Builder()
    x = builder.tensor("x", (1, 1 << 17), scale=1.0)
    weights = builder.tensor("w", (len(blob),), data=np.frombuffer(blob, np.int8))
    outputs = []
    for _ in range(160):
        outputs.append(builder.tensor("y", (1, 4), scale=1.0))
        code = CUSTOM_CODES[packing.OP_FULLY_CONNECTED]
        builder.operator(schema.BuiltinOperator.CUSTOM, [x, weights], [outputs[-1]], custom=code)
    with pytest.raises(dcsr.ModelError, match="too many elements for the size of the model"):
        dcsr.inspect(tflite.serialize(builder.finish([x], outputs)))


def set_(path, value):
    """Returns a function that sets an attribute of the first subgraph; `path` names it."""

    def spoil(graph):
        *holders, last = path.split(".")
        target = graph
        for holder in holders:
            target = target[int(holder)] if holder.isdigit() else getattr(target, holder)
        setattr(target, last, np.array(value, np.int32) if isinstance(value, list) else value)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (set_("operators.0.outputs", [-1]), "there is no tensor -1"),
        (set_("operators.0.outputs", [-2]), "there is no tensor -2"),
        (set_("operators.0.inputs", [0, -2]), "there is no tensor -2"),
        (set_("operators.0.intermediates", [-1]), "there is no tensor -1"),
        (set_("inputs", [-1]), "there is no tensor -1"),
        (set_("outputs", [99]), "there is no tensor 99"),
        (set_("operators.0.outputs", []), "FULLY_CONNECTED without input or output"),
        (set_("operators.0.inputs", []), "FULLY_CONNECTED without input or output"),
        (set_("operators.0.inputs", [-1, 1]), "FULLY_CONNECTED without input or output"),
        (set_("tensors.0.shape", [1 << 30] * 9), "impossible shape"),
        (set_("tensors.0.shape", [65536, 65536]), "impossible shape"),
        (set_("tensors.0.buffer", 1), "has 2,400 bytes of data"),
    ],
)
def test_models_that_cannot_be_are_refused_by_every_tool(spoil, reason):
    model = small_model()
    spoil(model.subgraphs[0])
    if "bytes of data" in reason:
        model.subgraphs[0].tensors[0].shape = np.array([1, 6000], np.int32)
    data = tflite.serialize(model)
    functions = [dcsr.compress, lambda d: dcsr.verify(d, d)]
    if "bytes of data" not in reason:
        functions += [dcsr.inspect, dcsr.decompress]
    for function in functions:
        with pytest.raises(dcsr.ModelError, match=reason):
            function(data)


def test_missing_quantisation_and_odd_bias_are_refused_before_the_interpreter():
    builder = Builder()
    x, y, z = (builder.tensor(name, (1, 4), scale=1.0 if name != "y" else None) for name in "xyz")
    builder.operator(schema.BuiltinOperator.ADD, [x, y], [z], schema.AddOptionsT())
    with pytest.raises(ValueError, match="operator 0 ADD: its int8 tensor 'y' has no quantisation"):
        model_check.check_model(tflite.serialize(builder.finish([x, y], [z])))
    builder = Builder()
    x = builder.tensor("x", (1, 2, 2, 4), np.int16, scale=1.0)
    w = builder.tensor("w", (1, 1, 1, 4), data=np.ones(4), scale=[1.0] * 4, axis=3)
    b = builder.tensor("b", (4,), np.int32, data=np.ones(4), scale=[1.0] * 4)
    y = builder.tensor("y", (1, 2, 2, 4), np.int16, scale=1.0)
    options = schema.DepthwiseConv2DOptionsT(strideW=1, strideH=1, depthMultiplier=1)
    builder.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, [x, w, b], [y], options)
    data = tflite.serialize(builder.finish([x], [y]))
    with pytest.raises(dcsr.ModelError, match="its bias is int32, which TFLM reads as int64"):
        dcsr.verify(data, data)
    assert dcsr.compress(data).model == data


@pytest.mark.parametrize("name", ["strideW", "strideH", "dilationWFactor"])
@pytest.mark.parametrize("value", [0, -1])
def test_windows_that_do_not_move_are_refused_before_the_interpreter(name, value):
    rng = np.random.default_rng(0)
    model = conv_model(rng, sparse_matrix(rng, 8, 8, 0.5))
    setattr(model.subgraphs[0].operators[0].builtinOptions, name, value)
    data = tflite.serialize(model)
    with pytest.raises(dcsr.ModelError, match=f"operator 0 CONV_2D: its option {name} is {value}"):
        dcsr.verify(data, data)
    dcsr.inspect(data)
    dcsr.compress(data)


@pytest.mark.parametrize("convolution", [True, False])
@pytest.mark.parametrize("shape", [[1, 7], [1, 1, 1, 1], [9, 9, 9, 9]])
def test_outputs_that_a_layer_overruns_are_refused_before_the_interpreter(convolution, shape):
    rng = np.random.default_rng(0)
    model = conv_model(rng, sparse_matrix(rng, 8, 8, 0.5)) if convolution else small_model()
    model.subgraphs[0].tensors[model.subgraphs[0].operators[0].outputs[0]].shape = np.array(shape, np.int32)
    data = tflite.serialize(model)
    with pytest.raises(dcsr.ModelError, match="of shape|have the shapes"):
        dcsr.verify(data, data)


def test_custom_codes_cannot_control_the_terminal():
    builder = Builder()
    x = builder.tensor("x", (1, 4), scale=1.0)
    c = builder.tensor("c", (4,), data=np.ones(4), scale=1.0)
    y = builder.tensor("y", (1, 4), scale=1.0)
    builder.operator(schema.BuiltinOperator.CUSTOM, [x, c], [y], custom="\x1b[31m")
    text = str(dcsr.inspect(tflite.serialize(builder.finish([x], [y]))))
    assert "?[31m" in text and "\x1b" not in text


@pytest.mark.parametrize("shape", [[], [0], [3], [1, 3, 3, 0]])
def test_weights_of_any_shape_can_be_inspected(shape):
    builder = Builder()
    x = builder.tensor("x", (1, 4, 4, 2), scale=1.0)
    w = builder.tensor("w", (1, 3, 3, 2), data=np.ones(18), scale=1.0)
    y = builder.tensor("y", (1, 4, 4, 2), scale=1.0)
    for code in ("DEPTHWISE_CONV_2D", "CONV_2D", "FULLY_CONNECTED"):
        options = {"DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT(), "CONV_2D": schema.Conv2DOptionsT()}
        builder.operator(getattr(schema.BuiltinOperator, code), [x, w], [y], options.get(code))
    model = builder.finish([x], [y])
    model.subgraphs[0].tensors[w].shape = np.array(shape, np.int32)
    data = tflite.serialize(model)
    assert len(dcsr.inspect(data).layers) == 3
    try:
        assert dcsr.compress(data).model == data
    except dcsr.ModelError as error:
        assert "damaged" in str(error) or "convert the model to int8" in str(error)


def test_tensors_that_nothing_writes_are_named():
    model = small_model()
    model.subgraphs[0].inputs = np.array([], np.int32)
    data = tflite.serialize(model)
    with pytest.raises(
        dcsr.ModelError, match="operator 0 FULLY_CONNECTED: reads tensor 0 'x', which nothing has written"
    ):
        dcsr.verify(data, data)
    model = small_model()
    model.subgraphs[0].operators = []
    with pytest.raises(dcsr.ModelError, match="nothing writes its output"):
        dcsr.verify(tflite.serialize(model), tflite.serialize(model))


def test_a_custom_code_on_a_builtin_operator_is_not_taken_for_ours():
    model = small_model()
    model.operatorCodes[0].customCode = CUSTOM_CODES[packing.OP_FULLY_CONNECTED]
    data = tflite.serialize(model)
    result = dcsr.compress(data, slowest=1000)
    assert result.totals.layer_bytes and dcsr.verify(data, result.model, samples=2).identical


def test_output_that_does_not_fit_keeps_the_layer_dense():
    model = small_model()
    rows = model.subgraphs[0].tensors[-1].shape[-1]
    model.subgraphs[0].tensors[-1].shape = np.array([1, int(rows), 1], np.int32)
    result = dcsr.compress(tflite.serialize(model))
    assert [row.note for row in result.layers] == ["unusual shapes"]


@pytest.mark.parametrize("kind", ["truncated", "changed"])
def test_no_damage_escapes_the_check(kind):
    rng = np.random.default_rng(2)
    data = tflite.serialize(conv_model(rng, sparse_matrix(rng, 4, 8, 0.5)))
    for position in range(0, len(data), 3 if kind == "truncated" else 2):
        if kind == "truncated":
            damaged = data[:position]
        else:
            damaged = data[:position] + bytes([data[position] ^ int(rng.integers(1, 256))]) + data[position + 1 :]
        try:
            tflite.parse(damaged, "m")
        except tflite.ModelError:
            continue
        # What passes can be unpacked completely.
        schema.ModelT.InitFromPackedBuf(damaged, 0)


def test_every_field_of_the_schema_has_a_kind():
    tables = [kind for kind in vars(schema).values() if isinstance(kind, type) and hasattr(kind, "Init")]
    layouts = {kind.__name__: structure._layout(kind) for kind in tables}
    assert len(layouts) > 150
    for name, (layout, known) in layouts.items():
        assert set(layout) <= set(range(known)), name
        assert len(layout) == known or name in ("ResizeBilinearOptions", "SignatureDef"), name  # deprecated fields
    tensor = {field.name: field.kind for field in layouts["Tensor"][0].values()}
    assert tensor["Shape"] == "numbers" and tensor["Name"] == "string" and tensor["Quantization"] == "table"
    assert layouts["SubGraph"][0][0].table is schema.Tensor

"""Tests which channels go, that everything unknown keeps its channels, and how shared parts are handled."""

import copy

import numpy as np
import pytest

from dcsr import compressing
from dcsr import model as tflite
from dcsr.graph import indices
from dcsr.passes.dead_channels import NAME, dead_channels
from dcsr.passes.record import lost_before_packing
from dcsr.schema import schema
from dcsr.testing.compare import assert_same
from dcsr.testing.models import Builder, sparse_matrix
from dcsr.testing.random_graphs import random_graph
from dcsr.testing.round_trip import UNBOUNDED, through_bytes

OP = schema.BuiltinOperator
DEAD = [1, 4]  # of 6 channels
LIVE = [0, 2, 3, 5]


def matrix(rows: int, cols: int, dead: list[int] | None = None, channels: int = 6) -> np.ndarray:
    """Returns weights without zeros, but for the columns of dead channels."""
    weights = np.random.default_rng(rows * cols).integers(1, 100, (rows, cols)).astype(np.int8)
    width = channels if cols % channels == 0 else cols
    weights.reshape(rows, -1, width)[..., [channel for channel in dead or [] if channel < width]] = 0
    return weights


class Chain:
    """A convolution with 6 output channels, operators of the test, and a 1x1 convolution that reads 4 channels."""

    def __init__(self, dtype: type = np.int8, size: int = 4) -> None:
        self.builder = Builder()
        self.dtype = dtype
        self.zero_point = 3 if dtype is np.int8 else 0
        self.x = self.builder.tensor("x", (1, size, size, 3), dtype, scale=0.1)
        self.bias = np.arange(100, 700, 100).astype(np.int32 if dtype is np.int8 else np.int64)
        self.first = self.convolution(self.x, matrix(6, 3), "first", bias=self.bias)

    def convolution(self, x: int, weights: np.ndarray, name: str, **options: object) -> int:
        scale = np.linspace(0.001, 0.002, len(weights))
        zero_point = {"output_zero_point": self.zero_point}
        return self.builder.conv_2d(x, weights, weight_scale=scale, name=name, **zero_point | options)

    def operator(self, code: int, inputs: list[int], shape: tuple[int, ...], options: object = None) -> int:
        name = f"out{len(self.builder.model.subgraphs[0].tensors)}"
        y = self.builder.tensor(name, shape, self.dtype, scale=0.5, zero_point=self.zero_point)
        self.builder.operator(code, inputs, [y], options)
        return y

    def finish(self, last: int, *outputs: int, name: str = "last") -> schema.ModelT:
        """Adds the last layer, which does not read the dead channels."""
        columns = self.builder.shape(last)[-1]
        y = self.convolution(last, matrix(5, columns, DEAD), name)
        return through_bytes(self.builder.finish([self.x], [y, *outputs]))


def shapes(model: schema.ModelT) -> dict[str, list[int]]:
    return {tflite.text(tensor.name): indices(tensor.shape) for tensor in model.subgraphs[0].tensors}


def tensor(model: schema.ModelT, name: str) -> tuple[schema.TensorT, bytes]:
    (found,) = (t for t in model.subgraphs[0].tensors if tflite.text(t.name) == name)
    return found, tflite.buffer_bytes(model, found)


def removed_from(model: schema.ModelT) -> tuple[schema.ModelT, dict[str, list[int]]]:
    """Returns (the model without dead channels, its shapes). Asserts what always holds."""
    untouched = copy.deepcopy(model)
    result, done = dead_channels(model)
    assert_same(untouched, model)
    assert done.name == NAME and not done.can_be_undone
    result = through_bytes(result)
    for ends in ("inputs", "outputs"):
        for before, after in zip(getattr(model.subgraphs[0], ends), getattr(result.subgraphs[0], ends), strict=True):
            assert_same(model.subgraphs[0].tensors[before], result.subgraphs[0].tensors[after])
    names = [t.name for t in model.subgraphs[0].tensors]
    assert [t.name for t in result.subgraphs[0].tensors][: len(names)] == names
    assert not dead_channels(result)[1].changes
    return result, shapes(result)


def test_rows_of_the_producer_and_columns_of_the_consumer_go():
    chain = Chain()
    model = chain.finish(chain.first)
    result, after = removed_from(model)
    assert after["first/weights"] == [4, 1, 1, 3] and after["first/bias"] == [4]
    assert after["first/out"] == [1, 4, 4, 4] and after["last/weights"] == [5, 1, 1, 4]
    assert after["last/out"] == [1, 4, 4, 5]
    found, content = tensor(result, "first/weights")
    assert np.array_equal(np.frombuffer(content, np.int8).reshape(4, 3), matrix(6, 3)[LIVE])
    assert np.array_equal(found.quantization.scale, np.linspace(0.001, 0.002, 6).astype(np.float32)[LIVE])
    assert len(found.quantization.zeroPoint) == 4
    assert np.array_equal(np.frombuffer(tensor(result, "first/bias")[1], np.int32), chain.bias[LIVE])
    assert np.array_equal(
        np.frombuffer(tensor(result, "last/weights")[1], np.int8).reshape(5, 4), matrix(5, 6, DEAD)[:, LIVE]
    )
    ((_, first), (_, last)) = sorted(dead_channels(model)[1].removed.items())
    assert (first.channels_before, first.channels_after) == (6, 4)
    assert (last.inputs_before, last.inputs_after, last.channels_after) == (6, 4, 5)
    assert (first.bytes_before, first.bytes_after) == (18 + 24, 12 + 16)


def test_int16_layers():
    chain = Chain(np.int16)
    result, after = removed_from(chain.finish(chain.first))
    assert after["first/bias"] == [4]
    assert np.array_equal(np.frombuffer(tensor(result, "first/bias")[1], np.int64), chain.bias[LIVE])


def constant(chain: Chain, shape: tuple[int, ...]) -> int:
    return chain.builder.tensor("constant", shape, data=np.arange(1, 1 + np.prod(shape)), scale=0.1)


def integers(chain: Chain, values: list) -> int:
    data = np.array(values, np.int32)
    return chain.builder.tensor("integers", data.shape, np.int32, data=data)


IMAGE = (1, 4, 4, 6)
TIED = {
    "RELU": lambda c, x: c.operator(OP.RELU, [x], IMAGE),
    "LOGISTIC": lambda c, x: c.operator(OP.LOGISTIC, [x], IMAGE),
    "QUANTIZE": lambda c, x: c.operator(OP.QUANTIZE, [x], IMAGE, schema.QuantizeOptionsT()),
    "MAX_POOL_2D": lambda c, x: c.operator(OP.MAX_POOL_2D, [x], (1, 2, 2, 6), schema.Pool2DOptionsT()),
    "AVERAGE_POOL_2D": lambda c, x: c.operator(OP.AVERAGE_POOL_2D, [x], (1, 2, 2, 6), schema.Pool2DOptionsT()),
    "MUL by a constant": lambda c, x: c.operator(OP.MUL, [x, constant(c, (6,))], IMAGE, schema.MulOptionsT()),
    "ADD of an image": lambda c, x: c.operator(OP.ADD, [constant(c, IMAGE), x], IMAGE, schema.AddOptionsT()),
    "SUB of one value": lambda c, x: c.operator(OP.SUB, [x, constant(c, (1,))], IMAGE, schema.SubOptionsT()),
    "MEAN over space": lambda c, x: c.operator(
        OP.MEAN, [x, integers(c, [1, 2])], (1, 1, 1, 6), schema.ReducerOptionsT(keepDims=True)
    ),
    "REDUCE_MAX": lambda c, x: c.operator(
        OP.REDUCE_MAX, [x, integers(c, [-2, 1])], (1, 1, 1, 6), schema.ReducerOptionsT(keepDims=True)
    ),
    "PAD": lambda c, x: c.operator(
        OP.PAD, [x, integers(c, [[0, 0], [1, 1], [1, 0], [0, 0]])], (1, 6, 5, 6), schema.PadOptionsT()
    ),
    "RESIZE": lambda c, x: c.operator(
        OP.RESIZE_NEAREST_NEIGHBOR, [x, integers(c, [8, 8])], (1, 8, 8, 6), schema.ResizeNearestNeighborOptionsT()
    ),
    "RESHAPE": lambda c, x: c.operator(
        OP.RESHAPE, [x, integers(c, [1, 2, 8, 6])], (1, 2, 8, 6), schema.ReshapeOptionsT(newShape=[1, 2, 8, 6])
    ),
    "ADD to itself": lambda c, x: c.operator(OP.ADD, [x, x], IMAGE, schema.AddOptionsT()),
}


@pytest.mark.parametrize("name", TIED)
def test_operators_pass_dead_channels_on(name):
    chain = Chain()
    y = TIED[name](chain, chain.first)
    result, after = removed_from(chain.finish(y))
    assert after["first/weights"] == [4, 1, 1, 3]
    assert after[f"out{y}"] == [*chain.builder.shape(y)[:-1], 4]
    if "constant" in after and after["constant"] != [1]:
        assert after["constant"][-1] == 4
        values = np.frombuffer(tensor(result, "constant")[1], np.int8)
        assert values.tolist()[:4] == [1, 3, 4, 6]
    if name == "RESHAPE":
        assert np.frombuffer(tensor(result, "integers")[1], np.int32).tolist() == [1, 2, 8, 4]
        assert indices(result.subgraphs[0].operators[1].builtinOptions.newShape) == [1, 2, 8, 4]


UNKNOWN = {
    "SOFTMAX": lambda c, x: c.operator(OP.SOFTMAX, [x], IMAGE, schema.SoftmaxOptionsT()),
    "TRANSPOSE": lambda c, x: c.operator(
        OP.TRANSPOSE, [x, integers(c, [0, 2, 1, 3])], IMAGE, schema.TransposeOptionsT()
    ),
    "MEAN over channels": lambda c, x: c.operator(
        OP.MEAN, [x, integers(c, [2, -1])], (1, 4, 1, 1), schema.ReducerOptionsT(keepDims=True)
    ),
    "PAD of channels": lambda c, x: c.operator(
        OP.PAD, [x, integers(c, [[0, 0], [0, 0], [0, 0], [0, 6]])], (1, 4, 4, 12), schema.PadOptionsT()
    ),
    "axes that are not constant": lambda c, x: c.operator(
        OP.MEAN, [x, c.builder.tensor("axes", (2,), np.int32)], (1, 1, 1, 6), schema.ReducerOptionsT(keepDims=True)
    ),
    "RESHAPE that splits channels": lambda c, x: c.operator(OP.RESHAPE, [x], (1, 8, 4, 3), schema.ReshapeOptionsT()),
    "a custom operator": lambda c, x: c.operator(OP.CUSTOM, [x], IMAGE),
    "L2_NORMALIZATION": lambda c, x: c.operator(OP.L2_NORMALIZATION, [x], IMAGE),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_operators_keep_their_channels(name):
    chain = Chain()
    y = UNKNOWN[name](chain, chain.first)
    model = chain.finish(y)
    _, after = removed_from(model)
    assert after["first/weights"] == [6, 1, 1, 3]
    assert after[f"out{y}"] == list(chain.builder.shape(y))


def test_a_second_consumer_keeps_the_channels_that_it_reads():
    chain = Chain()
    other = chain.convolution(chain.first, matrix(2, 6, [0, 1, 2]), "other")
    _, after = removed_from(chain.finish(chain.first, other))
    assert after["first/weights"][0] == 5  # channel 1 only is read by none


def test_outputs_variables_and_tensors_of_signatures_keep_their_channels():
    chain = Chain()
    assert removed_from(chain.finish(chain.first, chain.first))[1]["first/weights"][0] == 6
    chain = Chain()
    model = chain.finish(chain.first)
    model.subgraphs[0].tensors[chain.first].isVariable = True
    assert removed_from(model)[1]["first/weights"][0] == 6
    chain = Chain()
    model = chain.finish(chain.first)
    entry = schema.TensorMapT(name="extra", tensorIndex=chain.first)
    model.signatureDefs = [schema.SignatureDefT(inputs=[], outputs=[entry], signatureKey="serve", subgraphIndex=0)]
    assert removed_from(through_bytes(model))[1]["first/weights"][0] == 6


def test_flattened_images_lose_a_column_for_each_pixel():
    chain = Chain()
    flat = chain.operator(OP.RESHAPE, [chain.first], (1, 96), schema.ReshapeOptionsT(newShape=[1, 96]))
    weights = matrix(7, 96, DEAD)
    weights[:, 6 * 5 + 2] = 0  # a dead column of a live channel stays
    y = chain.builder.fully_connected(flat, weights, (1, 7))
    result, after = removed_from(through_bytes(chain.builder.finish([chain.x], [y])))
    assert after["first/weights"][0] == 4 and after[f"out{flat}"] == [1, 64] and after["dense/weights"] == [7, 64]
    found = np.frombuffer(tensor(result, "dense/weights")[1], np.int8)
    assert np.array_equal(found.reshape(7, 16, 4), weights.reshape(7, 16, 6)[:, :, LIVE])


def test_the_sum_of_two_branches_keeps_what_one_of_them_needs():
    chain = Chain()
    second = chain.convolution(chain.x, matrix(6, 3), "second")
    total = chain.operator(OP.ADD, [chain.first, second], IMAGE, schema.AddOptionsT())
    reader = chain.convolution(chain.first, matrix(2, 6, [0, 2, 3, 4, 5]), "reader")  # reads channel 1 of the first
    result, after = removed_from(chain.finish(total, reader))
    assert after["first/weights"][0] == after["second/weights"][0] == after[f"out{total}"][-1] == 5
    # Row 1 of the second branch has to stay, but nothing reads it.
    rows = np.frombuffer(tensor(result, "second/weights")[1], np.int8).reshape(5, 3)
    assert [bool(row.any()) for row in rows] == [True, False, True, True, True]


def test_concatenated_channels():
    chain = Chain()
    second = chain.convolution(chain.x, matrix(2, 3), "second")
    joined = chain.operator(
        OP.CONCATENATION, [second, chain.first], (1, 4, 4, 8), schema.ConcatenationOptionsT(axis=-1)
    )
    weights = matrix(5, 8, channels=8)
    weights[:, [1, 3]] = 0  # channel 1 of the second, channel 1 of the first
    y = chain.convolution(joined, weights, "last")
    _, after = removed_from(through_bytes(chain.builder.finish([chain.x], [y])))
    assert after["second/weights"][0] == 1 and after["first/weights"][0] == 5 and after[f"out{joined}"][-1] == 6


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_channels(multiplier):
    chain = Chain()
    rows = 6 * multiplier
    weights = chain.builder.tensor(
        "depthwise", (1, 3, 3, rows), data=np.arange(1, 1 + 9 * rows) % 100 + 1, scale=np.full(rows, 0.01), axis=3
    )
    options = schema.DepthwiseConv2DOptionsT(
        strideH=1, strideW=1, depthMultiplier=multiplier, dilationHFactor=1, dilationWFactor=1
    )
    y = chain.operator(OP.DEPTHWISE_CONV_2D, [chain.first, weights, -1], (1, 4, 4, rows), options)
    last = matrix(5, rows, channels=rows)
    dead = [row for channel in DEAD for row in range(channel * multiplier, (channel + 1) * multiplier)]
    last[:, dead] = 0
    last[:, 0] = 0 if multiplier == 2 else 1  # with a multiplier of 2, row 1 keeps channel 0
    y = chain.convolution(y, last, "last")
    result, after = removed_from(through_bytes(chain.builder.finish([chain.x], [y])))
    assert after["first/weights"][0] == 4 and after["depthwise"] == [1, 3, 3, 4 * multiplier]
    assert result.subgraphs[0].operators[1].builtinOptions.depthMultiplier == multiplier
    kept = [row for channel in LIVE for row in range(channel * multiplier, (channel + 1) * multiplier)]
    want = np.frombuffer(tensor(chain.builder.model, "depthwise")[1], np.int8).reshape(9, rows)[:, kept]
    found = np.frombuffer(tensor(result, "depthwise")[1], np.int8).reshape(9, -1)
    live = found.any(axis=0)
    assert np.array_equal(found[:, live], want[:, live]) and (~live).sum() == (multiplier == 2)


def test_float_operators_between_int8_layers_pass_dead_channels_on():
    """As in MobileNetV2 of an older converter: DEQUANTIZE, REDUCE_MAX, QUANTIZE."""
    chain = Chain()
    builder = chain.builder
    real, pooled = (
        builder.tensor(name, shape, np.float32) for name, shape in (("real", IMAGE), ("pooled", (1, 1, 1, 6)))
    )
    builder.operator(OP.DEQUANTIZE, [chain.first], [real])
    builder.operator(OP.REDUCE_MAX, [real, integers(chain, [1, 2])], [pooled], schema.ReducerOptionsT(keepDims=True))
    y = chain.operator(OP.QUANTIZE, [pooled], (1, 1, 1, 6))
    _, after = removed_from(chain.finish(y))
    assert after["first/weights"][0] == after["real"][-1] == after["pooled"][-1] == 4


@pytest.mark.parametrize(
    "change", ["uint8", "grouped", "shared weights", "zero point", "variable", "custom activation"]
)
def test_unusual_layers_keep_their_channels(change):
    chain = Chain()
    model = chain.finish(chain.first)
    graph = model.subgraphs[0]
    first = graph.operators[0]
    weights = graph.tensors[first.inputs[1]]
    if change == "uint8":
        weights.type = schema.TensorType.UINT8
    elif change == "grouped":
        weights.shape = np.array([6, 1, 3, 1], np.int32)
    elif change == "shared weights":
        graph.tensors.append(copy.deepcopy(weights))
    elif change == "zero point":
        weights.quantization.zeroPoint = np.full(6, 1)
    elif change == "variable":
        weights.isVariable = True
    else:
        first.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.TANH
    result, _ = dead_channels(model)
    assert indices(result.subgraphs[0].tensors[first.inputs[1]].shape) == indices(weights.shape)
    assert indices(result.subgraphs[0].tensors[first.outputs[0]].shape) == [1, 4, 4, 6]


def test_layers_that_share_a_bias_get_their_own():
    chain = Chain()
    bias = int(chain.builder._graph.operators[0].inputs[2])
    other = chain.builder.conv_2d(chain.x, matrix(6, 3), bias=bias, name="other")
    third = chain.builder.conv_2d(chain.x, matrix(6, 3), bias=bias, name="third")
    fourth = chain.builder.conv_2d(third, matrix(2, 6, DEAD), name="fourth")
    result, _ = removed_from(chain.finish(chain.first, other, fourth))
    operators = result.subgraphs[0].operators
    tensors = result.subgraphs[0].tensors
    biases = [int(operators[position].inputs[2]) for position in (0, 1, 2)]
    assert biases[1] == bias and biases[0] == biases[2] != bias
    assert indices(tensors[biases[0]].shape) == [4] and indices(tensors[bias].shape) == [6]


def test_a_layer_keeps_one_channel_and_a_fully_connected_with_many_scales_two():
    chain = Chain()
    y = chain.convolution(chain.first, np.zeros((5, 6), np.int8), "last", bias=np.arange(5, dtype=np.int32))
    _, after = removed_from(through_bytes(chain.builder.finish([chain.x], [y])))
    assert after["first/weights"] == [1, 1, 1, 3] and after["last/weights"] == [5, 1, 1, 1]
    builder = Builder()
    x = builder.tensor("x", (1, 8), scale=0.1)
    y = builder.fully_connected(x, matrix(6, 8), (1, 6), weight_scale=np.full(6, 0.01), name="first")
    last = matrix(3, 6)
    last[:, 1:] = 0
    z = builder.fully_connected(y, last, (1, 3), name="last")
    _, after = removed_from(through_bytes(builder.finish([x], [z])))
    assert after["first/weights"] == [2, 8] and after["last/weights"] == [3, 2]


def test_a_plan_made_before_names_the_same_tensors(tmp_path):
    rng = np.random.default_rng(1)
    chain = Chain()
    wide = chain.convolution(chain.x, sparse_matrix(rng, 60, 3, 0.3), "wide")
    last = sparse_matrix(rng, 40, 60, 0.9)
    last[:, ::2] = 0
    y = chain.convolution(wide, last, "sparse")
    model = through_bytes(chain.builder.finish([chain.x], [y]))
    plan = tmp_path / "plan.yaml"
    plan.write_text("version: 1\ntensors:\n  - tensor: sparse/weights\n    method: rle\n")
    _, decisions, *_ = compressing.compress(model, "m", plan=plan, dead_channels=True, method="none")
    (packed,) = (decision for decision in decisions if decision.packed)
    assert packed.layer.name == "sparse/weights" and packed.packed.streams.scheme == "rle"
    assert packed.layer.matrix.shape[1] <= 30


def test_decompress_gives_the_model_without_dead_channels_and_the_record_says_so():
    rng = np.random.default_rng(2)
    chain = Chain()
    wide = chain.convolution(chain.x, matrix(90, 3), "wide")
    last = sparse_matrix(rng, 80, 90, 0.8)
    last[:, 10:20] = 0
    y = chain.convolution(wide, last, "sparse")
    model = through_bytes(chain.builder.finish([chain.x], [y]))
    compressed, _, passes, *_ = compressing.compress(model, "m", dead_channels=True, **UNBOUNDED)
    assert [done.name for done in passes] == ["dead_channels", "pack"]
    compressed = through_bytes(compressed)
    assert lost_before_packing(compressed, "m") == NAME
    assert_same(through_bytes(dead_channels(model)[0]), compressing.decompress(compressed, "m"))
    plain = through_bytes(compressing.compress(model, "m", **UNBOUNDED)[0])
    assert lost_before_packing(plain, "m") is None
    assert_same(model, compressing.decompress(plain, "m"))


def test_strip_removes_dead_channels_unless_told_otherwise():
    chain = Chain()
    model = chain.finish(chain.first)
    rows = {
        asked: indices(
            compressing.compress(model, "m", strip=True, dead_channels=asked)[0].subgraphs[0].tensors[2].shape
        )
        for asked in (None, True, False)
    }
    assert rows[None] == rows[True] == [4] and rows[False] == [6]
    assert indices(compressing.compress(model, "m")[0].subgraphs[0].tensors[2].shape) == [6]


@pytest.mark.parametrize("seed", range(40))
def test_a_second_run_finds_nothing(seed):
    model = through_bytes(random_graph(seed, 5 + seed % 20))
    once = through_bytes(dead_channels(model)[0])
    assert not dead_channels(once)[1].changes

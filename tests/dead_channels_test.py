"""Compares models without dead channels with their originals in the stock interpreter, bit for bit."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import dcsr
from dcsr import model as tflite
from dcsr import runtime, verification
from dcsr.cli import compress as compress_tool
from dcsr.cli import decompress as decompress_tool
from dcsr.graph import indices
from dcsr.passes.dead_channels import dead_channels
from dcsr.schema import schema
from dcsr.testing.models import Builder
from dcsr.testing.random_graphs import random_graph

ROOT = Path.cwd()
OP = schema.BuiltinOperator
ACTIVATION = schema.ActivationFunctionType
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID


def outputs(model: bytes, samples: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    interpreter = runtime.Interpreter.from_bytes(model)
    count = len(tflite.parse(model, "m").subgraphs[0].outputs)
    return [verification.run(interpreter, sample, count) for sample in samples]


def assert_exact(model: schema.ModelT, seed: int = 0) -> schema.ModelT:
    """Asserts that outputs stay without dead channels, dense and compressed. Returns the dense model without them."""
    data = tflite.serialize(model)
    parsed = tflite.parse(data, "m")
    samples = verification.random_samples(verification.inputs_of(parsed, "m"), 6, seed)
    want = outputs(data, samples)
    result = tflite.serialize(dead_channels(parsed)[0])
    packed = dcsr.compress(data, method="bitmap", min_sparsity=0, strip=True).model
    for number, sets in enumerate(zip(want, outputs(result, samples), outputs(packed, samples), strict=True)):
        for index, (a, b, c) in enumerate(zip(*sets, strict=True)):
            assert a.shape == b.shape == c.shape
            assert np.array_equal(a, b), f"seed {seed}, sample {number}, output {index}"
            assert np.array_equal(a, c), f"seed {seed}, sample {number}, output {index}, compressed"
    return tflite.parse(result, "m")


@pytest.mark.parametrize("seed", range(120))
def test_random_graphs(seed):
    assert_exact(random_graph(seed, 5 + seed % 25), seed)


def test_random_graphs_have_dead_channels_of_all_kinds_and_outputs_that_depend_on_the_input():
    removed: dict[str, int] = {}
    varying = 0
    for seed in range(120):
        data = tflite.serialize(random_graph(seed, 5 + seed % 25))
        model = tflite.parse(data, "m")
        first, second = outputs(data, verification.random_samples(verification.inputs_of(model, "m"), 2, seed))
        varying += any(np.any(a != b) for a, b in zip(first, second, strict=True))
        for (s, position), entry in dead_channels(model)[1].removed.items():
            name = tflite.operator_name(model, model.subgraphs[s].operators[position])
            removed[name] = removed.get(name, 0) + entry.channels_before - entry.channels_after
    assert varying > 70
    assert removed["CONV_2D"] > 500 and removed["DEPTHWISE_CONV_2D"] > 200
    assert min(removed[name] for name in ("FULLY_CONNECTED", "MUL", "ADD")) > 20


class Constants:
    """A convolution whose row 2 of 5 has no nonzeros, and layers that read its constant channel."""

    def __init__(self, bias: int, *, dtype: type = np.int8, bias_type: type = np.int32, activation: int = 0) -> None:
        self.rng = np.random.default_rng(3)
        self.builder = Builder()
        self.dtype = dtype
        self.zero = 7 if dtype is np.int8 else 0
        self.scale = 0.05 if dtype is np.int8 else 0.05 / 256
        self.steps = 1 if dtype is np.int8 else 256
        self.bias_type = bias_type
        self.x = self.builder.tensor("x", (1, 5, 6, 3), dtype, scale=self.scale, zero_point=0)
        weights = self.weights(5, 3)
        weights[2] = 0
        values = self.rng.integers(-500, 500, 5) * self.steps
        values[2] = bias * self.steps
        self.first = self.layer(self.x, weights, "first", bias=values.astype(bias_type), activation=activation)

    def weights(self, rows: int, cols: int) -> np.ndarray:
        weights = self.rng.integers(-90, 90, (rows, cols)).astype(np.int8)
        weights[weights == 0] = 1
        return weights

    def layer(self, x: int, weights: np.ndarray, name: str, **options: object) -> int:
        scale = self.rng.uniform(0.01, 0.02, len(weights)) / 3
        quantisation = {"weight_scale": scale, "output_scale": self.scale, "output_zero_point": self.zero}
        bias = self.rng.integers(-300, 300, len(weights)).astype(self.bias_type) * self.steps
        return self.builder.conv_2d(x, weights, name=name, **{"bias": bias} | quantisation | options)

    def operator(self, code: int, inputs: list[int], shape: tuple[int, ...], options: object = None) -> int:
        y = self.builder.tensor(f"y{len(inputs)}{code}", shape, self.dtype, scale=self.scale, zero_point=self.zero)
        self.builder.operator(code, inputs, [y], options)
        return y

    def rows_left(self, y: int) -> int:
        """Asserts that the graph with output `y` is exact; returns the rows of the first layer that stay."""
        result = assert_exact(self.builder.finish([self.x], [y]))
        return indices(result.subgraphs[0].tensors[self.first].shape)[-1]


TYPES = {
    "int8": {},
    "int16": {"dtype": np.int16, "bias_type": np.int64},
    "int16 with int32 bias": {"dtype": np.int16, "bias_type": np.int32},
}


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("bias", [-4000, -30, 0, 41, 5000])
@pytest.mark.parametrize("activation", [ACTIVATION.NONE, ACTIVATION.RELU, ACTIVATION.RELU6])
def test_a_constant_channel_moves_into_the_bias_of_a_1x1_layer(types, bias, activation):
    graph = Constants(bias, activation=activation, **TYPES[types])
    assert graph.rows_left(graph.layer(graph.first, graph.weights(4, 5), "last")) == 4


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("bias", [0, 900])
@pytest.mark.parametrize("padding", [SAME, VALID])
def test_a_constant_channel_stays_beside_padding_of_another_value(types, bias, padding):
    graph = Constants(bias, **TYPES[types])
    last = graph.layer(graph.first, graph.weights(4, 45), "last", filter_size=(3, 3), padding=padding)
    # A bias of 0 gives the zero point, which padding has too.
    assert graph.rows_left(last) == (5 if bias and padding == SAME else 4)


def test_same_padding_of_a_filter_that_fits_is_none():
    graph = Constants(900)
    last = graph.layer(graph.first, graph.weights(4, 10), "last", filter_size=(1, 2), stride=(1, 2), padding=SAME)
    assert graph.rows_left(last) == 4


def test_a_constant_channel_stays_if_a_layer_without_bias_reads_it():
    graph = Constants(900)
    assert graph.rows_left(graph.layer(graph.first, graph.weights(4, 5), "last", bias=None)) == 5
    graph = Constants(0)
    assert graph.rows_left(graph.layer(graph.first, graph.weights(4, 5), "last", bias=None)) == 4


def test_a_constant_channel_stays_if_the_bias_would_overflow():
    graph = Constants(900)
    bias = np.array([0, 0, (1 << 31) - 10, 10 - (1 << 31)], np.int32)
    weights = graph.weights(4, 5)
    weights[:, 2] = 90
    assert graph.rows_left(graph.layer(graph.first, weights, "last", bias=bias)) == 5


def through(graph: Constants, kind: str) -> int:
    """Adds an operator that keeps constant channels constant, or does not."""
    first, builder = graph.first, graph.builder
    if kind in ("average", "maximum", "average with RELU6"):
        code = OP.MAX_POOL_2D if kind == "maximum" else OP.AVERAGE_POOL_2D
        activation = ACTIVATION.RELU6 if "RELU6" in kind else ACTIVATION.NONE
        options = schema.Pool2DOptionsT(
            padding=SAME, filterHeight=2, filterWidth=2, strideH=2, strideW=2, fusedActivationFunction=activation
        )
        return graph.operator(code, [first], (1, 3, 3, 5), options)
    if kind == "concatenation":
        return graph.operator(OP.CONCATENATION, [first, first], (1, 5, 6, 10), schema.ConcatenationOptionsT(axis=3))
    if kind == "concatenated rows":
        other = graph.layer(graph.x, graph.weights(5, 3), "other")
        return graph.operator(OP.CONCATENATION, [first, other], (1, 10, 6, 5), schema.ConcatenationOptionsT(axis=1))
    if kind == "pad":
        margins = np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32)
        constant = builder.tensor("margins", (4, 2), np.int32, data=margins)
        return graph.operator(OP.PAD, [first, constant], (1, 6, 7, 5), schema.PadOptionsT())
    if kind == "multiplied by 0":
        values = np.array([9, 30, 20, 9, 50], np.int8)  # 9 is the zero point
        constant = builder.tensor("factor", (5,), data=values, scale=0.05, zero_point=9)
        return graph.operator(OP.MUL, [first, constant], (1, 5, 6, 5), schema.MulOptionsT())
    weights = builder.tensor(
        "depthwise", (1, 3, 3, 5), data=graph.weights(9, 5), scale=graph.rng.uniform(0.01, 0.02, 5), axis=3
    )
    bias = builder.tensor("depthwise/bias", (5,), np.int32, data=np.arange(5) * 30, scale=0.001)
    padding = SAME if "SAME" in kind else VALID
    options = schema.DepthwiseConv2DOptionsT(
        padding=padding, strideH=1, strideW=1, depthMultiplier=1, dilationHFactor=1, dilationWFactor=1
    )
    shape = (1, 5, 6, 5) if padding == SAME else (1, 3, 4, 5)
    return graph.operator(OP.DEPTHWISE_CONV_2D, [first, weights, bias], shape, options)


@pytest.mark.parametrize(
    "kind,bias,left",
    [
        ("average", 900, 4),
        ("maximum", 900, 4),
        ("average with RELU6", -900, 5),
        ("concatenation", 900, 4),
        ("concatenated rows", 900, 5),
        ("pad", 900, 5),
        ("pad", 0, 4),
        ("multiplied by 0", 900, 3),
        ("depthwise, VALID", 900, 4),
        ("depthwise, SAME", 900, 5),
        ("depthwise, SAME", 0, 4),
    ],
)
def test_constant_channels_pass_through_operators(kind, bias, left):
    graph = Constants(bias)
    y = through(graph, kind)
    last = graph.layer(y, graph.weights(4, graph.builder.shape(y)[-1]), "last")
    assert graph.rows_left(last) == left


def test_a_constant_channel_moves_into_a_fully_connected():
    graph = Constants(900)
    y = graph.builder.fully_connected(
        graph.first,
        graph.weights(3, 150),
        (1, 3),
        bias=np.zeros(3, np.int32),
        weight_scale=np.full(3, 0.001),
        name="fc",
    )
    assert graph.rows_left(y) == 4


def test_the_example_of_the_page(tmp_path, monkeypatch, capsys):
    """Runs the commands of docs/compressing.md#dead-channels, whose output follows each of them."""
    section = (ROOT / "docs/compressing.md").read_text().split("## Dead channels\n")[1].split("\n## ")[0]
    shutil.copy(ROOT / "models/kws/ds_cnn_s_90.tflite", tmp_path / "model.tflite")
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^    (.*)$", section, re.MULTILINE)
    tools = {"compress": compress_tool, "decompress": decompress_tool}
    commands = [line for line in lines if line.split()[0] in tools and " -o " in line]
    assert [line.split()[0] for line in commands] == ["compress", "compress", "decompress"]
    assert len(lines) >= 2 * len(commands)
    printed = ""
    for line in lines:
        if line in commands:
            tool, *arguments = shlex.split(line)
            assert tools[tool].main(arguments) == 0
            printed = re.sub(r" {2,}", " ", capsys.readouterr().out)
        else:
            assert re.sub(r" {2,}", " ", line.strip()) in printed, line

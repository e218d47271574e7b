"""Builtin operators in many sizes, as models for `model`. The constants of kept operators are fitted to the counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsr import model as tflite
from dcsr.cli import common
from dcsr.schema import schema
from dcsr.testing.models import Builder

_DESCRIPTION = """\
Writes models of builtin operators in many sizes, with dense random weights. `model --json` counts them, and `fit_kept`
fits the planner's constants of operators that stay in TFLM (benchmarks/README.md)."""

_EPILOG = """\
exit status: 0 done, 2 bad usage"""

_OP = schema.BuiltinOperator
_SEED = 20
_SIZES = ((1, 1), (2, 2), (3, 3), (4, 5), (7, 7), (10, 6), (12, 12), (25, 5), (17, 16))
_CHANNELS = (4, 8, 10, 16, 24, 33, 48, 64, 96, 112, 172, 256)
_FILTERS = ((3, 3), (5, 5), (10, 4), (1, 5), (3, 1), (7, 7))
_MOST_PRODUCTS = 1 << 21


class _Operators:
    """Adds operators, each with its own input and output."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = Builder()
        self.inputs: list[int] = []
        self.outputs: list[int] = []

    def pick(self, choices: Sequence) -> tuple | int:
        """Returns one of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    def weights(self, rows: int, cols: int) -> np.ndarray:
        """Returns random weights, int8 [rows, cols]."""
        return self.rng.integers(-127, 128, (rows, cols)).astype(np.int8)

    def bias(self, rows: int) -> np.ndarray:
        """Returns a random bias."""
        return self.rng.integers(-999, 999, rows).astype(np.int32)

    def tensor(self, shape: Sequence[int], scale: float = 0.1, zero_point: int = -3) -> int:
        """Adds an activation."""
        name = f"t{len(self.inputs)}.{len(self.outputs)}"
        return self.builder.tensor(name, shape, scale=scale, zero_point=zero_point)

    def source(self, shape: Sequence[int]) -> int:
        """Adds an input of the model."""
        self.inputs.append(self.tensor(shape))
        return self.inputs[-1]

    def constant(self, values: Sequence) -> int:
        """Adds a constant of int32."""
        return self.builder.tensor("constant", np.shape(values), np.int32, data=np.array(values))

    def add(self, code: int, inputs: Sequence[int], shape: Sequence[int], options: object = None) -> None:
        """Adds an operator with one output."""
        self.outputs.append(self.tensor(shape, 0.12, 5))
        self.builder.operator(code, inputs, self.outputs[-1:], options)

    def model(self) -> bytes:
        """Returns the model."""
        return tflite.serialize(self.builder.finish(self.inputs, self.outputs))


def convolutions() -> bytes:
    """Returns a model of CONV_2D with 1x1 and larger filters."""
    ops = _Operators(_SEED)
    while len(ops.outputs) < 90:
        (height, width), channels, rows = ops.pick(_SIZES), ops.pick(_CHANNELS), ops.pick(_CHANNELS)
        is_pointwise = len(ops.outputs) % 3 < 2
        size = (1, 1) if is_pointwise else ops.pick(_FILTERS)
        stride = (2, 2) if len(ops.outputs) % 7 == 0 else (1, 1)
        if not is_pointwise and len(ops.outputs) % 2:
            channels = ops.pick((1, 3, 8))
        cols = size[0] * size[1] * channels
        if height * width * cols * rows > _MOST_PRODUCTS:
            continue
        source = ops.source((1, height, width, channels))
        scales = ops.rng.uniform(0.001, 0.01, rows)
        ops.outputs.append(
            ops.builder.conv_2d(
                source,
                ops.weights(rows, cols),
                bias=ops.bias(rows),
                filter_size=size,
                stride=stride,
                weight_scale=scales,
            )
        )
    return ops.model()


def depthwise() -> bytes:
    """Returns a model of DEPTHWISE_CONV_2D."""
    ops = _Operators(_SEED + 1)
    while len(ops.outputs) < 60:
        (height, width), channels = ops.pick(_SIZES), ops.pick(_CHANNELS[1:])
        size = ops.pick(((3, 3), (3, 3), (3, 3), (5, 5), (3, 1), (1, 7)))
        multiplier = 2 if len(ops.outputs) % 9 == 0 else 1
        dilation = (2, 2) if len(ops.outputs) % 11 == 5 else (1, 1)
        stride = (2, 2) if len(ops.outputs) % 3 == 0 and dilation == (1, 1) else (1, 1)
        rows = channels * multiplier
        source = ops.source((1, height, width, channels))
        ops.outputs.append(
            ops.builder.depthwise_conv_2d(
                source,
                ops.weights(rows, size[0] * size[1]),
                bias=ops.bias(rows),
                filter_size=size,
                stride=stride,
                dilation=dilation,
                weight_scale=ops.rng.uniform(0.001, 0.01, rows),
            )
        )
    return ops.model()


def others() -> bytes:
    """Returns a model of FULLY_CONNECTED and of operators without weights."""
    ops = _Operators(_SEED + 2)
    for rows in (1, 2, 3, 4, 10, 12, 32, 64, 128, 256):
        for cols in (16, 100, 256, 640, 1280):
            if (rows + cols) % 3 == 0 and rows * cols > 1000:
                continue
            source = ops.source((1, cols))
            ops.outputs.append(
                ops.builder.fully_connected(source, ops.weights(rows, cols), (1, rows), bias=ops.bias(rows))
            )
    for height, width, channels in ((1, 1, 40), (4, 4, 10), (6, 6, 96), (12, 12, 33), (25, 5, 64), (16, 16, 8)):
        shape = (1, height, width, channels)
        a, b = ops.source(shape), ops.source(shape)
        ops.add(_OP.ADD, [a, b], shape, schema.AddOptionsT())
        ops.add(_OP.MUL, [a, b], shape, schema.MulOptionsT())
        factors = ops.builder.tensor("factors", (channels,), data=ops.weights(1, channels)[0], scale=0.02, zero_point=7)
        ops.add(_OP.ADD, [a, factors], shape, schema.AddOptionsT())
        ops.add(_OP.MUL, [a, factors], shape, schema.MulOptionsT())
        ops.add(_OP.MEAN, [a, ops.constant([1, 2])], (1, channels), schema.ReducerOptionsT())
        pads = ops.constant([[0, 0], [1, 1], [0, 2], [0, 0]])
        padded = ops.builder.tensor("padded", (1, height + 2, width + 2, channels), scale=0.1, zero_point=-3)
        ops.builder.operator(_OP.PAD, [a, pads], [padded], schema.PadOptionsT())
        ops.outputs.append(padded)
        flat = ops.builder.tensor("flat", (1, height * width * channels), scale=0.1, zero_point=-3)
        ops.builder.operator(_OP.RESHAPE, [a, ops.constant([1, height * width * channels])], [flat])
        ops.outputs.append(flat)
        real = ops.builder.tensor("real", shape, np.float32)
        ops.builder.operator(_OP.DEQUANTIZE, [b], [real])
        ops.outputs.append(real)
        ops.add(_OP.QUANTIZE, [real], shape)
        ops.add(_OP.QUANTIZE, [b], shape)
        largest = ops.builder.tensor("largest", (1, channels), scale=0.1, zero_point=-3)
        ops.builder.operator(_OP.REDUCE_MAX, [b, ops.constant([1, 2])], [largest], schema.ReducerOptionsT())
        ops.outputs.append(largest)
        for code in (_OP.AVERAGE_POOL_2D, _OP.MAX_POOL_2D):
            for size in {(height, width), (min(2, height), min(2, width)), (min(3, height), min(3, width))}:
                options = schema.Pool2DOptionsT(
                    padding=schema.Padding.VALID,
                    strideH=size[0],
                    strideW=size[1],
                    filterHeight=size[0],
                    filterWidth=size[1],
                )
                pooled = (1, height // size[0], width // size[1], channels)
                output = ops.builder.tensor("pooled", pooled, scale=0.1, zero_point=-3)
                ops.builder.operator(code, [a], [output], options)
                ops.outputs.append(output)
    for classes in (2, 10, 12, 100):
        output = ops.builder.tensor("likely", (1, classes), scale=1 / 256, zero_point=-128)
        ops.builder.operator(_OP.SOFTMAX, [ops.source((1, classes))], [output], schema.SoftmaxOptionsT(beta=1.0))
        ops.outputs.append(output)
    return ops.model()


MODELS = {"convolutions": convolutions, "depthwise": depthwise, "others": others}


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("kept_operators", _DESCRIPTION, _EPILOG)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder for the models")
    arguments = parser.parse_args(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, build in MODELS.items():
        (arguments.folder / f"{name}.tflite").write_bytes(build())
    return common.EXIT_OK


if __name__ == "__main__":
    common.run("kept_operators", main)

"""Models in many sizes for `model`, dense and compressed. The constants of the start-up are fitted to the counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from dcsr import compressing, encodings
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.schema import schema
from dcsr.testing.models import Builder, sparse_matrix

_DESCRIPTION = """\
Writes models with a few operators of one kind each, and models with packed layers of each coding. `model --json` counts
them in TFLM's interpreter, and `fit_start_up` fits the planner's constants of the start-up (benchmarks/README.md)."""

_EPILOG = """\
exit status: 0 done, 2 bad usage"""

_OP = schema.BuiltinOperator
_SEED = 21
_BIAS = 999
# Rows, columns and sparsity of packed layers.
_MATRICES = ((64, 64, 0.5), (48, 256, 0.7), (96, 200, 0.9), (24, 1100, 0.9), (200, 96, 0.95), (12, 3000, 0.8))

# Adds an operator: (builder, generator, input) -> output
Add = Callable[[Builder, np.random.Generator, int], int]


def _scale(rng: np.random.Generator) -> float:
    """Returns the scale of an output. Dividing by a power of two would take less than by others."""
    return float(rng.uniform(0.02, 0.2))


def _fully_connected(rows: int, channels: bool) -> Add:
    def add(builder: Builder, rng: np.random.Generator, source: int) -> int:
        cols = builder.shape(source)[-1]
        scale = rng.uniform(0.001, 0.01, rows) if channels else 0.01
        bias = rng.integers(-_BIAS, _BIAS, rows).astype(np.int32)
        return builder.fully_connected(
            source,
            sparse_matrix(rng, rows, cols, 0.2),
            (1, rows),
            bias=bias,
            weight_scale=scale,
            output_scale=_scale(rng),
        )

    return add


def _convolution(rows: int, size: tuple[int, int]) -> Add:
    def add(builder: Builder, rng: np.random.Generator, source: int) -> int:
        weights = sparse_matrix(rng, rows, size[0] * size[1] * builder.shape(source)[-1], 0.2)
        bias = rng.integers(-_BIAS, _BIAS, rows).astype(np.int32)
        scales = rng.uniform(0.001, 0.01, rows)
        return builder.conv_2d(
            source, weights, bias=bias, filter_size=size, weight_scale=scales, output_scale=_scale(rng)
        )

    return add


def _depthwise(builder: Builder, rng: np.random.Generator, source: int) -> int:
    rows = builder.shape(source)[-1]
    bias = rng.integers(-_BIAS, _BIAS, rows).astype(np.int32)
    scales = rng.uniform(0.001, 0.01, rows)
    weights = sparse_matrix(rng, rows, 9, 0.2)
    return builder.depthwise_conv_2d(source, weights, bias=bias, weight_scale=scales, output_scale=_scale(rng))


def _elementwise(code: int, options: object, with_itself: bool = False) -> Add:
    def add(builder: Builder, rng: np.random.Generator, source: int) -> int:
        output = builder.tensor("out", builder.shape(source), scale=_scale(rng), zero_point=5)
        builder.operator(code, [source] * (2 if with_itself else 1), [output], options)
        return output

    return add


def _pool(code: int) -> Add:
    options = schema.Pool2DOptionsT(padding=schema.Padding.SAME, strideH=1, strideW=1, filterHeight=2, filterWidth=2)

    def add(builder: Builder, rng: np.random.Generator, source: int) -> int:
        del rng
        output = builder.tensor("pooled", builder.shape(source), scale=0.1, zero_point=-3)
        builder.operator(code, [source], [output], options)
        return output

    return add


def _pad(builder: Builder, rng: np.random.Generator, source: int) -> int:
    del rng
    batch, height, width, channels = builder.shape(source)
    pads = builder.tensor("pads", (4, 2), np.int32, data=np.array([[0, 0], [1, 0], [0, 1], [0, 0]]))
    output = builder.tensor("padded", (batch, height + 1, width + 1, channels), scale=0.1, zero_point=-3)
    builder.operator(_OP.PAD, [source, pads], [output], schema.PadOptionsT())
    return output


def _reduction(code: int) -> Add:
    def add(builder: Builder, rng: np.random.Generator, source: int) -> int:
        del rng
        shape = builder.shape(source)
        axes = builder.tensor("axes", (2,), np.int32, data=np.array([1, 2]))
        # TFLM's REDUCE_MAX takes input and output of one scale.
        scale = 0.1 if code == _OP.REDUCE_MAX else 0.07
        output = builder.tensor("reduced", (shape[0], 1, 1, shape[3]), scale=scale, zero_point=-3)
        builder.operator(code, [source, axes], [output], schema.ReducerOptionsT(keepDims=True))
        return output

    return add


def _reshape(builder: Builder, rng: np.random.Generator, source: int) -> int:
    del rng
    shape = builder.shape(source)
    sizes = builder.tensor("sizes", (4,), np.int32, data=np.array(shape))
    output = builder.tensor("reshaped", shape, scale=0.1, zero_point=-3)
    builder.operator(_OP.RESHAPE, [source, sizes], [output])
    return output


def _dequantize(builder: Builder, rng: np.random.Generator, source: int) -> int:
    real = builder.tensor("real", builder.shape(source), np.float32)
    output = builder.tensor("again", builder.shape(source), scale=_scale(rng), zero_point=-3)
    builder.operator(_OP.DEQUANTIZE, [source], [real])
    builder.operator(_OP.QUANTIZE, [real], [output])
    return output


def _softmax(builder: Builder, rng: np.random.Generator, source: int) -> int:
    del rng
    output = builder.tensor("likely", builder.shape(source), scale=1 / 256, zero_point=-128)
    builder.operator(_OP.SOFTMAX, [source], [output], schema.SoftmaxOptionsT(beta=1.0))
    return output


_KINDS: dict[str, tuple[Add, tuple[int, ...]]] = {
    "conv_1x1_few": (_convolution(8, (1, 1)), (1, 4, 4, 8)),
    "conv_1x1_many": (_convolution(96, (1, 1)), (1, 2, 2, 96)),
    "conv_3x3": (_convolution(32, (3, 3)), (1, 3, 3, 32)),
    "depthwise_few": (_depthwise, (1, 4, 4, 8)),
    "depthwise_many": (_depthwise, (1, 3, 3, 160)),
    "fully_connected_few": (_fully_connected(8, False), (1, 8)),
    "fully_connected_large": (_fully_connected(160, False), (1, 160)),
    "fully_connected_channels": (_fully_connected(64, True), (1, 64)),
    "add": (_elementwise(_OP.ADD, schema.AddOptionsT(), True), (1, 4, 4, 8)),
    "dequantize": (_dequantize, (1, 4, 4, 8)),
    "mul": (_elementwise(_OP.MUL, schema.MulOptionsT(), True), (1, 4, 4, 8)),
    "quantize": (_elementwise(_OP.QUANTIZE, None), (1, 4, 4, 8)),
    "average_pool": (_pool(_OP.AVERAGE_POOL_2D), (1, 4, 4, 8)),
    "max_pool": (_pool(_OP.MAX_POOL_2D), (1, 4, 4, 8)),
    "pad": (_pad, (1, 4, 4, 8)),
    "mean": (_reduction(_OP.MEAN), (1, 4, 4, 8)),
    "reduce_max": (_reduction(_OP.REDUCE_MAX), (1, 4, 4, 8)),
    "reshape": (_reshape, (1, 4, 4, 8)),
}
_LENGTHS = (1, 5, 24)
_BRANCHES = (6, 20, 60)


def chain(add: Add, shape: Sequence[int], count: int, rng: np.random.Generator) -> bytes:
    """Returns a model with `count` operators, one behind the other, and a SOFTMAX."""
    builder = Builder()
    source = builder.tensor("in", shape, scale=0.1, zero_point=-3)
    last = source
    for _ in range(count):
        last = add(builder, rng, last)
    return tflite.serialize(builder.finish([source], [_softmax(builder, rng, last)]))


def branches(count: int, rng: np.random.Generator) -> bytes:
    """Returns a model whose planner sorts: MUL of tensors that get larger and smaller, each with its own input."""
    builder = Builder()
    inputs, outputs = [], []
    for _ in range(count):
        shape = (1, int(rng.integers(1, 200)))
        inputs.append(builder.tensor("in", shape, scale=0.1, zero_point=-3))
        last = inputs[-1]
        for _ in range(int(rng.integers(1, 3))):
            last = _elementwise(_OP.MUL, schema.MulOptionsT(), True)(builder, rng, last)
        outputs.append(last)
    return tflite.serialize(builder.finish(inputs, outputs))


def layers(matrices: Sequence[np.ndarray], channels: bool, rng: np.random.Generator) -> bytes:
    """Returns a model of FULLY_CONNECTED layers, or of 1x1 convolutions with a scale for each row."""
    builder = Builder()
    inputs, outputs = [], []
    for matrix in matrices:
        rows, cols = matrix.shape
        inputs.append(builder.tensor("in", (1, 6, 6, cols) if channels else (1, cols), scale=0.1, zero_point=-3))
        bias = rng.integers(-_BIAS, _BIAS, rows).astype(np.int32)
        if channels:
            scales = rng.uniform(0.001, 0.01, rows)
            output = builder.conv_2d(inputs[-1], matrix, bias=bias, weight_scale=scales, output_scale=_scale(rng))
        else:
            output = builder.fully_connected(inputs[-1], matrix, (1, rows), bias=bias, output_scale=_scale(rng))
        outputs.append(output)
    return tflite.serialize(builder.finish(inputs, outputs))


def models() -> Iterator[tuple[str, bytes]]:
    """Yields (name, model) of all models."""
    rng = np.random.default_rng(_SEED)
    for name, (add, shape) in _KINDS.items():
        for count in _LENGTHS:
            yield f"{name}_{count}", chain(add, shape, count, rng)
    for count in _BRANCHES:
        yield f"branches_{count}", branches(count, rng)
    for number, (rows, cols, sparsity) in enumerate(_MATRICES):
        matrix = _typical(rng, rows, cols, sparsity)
        matrices = [matrix, matrix[::2]] if number % 2 else [matrix]
        for scheme in encodings.METHODS:
            # dcsr and rice have variants, of which the objectives choose different ones.
            for objective, channels in (("size", True), ("size", False), ("speed", False)):
                dense = layers(matrices, channels, rng)
                form = "channels" if channels else "one"
                yield f"{scheme.replace('+', '_')}_{objective}_{form}_{rows}x{cols}", _packed(dense, scheme, objective)
            dense = layers(matrices, True, rng)
            yield f"{scheme.replace('+', '_')}_checksum_{rows}x{cols}", _packed(dense, scheme, "size", True)


def _packed(dense: bytes, scheme: str, objective: str, verified_image: bool = False) -> bytes:
    small = compressing.compress(
        tflite.parse(dense, scheme),
        scheme,
        method=scheme,
        min_sparsity=0,
        objective=objective,
        max_arena=1 << 30,
        slowest=1000,
        code="all",
        verified_image=verified_image,
        smaller_only=False,
    )
    return tflite.serialize(small.model)


def _typical(rng: np.random.Generator, rows: int, cols: int, sparsity: float) -> np.ndarray:
    """Returns a sparse matrix whose values are as likely as those of trained weights."""
    values = np.clip(np.rint(rng.laplace(0, 20, (rows, cols))), -127, 127).astype(np.int8)
    values[rng.random((rows, cols)) < sparsity] = 0
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("start_up_models", _DESCRIPTION, _EPILOG)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder for the models")
    arguments = parser.parse_args(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, content in models():
        (arguments.folder / f"{name}.tflite").write_bytes(content)
    return common.EXIT_OK


if __name__ == "__main__":
    common.run("start_up_models", main)

"""Builds small .tflite models in memory for tests."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dcsr.schema import schema

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
}
_DTYPES = {kind: dtype for dtype, kind in _TYPES.items()}


def sparse_matrix(rng: np.random.Generator, rows: int, cols: int, sparsity: float, dtype: type = np.int8) -> np.ndarray:
    """Returns a random matrix [rows, cols] over the full range of int8 or int16.

    A fraction `sparsity` of its elements is zero.
    """
    info = np.iinfo(dtype)
    matrix = rng.integers(info.min, info.max, (rows, cols), dtype, endpoint=True)
    matrix[rng.random((rows, cols)) < sparsity] = 0
    return matrix


class Builder:
    """Builds a model. Tensors and operators are added to the current subgraph."""

    def __init__(self) -> None:
        self.model = schema.ModelT(
            version=3,
            operatorCodes=[],
            subgraphs=[],
            description="made for a test",
            buffers=[schema.BufferT()],
        )
        self.subgraph()

    def subgraph(self) -> None:
        """Starts a new subgraph, which becomes the current one."""
        self._graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name="main")
        self.model.subgraphs.append(self._graph)

    def buffer(self, data: bytes) -> int:
        """Adds a buffer and returns its index."""
        self.model.buffers.append(schema.BufferT(data=np.frombuffer(data, np.uint8)))
        return len(self.model.buffers) - 1

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: type = np.int8,
        *,
        data: np.ndarray | None = None,
        buffer: int | None = None,
        scale: float | Sequence[float] | np.ndarray | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        """Adds a tensor and returns its index. It is constant if it has data or a buffer."""
        if buffer is None:
            buffer = 0 if data is None else self.buffer(np.asarray(data, dtype).tobytes())
        quantization = None
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            quantization = schema.QuantizationParametersT(
                scale=scales,
                zeroPoint=np.full(len(scales), zero_point, np.int64),
                quantizedDimension=axis,
            )
        self._graph.tensors.append(
            schema.TensorT(
                shape=np.array(shape, np.int32),
                type=_TYPES[np.dtype(dtype)],
                buffer=buffer,
                name=name,
                quantization=quantization,
            )
        )
        return len(self._graph.tensors) - 1

    def operator(
        self,
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: object = None,
        *,
        custom: str | None = None,
        custom_options: bytes | None = None,
        deprecated_only: bool = False,
    ) -> schema.OperatorT:
        """Adds an operator. `deprecated_only` sets only its deprecated code, like converters before 2020."""
        wanted = (min(code, 127), 0 if deprecated_only else code, custom)
        known = [(c.deprecatedBuiltinCode, c.builtinCode, c.customCode) for c in self.model.operatorCodes]
        if wanted not in known:
            known.append(wanted)
            self.model.operatorCodes.append(
                schema.OperatorCodeT(
                    deprecatedBuiltinCode=wanted[0], builtinCode=wanted[1], customCode=custom, version=1
                )
            )
        kind = type(options).__name__.removesuffix("T") if options is not None else "NONE"
        operator = schema.OperatorT(
            opcodeIndex=known.index(wanted),
            inputs=np.array(inputs, np.int32),
            outputs=np.array(outputs, np.int32),
            builtinOptionsType=getattr(schema.BuiltinOptions, kind),
            builtinOptions=options,
            customOptions=None if custom_options is None else np.frombuffer(custom_options, np.uint8),
        )
        self._graph.operators.append(operator)
        return operator

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Returns the shape of a tensor of the current subgraph."""
        return tuple(int(d) for d in self._graph.tensors[tensor].shape)

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> schema.ModelT:
        """Sets the inputs and outputs of the current subgraph and returns the model."""
        self._graph.inputs = np.array(inputs, np.int32)
        self._graph.outputs = np.array(outputs, np.int32)
        return self.model

    def fully_connected(
        self,
        activations: int,
        weights: np.ndarray | int,
        output_shape: Sequence[int],
        *,
        bias: np.ndarray | int | None = None,
        weight_scale: float | np.ndarray = 0.01,
        output_scale: float = 0.5,
        output_zero_point: int = 3,
        activation: int = schema.ActivationFunctionType.NONE,
        name: str = "dense",
        keep_num_dims: bool = False,
        deprecated_only: bool = False,
    ) -> int:
        """Adds FULLY_CONNECTED and returns its output. Weights and bias are arrays or indices of tensors."""
        inputs = self._weighted_inputs(activations, weights, bias, weight_scale, name)
        output = self.tensor(
            f"{name}/out", output_shape, self._dtype(activations), scale=output_scale, zero_point=output_zero_point
        )
        options = schema.FullyConnectedOptionsT(fusedActivationFunction=activation, keepNumDims=keep_num_dims)
        code = schema.BuiltinOperator.FULLY_CONNECTED
        self.operator(code, inputs, [output], options, deprecated_only=deprecated_only)
        return output

    def conv_2d(
        self,
        activations: int,
        weights: np.ndarray | int,
        *,
        bias: np.ndarray | int | None = None,
        filter_size: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        weight_scale: float | np.ndarray = 0.01,
        output_scale: float = 0.5,
        output_zero_point: int = 3,
        activation: int = schema.ActivationFunctionType.NONE,
        padding: int = schema.Padding.SAME,
        name: str = "conv",
    ) -> int:
        """Adds CONV_2D and returns its output. Weights are int8 [rows, filter height * width * input channels]."""
        batches, height, width, channels = self._graph.tensors[activations].shape
        rows = weights.shape[0] if isinstance(weights, np.ndarray) else self._graph.tensors[weights].shape[0]
        inputs = self._weighted_inputs(activations, weights, bias, weight_scale, name, (rows, *filter_size, channels))
        shape = (batches, *_output_size((height, width), filter_size, stride, dilation, padding), rows)
        output = self.tensor(
            f"{name}/out", shape, self._dtype(activations), scale=output_scale, zero_point=output_zero_point
        )
        options = schema.Conv2DOptionsT(
            padding=padding,
            strideH=stride[0],
            strideW=stride[1],
            fusedActivationFunction=activation,
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
        )
        self.operator(schema.BuiltinOperator.CONV_2D, inputs, [output], options)
        return output

    def depthwise_conv_2d(
        self,
        activations: int,
        matrix: np.ndarray,
        *,
        filter_size: tuple[int, int] = (3, 3),
        bias: np.ndarray | None = None,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        weight_scale: float | np.ndarray = 0.01,
        output_scale: float = 0.5,
        output_zero_point: int = 3,
        activation: int = schema.ActivationFunctionType.NONE,
        padding: int = schema.Padding.SAME,
        name: str = "depthwise",
    ) -> int:
        """Adds DEPTHWISE_CONV_2D and returns its output. `matrix` is int8 [output channels, filter height * width]."""
        batches, height, width, channels = self._graph.tensors[activations].shape
        rows = len(matrix)
        weights = self.tensor(f"{name}/weights", (1, *filter_size, rows), data=matrix.T, scale=weight_scale, axis=3)
        inputs = self._weighted_inputs(activations, weights, bias, weight_scale, name)
        if bias is None:
            inputs.pop()  # TFLM's kernel reads a third input, also if its index is -1
        sizes = _output_size((height, width), filter_size, stride, dilation, padding)
        output = self.tensor(f"{name}/out", (batches, *sizes, rows), scale=output_scale, zero_point=output_zero_point)
        options = schema.DepthwiseConv2DOptionsT(
            padding=padding,
            strideH=stride[0],
            strideW=stride[1],
            depthMultiplier=rows // channels,
            fusedActivationFunction=activation,
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
        )
        self.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, inputs, [output], options)
        return output

    def _dtype(self, tensor: int) -> np.dtype:
        return _DTYPES[self._graph.tensors[tensor].type]

    def _weighted_inputs(
        self,
        activations: int,
        weights: np.ndarray | int,
        bias: np.ndarray | int | None,
        weight_scale: float | np.ndarray,
        name: str,
        shape: Sequence[int] | None = None,
    ) -> list[int]:
        if isinstance(weights, np.ndarray):
            shape = weights.shape if shape is None else shape
            weights = self.tensor(f"{name}/weights", shape, data=weights, scale=weight_scale)
        if bias is None:
            return [activations, weights, -1]
        if isinstance(bias, np.ndarray):
            scale = self._graph.tensors[activations].quantization.scale[0]
            scales = np.atleast_1d(np.asarray(weight_scale, np.float32))
            bias = self.tensor(f"{name}/bias", bias.shape, bias.dtype, data=bias, scale=scale * scales)
        return [activations, weights, bias]


def _output_size(
    size: tuple[int, int],
    filter_size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: int,
) -> list[int]:
    """Returns (height, width) of the output of a convolution."""
    same = padding == schema.Padding.SAME
    return [
        len(range(0, pixels if same else pixels - (taps - 1) * gap, step))
        for pixels, taps, gap, step in zip(size, filter_size, dilation, stride, strict=True)
    ]


def fully_connected_model(
    rng: np.random.Generator,
    matrix: np.ndarray,
    *,
    batches: int = 1,
    with_bias: bool = True,
    per_channel: bool = False,
    int16: bool = False,
    **options: object,
) -> schema.ModelT:
    """Returns a model of one FULLY_CONNECTED with random scales, zero points and bias.

    `matrix` is int8 [rows, cols]. Activations are int8, or int16 with `int16`.
    """
    rows, cols = matrix.shape
    builder = Builder()
    x = _model_input(builder, rng, (batches, cols), int16)
    y = builder.fully_connected(
        x,
        matrix,
        (batches, rows),
        **_random_quantisation(rng, matrix, with_bias, per_channel, int16),
        **options,
    )
    return builder.finish([x], [y])


def conv_model(
    rng: np.random.Generator,
    matrix: np.ndarray,
    *,
    filter_size: tuple[int, int] = (1, 1),
    pixels: tuple[int, int] = (4, 5),
    batches: int = 1,
    with_bias: bool = True,
    per_channel: bool = True,
    int16: bool = False,
    **options: object,
) -> schema.ModelT:
    """Returns a model of one CONV_2D with random scales, zero points and bias.

    `matrix` is int8 [rows, filter height * width * channels]. Activations are int8, or int16 with `int16`.
    """
    channels = matrix.shape[1] // (filter_size[0] * filter_size[1])
    builder = Builder()
    x = _model_input(builder, rng, (batches, *pixels, channels), int16)
    y = builder.conv_2d(
        x,
        matrix,
        filter_size=filter_size,
        **_random_quantisation(rng, matrix, with_bias, per_channel, int16),
        **options,
    )
    return builder.finish([x], [y])


def depthwise_model(
    rng: np.random.Generator,
    matrix: np.ndarray,
    *,
    filter_size: tuple[int, int] = (3, 3),
    pixels: tuple[int, int] = (4, 5),
    batches: int = 1,
    depth_multiplier: int = 1,
    with_bias: bool = True,
    per_channel: bool = True,
    **options: object,
) -> schema.ModelT:
    """Returns a model of one DEPTHWISE_CONV_2D with random scales, zero points and bias.

    `matrix` is int8 [channels * depth_multiplier, filter height * width].
    """
    builder = Builder()
    x = _model_input(builder, rng, (batches, *pixels, len(matrix) // depth_multiplier), int16=False)
    quantisation = _random_quantisation(rng, matrix, with_bias, per_channel, int16=False)
    y = builder.depthwise_conv_2d(x, matrix, filter_size=filter_size, **quantisation, **options)
    return builder.finish([x], [y])


def separable() -> schema.ModelT:
    """Returns the beginning of a DS-CNN: `stem` (10x4, one input channel), `depthwise` (3x3) and `pointwise` (1x1).

    None of the weights of `stem` and `depthwise` is zero, and 90 % of those of `pointwise`.
    """
    rng = np.random.default_rng(4)
    builder = Builder()

    def weights(rows: int, cols: int) -> np.ndarray:
        return rng.integers(1, 128, (rows, cols)).astype(np.int8)

    def quantisation(rows: int) -> dict[str, object]:
        bias = rng.integers(-500, 500, rows).astype(np.int32)
        return {"bias": bias, "weight_scale": rng.uniform(0.005, 0.02, rows).astype(np.float32), "output_scale": 2.0}

    x = builder.tensor("x", (1, 49, 10, 1), scale=0.1, zero_point=5)
    y = builder.conv_2d(x, weights(64, 40), filter_size=(10, 4), stride=(2, 2), name="stem", **quantisation(64))
    z = builder.depthwise_conv_2d(y, weights(64, 9), name="depthwise", **quantisation(64))
    w = builder.conv_2d(z, sparse_matrix(rng, 64, 64, 0.9), name="pointwise", **quantisation(64))
    return builder.finish([x], [w])


def _model_input(builder: Builder, rng: np.random.Generator, shape: Sequence[int], int16: bool) -> int:
    zero_point = int(rng.integers(-128, 128))
    if int16:
        return builder.tensor("x", shape, np.int16, scale=0.1 / 256)
    return builder.tensor("x", shape, scale=0.1, zero_point=zero_point)


def _random_quantisation(
    rng: np.random.Generator, matrix: np.ndarray, with_bias: bool, per_channel: bool, int16: bool
) -> dict[str, object]:
    """Draws bias, scales and output zero point of a layer. With int16 activations, outputs are 256 times finer."""
    rows, cols = matrix.shape
    steps = 256 if int16 else 1
    bias = rng.integers(-5000, 5000, rows).astype(np.int64 if int16 else np.int32) * steps if with_bias else None
    weight_scale = rng.uniform(0.005, 0.05, rows if per_channel else 1).astype(np.float32)
    output_scale = float(rng.uniform(0.2, 2)) * float(np.sqrt(cols)) / steps
    output_zero_point = int(rng.integers(-128, 128))
    return {
        "bias": bias,
        "weight_scale": weight_scale,
        "output_scale": output_scale,
        "output_zero_point": 0 if int16 else output_zero_point,
    }


@dataclass(frozen=True)
class SparseLayout:
    """Layout of a tensor in TFLite's own sparse format.

    Attributes:
      blocks: {dimension: block size} of the dimensions with blocks.
      csr: positions of the compressed levels in the traversal; all other levels are dense.
      order: traversal order; None for the order of the dimensions, with blocks last.
      vector: type of the segment and index vectors: Int32Vector, Uint16Vector or Uint8Vector.
    """

    blocks: dict[int, int] = field(default_factory=dict)
    csr: tuple[int, ...] = (1,)
    order: tuple[int, ...] | None = None
    vector: str = "Int32Vector"


def sparse_form(dense: np.ndarray, layout: SparseLayout) -> tuple[schema.SparsityParametersT, np.ndarray]:
    """Returns (TFLite's sparsity parameters for `dense`, stored elements)."""
    rank = dense.ndim
    block_map = list(layout.blocks)
    shape = [n for d in range(rank) for n in (dense.shape[d] // layout.blocks.get(d, 1), layout.blocks.get(d, 1))]
    axes = [*(2 * d for d in range(rank)), *(2 * d + 1 for d in block_map)]
    order = layout.order or tuple(range(len(axes)))
    # Dimensions without blocks get a block of size 1, which squeeze() removes.
    rest = [2 * d + 1 for d in range(rank) if d not in block_map]
    nodes = [dense.reshape(shape).transpose([axes[d] for d in order] + rest).squeeze(tuple(range(len(axes), 2 * rank)))]
    sizes = nodes[0].shape
    levels = []
    for level in range(len(axes)):
        if level not in layout.csr:
            levels.append(schema.DimensionMetadataT(format=schema.DimensionType.DENSE, denseSize=sizes[level]))
            nodes = [child for node in nodes for child in node]
            continue
        segments, indices, children = [0], [], []
        for node in nodes:
            for index, child in enumerate(node):
                if child.any():
                    indices.append(index)
                    children.append(child)
            segments.append(len(indices))
        nodes = children
        levels.append(
            schema.DimensionMetadataT(
                format=schema.DimensionType.SPARSE_CSR,
                arraySegmentsType=getattr(schema.SparseIndexVector, layout.vector),
                arraySegments=getattr(schema, f"{layout.vector}T")(segments),
                arrayIndicesType=getattr(schema.SparseIndexVector, layout.vector),
                arrayIndices=getattr(schema, f"{layout.vector}T")(indices),
            )
        )
    sparsity = schema.SparsityParametersT(
        traversalOrder=np.array(order, np.int32), blockMap=np.array(block_map, np.int32), dimMetadata=levels
    )
    return sparsity, np.array(nodes, dense.dtype)


def with_sparse_weights(model: schema.ModelT, layout: SparseLayout) -> schema.ModelT:
    """Converts weights to sparse tensors, each with a DENSIFY, like the converter's EXPERIMENTAL_SPARSITY."""
    model = copy.deepcopy(model)
    weighted = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.FULLY_CONNECTED)
    code = len(model.operatorCodes)
    densify = schema.BuiltinOperator.DENSIFY
    model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=densify, builtinCode=densify, version=1))
    for subgraph in model.subgraphs:
        outputs: dict[int, int] = {}  # {sparse tensor: output of its DENSIFY}
        operators = []
        for operator in subgraph.operators:
            if model.operatorCodes[operator.opcodeIndex].builtinCode in weighted:
                constant = int(operator.inputs[1])
                if constant not in outputs:
                    outputs[constant] = len(subgraph.tensors)
                    subgraph.tensors.append(_make_sparse(model, subgraph.tensors[constant], layout))
                    operators.append(
                        schema.OperatorT(
                            opcodeIndex=code,
                            inputs=np.array([constant], np.int32),
                            outputs=np.array([outputs[constant]], np.int32),
                            builtinOptionsType=schema.BuiltinOptions.DensifyOptions,
                            builtinOptions=schema.DensifyOptionsT(),
                        )
                    )
                operator.inputs = np.array([operator.inputs[0], outputs[constant], *operator.inputs[2:]], np.int32)
            operators.append(operator)
        subgraph.operators = operators
    return model


def _make_sparse(model: schema.ModelT, tensor: schema.TensorT, layout: SparseLayout) -> schema.TensorT:
    """Converts a constant int8 tensor to the sparse format, in place. Returns the output of its DENSIFY."""
    output = copy.deepcopy(tensor)
    output.buffer, output.name = 0, f"{tensor.name}/densify"
    buffer = model.buffers[tensor.buffer]
    dense = np.frombuffer(bytes(buffer.data), np.int8).reshape(tensor.shape)
    tensor.sparsity, values = sparse_form(dense, layout)
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    return output


def three_convolutions() -> schema.ModelT:
    """Returns a model of `first` (1x1, 90 % zeros), `second` (1x1, 50 % zeros) and `third` (3x3, 90 % zeros)."""
    rng = np.random.default_rng(3)
    builder = Builder()
    x = builder.tensor("x", (1, 10, 10, 64), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng, 96, 64, 0.9), name="first")
    z = builder.conv_2d(y, sparse_matrix(rng, 80, 96, 0.5), name="second")
    w = builder.conv_2d(z, sparse_matrix(rng, 64, 720, 0.9), filter_size=(3, 3), name="third")
    return builder.finish([x], [w])


def unrolled_lstm(
    *, steps: int = 6, inputs: int = 24, units: int = 32, zeros: float = 0.85, per_channel: bool = True
) -> schema.ModelT:
    """Returns an LSTM with int8 activations that is unrolled in time, as converters write it.

    All steps use the same two weight tensors, [4 * units, inputs] and [4 * units, units]. A fraction `zeros` of the
    weights is zero. The scales of activations differ from step to step. The input is [1, steps * inputs], the output
    [1, units].
    """
    op, rng = schema.BuiltinOperator, np.random.default_rng(12)
    builder = Builder()
    gates = 4 * units

    def weights(name: str, cols: int) -> int:
        scale = rng.uniform(0.004, 0.009, gates if per_channel else 1)
        return builder.tensor(name, (gates, cols), data=sparse_matrix(rng, gates, cols, zeros), scale=scale)

    def result(name: str, width: int, scale: float, zero_point: int = 0) -> int:
        return builder.tensor(name, (1, width), scale=scale, zero_point=zero_point)

    def split(name: str, x: int, parts: int, width: int, scale: float, zero_point: int) -> list[int]:
        axis = builder.tensor(f"{name}/axis", (), np.int32, data=np.int32(1))
        outputs = [result(f"{name}/{part}", width, scale, zero_point) for part in range(parts)]
        builder.operator(op.SPLIT, [axis, x], outputs, schema.SplitOptionsT(numSplits=parts))
        return outputs

    def unary(code: int, name: str, x: int, scale: float, zero_point: int) -> int:
        output = result(name, units, scale, zero_point)
        builder.operator(code, [x], [output])
        return output

    def binary(code: int, options: object, name: str, x: int, y: int, width: int, scale: float, zero_point: int) -> int:
        output = result(name, width, scale, zero_point)
        builder.operator(code, [x, y], [output], options)
        return output

    kernel, recurrent = weights("kernel", inputs), weights("recurrent_kernel", units)
    bias = rng.integers(-2000, 2000, gates).astype(np.int32)
    x = builder.tensor("x", (1, steps * inputs), scale=0.03, zero_point=5)
    h = c = builder.tensor("zeros", (1, units), data=np.zeros(units, np.int8), scale=1 / 128)
    for step, of_step in enumerate(split("x", x, steps, inputs, 0.03, 5)):
        name = f"step{step}"
        scales, zero_points = rng.uniform(0.05, 0.2, 4), rng.integers(-20, 20, 4)
        products = [
            builder.fully_connected(
                activations,
                shared,
                (1, gates),
                bias=of_product,
                output_scale=scales[number],
                output_zero_point=int(zero_points[number]),
                name=f"{name}/product{number}",
            )
            for number, (activations, shared, of_product) in enumerate([(of_step, kernel, bias), (h, recurrent, None)])
        ]
        summed = binary(op.ADD, schema.AddOptionsT(), f"{name}/sum", *products, gates, scales[2], int(zero_points[2]))
        i, f, g, o = split(name, summed, 4, units, scales[2], int(zero_points[2]))
        i, f, o = (unary(op.LOGISTIC, f"{name}/gate", gate, 1 / 256, -128) for gate in (i, f, o))
        g = unary(op.TANH, f"{name}/candidate", g, 1 / 128, 0)
        kept = binary(op.MUL, schema.MulOptionsT(), f"{name}/kept", f, c, units, 0.02, 0)
        added = binary(op.MUL, schema.MulOptionsT(), f"{name}/added", i, g, units, 1 / 128, 0)
        c = binary(op.ADD, schema.AddOptionsT(), f"{name}/state", kept, added, units, scales[3] / 5, 0)
        squashed = unary(op.TANH, f"{name}/squashed", c, 1 / 128, 0)
        h = binary(op.MUL, schema.MulOptionsT(), f"{name}/output", o, squashed, units, scales[3] / 12, 1)
    return builder.finish([x], [h])


def siamese(*, convolution: bool, int16: bool, per_channel: bool) -> schema.ModelT:
    """Returns a model of two branches with the same weights but other scales, biases and zero points.

    Each branch has one layer: a 3x3 CONV_2D of an image [1, 5, 4, 12], or a FULLY_CONNECTED of a vector [1, 96].
    """
    rng = np.random.default_rng(21)
    builder = Builder()
    rows, shape = 40, (1, 5, 4, 12) if convolution else (1, 96)
    dtype, bias_type = (np.int16, np.int64) if int16 else (np.int8, np.int32)
    matrix = sparse_matrix(rng, rows, 9 * shape[-1] if convolution else shape[-1], 0.85)
    scale = rng.uniform(0.004, 0.02, rows if per_channel else 1)
    weights = builder.tensor("w", (rows, 3, 3, shape[-1]) if convolution else matrix.shape, data=matrix, scale=scale)
    x = builder.tensor("x", shape, dtype, scale=0.013, zero_point=0 if int16 else -7)
    outputs = []
    for branch, y_scale in enumerate((0.7, 0.9)):
        zero_point = 0 if int16 else branch - 5
        bias = rng.integers(-500, 500, rows).astype(bias_type)
        options = {"bias": bias, "output_scale": y_scale, "output_zero_point": zero_point, "name": f"branch{branch}"}
        if convolution:
            outputs.append(builder.conv_2d(x, weights, filter_size=(3, 3), **options))
        else:
            outputs.append(builder.fully_connected(x, weights, (1, rows), **options))
    total = builder.tensor("sum", builder.shape(outputs[0]), dtype, scale=1.1, zero_point=0 if int16 else 2)
    builder.operator(schema.BuiltinOperator.ADD, outputs, [total], schema.AddOptionsT(potScaleInt16=False))
    return builder.finish([x], [total])

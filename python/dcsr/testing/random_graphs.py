"""Builds random models with dead and constant channels, for tests of passes that change the graph."""

from __future__ import annotations

import numpy as np

from dcsr.schema import schema
from dcsr.testing.models import Builder

_OP = schema.BuiltinOperator
_ACTIVATIONS = [getattr(schema.ActivationFunctionType, name) for name in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")]


class RandomGraph:
    """Grows a graph of int8 or int16 operators, one random operator after the other.

    Weights have zero rows, zero columns and single zeros; biases and constants are sometimes 0, sometimes shared.
    """

    def __init__(self, seed: int, width: int = 1) -> None:
        self.width = width
        self.rng = np.random.default_rng(seed)
        self.builder = Builder()
        self.int16 = bool(self.rng.random() < 0.25)
        self.dtype = np.int16 if self.int16 else np.int8
        self.bias_type = np.int64 if self.int16 and self.rng.random() < 0.7 else np.int32
        self.inputs: list[int] = []
        self.images: list[int] = []
        self.vectors: list[int] = []
        self.biases: dict[tuple[int, type], int] = {}
        self.count = 0

    def build(self, operators: int) -> schema.ModelT:
        """Returns a model with about so many operators and one or more outputs."""
        for _ in range(self._pick(1, 3)):
            size, channels = self._pick(3, 7), self._channels(6)
            x = self._activation((1, size, size, channels))
            self.inputs.append(x)
            self.images.append(x)
        kinds = [self._convolution] * 5 + [self._depthwise] * 3
        kinds += [self._binary, self._scaled, self._pool, self._pad, self._concatenation, self._unary, self._mean]
        kinds += [self._flatten, self._fully_connected, self._fully_connected, self._unknown]
        while self.count < operators:
            kinds[self._pick(0, len(kinds))]()
        outputs = set()
        for _ in range(self._pick(1, 4)):
            self._flatten()
            self._fully_connected()
            outputs.add(self.vectors[-1])
        if self.rng.random() < 0.3:
            outputs.add(int(self.rng.choice([t for t in self.images + self.vectors if t not in self.inputs])))
        model = self.builder.finish(self.inputs, sorted(outputs))
        if self.rng.random() < 0.2:
            extra = int(self.rng.choice(self.images))
            entry = schema.TensorMapT(name="extra", tensorIndex=extra)
            model.signatureDefs = [
                schema.SignatureDefT(inputs=[], outputs=[entry], signatureKey="serve", subgraphIndex=0)
            ]
        return model

    # ------------------------------------------------------------------------------------------ parts

    def _pick(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def _channels(self, limit: int) -> int:
        return self._pick(1, limit) * self.width

    def _name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def _activation(self, shape: tuple[int, ...], like: int | None = None) -> int:
        scale, zero = float(self.rng.choice([0.02, 0.05, 0.1])), self._pick(-128, 128)
        if self.rng.random() < 0.5:
            zero = int(self.rng.choice([-128, 0]))
        if self.int16:
            scale, zero = scale / 256, 0
        if like is not None:
            quantization = self.builder.model.subgraphs[0].tensors[like].quantization
            scale, zero = float(quantization.scale[0]), int(quantization.zeroPoint[0])
        return self.builder.tensor(self._name(), shape, self.dtype, scale=scale, zero_point=zero)

    def _image(self) -> int:
        recent = self.images[-4:] if self.rng.random() < 0.7 else self.images
        return recent[self._pick(0, len(recent))]

    def _weights(self, rows: int, taps: int, channels: int) -> np.ndarray:
        """Returns weights int8 [rows, taps, channels] with zero rows and columns."""
        weights = self.rng.integers(-127, 128, (rows, taps, channels)).astype(np.int8)
        weights[self.rng.random(weights.shape) < self.rng.choice([0, 0, 0.5])] = 0
        weights[self.rng.random(rows) < self.rng.choice([0, 0.2, 0.4])] = 0
        weights[:, :, self.rng.random(channels) < self.rng.choice([0, 0.2, 0.5])] = 0
        return weights

    def _bias(self, rows: int, code: int) -> int:
        """Returns a bias tensor; sometimes one that another operator has, sometimes none (-1)."""
        kind = self.rng.random()
        # TFLM crashes on a DEPTHWISE_CONV_2D without bias, and reads an int32 bias of one with int16 activations as
        # int64.
        is_depthwise = code == _OP.DEPTHWISE_CONV_2D
        if kind < 0.15 and not is_depthwise:
            return -1
        bias_type = np.int64 if is_depthwise and self.int16 else self.bias_type
        if kind < 0.35 and (rows, bias_type) in self.biases:
            return self.biases[rows, bias_type]
        values = self.rng.integers(-3000, 3000, rows) * (256 if self.int16 else 1)
        values[self.rng.random(rows) < self.rng.choice([0, 0.5, 1])] = 0
        bias = self.builder.tensor(f"b{self.count}", (rows,), bias_type, data=values, scale=0.001)
        self.biases[rows, bias_type] = bias
        return bias

    def _weighted(self, code: int, x: int, weights: np.ndarray, y: int, options: object, axis: int, rows: int) -> int:
        per_channel = self.rng.random() < 0.6
        # Outputs vary about as much as inputs, so that few of them saturate.
        energy = np.sqrt(np.sum(weights.astype(np.int64) ** 2) / rows + 1)
        scale = self.rng.uniform(0.7, 2, rows if per_channel else 1) / energy
        w = self.builder.tensor(f"w{self.count}", weights.shape, data=weights, scale=scale, axis=axis)
        # TFLM checks the scale of the bias if FULLY_CONNECTED has one scale.
        bias = -1 if code == _OP.FULLY_CONNECTED and len(scale) == 1 else self._bias(rows, code)
        self.builder.operator(code, [x, w, bias], [y], options)
        return y

    def _window(self, size: int, taps: int, stride: int, dilation: int, same: bool) -> int:
        span = 1 if same else (taps - 1) * dilation + 1
        return (size + stride - span) // stride

    # ------------------------------------------------------------------------------------------ operators

    def _convolution(self) -> None:
        self._filter(depthwise=False)

    def _depthwise(self) -> None:
        self._filter(depthwise=True)

    def _filter(self, *, depthwise: bool) -> None:
        x = self._image()
        _, height, width, channels = self.builder.shape(x)
        taps, stride, dilation = self._pick(1, 4), self._pick(1, 3), self._pick(1, 3)
        if self.rng.random() < 0.4:
            taps = stride = 1
        same = bool(self.rng.random() < 0.5)
        sizes = [self._window(size, taps, stride, dilation, same) for size in (height, width)]
        if min(sizes) < 1:
            return
        options = {
            "padding": schema.Padding.SAME if same else schema.Padding.VALID,
            "strideH": stride,
            "strideW": stride,
            "dilationHFactor": dilation,
            "dilationWFactor": dilation,
            "fusedActivationFunction": int(self.rng.choice(_ACTIVATIONS)),
        }
        if depthwise:
            multiplier = self._pick(1, 3)
            rows = channels * multiplier
            weights = self._weights(rows, taps * taps, 1)[:, :, 0].T.reshape(1, taps, taps, rows)
            y = self._activation((1, *sizes, rows))
            found = schema.DepthwiseConv2DOptionsT(**options, depthMultiplier=multiplier)
            self._weighted(_OP.DEPTHWISE_CONV_2D, x, weights, y, found, 3, rows)
        else:
            rows = self._channels(9)
            weights = self._weights(rows, taps * taps, channels).reshape(rows, taps, taps, channels)
            y = self._activation((1, *sizes, rows))
            self._weighted(_OP.CONV_2D, x, weights, y, schema.Conv2DOptionsT(**options), 0, rows)
        self.images.append(y)

    def _fully_connected(self) -> None:
        flattens = self.vectors == [] or self.rng.random() < 0.2
        x = self._image() if flattens else self.vectors[-self._pick(1, min(len(self.vectors), 2) + 1)]
        shape = self.builder.shape(x)
        columns = int(np.prod(shape)) if flattens else shape[-1]
        rows = self._channels(10)
        weights = self._weights(rows, columns // shape[-1], shape[-1]).reshape(rows, columns)
        y = self._activation((1, rows) if flattens else (*shape[:-1], rows))
        options = schema.FullyConnectedOptionsT(
            fusedActivationFunction=int(self.rng.choice(_ACTIVATIONS)), keepNumDims=not flattens and len(shape) > 2
        )
        self.vectors.append(self._weighted(_OP.FULLY_CONNECTED, x, weights, y, options, 0, rows))

    def _binary(self) -> None:
        x = self._image()
        shape = self.builder.shape(x)
        others = [t for t in self.images if self.builder.shape(t) in (shape, (1, 1, 1, shape[-1]), (*shape[:-1], 1))]
        y = int(self.rng.choice(others))
        kinds = [(_OP.ADD, schema.AddOptionsT), (_OP.SUB, schema.SubOptionsT), (_OP.MUL, schema.MulOptionsT)]
        if not self.int16:
            kinds += [(_OP.MAXIMUM, None), (_OP.MINIMUM, None)]
        code, options = kinds[self._pick(0, len(kinds))]
        if options is None and len(self.builder.shape(y)) and self.builder.shape(y) != shape:
            return
        self._elementwise(code, options, [x, y], shape)

    def _scaled(self) -> None:
        """A constant of the shape [channels], [1, 1, channels] or [1], or of the whole image."""
        x = self.vectors[-1] if self.vectors and self.rng.random() < 0.3 else self._image()
        shape = self.builder.shape(x)
        form = [(shape[-1],), (*[1] * (len(shape) - 1), shape[-1]), (1,), shape][self._pick(0, 4)]
        values = self.rng.integers(-100, 100, form)
        zero = 0 if self.int16 else self._pick(-20, 20)
        values[..., self.rng.random(form[-1]) < self.rng.choice([0, 0.4])] = zero
        scale = 0.02 / 256 if self.int16 else 0.02
        constant = self.builder.tensor(f"c{self.count}", form, self.dtype, data=values, scale=scale, zero_point=zero)
        code, options = [(_OP.MUL, schema.MulOptionsT), (_OP.ADD, schema.AddOptionsT)][self._pick(0, 2)]
        self._elementwise(code, options, [x, constant][:: 1 if self.rng.random() < 0.8 else -1], shape)

    def _elementwise(self, code: int, options: type | None, inputs: list[int], shape: tuple[int, ...]) -> None:
        found = None if options is None else options(fusedActivationFunction=int(self.rng.choice(_ACTIVATIONS)))
        if options in (schema.AddOptionsT, schema.SubOptionsT):
            found.potScaleInt16 = False
        y = self._activation(shape, like=inputs[0] if options is None else None)
        if options is None:
            inputs = [inputs[0], inputs[0]] if not self._same_scale(inputs) else inputs
        self.builder.operator(code, inputs, [y], found)
        (self.images if len(shape) == 4 else self.vectors).append(y)

    def _same_scale(self, tensors: list[int]) -> bool:
        found = [self.builder.model.subgraphs[0].tensors[t].quantization for t in tensors]
        return len({(float(q.scale[0]), int(q.zeroPoint[0])) for q in found}) == 1

    def _pool(self) -> None:
        x = self._image()
        _, height, width, channels = self.builder.shape(x)
        taps, same = self._pick(1, 4), bool(self.rng.random() < 0.5)
        sizes = [self._window(size, taps, taps, 1, same) for size in (height, width)]
        if min(sizes) < 1:
            return
        y = self._activation((1, *sizes, channels), like=x)
        options = schema.Pool2DOptionsT(
            padding=schema.Padding.SAME if same else schema.Padding.VALID,
            strideH=taps,
            strideW=taps,
            filterHeight=taps,
            filterWidth=taps,
            fusedActivationFunction=int(self.rng.choice(_ACTIVATIONS)) if self.rng.random() < 0.3 else 0,
        )
        code = _OP.MAX_POOL_2D if self.rng.random() < 0.5 else _OP.AVERAGE_POOL_2D
        self.builder.operator(code, [x], [y], options)
        self.images.append(y)

    def _pad(self) -> None:
        x = self._image()
        _, height, width, channels = self.builder.shape(x)
        if height * width > 80:
            return
        more = int(self.rng.random() < 0.15)
        margins = np.array([[0, 0], [self._pick(0, 2), 1], [1, self._pick(0, 2)], [0, more]])
        form = [size + int(margin.sum()) for size, margin in zip((1, height, width, channels), margins, strict=True)]
        y = self._activation(tuple(form), like=x)
        constant = self.builder.tensor(f"margins{self.count}", (4, 2), np.int32, data=margins)
        self.builder.operator(_OP.PAD, [x, constant], [y], schema.PadOptionsT())
        self.images.append(y)

    def _concatenation(self) -> None:
        x = self._image()
        shape = self.builder.shape(x)
        others = [t for t in self.images if self.builder.shape(t)[:3] == shape[:3] and self._same_scale([x, t])]
        parts = [x, *(int(t) for t in self.rng.choice(others, self._pick(1, 3)))]
        width = sum(self.builder.shape(t)[-1] for t in parts)
        if width > 24 * self.width:
            return
        y = self._activation((*shape[:3], width), like=x)
        options = schema.ConcatenationOptionsT(axis=int(self.rng.choice([3, -1])))
        self.builder.operator(_OP.CONCATENATION, parts, [y], options)
        self.images.append(y)

    def _unary(self) -> None:
        x = self._image()
        kinds = [
            (_OP.RELU, None),
            (_OP.QUANTIZE, schema.QuantizeOptionsT()),
            (_OP.LEAKY_RELU, schema.LeakyReluOptionsT(alpha=0.1)),
        ]
        if not self.int16:
            kinds += [(_OP.HARD_SWISH, schema.HardSwishOptionsT()), (_OP.RELU6, None)]
        else:
            kinds = kinds[1:]
        code, options = kinds[self._pick(0, len(kinds))]
        y = self._activation(self.builder.shape(x))
        self.builder.operator(code, [x], [y], options)
        self.images.append(y)

    def _mean(self) -> None:
        x = self._image()
        shape = self.builder.shape(x)
        keep = bool(self.rng.random() < 0.5)
        axes = [[1, 2], [2, 1], [-3, -2], [3]][self._pick(0, 4)]
        left = [1 if d in [a % 4 for a in axes] else size for d, size in enumerate(shape)]
        form = tuple(left) if keep else tuple(size for d, size in enumerate(shape) if d not in [a % 4 for a in axes])
        y = self._activation(form)
        constant = self.builder.tensor(f"axes{self.count}", (len(axes),), np.int32, data=np.array(axes))
        self.builder.operator(_OP.MEAN, [x, constant], [y], schema.ReducerOptionsT(keepDims=keep))
        (self.images if keep else self.vectors).append(y)

    def _flatten(self) -> None:
        x = self._image()
        _, height, width, channels = self.builder.shape(x)
        form = (1, height * width * channels) if self.rng.random() < 0.6 else (1, height, width * channels)
        y = self._activation(form, like=x)
        inputs, options = [x], schema.ReshapeOptionsT(newShape=np.array(form, np.int32))
        if self.rng.random() < 0.7:
            wanted = np.array(form if self.rng.random() < 0.5 else (*form[:-1], -1))
            inputs.append(self.builder.tensor(f"form{self.count}", (len(form),), np.int32, data=wanted))
        self.builder.operator(_OP.RESHAPE, inputs, [y], options)
        self.vectors.append(y)

    def _unknown(self) -> None:
        """SOFTMAX reads all channels of its input. A slice of channels maps them in a way that no pass knows."""
        x = self._image()
        shape = self.builder.shape(x)
        if self.rng.random() < 0.5 and not self.int16:
            y = self.builder.tensor(self._name(), shape, scale=1 / 256, zero_point=-128)
            self.builder.operator(_OP.SOFTMAX, [x], [y], schema.SoftmaxOptionsT(beta=1))
        else:
            start = self._pick(0, shape[-1])
            y = self._activation((*shape[:3], shape[-1] - start), like=x)
            ends = [np.array([0, 0, 0, start]), np.array([*shape]), np.array([1, 1, 1, 1])]
            parts = [self.builder.tensor(f"s{self.count}{i}", (4,), np.int32, data=d) for i, d in enumerate(ends)]
            options = schema.StridedSliceOptionsT(beginMask=0, endMask=0)
            self.builder.operator(_OP.STRIDED_SLICE, [x, *parts], [y], options)
        self.images.append(y)


def random_graph(seed: int, operators: int = 12, width: int = 1) -> schema.ModelT:
    """Returns a random model of about so many operators; the same for the same arguments.

    `width` multiplies the numbers of channels: 16 and more make layers that are worth their code.
    """
    return RandomGraph(seed, width).build(operators)

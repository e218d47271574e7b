"""Runs a model operator by operator, on many samples at once, with the results of the TFLM interpreter bit for bit.

CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED are computed in numpy, as matrix products in float32 or float64 that are
exact. Every other operator, and each of these three whose sums could be too large, runs in the TFLM interpreter as a
model of that one operator. `checked_network` compares the whole with the interpreter, and leaves numpy out if they
differ.

Sources: tensorflow/lite/kernels/internal/reference/integer_ops/{conv,depthwise_conv,fully_connected}.h.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.graph import indices
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.requantize import (
    INT8_RANGE,
    INT16_RANGE,
    activation_range,
    layer_multipliers,
    requantize,
    requantize_int16,
)
from dcsr.schema import enum_name, schema

Array = NDArray[Any]
Values = dict[int, Array]

_OP = schema.BuiltinOperator
_TYPE = schema.TensorType

# Operators that treat the first dimension as a batch: samples are put into one.
_BATCHED = {
    getattr(_OP, name)
    for name in (
        *("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "AVERAGE_POOL_2D", "MAX_POOL_2D", "SOFTMAX", "LOGISTIC", "TANH"),
        *("RELU", "RELU6", "RELU_N1_TO_1", "HARD_SWISH", "LEAKY_RELU", "QUANTIZE", "DEQUANTIZE"),
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),
    )
}
_RESOURCES = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"}
_BATCH = 32
# Accumulators of one step of the numpy operators: they stay in the cache.
_CHUNK = 1 << 18
# Integers up to here are exact.
_EXACT_FLOAT32 = 1 << 24
_EXACT_FLOAT64 = 1 << 53
_ACCUMULATOR_LIMIT = 1 << 31

Step = Callable[[Values], None]


@dataclass(frozen=True)
class Weights:
    """What a layer computes with, in the form that pruning changes.

    Attributes:
      matrix: int8 [rows, cols].
      scales: float32 [rows] or [1].
      bias: int64 [rows], in units of input scale times weight scale; None if the layer has none.
    """

    matrix: Array
    scales: Array
    bias: Array | None


class Network:
    """Subgraph 0 of a model.

    Values are arrays [samples, *shape of the tensor], by index of the tensor. The weights of layers may be replaced.

    Attributes:
      model: the model.
      layers: its layers in subgraph 0, by position of the operator.
      outputs: tensors of the model's outputs.
    """

    def __init__(self, model: schema.ModelT, name: str, *, in_numpy: bool = True) -> None:
        """Prepares all operators.

        Args:
          model: the model; it is not changed.
          name: of the model, for messages.
          in_numpy: whether layers are computed in numpy where it is exact.

        Raises:
          ModelError: if the model cannot be run operator by operator.
        """
        self.model = model
        self._name = name
        self._graph = model.subgraphs[0]
        self._in_numpy = in_numpy
        self.layers: dict[int, Layer] = {layer.position: layer for layer in _layers(model)}
        self.outputs = indices(self._graph.outputs)
        self._steps: dict[int, Step] = {}
        for position, operator in enumerate(self._graph.operators or []):
            kind = tflite.operator_name(model, operator)
            if kind in _RESOURCES:
                raise ModelError(
                    f"{name}: operator {position} {kind}: the model keeps variables between inferences;"
                    " prune runs operators one by one and cannot follow them"
                )
        last_use = {index: position for position, _, index in self._uses()}
        self._last_use = last_use | dict.fromkeys(self.outputs, len(self._graph.operators or []))

    def __len__(self) -> int:
        return len(self._graph.operators or [])

    def _uses(self) -> Iterator[tuple[int, int, int]]:
        for position, operator in enumerate(self._graph.operators or []):
            for number, index in enumerate(indices(operator.inputs)):
                yield position, number, index

    def start(self, samples: Sequence[Array]) -> Values:
        """The values before the first operator: one array [samples, *shape] for each input of the model.

        Constants that an operator reads as activations, such as the first state of an unrolled LSTM, are among them.
        """
        values = dict(zip(indices(self._graph.inputs), samples, strict=True))
        for operator in self._graph.operators or []:
            for index in indices(operator.inputs)[:1]:
                is_integer = index >= 0 and self._graph.tensors[index].type in (_TYPE.INT8, _TYPE.INT16)
                if is_integer and index not in values and self._is_constant(index):
                    values[index] = self._constant(index, len(samples[0]))
        return values

    def step(self, position: int, values: Values) -> None:
        """Runs one operator, and drops the values that no later one needs."""
        if position not in self._steps:
            self._steps[position] = self._prepare(position)
        self._steps[position](values)
        for index in list(values):
            if self._last_use.get(index, -1) <= position:
                del values[index]

    def run(self, samples: Sequence[Array]) -> list[Array]:
        """The outputs of the model, arrays [samples, *shape]."""
        return self.finish(self.start(samples), 0)

    def finish(self, values: Values, position: int) -> list[Array]:
        """Runs the operators from `position` on; `values` is used up."""
        for p in range(position, len(self)):
            self.step(p, values)
        return [values[index] for index in self.outputs]

    def input_of(self, position: int, values: Values) -> Array:
        """The activations that an operator reads: its first input."""
        return values[int(self._graph.operators[position].inputs[0])]

    def weights(self, position: int) -> Weights:
        """The weights of a layer as the model has them."""
        return weights_of(self.model, self.layers[position])

    def replace(self, position: int, weights: Weights) -> None:
        """Has a layer that is computed in numpy use other weights."""
        self._steps[position] = self._layer(position, weights)

    def with_weights(self, weights: dict[int, Weights]) -> Network:
        """A network like this one, with other weights by position of the operator."""
        other = copy.copy(self)
        other._steps = dict(self._steps)
        for position, entry in weights.items():
            other.replace(position, entry)
        return other

    def observing_scores(self) -> Network:
        """A network like this one whose outputs are the inputs of final SOFTMAX and LOGISTIC operators, not theirs."""
        other = self.with_weights({})
        producers = {index: operator for operator in self._graph.operators or [] for index in indices(operator.outputs)}
        other.outputs = []
        for index in self.outputs:
            operator = producers.get(index)
            if operator is not None and tflite.builtin_code(self.model, operator) in (_OP.SOFTMAX, _OP.LOGISTIC):
                index = int(operator.inputs[0])
            other.outputs.append(index)
        other._last_use = self._last_use | dict.fromkeys(other.outputs, len(self))
        return other

    def sample_bytes(self) -> int:
        """Bytes of the values of one sample where they are most."""
        tensors = self._graph.tensors
        size = {i: _bytes(tensors[i]) for i in range(len(tensors))}
        alive = set(indices(self._graph.inputs))
        most = 0
        for position, operator in enumerate(self._graph.operators or []):
            alive |= set(indices(operator.outputs))
            most = max(most, sum(size[i] for i in alive))
            alive = {i for i in alive if self._last_use.get(i, -1) > position}
        return most

    # ------------------------------------------------------------------------------------------ operators

    def _prepare(self, position: int) -> Step:
        if self._in_numpy:
            if position in self.layers:
                return self._layer(position, self.weights(position))
            operator = self._graph.operators[position]
            code = tflite.builtin_code(self.model, operator)
            if code == _OP.RESHAPE:
                return self._reshape(operator)
            if code == _OP.DEPTHWISE_CONV_2D and (step := _depthwise(self.model, operator, None)):
                return step
        return self._interpreted(position)

    def _reshape(self, operator: schema.OperatorT) -> Step:
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        shape = _shape(self._graph.tensors[target])

        def step(values: Values) -> None:
            values[target] = values[source].reshape(len(values[source]), *shape)

        return step

    def _layer(self, position: int, weights: Weights) -> Step:
        layer = self.layers[position]
        operator = layer.operator
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        if layer.is_depthwise:
            found = _depthwise(self.model, operator, weights) if self._in_numpy else None
            return found or self._interpreted(position, weights)
        compute = _product(self.model, layer, weights)
        if compute is None or not self._in_numpy:
            return self._interpreted(position, weights)
        shape = _shape(self._graph.tensors[target])

        def step(values: Values) -> None:
            activations = values[source]
            values[target] = compute(activations).reshape(len(activations), *shape)

        return step

    def _interpreted(self, position: int, weights: Weights | None = None) -> Step:
        """The operator in the TFLM interpreter."""
        from dcsr import isolation

        graph, operator = self._graph, self._graph.operators[position]
        kind = tflite.operator_name(self.model, operator)
        where = f"{self._name}: operator {position} {kind}"
        constants = {i for i in indices(operator.inputs) if i >= 0 and self._is_constant(i)}
        variables = {i for i in indices(operator.inputs) if i >= 0 and graph.tensors[i].isVariable}
        sources = list(dict.fromkeys(i for i in indices(operator.inputs) if i >= 0 and i not in constants | variables))
        targets = indices(operator.outputs)
        batch = self._batch(operator, sources, targets) if not variables else 1
        model = _single(self.model, operator, sources, targets, batch)
        if weights is not None:
            from dcsr.pruning import patch

            patch.write(model, weights_layer(model), weights)
        interpreters: list[Any] = []

        def step(values: Values) -> None:
            if not interpreters:
                try:
                    interpreters.append(isolation.IsolatedInterpreter(tflite.serialize(model)))
                except (RuntimeError, ValueError) as error:
                    raise ModelError(f"{where}: the TFLM interpreter refuses the operator alone: {error}") from error
            interpreter = interpreters[0]
            inputs = [values[i] for i in sources]
            count = len(inputs[0]) if inputs else 0
            results: list[list[Array]] = [[] for _ in targets]
            try:
                for start in range(0, count, batch):
                    taken = min(batch, count - start)
                    for number, array in enumerate(inputs):
                        part = array[start : start + taken]
                        if taken < batch:
                            part = np.concatenate([part, np.repeat(part[-1:], batch - taken, axis=0)])
                        given = _shape(graph.tensors[sources[number]])
                        shape = (batch * given[0], *given[1:]) if batch > 1 else given
                        interpreter.set_input(np.ascontiguousarray(part.reshape(shape)), number)
                    interpreter.invoke()
                    for number, index in enumerate(targets):
                        got = np.array(interpreter.get_output(number))
                        results[number].append(got.reshape(batch, *_shape(graph.tensors[index]))[:taken])
            except (RuntimeError, ValueError, TypeError) as error:
                raise ModelError(f"{where}: the TFLM interpreter failed: {error}") from error
            for number, index in enumerate(targets):
                values[index] = np.concatenate(results[number])

        return step

    def _constant(self, index: int, samples: int) -> Array:
        """Returns an int8 or int16 constant [samples, *shape]: the same for each sample, without copies."""
        tensor = self._graph.tensors[index]
        dtype = np.int16 if tensor.type == _TYPE.INT16 else np.int8
        value = np.frombuffer(tflite.buffer_bytes(self.model, tensor), dtype)
        shape = _shape(tensor)
        return np.broadcast_to(value[: math.prod(shape)].reshape(shape), (samples, *shape))

    def _is_constant(self, index: int) -> bool:
        return tflite.is_constant(self.model, self._graph.tensors[index])

    def _batch(self, operator: schema.OperatorT, sources: Sequence[int], targets: Sequence[int]) -> int:
        """Samples that the operator takes at once."""
        if tflite.builtin_code(self.model, operator) not in _BATCHED:
            return 1
        shapes = [_shape(self._graph.tensors[i]) for i in [*sources, *targets]]
        if any(len(shape) < 2 or shape[0] != shapes[0][0] for shape in shapes):
            return 1
        return _BATCH


def checked_network(model: schema.ModelT, content: bytes, name: str, samples: Sequence[Array]) -> Network:
    """The network of a model, after its outputs for the samples have been found equal to the interpreter's.

    Args:
      model: the model.
      content: its file.
      name: of the model, for messages.
      samples: an array [samples, *shape] for each input; a few samples are enough.

    Raises:
      ModelError: if the model cannot be run, or if its operators, run one by one, do not give its outputs.
    """
    wanted = interpreted_outputs(model, content, name, samples)
    for in_numpy in (True, False):
        network = Network(model, name, in_numpy=in_numpy)
        got = network.run(samples)
        if all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(wanted, got, strict=True)):
            return network
    raise ModelError(
        f"{name}: its operators, run one by one, do not give the outputs of the model; it may keep a state between"
        " inferences, which prune does not support"
    )


def interpreted_outputs(
    model: schema.ModelT,
    content: bytes,
    name: str,
    samples: Sequence[Array],
    track: Callable[[Sequence[int]], Any] = iter,
) -> list[Array]:
    """Runs a whole model in the TFLM interpreter.

    Args:
      model: the model.
      content: its file.
      name: of the model, for messages.
      samples: an array [samples, *shape] for each input.
      track: wraps the sequence of sample numbers, for a progress bar.

    Returns:
      An array [samples, *shape] for each output.

    Raises:
      ModelError: if the interpreter refuses the model or fails.
    """
    from dcsr import isolation

    count = len(model.subgraphs[0].outputs)
    given: list[Array] | None = None
    try:
        with isolation.IsolatedInterpreter(content) as interpreter:
            results: list[list[Array]] = [[] for _ in range(count)]
            for number in track(range(len(samples[0]))):
                given = [np.ascontiguousarray(array[number]) for array in samples]
                for index, array in enumerate(given):
                    interpreter.set_input(array, index)
                interpreter.invoke()
                for output in range(count):
                    results[output].append(np.array(interpreter.get_output(output)))
    except isolation.InterpreterDied as death:
        place = isolation.place_of_death(content, given, death)
        raise ModelError(f"{name}: {death}{place}") from death
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{name}: the TFLM interpreter refuses the model: {error}") from error
    return [np.stack(found) for found in results]


def weights_of(model: schema.ModelT, layer: Layer) -> Weights:
    """The weights of a layer without obstacle."""
    tensor = model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]
    assert layer.matrix is not None
    bias = layer_finder.bias_values(model, layer)
    return Weights(
        layer.matrix,
        np.asarray(tensor.quantization.scale, np.float32),
        None if bias is None else bias.astype(np.int64),
    )


def weights_layer(model: schema.ModelT) -> Layer:
    """The layer of a model of one operator."""
    return next(iter(_layers(model)))


def patches(activations: Array, layer: Layer, shape: Sequence[int], zero_point: int) -> Array:
    """The vectors that a layer multiplies with its weights.

    Args:
      activations: int8 or int16 [samples, *shape].
      layer: CONV_2D or FULLY_CONNECTED without obstacle.
      shape: of the weight tensor.
      zero_point: of the activations; padding has it too.

    Returns:
      [vectors, cols], in the type of the activations. Where the filter is 1x1 without stride, a view.
    """
    options = layer.operator.builtinOptions
    if len(shape) == 2:
        return activations.reshape(-1, shape[1])
    _, height, width, channels = shape
    images = activations.reshape(-1, *activations.shape[-3:])
    stride = (options.strideH, options.strideW)
    if (height, width) == (1, 1):
        return images[:, :: stride[0], :: stride[1]].reshape(-1, channels)
    windows = _windows(
        images,
        (height, width),
        stride,
        (options.dilationHFactor, options.dilationWFactor),
        options.padding == schema.Padding.SAME,
        zero_point,
    )
    # [images, y, x, channels, filter y, filter x] -> columns in the order of the weights
    ordered: Array = windows.transpose(0, 1, 2, 4, 5, 3)
    return ordered.reshape(-1, height * width * channels)


def _windows(
    images: Array,
    size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    same: bool,
    zero_point: int,
) -> Array:
    """A view [images, y, x, channels, filter y, filter x] of padded images [images, height, width, channels]."""
    if same:
        pads = [(0, 0)]
        for length, taps, step, gap in zip(images.shape[1:3], size, stride, dilation, strict=True):
            total = max((-(-length // step) - 1) * step + (taps - 1) * gap + 1 - length, 0)
            pads.append((total // 2, total - total // 2))
        images = np.pad(images, [*pads, (0, 0)], constant_values=zero_point)
    spans = tuple((taps - 1) * gap + 1 for taps, gap in zip(size, dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(images, spans, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def _product(model: schema.ModelT, layer: Layer, weights: Weights) -> Callable[[Array], Array] | None:
    """A function from activations [samples, *shape] to outputs [vectors, rows]; None if numpy would not be exact."""
    tensors = model.subgraphs[0].tensors
    operator = layer.operator
    source, kernel, target = tensors[operator.inputs[0]], tensors[operator.inputs[1]], tensors[operator.outputs[0]]
    is_int16 = source.type == schema.TensorType.INT16
    input_zero = int(source.quantization.zeroPoint[0])
    span = 1 << 15 if is_int16 else 255
    bias = np.zeros(len(weights.matrix), np.int64) if weights.bias is None else weights.bias
    most = int(np.abs(weights.matrix.astype(np.int64)).sum(axis=1).max()) * span
    if is_int16:
        exact: type = np.float64
        if most + int(np.abs(bias).max()) >= _EXACT_FLOAT64:
            return None
    else:
        if most + int(np.abs(bias).max()) >= _ACCUMULATOR_LIMIT:
            return None
        exact = np.float32 if most < _EXACT_FLOAT32 else np.float64
    transposed: Array = np.ascontiguousarray(weights.matrix.T).astype(exact)
    finish = _requantizer(
        source,
        target,
        weights.scales,
        operator,
        is_int16,
        product_in_float=len(_shape(kernel)) == 2 and len(weights.scales) == 1,
    )
    shape = _shape(kernel)
    pixels = max(math.prod(_shape(target)) // len(weights.matrix), 1)
    step = max(1, _CHUNK // (pixels * max(weights.matrix.shape)))

    def compute(activations: Array) -> Array:
        results = []
        for start in range(0, len(activations), step):
            vectors = patches(activations[start : start + step], layer, shape, input_zero)
            centred: Array = vectors.astype(exact)
            if input_zero:
                centred -= input_zero
            accumulators = centred @ transposed
            results.append(finish(accumulators.astype(np.float64) + bias))
        return np.concatenate(results)

    return compute


def _depthwise(model: schema.ModelT, operator: schema.OperatorT, weights: Weights | None) -> Step | None:
    """DEPTHWISE_CONV_2D of int8 with one filter for each channel, its own or with other weights; None for others."""
    tensors = model.subgraphs[0].tensors
    if len(operator.inputs) < 2 or min(operator.inputs[:2]) < 0:
        return None
    source, kernel = (tensors[i] for i in operator.inputs[:2])
    target = tensors[operator.outputs[0]]
    options = operator.builtinOptions
    if any(tensor.type != schema.TensorType.INT8 for tensor in (source, kernel, target)) or options is None:
        return None
    shape = _shape(kernel)
    data = tflite.buffer_bytes(model, kernel)
    channels = _shape(source)[-1]
    if len(shape) != 4 or shape[0] != 1 or shape[3] != channels or len(data) != math.prod(shape):
        return None
    if not all(_has_quantization(tensor) for tensor in (source, kernel, target)):
        return None
    scales = np.asarray(kernel.quantization.scale, np.float32)
    if len(scales) not in (1, channels) or np.any(kernel.quantization.zeroPoint):
        return None
    bias = np.zeros(channels, np.int64)
    if (index := layer_finder.bias_index(operator)) >= 0:
        content = tflite.buffer_bytes(model, tensors[index])
        if tensors[index].type != schema.TensorType.INT32 or len(content) != 4 * channels:
            return None
        bias = np.frombuffer(content, "<i4").astype(np.int64)
    taps = np.frombuffer(data, np.int8).reshape(-1, channels).astype(np.float32)
    if weights is not None:
        taps, scales = weights.matrix.T.astype(np.float32), weights.scales
        bias = np.zeros(channels, np.int64) if weights.bias is None else weights.bias
    if float(np.abs(taps).sum(axis=0).max()) * 255 >= _EXACT_FLOAT32:
        return None
    if int(np.abs(bias).max()) >= _ACCUMULATOR_LIMIT - _EXACT_FLOAT32:
        return None
    try:
        finish = _requantizer(source, target, scales, operator, False, product_in_float=False)
    except (ValueError, KeyError):
        return None
    input_zero = int(source.quantization.zeroPoint[0])
    stride = (options.strideH, options.strideW)
    dilation = (options.dilationHFactor, options.dilationWFactor)
    same = options.padding == schema.Padding.SAME
    first, last = int(operator.inputs[0]), int(operator.outputs[0])
    step_size = max(1, _CHUNK // math.prod(_shape(source)))
    output_shape = _shape(target)

    def step(values: Values) -> None:
        activations = values[first]
        results = []
        for start in range(0, len(activations), step_size):
            images = activations[start : start + step_size]
            images = images.reshape(-1, *images.shape[-3:]).astype(np.float32)
            if input_zero:
                images -= input_zero
            windows = _windows(images, shape[1:3], stride, dilation, same, 0)
            total = np.zeros(windows.shape[:4], np.float32)
            for number, (y, x) in enumerate(np.ndindex(*shape[1:3])):
                total += windows[..., y, x] * taps[number]
            results.append(finish(total.reshape(-1, channels).astype(np.float64) + bias))
        values[last] = np.concatenate(results).reshape(len(activations), *output_shape)

    return step


def _requantizer(
    source: schema.TensorT,
    target: schema.TensorT,
    scales: Array,
    operator: schema.OperatorT,
    is_int16: bool,
    *,
    product_in_float: bool,
) -> Callable[[Array], Array]:
    """A function from accumulators, float64 [vectors, rows] of integers, to outputs."""
    output_scale = target.quantization.scale[0]
    zero_point = int(target.quantization.zeroPoint[0])
    multipliers, shifts = layer_multipliers(
        source.quantization.scale[0], scales, output_scale, product_in_float=product_in_float
    )
    activation = enum_name(schema.ActivationFunctionType, operator.builtinOptions.fusedActivationFunction)
    low, high = activation_range(activation, output_scale, zero_point, INT16_RANGE if is_int16 else INT8_RANGE)

    if is_int16:

        def wide(accumulators: Array) -> Array:
            scaled = requantize_int16(accumulators.astype(np.int64), multipliers, shifts)
            return np.clip(scaled.astype(np.int64) + zero_point, low, high).astype(np.int16)

        return wide

    real = np.ldexp(multipliers.astype(np.float64), shifts.astype(np.int32) - 31)
    # TFLM rounds to 31 fractional bits of the multiplier, then to an integer. The float result can differ from that
    # only if it is this close to a half. With a shift to the left everything counts as close.
    doubt = 0.5 - np.where(shifts < -1, np.ldexp(0.5, shifts.astype(np.int32)) + 1e-6, 1.0)

    def narrow(accumulators: Array) -> Array:
        scaled = accumulators * real
        rounded = np.rint(scaled)
        scaled -= rounded
        np.abs(scaled, out=scaled)
        close = np.flatnonzero((scaled >= doubt).ravel())
        if close.size:
            column = close % accumulators.shape[1]
            which = (0 if len(multipliers) == 1 else column) * np.ones(len(close), np.int64)
            exact = accumulators.ravel()[close].astype(np.int32)
            rounded.ravel()[close] = requantize(exact, multipliers[which], shifts[which])
        rounded += zero_point
        limited: Array = np.clip(rounded, low, high, out=rounded).astype(np.int8)
        return limited

    return narrow


def _single(
    model: schema.ModelT, operator: schema.OperatorT, sources: Sequence[int], targets: Sequence[int], batch: int
) -> schema.ModelT:
    """A model of one operator, whose tensors hold `batch` samples. Control flow keeps the other subgraphs."""
    graph = model.subgraphs[0]
    calls_others = tflite.builtin_code(model, operator) in (_OP.IF, _OP.WHILE)
    used = sorted({i for i in [*indices(operator.inputs), *targets] if i >= 0})
    number = {old: new for new, old in enumerate(used)}
    buffers = list(model.buffers) if calls_others else [schema.BufferT()]
    tensors = []
    for index in used:
        tensor = copy.copy(graph.tensors[index])
        if not calls_others:
            content = tflite.buffer_bytes(model, tensor)
            tensor.buffer = len(buffers) if content else 0
            if content:
                buffers.append(model.buffers[graph.tensors[index].buffer])
        if batch > 1 and index in {*sources, *targets}:
            shape = _shape(tensor)
            tensor.shape = np.array([shape[0] * batch, *shape[1:]], np.int32)
            tensor.shapeSignature = None
        tensors.append(tensor)
    alone = copy.copy(operator)
    for field in ("inputs", "outputs", "intermediates"):
        if (listed := getattr(operator, field)) is not None and field != "intermediates":
            setattr(alone, field, np.array([number[i] if i >= 0 else i for i in indices(listed)], np.int32))
    if operator.intermediates is not None and len(operator.intermediates):
        for i in indices(operator.intermediates):
            number[i] = len(tensors)
            tensors.append(copy.copy(graph.tensors[i]))
            tensors[-1].buffer = 0
        alone.intermediates = np.array([number[i] for i in indices(operator.intermediates)], np.int32)
    if not calls_others:
        alone.opcodeIndex = 0
    main = schema.SubGraphT(
        tensors=tensors,
        operators=[alone],
        inputs=np.array([number[i] for i in sources], np.int32),
        outputs=np.array([number[i] for i in targets], np.int32),
        name=b"main",
    )
    return schema.ModelT(
        version=3,
        operatorCodes=list(model.operatorCodes) if calls_others else [model.operatorCodes[operator.opcodeIndex]],
        subgraphs=[main, *(model.subgraphs[1:] if calls_others else [])],
        buffers=buffers,
        description=b"",
    )


def _layers(model: schema.ModelT) -> Iterator[Layer]:
    """The layers of subgraph 0 that pruning can change."""
    for layer in layer_finder.find(model):
        if layer.subgraph == 0 and layer.obstacle is None:
            yield layer


def _has_quantization(tensor: schema.TensorT) -> bool:
    quantization = tensor.quantization
    return quantization is not None and quantization.scale is not None and quantization.zeroPoint is not None


def _shape(tensor: schema.TensorT) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(d) for d in tensor.shape)


def _bytes(tensor: schema.TensorT) -> int:
    wide = {schema.TensorType.INT16: 2, schema.TensorType.FLOAT32: 4, schema.TensorType.INT32: 4}
    return math.prod(_shape(tensor)) * wide.get(tensor.type, 1)

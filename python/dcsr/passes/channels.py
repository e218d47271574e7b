"""Finds how channels flow through a subgraph: which output channels of an operator depend on which input channels.

A channel is an index of a tensor's last dimension. An operator that is not known here, or whose tensors or options are
unusual, fixes all its tensors: no channel of them may be removed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import model as tflite
from dcsr.graph import Graph, indices, length
from dcsr.passes.products import Product, Uses, find_product, is_plain_activation, zero_point
from dcsr.schema import schema

_OP = schema.BuiltinOperator
_TYPE = schema.TensorType
_NO_ACTIVATION = schema.ActivationFunctionType.NONE

# Element r of the output depends on the elements r of the inputs (after broadcasting), for any shape.
_UNARY = {
    _OP.DEQUANTIZE,
    _OP.ELU,
    _OP.HARD_SWISH,
    _OP.LEAKY_RELU,
    _OP.LOGISTIC,
    _OP.QUANTIZE,
    _OP.RELU,
    _OP.RELU6,
    _OP.RELU_N1_TO_1,
    _OP.TANH,
}
_BINARY = {_OP.ADD, _OP.MAXIMUM, _OP.MINIMUM, _OP.MUL, _OP.PRELU, _OP.SQUARED_DIFFERENCE, _OP.SUB}
_POOLING = {_OP.AVERAGE_POOL_2D, _OP.MAX_POOL_2D}
_RESIZING = {_OP.RESIZE_BILINEAR, _OP.RESIZE_NEAREST_NEIGHBOR}
_REDUCING = {_OP.MEAN, _OP.REDUCE_MAX, _OP.REDUCE_MIN, _OP.SUM}
_PADDING = {_OP.MIRROR_PAD, _OP.PAD, _OP.PADV2}
_IMAGE_RANK = 4
_QUANTISED = {_TYPE.INT8, _TYPE.INT16}
# float32 only passes operators that do no arithmetic between elements but to compare them: converters leave a
# DEQUANTIZE, REDUCE_MAX, QUANTIZE between int8 layers.
_ALSO_FLOAT = {
    *(_OP.CONCATENATION, _OP.DEQUANTIZE, _OP.MAX_POOL_2D, _OP.PAD, _OP.QUANTIZE, _OP.REDUCE_MAX, _OP.REDUCE_MIN),
    *(_OP.RESHAPE, _OP.SQUEEZE),
}
# Limit of the channels of all tied outputs of a subgraph, besides one for each byte of its constants.
_MAX_CHANNELS = 1 << 22


@dataclass(frozen=True)
class Tie:
    """The channels of an output that depend on single channels of an input: removed together, or not at all.

    The single channel of an input that is broadcast stays in any case.

    Attributes:
      input, output: indices of the tensors.
      source: for each channel of the output, the channel of the input; -1 if it depends on none. int64 [channels].
      reads: whether the value of the output's channel depends on that of the input's channel, bool [channels].
      unread_value: quantised value of the output's channels that do not.
      copies: whether a channel of one value v becomes a channel of the value v.
      copied_value: the only value for which `copies` holds; None for every value.
      is_broadcast: whether all channels of the output depend on the single channel of the input.
    """

    input: int
    output: int
    source: NDArray[np.int64]
    reads: NDArray[np.bool_]
    unread_value: int = 0
    copies: bool = False
    copied_value: int | None = None
    is_broadcast: bool = False


@dataclass(frozen=True)
class Slice:
    """A constant that loses elements together with an activation tensor.

    Attributes:
      position, number: operator, and number of its input that is the constant.
      follows: tensor whose channels are those of the constant's last dimension.
      is_shape: whether the constant is the shape of that tensor, rather than values.
    """

    position: int
    number: int
    follows: int
    is_shape: bool = False


@dataclass
class Step:
    """What is known about an operator.

    Attributes:
      ties: ties between its inputs and its output.
      slices: its constants.
      product: its weights if it is a CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED.
    """

    ties: list[Tie] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    product: Product | None = None

    def activations(self) -> set[int]:
        """Returns its inputs and outputs that have channels."""
        found = {index for tie in self.ties for index in (tie.input, tie.output)}
        found |= {entry.follows for entry in self.slices}
        return found | (set() if self.product is None else {self.product.input, self.product.output})


@dataclass
class Flow:
    """The channels of a subgraph.

    Attributes:
      channels: {tensor: its number of channels}, of all activation tensors of known operators.
      fixed: those of them that keep all channels.
      steps: the known operators, in their order.
    """

    channels: dict[int, int]
    fixed: set[int]
    steps: list[Step]


class _Unknown(Exception):
    """The operator is not known, or unusual."""


def find_flow(graph: Graph, s: int) -> Flow:
    """Returns the channels of subgraph `s`.

    No operator is known if one of them writes a constant, or reads a tensor before another one writes it.
    """
    uses = Uses(graph, s)
    tensors = uses.subgraph.tensors or []
    if any(tflite.is_constant(graph.model, tensors[index]) for index in uses.written) or not _is_in_order(uses):
        return Flow({}, set(), [])
    steps = []
    fixed = set(uses.ends)
    left = _MAX_CHANNELS + sum(length(buffer.data) for buffer in graph.model.buffers)
    for position, operator in enumerate(uses.subgraph.operators or []):
        try:
            step = _step(uses, position, left)
            left -= sum(len(tie.source) for tie in step.ties)
            steps.append(step)
        except _Unknown:
            fixed.update(indices(operator.inputs), indices(operator.outputs), indices(operator.intermediates))
    channels = {}
    for index in sorted(set().union(*(step.activations() for step in steps))):
        channels[index] = indices(tensors[index].shape)[-1]
        if uses.written[index] != 1 or not is_plain_activation(graph.model, tensors[index]):
            fixed.add(index)
    return Flow(channels, fixed & set(channels), steps)


def _is_in_order(uses: Uses) -> bool:
    """Whether no operator reads a tensor that it or a later operator writes."""
    waiting = Counter(uses.written)
    for operator in uses.subgraph.operators or []:
        if any(waiting[index] for index in indices(operator.inputs)):
            return False
        waiting.subtract(indices(operator.outputs))
    return True


def _step(uses: Uses, position: int, left: int) -> Step:
    """Returns the channels of an operator. Raises _Unknown if they are not known, or if they are more than `left`."""
    model = uses.model
    operator = uses.subgraph.operators[position]
    code = tflite.builtin_code(model, operator)
    if length(operator.intermediates) or length(operator.outputs) != 1 or not length(operator.inputs):
        raise _Unknown
    if code in (_OP.CONV_2D, _OP.DEPTHWISE_CONV_2D, _OP.FULLY_CONNECTED):
        product = find_product(uses, position)
        if product is None:
            raise _Unknown
        return Step(product=product)
    for codes, find in _FINDERS:
        if code in codes:
            found = _Operator(model, uses.subgraph, operator, position, code)
            _require(len(found.inputs) * found.channels(found.output) <= left)
            return find(found)
    raise _Unknown


@dataclass(frozen=True)
class _Operator:
    """An operator with its tensors."""

    model: schema.ModelT
    subgraph: schema.SubGraphT
    operator: schema.OperatorT
    position: int
    code: int

    def tensor(self, index: int) -> schema.TensorT:
        """Returns the tensor of an index. Raises _Unknown for -1."""
        _require(index >= 0)
        return self.subgraph.tensors[index]

    @property
    def inputs(self) -> list[int]:
        return indices(self.operator.inputs)

    @property
    def output(self) -> int:
        return int(self.operator.outputs[0])

    def shape(self, index: int) -> list[int]:
        return indices(self.tensor(index).shape)

    def channels(self, index: int) -> int:
        """Returns the last dimension. Raises _Unknown for scalars and impossible shapes."""
        shape = self.shape(index)
        _require(bool(shape) and min(shape) > 0)
        return shape[-1]

    def integers(self, number: int) -> list[int]:
        """Returns the content of the constant that is input `number`, of indices, sizes or axes."""
        _require(number < len(self.inputs))
        tensor = self.tensor(self.inputs[number])
        _require(tensor.type in (_TYPE.INT32, _TYPE.INT64) and tflite.is_constant(self.model, tensor))
        data = tflite.buffer_bytes(self.model, tensor)
        dtype = np.dtype("<i4" if tensor.type == _TYPE.INT32 else "<i8")
        _require(len(data) == math.prod(indices(tensor.shape)) * dtype.itemsize)
        return [int(value) for value in np.frombuffer(data, dtype)]

    def require_types(self, numbers: Sequence[int] | None = None) -> None:
        """Requires that output and inputs (those of the given numbers) are int8 or int16, or float32 where allowed."""
        inputs = self.inputs if numbers is None else [self.inputs[number] for number in numbers]
        allowed = _QUANTISED | ({_TYPE.FLOAT32} if self.code in _ALSO_FLOAT else set())
        for index in [*inputs, self.output]:
            _require(self.tensor(index).type in allowed)

    def has_activation(self) -> bool:
        options = self.operator.builtinOptions
        return options is None or getattr(options, "fusedActivationFunction", _NO_ACTIVATION) != _NO_ACTIVATION


def _require(condition: bool) -> None:
    if not condition:
        raise _Unknown


def _same_channels(operator: _Operator, **options: Any) -> Tie:
    """Returns the tie of an operator whose output has the channels of its first input."""
    channels = operator.channels(operator.output)
    _require(operator.channels(operator.inputs[0]) == channels)
    every = np.ones(channels, bool)
    return Tie(operator.inputs[0], operator.output, np.arange(channels), every, **options)


def _elementwise(operator: _Operator) -> Step:
    _require(len(operator.inputs) == (1 if operator.code in _UNARY else 2))
    operator.require_types()
    channels = operator.channels(operator.output)
    step = Step()
    reads = np.ones(channels, bool)
    for number, index in enumerate(operator.inputs):
        tensor = operator.tensor(index)
        if not tflite.is_constant(operator.model, tensor):
            continue
        width = indices(tensor.shape)[-1] if length(tensor.shape) else 1
        _require(width in (1, channels) and is_plain_activation(operator.model, tensor, is_constant=True))
        if width == channels:
            step.slices.append(Slice(operator.position, number, operator.output))
            if operator.code == _OP.MUL:
                reads = np.any(_values(operator, tensor) != zero_point(tensor), axis=0)
    constants = {entry.number for entry in step.slices}
    for number, index in enumerate(operator.inputs):
        if number in constants or tflite.is_constant(operator.model, operator.tensor(index)):
            continue
        width = operator.channels(index)
        _require(width in (1, channels))
        value = zero_point(operator.tensor(operator.output))
        source = np.arange(channels) % width
        tie = Tie(index, operator.output, source, reads, unread_value=value, is_broadcast=width < channels)
        step.ties.append(tie)
    return step


def _values(operator: _Operator, tensor: schema.TensorT) -> NDArray[np.int64]:
    """Returns a constant of an elementwise operator, int64 [elements / channels, channels]."""
    dtype = "<i2" if tensor.type == _TYPE.INT16 else "<i1"
    values = np.frombuffer(tflite.buffer_bytes(operator.model, tensor), dtype)
    return values.astype(np.int64).reshape(-1, indices(tensor.shape)[-1])


def _pooled(operator: _Operator) -> Step:
    operator.require_types()
    _require(len(operator.inputs) == 1 and len(operator.shape(operator.output)) == _IMAGE_RANK)
    return Step([_same_channels(operator, copies=not operator.has_activation())])


def _resized(operator: _Operator) -> Step:
    operator.require_types([0])
    _require(len(operator.inputs) == 2 and len(operator.shape(operator.output)) == _IMAGE_RANK)
    operator.integers(1)
    return Step([_same_channels(operator)])


def _reduced(operator: _Operator) -> Step:
    operator.require_types([0])
    _require(len(operator.inputs) == 2)
    rank = len(operator.shape(operator.inputs[0]))
    axes = operator.integers(1)
    _require(all(-rank <= axis < rank for axis in axes) and (rank - 1) not in [axis % rank for axis in axes])
    return Step([_same_channels(operator)])


def _padded(operator: _Operator) -> Step:
    operator.require_types([0])
    rank = len(operator.shape(operator.inputs[0]))
    margins = operator.integers(1)
    _require(len(margins) == 2 * rank and margins[-2:] == [0, 0])
    value = zero_point(operator.tensor(operator.output)) if operator.code == _OP.PAD else None
    _require(len(operator.inputs) == (3 if operator.code == _OP.PADV2 else 2))
    return Step([_same_channels(operator, copies=operator.code == _OP.PAD, copied_value=value)])


def _reshaped(operator: _Operator) -> Step:
    """A reshape whose output ends in a multiple of the input's channels keeps each channel at fixed positions."""
    operator.require_types([0])
    channels, width = operator.channels(operator.inputs[0]), operator.channels(operator.output)
    _require(width % channels == 0)
    _require(math.prod(operator.shape(operator.inputs[0])) == math.prod(operator.shape(operator.output)))
    step = Step(
        [Tie(operator.inputs[0], operator.output, np.arange(width) % channels, np.ones(width, bool), copies=True)]
    )
    if len(operator.inputs) > 1:
        shape = operator.integers(1)
        _require(operator.code == _OP.RESHAPE and len(operator.inputs) == 2)
        _require(len(shape) == len(operator.shape(operator.output)) and shape[-1] in (-1, width))
        step.slices.append(Slice(operator.position, 1, operator.output, is_shape=True))
    return step


def _concatenated(operator: _Operator) -> Step:
    operator.require_types()
    rank = len(operator.shape(operator.output))
    axis = getattr(operator.operator.builtinOptions, "axis", None)
    _require(axis is not None and -rank <= axis < rank)
    assert axis is not None
    channels = operator.channels(operator.output)
    is_last = axis % rank == rank - 1
    step = Step()
    start = 0
    for index in operator.inputs:
        width = operator.channels(index)
        source = np.arange(channels) - (start if is_last else 0)
        source[(source < 0) | (source >= width)] = -1
        # Along another axis, a channel of the output has one value only if it is that of all inputs.
        copies = is_last and not operator.has_activation()
        step.ties.append(Tie(index, operator.output, source, np.ones(channels, bool), copies=copies))
        start += width if is_last else 0
        _require(is_last or width == channels)
    _require(not is_last or start == channels)
    return step


_FINDERS: list[tuple[set[int], Callable[[_Operator], Step]]] = [
    (_UNARY | _BINARY, _elementwise),
    (_POOLING, _pooled),
    (_RESIZING, _resized),
    (_REDUCING, _reduced),
    (_PADDING, _padded),
    ({_OP.RESHAPE, _OP.SQUEEZE}, _reshaped),
    ({_OP.CONCATENATION}, _concatenated),
]

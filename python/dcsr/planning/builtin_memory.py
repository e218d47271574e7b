"""The memory that TFLM's builtin operators request in the arena, besides their tensors.

With the portable kernels, only MEAN and SUM request scratch worth counting. CMSIS-NN's kernels also do so for
convolutions and pooling, depending on the core. Convolutions and FULLY_CONNECTED keep their parameters. An operator
that is not listed here counts as 0: it is the same operator in the compressed model.

Sources: the Prepare functions in tensorflow/lite/micro/kernels/ and its folder cmsis_nn/ (commit 90b983c2b), and
*_get_buffer_sizes_s8.c of CMSIS-NN 7.0.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dcsr import model as tflite
from dcsr.graph import indices, length
from dcsr.planning import cost
from dcsr.planning.arena import aligned
from dcsr.schema import schema

CMSIS_NN, PORTABLE = "cmsis_nn", "portable"
KERNELS = (CMSIS_NN, PORTABLE)

_TYPE = schema.TensorType
# Bytes of the state of an operator (OpDataConv, OpDataFullyConnected), with the portable kernels.
_STATE_BYTES = {"CONV_2D": 56, "DEPTHWISE_CONV_2D": 56, "FULLY_CONNECTED": 48}
_IMAGE_RANK = 4
_RANKS = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 2}  # of the weights
_WORD = 4
_MVE_DEPTHWISE_CHANNELS = 124  # CH_IN_BLOCK_MVE
_MVE_LANES = 16
_MVE_COLUMNS = 4  # columns that a convolution copies at once with MVE


@dataclass(frozen=True)
class Memory:
    """What an operator requests in the arena, in bytes.

    Attributes:
      scratch: in use while the operator runs.
      persistent: in use all the time.
    """

    scratch: int = 0
    persistent: int = 0


def memory(model: schema.ModelT, subgraph: int, operator: schema.OperatorT, cpu: str, kernels: str) -> Memory:
    """Returns the memory that a builtin operator requests.

    Args:
      model: the model.
      subgraph: index of the operator's subgraph.
      operator: the operator.
      cpu: one of cost.CPUS.
      kernels: one of KERNELS.
    """
    node = _Node(model, subgraph, operator)
    if not node.is_int8:
        return Memory(persistent=_persistent(node))
    scratch = {
        "CONV_2D": _conv2d_scratch,
        "DEPTHWISE_CONV_2D": _depthwise_scratch,
        "AVERAGE_POOL_2D": _pool_scratch,
        "FULLY_CONNECTED": _fully_connected_scratch,
    }
    found = scratch[node.name](node, cpu) if kernels == CMSIS_NN and node.name in scratch else 0
    if node.name in ("MEAN", "SUM"):
        found = _WORD * math.prod(node.shape(operator.outputs[0]))
    more = 0
    if (
        kernels == CMSIS_NN
        and cost.has_vectors(cpu)
        and node.name == "FULLY_CONNECTED"
        and node.weights
        and not _is_conv1x1(node)
    ):
        more = aligned(_WORD * node.weights[0])  # the row sums
    return Memory(found, _persistent(node) + more)


def state_bytes(name: str) -> int:
    """Returns the bytes of the state that a builtin layer keeps; 0 for other operators."""
    return aligned(_STATE_BYTES.get(name, 0))


class _Node:
    """An operator with the shapes of its tensors."""

    def __init__(self, model: schema.ModelT, subgraph: int, operator: schema.OperatorT) -> None:
        self._tensors = model.subgraphs[subgraph].tensors
        self.operator = operator
        self.name = tflite.operator_name(model, operator)
        inputs = indices(operator.inputs)
        self.is_int8 = bool(inputs) and inputs[0] >= 0 and self._tensors[inputs[0]].type == _TYPE.INT8
        has_weights = self.name in _STATE_BYTES and len(inputs) > 1 and inputs[1] >= 0
        weights = self.shape(inputs[1]) if has_weights else []
        # Empty if TFLM would refuse the operator.
        self.weights = weights if len(weights) == _RANKS.get(self.name) else []
        quantization = self._tensors[inputs[1]].quantization if has_weights else None
        self.scales = length(quantization.scale) if quantization is not None else 0

    def shape(self, index: int) -> list[int]:
        """Returns the shape of a tensor; unknown dimensions count as 1."""
        dimensions = self._tensors[index].shape
        return [max(int(dim), 1) for dim in ([] if dimensions is None else dimensions)]

    @property
    def input(self) -> list[int]:
        """Shape of the first input."""
        return self.shape(self.operator.inputs[0])

    @property
    def output(self) -> list[int]:
        """Shape of the first output."""
        return self.shape(self.operator.outputs[0])

    @property
    def has_images(self) -> bool:
        """Whether the operator has weights, and its input and output are those of a convolution."""
        return bool(self.weights) and len(self.input) == len(self.output) == _IMAGE_RANK


def _persistent(node: _Node) -> int:
    """Returns the bytes of the state and of the multipliers and shifts of each channel."""
    if node.name not in _STATE_BYTES or not node.weights:
        return 0
    state = state_bytes(node.name)
    if node.name == "FULLY_CONNECTED":
        return state + (2 * aligned(_WORD * node.weights[0]) if node.scales > 1 else 0)
    channels = node.weights[-1 if node.name == "DEPTHWISE_CONV_2D" else 0]
    return state + 2 * aligned(_WORD * channels)


def _padding(node: _Node, axis: int) -> tuple[int, int]:
    """Returns the padding of an axis, 1 or 2, before the first pixel, and in total; the latter may be negative."""
    options = node.operator.builtinOptions
    stride = (options.strideH, options.strideW)[axis - 1]
    dilation = (options.dilationHFactor, options.dilationWFactor)[axis - 1]
    extent = (node.weights[axis] - 1) * dilation + 1
    total = (node.output[axis] - 1) * stride + extent - node.input[axis]
    return (max(total, 0) // 2 if options.padding == schema.Padding.SAME else 0), total


def _conv2d_scratch(node: _Node, cpu: str) -> int:
    options = node.operator.builtinOptions
    if not isinstance(options, schema.Conv2DOptionsT) or not node.has_images:
        return 0
    _, height, width, channels = node.weights
    is_dilated = (options.dilationHFactor, options.dilationWFactor) != (1, 1)
    pads = [_padding(node, axis)[0] for axis in (1, 2)]
    if (height, width) == (1, 1) and not any(pads) and not is_dilated:
        return 0
    is_row = node.input[1] == 1 and options.dilationWFactor == 1 and height == 1
    columns = channels * height * width
    if not cost.has_vectors(cpu):
        return 2 * -(-columns // 4) * 4 * 2
    patches = _MVE_COLUMNS * -(-columns // _MVE_LANES) * _MVE_LANES
    if is_row and options.strideW > 0 and options.strideW * node.input[3] % 4 == 0:
        return min(_row_scratch(node, pads[1]) or patches, patches)
    return patches


def _row_scratch(node: _Node, pad: int) -> int:
    """Returns the scratch of a convolution of one row with MVE (arm_convolve_1_x_n_s8); 0 for that of any other."""
    stride, width, channels = node.operator.builtinOptions.strideW, node.weights[2], node.input[3]
    odd = (node.output[2] - 1) * stride + width - node.input[2]
    odd = abs(odd) % 2 * (1 if odd >= 0 else -1)  # as in C
    right = max(1, (pad + odd + stride - 1) // stride) if pad + odd != 0 else 0
    left = max(1, (pad + stride - 1) // stride) if pad != 0 else 0
    if right + left > node.output[2]:
        return 0
    taps = width * channels
    pads = pad * channels, right * channels if odd else pad * channels
    return max(taps + pads[0], taps - channels + pads[1])


def _depthwise_scratch(node: _Node, cpu: str) -> int:
    options = node.operator.builtinOptions
    if not isinstance(options, schema.DepthwiseConv2DOptionsT) or not node.has_images:
        return 0
    taps = node.weights[1] * node.weights[2]
    channels = node.weights[3]
    if cost.has_vectors(cpu) and node.input[3] == 1 and channels > 1:
        # CMSIS-NN runs it as a convolution if there are many channels. The number depends on the compiler.
        return 0
    is_dilated = (options.dilationHFactor, options.dilationWFactor) != (1, 1)
    if node.input[3] != channels or node.input[0] != 1 or is_dilated:
        return 0
    if cost.has_vectors(cpu):
        return 4 * _MVE_DEPTHWISE_CHANNELS * taps
    is_3x3 = node.weights[1:3] == [3, 3] and all(_padding(node, axis)[0] <= 1 for axis in (1, 2))
    return 2 * channels * taps if cost.has_dsp(cpu) and not is_3x3 else 0


def _pool_scratch(node: _Node, cpu: str) -> int:
    return _WORD * node.input[-1] if node.input and cost.has_dsp(cpu) and not cost.has_vectors(cpu) else 0


def _fully_connected_scratch(node: _Node, cpu: str) -> int:
    del cpu
    return 2 * _WORD * node.weights[0] if node.weights and _is_conv1x1(node) and node.scales <= 1 else 0


def _is_conv1x1(node: _Node) -> bool:
    """Whether CMSIS-NN's FULLY_CONNECTED runs as a 1x1 convolution."""
    return len(node.output) > 2 and bool(node.weights) and node.weights[-1] % 4 == 0

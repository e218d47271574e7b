"""Writes pruned weights into a model: values, the scale of each row, and the bias with its scale."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import layers as layer_finder
from dcsr.graph import Graph, byte_vector
from dcsr.layers import Layer
from dcsr.pruning.forward import Weights
from dcsr.schema import schema

Array = NDArray[Any]


def write(model: schema.ModelT, layer: Layer, weights: Weights, shared_with: Sequence[Layer] = ()) -> None:
    """Replaces the weights and the bias of a layer, in place.

    Buffers and bias tensors that others use too stay as they are; the layer gets its own. All operators that read the
    weight tensor see the new weights, and each needs its bias written too.

    Args:
      model: the model.
      layer: a layer of it without obstacle.
      weights: in the form of `forward.weights_of`; with one scale or one for each row.
      shared_with: layers that get the same weights if they share the buffer.
    """
    graph = model.subgraphs[layer.subgraph]
    operator = layer.operator
    tensor = graph.tensors[operator.inputs[1]]
    mine = [model.subgraphs[other.subgraph].tensors[other.operator.inputs[1]] for other in shared_with]
    stored = weights.matrix.T if layer.is_depthwise else weights.matrix
    _set_content(model, tensor, stored.astype(np.int8).tobytes(), mine)
    _set_scales(tensor, weights.scales, dimension=3 if layer.is_depthwise else 0)
    index = layer_finder.bias_index(operator)
    if index < 0 or weights.bias is None:
        return
    if sum(number == 2 for _, number in Graph(model).consumers(layer.subgraph, {index})) > 1 or index in Graph(
        model
    ).ends(layer.subgraph):
        own = copy.copy(graph.tensors[index])
        own.quantization = copy.copy(own.quantization)
        graph.tensors.append(own)
        index = len(graph.tensors) - 1
        inputs = np.array(operator.inputs, np.int32)
        inputs[2] = index
        operator.inputs = inputs
    bias = graph.tensors[index]
    kind = "<i8" if bias.type == schema.TensorType.INT64 else "<i4"
    _set_content(model, bias, weights.bias.astype(kind).tobytes())
    if bias.quantization is not None and bias.quantization.scale is not None:
        source = graph.tensors[operator.inputs[0]]
        _set_scales(bias, np.float32(source.quantization.scale[0]) * weights.scales)


def _set_content(
    model: schema.ModelT, tensor: schema.TensorT, content: bytes, sharing: Sequence[schema.TensorT] = ()
) -> None:
    """New content of a tensor, in a buffer of its own unless only the tensors in `sharing` have it too."""
    graph = Graph(model)
    allowed = {id(tensor), *map(id, sharing)}
    others = [user for user in graph.tensors_by_buffer()[tensor.buffer] if id(user) not in allowed]
    if others or tensor.buffer in graph.metadata_buffers():
        tensor.buffer = graph.add_buffer(content)
    else:
        model.buffers[tensor.buffer].data = byte_vector(content)


def _set_scales(tensor: schema.TensorT, scales: Array, dimension: int = 0) -> None:
    """New scales along a dimension; minima and maxima, which only converters read, would no longer fit."""
    quantization = copy.copy(tensor.quantization)
    quantization.scale = np.asarray(scales, np.float32)
    quantization.zeroPoint = np.zeros(len(scales), np.int64)
    quantization.quantizedDimension = dimension
    quantization.min = quantization.max = None
    tensor.quantization = quantization

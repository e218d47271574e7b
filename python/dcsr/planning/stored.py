"""The bytes of layers in a stripped model file, dense and packed: weights, biases and their quantisation.

The file as it is written holds more of both: names, and the quantisation of dense biases or the record of how to
restore it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.graph import length
from dcsr.layers import Layer
from dcsr.planning.candidates import Candidate
from dcsr.schema import schema

# What packing saves of a layer besides weights, scales, zero points and the bias: the tables of tensors and operators.
_TABLE_BYTES = 64
# A layer and how it is packed; None if it stays dense.
Pair: TypeAlias = tuple[Layer, Candidate | None]


def weight_bytes(pairs: Sequence[Pair]) -> int:
    """Returns the bytes of all weights, dense or packed, without those of operators that are not layers."""
    dense = {
        (layer.subgraph, int(layer.operator.inputs[1])): layer.matrix.nbytes
        for layer, candidate in pairs
        if candidate is None and layer.matrix is not None
    }
    return blob_bytes([candidate for _, candidate in pairs if candidate]) + sum(dense.values())


def layer_bytes(model: schema.ModelT, pairs: Sequence[Pair]) -> int:
    """Returns the bytes of all layers in the file."""
    dense: dict[int, list[Layer]] = {}
    for layer, candidate in pairs:
        if candidate is None and layer.matrix is not None:
            weights = model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]
            dense.setdefault(weights.buffer, []).append(layer)
    packed = blob_bytes([candidate for _, candidate in pairs if candidate])
    return packed + sum(dense_bytes(model, group) for group in dense.values())


def dense_bytes(model: schema.ModelT, layers: Sequence[Layer]) -> int:
    """Returns the bytes of dense layers that share their weights, and that packing would save.

    That are weights, scales, biases, and the tables of the bias tensor and of the quantisation. Shared parts count
    once. The quantisation of the biases does not count: `strip` removes it.
    """
    matrix = layers[0].matrix
    assert matrix is not None
    total = matrix.nbytes
    seen = set()
    for layer in layers:
        tensors = model.subgraphs[layer.subgraph].tensors
        weights, bias = int(layer.operator.inputs[1]), layer_finder.bias_index(layer.operator)
        if (layer.subgraph, weights) not in seen:
            total += _TABLE_BYTES + _quantization_bytes(tensors[weights])
        if bias >= 0 and (layer.subgraph, bias) not in seen:
            total += len(tflite.buffer_bytes(model, tensors[bias]))
        seen |= {(layer.subgraph, weights), (layer.subgraph, bias)}
    return total


def _quantization_bytes(tensor: schema.TensorT) -> int:
    """Returns the bytes of scales and zero points. If all zero points are equal, `strip` keeps one."""
    if tensor.quantization is None:
        return 0
    zero_points = length(tensor.quantization.zeroPoint)
    if zero_points > 1 and np.ptp(tensor.quantization.zeroPoint) == 0:
        zero_points = 1
    return 4 * length(tensor.quantization.scale) + 8 * zero_points


def blob_bytes(candidates: Sequence[Candidate]) -> int:
    """Returns the bytes of packed layers and shared rows. Equal ones count once."""
    blobs = {candidate.blob for candidate in candidates} | {candidate.shared_blob or b"" for candidate in candidates}
    return sum(map(len, blobs))

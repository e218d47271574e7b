"""The amount of work of a layer, from the shapes of its tensors. Unknown dimensions count as 1."""

from __future__ import annotations

import dataclasses
import math

from dcsr import encodings
from dcsr.layers import Layer
from dcsr.packing import PackedLayer
from dcsr.planning import cost
from dcsr.schema import schema


def shape(model: schema.ModelT, layer: Layer) -> cost.Shape:
    """Returns the size of the input and output of a layer. The layer must have a matrix."""
    assert layer.matrix is not None
    inputs, outputs = (_dimensions(model, layer, of) for of in (layer.operator.inputs[0], layer.operator.outputs[0]))
    vectors = max(math.prod(outputs) // layer.matrix.shape[0], 1)
    if len(inputs) != 4 or len(outputs) != 4:
        return cost.Shape(vectors)
    return cost.Shape(vectors, (inputs[1], inputs[2]), (outputs[1], outputs[2]))


def kept(model: schema.ModelT, layer: Layer, cpu: str) -> cost.Kept:
    """Returns a rough count of a layer on the core `cpu` if it stays dense (cost.kept)."""
    return cost.kept(cpu, layer.is_depthwise, *outputs_and_products(model, layer))


def estimate(
    model: schema.ModelT, layer: Layer, packed: PackedLayer, cpu: str, memory: str = cost.DEFAULT_MEMORY
) -> cost.Estimate:
    """Estimates the cost of a layer that is packed as `packed` (cost.estimate).

    With dense weights, the dense product to which it is compared is the kernel of CMSIS-NN (cost.kept).
    """
    found = cost.estimate(cpu, packed, shape(model, layer), memory)
    if packed.streams.scheme not in encodings.DENSE_METHODS:
        return found
    dense = kept(model, layer, cpu)
    return dataclasses.replace(found, dense_instructions=dense.instructions, dense_cycles=dense.cycles)


def outputs_and_products(model: schema.ModelT, layer: Layer) -> tuple[int, int]:
    """Returns (number of output values, products (MACs) per output value) of the dense layer."""
    if layer.matrix is not None:
        products = layer.matrix.shape[1]
    else:
        products = math.prod(map(int, layer.shape[1:]))
        if layer.is_depthwise and layer.shape:
            products //= max(layer.shape[-1], 1)
    return math.prod(_dimensions(model, layer, layer.operator.outputs[0])), products


def _dimensions(model: schema.ModelT, layer: Layer, index: int) -> list[int]:
    dimensions = model.subgraphs[layer.subgraph].tensors[index].shape
    return [max(int(d), 1) for d in ([] if dimensions is None else dimensions)]

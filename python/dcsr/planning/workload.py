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
    return cost.kept(cpu, dense_work(model, layer))


def compared(
    model: schema.ModelT, layer: Layer, packed: PackedLayer, estimate: cost.Estimate, cpu: str
) -> cost.Estimate:
    """Returns the estimate of a layer that is packed as `packed`, compared with the right dense product.

    With dense weights that is the kernel of CMSIS-NN (cost.kept).
    """
    if packed.streams.scheme not in encodings.DENSE_METHODS:
        return estimate
    dense = kept(model, layer, cpu)
    return dataclasses.replace(estimate, dense_instructions=dense.instructions, dense_cycles=dense.cycles)


def dense_work(model: schema.ModelT, layer: Layer) -> cost.DenseWork:
    """Returns the size of the dense layer, whether it is packed or not."""
    outputs = math.prod(_dimensions(model, layer, layer.operator.outputs[0]))
    packed, shape = layer.packed, layer.shape
    if packed is not None:
        rows, products = packed.streams.rows, packed.streams.cols
        is_plain = packed.dilation == (1, 1) and packed.depth_multiplier <= 1
        return cost.DenseWork(outputs, products, rows, packed.filter_size, layer.is_depthwise, is_plain)
    filter_size = shape[1:3] if len(shape) == 4 else (1, 1)
    if not layer.is_depthwise:
        return cost.DenseWork(outputs, math.prod(shape[1:]), max(shape[0], 1) if shape else 1, filter_size)
    options = layer.operator.builtinOptions
    names = ("depthMultiplier", "dilationHFactor", "dilationWFactor")
    is_plain = all(getattr(options, name, 1) <= 1 for name in names)
    return cost.DenseWork(
        outputs, math.prod(filter_size), max(shape[-1], 1) if shape else 1, filter_size, True, is_plain
    )


def _dimensions(model: schema.ModelT, layer: Layer, index: int) -> list[int]:
    dimensions = model.subgraphs[layer.subgraph].tensors[index].shape
    return [max(int(d), 1) for d in ([] if dimensions is None else dimensions)]

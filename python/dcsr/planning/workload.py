"""The amount of work of a layer, from the shapes of its tensors. Unknown dimensions count as 1."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcsr import encodings
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.packing import PackedLayer
from dcsr.planning import cost
from dcsr.planning import kept as builtin
from dcsr.schema import schema


def shape(model: schema.ModelT, layer: Layer) -> cost.Shape:
    """Returns the size of the input and output of a layer. The layer must have a matrix."""
    assert layer.matrix is not None
    if layer.packed is not None and layer.packed.planes is not None:
        return planes_shape(layer.packed)
    inputs, outputs = (_dimensions(model, layer, of) for of in (layer.operator.inputs[0], layer.operator.outputs[0]))
    vectors = max(math.prod(outputs) // layer.matrix.shape[0], 1)
    if len(inputs) != 4 or len(outputs) != 4:
        return cost.Shape(vectors)
    return cost.Shape(vectors, (inputs[1], inputs[2]), (outputs[1], outputs[2]))


def planes_shape(packed: PackedLayer) -> cost.Shape:
    """Returns the size of the input and output of a layer with planes, in the order of its map."""
    assert packed.planes is not None
    return cost.Shape(math.prod(packed.output_size), packed.planes.input_size, packed.output_size)


def kept(model: schema.ModelT, layer: Layer, cpu: str) -> builtin.Kept:
    """Returns a rough count of a layer on the core `cpu` if it stays dense.

    For layers with int8 activations that is the kernel of CMSIS-NN (kept.py), else that of tflm_kernels/baseline if the
    layer can be packed.
    """
    activations = model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[0]].type
    if activations == schema.TensorType.INT16 and layer.obstacle is None and layer.matrix is not None:
        (streams,) = encodings.encode_all(layer.matrix, [encodings.DENSE_METHODS[0]])
        packed = layer.packed or layer_finder.pack(model, layer, streams, 0)
        found = cost.estimate(cpu, packed, shape(model, layer))
        if found.dense_instructions is not None:
            return builtin.Kept(found.dense_instructions, found.dense_cycles)
    return builtin.kept(cpu, dense_work(model, layer))


_MOST_PAIRS = 1 << 20


@dataclass(frozen=True)
class Rest:
    """The operators of a model that are not layers with weights.

    Attributes:
      instructions, cycles: rough counts of one inference, as in Kept. Operators without an estimate count as 0.
      unknown: names of the operators without an estimate.
    """

    instructions: int
    cycles: int | None
    unknown: tuple[str, ...] = ()

    @property
    def time(self) -> int:
        """Cycles or instructions, in the unit of the core."""
        return self.instructions if self.cycles is None else self.cycles


def rest(model: schema.ModelT, layers: Sequence[Layer], cpu: str) -> Rest:
    """Returns a rough count of all operators besides `layers`."""
    places = {(layer.subgraph, layer.position) for layer in layers}
    found: list[builtin.Kept] = []
    unknown = []
    for number, graph in enumerate(model.subgraphs):
        for position, operator in enumerate(graph.operators or []):
            if (number, position) in places:
                continue
            kept_operator = builtin.other(model, number, operator, cpu)
            if kept_operator is None:
                unknown.append(tflite.operator_name(model, operator))
            else:
                found.append(kept_operator)
    cycles = sum(one.cycles or 0 for one in found) if cpu in cost.CYCLE_CPUS else None
    return Rest(sum(one.instructions for one in found), cycles, tuple(sorted(set(unknown))))


def compared(
    model: schema.ModelT, layer: Layer, packed: PackedLayer, estimate: cost.Estimate, cpu: str
) -> cost.Estimate:
    """Returns the estimate of a layer that is packed as `packed`, compared with the right dense product.

    For layers with int8 activations that is the kernel of CMSIS-NN (kept.py), else that of tflm_kernels/baseline.
    """
    if packed.int16_activations:
        return estimate
    dense = kept(model, layer, cpu)
    return dataclasses.replace(estimate, dense_instructions=dense.instructions, dense_cycles=dense.cycles)


def dense_work(model: schema.ModelT, layer: Layer) -> builtin.DenseWork:
    """Returns the size of the dense layer, whether it is packed or not."""
    packed, shape = layer.packed, layer.shape
    sizes = [_image_dimensions(model, layer, is_output) for is_output in (False, True)]
    outputs = math.prod(sizes[1])
    is_connected = layer.builtin == "FULLY_CONNECTED"
    if packed is not None:
        rows, products, filter_size = packed.streams.rows, packed.streams.cols, packed.in_image(packed.filter_size)
        is_plain = packed.dilation == (1, 1) and packed.depth_multiplier <= 1
    else:
        options = layer.operator.builtinOptions
        names = ("depthMultiplier", "dilationHFactor", "dilationWFactor")
        is_plain = all(getattr(options, name, 1) <= 1 for name in names)
        filter_size = shape[1:3] if len(shape) == 4 else (1, 1)
        rows = max(shape[-1 if layer.is_depthwise else 0], 1) if shape else 1
        products = math.prod(filter_size if layer.is_depthwise else shape[1:])
    run, inside = 0, None
    if not is_connected and all(len(size) == 4 for size in sizes):
        stride, dilation = _steps(layer)
        run = sizes[1][2] if max(stride) > 1 else 0
        inside = sizes[1][0] * math.prod(
            _inside(*args) for args in zip(sizes[0][1:3], sizes[1][1:3], filter_size, stride, dilation, strict=True)
        )
    return builtin.DenseWork(
        outputs, products, rows, filter_size, layer.is_depthwise, is_plain, is_connected, run, inside
    )


def _steps(layer: Layer) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the stride and the dilation of a convolution."""
    if layer.packed is not None:
        packed = layer.packed
        return packed.in_image(packed.stride), packed.in_image(packed.dilation)
    names = ("strideH", "strideW", "dilationHFactor", "dilationWFactor")
    steps = [max(getattr(layer.operator.builtinOptions, name, 1), 1) for name in names]
    return (steps[0], steps[1]), (steps[2], steps[3])


def _inside(size: int, out: int, taps: int, stride: int, dilation: int) -> int:
    """Returns the number of pairs of an output and a tap in the image, along one axis. Of large images all count."""
    if out * taps > _MOST_PAIRS:
        return out * taps
    pad = max((out - 1) * stride + (taps - 1) * dilation + 1 - size, 0) // 2
    first = np.arange(out)[:, None] * stride - pad + np.arange(taps)[None, :] * dilation
    return int(np.count_nonzero((first >= 0) & (first < size)))


def _image_dimensions(model: schema.ModelT, layer: Layer, is_output: bool) -> list[int]:
    """Returns the shape of the input or output of a layer, in planes that which it has in NHWC."""
    packed = layer.packed
    planes = packed.planes if packed is not None else None
    if packed is not None and planes is not None and (planes.has_output if is_output else planes.has_input):
        size = packed.output_size if is_output else planes.input_size
        return [1, *packed.in_image(size), packed.streams.rows if is_output else packed.channels]
    return _dimensions(model, layer, (layer.operator.outputs if is_output else layer.operator.inputs)[0])


def _dimensions(model: schema.ModelT, layer: Layer, index: int) -> list[int]:
    dimensions = model.subgraphs[layer.subgraph].tensors[index].shape
    return [max(int(d), 1) for d in ([] if dimensions is None else dimensions)]

"""Removes channels that no live consumer reads. The outputs of the model do not change. Cannot be undone.

A channel is dead if no layer that is alive has a nonzero weight on it. Elementwise operators, pooling, padding,
reshapes and others tie channels: these are removed together or not at all (channels.py). Constant channels, which
belong to rows without nonzeros, are first moved into the biases of the layers that read them (products.py).
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.graph import Graph, indices
from dcsr.passes import Done
from dcsr.passes.channels import Flow, Slice, Tie, find_flow
from dcsr.passes.products import Product
from dcsr.passes.rewrite import Constants, NewConstant
from dcsr.schema import schema

NAME = "dead_channels"
Masks = dict[int, NDArray[np.bool_]]  # {tensor: one flag for each channel}


@dataclass(frozen=True)
class Removed:
    """The removed channels of an operator with constants.

    Attributes:
      channels_before, channels_after: output channels.
      inputs_before, inputs_after: input channels.
      bytes_before, bytes_after: bytes of its constants that changed, without quantisation parameters.
    """

    channels_before: int
    channels_after: int
    inputs_before: int
    inputs_after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class WithoutDeadChannels(Done):
    """The changes of the pass.

    Attributes:
      removed: {(subgraph, operator): its removed channels}, of the operators whose constants became smaller.
    """

    removed: Mapping[tuple[int, int], Removed]


def dead_channels(model: schema.ModelT) -> tuple[schema.ModelT, WithoutDeadChannels]:
    """Removes dead channels from all subgraphs.

    The inputs and outputs of the model and of its signatures keep their shapes. All tensors keep their indices and
    names, and all operators their positions. Rows of dead channels that have to stay are set to 0.

    Args:
      model: the model; it is not changed. Layers that are not int8 or int16, or are unusual, keep their channels.

    Returns:
      (the model without dead channels, the changes).
    """
    graph = Graph(copy.deepcopy(model))
    constants = Constants(graph)
    removed: dict[tuple[int, int], Removed] = {}
    changes = []
    for s in range(len(graph.model.subgraphs)):
        flow = find_flow(graph, s)
        _fold_constants(flow)
        alive = _alive(flow)
        kept = _kept(flow, alive)
        _clear(flow, alive)
        for step in flow.steps:
            new = _new_constants(graph, s, flow, kept, step.product, step.slices)
            if not new:
                continue
            entry = _removed(graph, s, flow, kept, new, step.product)
            if entry.bytes_after < entry.bytes_before:
                removed[s, new[0].position] = entry
            changes.append(_change(graph, s, new[0], entry))
            for constant in new:
                constants.request(s, constant)
        _resize(graph, s, flow, kept)
    constants.write()
    return graph.model, WithoutDeadChannels(NAME, tuple(changes), can_be_undone=False, removed=removed)


def _change(graph: Graph, s: int, constant: NewConstant, entry: Removed) -> str:
    subgraph = graph.model.subgraphs[s]
    tensor = subgraph.tensors[subgraph.operators[constant.position].inputs[constant.number]]
    return (
        f"subgraph {s}, operator {constant.position}: '{tflite.text(tensor.name)}': output channels"
        f" {entry.channels_before} -> {entry.channels_after}, input channels {entry.inputs_before} ->"
        f" {entry.inputs_after}, {entry.bytes_before:,} -> {entry.bytes_after:,} bytes"
    )


def _fold_constants(flow: Flow) -> None:
    """Finds channels of one value, in the order of the operators, and folds them into the layers that read them."""
    known: dict[int, tuple[NDArray[np.bool_], NDArray[np.int64]]] = {}

    def of(tensor: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        count = flow.channels[tensor]
        return known.get(tensor, (np.zeros(count, bool), np.zeros(count, np.int64)))

    def set_known(tensor: int, is_known: NDArray[np.bool_], values: NDArray[np.int64]) -> None:
        # A fixed tensor may have a second writer.
        if tensor not in flow.fixed:
            known[tensor] = is_known, values

    for step in flow.steps:
        product = step.product
        if product is not None:
            product.fold(*of(product.input))
            set_known(product.output, *product.constant_rows())
        for tie in step.ties:
            is_known, values = (part.copy() for part in of(tie.output))
            is_known |= ~tie.reads
            values[~tie.reads] = tie.unread_value
            if tie.copies:
                known_inputs, input_values = of(tie.input)
                places = tie.source >= 0
                copied = np.zeros(len(places), bool)
                copied[places] = known_inputs[tie.source[places]]
                if tie.copied_value is not None:
                    copied[places] &= input_values[tie.source[places]] == tie.copied_value
                is_known |= copied
                values[copied] = input_values[tie.source[copied]]
            set_known(tie.output, is_known, values)


def _alive(flow: Flow) -> Masks:
    """Returns the channels on which an output of the model depends. Fixed tensors are alive as a whole."""
    alive = {t: np.full(count, t in flow.fixed) for t, count in flow.channels.items()}
    for step in reversed(flow.steps):
        for tie in step.ties:
            alive[tie.input] |= _read_by_tie(tie, alive)
        if step.product is not None:
            alive[step.product.input] |= _read_by_product(step.product, alive)
    return alive


def _read_by_tie(tie: Tie, alive: Masks) -> NDArray[np.bool_]:
    read = np.zeros(len(alive[tie.input]), bool)
    read[tie.source[alive[tie.output] & tie.reads & (tie.source >= 0)]] = True
    return read


def _read_by_product(product: Product, alive: Masks) -> NDArray[np.bool_]:
    nonzero = np.any(product.weights[alive[product.output]] != 0, axis=1)  # [live rows, input channels or 1]
    if not product.is_depthwise:
        columns: NDArray[np.bool_] = np.any(nonzero, axis=0)
        return columns
    read = np.zeros(len(alive[product.input]), bool)
    read[product.source()[alive[product.output]][nonzero[:, 0]]] = True
    return read


def _kept(flow: Flow, alive: Masks) -> Masks:
    """Returns the channels that stay: those alive, those tied to them, and at least one of each tensor."""
    kept = {tensor: mask.copy() for tensor, mask in alive.items()}
    ties: dict[int, list[_Tied]] = {tensor: [] for tensor in kept}
    products = [step.product for step in flow.steps if step.product is not None]
    tied = [(tie.input, tie.output, tie.source) for step in flow.steps for tie in step.ties if not tie.is_broadcast]
    tied += [(product.input, product.output, product.source()) for product in products if product.is_depthwise]
    for entry in tied:
        for tensor in set(entry[:2]):
            ties[tensor].append(entry)
    least = dict.fromkeys(kept, 1) | {product.output: product.least_rows for product in products}
    _keep_tied(kept, ties, list(kept))
    while lacking := [tensor for tensor, count in least.items() if kept[tensor].sum() < min(count, len(kept[tensor]))]:
        for tensor in lacking:
            kept[tensor][np.argmin(kept[tensor])] = True
        _keep_tied(kept, ties, lacking)
    return kept


_Tied = tuple[int, int, NDArray[np.int64]]  # input, output, Tie.source


def _keep_tied(kept: Masks, ties: Mapping[int, list[_Tied]], changed: list[int]) -> None:
    """Extends `kept` by all channels that are tied to kept ones of the tensors `changed`."""
    waiting = deque(changed)
    while waiting:
        for first, second, source in ties[waiting.popleft()]:
            before = int(kept[first].sum()), int(kept[second].sum())
            places = source >= 0
            kept[second][places] |= kept[first][source[places]]
            kept[first][source[places & kept[second]]] = True
            waiting += [t for t, count in zip((first, second), before, strict=True) if kept[t].sum() > count]


def _clear(flow: Flow, alive: Masks) -> None:
    """Sets weights and bias of dead rows to 0. Some of them have to stay, and the others are removed."""
    for step in flow.steps:
        product = step.product
        if product is not None:
            product.weights[~alive[product.output]] = 0
            if product.bias is not None:
                product.bias[~alive[product.output]] = 0


def _new_constants(
    graph: Graph, s: int, flow: Flow, kept: Masks, product: Product | None, slices: list[Slice]
) -> list[NewConstant]:
    """Returns the constants of an operator that change."""
    subgraph = graph.model.subgraphs[s]
    new = []
    if product is not None:
        operator = subgraph.operators[product.position]
        new = [_new_weights(graph, s, product, kept)]
        bias = layer_finder.bias_index(operator)
        if product.bias is not None:
            tensor = subgraph.tensors[bias]
            rows = kept[product.output]
            dtype = "<i8" if tensor.type == schema.TensorType.INT64 else "<i4"
            content = product.bias[rows].astype(dtype).tobytes()
            shape = [*indices(tensor.shape)[:-1], int(rows.sum())]
            new.append(NewConstant(product.position, 2, content, shape, rows))
    for entry in slices:
        tensor = subgraph.tensors[subgraph.operators[entry.position].inputs[entry.number]]
        shape, channels = indices(tensor.shape), kept[entry.follows]
        data = np.frombuffer(tflite.buffer_bytes(graph.model, tensor), np.uint8)
        if entry.is_shape:
            dtype = "<i8" if tensor.type == schema.TensorType.INT64 else "<i4"
            sizes = data.view(dtype).copy()
            if sizes[-1] != -1:
                sizes[-1] = channels.sum()
            new.append(NewConstant(entry.position, entry.number, sizes.tobytes(), shape, None))
        else:
            elements = data.reshape(-1, len(channels), data.size // math.prod(shape))
            sliced = elements[:, channels].tobytes()
            new.append(NewConstant(entry.position, entry.number, sliced, [*shape[:-1], int(channels.sum())], None))
    return [constant for constant in new if constant.content != _content(graph, s, constant)]


def _content(graph: Graph, s: int, constant: NewConstant) -> bytes:
    subgraph = graph.model.subgraphs[s]
    index = subgraph.operators[constant.position].inputs[constant.number]
    return tflite.buffer_bytes(graph.model, subgraph.tensors[index])


def _new_weights(graph: Graph, s: int, product: Product, kept: Masks) -> NewConstant:
    subgraph = graph.model.subgraphs[s]
    shape = indices(subgraph.tensors[subgraph.operators[product.position].inputs[1]].shape)
    rows, columns = kept[product.output], kept[product.input]
    weights = product.weights[rows]
    if product.is_depthwise:
        shape[3] = len(weights)
        weights = weights.transpose(1, 0, 2)
    else:
        shape[0] = len(weights)
        weights = weights[:, :, columns]
        shape[-1] = shape[-1] // len(columns) * int(columns.sum())
    return NewConstant(product.position, 1, weights.tobytes(), shape, rows)


def _removed(graph: Graph, s: int, flow: Flow, kept: Masks, new: list[NewConstant], product: Product | None) -> Removed:
    subgraph = graph.model.subgraphs[s]
    operator = subgraph.operators[new[0].position]
    tensors = [subgraph.tensors[operator.inputs[constant.number]] for constant in new]
    source = product.input if product is not None else int(operator.outputs[0])
    output = int(operator.outputs[0])
    return Removed(
        channels_before=flow.channels[output],
        channels_after=int(kept[output].sum()),
        inputs_before=flow.channels[source],
        inputs_after=int(kept[source].sum()),
        bytes_before=sum(len(tflite.buffer_bytes(graph.model, tensor)) for tensor in tensors),
        bytes_after=sum(len(constant.content) for constant in new),
    )


def _resize(graph: Graph, s: int, flow: Flow, kept: Mapping[int, NDArray[np.bool_]]) -> None:
    """Gives the activation tensors and the options of reshapes their new numbers of channels."""
    subgraph = graph.model.subgraphs[s]
    for index, mask in kept.items():
        if mask.all():
            continue
        tensor = subgraph.tensors[index]
        for name in ("shape", "shapeSignature"):
            sizes = indices(getattr(tensor, name))
            if sizes:
                setattr(tensor, name, np.array([*sizes[:-1], int(mask.sum())], np.int32))
    for operator in subgraph.operators or []:
        if tflite.builtin_code(graph.model, operator) == schema.BuiltinOperator.RESHAPE and len(operator.outputs) == 1:
            _resize_option(operator, flow, kept)


def _resize_option(operator: schema.OperatorT, flow: Flow, kept: Mapping[int, NDArray[np.bool_]]) -> None:
    output, options = int(operator.outputs[0]), operator.builtinOptions
    sizes = indices(getattr(options, "newShape", None))
    if sizes and output in kept and sizes[-1] == flow.channels[output]:
        options.newShape = np.array([*sizes[:-1], int(kept[output].sum())], np.int32)

"""Expands sparse tensors of TFLite's own format and removes the DENSIFY operators that read them. Cannot be undone.

The converter's option EXPERIMENTAL_SPARSITY stores pruned weights as a hierarchy of dense and compressed (CSR)
dimensions, optionally in blocks, and inserts a DENSIFY operator before each layer. TFLM does not have that operator.
Sources of the format: SparsityParameters in schema.fbs, and FormatConverter in
tensorflow/lite/kernels/internal/utils/sparsity_format_converter.cc.
"""

from __future__ import annotations

import copy
import math

import numpy as np
from numpy.typing import NDArray

from dcsr import model as tflite
from dcsr.graph import Graph, TensorEdit, byte_vector, indices
from dcsr.model import ModelError
from dcsr.passes import Done
from dcsr.schema import enum_name, schema

_DENSIFY = schema.BuiltinOperator.DENSIFY
_MAX_ELEMENTS = (1 << 31) - 1  # a larger int8 tensor would not fit in a flatbuffer


def is_sparse(model: schema.ModelT) -> bool:
    """Whether the model has sparse tensors or DENSIFY operators."""
    return any(tensor.sparsity is not None for subgraph in model.subgraphs for tensor in subgraph.tensors or []) or any(
        tflite.builtin_code(model, operator) == _DENSIFY for _, operator in tflite.operators(model)
    )


def densify(model: schema.ModelT, name: str) -> tuple[schema.ModelT, Done]:
    """Returns the dense equivalent of a model.

    Replaces sparse tensors by constants with all elements. Removes the DENSIFY operators, their outputs and their
    operator code. Operators that read such an output then read the constant.

    Args:
      model: the model; it is not changed.
      name: name of the model in error messages.

    Returns:
      (the dense model, the changes).

    Raises:
      ModelError: if a sparse tensor is not int8 or its parameters are damaged, or a DENSIFY has an unusual form.
    """
    graph = Graph(copy.deepcopy(model))
    expanded = _expand_tensors(graph, name)
    constants = [_remove_operators(graph, s, name) for s in range(len(graph.model.subgraphs))]
    graph.redirect(constants)
    graph.change_tensors([TensorEdit(removed=set(constant)) for constant in constants])
    _remove_unused_codes(graph)
    return graph.model, Done("densify", tuple(expanded), can_be_undone=False)


def expand(sparsity: schema.SparsityParametersT, shape: tuple[int, ...], values: NDArray[np.int8]) -> NDArray[np.int8]:
    """Expands a sparse tensor.

    Args:
      sparsity: TFLite's parameters of the tensor.
      shape: shape of the dense tensor.
      values: stored elements [stored], in the order of the traversal.

    Returns:
      The dense tensor [*shape], of the type of `values`.

    Raises:
      ValueError: if the parameters are damaged, or do not fit the shape or the number of values.
    """
    order = indices(sparsity.traversalOrder)
    blocked = indices(sparsity.blockMap)
    levels = sparsity.dimMetadata or []
    rank = len(shape)
    if not rank or min(shape) < 1:
        raise ValueError(f"impossible shape {list(shape)}")
    elements = math.prod(shape)
    if elements > _MAX_ELEMENTS:
        raise ValueError(f"{elements} elements are too many")
    dimensions = rank + len(blocked)
    if len(set(blocked)) != len(blocked) or not all(0 <= d < rank for d in blocked):
        raise ValueError(f"impossible block map {blocked}")
    if sorted(order[:rank]) != list(range(rank)) or sorted(order[rank:]) != list(range(rank, dimensions)):
        raise ValueError(f"impossible traversal order {order}")
    if len(levels) != dimensions or any(level is None for level in levels):
        raise ValueError(f"{len(levels)} dimensions described, not {dimensions}")

    sizes, strides = _levels(shape, order, blocked, levels)
    # The offset in the dense tensor of each node at the current level of the tree.
    places = np.zeros(1, np.int64)
    for number, (level, size, stride) in enumerate(zip(levels, sizes, strides, strict=True)):
        if level.format == schema.DimensionType.DENSE:
            if level.denseSize != size:
                raise ValueError(f"dimension {number} of the traversal has size {level.denseSize}, not {size}")
            if len(places) * size > elements:
                raise ValueError("more elements than the shape has")
            places = (places[:, np.newaxis] + np.arange(size) * stride).ravel()
        elif level.format == schema.DimensionType.SPARSE_CSR:
            counts, children = _csr(level, number, len(places), size)
            places = np.repeat(places, counts) + children * stride
        else:
            raise ValueError(f"dimension {number} of the traversal has the unknown format {level.format}")
    if len(places) != len(values):
        raise ValueError(f"{len(values)} elements stored, not {len(places)}")
    dense = np.zeros(elements, values.dtype)
    dense[places] = values
    return dense.reshape(shape)


def _levels(
    shape: tuple[int, ...], order: list[int], blocked: list[int], levels: list[schema.DimensionMetadataT]
) -> tuple[list[int], list[int]]:
    """Returns (size, stride in the dense tensor) of each level of the traversal, as two lists.

    Raises:
      ValueError: if a block does not divide its dimension.
    """
    rank = len(shape)
    dense_strides = [math.prod(shape[d + 1 :]) for d in range(rank)]
    blocks = [1] * rank
    for level, dimension in list(zip(levels, order, strict=True))[rank:]:
        original = blocked[dimension - rank]
        block = int(level.denseSize)
        if level.format != schema.DimensionType.DENSE or block < 1 or shape[original] % block:
            raise ValueError(f"impossible blocks along dimension {original}")
        blocks[original] = block
    sizes, strides = [], []
    for dimension in order:
        if dimension < rank:
            sizes.append(shape[dimension] // blocks[dimension])
            strides.append(blocks[dimension] * dense_strides[dimension])
        else:
            sizes.append(blocks[blocked[dimension - rank]])
            strides.append(dense_strides[blocked[dimension - rank]])
    return sizes, strides


def _csr(
    level: schema.DimensionMetadataT, number: int, nodes: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Reads a compressed level of the traversal.

    Args:
      level: segments and indices of the level.
      number: position of the level in the traversal, for error messages.
      nodes: number of nodes of the level above.
      size: number of positions in this dimension.

    Returns:
      (number of children of each node, int64 [nodes]; index of each child in the dimension, int64 [children]).

    Raises:
      ValueError: if the segments or indices are out of range or not in order.
    """
    segments, children = (
        np.asarray([] if table is None or table.values is None else table.values, np.int64)
        for table in (level.arraySegments, level.arrayIndices)
    )
    where = f"dimension {number} of the traversal"
    if len(segments) != nodes + 1:
        raise ValueError(f"{where} has {len(segments)} segments, not {nodes + 1}")
    counts = np.diff(segments)
    if segments[0] != 0 or np.any(counts < 0) or segments[-1] != len(children):
        raise ValueError(f"{where} has segments that do not fit its {len(children)} indices")
    if np.any(children < 0) or np.any(children >= size):
        raise ValueError(f"{where} has an index outside 0..{size - 1}")
    first = np.zeros(len(children), bool)
    first[segments[:-1][counts > 0]] = True
    if np.any((np.diff(children) <= 0) & ~first[1:]):
        raise ValueError(f"{where} has indices that do not increase")
    return counts, children


def _expand_tensors(graph: Graph, name: str) -> list[str]:
    """Gives each sparse tensor a buffer with all its elements. Returns a line for each tensor."""
    model = graph.model
    contents: dict[int, bytes] = {}  # {id of the tensor: all its elements}
    expanded = []
    for s, subgraph in enumerate(model.subgraphs):
        for t, tensor in enumerate(subgraph.tensors or []):
            if tensor.sparsity is not None:
                contents[id(tensor)] = _dense_bytes(model, tensor, f"{name}: {_place(s, t, tensor)}")
                expanded.append(f"{_place(s, t, tensor)}: expanded to {len(contents[id(tensor)]):,} bytes")
    for buffer, tensors in graph.tensors_by_buffer().items():
        sparse = [tensor for tensor in tensors if tensor.sparsity is not None]
        # Reuse the buffer, unless another tensor needs other content in it.
        alone = len(sparse) == len(tensors) and len({contents[id(tensor)] for tensor in sparse}) == 1
        places = {contents[id(sparse[0])]: buffer} if alone else {}
        if alone:
            model.buffers[buffer].data = byte_vector(contents[id(sparse[0])])
        for tensor in sparse:
            content = contents[id(tensor)]
            if content not in places:
                places[content] = graph.add_buffer(content)
            tensor.buffer = places[content]
            tensor.sparsity = None
    return expanded


def _dense_bytes(model: schema.ModelT, tensor: schema.TensorT, where: str) -> bytes:
    if tensor.type != schema.TensorType.INT8:
        kind = enum_name(schema.TensorType, tensor.type).lower()
        raise ModelError(
            f"{where}: sparse weights of type {kind}; they must be int8: convert the model to int8 first"
            " (full-integer post-training quantisation)"
        )
    values = np.frombuffer(tflite.buffer_bytes(model, tensor), np.int8)
    shape = tuple(indices(tensor.shape))
    try:
        return expand(tensor.sparsity, shape, values).tobytes()
    except ValueError as error:
        raise ModelError(f"{where}: its sparsity parameters are damaged: {error}") from error


def _place(subgraph: int, index: int, tensor: schema.TensorT) -> str:
    return f"subgraph {subgraph}, tensor {index} '{tflite.text(tensor.name)}'"


def _remove_operators(graph: Graph, s: int, name: str) -> dict[int, int]:
    """Removes the DENSIFY operators of a subgraph. Returns {output of a DENSIFY: constant that replaces it}."""
    model, subgraph = graph.model, graph.model.subgraphs[s]
    tensors = subgraph.tensors or []
    constant_of: dict[int, int] = {}
    removed = set()
    for position, operator in enumerate(subgraph.operators or []):
        if tflite.builtin_code(model, operator) != _DENSIFY:
            continue
        removed.add(position)
        inputs, outputs = indices(operator.inputs), indices(operator.outputs)
        if len(inputs) != 1 or len(outputs) != 1 or min(inputs + outputs) < 0 or outputs[0] in constant_of:
            raise ModelError(f"{name}: subgraph {s}: a DENSIFY operator with unusual inputs or outputs")
        constant, output = tensors[inputs[0]], tensors[outputs[0]]
        where = f"{name}: {_place(s, inputs[0], constant)}"
        if constant.type != schema.TensorType.INT8:
            kind = enum_name(schema.TensorType, constant.type).lower()
            raise ModelError(f"{where}: DENSIFY of type {kind}; weights must be int8: convert the model to int8 first")
        if len(tflite.buffer_bytes(model, constant)) != math.prod(indices(constant.shape)):
            raise ModelError(f"{where}: DENSIFY of a tensor that is not constant")
        if output.type != constant.type or indices(output.shape) != indices(constant.shape):
            raise ModelError(f"{where}: DENSIFY gives a tensor of another type or shape")
        if not _same_quantization(output, constant):
            raise ModelError(f"{where}: DENSIFY changes the quantisation")
        constant_of[outputs[0]] = inputs[0]
    if set(constant_of) & set(constant_of.values()):
        raise ModelError(f"{name}: subgraph {s}: DENSIFY of what a DENSIFY gives")
    graph.remove_operators(s, removed)
    return constant_of


def _same_quantization(output: schema.TensorT, constant: schema.TensorT) -> bool:
    """Whether both have the same quantisation, or the output has none: a converter may set only the constant's."""
    if output.quantization is None:
        return True
    if constant.quantization is None:
        return False
    a, b = output.quantization, constant.quantization
    return (
        np.array_equal([] if a.scale is None else a.scale, [] if b.scale is None else b.scale)
        and indices(a.zeroPoint) == indices(b.zeroPoint)
        and a.quantizedDimension == b.quantizedDimension
    )


def _remove_unused_codes(graph: Graph) -> None:
    codes = graph.model.operatorCodes
    graph.remove_codes(
        [i for i, code in enumerate(codes) if max(code.builtinCode, code.deprecatedBuiltinCode) == _DENSIFY]
    )

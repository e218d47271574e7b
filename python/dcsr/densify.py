"""TFLite's own sparse tensors: expands them and removes the DENSIFY operators that read them.

The converter's EXPERIMENTAL_SPARSITY stores pruned weights in a hierarchy of dense and compressed (CSR) dimensions,
optionally blocked, and puts a DENSIFY in front of each layer. TFLM has no such operator; `densify` gives the model
that it could run. What the fields mean: SparsityParameters in schema.fbs, FormatConverter in
tensorflow/lite/kernels/internal/utils/sparsity_format_converter.cc.
"""

from __future__ import annotations

import copy
import math

import numpy as np

from dcsr import model as tflite
from dcsr import renumber
from dcsr.model import ModelError
from dcsr.renumber import indices
from dcsr.schema import enum_name, schema

_DENSIFY = schema.BuiltinOperator.DENSIFY
_MAX_ELEMENTS = (1 << 31) - 1  # of a tensor of a model that fits in a file


def is_sparse(model: schema.ModelT) -> bool:
    """Whether the model has sparse tensors or DENSIFY operators."""
    return any(tensor.sparsity is not None for subgraph in model.subgraphs for tensor in subgraph.tensors or []) or any(
        tflite.builtin_code(model, operator) == _DENSIFY for _, operator in tflite.operators(model)
    )


def densify(model: schema.ModelT, name: str) -> schema.ModelT:
    """The dense equivalent of `model`, which stays as it is.

    Sparse tensors become constants with all their elements. DENSIFY operators, their outputs and their operator code
    are gone, and what read an output reads the constant.

    Raises:
      ModelError: if a sparse tensor is not int8 or its parameters are damaged, or a DENSIFY does something else.
    """
    model = copy.deepcopy(model)
    _expand_tensors(model, name)
    constants = [_remove_operators(model, s, subgraph, name) for s, subgraph in enumerate(model.subgraphs)]
    counts = [len(subgraph.tensors or []) for subgraph in model.subgraphs]
    maps = [renumber.without(count, list(constant)) for count, constant in zip(counts, constants, strict=True)]
    # Who refers to an output refers to the constant before the outputs go.
    redirected = [
        {index: constant.get(index, index) for index in range(count)}
        for count, constant in zip(counts, constants, strict=True)
    ]
    for mapping in (redirected, maps):
        for subgraph, tensor_map in zip(model.subgraphs, mapping, strict=True):
            renumber.map_tensors(subgraph, tensor_map)
        renumber.map_signatures(model, mapping)
    for subgraph, tensor_map in zip(model.subgraphs, maps, strict=True):
        subgraph.tensors = [tensor for index, tensor in enumerate(subgraph.tensors or []) if index in tensor_map]
    renumber.map_offline_plan(model, maps, counts)
    _remove_unused_code(model)
    return model


def expand(sparsity: schema.SparsityParametersT, shape: tuple[int, ...], values: np.ndarray) -> np.ndarray:
    """The tensor [*shape] whose stored elements are `values` [stored], in order of the traversal.

    Raises:
      ValueError: if the parameters are not those of such a tensor.
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
    # One entry for each node of the tree that has been walked so far: its place in the dense tensor.
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
    """Size of each level of the traversal, and the distance of its neighbours in the dense tensor.

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


def _csr(level: schema.DimensionMetadataT, number: int, nodes: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Children of each of `nodes` nodes, and the index of every child in a dimension of that size.

    Raises:
      ValueError: if they do not fit.
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


def _expand_tensors(model: schema.ModelT, name: str) -> None:
    """Gives each sparse tensor a buffer with all its elements."""
    users: dict[int, list[schema.TensorT]] = {}
    contents: dict[int, bytes] = {}  # by id of the tensor
    for s, subgraph in enumerate(model.subgraphs):
        for t, tensor in enumerate(subgraph.tensors or []):
            users.setdefault(tensor.buffer, []).append(tensor)
            if tensor.sparsity is not None:
                contents[id(tensor)] = _dense_bytes(model, tensor, f"{name}: {_place(s, t, tensor)}")
    for buffer, tensors in users.items():
        sparse = [tensor for tensor in tensors if tensor.sparsity is not None]
        # The buffer takes the elements itself unless somebody reads something else from it.
        alone = len(sparse) == len(tensors) and len({contents[id(tensor)] for tensor in sparse}) == 1
        places = {contents[id(sparse[0])]: buffer} if alone else {}
        for tensor in sparse:
            content = contents[id(tensor)]
            if content not in places:
                places[content] = len(model.buffers)
                model.buffers.append(schema.BufferT())
            tensor.buffer = places[content]
            model.buffers[tensor.buffer].data = np.frombuffer(content, np.uint8)
            tensor.sparsity = None


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


def _remove_operators(model: schema.ModelT, s: int, subgraph: schema.SubGraphT, name: str) -> dict[int, int]:
    """Removes the DENSIFY operators of a subgraph; returns the constant that stands for the output of each."""
    tensors = subgraph.tensors or []
    constant_of: dict[int, int] = {}
    kept = []
    for operator in subgraph.operators or []:
        if tflite.builtin_code(model, operator) != _DENSIFY:
            kept.append(operator)
            continue
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
    subgraph.operators = kept
    return constant_of


def _same_quantization(output: schema.TensorT, constant: schema.TensorT) -> bool:
    """Whether both have the same; a converter may give it to the constant alone."""
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


def _remove_unused_code(model: schema.ModelT) -> None:
    codes = model.operatorCodes
    unused = [i for i, code in enumerate(codes) if max(code.builtinCode, code.deprecatedBuiltinCode) == _DENSIFY]
    mapping = renumber.without(len(codes), unused)
    model.operatorCodes = [codes[i] for i in mapping]
    for _, operator in tflite.operators(model):
        operator.opcodeIndex = mapping[operator.opcodeIndex]

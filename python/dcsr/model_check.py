"""Checks a model before the interpreter loads it. The interpreter itself trusts every reference and size in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dcsr import model as tflite
from dcsr import structure
from dcsr.graph import indices
from dcsr.schema import enum_name, schema

_OFFLINE_PLAN = b"OfflineMemoryAllocation"
_OFFLINE_PLAN_HEADER_BYTES = 12
_TFLM_COMPRESSION = b"COMPRESSION_METADATA"

# TFLM counts the bytes of a tensor in int.
_MAX_TENSOR_BYTES = 1 << 30

_OP = schema.BuiltinOperator
_TYPE = schema.TensorType

# Bits of an element.
_BITS = {
    _TYPE.FLOAT32: 32,
    _TYPE.FLOAT16: 16,
    _TYPE.INT32: 32,
    _TYPE.UINT8: 8,
    _TYPE.INT64: 64,
    _TYPE.BOOL: 8,
    _TYPE.INT16: 16,
    _TYPE.COMPLEX64: 64,
    _TYPE.INT8: 8,
    _TYPE.FLOAT64: 64,
    _TYPE.COMPLEX128: 128,
    _TYPE.UINT64: 64,
    _TYPE.UINT32: 32,
    _TYPE.UINT16: 16,
    _TYPE.INT4: 4,
}
_WEIGHTED = {_OP.CONV_2D, _OP.DEPTHWISE_CONV_2D, _OP.FULLY_CONNECTED}

# Operators whose TFLM kernels read scales of integer tensors without a check.
_ARITHMETIC = {
    *_WEIGHTED,
    _OP.ADD,
    _OP.AVERAGE_POOL_2D,
    _OP.BATCH_MATMUL,
    _OP.ELU,
    _OP.HARD_SWISH,
    _OP.L2_NORMALIZATION,
    _OP.LEAKY_RELU,
    _OP.LOGISTIC,
    _OP.MEAN,
    _OP.MUL,
    _OP.PRELU,
    _OP.RELU6,
    _OP.RELU,
    _OP.RSQRT,
    _OP.SOFTMAX,
    _OP.SQUARED_DIFFERENCE,
    _OP.SUB,
    _OP.SVDF,
    _OP.TANH,
    _OP.TRANSPOSE_CONV,
}
# Options of windows by which TFLM's kernels step or divide.
_STEPS = ("strideW", "strideH", "filterWidth", "filterHeight", "dilationWFactor", "dilationHFactor")
_QUANTISED = {_TYPE.INT8, _TYPE.UINT8, _TYPE.INT16}


def check_model(data: bytes) -> None:
    """Checks that `data` is a complete TFLite model that the interpreter can traverse within bounds.

    Raises:
      ValueError: if `data` is not a model, is truncated, refers to something that it does not contain, or has tensors
        or operators with which the interpreter would crash.
    """
    if data[4:8] != tflite.FILE_IDENTIFIER:
        raise ValueError("not a TFLite model (no TFL3 identifier)")
    # The size of a flatbuffer is a multiple of 4. An archive of files may be appended.
    data, _ = tflite.split_archive(data)
    if len(data) % 4 != 0:
        raise ValueError("truncated TFLite model (its size is not a multiple of 4)")
    try:
        structure.check(data, refuse_newer=False)
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        tflite.check_references(model)
    except structure.Damage as defect:
        raise ValueError(f"truncated or damaged TFLite model ({defect})") from None
    except Exception as error:  # the wheel does the same, but does not catch exceptions
        raise ValueError(f"damaged TFLite model ({error})") from error
    if reason := damage(model):
        raise ValueError(f"damaged TFLite model ({reason})")
    if reason := _operator_obstacle(model):
        raise ValueError(f"the interpreter would crash or compute nonsense: {reason}")


def damage(model: schema.ModelT) -> str | None:
    """Returns a defect of a model that no interpreter can run; None if none is known.

    Args:
      model: a model whose references are valid (model.check_references).
    """
    packed_by_tflm = any(entry.name == _TFLM_COMPRESSION for entry in model.metadata or [])
    for entry in model.metadata or []:
        if entry.name == _OFFLINE_PLAN and _size(model.buffers[entry.buffer].data) < _OFFLINE_PLAN_HEADER_BYTES:
            return "its offline memory plan has no header"
    for s, subgraph in enumerate(model.subgraphs):
        if subgraph.inputs is None or subgraph.outputs is None or subgraph.tensors is None:
            return f"subgraph {s}: has no inputs, outputs or tensors"
        for t, tensor in enumerate(subgraph.tensors):
            if problem := _tensor_problem(model, tensor, packed_by_tflm):
                return f"subgraph {s}, tensor {t} '{tflite.text(tensor.name)}': {problem}"
        for o, operator in enumerate(subgraph.operators or []):
            if operator.inputs is None or operator.outputs is None:
                return f"subgraph {s}, operator {o}: has no inputs or no outputs"
    return None


def unwritten(model: schema.ModelT) -> str | None:
    """Returns the first tensor that an operator reads before anything has written it; None if there is none.

    The outputs of such a model depend on the content of the arena. Constants, inputs of the subgraph and variables
    count as written.
    """
    for s, subgraph in enumerate(model.subgraphs):
        tensors = subgraph.tensors or []
        written = {i for i, tensor in enumerate(tensors) if tensor.isVariable or tflite.buffer_bytes(model, tensor)}
        written |= {i for i, tensor in enumerate(tensors) if tensor_bytes(tensor) == 0}
        written |= set(indices(subgraph.inputs))
        for o, operator in enumerate(subgraph.operators or []):
            for index in indices(operator.inputs):
                if index >= 0 and index not in written:
                    name = tflite.text(tensors[index].name)
                    where = f"subgraph {s}, operator {o} {tflite.operator_name(model, operator)}"
                    return f"{where}: reads tensor {index} '{name}', which nothing has written"
            written |= set(indices(operator.outputs))
        for index in indices(subgraph.outputs):
            if index not in written:
                return f"subgraph {s}: nothing writes its output {index} '{tflite.text(tensors[index].name)}'"
    return None


def _operator_obstacle(model: schema.ModelT) -> str | None:
    """Returns the reason why TFLM's kernels would crash or read the wrong memory; None if no reason is known."""
    for s, subgraph in enumerate(model.subgraphs):
        for o, operator in enumerate(subgraph.operators or []):
            if problem := _operator_problem(model, subgraph, operator):
                return f"subgraph {s}, operator {o} {tflite.operator_name(model, operator)}: {problem}"
    return None


def tensor_bytes(tensor: schema.TensorT) -> int | None:
    """Returns the bytes of a tensor's elements; None if they have no fixed size (strings)."""
    bits = _BITS.get(tensor.type)
    if bits is None:
        return None
    shape = [] if tensor.shape is None else [int(dimension) for dimension in tensor.shape]
    return (math.prod(shape) * bits + 7) // 8


def _tensor_problem(model: schema.ModelT, tensor: schema.TensorT, packed_by_tflm: bool) -> str | None:
    shape = [] if tensor.shape is None else [int(dimension) for dimension in tensor.shape]
    if shape and min(shape) < 0:
        return f"has a negative dimension: {shape[:8]}"
    needed = tensor_bytes(tensor)
    if needed is None:
        return None
    if needed > _MAX_TENSOR_BYTES:
        return f"takes more than {_MAX_TENSOR_BYTES:,} bytes: {shape[:8]}"
    available = _size(model.buffers[tensor.buffer].data)
    if 0 < available < needed and tensor.sparsity is None and not packed_by_tflm:
        return f"has {available:,} bytes of data, its shape {shape[:8]} needs {needed:,}"
    return None


def _operator_problem(model: schema.ModelT, subgraph: schema.SubGraphT, operator: schema.OperatorT) -> str | None:
    code = tflite.builtin_code(model, operator)
    for index in indices(operator.outputs):
        tensor = subgraph.tensors[index]
        if tflite.is_constant(model, tensor):
            return f"its output '{tflite.text(tensor.name)}' is constant, so TFLM would write into the model"
    tensors = [subgraph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    if code in _WEIGHTED and len(operator.inputs) > 1 and operator.inputs[1] >= 0:
        weights = subgraph.tensors[operator.inputs[1]]
        if weights.shape is not None and 0 in weights.shape:
            return "has weights without elements"
    if code == _OP.DEPTHWISE_CONV_2D and len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        activations, bias = subgraph.tensors[operator.inputs[0]], subgraph.tensors[operator.inputs[2]]
        if activations.type == _TYPE.INT16 and bias.type == _TYPE.INT32:
            return "its bias is int32, which TFLM reads as int64 if the activations are int16; convert it to int64"
    if code in _WEIGHTED and (problem := _shape_problem(subgraph, operator, code)):
        return problem
    for name in _STEPS:
        if getattr(operator.builtinOptions, name, 1) < 1:
            return f"its option {name} is {getattr(operator.builtinOptions, name)}"
    if code in _ARITHMETIC:
        for tensor in tensors:
            if tensor.type in _QUANTISED and not _is_quantised(tensor):
                kind = enum_name(schema.TensorType, tensor.type).lower()
                return f"its {kind} tensor '{tflite.text(tensor.name)}' has no quantisation"
    return None


def _shape_problem(subgraph: schema.SubGraphT, operator: schema.OperatorT, code: int) -> str | None:
    """Returns the reason if the output is not as large as the layer's kernel writes it. TFLM does not check that."""
    if len(operator.inputs) < 2 or operator.inputs[1] < 0:
        return None
    source, weights, output = (
        indices(subgraph.tensors[i].shape) for i in (operator.inputs[0], operator.inputs[1], operator.outputs[0])
    )
    options = operator.builtinOptions
    if code == _OP.FULLY_CONNECTED:
        if len(weights) != 2:
            return None
        written = math.prod(source) // weights[1] * weights[0]
        return None if math.prod(output) == written else f"writes {written} elements to an output of shape {output}"
    if len(source) != 4 or len(weights) != 4 or len(output) != 4:
        return f"its input, weights and output have the shapes {source}, {weights}, {output}"
    if code == _OP.DEPTHWISE_CONV_2D and hasattr(options, "depthMultiplier"):
        # TFLM writes this many channels, whatever the shapes say.
        channels = source[3] * options.depthMultiplier
        if channels != weights[3]:
            return (
                f"its depth multiplier {options.depthMultiplier} gives {channels} channels, its filter has {weights[3]}"
            )
    if not hasattr(options, "strideH") or min(getattr(options, name, 1) for name in _STEPS) < 1:
        return None
    sizes = []
    for axis, side in ((1, "H"), (2, "W")):
        reach = (weights[axis] - 1) * getattr(options, f"dilation{side}Factor", 1) + 1
        span = 1 if options.padding == schema.Padding.SAME else reach
        stride = getattr(options, f"stride{side}")
        sizes.append((source[axis] + stride - span) // stride)
    written_shape = [source[0], *sizes, weights[0] if code == _OP.CONV_2D else weights[3]]
    return None if output == written_shape else f"writes {written_shape} to an output of shape {output}"


def _is_quantised(tensor: schema.TensorT) -> bool:
    quantization = tensor.quantization
    if quantization is None or not _size(quantization.scale) or not _size(quantization.zeroPoint):
        return False
    scale = np.asarray(quantization.scale)
    return bool(np.all(np.isfinite(scale)) and np.all(scale >= 0) and scale[0] > 0)


def _size(values: Any) -> int:
    return 0 if values is None else len(values)

"""Removes everything that TFLM does not read. Cannot be undone, and a stripped model cannot be decompressed."""

from __future__ import annotations

import copy

from dcsr import model as tflite
from dcsr.custom_ops import is_custom_op
from dcsr.graph import OFFLINE_PLAN, Graph, indices, length
from dcsr.passes import Done
from dcsr.schema import schema

_CONVOLUTIONS = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
_WITH_BIAS = (*_CONVOLUTIONS, schema.BuiltinOperator.FULLY_CONNECTED)
_BIAS = 2  # its place among an operator's inputs
_TYPE = schema.TensorType
_NARROW = (
    _TYPE.INT4,
    _TYPE.INT8,
    _TYPE.UINT8,
    _TYPE.BOOL,
    _TYPE.INT16,
    _TYPE.UINT16,
    _TYPE.INT32,
    _TYPE.UINT32,
    _TYPE.FLOAT32,
)
_EIGHT_BYTES = (_TYPE.INT64, _TYPE.UINT64)
_ACTIVATIONS = (schema.TensorType.INT8, schema.TensorType.INT16)


def strip(model: schema.ModelT) -> tuple[schema.ModelT, Done]:
    """Removes names, signatures, metadata, attached files, ranges, and the options of dCSR's operators.

    The offline memory plan stays. If all channels have the same zero point, one is kept: TFLM uses it for all channels.
    One empty buffer stays. Buffers are aligned to 4 bytes, or 8 if their elements have 8: TFLM and packed layers need
    no more. The 16 bytes of the schema serve other runtimes. Shape signatures go, because TFLM reads shapes only.

    The quantisation of the biases of int8 and int16 convolutions goes. TFLM reads it for uint8 only
    (PopulateConvolutionQuantizationParams, tensorflow/lite/kernels/kernel_util.cc). FULLY_CONNECTED compares one bias
    scale with those of input and weights (GetQuantizedConvolutionMultipler, in the same file): one stays.

    Args:
      model: the model; it is not changed.

    Returns:
      (the stripped copy, the changes).
    """
    graph = Graph(copy.deepcopy(model))
    model = graph.model
    model.description = model.signatureDefs = model.metadataBuffer = None
    model.metadata = [entry for entry in model.metadata or [] if entry.name == OFFLINE_PLAN] or None
    model.attached_archive = b""
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors or []]
    for named in [*model.subgraphs, *tensors]:
        named.name = None
    for _, operator in tflite.operators(model):
        if is_custom_op(model, operator):
            operator.customOptions = None
    for s, subgraph in enumerate(model.subgraphs):
        for index, tensor in enumerate(subgraph.tensors or []):
            _strip_bias(graph, s, index, tensor)
    for tensor in tensors:
        tensor.shapeSignature = None
        tensor.hasRank = False
        quantization = tensor.quantization
        if quantization is not None:
            quantization.min = quantization.max = None
            if length(quantization.zeroPoint) > 1 and len(set(indices(quantization.zeroPoint))) == 1:
                quantization.zeroPoint = quantization.zeroPoint[:1]
    graph.compact_buffers()
    _align_buffers(graph)
    changes = (
        "left out names, signatures, metadata, attached files, ranges, quantisation of biases, and options of custom"
        " operators"
    )
    return model, Done("strip", (changes,), can_be_undone=False)


def _strip_bias(graph: Graph, s: int, index: int, tensor: schema.TensorT) -> None:
    """Removes the quantisation that TFLM does not read from a tensor that is only the bias of operators."""
    quantization = tensor.quantization
    if quantization is None or not tflite.is_constant(graph.model, tensor) or index in graph.ends(s):
        return
    subgraph = graph.model.subgraphs[s]
    codes = set()
    for position, number in graph.consumers(s, {index}):
        operator = subgraph.operators[position]
        code = tflite.builtin_code(graph.model, operator)
        is_int = subgraph.tensors[operator.inputs[0]].type in _ACTIVATIONS
        if number != _BIAS or code not in _WITH_BIAS or not is_int:
            return
        codes.add(code)
    if codes <= set(_CONVOLUTIONS):
        tensor.quantization = None
    elif length(quantization.scale) > 1 and length(quantization.zeroPoint) > 0:
        quantization.scale = quantization.scale[:1]
        quantization.zeroPoint = quantization.zeroPoint[:1]
        quantization.quantizedDimension = 0


def _align_buffers(graph: Graph) -> None:
    for index, tensors in graph.tensors_by_buffer().items():
        if all(tensor.type in _NARROW for tensor in tensors):
            graph.model.buffers[index].alignment = 4
        elif all(tensor.type in (*_NARROW, *_EIGHT_BYTES) for tensor in tensors):
            graph.model.buffers[index].alignment = 8

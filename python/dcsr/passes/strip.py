"""Leaves out everything that TFLM does not read. Cannot be undone, and a stripped model cannot be decompressed."""

from __future__ import annotations

import copy

from dcsr import model as tflite
from dcsr.custom_ops import is_custom_op
from dcsr.graph import OFFLINE_PLAN, Graph, indices, length
from dcsr.passes import Done
from dcsr.schema import schema


def strip(model: schema.ModelT) -> tuple[schema.ModelT, Done]:
    """A copy of the model without names, signatures, metadata, attached files, ranges, and options of our operators.

    The offline memory plan stays. Zero points that are equal for all channels become one, which TFLM takes for all.
    Of the empty buffers one stays.

    Args:
      model: is not changed.

    Returns:
      (the stripped model, what was done).
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
    for tensor in tensors:
        quantization = tensor.quantization
        if quantization is not None:
            quantization.min = quantization.max = None
            if length(quantization.zeroPoint) > 1 and len(set(indices(quantization.zeroPoint))) == 1:
                quantization.zeroPoint = quantization.zeroPoint[:1]
    graph.compact_buffers()
    changes = "left out names, signatures, metadata, attached files, ranges, and options of custom operators"
    return model, Done("strip", (changes,), can_be_undone=False)

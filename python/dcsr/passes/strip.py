"""Removes everything that TFLM does not read. Cannot be undone, and a stripped model cannot be decompressed."""

from __future__ import annotations

import copy

from dcsr import model as tflite
from dcsr.custom_ops import is_custom_op
from dcsr.graph import OFFLINE_PLAN, Graph, indices, length
from dcsr.passes import Done
from dcsr.schema import schema


def strip(model: schema.ModelT) -> tuple[schema.ModelT, Done]:
    """Removes names, signatures, metadata, attached files, ranges, and the options of dCSR's operators.

    The offline memory plan stays. If all channels have the same zero point, one is kept: TFLM uses it for all channels.
    One empty buffer stays.

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
    for tensor in tensors:
        quantization = tensor.quantization
        if quantization is not None:
            quantization.min = quantization.max = None
            if length(quantization.zeroPoint) > 1 and len(set(indices(quantization.zeroPoint))) == 1:
                quantization.zeroPoint = quantization.zeroPoint[:1]
    graph.compact_buffers()
    changes = "left out names, signatures, metadata, attached files, ranges, and options of custom operators"
    return model, Done("strip", (changes,), can_be_undone=False)

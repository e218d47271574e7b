"""Replaces layers by custom operators with packed weights. `record.restore` undoes it.

A packed layer, or its shared rows if it has them, takes the tensor index of its weights. Unused bias tensors are
removed. The parts of the model that cannot be derived from the packed layers are recorded (record.py).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from dcsr import custom_ops, packing
from dcsr import layers as layer_finder
from dcsr.graph import Graph, TensorEdit, byte_vector, indices
from dcsr.passes import Done
from dcsr.passes.record import Recorder, bias_record, weights_record
from dcsr.planning import cost
from dcsr.planning.candidates import Candidate
from dcsr.planning.choice import Decision
from dcsr.schema import schema


def pack(model: schema.ModelT, decisions: Sequence[Decision], lost: str | None = None) -> tuple[schema.ModelT, Done]:
    """Packs the layers for which a candidate was chosen.

    Args:
      model: the model; it is not changed.
      decisions: one for each layer. Layers without a candidate stay unchanged.
      lost: name of an earlier pass that `restore` cannot undo, for the record; None if there was none.

    Returns:
      (the packed model, the changes).
    """
    graph = Graph(copy.deepcopy(model))
    chosen = [(decision, decision.candidate) for decision in decisions if decision.candidate]
    if chosen:
        _pack(graph, chosen, lost)
    changes = [
        f"subgraph {decision.layer.subgraph}, operator {decision.layer.position}: '{decision.layer.name}' as"
        f" {cost.coding(candidate.packed.streams)}"
        for decision, candidate in chosen
    ]
    return graph.model, Done("pack", tuple(changes), can_be_undone=True)


def _pack(graph: Graph, chosen: Sequence[tuple[Decision, Candidate]], lost: str | None) -> None:
    model = graph.model
    recorder = Recorder(len(model.subgraphs), lost)
    originals = len(model.buffers)
    blobs: dict[bytes, int] = {}
    edits = []
    for s in range(len(model.subgraphs)):
        mine = [(decision, candidate) for decision, candidate in chosen if decision.layer.subgraph == s]
        edits.append(_pack_subgraph(graph, s, mine, blobs, recorder))
    for plan, content in graph.change_tensors(edits):
        recorder.offline_plan(plan, content)
    dropped = sorted(recorder.buffers() - graph.used_buffers())
    assert all(0 < index < originals for index in dropped)
    recorder.removed_buffers(dropped)
    graph.remove_buffers(dropped)
    recorder.attach(graph)


def _pack_subgraph(
    graph: Graph,
    s: int,
    chosen: Sequence[tuple[Decision, Candidate]],
    blobs: dict[bytes, int],
    recorder: Recorder,
) -> TensorEdit:
    """Replaces the chosen operators of a subgraph.

    Args:
      graph: the model; it is changed except for its lists of tensors.
      s: index of the subgraph.
      chosen: the layers of the subgraph to pack, each with its candidate.
      blobs: {packed layer or shared rows: index of its buffer}. Equal ones share a buffer, so this is extended.
      recorder: records the replaced parts.

    Returns:
      The changes to the subgraph's tensors, for Graph.change_tensors.
    """
    edit = TensorEdit()
    subgraph = graph.model.subgraphs[s]
    kept = _tensors_in_use(graph, s, {decision.layer.position for decision, _ in chosen})
    packed_tensors: dict[int, int] = {}  # {buffer of a packed layer: tensor of this subgraph}
    for decision, candidate in chosen:
        operator = subgraph.operators[decision.layer.position]
        recorder.operator(s, decision.layer.position, operator)
        weights, bias = int(operator.inputs[1]), layer_finder.bias_index(operator)
        original = subgraph.tensors[weights]
        is_first_use = not recorder.has_tensor(s, weights)
        recorder.tensor(s, weights, weights_record(subgraph, decision.layer, candidate.packed))
        if bias >= 0 and bias not in kept:
            edit.removed.add(bias)
            activations = subgraph.tensors[operator.inputs[0]]
            recorder.tensor(s, bias, bias_record(subgraph.tensors[bias], activations, original))

        tensors = []
        shared = candidate.shared_blob
        for blob in [candidate.blob] if shared is None else [candidate.blob, shared]:
            if blob not in blobs:
                blobs[blob] = graph.add_buffer(blob)
            buffer = blobs[blob]
            has_streams = shared is None or blob is shared
            if has_streams and is_first_use:
                edit.replaced[weights] = _packed_tensor(original.name, blob, buffer)
                packed_tensors[buffer] = weights
            elif buffer not in packed_tensors:
                packed_tensors[buffer] = len(subgraph.tensors) + len(edit.added)
                edit.added.append(_packed_tensor(original.name if has_streams else None, blob, buffer))
            tensors.append(packed_tensors[buffer])
        _replace_operator(graph, operator, tensors, decision, candidate)
        _set_planes(subgraph, operator, candidate.packed)
    return edit


def _set_planes(subgraph: schema.SubGraphT, operator: schema.OperatorT, packed: packing.PackedLayer) -> None:
    """Gives the activations of a layer the shapes that they have in planes."""
    for index, size, channels in packed.tensors_in_planes(operator.inputs, operator.outputs):
        subgraph.tensors[index].shape = np.array([1, channels, packing.plane_bytes(size)], np.int32)


def _tensors_in_use(graph: Graph, s: int, packed: set[int]) -> set[int]:
    """Returns the tensors in use, if the operators at the positions `packed` use only their activations and outputs."""
    used = graph.ends(s)
    for position, operator in enumerate(graph.model.subgraphs[s].operators or []):
        inputs = indices(operator.inputs)
        used.update(inputs[:1] if position in packed else inputs, indices(operator.outputs))
        used.update(indices(operator.intermediates))
    return used


def _packed_tensor(name: bytes | None, blob: bytes, buffer: int) -> schema.TensorT:
    """Returns the tensor of a packed layer or of shared rows, int8 [bytes]."""
    return schema.TensorT(shape=np.array([len(blob)], np.int32), type=schema.TensorType.INT8, buffer=buffer, name=name)


def _replace_operator(
    graph: Graph, operator: schema.OperatorT, tensors: list[int], decision: Decision, candidate: Candidate
) -> None:
    packed = candidate.packed
    operator.opcodeIndex = graph.custom_code(custom_ops.CUSTOM_CODES[packed.op])
    operator.inputs = np.array([operator.inputs[0], *tensors], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.NONE
    operator.customOptions = byte_vector(custom_ops.options(packed, decision.layer.operator))
    operator.builtinOptions = None

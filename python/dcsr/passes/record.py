"""The record of replaced operators and tensors, and the pass `restore`, which undoes pack.

The metadata entry `dcsr_original` holds the record (docs/format.md#in-the-model-file): a small model, compressed with
zlib, whose subgraphs contain the replaced tensors and operators. The record omits everything that can be derived from a
packed layer. Bias values are derived from the folded bias, weight scales from the requantisation multipliers, and bias
scales from the input and weight scales.
"""

from __future__ import annotations

import copy
import dataclasses
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr import packing, structure
from dcsr.custom_ops import CUSTOM_CODES
from dcsr.graph import Graph, byte_vector, indices
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.passes import Done
from dcsr.schema import schema

RECORD_NAME = b"dcsr_original"
RECORD_VERSION = 2
_READABLE_VERSIONS = (1, 2)  # version 1 has either all scales of a tensor or none
# Limit of the decompressed record: so many bytes, and so many times its compressed size. Names compress well.
_MAX_RECORD_BYTES = 1 << 20
_MAX_RECORD_EXPANSION = 100


class Recorder:
    """Collects the replaced parts of a model."""

    def __init__(self, subgraphs: int, lost: str | None = None) -> None:
        """Starts the record of a model with so many subgraphs.

        `lost` is the name of an earlier pass that `restore` cannot undo; None if there was none.
        """

        def empty() -> schema.SubGraphT:
            return schema.SubGraphT(tensors=[], inputs=[], operators=[], outputs=[])

        self._record = schema.ModelT(
            version=RECORD_VERSION,
            description=lost,
            subgraphs=[empty() for _ in range(subgraphs)],
            buffers=[],
            metadata=[],
        )

    def operator(self, subgraph: int, position: int, operator: schema.OperatorT) -> None:
        """Records the present state of an operator."""
        recorded = self._record.subgraphs[subgraph]
        recorded.operators.append(copy.copy(operator))
        recorded.outputs.append(position)

    def has_tensor(self, subgraph: int, index: int) -> bool:
        """Whether the record contains a tensor."""
        return index in self._record.subgraphs[subgraph].inputs

    def tensor(self, subgraph: int, index: int, tensor: schema.TensorT) -> None:
        """Records a tensor, unless the record contains it."""
        if not self.has_tensor(subgraph, index):
            recorded = self._record.subgraphs[subgraph]
            recorded.inputs.append(index)
            recorded.tensors.append(tensor)

    def offline_plan(self, entry: schema.MetadataT, content: bytes) -> None:
        """Records the original content of an offline memory plan."""
        self._record.metadata.append(schema.MetadataT(name=entry.name, buffer=len(self._record.buffers)))
        self._record.buffers.append(schema.BufferT(data=byte_vector(content)))

    def buffers(self) -> set[int]:
        """Returns the buffers of the recorded tensors."""
        return {tensor.buffer for subgraph in self._record.subgraphs for tensor in subgraph.tensors}

    def removed_buffers(self, dropped: list[int]) -> None:
        """Records the indices of removed buffers."""
        self._record.metadataBuffer = np.array(dropped, np.int32)

    def attach(self, graph: Graph) -> None:
        """Stores the record in the model's metadata."""
        for subgraph in self._record.subgraphs:
            if subgraph.operators:
                subgraph.inputs = np.array(subgraph.inputs, np.int32)
                subgraph.outputs = np.array(subgraph.outputs, np.int32)
        graph.add_metadata(RECORD_NAME, pack_record(self._record))


def bias_record(bias: schema.TensorT, activations: schema.TensorT, weights: schema.TensorT) -> schema.TensorT:
    """Returns the form in which a layer's bias tensor is recorded."""
    return _without_derived(bias, layer_finder.derived_bias_scale(activations, weights))


def weights_record(subgraph: schema.SubGraphT, layer: Layer, packed: packing.PackedLayer) -> schema.TensorT:
    """Returns the form in which a layer's weight tensor is recorded. The packed tensor keeps the name."""
    operator = layer.operator
    activations, weights = (subgraph.tensors[i] for i in operator.inputs[:2])
    output = subgraph.tensors[operator.outputs[0]]
    recorded = _without_derived(weights, layer_finder.derived_weight_scale(activations, output, packed))
    recorded.name = None
    return recorded


def _without_derived(tensor: schema.TensorT, derived_scale: NDArray[np.float32]) -> schema.TensorT:
    """Copies a constant tensor without those parts of its quantisation that can be derived.

    If the shape of the scales is that of `derived_scale` and all zero points are 0, both vectors are omitted, and
    isVariable marks the tensor. If some scales differ (a converter may round scales of channels without nonzeros
    differently), the vector stays, with 0 in place of each derived scale. A tensor is copied as it is if a scale of 0
    differs.

    Ranges (min and max) are always omitted: no interpreter of quantised models reads them, and each takes 8 bytes.
    """
    tensor = copy.deepcopy(tensor)
    quantization = tensor.quantization
    if quantization is None:
        return tensor
    quantization.min = quantization.max = None
    zero_points = indices(quantization.zeroPoint)
    scale = np.asarray([] if quantization.scale is None else quantization.scale, np.float32)
    if scale.shape == derived_scale.shape and zero_points == [0] * len(scale):
        differs = scale != derived_scale
        if np.all(scale[differs] != 0):  # 0 stands for a derived scale
            tensor.isVariable = True
            quantization.scale = np.where(differs, scale, np.float32(0)) if differs.any() else None
            quantization.zeroPoint = None
    return tensor


def _put_back_derived(tensor: schema.TensorT, derived_scale: NDArray[np.float32]) -> None:
    """Undoes _without_derived, except for ranges."""
    if tensor.isVariable:
        tensor.isVariable = False
        if tensor.quantization.scale is not None:
            recorded = np.asarray(tensor.quantization.scale, np.float32)
            if recorded.shape != derived_scale.shape:
                raise ValueError(f"{len(recorded)} scales, {len(derived_scale)} expected")
            derived_scale = np.where(recorded != 0, recorded, derived_scale)
        tensor.quantization.scale = derived_scale
        tensor.quantization.zeroPoint = np.zeros(len(derived_scale), np.int64)


def lost_before_packing(model: schema.ModelT, name: str) -> str | None:
    """Returns the name of the pass before pack that `restore` cannot undo; None if there was none.

    Raises:
      ModelError: if the model has no record, or a damaged one. `name` begins the message.
    """
    try:
        return tflite.text(unpack_record(model.buffers[_entry(model, name).buffer].data).description) or None
    except ModelError:
        raise
    except Exception as error:  # a damaged record can raise any exception
        raise ModelError(f"{name}: the record of the original is damaged ({error})") from error


def restore(model: schema.ModelT, name: str) -> tuple[schema.ModelT, Done]:
    """Undoes pack.

    Args:
      model: a compressed model; it is not changed.
      name: name of the model in error messages.

    Returns:
      (the dense model, the changes).

    Raises:
      ModelError: if the model has no record or is damaged.
    """
    model = copy.deepcopy(model)
    entry = _entry(model, name)
    try:
        record = unpack_record(model.buffers[entry.buffer].data)
        layers = {(layer.subgraph, layer.position): layer for layer in layer_finder.find(model)}
        changes = _restore(Graph(model), record, entry, layers)
        return tflite.parse(tflite.serialize(model), name), Done("restore", tuple(changes), can_be_undone=False)
    except ModelError as error:
        raise ModelError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
    except Exception as error:  # a damaged record can raise any exception
        raise ModelError(f"{name}: the record of the original is damaged ({error})") from error


def _entry(model: schema.ModelT, name: str) -> schema.MetadataT:
    """Returns the metadata entry of the record. Raises ModelError if there is none."""
    entries = [entry for entry in model.metadata or [] if entry.name == RECORD_NAME]
    if len(entries) != 1:
        raise ModelError(
            f"{name}: has no '{RECORD_NAME.decode()}' metadata, which decompress needs; it was stripped"
            " (compress --strip): decompress a model compressed without that, or take the original"
        )
    return entries[0]


def _restore(
    graph: Graph, record: schema.ModelT, entry: schema.MetadataT, layers: dict[tuple[int, int], Layer]
) -> list[str]:
    """Undoes pack on the graph, whose `layers` are given by place. Returns a line for each restored operator."""
    model = graph.model
    if record.version not in _READABLE_VERSIONS:
        raise ValueError(f"it is of version {record.version}, this tool reads {RECORD_VERSION}")
    if len(record.subgraphs) != len(model.subgraphs):
        raise ValueError("wrong number of subgraphs")

    model.metadata = [e for e in model.metadata if e is not entry] or None
    restore_shapes(model, layers.values())
    packed = {
        (s, index)
        for s, recorded in enumerate(record.subgraphs)
        for position in indices(recorded.outputs)
        for index in _packed_tensors(model.subgraphs[s].operators[position])
    }
    # pack() appended the buffers of packed layers and shared rows after all other buffers.
    count = min(model.subgraphs[s].tensors[index].buffer for s, index in packed)
    graph.restore_buffers(count, set(indices(record.metadataBuffer)), skip=packed)

    tensors, maps = [], []
    operators: dict[tuple[int, int], schema.OperatorT] = {}
    for s, recorded in enumerate(record.subgraphs):
        mine = dict(zip(indices(recorded.outputs), recorded.operators or [], strict=True))
        restored, mapping = _restored_tensors(model.subgraphs[s], recorded, mine)
        for position, operator in mine.items():
            _restore_constants(model, restored, set(indices(recorded.inputs)), operator, layers[s, position])
            operators[s, position] = operator
        tensors.append(restored)
        maps.append(mapping)
    graph.restore_tensors(tensors, maps, replaced=operators.keys())
    for (s, position), operator in operators.items():
        model.subgraphs[s].operators[position] = operator
    codes = [tflite.text(code.customCode) for code in model.operatorCodes]
    custom = [index for index, code in enumerate(codes) if code in CUSTOM_CODES.values()]
    graph.remove_codes(custom, skip=operators.keys())
    for plan in record.metadata or []:
        for current in model.metadata or []:
            if current.name == plan.name:
                model.buffers[current.buffer].data = record.buffers[plan.buffer].data
    return [f"subgraph {s}, operator {p}: {tflite.operator_name(model, o)}" for (s, p), o in operators.items()]


def in_nhwc(model: schema.ModelT) -> schema.ModelT:
    """Returns a compressed model in which all activations are NHWC: itself, or a copy without planes."""
    layers = [
        layer for layer in layer_finder.find(model) if layer.packed is not None and layer.packed.planes is not None
    ]
    if not layers:
        return model
    graph = Graph(copy.deepcopy(model))
    for layer in layers:
        packed = layer.packed
        assert packed is not None and packed.planes is not None
        if packed.planes.is_transposed:
            packed = layer_finder.transposed(packed)
        blob = packing.pack(dataclasses.replace(packed, planes=None))
        tensor = graph.model.subgraphs[layer.subgraph].tensors[layer.weights]
        tensor.buffer, tensor.shape = graph.add_buffer(blob), np.array([len(blob)], np.int32)
    restore_shapes(graph.model, layers)
    return graph.model


def restore_shapes(model: schema.ModelT, layers: Iterable[Layer]) -> None:
    """Gives activations in planes the shapes that they have in NHWC, in place. `layers` are those of the model."""
    for layer in layers:
        packed = layer.packed
        if packed is None:
            continue
        tensors = model.subgraphs[layer.subgraph].tensors
        for index, size, channels in packed.tensors_in_planes(layer.operator.inputs, layer.operator.outputs):
            tensors[index].shape = np.array([1, *packed.in_image(size), channels], np.int32)


def _packed_tensors(operator: schema.OperatorT) -> list[int]:
    """Returns the tensors of a packed layer and its shared rows."""
    return indices(operator.inputs)[1:]


def _restored_tensors(
    subgraph: schema.SubGraphT, recorded: schema.SubGraphT, operators: dict[int, schema.OperatorT]
) -> tuple[list[schema.TensorT], dict[int, int]]:
    """Returns (original tensors of a subgraph, {present index: original index})."""
    tensors = dict(zip(indices(recorded.inputs), recorded.tensors or [], strict=True))
    exchanged = {int(operator.inputs[1]) for operator in operators.values()}
    removed = set(tensors) - exchanged
    packed = {index for position in operators for index in _packed_tensors(subgraph.operators[position])}
    added = len(packed) - len(exchanged)
    total = len(subgraph.tensors or []) - added + len(removed)
    mapping = dict(enumerate(index for index in range(total) if index not in removed))

    restored: list[schema.TensorT] = [None] * total
    for new, old in mapping.items():
        restored[old] = subgraph.tensors[new]
    for old, tensor in tensors.items():
        if old in exchanged:
            tensor.name = restored[old].name
        restored[old] = tensor
    return restored, mapping


def _restore_constants(
    model: schema.ModelT,
    tensors: list[schema.TensorT],
    recorded: set[int],
    operator: schema.OperatorT,
    layer: Layer,
) -> None:
    """Restores weights, recorded bias and their quantisation of an operator from its packed layer."""
    assert layer.packed is not None and layer.matrix is not None
    activations, weights = (tensors[i] for i in operator.inputs[:2])
    bias, output = layer_finder.bias_index(operator), tensors[operator.outputs[0]]
    model.buffers[weights.buffer].data = byte_vector(layer.stored_weights.tobytes())
    _put_back_derived(weights, layer_finder.derived_weight_scale(activations, output, layer.packed))
    if bias in recorded:
        tensor = tensors[bias]
        values = packing.unfold_bias(layer.packed, layer.matrix)
        model.buffers[tensor.buffer].data = byte_vector(values.astype(values.dtype.newbyteorder("<")).tobytes())
        _put_back_derived(tensor, layer_finder.derived_bias_scale(activations, weights))


def pack_record(record: schema.ModelT) -> bytes:
    """Serialises and compresses a record."""
    return zlib.compress(tflite.serialize(record), 9)


def unpack_record(data: NDArray[np.uint8]) -> schema.ModelT:
    """Decompresses and parses a record.

    Raises:
      ValueError, zlib.error: if `data` is not a complete zlib stream, or if it is too large.
    """
    inflater = zlib.decompressobj()
    content = bytes(data)
    raw = inflater.decompress(content, _MAX_RECORD_BYTES + _MAX_RECORD_EXPANSION * len(content))
    if not inflater.eof:
        raise ValueError("incomplete zlib stream, or too large a record")
    structure.check(raw, refuse_newer=False)
    return schema.ModelT.InitFromPackedBuf(raw, 0)

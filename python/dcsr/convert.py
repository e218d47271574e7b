"""Compressing a model and undoing it.

Works on the schema's object API. What is replaced and does not follow from the packed layer is recorded in the
metadata entry `dcsr_original` (docs/format.md#in-the-model-file), from which `decompress` rebuilds tensors and
operators as they were.
"""

from __future__ import annotations

import copy
import dataclasses
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from flatbuffers import flexbuffers

from dcsr import cost_model, densify, packing, planner, renumber
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.layers import CUSTOM_CODES, Layer
from dcsr.model import ModelError
from dcsr.renumber import indices as _indices
from dcsr.schema import enum_name, schema

METHODS = planner.methods()
DEFAULT_MIN_SPARSITY = 0.6

RECORD_NAME = b"dcsr_original"
RECORD_VERSION = 2
_READABLE_VERSIONS = (1, 2)  # 1 lists no single scales
_MAX_RECORD_BYTES = 1 << 28  # of an inflated record; a larger one is an attack, not a model
_TFLM_COMPRESSION = b"COMPRESSION_METADATA"


@dataclass
class Choice:
    """What becomes of a layer.

    Attributes:
      layer: the layer.
      packed: the packed layer, None if the layer stays as it is.
      blob: its bytes.
      work, estimate: what it costs, if it is packed.
      note: why the layer stays as it is.
      kept_instructions: what the layer takes, about, if it stays as it is; None if unknown.
    """

    layer: Layer
    packed: packing.PackedLayer | None = None
    blob: bytes = b""
    work: cost_model.Work | None = None
    estimate: cost_model.Estimate | None = None
    note: str = ""
    kept_instructions: int | None = None

    @property
    def dense_instructions(self) -> int | None:
        """Of the dense product of the layer, packed or not; None if unknown."""
        return self.estimate.dense_instructions if self.estimate else self.kept_instructions

    def take(self, other: Choice) -> None:
        """Has become of the layer what became of it in another choice."""
        self.packed, self.blob, self.work, self.estimate, self.note = (
            other.packed,
            other.blob,
            other.work,
            other.estimate,
            other.note,
        )

    def drop(self, note: str) -> None:
        """Has the layer stay as it is."""
        self.take(Choice(self.layer, note=note))


def compress(
    model: schema.ModelT,
    name: str,
    *,
    method: str = planner.AUTO,
    min_sparsity: float = DEFAULT_MIN_SPARSITY,
    objective: str = planner.DEFAULT_OBJECTIVE,
    cpu: str = cost_model.DEFAULT_CPU,
    max_scratch: int | None = None,
    plan: str | None = None,
    smaller_only: bool = True,
    strip: bool = False,
    progress: Callable[[list[Layer]], Iterable[Layer]] = iter,
) -> tuple[schema.ModelT, list[Choice]]:
    """Packs the layers of `model` that are sparse enough and get smaller.

    A model with TFLite's own sparse tensors and DENSIFY operators is taken as its dense equivalent (densify.py), which
    is what `decompress` gives back.

    Args:
      model: stays as it is.
      name: of the model, for error messages.
      method: one of METHODS; an encoding is that of all layers, `auto` has the planner choose, `none` packs nothing.
      min_sparsity: share of zeros from which on a layer is considered.
      objective: one of planner.OBJECTIVES.
      cpu: core that times are estimated for, one of cost_model.CPUS.
      max_scratch: bytes of scratch that a layer may take; None for the kernels' default.
      plan: path of a plan file, which goes before all that for the tensors that it names.
      smaller_only: whether layers that would not get smaller stay as they are.
      strip: whether to leave out what running the model does not need (see _strip); decompress needs some of it.
      progress: wraps the list of layers while it is worked through.

    Returns:
      (the compressed model, what became of each layer).

    Raises:
      ModelError: if the model is compressed already or is not an int8 model, or the plan does not fit it.
    """
    if layer_finder.is_compressed(model):
        raise ModelError(f"{name}: is compressed already; decompress it first")
    if any(entry.name == _TFLM_COMPRESSION for entry in model.metadata or []):
        raise ModelError(f"{name}: is compressed by TFLM's own compression; start from the model before that")
    if any(entry.name == RECORD_NAME for entry in model.metadata or []):
        raise ModelError(f"{name}: has metadata '{RECORD_NAME.decode()}', which compress would write; remove it first")
    if densify.is_sparse(model):
        model = densify.densify(model, name)
    layers = layer_finder.find(model)
    _check_is_int8(layers, model, name)
    overrides = planner.read_plan(plan, model, layers, name) if plan else {}
    settings = planner.Settings(objective, cpu, method, min_sparsity, max_scratch, overrides)
    found = [_candidates(model, layer, settings) for layer in progress(layers)]
    choices = _choose(model, layers, found, settings)

    def take_smallest(choice: Choice) -> None:
        candidates = next(c for layer, c in zip(layers, found, strict=True) if layer is choice.layer)
        choice.take(_packed_choice(choice.layer, planner.choose([candidates], "size")[0]))

    _drop_what_saves_nothing(model, choices, smaller_only, take_smallest)
    compressed = _rewritten(model, choices, strip)
    # The record and the operator codes are stored once for all layers, which small models do not earn back.
    if smaller_only and any(choice.packed for choice in choices):
        before = len(tflite.serialize(model))
        saves = len(tflite.serialize(compressed)) < before
        if not saves and objective != "size":
            for choice in choices:
                if choice.packed:
                    take_smallest(choice)
            compressed = _rewritten(model, choices, strip)
            saves = len(tflite.serialize(compressed)) < before
        if not saves:
            for choice in choices:
                if choice.packed:
                    choice.drop("would not get smaller")
            compressed = _rewritten(model, choices, strip)
    return compressed, choices


def _rewritten(model: schema.ModelT, choices: list[Choice], strip: bool) -> schema.ModelT:
    """A copy of `model` with the choices carried out."""
    compressed = _rewrite(copy.deepcopy(model), choices)
    if strip:
        _strip(compressed)
    return compressed


def decompress(model: schema.ModelT, name: str) -> schema.ModelT:
    """The model whose compression gave `model`, which stays as it is.

    Raises:
      ModelError: if it is not compressed, has lost its record, or is damaged.
    """
    if not layer_finder.is_compressed(model):
        raise ModelError(f"{name}: has no compressed layers")
    model = copy.deepcopy(model)
    entries = [entry for entry in model.metadata or [] if entry.name == RECORD_NAME]
    if len(entries) != 1:
        raise ModelError(
            f"{name}: has no '{RECORD_NAME.decode()}' metadata, which decompress needs; it was stripped"
            " (compress --strip): decompress a model compressed without that, or take the original"
        )
    try:
        record = _unpack_record(model.buffers[entries[0].buffer].data)
        _restore(model, record, entries[0])
        return tflite.parse(tflite.serialize(model), name)
    except ModelError:
        raise
    except Exception as error:  # whatever a damaged record leads to
        raise ModelError(f"{name}: the record of the original is damaged ({error})") from error


def _check_is_int8(layers: list[Layer], model: schema.ModelT, name: str) -> None:
    """Raises ModelError if there are layers, but none has int8 weights and activations."""
    if not layers or any(layer.is_int8 for layer in layers):
        return
    layer = layers[0]
    index = layer.operator.inputs[1]
    raise ModelError(
        f"{name}: subgraph {layer.subgraph}, tensor {index} '{layer.name}': {layer.obstacle};"
        " convert the model to int8 first (full-integer post-training quantisation)"
    )


def _candidates(model: schema.ModelT, layer: Layer, settings: planner.Settings) -> list[planner.Candidate] | str:
    """The ways to encode a layer, or why it stays as it is."""
    if layer.obstacle:
        return layer.obstacle
    return planner.candidates(
        layer,
        lambda streams, budget: layer_finder.pack(model, layer, streams, budget),
        layer_finder.shape(model, layer),
        settings,
    )


def _choose(
    model: schema.ModelT,
    layers: list[Layer],
    found: list[list[planner.Candidate] | str],
    settings: planner.Settings,
) -> list[Choice]:
    """What becomes of each layer, of which `found` has the candidates, or why it has none."""
    dense = [kept_instructions(model, layer, settings.cpu) for layer in layers]
    others = sum(time for time, candidates in zip(dense, found, strict=True) if isinstance(candidates, str))
    chosen = iter(planner.choose([c for c in found if not isinstance(c, str)], settings.objective, others))
    choices = []
    for layer, candidates, time in zip(layers, found, dense, strict=True):
        if isinstance(candidates, str):
            choices.append(Choice(layer, note=candidates, kept_instructions=time))
        else:
            choices.append(dataclasses.replace(_packed_choice(layer, next(chosen)), kept_instructions=time))
    return choices


def kept_instructions(model: schema.ModelT, layer: Layer, cpu: str) -> int:
    """What a layer takes, about, if it is not packed."""
    return cost_model.kept_instructions(cpu, layer.is_depthwise, *layer_finder.outputs_and_products(model, layer))


def _packed_choice(layer: Layer, candidate: planner.Candidate) -> Choice:
    return Choice(layer, candidate.packed, packing.pack(candidate.packed), candidate.work, candidate.estimate)


def _drop_what_saves_nothing(
    model: schema.ModelT, choices: list[Choice], smaller_only: bool, take_smallest: Callable[[Choice], None]
) -> None:
    """Drops the choices that save nothing, looking at all layers that share weights together.

    If only the smallest encodings save something, these are taken, whatever the objective is.
    """
    groups: dict[int, list[Choice]] = {}
    for choice in choices:
        if choice.packed:
            groups.setdefault(_weights(model, choice.layer).buffer, []).append(choice)
    for buffer, group in groups.items():
        user = _other_user(model, buffer, group)
        if not user and smaller_only and _stored_after(group) >= _stored_before(model, group):
            for choice in group:
                take_smallest(choice)
        if user:
            note = f"weights also used by {user}"
        elif smaller_only and _stored_after(group) >= _stored_before(model, group):
            note = "would not get smaller"
        else:
            continue
        for choice in group:
            choice.drop(note)


def _weights(model: schema.ModelT, layer: Layer) -> schema.TensorT:
    return model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]


def _other_user(model: schema.ModelT, buffer: int, group: list[Choice]) -> str | None:
    """Who else than the group's operators uses the weights in `buffer`, if anyone does."""
    packed_ops = {(choice.layer.subgraph, choice.layer.position) for choice in group}
    for s, subgraph in enumerate(model.subgraphs):
        tensors = {t for t, tensor in enumerate(subgraph.tensors or []) if tensor.buffer == buffer}
        ends = {*_indices(subgraph.inputs), *_indices(subgraph.outputs), *_signature_tensors(model, subgraph)}
        if tensors & ends:
            return "the model's inputs or outputs"
        for o, operator in enumerate(subgraph.operators or []):
            for position, index in enumerate(_indices(operator.inputs)):
                if index in tensors and ((s, o) not in packed_ops or position != 1):
                    return f"operator {o} {tflite.operator_name(model, operator)}"
    if buffer in _metadata_buffers(model):
        return "the model's metadata"
    return None


def _stored_before(model: schema.ModelT, group: list[Choice]) -> int:
    """Bytes of weights, bias and their quantisation, the shared weights once."""
    matrix = group[0].layer.matrix
    assert matrix is not None
    total = matrix.nbytes
    seen = set()
    for choice in group:
        layer = choice.layer
        tensors = model.subgraphs[layer.subgraph].tensors
        bias = layer_finder.bias_index(layer.operator)
        for index in (int(layer.operator.inputs[1]), bias):
            if index < 0 or (layer.subgraph, index) in seen:
                continue
            seen.add((layer.subgraph, index))
            quantization = tensors[index].quantization
            if quantization is not None:
                total += 4 * _length(quantization.scale) + 8 * _length(quantization.zeroPoint)
            if index == bias:
                total += len(tflite.buffer_bytes(model, tensors[index]))
    return total


def _stored_after(group: list[Choice]) -> int:
    """Bytes of packed layers and options."""
    blobs = {choice.blob for choice in group}
    return sum(map(len, blobs)) + sum(len(_options(choice)) for choice in group)


def _options(choice: Choice) -> bytes:
    """custom_options: what a viewer shows. The kernels do not read it."""
    packed, operator = choice.packed, choice.layer.operator
    assert packed
    options = {
        "op": CUSTOM_CODES[packed.op].removeprefix("DCSR_"),
        "encoding": packed.streams.scheme,
        "rows": packed.streams.rows,
        "cols": packed.streams.cols,
        "fused_activation_function": enum_name(
            schema.ActivationFunctionType, operator.builtinOptions.fusedActivationFunction
        ),
    }
    if packed.int16_activations:
        options["activations"] = "INT16"
    if packed.op == packing.OP_CONV_2D:
        options |= {
            "stride_h": packed.stride[0],
            "stride_w": packed.stride[1],
            "padding": enum_name(schema.Padding, operator.builtinOptions.padding),
        }
        if packed.filter_size != (1, 1):
            options |= {
                "filter_h": packed.filter_size[0],
                "filter_w": packed.filter_size[1],
                "dilation_h": packed.dilation[0],
                "dilation_w": packed.dilation[1],
            }
    else:
        options["keep_num_dims"] = bool(operator.builtinOptions.keepNumDims)
    return bytes(flexbuffers.Dumps(options))


def _rewrite(model: schema.ModelT, choices: list[Choice]) -> schema.ModelT:
    """Carries the choices out on `model`."""
    chosen = [choice for choice in choices if choice.packed]
    if not chosen:
        return model
    record = schema.ModelT(version=RECORD_VERSION, subgraphs=[], buffers=[], metadata=[])
    blobs: dict[bytes, int] = {}  # to index of the buffer, counted from the end of the original ones
    tensor_maps = []
    tensor_counts = [len(subgraph.tensors or []) for subgraph in model.subgraphs]
    for s, subgraph in enumerate(model.subgraphs):
        mine = [choice for choice in chosen if choice.layer.subgraph == s]
        recorded, mapping = _rewrite_subgraph(model, subgraph, mine, blobs)
        record.subgraphs.append(recorded)
        tensor_maps.append(mapping)
    renumber.map_signatures(model, tensor_maps)
    for plan, content in renumber.map_offline_plan(model, tensor_maps, tensor_counts):
        record.metadata.append(schema.MetadataT(name=plan.name, buffer=len(record.buffers)))
        record.buffers.append(_buffer(content))

    originals = len(model.buffers)
    model.buffers += [_buffer(blob) for blob in blobs]
    used = {tensor.buffer for subgraph in model.subgraphs for tensor in subgraph.tensors or []}
    used |= _metadata_buffers(model)
    recorded_buffers = {t.buffer for subgraph in record.subgraphs for t in subgraph.tensors}
    dropped = sorted(recorded_buffers - used)
    record.metadataBuffer = np.array(dropped, np.int32)
    assert all(0 < index < originals for index in dropped)
    _map_buffers(model, renumber.without(len(model.buffers), dropped))
    model.buffers = [b for index, b in enumerate(model.buffers) if index not in dropped]

    model.metadata = [
        *(model.metadata or []),
        schema.MetadataT(name=RECORD_NAME, buffer=len(model.buffers)),
    ]
    model.buffers.append(_buffer(_pack_record(record)))
    return model


def _rewrite_subgraph(
    model: schema.ModelT, subgraph: schema.SubGraphT, chosen: list[Choice], blobs: dict[bytes, int]
) -> tuple[schema.SubGraphT, dict[int, int]]:
    """Exchanges the chosen operators of a subgraph.

    Returns:
      (the record of what was there, the new index of each tensor that is still there).
    """
    recorded = schema.SubGraphT(tensors=[], inputs=[], operators=[], outputs=[])
    if not chosen:
        return recorded, {index: index for index in range(len(subgraph.tensors or []))}
    tensors = list(subgraph.tensors)
    packed_ops = {choice.layer.position for choice in chosen}
    kept_uses = {*_indices(subgraph.inputs), *_indices(subgraph.outputs), *_signature_tensors(model, subgraph)}
    for o, operator in enumerate(subgraph.operators):
        uses = [operator.inputs, operator.outputs, operator.intermediates]
        for use in uses if o not in packed_ops else uses[1:]:
            kept_uses |= set(_indices(use))
        if o in packed_ops:
            kept_uses.add(int(operator.inputs[0]))

    def put_on_record(index: int, tensor: schema.TensorT) -> None:
        if index not in recorded.inputs:
            recorded.inputs.append(index)
            recorded.tensors.append(tensor)

    removed: set[int] = set()
    packed_tensors: dict[int, int] = {}  # index of the blob's buffer to that of its tensor
    for choice in chosen:
        operator = subgraph.operators[choice.layer.position]
        recorded.operators.append(copy.copy(operator))
        recorded.outputs.append(choice.layer.position)
        weights, bias = int(operator.inputs[1]), layer_finder.bias_index(operator)
        original = subgraph.tensors[weights]
        first_use = weights not in recorded.inputs
        put_on_record(weights, _weights_record(subgraph, choice))
        if bias >= 0:
            activations = subgraph.tensors[operator.inputs[0]]
            if bias not in kept_uses:
                removed.add(bias)
                bias_tensor = _bias_record(subgraph.tensors[bias], activations, original)
                put_on_record(bias, bias_tensor)

        buffer = blobs.setdefault(choice.blob, len(model.buffers) + len(blobs))
        if buffer not in packed_tensors or first_use:
            packed = schema.TensorT(
                shape=np.array([len(choice.blob)], np.int32),
                type=schema.TensorType.INT8,
                buffer=buffer,
                name=original.name,
            )
            if first_use:
                tensors[weights] = packed
                packed_tensors[buffer] = weights
            else:
                packed_tensors[buffer] = len(tensors)
                tensors.append(packed)
        assert choice.packed
        operator.opcodeIndex = _custom_opcode(model, CUSTOM_CODES[choice.packed.op])
        operator.inputs = np.array([operator.inputs[0], packed_tensors[buffer]], np.int32)
        operator.builtinOptionsType = schema.BuiltinOptions.NONE
        operator.customOptions = np.frombuffer(_options(choice), np.uint8)
        operator.builtinOptions = None

    mapping = renumber.without(len(tensors), sorted(removed))
    subgraph.tensors = [tensor for index, tensor in enumerate(tensors) if index in mapping]
    renumber.map_tensors(subgraph, mapping)
    for name in ("inputs", "outputs"):
        setattr(recorded, name, np.array(getattr(recorded, name), np.int32))
    return recorded, mapping


def _strip(model: schema.ModelT) -> None:
    """Leaves out what TFLM does not need to run the model.

    That are names, signatures, metadata (without TFLM's plan of the arena) with attached files, the options of our
    operators, and empty buffers but one. Zero points that are the same for all channels become one, which TFLM takes
    for all.
    """
    model.description = model.signatureDefs = model.metadataBuffer = None
    model.metadata = [entry for entry in model.metadata or [] if entry.name == renumber.OFFLINE_PLAN] or None
    model.attached_archive = b""
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors or []]
    for named in [*model.subgraphs, *tensors]:
        named.name = None
    for _, operator in tflite.operators(model):
        if tflite.operator_name(model, operator) in CUSTOM_CODES.values():
            operator.customOptions = None
    for tensor in tensors:
        quantization = tensor.quantization
        if quantization is not None:
            quantization.min = quantization.max = None
            if _length(quantization.zeroPoint) > 1 and len(set(_indices(quantization.zeroPoint))) == 1:
                quantization.zeroPoint = quantization.zeroPoint[:1]
    holders = [*tensors, *(model.metadata or [])]
    kept = sorted({holder.buffer for holder in holders if _length(model.buffers[holder.buffer].data)})
    index = {old: new for new, old in enumerate(kept, start=1)}
    for holder in holders:
        holder.buffer = index.get(holder.buffer, 0)
    # Buffer 0 is the empty one by convention.
    model.buffers = [schema.BufferT(), *(model.buffers[old] for old in kept)]


def _signature_tensors(model: schema.ModelT, subgraph: schema.SubGraphT) -> set[int]:
    """Tensors of the subgraph that signatures name."""
    return {
        tensor_map.tensorIndex
        for signature in model.signatureDefs or []
        if model.subgraphs[signature.subgraphIndex] is subgraph
        for tensor_map in [*(signature.inputs or []), *(signature.outputs or [])]
    }


def _bias_record(bias: schema.TensorT, activations: schema.TensorT, weights: schema.TensorT) -> schema.TensorT:
    """The bias tensor for the record."""
    return _without_derived(bias, layer_finder.derived_bias_scale(activations, weights))


def _weights_record(subgraph: schema.SubGraphT, choice: Choice) -> schema.TensorT:
    """The weight tensor for the record; its name stays with the packed layer."""
    assert choice.packed
    operator = choice.layer.operator
    activations, weights = (subgraph.tensors[i] for i in operator.inputs[:2])
    output = subgraph.tensors[operator.outputs[0]]
    derived = layer_finder.derived_weight_scale(activations, output, choice.packed)
    recorded = _without_derived(weights, derived)
    recorded.name = None
    return recorded


def _without_derived(tensor: schema.TensorT, derived_scale: np.ndarray) -> schema.TensorT:
    """A copy of a constant tensor without what is known of its quantisation, marked by is_variable if there is such.

    That is a scale vector equal to `derived_scale` with zero points of 0. If single scales differ (those of channels
    without nonzeros may be so small that converters round them otherwise), the vector has these and zeros. Ranges (min
    and max) are left out as well: nothing that runs a quantised model reads them, and they would cost 8 bytes each.
    """
    tensor = copy.deepcopy(tensor)
    quantization = tensor.quantization
    if quantization is None:
        return tensor
    quantization.min = quantization.max = None
    zero_points = _indices(quantization.zeroPoint)
    scale = np.asarray([] if quantization.scale is None else quantization.scale, np.float32)
    if scale.shape == derived_scale.shape and zero_points == [0] * len(scale):
        differs = scale != derived_scale
        if np.all(scale[differs] != 0):  # zeros are for the others
            tensor.isVariable = True
            quantization.scale = np.where(differs, scale, np.float32(0)) if differs.any() else None
            quantization.zeroPoint = None
    return tensor


def _put_back_derived(tensor: schema.TensorT, derived_scale: np.ndarray) -> None:
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


def _restore(model: schema.ModelT, record: schema.ModelT, entry: schema.MetadataT) -> None:
    """Undoes _rewrite on `model`."""
    if record.version not in _READABLE_VERSIONS:
        raise ValueError(f"it is of version {record.version}, this tool reads {RECORD_VERSION}")
    if len(record.subgraphs) != len(model.subgraphs):
        raise ValueError("wrong number of subgraphs")
    layers = {(layer.subgraph, layer.position): layer for layer in layer_finder.find(model)}

    # Buffers first: everything the model keeps goes back to its old index.
    model.metadata = [e for e in model.metadata if e is not entry] or None
    kept_tensors = []
    for subgraph, recorded in zip(model.subgraphs, record.subgraphs, strict=True):
        packed = {int(subgraph.operators[o].inputs[1]) for o in _indices(recorded.outputs)}
        kept_tensors += [t for i, t in enumerate(subgraph.tensors or []) if i not in packed]
    highest = max(t.buffer for t in kept_tensors) if kept_tensors else 0
    highest = max(highest, *(e.buffer for e in model.metadata or []), 0)
    old_buffers = model.buffers
    dropped = set(_indices(record.metadataBuffer))
    blob_start = _first_blob(model, record)
    total = blob_start + len(dropped)
    old_index = [index for index in range(total) if index not in dropped]
    if len(old_index) != blob_start or highest >= blob_start:
        raise ValueError("buffers do not fit")
    model.buffers = [schema.BufferT() for _ in range(total)]
    for new, old in enumerate(old_index):
        model.buffers[old] = old_buffers[new]
    for holder in [*kept_tensors, *(model.metadata or [])]:
        holder.buffer = old_index[holder.buffer]
    if model.metadataBuffer is not None:
        model.metadataBuffer = np.array([old_index[i] for i in model.metadataBuffer], np.int32)

    codes = model.operatorCodes
    kept_codes = [i for i, c in enumerate(codes) if tflite.text(c.customCode) not in CUSTOM_CODES.values()]
    maps = []
    for s, (subgraph, recorded) in enumerate(zip(model.subgraphs, record.subgraphs, strict=True)):
        maps.append(_restore_subgraph(model, s, subgraph, recorded, layers))
        replaced = set(_indices(recorded.outputs))
        for o, operator in enumerate(subgraph.operators or []):
            if o not in replaced:
                operator.opcodeIndex = kept_codes.index(operator.opcodeIndex)
    model.operatorCodes = [codes[i] for i in kept_codes]
    renumber.map_signatures(model, maps)
    for plan in record.metadata or []:
        for current in model.metadata or []:
            if current.name == plan.name:
                model.buffers[current.buffer].data = record.buffers[plan.buffer].data


def _first_blob(model: schema.ModelT, record: schema.ModelT) -> int:
    """Index of the first buffer that compression added; they are the last ones."""
    return min(
        tensor.buffer
        for subgraph, recorded in zip(model.subgraphs, record.subgraphs, strict=True)
        for o in _indices(recorded.outputs)
        for tensor in [subgraph.tensors[subgraph.operators[o].inputs[1]]]
    )


def _restore_subgraph(
    model: schema.ModelT,
    s: int,
    subgraph: schema.SubGraphT,
    recorded: schema.SubGraphT,
    layers: dict[tuple[int, int], Layer],
) -> dict[int, int]:
    """Undoes _rewrite_subgraph; returns the old index of each tensor that is in both."""
    tensors = dict(zip(_indices(recorded.inputs), recorded.tensors or [], strict=True))
    operators = dict(zip(_indices(recorded.outputs), recorded.operators or [], strict=True))
    exchanged = {int(operator.inputs[1]) for operator in operators.values()}
    removed = set(tensors) - exchanged
    packed = {int(subgraph.operators[o].inputs[1]) for o in operators}
    added = len(packed) - len(exchanged)
    total = len(subgraph.tensors or []) - added + len(removed)
    old_index = [index for index in range(total) if index not in removed]
    mapping = dict(enumerate(old_index))

    restored: list[schema.TensorT | None] = [None] * total
    for new, old in mapping.items():
        restored[old] = subgraph.tensors[new]
    for old, tensor in tensors.items():
        if old in exchanged:
            tensor.name = restored[old].name
        restored[old] = tensor
    subgraph.tensors = restored
    for position, operator in operators.items():
        layer = layers[s, position]
        assert layer.packed is not None and layer.matrix is not None
        activations, weights = (restored[i] for i in operator.inputs[:2])
        bias, output = layer_finder.bias_index(operator), restored[operator.outputs[0]]
        model.buffers[weights.buffer].data = _bytes_array(layer.matrix)
        _put_back_derived(weights, layer_finder.derived_weight_scale(activations, output, layer.packed))
        if bias in tensors:
            tensor = restored[bias]
            values = packing.unfold_bias(layer.packed, layer.matrix)
            model.buffers[tensor.buffer].data = _bytes_array(values.astype(values.dtype.newbyteorder("<")))
            _put_back_derived(tensor, layer_finder.derived_bias_scale(activations, weights))
    renumber.map_tensors(subgraph, mapping, skip=set(operators))
    for position, operator in operators.items():
        subgraph.operators[position] = operator
    return mapping


def _pack_record(record: schema.ModelT) -> bytes:
    return zlib.compress(tflite.serialize(record), 9)


def _unpack_record(data: np.ndarray) -> schema.ModelT:
    inflater = zlib.decompressobj()
    raw = inflater.decompress(bytes(data), _MAX_RECORD_BYTES)
    if not inflater.eof:
        raise ValueError("incomplete zlib stream")
    return schema.ModelT.InitFromPackedBuf(raw, 0)


def _custom_opcode(model: schema.ModelT, name: str) -> int:
    """Index of the operator code of the custom op, which is added if need be."""
    for index, code in enumerate(model.operatorCodes):
        if tflite.text(code.customCode) == name:
            return index
    custom = schema.BuiltinOperator.CUSTOM
    model.operatorCodes.append(
        schema.OperatorCodeT(deprecatedBuiltinCode=custom, customCode=name, version=1, builtinCode=custom)
    )
    return len(model.operatorCodes) - 1


def _buffer(data: bytes) -> schema.BufferT:
    return schema.BufferT(data=np.frombuffer(data, np.uint8))


def _bytes_array(values: np.ndarray) -> np.ndarray:
    return np.frombuffer(values.tobytes(), np.uint8)


def _length(values: np.ndarray | list | None) -> int:
    return 0 if values is None else len(values)


def _metadata_buffers(model: schema.ModelT) -> set[int]:
    return {entry.buffer for entry in model.metadata or []} | set(_indices(model.metadataBuffer))


def _map_buffers(model: schema.ModelT, mapping: dict[int, int]) -> None:
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors or []:
            tensor.buffer = mapping[tensor.buffer]
    for entry in model.metadata or []:
        entry.buffer = mapping[entry.buffer]
    if model.metadataBuffer is not None:
        model.metadataBuffer = np.array([mapping[int(i)] for i in model.metadataBuffer], np.int32)

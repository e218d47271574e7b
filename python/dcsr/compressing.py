"""Compresses a model and undoes it: finds the layers, has them planned, and runs the passes.

Works on models in the schema's object API; `api` has the same for bytes and files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.passes import Done
from dcsr.passes import densify as densifying
from dcsr.passes.pack import pack
from dcsr.passes.record import RECORD_NAME, restore
from dcsr.passes.strip import strip as strip_model
from dcsr.planning import cost, plan_file
from dcsr.planning.candidates import candidates
from dcsr.planning.choice import Decision, decide
from dcsr.planning.settings import AUTO, DEFAULT_MIN_SPARSITY, DEFAULT_OBJECTIVE, Settings
from dcsr.schema import schema

_TFLM_COMPRESSION = b"COMPRESSION_METADATA"


class Compressed(NamedTuple):
    """A compressed model.

    Attributes:
      model: the model.
      decisions: one for each layer with weights.
      passes: what the passes did, in their order.
    """

    model: schema.ModelT
    decisions: list[Decision]
    passes: list[Done]


def compress(
    model: schema.ModelT,
    name: str,
    *,
    method: str = AUTO,
    min_sparsity: float = DEFAULT_MIN_SPARSITY,
    objective: str = DEFAULT_OBJECTIVE,
    cpu: str = cost.DEFAULT_CPU,
    max_scratch: int | None = None,
    plan: str | os.PathLike[str] | None = None,
    smaller_only: bool = True,
    strip: bool = False,
    progress: Callable[[list[Layer]], Iterable[Layer]] = iter,
) -> Compressed:
    """Packs the layers of `model` that are sparse enough and get smaller.

    A model with TFLite's own sparse tensors and DENSIFY operators is replaced by its dense equivalent first
    (passes/densify.py), and `decompress` gives back that.

    Args:
      model: is not changed.
      name: of the model, for error messages.
      method: one of settings.methods(); an encoding is that of all layers, `auto` has the planner choose, `none` packs
        nothing.
      min_sparsity: least share of zeros of a layer that is packed, 0..1.
      objective: one of settings.OBJECTIVES.
      cpu: core that times are estimated for, one of cost.CPUS.
      max_scratch: bytes of scratch that a layer may take; None for the kernels' default.
      plan: path of a plan file, which overrides the other settings for the tensors it names.
      smaller_only: whether layers that would not get smaller stay as they are.
      strip: whether to leave out what running the model does not need (passes/strip.py); decompress needs some of it.
      progress: wraps the list of layers while it is worked through.

    Raises:
      ModelError: if the model is compressed already or is not an int8 model, or the plan does not fit it.
    """
    if layer_finder.is_compressed(model):
        raise ModelError(f"{name}: is compressed already; decompress it first")
    if any(entry.name == _TFLM_COMPRESSION for entry in model.metadata or []):
        raise ModelError(f"{name}: is compressed by TFLM's own compression; start from the model before that")
    if any(entry.name == RECORD_NAME for entry in model.metadata or []):
        raise ModelError(f"{name}: has metadata '{RECORD_NAME.decode()}', which compress would write; remove it first")
    done = []
    if densifying.is_sparse(model):
        model, densified = densifying.densify(model, name)
        done.append(densified)
    layers = layer_finder.find(model)
    check_is_int8(layers, name)
    overrides = plan_file.read_plan(plan, model, layers, name) if plan else {}
    settings = Settings(objective, cpu, method, min_sparsity, max_scratch, overrides)
    found = [candidates(model, layer, settings) for layer in progress(layers)]
    before = len(tflite.serialize(model))

    def saves(decisions: Sequence[Decision]) -> bool:
        return len(tflite.serialize(_carried_out(model, decisions, strip)[0])) < before

    decisions = decide(model, layers, found, settings, saves if smaller_only else None)
    compressed, passes = _carried_out(model, decisions, strip)
    return Compressed(compressed, decisions, done + passes)


def _carried_out(model: schema.ModelT, decisions: Sequence[Decision], strip: bool) -> tuple[schema.ModelT, list[Done]]:
    """(a copy of the model with the decisions carried out, what the passes did)."""
    compressed, packed = pack(model, decisions)
    if not strip:
        return compressed, [packed]
    compressed, stripped = strip_model(compressed)
    return compressed, [packed, stripped]


def decompress(model: schema.ModelT, name: str) -> schema.ModelT:
    """The model whose compression gave `model`, which is not changed.

    Raises:
      ModelError: if it is not compressed, has lost its record, or is damaged.
    """
    if not layer_finder.is_compressed(model):
        raise ModelError(f"{name}: has no compressed layers")
    return restore(model, name)[0]


def check_is_int8(layers: Sequence[Layer], name: str) -> None:
    """Raises ModelError if there are layers, but none has int8 weights and activations."""
    if not layers or any(layer.is_int8 for layer in layers):
        return
    layer = layers[0]
    index = layer.operator.inputs[1]
    raise ModelError(
        f"{name}: subgraph {layer.subgraph}, tensor {index} '{layer.name}': {layer.obstacle};"
        " convert the model to int8 first (full-integer post-training quantisation)"
    )

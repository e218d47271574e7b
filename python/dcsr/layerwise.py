"""Compares a compressed model with its original layer by layer, for models that the interpreter cannot run as a whole.

Each packed layer and its dense original become models of one operator, which the interpreter runs on the same random
inputs. All other operators must be the same in both models: same code, options and constants.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsr import model as tflite
from dcsr import verification
from dcsr.custom_ops import is_custom_op
from dcsr.graph import indices
from dcsr.isolation import IsolatedInterpreter
from dcsr.model import ModelError
from dcsr.passes.dead_channels import dead_channels
from dcsr.passes.record import in_nhwc
from dcsr.schema import schema


@dataclass(frozen=True)
class Outcome:
    """The comparison of all packed layers.

    Attributes:
      layers: number of packed layers that were compared.
      difference: the first difference; empty if there is none.
      lacks_dead_channels: whether the original was compared without its dead channels, as the other model lacks them.
    """

    layers: int
    difference: str
    lacks_dead_channels: bool = False


def compare(
    original: schema.ModelT,
    compressed: schema.ModelT,
    names: tuple[str, str],
    samples: int,
    seed: int,
    timeout: float,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Outcome:
    """Compares two models operator by operator.

    Layers whose activations are in planes are compared in NHWC. If the compressed model lacks the dead channels of
    the original (passes/dead_channels.py), it is compared with the original without them; that they are dead is not
    checked.

    Args:
      original: the dense model.
      compressed: the compressed model.
      names: the names of both in messages.
      samples: number of random inputs for each packed layer.
      seed: seed of the random inputs.
      timeout: see `IsolatedInterpreter`.
      progress: wraps the sequence of the numbers of packed layers.

    Returns:
      The number of packed layers and the first difference.

    Raises:
      ModelError: if the models do not have the same operators, if none is packed, or if a layer cannot be run.
    """
    compressed = in_nhwc(compressed)
    smaller, done = dead_channels(original)
    lacks_dead_channels = bool(done.changes) and _output_shapes(smaller) == _output_shapes(compressed)
    if lacks_dead_channels:
        original = smaller
    pairs = []
    if len(original.subgraphs) != len(compressed.subgraphs):
        raise ModelError(f"{names[1]}: its number of subgraphs is not that of {names[0]}")
    for s, (first, second) in enumerate(zip(original.subgraphs, compressed.subgraphs, strict=True)):
        operators = (first.operators or [], second.operators or [])
        if len(operators[0]) != len(operators[1]):
            raise ModelError(f"{names[1]}: subgraph {s}: its number of operators is not that of {names[0]}")
        for position, (dense, packed) in enumerate(zip(*operators, strict=True)):
            if is_custom_op(compressed, packed) and not is_custom_op(original, dense):
                pairs.append((s, position))
            elif _description(original, first, dense) != _description(compressed, second, packed):
                raise ModelError(f"{names[1]}: subgraph {s}, operator {position} is not that of {names[0]}")
    if not pairs:
        raise ModelError(f"{names[1]}: has no packed layers to compare one by one")
    for number in progress(range(len(pairs))):
        difference = _compare_layer((original, compressed), names, pairs[number], samples, seed + number, timeout)
        if difference:
            return Outcome(len(pairs), difference, lacks_dead_channels)
    return Outcome(len(pairs), "", lacks_dead_channels)


def _output_shapes(model: schema.ModelT) -> list[list[int]]:
    """Returns the shapes of all outputs of operators, in the order of the model."""
    return [
        indices(subgraph.tensors[index].shape)
        for subgraph in model.subgraphs
        for operator in subgraph.operators or []
        for index in indices(operator.outputs)
    ]


def _description(model: schema.ModelT, subgraph: schema.SubGraphT, operator: schema.OperatorT) -> Any:
    """Returns everything in which equal operators agree: code, options, and types, shapes and content of tensors."""

    def tensor(index: int) -> Any:
        if index < 0:
            return None
        found = subgraph.tensors[index]
        return found.type, indices(found.shape), tflite.buffer_bytes(model, found)

    options = b"" if operator.customOptions is None else bytes(operator.customOptions)
    return (
        tflite.operator_name(model, operator),
        [tensor(i) for i in indices(operator.inputs)],
        [tensor(i) for i in indices(operator.outputs)],
        _plain(operator.builtinOptions),
        _plain(operator.builtinOptions2),
        options,
    )


def _plain(value: Any) -> Any:
    """Converts an object of the object API to values that can be compared."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return {name: _plain(entry) for name, entry in vars(value).items()} if hasattr(value, "__dict__") else value


def _compare_layer(
    models: tuple[schema.ModelT, schema.ModelT],
    names: tuple[str, str],
    place: tuple[int, int],
    samples: int,
    seed: int,
    timeout: float,
) -> str:
    """Runs a layer of both models; returns the first difference, or an empty string."""
    s, position = place
    singles = [_single(model, s, position) for model in models]
    where = f"subgraph {s}, operator {position}"
    inputs = [verification.inputs_of(single, name) for single, name in zip(singles, names, strict=True)]
    if inputs[0] != inputs[1]:
        raise ModelError(f"{names[1]}: {where}: its activations are not those of {names[0]}")
    drawn = verification.RandomSamples(inputs[0], samples, seed)
    try:
        with (
            IsolatedInterpreter(tflite.serialize(singles[0]), timeout) as first,
            IsolatedInterpreter(tflite.serialize(singles[1]), timeout) as second,
        ):
            difference = verification.compare(first, second, inputs[0], 1, drawn)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{names[0]}, {names[1]}: {where}: the interpreter fails: {error}") from error
    return f"{where}: {difference.text}" if difference else ""


def _single(model: schema.ModelT, s: int, position: int) -> schema.ModelT:
    """Returns a model with one operator of `model`. Its inputs are the operator's tensors without data."""
    subgraph = model.subgraphs[s]
    operator = copy.copy(subgraph.operators[position])
    used = list(dict.fromkeys(i for i in [*indices(operator.inputs), *indices(operator.outputs)] if i >= 0))
    number = {old: new for new, old in enumerate(used)}
    tensors = [copy.copy(subgraph.tensors[i]) for i in used]
    buffers = [schema.BufferT()]
    for tensor in tensors:
        if data := tflite.buffer_bytes(model, tensor):
            buffers.append(schema.BufferT(data=np.frombuffer(data, np.uint8)))
            tensor.buffer = len(buffers) - 1
        else:
            tensor.buffer = 0
    operator.inputs = np.array([number.get(i, -1) for i in indices(operator.inputs)], np.int32)
    operator.outputs = np.array([number[i] for i in indices(operator.outputs)], np.int32)
    code = model.operatorCodes[operator.opcodeIndex]
    operator.opcodeIndex = 0
    free = [i for i in operator.inputs if i >= 0 and not tensors[i].buffer]
    single = schema.SubGraphT(
        tensors=tensors, operators=[operator], inputs=np.array(free, np.int32), outputs=operator.outputs, name="layer"
    )
    return schema.ModelT(version=3, operatorCodes=[code], subgraphs=[single], buffers=buffers)

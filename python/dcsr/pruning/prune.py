"""Prunes a model: finds the layers, measures each alone, shares the loss out, and prunes them one after the other."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import compressing
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.graph import Graph, length
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.planning import workload
from dcsr.planning.candidates import Candidate, candidates
from dcsr.planning.cost import DEFAULT_MEMORY
from dcsr.planning.settings import Settings
from dcsr.pruning import allocation, layerwise, obs, patch
from dcsr.pruning.forward import Network, Values, Weights, patches
from dcsr.pruning.layerwise import LayerMoments, Pattern
from dcsr.pruning.moments import MOST_VECTORS
from dcsr.schema import schema

Array = NDArray[Any]
Track = Callable[[Sequence[int]], Iterable[int]]

_OP = schema.BuiltinOperator
# Levels at which a layer is measured, beside the least.
_LEVELS = (0.75, 0.86, 0.95)
# Samples that the layers are measured alone with.
SURVEY_SAMPLES = 128
# Bytes of the values of all samples of a network.
_VALUE_BYTES = 96 << 20
_PATCH_BYTES = 16 << 20
# Flash of a packed layer's options and tensor besides its bytes.
_PACKED_OVERHEAD = 24


@dataclass(frozen=True)
class Aim:
    """What pruning aims at.

    Attributes:
      min_sparsity: of `compress`: a layer with fewer zeros stays dense, so that zeros in it are of no use.
      objective: of `compress`; with "speed" the layers share time out, else bytes.
      cpu: core that time is estimated for.
      pattern: of the masks.
      memory: of `compress`.
      depthwise: whether DEPTHWISE_CONV_2D is pruned too.
    """

    min_sparsity: float
    objective: str
    cpu: str
    pattern: Pattern = field(default_factory=Pattern)
    memory: str = DEFAULT_MEMORY
    depthwise: bool = False


@dataclass(frozen=True)
class Group:
    """Layers that share one matrix of weights; mostly one.

    Attributes:
      positions: of their operators in subgraph 0.
      layer: the first of them.
      fixed: share of zeros that a plan asks for; None if the allocation decides.
    """

    positions: list[int]
    layer: Layer
    fixed: float | None = None


@dataclass(frozen=True)
class Kept:
    """A layer that is left alone.

    Attributes:
      layer: the layer.
      reason: why.
    """

    layer: Layer
    reason: str


def groups(
    model: schema.ModelT,
    network: Network,
    excluded: Mapping[tuple[int, int], str],
    fixed: Mapping[tuple[int, int], float],
    *,
    depthwise: bool = False,
) -> tuple[list[Group], list[Kept]]:
    """The layers that can be pruned, and those that are left alone.

    Args:
      model: the model.
      network: the same, to run.
      excluded: reasons by (subgraph, index of the weight tensor).
      fixed: shares of zeros likewise.
      depthwise: whether DEPTHWISE_CONV_2D layers without a fixed share are pruned.
    """
    kept, by_buffer = [], dict[int, list[Layer]]()
    for layer in layer_finder.find(model):
        place = (layer.subgraph, int(layer.operator.inputs[1]))
        if layer.obstacle is not None:
            kept.append(Kept(layer, layer.obstacle))
        elif layer.is_depthwise and not depthwise and not fixed.get(place):
            kept.append(Kept(layer, "depthwise"))
        elif place in excluded:
            kept.append(Kept(layer, excluded[place]))
        elif layer.subgraph != 0:
            kept.append(Kept(layer, "not in the main subgraph: its inputs are not seen"))
        else:
            by_buffer.setdefault(_weight_tensor(model, layer).buffer, []).append(layer)
    found = []
    for buffer, layers in by_buffer.items():
        if user := _other_user(model, buffer, layers):
            kept += [Kept(layer, f"weights also used by {user}") for layer in layers]
            continue
        places = {(layer.subgraph, int(layer.operator.inputs[1])) for layer in layers}
        shares = {fixed[place] for place in places if place in fixed}
        found.append(Group([layer.position for layer in layers], layers[0], min(shares) if shares else None))
    return found, kept


def _weight_tensor(model: schema.ModelT, layer: Layer) -> schema.TensorT:
    return model.subgraphs[layer.subgraph].tensors[layer.operator.inputs[1]]


def _other_user(model: schema.ModelT, buffer: int, layers: Sequence[Layer]) -> str | None:
    """A user of the weights in `buffer` that stands against changing them; None if there is none."""
    if user := Graph(model).other_user(buffer, {(layer.subgraph, layer.position) for layer in layers}):
        return user
    first = _weight_tensor(model, layers[0])
    for layer in layers[1:]:
        other = _weight_tensor(model, layer)
        if not np.array_equal(other.quantization.scale, first.quantization.scale):
            return "a layer with other scales"
        if layer.shape != layers[0].shape:
            return "a layer with another shape"
    return None


# -------------------------------------------------------------------------------------------------- moments


def _add(network: Network, position: int, moments: LayerMoments, activations: Array, dense: Array | None) -> None:
    """Adds the vectors of a layer's activations to its moments, a few samples at a time."""
    layer = network.layers[position]
    tensors = network.model.subgraphs[0].tensors
    shape = tuple(map(int, tensors[layer.operator.inputs[1]].shape))
    zero_point = int(tensors[layer.operator.inputs[0]].quantization.zeroPoint[0])
    if layer.is_depthwise:  # the vectors have all taps of all input channels
        shape = (1, *shape[1:3], int(tensors[layer.operator.inputs[0]].shape[-1]))
    cols = math.prod(shape[1:])
    target = tensors[layer.operator.outputs[0]]
    assert layer.matrix is not None
    vectors = max(math.prod(map(int, target.shape)) // len(layer.matrix), 1)
    # All samples count, with so many vectors of each that the sum is not above MOST_VECTORS.
    stride = max(1, -(-vectors * len(activations) // MOST_VECTORS))
    step = max(1, _PATCH_BYTES // (vectors * cols))
    for number, start in enumerate(range(0, len(activations), step)):
        mine = patches(activations[start : start + step], layer, shape, zero_point)[number % stride :: stride]
        other = None
        if dense is not None:
            other = patches(dense[start : start + step], layer, shape, zero_point)[number % stride :: stride]
        moments.add(mine, other, zero_point)


def _new_moments(network: Network, position: int) -> LayerMoments:
    weights, layer = network.weights(position), network.layers[position]
    source = network.model.subgraphs[0].tensors[layer.operator.inputs[0]]
    channels = int(source.shape[-1]) if layer.is_depthwise else 0
    return LayerMoments(*weights.matrix.shape, has_bias=weights.bias is not None, channels=channels)


def sample_limit(network: Network) -> int:
    """Number of samples whose values fit into memory."""
    return max(16, _VALUE_BYTES // network.sample_bytes())


# -------------------------------------------------------------------------------------------------- survey


@dataclass(frozen=True)
class Survey:
    """All groups, each measured alone.

    Attributes:
      groups: the groups.
      measured: of each, in their order.
      curves: the choices of each.
    """

    groups: list[Group]
    measured: list[allocation.Measured]
    curves: list[allocation.Curve]

    @property
    def size(self) -> int:
        """Number of all weights that may be pruned."""
        return sum(entry.size for entry in self.measured)


def survey(network: Network, found: Sequence[Group], samples: Sequence[Array], aim: Aim, track: Track = iter) -> Survey:
    """Prunes each group alone at a few levels and measures the error of the outputs.

    Args:
      network: the dense network.
      found: the groups.
      samples: an array [samples, *shape] for each input; SURVEY_SAMPLES are used for the errors.
      aim: the aim.
      track: wraps the sequence of operators, for a progress bar.
    """
    by_position = {group.positions[0]: number for number, group in enumerate(found)}
    few = [array[:SURVEY_SAMPLES] for array in samples]
    observer = network.observing_scores()
    dense = [array.astype(np.float64) for array in observer.run(few)]
    shared = _shared_moments(network, found, samples)
    measured: dict[int, allocation.Measured] = {}
    values, small = network.start(samples), observer.start(few)
    for position in track(range(len(network))):
        if position in by_position:
            number = by_position[position]
            group = found[number]
            weights = network.weights(position)
            moments = shared.get(number)
            if moments is None:
                moments = _new_moments(network, position)
                _add(network, position, moments, network.input_of(position, values), None)
            measured[number] = _measure(observer, group, weights, moments, aim, small, dense)
        network.step(position, values)
        observer.step(position, small)
    ordered = [measured[number] for number in range(len(found))]
    return Survey(list(found), ordered, [allocation.curve(entry) for entry in ordered])


def _shared_moments(network: Network, found: Sequence[Group], samples: Sequence[Array]) -> dict[int, LayerMoments]:
    """The moments of the groups of several layers, over all of them, in the dense network."""
    several = {number: group for number, group in enumerate(found) if len(group.positions) > 1}
    if not several:
        return {}
    moments = {number: _new_moments(network, group.positions[0]) for number, group in several.items()}
    values = network.start(samples)
    for position in range(len(network)):
        for number, group in several.items():
            if position in group.positions:
                _add(network, position, moments[number], network.input_of(position, values), None)
        network.step(position, values)
    return moments


def _measure(
    observer: Network,
    group: Group,
    weights: Weights,
    moments: LayerMoments,
    aim: Aim,
    values: Values,
    dense: Sequence[Array],
) -> allocation.Measured:
    size = weights.matrix.size
    zeros = size - int(np.count_nonzero(weights.matrix))
    given = layerwise.problem(weights, moments)
    rows, cols = weights.matrix.shape
    usable = aim.pattern.fits((rows, cols))
    order = layerwise.removal_order(given, aim.pattern) if usable else obs.Removal(np.zeros(0, int), np.zeros(0))
    most = min(len(order.order) / size, layerwise.MOST_SPARSITY)
    first = max(aim.min_sparsity + 1 / size, zeros / size + 0.05, 0.05)
    shares = [share for share in (first, *_LEVELS, most) if first <= share <= most]
    levels = sorted({max(1, math.ceil(share * size)) for share in shares})
    variants = [layerwise.prune(given, obs.mask_of(order, (rows, cols), removals)) for removals in levels]
    errors = _errors(observer, group, [(weights, v) for v in variants], values, dense)
    dense_cost, _ = _cost(observer.model, group.layer, weights.matrix, aim)
    costs = [_cost(observer.model, group.layer, variant.matrix, aim)[0] for variant in variants]
    cumulated = np.cumsum(order.losses)
    return allocation.Measured(
        size,
        zeros,
        np.array(levels) / size,
        np.array(errors),
        np.array([cumulated[removals - 1] for removals in levels]),
        order.losses,
        np.array(costs, float),
        dense_cost,
    )


def _errors(
    observer: Network,
    group: Group,
    variants: Sequence[tuple[Weights, Weights]],
    values: Values,
    dense: Sequence[Array],
) -> list[float]:
    """Mean square change of the outputs over their variance, summed over the outputs, with each variant of a group."""
    errors = []
    for weights, variant in variants:
        changed = observer.with_weights({p: _for_layer(observer, p, weights, variant, None) for p in group.positions})
        outputs = changed.finish(dict(values), group.positions[0])
        errors.append(
            sum(
                float(np.mean((after.astype(np.float64) - before) ** 2)) / (float(np.var(before)) or 1.0)
                for before, after in zip(dense, outputs, strict=True)
            )
        )
    return errors


def _for_layer(network: Network, position: int, old: Weights, new: Weights, mean: Array | None) -> Weights:
    """The new weights of a group for one of its layers, which has a bias of its own."""
    own = network.weights(position)
    if own.bias is None or (old.bias is not None and np.array_equal(own.bias, old.bias)):
        return new if own.bias is not None or new.bias is None else dataclasses.replace(new, bias=None)
    # The bias of the first layer changed by what the means of the shared inputs ask for; so does this one.
    ratio = old.scales.astype(np.float64) / new.scales.astype(np.float64)
    change = 0 if old.bias is None or new.bias is None else new.bias - old.bias * ratio
    return dataclasses.replace(new, bias=np.rint(own.bias * ratio + change).astype(np.int64))


def _cost(model: schema.ModelT, layer: Layer, matrix: Array, aim: Aim) -> tuple[float, bool]:
    """(bytes or time of what compress makes of a layer with this matrix, whether it packs the layer)."""
    settings = Settings(aim.objective, aim.cpu, min_sparsity=aim.min_sparsity, memory=aim.memory)
    found = candidates(model, dataclasses.replace(layer, matrix=matrix), settings)
    stored = _stored(model, layer)
    if aim.objective == "speed":
        dense = float(workload.kept(model, layer, aim.cpu).time)
        if isinstance(found, str):
            return dense, False
        best = min(found, key=lambda c: c.estimate.time or math.inf)
        dense = float(best.estimate.dense_time or dense)
        return (dense, False) if _packed_bytes(best) >= stored else (float(best.estimate.time or dense), True)
    if isinstance(found, str):
        return float(stored), False
    smallest = min(map(_packed_bytes, found))
    return (float(stored), False) if smallest >= stored else (float(smallest), True)


def _packed_bytes(candidate: Candidate) -> int:
    return len(candidate.blob) + _PACKED_OVERHEAD


def _stored(model: schema.ModelT, layer: Layer) -> int:
    """Bytes of weights, bias and their quantization."""
    tensors = model.subgraphs[layer.subgraph].tensors
    total = 0
    for index in (int(layer.operator.inputs[1]), layer_finder.bias_index(layer.operator)):
        if index >= 0:
            total += len(tflite.buffer_bytes(model, tensors[index]))
            if (quantization := tensors[index].quantization) is not None:
                total += 4 * length(quantization.scale) + 8 * length(quantization.zeroPoint)
    return total


# -------------------------------------------------------------------------------------------------- allocation


def allocate(surveyed: Survey, sparsity: float) -> list[int] | None:
    """The number of weights that each group loses, so that a share `sparsity` of all prunable weights is zero.

    Groups with a fixed share get that. None if so many zeros are of no use.
    """
    wanted = sparsity * surveyed.size

    def enough(choices: Sequence[int]) -> bool:
        return sum(int(c.zeros[i]) for c, i in zip(curves, choices, strict=True)) >= wanted

    curves = _with_fixed(surveyed)
    choices = allocation.at_least(curves, enough)
    return None if choices is None else [int(c.removals[i]) for c, i in zip(curves, choices, strict=True)]


def planned(found: Sequence[Group], network: Network) -> list[int]:
    """The number of weights that each group loses by its fixed share; 0 without one."""
    sizes = [network.weights(group.positions[0]).matrix.size for group in found]
    return [round((group.fixed or 0) * size) for group, size in zip(found, sizes, strict=True)]


def most_sparsity(surveyed: Survey) -> float:
    """The largest share of zeros that `allocate` can reach."""
    curves = _with_fixed(surveyed)
    choices = allocation.choose(curves, 1e6)
    return sum(int(c.zeros[i]) for c, i in zip(curves, choices, strict=True)) / max(surveyed.size, 1)


def _with_fixed(surveyed: Survey) -> list[allocation.Curve]:
    """The curves, of which those of groups with a fixed share have only one choice."""
    curves = []
    for group, measured, curve in zip(surveyed.groups, surveyed.measured, surveyed.curves, strict=True):
        if group.fixed is not None:
            removals = round(group.fixed * measured.size)
            entry = np.array([removals])
            curves.append(allocation.Curve(entry, np.maximum(entry, measured.zeros), np.zeros(1), np.zeros(1)))
        else:
            curves.append(curve)
    return curves


# -------------------------------------------------------------------------------------------------- pruning


def run(
    network: Network,
    surveyed: Sequence[Group],
    removals: Sequence[int] | None,
    samples: Sequence[Array],
    pattern: Pattern,
    track: Track = iter,
) -> dict[int, Weights]:
    """Prunes the groups one after the other, each with its inputs in the network that is pruned so far.

    Args:
      network: the dense network.
      surveyed: the groups.
      removals: number of weights that each group loses; None for an N:M pattern, which says that itself.
      samples: an array [samples, *shape] for each input.
      pattern: of the masks.
      track: wraps the sequence of operators, for a progress bar.

    Returns:
      The new weights, by position of the operator.
    """
    counts = [1] * len(surveyed) if removals is None else list(removals)
    chosen = {group.positions[0]: (group, count) for group, count in zip(surveyed, counts, strict=True) if count}
    shared = _shared_moments(network, [group for group, _ in chosen.values()], samples)
    by_first = {group.positions[0]: shared.get(number) for number, (group, _) in enumerate(chosen.values())}
    changed: dict[int, Weights] = {}
    pruned = network.with_weights({})
    dense_values = network.start(samples)
    values = dict(dense_values)
    for position in track(range(len(network))):
        if position in chosen:
            group, count = chosen[position]
            weights = network.weights(position)
            moments = by_first[position]
            if moments is None:
                moments = _new_moments(network, position)
                dense = network.input_of(position, dense_values)
                mine = pruned.input_of(position, values)
                _add(network, position, moments, mine, None if mine is dense else dense)
            new = _prune_group(weights, moments, None if removals is None else count, pattern)
            for p in group.positions:
                changed[p] = _for_layer(network, p, weights, new, None)
                pruned.replace(p, changed[p])
        # As long as nothing is pruned, both networks have the same values.
        if changed:
            pruned.step(position, values)
            network.step(position, dense_values)
        else:
            network.step(position, dense_values)
            values = dict(dense_values)
    return changed


def _prune_group(weights: Weights, moments: LayerMoments, removals: int | None, pattern: Pattern) -> Weights:
    given = layerwise.problem(weights, moments)
    if removals is None:
        return layerwise.prune(given, layerwise.pattern_mask(given, pattern))
    order = layerwise.removal_order(given, pattern)
    return layerwise.prune(given, obs.mask_of(order, weights.matrix.shape, removals))


def written(model: schema.ModelT, network: Network, changed: Mapping[int, Weights]) -> schema.ModelT:
    """A copy of the model with these weights."""
    result = copy.deepcopy(model)
    layers = {layer.position: layer for layer in layer_finder.find(result) if layer.subgraph == 0}
    for position, weights in changed.items():
        patch.write(result, layers[position], weights, shared_with=[layers[p] for p in changed])
    return result


def check(model: schema.ModelT, name: str) -> None:
    """Refuses models that cannot be pruned.

    Raises:
      ModelError: if the model is compressed, or has no int8 layers.
    """
    if layer_finder.is_compressed(model):
        raise ModelError(f"{name}: is compressed already; prune the model before it is compressed")
    compressing.check_is_int8(layer_finder.find(model), name)

"""Pruning one model to different aims: what all of them share is measured once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import compressing
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.model import ModelError
from dcsr.planning.cost import CYCLES
from dcsr.pruning import blas, disagreement, prune
from dcsr.pruning.disagreement import Disagreement
from dcsr.pruning.forward import Network, Weights, checked_network, interpreted_outputs
from dcsr.pruning.inputs import Inputs, split
from dcsr.pruning.prune import Aim, Kept
from dcsr.schema import schema

Array = NDArray[Any]
Progress = Callable[[str], Callable[[Sequence[int]], Iterable[int]]]

DEFAULT_HOLDOUT = 0.33
DEFAULT_SAMPLES = 1024
MOST_HELD_OUT = 1024
CURVE = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
# Samples on which a network is compared with the interpreter.
_CHECKED = 4
# Searches end when the interval of sparsities is this narrow.
_NARROW = 0.01
_BUDGET_ROUNDS = 6


@dataclass(frozen=True)
class Cost:
    """What `compress` makes of a model.

    Attributes:
      flash: bytes of the compressed file.
      instructions: estimated, of all layers with weights; None without an estimate for one.
      dense_instructions: likewise if no layer were packed.
      cycles, dense_cycles: likewise; None also on cores for which cycles are not estimated.
    """

    flash: int
    instructions: int | None
    dense_instructions: int | None
    cycles: int | None
    dense_cycles: int | None

    def time(self, unit: str) -> int | None:
        """Returns cycles or instructions; `unit` is cost.unit() of the core."""
        return self.cycles if unit == CYCLES else self.instructions

    def dense_time(self, unit: str) -> int | None:
        """Returns the same if no layer were packed."""
        return self.dense_cycles if unit == CYCLES else self.dense_instructions


@dataclass(frozen=True)
class Outcome:
    """A pruned model.

    Attributes:
      model: content of its file.
      sparsity: share of zeros of all weights that may be pruned.
      removals: number of weights that each group lost; 0 if it was left alone.
      disagreement: with the dense model on the inputs that were held out, for each output; empty without such inputs.
      accuracy: of the dense and of the pruned model on the same; None without labels.
      cost: of the compressed model.
    """

    model: bytes
    sparsity: float
    removals: tuple[int, ...]
    disagreement: tuple[Disagreement, ...]
    accuracy: tuple[float, float] | None
    cost: Cost


class Session:
    """A dense model with its inputs.

    Attributes:
      groups: the layers that may be pruned.
      kept: the others, with the reasons.
      samples: number of inputs that the model is pruned with.
      held_out: number of inputs that the disagreement is measured on.
      dense_cost: of the dense model after `compress`.
    """

    def __init__(
        self,
        content: bytes,
        name: str,
        inputs: Inputs,
        aim: Aim,
        *,
        holdout: float,
        seed: int,
        most_samples: int,
        excluded: Mapping[tuple[int, int], str],
        fixed: Mapping[tuple[int, int], float],
        labels: Array | None,
        progress: Progress,
    ) -> None:
        """Runs the dense model on the inputs.

        Args:
          content: the file of the dense model.
          name: of the model, for messages.
          inputs: the representative inputs.
          aim: the aim.
          holdout: share of the inputs that are held out.
          seed: of the order of the inputs.
          most_samples: limit of the inputs that the model is pruned with.
          excluded: reasons to leave layers alone, by (subgraph, index of the weight tensor).
          fixed: shares of zeros likewise.
          labels: class of each input; None if unknown.
          progress: from a description to a wrapper of sequences, for progress bars.

        Raises:
          ModelError: if the model cannot be pruned.
        """
        self._model = tflite.parse(content, name)
        self._content, self._name, self._aim, self._progress = content, name, aim, progress
        first = [array[:_CHECKED] for array in inputs.arrays]
        with blas.one_thread():
            self._network = checked_network(self._model, content, name, first)
        most = min(most_samples, prune.sample_limit(self._network))
        chosen, held_out = split(len(inputs), holdout, most, MOST_HELD_OUT, seed)
        self.samples, self.held_out = len(chosen), len(held_out)
        self._chosen = [array[chosen] for array in inputs.arrays]
        self._held_out = [array[held_out] for array in inputs.arrays]
        self._labels = None if labels is None else labels[held_out]
        self.groups, self.kept = prune.groups(self._model, self._network, excluded, fixed, depthwise=aim.depthwise)
        if not self.groups:
            raise ModelError(f"{name}: no layer can be pruned: {_reasons(self.kept)}")
        with blas.one_thread():
            self._dense_outputs = self._run_held_out(self._network)
        self.warnings = _degenerate(self._dense_outputs, inputs.where)
        self._surveyed: prune.Survey | None = None
        self._known: dict[tuple[int, ...] | None, Outcome] = {}
        self.dense_cost = self._cost(self._model)

    def outcome(self, removals: Sequence[int] | None) -> Outcome:
        """Prunes the model.

        Args:
          removals: number of weights that each group loses; None for the N:M pattern of the aim.
        """
        key = None if removals is None else tuple(removals)
        if key not in self._known:
            self._known[key] = self._prune(key)
        return self._known[key]

    def at_sparsity(self, sparsity: float) -> Outcome:
        """Prunes to a share of zeros of all weights that may be pruned.

        Raises:
          ModelError: if so many zeros would be of no use.
        """
        removals = self._allocated(sparsity)
        if removals is None:
            raise ModelError(
                f"{self._name}: a sparsity of {sparsity:g} cannot be reached: at most"
                f" {prune.most_sparsity(self.survey()):.3f} with the layers that get cheaper when `compress` packs them"
            )
        return self.outcome(removals)

    def as_planned(self) -> Outcome:
        """Prunes the layers to which the plan gives a share of zeros, and no others."""
        return self.outcome(prune.planned(self.groups, self._network))

    def at_disagreement(self, most: float) -> Outcome:
        """Prunes as far as the disagreement on the inputs that were held out is at most `most`.

        Raises:
          ModelError: if no input is held out, or the least that can be removed is too much.
        """
        if not self.held_out:
            raise ModelError(f"{self._name}: a limit of the disagreement needs held-out inputs: --holdout above 0")

        def within(outcome: Outcome) -> bool:
            return disagreement.worst(outcome.disagreement) <= most

        low, high = 0.0, prune.most_sparsity(self.survey())
        best = None
        if within(at_most := self.at_sparsity(high)):
            return at_most
        tried = at_most
        while high - low > _NARROW:
            middle = (low + high) / 2
            tried = self.at_sparsity(middle)
            if within(tried):
                best, low = tried, middle
            else:
                high = middle
        if best is None:
            raise ModelError(
                f"{self._name}: the disagreement is {disagreement.worst(tried.disagreement):.4f} at the least sparsity"
                f" that helps, {tried.sparsity:.3f}; allow more, give more inputs, or retrain"
            )
        return best

    def at_flash(self, most: int) -> Outcome:
        """Prunes as little as makes the compressed file take at most `most` bytes."""
        return self._within("flash", most, lambda cost: cost.flash, "bytes")

    def at_instructions(self, most: int) -> Outcome:
        """Prunes as little as makes an inference take at most `most` estimated instructions."""
        return self._within("instructions", most, lambda cost: cost.instructions, "estimated instructions")

    def at_cycles(self, most: int) -> Outcome:
        """Prunes as little as makes an inference take at most `most` estimated cycles."""
        return self._within("cycles", most, lambda cost: cost.cycles, "estimated cycles")

    def curve(self, sparsities: Sequence[float] = CURVE) -> list[Outcome]:
        """The outcomes at several sparsities, without those that cannot be reached or are equal."""
        found: list[Outcome] = []
        for sparsity in sparsities:
            removals = self._allocated(sparsity)
            if removals is None:
                break
            outcome = self.outcome(removals)
            if outcome not in found:
                found.append(outcome)
        return found

    def survey(self) -> prune.Survey:
        """Every layer pruned alone."""
        if self._surveyed is None:
            with blas.one_thread():
                self._surveyed = prune.survey(
                    self._network, self.groups, self._chosen, self._aim, self._progress("measuring each layer")
                )
        return self._surveyed

    def layer_sparsity(self, outcome: Outcome) -> dict[int, float]:
        """Share of zeros of the layers of an outcome, by position of the operator in the main subgraph."""
        found = layer_finder.find(tflite.parse(outcome.model, self._name))
        return {
            layer.position: float(1 - np.count_nonzero(layer.matrix) / layer.matrix.size)
            for layer in found
            if layer.subgraph == 0 and layer.matrix is not None
        }

    @property
    def is_allocated(self) -> bool:
        """Whether the zeros are shared out between the layers; an N:M pattern gives each layer the same."""
        return not self._aim.pattern.group

    # ------------------------------------------------------------------------------------------ helpers

    def _allocated(self, sparsity: float) -> list[int] | None:
        return prune.allocate(self.survey(), sparsity)

    def _within(self, what: str, most: int, measured: Callable[[Cost], int | None], unit: str) -> Outcome:
        """The least sparsity, within _NARROW, at which a cost is at most `most`."""
        low, high = 0.0, prune.most_sparsity(self.survey())
        densest = self.at_sparsity(high)
        least = measured(densest.cost)
        if least is None or least > most:
            reached = "unknown" if least is None else f"{least:,}"
            raise ModelError(
                f"{self._name}: {most:,} {unit} cannot be reached: {reached} at the largest sparsity,"
                f" {densest.sparsity:.3f}"
            )
        best = densest
        for _ in range(_BUDGET_ROUNDS):
            if high - low <= _NARROW:
                break
            middle = (low + high) / 2
            tried = self.at_sparsity(middle)
            value = measured(tried.cost)
            if value is not None and value <= most:
                best, high = tried, middle
            else:
                low = middle
        return best

    def _prune(self, removals: tuple[int, ...] | None) -> Outcome:
        with blas.one_thread():
            changed = prune.run(
                self._network, self.groups, removals, self._chosen, self._aim.pattern, self._progress("pruning")
            )
            model = prune.written(self._model, self._network, changed)
            content = tflite.serialize(model)
            if self.held_out:
                # The check compares the pruned file in the interpreter with what its weights give here.
                pruned = self._network.with_weights(changed)
                self._check(model, content, changed)
                outputs = self._run_held_out(pruned)
                found = tuple(disagreement.measure(model, self._dense_outputs, outputs))
            else:
                found, outputs = (), []
        accuracy = None
        if self._labels is not None and outputs:
            accuracy = (
                disagreement.accuracy(self._dense_outputs, self._labels),
                disagreement.accuracy(outputs, self._labels),
            )
        size = zeros = 0
        for group in self.groups:
            matrix = (changed.get(group.positions[0]) or self._network.weights(group.positions[0])).matrix
            size += matrix.size
            zeros += matrix.size - int(np.count_nonzero(matrix))
        counts = (0,) * len(self.groups) if removals is None else removals
        return Outcome(content, zeros / size, counts, found, accuracy, self._cost(model))

    def _check(self, model: schema.ModelT, content: bytes, changed: Mapping[int, Weights]) -> None:
        """Raises ModelError if the written file does not give the outputs of the weights that were computed."""
        few = [array[:_CHECKED] for array in self._held_out]
        wanted = self._network.with_weights(dict(changed)).run(few)
        got = interpreted_outputs(model, content, self._name, few)
        if not all(np.array_equal(a, b) for a, b in zip(wanted, got, strict=True)):
            raise ModelError(f"{self._name}: the pruned model does not give the outputs that its weights have")

    def _run_held_out(self, network: Network) -> list[Array]:
        """Outputs for the held-out inputs, some hundred samples at a time."""
        step = prune.sample_limit(network)
        parts = [
            network.run([array[start : start + step] for array in self._held_out])
            for start in range(0, self.held_out, step)
        ]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _cost(self, model: schema.ModelT) -> Cost:
        aim = self._aim
        found = compressing.compress(
            model,
            self._name,
            min_sparsity=aim.min_sparsity,
            objective=aim.objective,
            cpu=aim.cpu,
            memory=aim.memory,
        )
        return Cost(
            len(tflite.serialize(found.model)),
            _total([decision.instructions for decision in found.decisions]),
            _total([decision.dense_instructions for decision in found.decisions]),
            _total([decision.cycles for decision in found.decisions]),
            _total([decision.dense_cycles for decision in found.decisions]),
        )


def _total(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _reasons(kept: Sequence[Kept]) -> str:
    reasons = sorted({entry.reason for entry in kept})
    return ", ".join(reasons) or "it has no layers with weights"


def _degenerate(outputs: Sequence[Array], where: str) -> list[str]:
    """Warnings about outputs that do not depend on the inputs."""
    found = []
    if outputs and all(len(array) > 1 and np.all(array == array[:1]) for array in outputs):
        found.append(f"{where}: the dense model gives the same outputs for all inputs; are they scaled as in training?")
    elif outputs and len(outputs[0]) >= 16 and outputs[0][0].size > 1 and outputs[0][0].size == outputs[0].shape[-1]:
        classes = np.unique(outputs[0].reshape(len(outputs[0]), -1).argmax(axis=1))
        if len(classes) == 1:
            found.append(
                f"{where}: the dense model gives class {int(classes[0])} for all inputs; are they scaled as in"
                " training, and of all classes?"
            )
    return found

"""How far the outputs of two models differ on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import model as tflite
from dcsr.graph import indices
from dcsr.schema import schema

Array = NDArray[Any]


@dataclass(frozen=True)
class Disagreement:
    """The difference of one output.

    Attributes:
      output: name of the output tensor.
      samples: number of inputs.
      kind: "class" if the output is one vector for each sample and not of the size of an input, else "error".
      value: of "class" the share of samples whose largest element is another one; of "error" the root mean square
        difference over the standard deviation of the dense output.
      error: the latter, for both kinds.
    """

    output: str
    samples: int
    kind: str
    value: float
    error: float

    def __str__(self) -> str:
        if self.kind == "class":
            return f"'{self.output}': another class for {self.value:.2%} of {self.samples} inputs"
        return f"'{self.output}': normalised error {self.value:.4f} over {self.samples} inputs"


def measure(model: schema.ModelT, dense: Sequence[Array], pruned: Sequence[Array]) -> list[Disagreement]:
    """Compares the outputs of two models.

    Args:
      model: one of them, for names and shapes.
      dense: outputs of the dense model, [samples, *shape] each.
      pruned: outputs of the other.
    """
    graph = model.subgraphs[0]
    # An output of the size of an input is that of an autoencoder.
    inputs = {math.prod(graph.tensors[index].shape) for index in indices(graph.inputs)}
    found = []
    for index, before, after in zip(indices(graph.outputs), dense, pruned, strict=True):
        first, second = (array.reshape(len(array), -1).astype(np.float64) for array in (before, after))
        spread = float(np.std(first)) or 1.0
        error = float(np.sqrt(np.mean((first - second) ** 2))) / spread
        name = tflite.text(graph.tensors[index].name)
        if _is_class(before) and before[0].size not in inputs:
            share = float(np.mean(first.argmax(axis=1) != second.argmax(axis=1)))
            found.append(Disagreement(name, len(first), "class", share, error))
        else:
            found.append(Disagreement(name, len(first), "error", error, error))
    return found


def worst(found: Sequence[Disagreement]) -> float:
    """The largest disagreement of all outputs."""
    return max((entry.value for entry in found), default=0.0)


def accuracy(outputs: Sequence[Array], labels: Array) -> float:
    """Share of samples whose largest element of the first output is at the label."""
    return float(np.mean(outputs[0].reshape(len(labels), -1).argmax(axis=1) == labels))


def _is_class(output: Array) -> bool:
    """Whether an output [samples, *shape] is one vector of at least two scores for each sample."""
    return output.ndim >= 2 and output.shape[-1] > 1 and output[0].size == output.shape[-1]

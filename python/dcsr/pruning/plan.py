"""Plan files of prune: the share of zeros of single layers, or none, in YAML (docs/pruning.md#plans)."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dcsr import model as tflite
from dcsr.layers import Layer
from dcsr.model import ModelError
from dcsr.planning import plan_file
from dcsr.planning.settings import place
from dcsr.schema import schema

_KEYS = {"tensor", "subgraph", "sparsity"}


def read(
    path: str | os.PathLike[str], model: schema.ModelT, layers: Sequence[Layer], name: str
) -> dict[tuple[int, int], float]:
    """The shares of zeros of a plan, by (subgraph, index of the weight tensor). 0 leaves a layer alone.

    Args:
      path: of the file.
      model: the model that the plan is for.
      layers: of the model.
      name: of the model, for messages.

    Raises:
      ModelError: if the file is no plan, or names a tensor that the model does not have.
    """
    shares: dict[tuple[int, int], float] = {}
    for number, entry in enumerate(plan_file.entries(path), start=1):
        where = f"{path}: entry {number} of 'tensors'"
        if not isinstance(entry, dict) or "tensor" not in entry or "sparsity" not in entry:
            raise ModelError(f"{where}: expected 'tensor: NAME or INDEX' with 'sparsity: 0..1'")
        if unknown := set(map(str, entry)) - _KEYS:
            raise ModelError(f"{where}: unknown key '{sorted(unknown)[0]}'; known are {', '.join(sorted(_KEYS))}")
        share = entry["sparsity"]
        if type(share) not in (int, float) or not 0 <= share < 1:
            raise ModelError(f"{where}: sparsity is a number from 0 to below 1, not {share!r}")
        layer = plan_file.find_layer(entry, model, layers, where, name)
        if layer.obstacle and share:
            raise ModelError(f"{where}: '{layer.name}' cannot be pruned: {layer.obstacle}")
        if place(layer) in shares:
            raise ModelError(f"{where}: '{layer.name}' has an entry already")
        shares[place(layer)] = float(share)
    return shares


def excluded(
    names: Sequence[str], model: schema.ModelT, layers: Sequence[Layer], name: str
) -> dict[tuple[int, int], str]:
    """The reasons to leave alone the layers that the user names, by tensor name or index."""
    reasons = {}
    for wanted in names:
        entry = {"tensor": int(wanted) if wanted.isdecimal() else wanted}
        layer = plan_file.find_layer(entry, model, layers, f"--exclude {wanted}", name)
        reasons[place(layer)] = "excluded"
    return reasons


def text(layers: Sequence[tuple[Layer, float]], title: str) -> str:
    """The text of a plan file with the shares of zeros of these layers."""
    lines = [f"# {''.join(c if c.isprintable() else '?' for c in title)}", "version: 1", "tensors:"]
    seen = set()
    for layer, share in layers:
        s, index = place(layer)
        if (s, index) in seen:
            continue
        seen.add((s, index))
        lines.append(f"  - tensor: {index}  # {tflite.text(layer.name)}")
        lines.append(f"    sparsity: {share:.4f}")
    if not seen:
        lines[-1] = "tensors: []"
    return "\n".join(lines) + "\n"

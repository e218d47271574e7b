"""The output of the command `prune` as text and as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from dcsr.planning import cost

if TYPE_CHECKING:
    from dcsr.api import Pruning

CAUTION = "an estimate: it bounds a loss of accuracy only on data like these inputs"


def text(pruning: Pruning) -> str:
    """The table of the layers, and lines about the model."""
    lines = []
    width = max([len("layer"), *(min(len(layer.name), 40) for layer in pruning.layers)])
    lines.append(f"{'layer':<{width}}  {'op':<24}  {'rows x cols':>14}  {'zeros':>6}  left alone: why")
    for layer in pruning.layers:
        share = "-" if layer.sparsity is None else f"{layer.sparsity:.1%}"
        name = "".join(c if c.isprintable() else "?" for c in layer.name[-40:])
        lines.append(f"{name:<{width}}  {layer.op:<24}  {layer.shape:>14}  {share:>6}  {layer.note}".rstrip())
    return "\n".join([*lines, *summary(pruning)])


def summary(pruning: Pruning) -> list[str]:
    """Lines about the whole model."""
    dense, after = pruning.dense_cost, pruning.cost
    lines = [f"sparsity {pruning.sparsity:.1%} of the weights that can be pruned, with {pruning.samples} inputs"]
    change = f"{dense.flash:,} -> {after.flash:,} bytes ({after.flash / dense.flash - 1:+.1%})"
    line = f"dense -> pruned, both after compress: flash {change}"
    unit = cost.unit(pruning.cpu)
    time, dense_time = after.time(unit), dense.time(unit)
    if time and dense_time:
        line += f", layers about {dense_time:,} -> {time:,} {unit} on {pruning.cpu} ({time / dense_time - 1:+.1%})"
    lines.append(line)
    for entry in pruning.disagreement:
        lines.append(f"disagreement with the dense model, held-out inputs: {entry} ({CAUTION})")
    if not pruning.disagreement:
        lines.append("disagreement with the dense model: not measured, no inputs were held out")
    if pruning.accuracy:
        before, now = pruning.accuracy
        lines.append(f"accuracy on the {pruning.held_out} held-out inputs: {before:.2%} -> {now:.2%}")
    if pruning.curve:
        lines.append("sparsity  disagreement        flash  " + unit.rjust(12))
        for outcome in pruning.curve:
            worst = max((entry.value for entry in outcome.disagreement), default=None)
            shown = "-" if worst is None else f"{worst:.2%}"
            of_point = outcome.cost.time(unit)
            shown_time = "-" if of_point is None else f"{of_point:,}"
            lines.append(f"{outcome.sparsity:8.1%}  {shown:>12}  {outcome.cost.flash:>11,}  {shown_time:>12}")
    return lines


def as_json(pruning: Pruning) -> dict[str, object]:
    """All numbers as data."""
    return {
        "model": pruning.name,
        "sparsity": pruning.sparsity,
        "samples": pruning.samples,
        "held_out": pruning.held_out,
        "disagreement": [asdict(entry) for entry in pruning.disagreement],
        "caution": CAUTION,
        "accuracy": None if pruning.accuracy is None else {"dense": pruning.accuracy[0], "pruned": pruning.accuracy[1]},
        "cpu": pruning.cpu,
        "compressed": asdict(pruning.cost),
        "dense": asdict(pruning.dense_cost),
        "warnings": list(pruning.warnings),
        "layers": [asdict(layer) for layer in pruning.layers],
        "curve": [
            {
                "sparsity": outcome.sparsity,
                "disagreement": [asdict(entry) for entry in outcome.disagreement],
                "accuracy": outcome.accuracy[1] if outcome.accuracy else None,
                "compressed": asdict(outcome.cost),
            }
            for outcome in pruning.curve
        ],
    }

"""The report of `prune` as one self-contained HTML page: no scripts, links or fonts."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dcsr import html_report
from dcsr.planning import cost
from dcsr.pruning import summary

if TYPE_CHECKING:
    from dcsr.api import Pruning
    from dcsr.pruning.session import Outcome

_STYLE = """\
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; } .plot { flex: 1 1 26rem; max-width: 40rem; }
.plot svg { height: auto; } .plot text { fill: var(--soft); font-size: 11px; }
.axis { stroke: var(--line); fill: none; }
.path { stroke: var(--chosen); stroke-width: 2; fill: none; } .point { fill: var(--chosen); }
.mark { fill: none; stroke: var(--bound); stroke-width: 2.5; }
"""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 300, 56, 40, 12


def render(pruning: Pruning) -> str:
    """Returns the page as HTML."""
    title = html.escape(Path(pruning.name).name)
    warnings = "".join(f"<p><b>Warning:</b> {html.escape(text)}</p>\n" for text in pruning.warnings)
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{title}, pruned</title>\n<style>\n{html_report.STYLE}{_STYLE}</style>\n</head>\n<body>\n",
            f"<h1>{title}, pruned</h1>\n",
            f"<p>Pruned with {pruning.samples} inputs; {pruning.held_out} others were held out. Disagreement is"
            f" measured on those, and is {html.escape(summary.CAUTION)}.</p>\n",
            warnings,
            _cards(pruning),
            _curve(pruning),
            _layers(pruning),
            "</body>\n</html>\n",
        ]
    )


def _cards(pruning: Pruning) -> str:
    dense, after = pruning.dense_cost, pruning.cost
    cards = [
        ("zeros", f"{pruning.sparsity:.1%}", "of the weights that can be pruned"),
        ("flash after compress", f"{after.flash:,}", f"bytes; dense {dense.flash:,}"),
    ]
    unit = cost.unit(pruning.cpu)
    time, dense_time = after.time(unit), dense.time(unit)
    if time and dense_time:
        note = f"estimated on {pruning.cpu}; dense {dense_time:,}"
        cards.append((f"{unit} of the layers after compress", f"{time:,}", note))
    for entry in pruning.disagreement:
        value = f"{entry.value:.2%}" if entry.kind == "class" else f"{entry.value:.4f}"
        what = "another class" if entry.kind == "class" else "normalised error"
        cards.append((f"disagreement, {html.escape(entry.output)}", value, f"{what}, {entry.samples} held-out inputs"))
    if pruning.accuracy:
        cards.append(("accuracy, held-out inputs", f"{pruning.accuracy[1]:.2%}", f"dense {pruning.accuracy[0]:.2%}"))
    shown = "".join(
        f'<div class="card"><span>{label}</span><b>{value}</b><span>{note}</span></div>\n'
        for label, value, note in cards
    )
    return f'<div class="cards">\n{shown}</div>\n'


def _curve(pruning: Pruning) -> str:
    """The plots of disagreement against flash and time, and their table."""
    points = [outcome for outcome in pruning.curve if outcome.disagreement]
    if not points:
        return ""
    plots = [_plot(pruning, points, "flash after compress, bytes", lambda outcome: outcome.cost.flash)]
    unit = cost.unit(pruning.cpu)
    times = [outcome.cost.time(unit) for outcome in points]
    if all(times):
        label = f"{unit} of an inference on {pruning.cpu}, estimated"
        plots.append(_plot(pruning, points, label, lambda outcome: outcome.cost.time(unit) or 0))
    rows = [
        [
            f"<td>{outcome.sparsity:.1%}</td>",
            f"<td>{_worst(outcome):.4f}</td>",
            f"<td>{'-' if outcome.accuracy is None else f'{outcome.accuracy[1]:.2%}'}</td>",
            f"<td>{outcome.cost.flash:,}</td>",
            f"<td>{'-' if time is None else f'{time:,}'}</td>",
        ]
        for outcome, time in zip(points, times, strict=True)
    ]
    head = ("zeros", "disagreement", "accuracy", "flash", unit)
    drawn = "".join(plots)
    text = f'<p>The ring is the model that was written.</p>\n<div class="plots">\n{drawn}</div>\n'
    return html_report.table("Disagreement against flash and time", head, rows, text)


def _worst(outcome: Outcome) -> float:
    return max(entry.value for entry in outcome.disagreement)


def _plot(pruning: Pruning, points: Sequence[Outcome], label: str, cost: Callable[[Outcome], int]) -> str:
    """One plot: disagreement upwards, cost to the right, zeros at each point."""
    costs = [cost(outcome) for outcome in points]
    errors = [_worst(outcome) for outcome in points]
    low, high = min(costs), max(costs)
    span, most = (high - low) or 1, max(errors) or 1

    def x(value: float) -> float:
        return _LEFT + 12 + (value - low) / span * (_WIDTH - _LEFT - 48)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / most * (_HEIGHT - _BOTTOM - _TOP - 12)

    places = [(x(c), y(e)) for c, e in zip(costs, errors, strict=True)]
    path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
    marks = "".join(
        f'<circle class="point" cx="{left:.1f}" cy="{top:.1f}" r="3.5"/>'
        f'<text x="{left + 6:.1f}" y="{top - 6:.1f}">{outcome.sparsity:.0%}</text>'
        for (left, top), outcome in zip(places, points, strict=True)
    )
    ring = "".join(
        f'<circle class="mark" cx="{left:.1f}" cy="{top:.1f}" r="8"/>'
        for (left, top), outcome in zip(places, points, strict=True)
        if outcome.model == pruning.model
    )
    bottom = _HEIGHT - _BOTTOM
    return (
        f'<div class="plot"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="disagreement against'
        f' {html.escape(label)}">'
        f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - 8}"/>'
        f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
        f'<text x="{_LEFT - 6}" y="{y(most) + 4:.1f}" text-anchor="end">{most:.3f}</text>'
        f'<text x="{x(low):.1f}" y="{bottom + 16}">{low:,}</text>'
        f'<text x="{x(high):.1f}" y="{bottom + 16}" text-anchor="end">{high:,}</text>'
        f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">{html.escape(label)}</text>'
        f'<polyline class="path" points="{path}"/>{marks}{ring}</svg></div>\n'
    )


def _layers(pruning: Pruning) -> str:
    rows = [
        [
            f'<td class="l">{html.escape(layer.name)}</td>',
            f'<td class="l">{html.escape(layer.op)}</td>',
            f"<td>{html.escape(layer.shape)}</td>",
            f"<td>{'-' if layer.sparsity is None else f'{layer.sparsity:.1%}'}</td>",
            f'<td class="bars">{_bar(layer.sparsity)}</td>',
            f'<td class="l soft">{html.escape(layer.note)}</td>',
        ]
        for layer in pruning.layers
    ]
    return html_report.table("Layers", ("layer", "op", "rows × cols", "zeros", "", "note"), rows)


def _bar(share: float | None) -> str:
    if share is None:
        return ""
    return (
        '<svg viewBox="0 0 100 6" preserveAspectRatio="none" style="height:.5rem">'
        '<rect class="dense" x="0" y="0" width="100" height="6"/>'
        f'<rect class="chosen" x="0" y="0" width="{100 * share:.2f}" height="6"/></svg>'
    )

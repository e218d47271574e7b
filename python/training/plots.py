"""Plots with matplotlib, which is imported late because the import is slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """Returns a new figure and its axes. Needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure: Any, path: Path) -> None:
    # The file contains no date and no version, so the same data always give the same file.
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def confusion(path: Path, matrix: np.ndarray, names: Sequence[str], title: str) -> None:
    """Draws a confusion matrix [classes, classes]. Rows are the true classes, columns the predicted ones."""
    figure, axes = _figure(7, 6.5)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(title=title, xlabel="answered", ylabel="was")
    for row, column in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, matrix[row, column], ha="center", va="center", size=8, color=colour)
    _save(figure, path)


def accuracy_against_flash(path: Path, curves: Mapping[str, Sequence[tuple[int, float, str]]], title: str) -> None:
    """Draws one curve per name. Points are (flash in bytes, accuracy 0..1, label)."""
    figure, axes = _figure(8, 5)
    for (name, points), marker in zip(curves.items(), "os^Dvx*", strict=False):
        kilobytes, accuracies = [point[0] / 1000 for point in points], [100 * point[1] for point in points]
        axes.plot(kilobytes, accuracies, marker=marker, label=name, linewidth=1)
        for x, y, (_, _, label) in zip(kilobytes, accuracies, points, strict=True):
            axes.annotate(label, (x, y), textcoords="offset points", xytext=(5, -11), size=8)
    axes.set(
        title=title, xlabel="flash of the model file, kB (log scale)", ylabel="int8 accuracy in TFLM, %", xscale="log"
    )
    ticks = [20, 30, 50, 100, 200, 300, 500]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)

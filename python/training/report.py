"""The summary that a run prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_NAMES = {
    "dense_float": "dense float",
    "pruned_float": "pruned float",
    "int8": "int8 in TFLM",
    "int8_second_test": "int8 on the second test set",
}


def print_results(results: dict[str, Any], output: Path) -> None:
    """Prints a table of the layers, accuracies and sizes."""
    print(f"{'op':<18} {'weights':<14} {'number':>9}  sparsity")
    for layer in results["layers"]:
        rows, columns = layer["shape"]
        weights = rows * columns
        print(f"{layer['op']:<18} {f'{rows} x {columns}':<14} {weights:>9,}  {layer['zeros'] / weights:6.1%}")
    accuracy = ", ".join(f"{_NAMES[name]} {value:.4f}" for name, value in results["accuracy"].items())
    print(f"accuracy on {results['test_samples']:,} test samples: {accuracy}")
    sizes = results["bytes"]
    print(f"flash {sizes['before']:,} -> {sizes['balanced']:,} bytes ({sizes['size']:,} with --objective size)")
    print(f"{output / results['name']}.tflite and .dcsr.tflite")

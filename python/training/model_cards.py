"""model_cards: writes the README and the plot of a folder of models from the records beside the models."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcsr import model as tflite
from dcsr.cli import common
from training import plots
from training.errors import InputError

PICTURE = "accuracy.png"

_DESCRIPTION = """\
Reads every NAME.json that a training command left in a folder's subfolders and writes, into the folder, README.md with
a card of each model and accuracy.png, accuracy against flash."""

_DATASETS = {
    "synthetic_speech": "keywords spoken by espeak-ng, made by `--dataset synthetic_speech`; the voices of the test"
    " set are not in training, those of the second test set are flite's",
    "speech_commands": "Google Speech Commands v2, CC BY 4.0",
    "fashion_mnist": "[Fashion-MNIST](https://github.com/zalandoresearch/fashion-mnist), copyright 2017 Zalando SE, MIT"
    " licence; Debian package `dataset-fashion-mnist`; 28x28 padded to 32x32, in -1..1",
    "cifar10": "CIFAR-10",
}

_HEAD = """\
# Models

int8 models for microcontrollers, dense and pruned, as input for `compress`, the tests and the measurements. The files
are stored dense, with zeros as int8 zeros, as the training commands wrote them. Nothing here depends on other folders.

`bazel run //python/training:model_cards -- models` writes this file and the picture from the JSON files that the
training commands left beside the models.
"""


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Reads the record of each model, sorted by network and sparsity.

    Raises:
      InputError: if there are no records, or if a record or its model is damaged.
    """
    results = []
    for path in sorted(folder.glob("*/*.json")):
        try:
            result = json.loads(path.read_text())
            size = path.with_suffix(".tflite").stat().st_size
            if size != result["bytes"]["before"]:
                raise InputError(f"{path}: tells of {result['bytes']['before']} bytes, the model has {size}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not the record of a model beside it: {error}") from error
        results.append({**result, "path": path.with_suffix(".tflite").relative_to(folder)})
    if not results:
        raise InputError(f"{folder}: no NAME.json of a training command in its subfolders")
    order = "sml"
    return sorted(
        results,
        key=lambda r: (r["network"][:-1], order.find(r["network"][-1]), r["network"], r["target_sparsity"] or 0),
    )


def flash(result: dict[str, Any]) -> int:
    """Flash size of a model in bytes: compressed for size if it is sparse, uncompressed if it is dense."""
    return result["bytes"]["before" if result["target_sparsity"] is None else "size"]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the lines of the table of accuracy against flash."""
    second = any("int8_second_test" in result["accuracy"] for result in results)
    head = [
        "model",
        "pruned to",
        "zeros of all weights",
        "float",
        "int8 (TFLM)",
        *(["second test set"] if second else []),
    ]
    head += ["flash before", "after, `balanced`", "after, `size`"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for result in results:
        accuracy, sizes, dense = result["accuracy"], result["bytes"], result["target_sparsity"] is None
        cells = [
            f"[{result['path']}]({result['path']})",
            "dense" if dense else f"{100 * result['target_sparsity']:g} %",
            f"{_percent(result['sparsity']['all_weights'])} %",
            _percent(accuracy["dense_float" if dense else "pruned_float"]),
            f"**{_percent(accuracy['int8'])}**",
            *([_percent(accuracy.get("int8_second_test"))] if second else []),
            f"{sizes['before']:,}",
            "" if dense else f"{sizes['balanced']:,}",
            "" if dense else f"{sizes['size']:,}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cards(results: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for result in results:
        accuracy = result["accuracy"]
        figures = [f"dense float {accuracy['dense_float']:.4f}"]
        if "pruned_float" in accuracy:
            figures.append(f"pruned float {accuracy['pruned_float']:.4f}")
        figures.append(f"int8 {accuracy['int8']:.4f}")
        text = (
            f"- `{result['name']}`: {', '.join(figures)} on {result['test_samples']:,} samples of {result['dataset']}."
        )
        lines += textwrap.wrap(text, 125, subsequent_indent="  ")
        lines += ["", f"      {result['command']}", ""]
    return lines


def text(results: Sequence[dict[str, Any]], tail: str) -> str:
    """Returns the README."""
    used = [name for name in _DATASETS if any(result["dataset"] == name for result in results)]
    lines = [
        _HEAD,
        "## Accuracy against flash",
        "",
        f"![accuracy against flash]({PICTURE})",
        "",
        *table(results),
        "",
        *textwrap.wrap(
            "Accuracies are in percent, of one run each. Those of int8 are measured in the stock TensorFlow Lite Micro"
            " interpreter; the compressed model gives the same outputs, bit for bit. Flash is the size of the model"
            " file in bytes, before and after `compress` with either objective. Pointwise (1x1) and fully connected"
            " layers are pruned; in MobileNetV2 those of the first 7 blocks are not.",
            125,
        ),
        "",
        "## Cards",
        "",
        "Accuracy and command of each model. The commands of a network start from the dense weights that its first",
        "command leaves (docs/training.md). The licence is that of the project.",
        "",
        *_cards(results),
        "Data:",
        "",
        *(
            line
            for name in used
            for line in textwrap.wrap(f"- `{name}`: {_DATASETS[name]}.", 125, subsequent_indent="  ")
        ),
    ]
    return "\n".join(lines) + "\n" + tail


def curves(results: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, float, str]]]:
    """Returns the curves of the plot by name: one per sparse DS-CNN and one of all dense ones.

    Points are (flash in bytes, accuracy, label).
    """
    keyword = [result for result in results if result["network"].startswith("ds_cnn")]
    found: dict[str, list[tuple[int, float, str]]] = {}
    for result in sorted(keyword, key=flash):
        dense = result["target_sparsity"] is None
        size = result["network"][-1]
        name = "dense S, M, L" if dense else f"sparse {size.upper()}"
        label = size.upper() if dense else f"{100 * result['target_sparsity']:g} %"
        found.setdefault(name, []).append((flash(result), result["accuracy"]["int8"], label))
    return dict(sorted(found.items()))


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser(
        "model_cards", _DESCRIPTION, "example:\n  model_cards models\n\nexit status: 0 done, 2 bad input"
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args(argv).folder
    results = read_results(folder)
    tail = folder / "README.tail.md"
    with tflite.replacing(folder / PICTURE) as temporary:
        plots.accuracy_against_flash(temporary, curves(results), "DS-CNN, keywords by held-out voices")
    tflite.write_file(folder / "README.md", text(results, "\n" + tail.read_text() if tail.exists() else ""))
    print(folder / "README.md")
    return common.EXIT_OK


if __name__ == "__main__":
    common.run("model_cards", main)

"""evaluate: accuracy and confusion matrix of a model in the TFLM interpreter."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsr import isolation, verification
from dcsr import model as tflite
from dcsr.cli import common
from training import measuring, plots
from training.data import cache, images, load
from training.data.keywords import LABELS
from training.errors import InputError

_DESCRIPTION = """\
Runs a model, compressed or not, on every sample of a test set in the TensorFlow Lite Micro interpreter and prints its
accuracy and confusion matrix (rows: what it was, columns: what the model said). Needs no TensorFlow."""

_EPILOG = """\
examples:
  evaluate models/kws/ds_cnn_l_90.tflite --dataset synthetic_speech
  evaluate small.tflite --dataset synthetic_speech --against models/kws/ds_cnn_l_90.tflite
  evaluate sparse.tflite --dataset synthetic_speech --against dense.tflite        before and after `prune`
  evaluate models/mobilenetv2/mnv2_035_90.tflite --dataset fashion_mnist --samples 1000 --png confusion.png

synthetic_speech is made on first use (apt-get install espeak-ng flite); fashion_mnist is a Debian package
(apt-get install dataset-fashion-mnist); speech_commands and cifar10 are there once a training command has had them.
exit status: 0 done, 1 the models of --against answer differently, 2 bad usage or bad input"""

_SPLITS = ("test", "validation", "second_test")


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return number


def _samples(options: argparse.Namespace, side: int) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """Loads inputs, labels and the names of the classes."""
    if options.dataset in load.KEYWORD_SETS:
        data, _ = load.keywords(options.dataset, options.cache, common.progress)
        if (pair := getattr(data, options.split)) is None:
            raise InputError(f"--split {options.split}: {options.dataset} has none")
        return (*pair, LABELS)
    data, _ = load.image_set(options.dataset, options.cache, side == images.UPSCALED)
    if options.split == "second_test":
        raise InputError(f"--split {options.split}: {options.dataset} has none")
    pixels, labels = getattr(data, options.split)
    names = images.FASHION_LABELS if options.dataset == "fashion_mnist" else images.CIFAR_LABELS
    return pixels, labels, names


def _print_confusion(matrix: np.ndarray, names: Sequence[str]) -> None:
    width = max(5, *(len(name) for name in names))
    print(" " * width, *(f"{name[:5]:>5}" for name in names), "  right")
    for name, row in zip(names, matrix, strict=True):
        share = row[names.index(name)] / max(1, row.sum())
        print(f"{name:<{width}}", *(f"{count or '.':>5}" for count in row), f"{share:7.1%}")


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("evaluate", _DESCRIPTION, _EPILOG)
    parser.add_argument("model", metavar="MODEL.tflite")
    parser.add_argument("--dataset", choices=load.KEYWORD_SETS + load.IMAGE_SETS, required=True)
    parser.add_argument(
        "--split",
        choices=_SPLITS,
        default="test",
        help="second_test: another synthesiser's voices (default: %(default)s)",
    )
    parser.add_argument("--samples", type=_positive, metavar="N", help="only so many, spread over the set")
    parser.add_argument(
        "--against", metavar="OTHER.tflite", help="also run this one: its accuracy, and compare every output bit"
    )
    parser.add_argument(
        "--record",
        metavar="FILE.npz",
        help="also write the int8 input of the first sample of each class that the model tells right: FILE.npz (for"
        " verify --inputs) and, as C arrays, FILE.h",
    )
    parser.add_argument("--png", metavar="FILE.png", help="also draw the confusion matrix")
    parser.add_argument(
        "--cache",
        type=Path,
        default=cache.default_folder(),
        metavar="DIR",
        help="where data sets are kept (default: %(default)s)",
    )
    options = parser.parse_args(argv)
    contents = {path: tflite.read_bytes(path) for path in (options.model, options.against) if path}
    shapes = {path: _input_shape(content, path) for path, content in contents.items()}
    shape = shapes[options.model]
    inputs, labels, names = _samples(options, shape[1])
    if options.samples and options.samples < len(labels):
        chosen = np.linspace(0, len(labels) - 1, options.samples).astype(int)
        inputs, labels = inputs[chosen], labels[chosen]
    if options.dataset in load.IMAGE_SETS:
        inputs = images.normalised(inputs, shape[1] // images.SIDE)
    for path, wanted in shapes.items():
        if wanted[1:] != inputs.shape[1:]:
            raise InputError(
                f"{path}: takes inputs of {list(wanted[1:])}, those of {options.dataset} are {list(inputs.shape[1:])}"
            )
    answers = {
        path: measuring.outputs(content, inputs, path, common.progress(f"running {Path(path).name}"))
        for path, content in contents.items()
    }
    classes = answers[options.model].shape[1]
    if classes != len(names):
        raise InputError(f"{options.model}: has {classes} classes, {options.dataset} has {len(names)}")
    matrix = measuring.confusion(answers[options.model], labels, len(names))
    _print_confusion(matrix, list(names))
    accuracy = measuring.accuracy(answers[options.model], labels)
    print(f"{options.model}: accuracy {accuracy:.4f} on {len(labels):,} samples of {options.dataset}, {options.split}")
    if options.png:
        with tflite.replacing(options.png) as temporary:
            plots.confusion(temporary, matrix, names, f"{Path(options.model).name}: {accuracy:.1%}")
    if options.record:
        _record(options.record, contents[options.model], inputs, labels, answers[options.model], names)
    if options.against:
        other = measuring.accuracy(answers[options.against], labels)
        print(f"{options.against}: accuracy {other:.4f} on the same")
        return _compare(answers[options.model], answers[options.against])
    return common.EXIT_OK


def _input_shape(content: bytes, path: str) -> tuple[int, ...]:
    inputs = verification.inputs_of(tflite.parse(content, path), path)
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise InputError(f"{path}: expected one input [1, height, width, channels]")
    return inputs[0].shape


def _record(
    path: str, content: bytes, inputs: np.ndarray, labels: np.ndarray, answers: np.ndarray, names: Sequence[str]
) -> None:
    """Writes one correctly classified sample of each class, in the order of the classes."""
    right = answers.argmax(axis=1) == labels
    if missing := [name for index, name in enumerate(names) if not np.any(right & (labels == index))]:
        raise InputError(f"--record {path}: the model tells no sample of {', '.join(missing)} right")
    chosen = [int(np.flatnonzero(right & (labels == index))[0]) for index in range(len(names))]
    with isolation.IsolatedInterpreter(content) as interpreter:
        samples = measuring.quantised(interpreter, inputs[chosen])
    with tflite.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, inputs=samples)
    rows = ",\n".join(
        f"    // {name}\n    {{{', '.join(str(value) for value in sample.ravel())}}}"
        for name, sample in zip(names, samples, strict=True)
    )
    strings = ", ".join(f'"{name}"' for name in names)
    shape = ", ".join(map(str, samples.shape[1:]))
    header = Path(path).with_suffix(".h")
    tflite.write_file(
        header,
        f"""\
// clang-format off
// Written by `evaluate --record`: an int8 input [{shape}] of each class, in the order of the
// model's outputs.
#ifndef DCSR_MODELS_SAMPLES_H_
#define DCSR_MODELS_SAMPLES_H_

#include <stdint.h>

static const char *const kSampleLabels[{len(names)}] = {{{strings}}};
static const int8_t kSamples[{len(names)}][{samples[0].size}] = {{
{rows}}};

#endif  // DCSR_MODELS_SAMPLES_H_
""",
    )
    print(f"{path} and {header}: {len(names)} samples")


def _compare(first: np.ndarray, second: np.ndarray) -> int:
    if first.shape == second.shape and first.dtype == second.dtype and np.array_equal(first, second):
        print(f"identical: every bit of every output of {len(first):,} samples")
        return common.EXIT_OK
    different = int(np.sum(np.any(first != second, axis=1))) if first.shape == second.shape else len(first)
    print(f"different: {different:,} of {len(first):,} samples")
    if first.shape == second.shape:
        changed = int(np.sum(first.argmax(axis=1) != second.argmax(axis=1)))
        print(f"another class for {changed:,} of them ({changed / len(first):.2%} of all)")
    return common.EXIT_DIFFERENT

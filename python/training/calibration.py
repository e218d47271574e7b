"""Training samples of a data set, as inputs for `prune`.

bazel run //python/training:calibration -- MODEL.tflite OUT.npz --dataset NAME
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from dcsr import model as tflite
from dcsr.cli import common
from dcsr.model import ModelError
from dcsr.pruning.inputs import load as load_inputs
from dcsr.pruning.inputs import wanted
from training.data import cache, images, keywords, load

# More than prune uses: it takes a random part of them.
SAMPLES = 1536


def samples(name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Training samples of a data set, none of its test set, in random but fixed order.

    Args:
      name: of the data set.
      shape: of the model's input.

    Returns:
      float32 [SAMPLES, ...] as the float model takes them, and labels.

    Raises:
      ModelError: if the samples do not fit the input.
      InputError: if the data set is not there and cannot be made.
    """
    rng = np.random.default_rng(0)
    if name in load.KEYWORD_SETS:
        data, _ = load.keywords(name, cache.default_folder(), common.progress)
        inputs, labels = keywords.augmented_epoch(data, rng)
        chosen = np.arange(min(SAMPLES, len(labels)))
    else:
        upscale = len(shape) == 4 and shape[1] == images.UPSCALED
        pictures, _ = load.image_set(name, cache.default_folder(), upscale)
        inputs, labels = pictures.training
        chosen = rng.permutation(len(labels))[:SAMPLES]
    inputs, labels = inputs[chosen], labels[chosen]
    if name in load.IMAGE_SETS:
        inputs = images.normalised(inputs, max(shape[1] // images.SIDE, 1) if len(shape) == 4 else 1)
    if inputs.shape[1:] != shape[1:]:
        raise ModelError(
            f"--dataset {name}: its samples are {list(inputs.shape[1:])}, the model takes {list(shape[1:])}"
        )
    return inputs, labels


DATASETS: dict[str, Callable[[tuple[int, ...]], tuple[np.ndarray, np.ndarray]]] = {
    name: functools.partial(samples, name) for name in load.KEYWORD_SETS + load.IMAGE_SETS
}


def main(argv: Sequence[str]) -> int:
    """Writes samples of a data set as int8 inputs of a model; returns the exit status."""
    parser = common.parser("calibration", "Writes inputs and labels for `prune`, from the training part of a data set.")
    parser.add_argument("model", metavar="MODEL.tflite")
    parser.add_argument("output", metavar="OUT.npz")
    parser.add_argument("--dataset", choices=list(DATASETS), required=True)
    parser.add_argument("--samples", type=int, default=192, metavar="N", help="(default: %(default)s)")
    options = parser.parse_args(argv)
    model = tflite.read(options.model)
    shape = wanted(model, options.model)[0].shape
    inputs = quantise(DATASETS[options.dataset](shape)[0][: options.samples], model, options.model)
    with tflite.replacing(options.output) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, inputs=inputs)
    return common.EXIT_OK


def quantise(samples: np.ndarray, model: object, name: str) -> np.ndarray:
    """Samples as the model takes them, without the batch dimension."""
    return load_inputs([samples], model, name).arrays[0][:, 0]


if __name__ == "__main__":
    common.run("calibration", main)

"""Training samples of a data set, as inputs for `prune`."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from dcsr.cli import common
from dcsr.model import ModelError
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
        inputs = images.normalised(inputs, shape[1] // images.SIDE if len(shape) == 4 else 1)
    if inputs.shape[1:] != shape[1:]:
        raise ModelError(f"--dataset {name}: its samples are {list(inputs.shape[1:])}, the model takes {list(shape[1:])}")
    return inputs, labels


DATASETS: dict[str, Callable[[tuple[int, ...]], tuple[np.ndarray, np.ndarray]]] = {
    name: functools.partial(samples, name) for name in load.KEYWORD_SETS + load.IMAGE_SETS
}

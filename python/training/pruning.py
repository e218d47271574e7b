"""Magnitude pruning of pointwise and fully connected layers with TensorFlow's model optimisation toolkit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np


def is_prunable(layer: Any) -> bool:
    """Says whether a layer may be pruned: 1x1 convolutions and fully connected layers may."""
    from tf_keras import layers

    if isinstance(layer, layers.DepthwiseConv2D):  # a subclass of Conv2D
        return False
    if isinstance(layer, layers.Conv2D):
        return layer.kernel_size == (1, 1)
    return isinstance(layer, layers.Dense)


def frequency(steps: int) -> int:
    """Steps between two updates of the masks in a stage of `steps`."""
    return max(1, min(50, steps // 40))


def end_step(steps: int) -> int:
    """The step at which the final sparsity is reached: about three quarters of `steps`.

    The schedule gets there only if the end is a step in which masks are updated.
    """
    return max(1, steps * 3 // 4 // frequency(steps)) * frequency(steps)


def _wrapped(model: Any, kept_dense: Collection[str], schedule: Callable[[], Any]) -> Any:
    """A copy of `model`, weights included, whose prunable layers follow `schedule()`."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    def wrap(layer: Any) -> Any:
        copy = layer.__class__.from_config(layer.get_config())
        if layer.name in kept_dense or not is_prunable(layer):
            return copy
        return tfmot.sparsity.keras.prune_low_magnitude(copy, pruning_schedule=schedule())

    copy = tf_keras.models.clone_model(model, clone_function=wrap)
    for source, target in zip(model.layers, copy.layers, strict=True):
        inner = getattr(target, "layer", target)  # wrapped layers hold theirs inside
        inner.set_weights(source.get_weights())
    return copy


def growing(model: Any, sparsity: float, steps: int, kept_dense: Collection[str]) -> Any:
    """A copy to be trained for `steps`, in which the smallest weights go to zero, ever more slowly.

    Args:
      model: a tf_keras model.
      sparsity: share of zeros in the end, of each pruned layer.
      steps: batches it will be trained with, with `callbacks()`.
      kept_dense: names of layers that are not pruned.
    """
    from tensorflow_model_optimization.sparsity import keras as toolkit

    return _wrapped(
        model,
        kept_dense,
        lambda: toolkit.PolynomialDecay(0.0, sparsity, 0, end_step(steps), frequency=frequency(steps)),
    )


def held(model: Any, sparsity: float, kept_dense: Collection[str]) -> Any:
    """A copy to be trained with `callbacks()`, in which what is zero stays zero."""
    from tensorflow_model_optimization.sparsity import keras as toolkit

    # Steps count from 1; the masks taken in the first are those of the zeros that are there.
    return _wrapped(
        model, kept_dense, lambda: toolkit.ConstantSparsity(sparsity, begin_step=1, end_step=1, frequency=1)
    )


def callbacks() -> list[Any]:
    """What training a pruned model takes."""
    from tensorflow_model_optimization.sparsity import keras as toolkit

    return [toolkit.UpdatePruningStep()]


def stripped(model: Any) -> Any:
    """The model without what pruning took. Without this it converts, and the result fails later."""
    from tensorflow_model_optimization.sparsity import keras as toolkit

    return toolkit.strip_pruning(model)


def sparsities(model: Any, kept_dense: Collection[str]) -> dict[str, float]:
    """Share of zeros of each pruned layer of a stripped model."""
    return {
        layer.name: float(np.mean(layer.get_weights()[0] == 0))
        for layer in model.layers
        if layer.name not in kept_dense and is_prunable(layer)
    }

"""Magnitude pruning of pointwise and fully connected layers with TensorFlow's model optimisation toolkit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np


def is_prunable(layer: Any) -> bool:
    """Whether a layer can be pruned: 1x1 convolutions and fully connected layers can."""
    from tf_keras import layers

    if isinstance(layer, layers.DepthwiseConv2D):  # a subclass of Conv2D
        return False
    if isinstance(layer, layers.Conv2D):
        return layer.kernel_size == (1, 1)
    return isinstance(layer, layers.Dense)


def frequency(steps: int) -> int:
    """Steps between two mask updates in a stage of `steps` steps."""
    return max(1, min(50, steps // 40))


def end_step(steps: int) -> int:
    """The step at which the final sparsity is reached: about 75 % of `steps`.

    It must be a step at which masks are updated. Otherwise the schedule never reaches the final sparsity.
    """
    return max(1, steps * 3 // 4 // frequency(steps)) * frequency(steps)


def _wrapped(model: Any, kept_dense: Collection[str], schedule: Callable[[], Any]) -> Any:
    """Copies `model` with its weights and wraps the prunable layers with `schedule()`."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    def wrap(layer: Any) -> Any:
        copy = layer.__class__.from_config(layer.get_config())
        if layer.name in kept_dense or not is_prunable(layer):
            return copy
        return tfmot.sparsity.keras.prune_low_magnitude(copy, pruning_schedule=schedule())

    copy = tf_keras.models.clone_model(model, clone_function=wrap)
    for source, target in zip(model.layers, copy.layers, strict=True):
        inner = getattr(target, "layer", target)  # wrappers hold the original layer
        inner.set_weights(source.get_weights())
    return copy


def growing(model: Any, sparsity: float, steps: int, kept_dense: Collection[str]) -> Any:
    """Returns a copy to train for `steps` steps, in which the smallest weights become zero, at a decreasing rate.

    Args:
      model: a tf_keras model.
      sparsity: final fraction of zeros in each pruned layer.
      steps: number of batches it will be trained with, using `callbacks()`.
      kept_dense: names of layers that are not pruned.
    """
    from tensorflow_model_optimization.sparsity import keras as toolkit

    return _wrapped(
        model,
        kept_dense,
        lambda: toolkit.PolynomialDecay(0.0, sparsity, 0, end_step(steps), frequency=frequency(steps)),
    )


def held(model: Any, sparsity: float, kept_dense: Collection[str]) -> Any:
    """Returns a copy to train with `callbacks()`, in which zeros stay zero."""
    from tensorflow_model_optimization.sparsity import keras as toolkit

    # Steps count from 1. The masks are computed once, in the first step, from the existing zeros.
    return _wrapped(
        model, kept_dense, lambda: toolkit.ConstantSparsity(sparsity, begin_step=1, end_step=1, frequency=1)
    )


def callbacks() -> list[Any]:
    """Callbacks that training a pruned model needs."""
    from tensorflow_model_optimization.sparsity import keras as toolkit

    return [toolkit.UpdatePruningStep()]


def stripped(model: Any) -> Any:
    """Removes the pruning wrappers. A model with wrappers converts without an error, but the result fails later."""
    from tensorflow_model_optimization.sparsity import keras as toolkit

    return toolkit.strip_pruning(model)


def sparsities(model: Any, kept_dense: Collection[str]) -> dict[str, float]:
    """Fraction of zeros of each pruned layer of a stripped model."""
    return {
        layer.name: float(np.mean(layer.get_weights()[0] == 0))
        for layer in model.layers
        if layer.name not in kept_dense and is_prunable(layer)
    }

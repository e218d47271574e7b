"""MobileNetV2 (arXiv 1801.04381, table 2) of any width, for small images."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Group:
    """A row of the table: `repeats` inverted residual blocks, the first with `stride`."""

    expansion: int
    channels: int
    repeats: int
    stride: int


GROUPS = (
    Group(1, 16, 1, 1),
    Group(6, 24, 2, 2),
    Group(6, 32, 3, 2),
    Group(6, 64, 4, 2),
    Group(6, 96, 3, 1),
    Group(6, 160, 3, 2),
    Group(6, 320, 1, 1),
)
BLOCKS = sum(group.repeats for group in GROUPS)  # 17
STEM, HEAD = 32, 1280


def channels(base: int, width: float) -> int:
    """Returns `base` times `width`, rounded to a multiple of 8 that is at most 10 % smaller."""
    scaled = max(8, int(base * width + 4) // 8 * 8)
    return scaled + 8 if scaled < 0.9 * base * width else scaled


def layers_of_blocks(blocks: int) -> tuple[str, ...]:
    """Names of the pointwise layers of the first `blocks` inverted residual blocks."""
    return tuple(f"block_{number}_{part}" for number in range(blocks) for part in ("expand", "project"))


def _dropout_layer() -> type:
    """Returns a dropout layer class whose state is one counter among the weights, so that resumed runs are exact."""
    import tensorflow as tf
    import tf_keras

    class CountedDropout(tf_keras.layers.Layer):
        def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.rate, self.seed = rate, seed

        def build(self, input_shape: Any) -> None:
            self.step = self.add_weight("step", (), "int64", "zeros", trainable=False)
            super().build(input_shape)

        def call(self, inputs: Any, training: Any = None) -> Any:
            if not training:
                return inputs
            draw = tf.random.stateless_uniform(tf.shape(inputs), [self.seed, self.step.assign_add(1)])
            return tf.where(draw >= self.rate, inputs / (1 - self.rate), 0.0)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "rate": self.rate, "seed": self.seed}

    return CountedDropout


def build(
    side: int, depth: int, classes: int, width: float, dropout: float, seed: int, batch_size: int | None = None
) -> Any:
    """Builds a tf_keras model: images float32 [batch, side, side, depth] in -1..1 to logits [batch, classes].

    Args:
      side: height and width of the images, a multiple of 32.
      depth: channels of the images.
      classes: number of logits.
      width: multiplier of all channels. As in the paper, a width below 1 does not apply to the last convolution.
      dropout: rate before the fully connected layer.
      seed: seed of the dropout.
      batch_size: fixed batch size, as needed for conversion to microcontrollers; None for any.
    """
    from tf_keras import Model, layers

    def convolve(tensor: Any, layer: Any, active: bool = True) -> Any:
        # Momentum .9, not .999: the statistics must also be usable after a few hundred steps.
        tensor = layers.BatchNormalization(momentum=0.9, name=f"{layer.name}_norm")(layer(tensor))
        return layers.ReLU(6.0, name=f"{layer.name}_relu")(tensor) if active else tensor

    def pointwise(count: int, name: str) -> Any:
        return layers.Conv2D(count, 1, use_bias=False, name=name)

    image = layers.Input((side, side, depth), batch_size=batch_size, name="image")
    stem = layers.Conv2D(channels(STEM, width), 3, strides=2, padding="same", use_bias=False, name="stem")
    tensor = convolve(image, stem)
    number = 0
    for group in GROUPS:
        count = channels(group.channels, width)
        for repeat in range(group.repeats):
            name, before, stride = f"block_{number}", tensor, group.stride if repeat == 0 else 1
            if group.expansion > 1:
                tensor = convolve(tensor, pointwise(group.expansion * tensor.shape[-1], f"{name}_expand"))
            depthwise = layers.DepthwiseConv2D(
                3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
            )
            tensor = convolve(tensor, depthwise)
            tensor = convolve(tensor, pointwise(count, f"{name}_project"), active=False)
            if stride == 1 and before.shape[-1] == count:
                tensor = layers.Add(name=f"{name}_add")([before, tensor])
            number += 1
    tensor = convolve(tensor, pointwise(channels(HEAD, max(1.0, width)), "head"))
    tensor = layers.AveragePooling2D(tensor.shape[1:3], name="pool")(tensor)
    tensor = layers.Flatten(name="flatten")(tensor)
    if dropout:
        tensor = _dropout_layer()(dropout, seed, name="dropout")(tensor)
    return Model(image, layers.Dense(classes, name="dense")(tensor), name="mobilenet_v2")

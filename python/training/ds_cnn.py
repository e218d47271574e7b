"""DS-CNN for keyword spotting, as in "Hello Edge: Keyword Spotting on Microcontrollers" (arXiv 1711.07128), table 6."""

from __future__ import annotations

import dataclasses
from typing import Any

from training import features
from training.data.keywords import LABELS


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One column of the table.

    channels: output channels of every layer.
    stem_strides: strides of the 10x4 convolution, over time and over coefficients.
    block_strides: stride of the depthwise 3x3 convolution of each block.
    """

    channels: int
    stem_strides: tuple[int, int]
    block_strides: tuple[int, ...]


ARCHITECTURES = {
    "s": Architecture(64, (2, 2), (1, 1, 1, 1)),
    "m": Architecture(172, (2, 1), (2, 1, 1, 1)),
    "l": Architecture(276, (2, 1), (2, 1, 1, 1, 1)),
}


def build(name: str, batch_size: int | None = None) -> Any:
    """Builds a tf_keras model: MFCC float32 [batch, 49, 10, 1] to logits [batch, 12].

    Args:
      name: "s", "m" or "l".
      batch_size: fixed batch size, as needed for conversion to microcontrollers; None for any.
    """
    from tf_keras import Sequential, layers

    architecture = ARCHITECTURES[name]

    def normalised(layer: Any) -> list[Any]:
        # Momentum .9, not .99: the statistics must also be usable after a few hundred steps.
        return [
            layer,
            layers.BatchNormalization(momentum=0.9, name=f"{layer.name}_norm"),
            layers.ReLU(name=f"{layer.name}_relu"),
        ]

    shape = (features.FRAMES, features.COEFFICIENTS, 1)
    parts = [layers.InputLayer(input_shape=shape, batch_size=batch_size, name="mfcc")]
    parts += normalised(
        layers.Conv2D(
            architecture.channels,
            (10, 4),
            strides=architecture.stem_strides,
            padding="same",
            use_bias=False,
            name="stem",
        )
    )
    for number, stride in enumerate(architecture.block_strides, start=1):
        parts += normalised(
            layers.DepthwiseConv2D(
                3,
                strides=stride,
                padding="same",
                use_bias=False,
                # TensorFlow's gradient of strided depthwise convolutions is slow in bfloat16.
                dtype="float32" if stride > 1 else None,
                name=f"depthwise_{number}",
            )
        )
        parts += normalised(layers.Conv2D(architecture.channels, 1, use_bias=False, name=f"pointwise_{number}"))
    height, width = Sequential(parts).output_shape[1:3]
    parts += [
        layers.AveragePooling2D((height, width), name="pool"),
        layers.Flatten(name="flatten"),
        layers.Dense(len(LABELS), name="dense"),
    ]
    return Sequential(parts, name=f"ds_cnn_{name}")

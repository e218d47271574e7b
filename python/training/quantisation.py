"""int8 post-training quantisation, and a check that zeros stay zero."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dcsr import layers as layer_finder
from dcsr import model as tflite


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses warnings and the stderr output of the converter's C++ code."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def quantise(model: Any, representative: np.ndarray) -> bytes:
    """Converts a model to a full-integer .tflite file with int8 input and output.

    Args:
      model: a stripped tf_keras model with batch size 1.
      representative: float32 [n, ...], typical inputs; they determine the ranges of the activations.

    Returns:
      Content of the .tflite file.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([sample[np.newaxis]] for sample in representative)
    with _quiet():
        return converter.convert()


def check_zeros(content: bytes, name: str, wanted: Mapping[tuple[int, int], int]) -> None:
    """Checks that no zeros were lost.

    Args:
      content: the .tflite file.
      name: name of the model, for messages.
      wanted: minimum number of zeros of each pruned layer, by the (rows, columns) of its weights.

    Raises:
      ValueError: if a layer has fewer zeros.
    """
    found: dict[tuple[int, int], int] = {}
    for layer in layer_finder.find(tflite.parse(content, name)):
        if layer.matrix is not None:
            zeros = int(np.count_nonzero(layer.matrix == 0))
            found[layer.matrix.shape] = min(zeros, found.get(layer.matrix.shape, zeros))
    for shape, zeros in wanted.items():
        if found.get(shape, -1) < zeros:
            raise ValueError(f"{name}: {shape[0]} x {shape[1]} weights: {found.get(shape)} zeros, {zeros} expected")

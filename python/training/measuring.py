"""Accuracy of .tflite models in the TFLM interpreter. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from dcsr import isolation
from dcsr.model import ModelError

Track = Callable[[Sequence[int]], Iterable[int]]


def quantised(interpreter: isolation.IsolatedInterpreter, inputs: np.ndarray) -> np.ndarray:
    """Quantises float inputs [n, ...] to int8 with the scale and zero point of the model's input."""
    details = interpreter.get_input_details(0)
    if np.dtype(details["dtype"]) != np.int8:
        return inputs.astype(details["dtype"])
    parameters = details["quantization_parameters"]
    scale, zero_point = parameters["scales"][0], parameters["zero_points"][0]
    return np.clip(np.rint(inputs / scale) + zero_point, -128, 127).astype(np.int8)


def outputs(content: bytes, inputs: np.ndarray, name: str, track: Track = iter) -> np.ndarray:
    """Runs a model, compressed or not, on all samples.

    Args:
      content: the .tflite file.
      name: name of the model, for messages.
      inputs: float32 [n, ...], as the float model takes them.
      track: wraps the sequence of sample numbers to show progress.

    Returns:
      [n, classes], dtype of the model's output.

    Raises:
      ModelError: if the interpreter rejects the model.
    """
    results: list[Any] = []
    try:
        with isolation.IsolatedInterpreter(content) as interpreter:
            samples = quantised(interpreter, inputs)
            for number in track(range(len(samples))):
                interpreter.set_input(samples[number][np.newaxis], 0)
                interpreter.invoke()
                results.append(interpreter.get_output(0)[0])
    except isolation.InterpreterDied as death:
        raise ModelError(f"{name}: {death}") from death
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{name}: the TFLM interpreter refuses the model: {error}") from error
    return np.stack(results)


def accuracy(answers: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of answers [n, classes] whose largest element is at the label."""
    return float(np.mean(answers.argmax(axis=1) == labels))


def confusion(answers: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Counts the predictions: int64 [classes, classes], rows are labels, columns are predicted classes."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, answers.argmax(axis=1)), 1)
    return matrix

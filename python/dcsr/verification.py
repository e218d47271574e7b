"""Runs two models in the TFLM interpreter on the same inputs and compares every output bit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dcsr import model as tflite
from dcsr.arrays import read_npz
from dcsr.custom_ops import is_custom_op
from dcsr.model import ModelError
from dcsr.schema import schema

Array: TypeAlias = NDArray[Any]


class Runnable(Protocol):
    """The methods of an interpreter that a comparison needs."""

    def set_input(self, value: Array, index: int) -> None:
        """Sets an input."""

    def invoke(self) -> None:
        """Runs the model once."""

    def get_output(self, index: int) -> Array:
        """Returns an output."""


@dataclass(frozen=True)
class Input:
    """An input of a model.

    Attributes:
      name: name of the tensor; empty in a stripped model, and not compared.
      shape: shape of the tensor. TFLite gives unknown dimensions as 1 here.
      dtype: numpy type of its elements.
    """

    name: str = field(compare=False)
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Difference:
    """The first output element that differs.

    Attributes:
      text: the sample, the output, the element, and both values.
    """

    text: str


_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.UINT16: np.uint16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.UINT32: np.uint32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.BOOL: np.bool_,
}


def inputs_of(model: schema.ModelT, name: str) -> list[Input]:
    """Returns the inputs of the model's first subgraph. `name` is the model's name in messages.

    Raises:
      ModelError: if the type of an input is not supported.
    """
    subgraph = model.subgraphs[0]
    inputs = []
    for index in subgraph.inputs if subgraph.inputs is not None else []:
        tensor = subgraph.tensors[index]
        if tensor.type not in _DTYPES:
            raise ModelError(f"{name}: input '{tflite.text(tensor.name)}' has the unsupported type {tensor.type}")
        shape = () if tensor.shape is None else tuple(int(d) for d in tensor.shape)
        inputs.append(Input(tflite.text(tensor.name), shape, np.dtype(_DTYPES[tensor.type])))
    return inputs


class RandomSamples(Sequence[list[Array]]):
    """Random input sets: integers over the whole range of their type, floats in -10..10.

    [sample][input], arrays of the inputs' shapes and types. Each set is drawn when it is first asked for, and only the
    latest is kept: all of them may not fit in memory. The sets have to be taken in order.
    """

    def __init__(self, inputs: Sequence[Input], samples: int, seed: int) -> None:
        """Takes the model's inputs, the number of input sets, and the seed of the random generator."""
        self._inputs = inputs
        self._samples = samples
        self._rng = np.random.default_rng(seed)
        self._drawn = -1
        self._latest: list[Array] = []

    @property
    def latest(self) -> list[Array]:
        """The input set that was drawn last."""
        return self._latest

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self._samples:
            raise IndexError(number)
        if number < self._drawn:
            raise ValueError("random samples have to be taken in order")
        while self._drawn < number:
            self._latest = [self._draw(entry) for entry in self._inputs]
            self._drawn += 1
        return self._latest

    def _draw(self, entry: Input) -> Array:
        if entry.dtype == np.bool_:
            return self._rng.integers(0, 2, entry.shape).astype(np.bool_)
        if np.issubdtype(entry.dtype, np.floating):
            return self._rng.uniform(-10, 10, entry.shape).astype(entry.dtype)
        info = np.iinfo(entry.dtype)
        return self._rng.integers(info.min, info.max, entry.shape, entry.dtype, endpoint=True)


def random_samples(inputs: Sequence[Input], samples: int, seed: int) -> list[list[Array]]:
    """Returns all input sets of RandomSamples at once: [sample][input]."""
    return [list(drawn) for drawn in RandomSamples(inputs, samples, seed)]


def refusal(model: schema.ModelT, error: Exception) -> str:
    """Returns the interpreter's reasons as one line, each once, with the names of custom operators that it lacks."""
    reasons = list(dict.fromkeys(line.strip() for line in str(error).splitlines() if line.strip()))
    text = "; ".join(reasons)
    if "op code CUSTOM" in text:
        names = {tflite.operator_name(model, operator) for _, operator in tflite.operators(model)
                 if tflite.builtin_code(model, operator) == schema.BuiltinOperator.CUSTOM
                 and not is_custom_op(model, operator)}  # fmt: skip
        if names:
            text += (
                f": the interpreter lacks the custom operators {', '.join(map(repr, sorted(names)))}, or some of them"
            )
    return text


def file_samples(path: str | os.PathLike[str], inputs: Sequence[Input]) -> list[list[Array]]:
    """Reads input sets from an .npz file with the arrays of `array_samples`.

    Returns:
      [sample][input], arrays of the inputs' shapes and types.

    Raises:
      ModelError: if the file cannot be read or does not fit the inputs.
    """
    arrays = read_npz(path)
    return array_samples(arrays, inputs, str(path))


def array_samples(arrays: Mapping[str, Array], inputs: Sequence[Input], where: str) -> list[list[Array]]:
    """Splits arrays into input sets.

    Args:
      arrays: one array [samples, *shape] or [*shape] for each input, in the input's dtype. A leading dimension of 1 of
        the model may be left out. Arrays are matched by name if all inputs are named, else in order.
      inputs: the model's inputs.
      where: source of the arrays; begins error messages.

    Returns:
      [sample][input], arrays of the inputs' shapes and types.

    Raises:
      ModelError: if the arrays do not fit the inputs.
    """
    if len(arrays) != len(inputs):
        raise ModelError(f"{where}: has {len(arrays)} arrays, the model has {len(inputs)} inputs")
    by_name = all(entry.name in arrays for entry in inputs)
    ordered = [arrays[entry.name] for entry in inputs] if by_name else list(arrays.values())
    columns = []
    for entry, array in zip(inputs, ordered, strict=True):
        if array.shape == entry.shape:
            array = array[np.newaxis]
        elif entry.shape[:1] == (1,) and array.ndim == len(entry.shape) and array.shape[1:] == entry.shape[1:]:
            array = array[:, np.newaxis]
        if array.dtype != entry.dtype or array.shape[1:] != entry.shape:
            raise ModelError(
                f"{where}: input '{entry.name}' wants {entry.dtype} [samples, {str(list(entry.shape))[1:]},"
                f" the file has {array.dtype} {list(array.shape)}"
            )
        columns.append(array)
    counts = {len(column) for column in columns}
    if len(counts) > 1 or 0 in counts:
        raise ModelError(f"{where}: its arrays have {sorted(counts)} samples")
    return [[np.ascontiguousarray(c[i]) for c in columns] for i in range(counts.pop() if counts else 0)]


def run(interpreter: Runnable, inputs: Sequence[Array], outputs: int) -> list[Array]:
    """Runs a model once on an input set and returns copies of its outputs; `outputs` is their number."""
    for index, value in enumerate(inputs):
        interpreter.set_input(value, index)
    interpreter.invoke()
    return [np.array(interpreter.get_output(i)) for i in range(outputs)]


def compare(
    first: Runnable,
    second: Runnable,
    inputs: Sequence[Input],
    outputs: int,
    samples: Sequence[Sequence[Array]],
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Difference | None:
    """Runs both interpreters on each sample until an output differs.

    Args:
      first: interpreter of the original model.
      second: interpreter of the model to compare with it.
      inputs: the models' inputs.
      outputs: number of outputs.
      samples: [sample][input], as array_samples returns them.
      progress: wraps the sequence of sample numbers.

    Returns:
      The first difference; None if all outputs are equal, bit for bit.

    Raises:
      RuntimeError: if an interpreter fails.
    """
    for number in progress(range(len(samples))):
        results = [run(interpreter, samples[number], outputs) for interpreter in (first, second)]
        for index, (want, got) in enumerate(zip(*results, strict=True)):
            difference = _first_difference(want, got)
            if difference:
                return Difference(f"sample {number}, output {index}: {difference}")
    return None


def _first_difference(want: Array, got: Array) -> str | None:
    if want.shape != got.shape or want.dtype != got.dtype:
        return f"{want.dtype} {list(want.shape)} became {got.dtype} {list(got.shape)}"
    # Compares bytes: floats must be equal bit for bit, and NaN equals itself.
    raw = [np.ascontiguousarray(array).view(np.uint8).reshape(want.size, -1) for array in (want, got)]
    different = np.flatnonzero(np.any(raw[0] != raw[1], axis=1))
    if not different.size:
        return None
    at = np.unravel_index(different[0], want.shape)
    place = ", ".join(str(int(i)) for i in at)
    return f"element [{place}] is {want[at]} in the first model, {got[at]} in the second ({different.size} differ)"

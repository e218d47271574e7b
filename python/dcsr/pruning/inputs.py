"""Representative inputs: reading, quantising, splitting, and the checks that tell useless ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsr import arrays as arrays_of
from dcsr import model as tflite
from dcsr.graph import indices
from dcsr.model import ModelError
from dcsr.schema import enum_name, schema

Array = NDArray[Any]
Given = Mapping[str, Array] | Sequence[Array] | str | os.PathLike[str]

LEAST = 8
FEW = 64
_ENOUGH = "some hundred, of many speakers, scenes or devices, are enough"
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.BOOL: np.bool_,
}
# Neighbouring elements of recorded data are correlated; of noise they are not.
_NOISE_CORRELATION = 0.1
_LEAST_ELEMENTS = 16
_MOST_CLIPPED = 0.2


@dataclass(frozen=True)
class Input:
    """An input of a model.

    Attributes:
      name: of the tensor.
      shape: of one sample, with the model's batch.
      dtype: of its elements.
      scale, zero_point: of its quantization; 0 if it has none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Inputs:
    """Samples for a model, in the types of its inputs.

    Attributes:
      arrays: [samples, *shape] for each input.
      where: their file or folder, for messages.
      warnings: reasons to distrust them.
    """

    arrays: list[Array]
    where: str
    warnings: list[str]

    def __len__(self) -> int:
        return len(self.arrays[0])


def wanted(model: schema.ModelT, name: str) -> list[Input]:
    """The inputs of subgraph 0.

    Raises:
      ModelError: if there are none, or one has a type that prune cannot set.
    """
    graph = model.subgraphs[0]
    found = []
    for index in indices(graph.inputs):
        tensor = graph.tensors[index]
        if tensor.type not in _DTYPES:
            kind = enum_name(schema.TensorType, tensor.type)
            raise ModelError(f"{name}: input '{tflite.text(tensor.name)}' has the unsupported type {kind}")
        quantization = tensor.quantization
        scale, zero = 0.0, 0
        if quantization is not None and quantization.scale is not None and len(quantization.scale) == 1:
            scale = float(quantization.scale[0])
            zero = int(quantization.zeroPoint[0]) if quantization.zeroPoint is not None else 0
        shape = () if tensor.shape is None else tuple(int(d) for d in tensor.shape)
        found.append(Input(tflite.text(tensor.name), shape, np.dtype(_DTYPES[tensor.type]), scale, zero))
    if not found:
        raise ModelError(f"{name}: the model has no inputs, so that no activations can be measured")
    return found


def load(given: Given, model: schema.ModelT, name: str) -> Inputs:
    """Reads samples and checks them.

    Args:
      given: an array [samples, *shape] for each input, by name or in order; or the path of an .npz with such arrays, or
        of a folder with a .npy (or, with several inputs, an .npz) for each sample. Float samples for a quantised input
        are quantised. A leading dimension of 1 of the model may be left out.
      model: the model.
      name: of the model, for messages.

    Raises:
      ModelError: if the samples cannot be read, do not fit the model, or are too few.
    """
    inputs = wanted(model, name)
    if isinstance(given, (str, os.PathLike)):
        where = str(given)
        arrays = _read_folder(Path(given), inputs) if Path(given).is_dir() else _read_archive(Path(given))
    elif isinstance(given, Mapping):
        where, arrays = "inputs", dict(given)
    else:
        where, arrays = "inputs", {f"arr_{i}": np.asarray(array) for i, array in enumerate(given)}
    if len(arrays) != len(inputs):
        present = ", ".join(f"'{key}'" for key in list(arrays)[:4]) or "none"
        raise ModelError(
            f"{where}: has {len(arrays)} arrays ({present}), the model has {len(inputs)} inputs:"
            f" {', '.join(repr(entry.name) for entry in inputs)}"
        )
    by_name = all(entry.name in arrays for entry in inputs)
    ordered = [arrays[entry.name] for entry in inputs] if by_name else list(arrays.values())
    warnings: list[str] = []
    fitted = [_fit(array, entry, where, warnings) for array, entry in zip(ordered, inputs, strict=True)]
    counts = {len(array) for array in fitted}
    if len(counts) > 1:
        raise ModelError(f"{where}: its arrays have {' and '.join(map(str, sorted(counts)))} samples")
    count = counts.pop()
    if count < LEAST:
        raise ModelError(f"{where}: has {count} samples, at least {LEAST} are needed; {_ENOUGH}")
    if count < FEW:
        warnings.append(f"{where}: {count} samples are few; {_ENOUGH}")
    _check_samples(fitted, inputs, where, warnings)
    return Inputs(fitted, where, warnings)


def split(count: int, holdout: float, most: int, most_held_out: int, seed: int) -> tuple[Array, Array]:
    """Indices of the samples that are pruned with and of those that are held out, in random order.

    Args:
      count: number of samples.
      holdout: share that is held out, 0..1.
      most: limit of the former.
      most_held_out: limit of the latter.
      seed: of the order.
    """
    order = np.random.default_rng(seed).permutation(count)
    held_out = max(1, round(holdout * count)) if holdout > 0 else 0
    return order[held_out:][:most], order[:held_out][:most_held_out]


def _read_archive(path: Path) -> dict[str, Array]:
    found = arrays_of.read(path)
    return found if isinstance(found, dict) else {path.stem: found}


def _read_folder(folder: Path, inputs: Sequence[Input]) -> dict[str, Array]:
    """The samples of a folder, in the order of their names."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".npy", ".npz"))
    if not files:
        raise ModelError(f"{folder}: has no .npy or .npz files, one for each sample")
    samples: dict[str, list[Array]] = {}
    for path in files:
        arrays = _read_archive(path)
        if path.suffix == ".npy":
            arrays = {inputs[0].name: next(iter(arrays.values()))}
        if samples and set(arrays) != set(samples):
            raise ModelError(f"{path}: its arrays are not those of {files[0].name}")
        for key, array in arrays.items():
            first = samples.setdefault(key, [array])[0]
            if array.shape != first.shape or array.dtype != first.dtype:
                raise ModelError(
                    f"{path}: '{key}' is {array.dtype} {list(array.shape)}, in {files[0].name} {first.dtype}"
                    f" {list(first.shape)}"
                )
            if array is not first:
                samples[key].append(array)
    return {key: np.stack(arrays) for key, arrays in samples.items()}


def _fit(array: Array, entry: Input, where: str, warnings: list[str]) -> Array:
    """One input's samples in its shape and type."""
    shape, name = entry.shape, f"{where}: input '{entry.name}'"
    inner = shape[1:] if shape and shape[0] == 1 else None
    if inner is not None and array.ndim == len(shape) and array.shape[1:] == inner:
        array = array[:, np.newaxis]
    if array.ndim == 0 or array.shape[1:] != shape:
        raise ModelError(
            f"{name} wants [samples, {str(list(shape if inner is None else inner))[1:]}, the file has"
            f" {list(array.shape)}"
        )
    if array.dtype == entry.dtype:
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
            raise ModelError(f"{name} has values that are not finite")
        return np.ascontiguousarray(array)
    if array.dtype.kind != "f" or entry.dtype.kind not in "iu":
        raise ModelError(
            f"{name} wants {entry.dtype}, or float to be quantised with the model's scale; the file has {array.dtype}"
        )
    if not np.all(np.isfinite(array)):
        raise ModelError(f"{name} has values that are not finite")
    if not entry.scale:
        raise ModelError(f"{name} has no scale to quantise float samples with; give {entry.dtype} samples")
    limits = np.iinfo(entry.dtype)
    steps = np.rint(array / entry.scale) + entry.zero_point
    clipped = float(np.mean((steps < limits.min - 0.5) | (steps > limits.max + 0.5)))
    if clipped > _MOST_CLIPPED:
        low, high = ((bound - entry.zero_point) * entry.scale for bound in (limits.min, limits.max))
        warnings.append(
            f"{name}: {clipped:.0%} of the values lie outside the model's range {low:.4g}..{high:.4g}; are they scaled"
            " as in training?"
        )
    quantised: Array = np.clip(steps, limits.min, limits.max).astype(entry.dtype)
    return quantised


def _check_samples(arrays: Sequence[Array], inputs: Sequence[Input], where: str, warnings: list[str]) -> None:
    """Adds warnings about samples that are equal, constant or noise."""
    count = len(arrays[0])
    flat = np.concatenate([np.ascontiguousarray(a).reshape(count, -1).view(np.uint8) for a in arrays], axis=1)
    distinct = len({row.tobytes() for row in flat})
    if distinct < count:
        warnings.append(f"{where}: only {distinct} of the {count} samples are different")
    if distinct == 1:
        raise ModelError(f"{where}: all {count} samples are equal, so that nothing can be measured; {_ENOUGH}")
    noise = [
        entry.name
        for array, entry in zip(arrays, inputs, strict=True)
        if array[0].size >= _LEAST_ELEMENTS and array.dtype.kind in "iuf" and _looks_random(array)
    ]
    if len(noise) == len(inputs):
        warnings.append(
            f"{where}: the samples look like random numbers (neighbouring elements are not correlated); with random"
            " inputs the pruned model loses its accuracy, and the disagreement on them says nothing: record real ones"
        )


def _looks_random(array: Array) -> bool:
    """Whether neighbours are uncorrelated along every dimension, and elements across samples have one distribution."""
    values = array[:512].astype(np.float64)
    values = values - values.mean()
    if not (variance := float(np.mean(values**2))):
        return False
    for axis in range(1, values.ndim):
        if values.shape[axis] < 2:
            continue
        first, second = (
            np.take(values, range(values.shape[axis] - 1), axis),
            np.take(values, range(1, values.shape[axis]), axis),
        )
        if abs(float(np.mean(first * second))) > _NOISE_CORRELATION * variance:
            return False
    return True

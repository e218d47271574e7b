"""Reads .npy and .npz files. Sizes are checked before memory is allocated, so that a small file needs little."""

from __future__ import annotations

import contextlib
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from dcsr.errors import ModelError
from dcsr.files import AnyPath

# An archive that is small itself may not expand to more than this, or to more than so many times its size.
_MAX_EXPANDED_BYTES = 64 << 20
_MAX_EXPANSION = 100


def read_npy(path: AnyPath) -> NDArray[Any]:
    """Reads one array of numbers.

    Raises:
      ModelError: if the file cannot be read, is not a .npy file of numbers, or is shorter than its shape says.
    """
    with _reported(path, "a .npy file of numbers"), open(path, "rb") as file:
        if _is_archive(file):
            raise ModelError(f"{path}: an .npz archive; give one .npy of it")
        return _array(file)


def read_npz(path: AnyPath) -> dict[str, NDArray[Any]]:
    """Reads the arrays of an archive, by name.

    Raises:
      ModelError: if the file cannot be read, is not an .npz file of numbers, or expands to too many bytes.
    """
    with _reported(path, "an .npz file of numbers"):
        return _arrays(path)


def read(path: AnyPath) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Reads the array of a .npy file, or the arrays of an .npz file by name.

    Raises:
      ModelError: as `read_npy` and `read_npz`.
    """
    with _reported(path, "an .npz or .npy file of numbers"), open(path, "rb") as file:
        return _arrays(path) if _is_archive(file) else _array(file)


def _is_archive(file: IO[bytes]) -> bool:
    start = file.read(2)
    file.seek(0)
    return start == b"PK"


def _array(file: IO[bytes]) -> NDArray[Any]:
    _check_size(file, os.fstat(file.fileno()).st_size)
    file.seek(0)
    array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array


def _arrays(path: AnyPath) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        limit = max(_MAX_EXPANDED_BYTES, _MAX_EXPANSION * os.path.getsize(path))
        if sum(entry.file_size for entry in entries) > limit:
            raise ValueError(f"its arrays take more than {limit:,} bytes")
        arrays = {}
        for entry in entries:
            with archive.open(entry) as file:
                _check_size(file, entry.file_size)
            with archive.open(entry) as file:
                arrays[entry.filename.removesuffix(".npy")] = npy.read_array(file, allow_pickle=False)
        return arrays


def _check_size(file: IO[bytes], available: int) -> None:
    """Raises ValueError if the array that begins at the start of `file` needs more than the `available` bytes."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    elements = 1
    for dimension in shape:
        if type(dimension) is not int or dimension < 0:
            raise ValueError(f"impossible shape {list(shape)[:8]}")
        elements *= dimension
    if elements * max(dtype.itemsize, 1) > available:
        raise ValueError(f"the file is shorter than its shape {list(shape)[:8]} says")


@contextlib.contextmanager
def _reported(path: AnyPath, kind: str) -> Iterator[None]:
    """Turns the exceptions that a damaged file can cause into ModelError."""
    try:
        yield
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except (
        ValueError,
        AttributeError,
        EOFError,
        TypeError,
        KeyError,
        IndexError,
        SyntaxError,
        RecursionError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        OverflowError,
        tokenize.TokenError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ModelError(f"{path}: not {kind} ({error})") from error

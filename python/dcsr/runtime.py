"""The interpreter of the tflite-micro wheel with the ops of compressed models.

    interpreter = dcsr.runtime.Interpreter.from_file("model.dcsr.tflite")

is used as `tflite_micro.runtime.Interpreter` is. The ops are in a library of their own, which is
built by `bazel build //ops:wheel_plugin` and expected beside this module or where DCSR_WHEEL_PLUGIN
says.

Two things differ from the wheel's class. What the C++ code writes to stderr while a model is loaded
stands in the exception if that fails. And a model is checked first: the wheel does not, and crashes
on damaged ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
import struct
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from tflite_micro import runtime as stock

from dcsr.schema import schema

InterpreterConfig = stock.InterpreterConfig

PLUGIN_VARIABLE = "DCSR_WHEEL_PLUGIN"

_PLUGIN_NAME = "_dcsr_ops_wheel.so"
_REGISTERER = "DcsrRegisterOps"
_CUSTOM_CODES = (b"DCSR_CONV_2D", b"DCSR_FULLY_CONNECTED")

# The wheel's default of ten times the model is too little for small and for well compressed models.
# What is not touched of an arena costs nothing.
_MIN_DEFAULT_ARENA = 64 << 20

# The wheel crashes if the arena does not hold the structures that come before any of the model's.
_MIN_ARENA = {
    InterpreterConfig.kAllocationRecording: 512,
    InterpreterConfig.kPreserveAllTensors: 8216 + 512,  # the planner that plans nothing
}


class Interpreter(stock.Interpreter):
    """A `tflite_micro.runtime.Interpreter` that also runs compressed models.

    Constructing one raises
      ValueError: if the model is truncated or damaged, or an argument is wrong.
      RuntimeError: if the interpreter refuses the model or the wheel is not supported, with the
        reason that the C++ code gave; if the library with the ops is missing.
    """

    def __init__(
        self,
        model_data: bytes,
        custom_op_registerers: list[str],
        arena_size: int | None,
        intrepreter_config: InterpreterConfig = InterpreterConfig.kAllocationRecording,
        alt_decompression_memory_size: int = 0,
    ) -> None:
        """Loads a model; in `from_bytes` and `from_file` most arguments have defaults.

        Args:
          model_data: content of a .tflite file.
          custom_op_registerers: names of C functions that register further ops.
          arena_size: bytes; None for ten times the model, at least 64 MiB. The builtin ops of the wheel may crash
            in one that is too small.
          intrepreter_config: as in the wheel, which spells it so.
          alt_decompression_memory_size: as in the wheel.
        """
        if model_data is None:
            raise ValueError("Model must not be None")
        model_data = bytes(model_data)
        check_model(model_data)
        _load_plugin()
        registerers = custom_op_registerers
        if isinstance(registerers, list) and _REGISTERER not in registerers:
            registerers = [*registerers, _REGISTERER]
        if arena_size is None:
            arena_size = max(10 * len(model_data), _MIN_DEFAULT_ARENA)
        if arena_size < _MIN_ARENA.get(intrepreter_config, 0):
            raise ValueError(f"an arena of {arena_size} bytes is too small for any model")
        # Older wheels do not know the last argument.
        options = [alt_decompression_memory_size] if alt_decompression_memory_size else []
        with _reasons_in_exceptions():
            super().__init__(
                model_data + bytes(_MAX_SCALAR_BYTES),
                registerers,
                arena_size,
                intrepreter_config,
                *options,
            )

    @classmethod
    def from_file(
        cls,
        model_path: str | os.PathLike[str],
        custom_op_registerers: list[str] | None = None,
        arena_size: int | None = None,
        intrepreter_config: InterpreterConfig = InterpreterConfig.kAllocationRecording,
        alt_decompression_memory_size: int = 0,
    ) -> Interpreter:
        """Loads the model in the file at `model_path`; for the rest see the constructor."""
        if model_path is None or not os.path.isfile(model_path):
            raise ValueError(f"Invalid model file path: {model_path}")
        return cls.from_bytes(
            Path(model_path).read_bytes(),
            custom_op_registerers,
            arena_size,
            intrepreter_config,
            alt_decompression_memory_size,
        )

    @classmethod
    def from_bytes(
        cls,
        model_data: bytes,
        custom_op_registerers: list[str] | None = None,
        arena_size: int | None = None,
        intrepreter_config: InterpreterConfig = InterpreterConfig.kAllocationRecording,
        alt_decompression_memory_size: int = 0,
    ) -> Interpreter:
        """Loads the model in `model_data`; for the rest see the constructor."""
        return cls(
            model_data,
            [] if custom_op_registerers is None else custom_op_registerers,
            arena_size,
            intrepreter_config,
            alt_decompression_memory_size,
        )


def arena_used_bytes(model_data: bytes) -> int:
    """Bytes of the arena that the wheel's interpreter uses for a model.

    Structures of the interpreter are among them, which are larger on a 64-bit host than on a
    microcontroller.

    Args:
      model_data: content of a .tflite file, compressed or not.

    Raises:
      ValueError, RuntimeError: if the model cannot be loaded, as for `Interpreter`.
    """
    interpreter = Interpreter.from_bytes(model_data)
    with _captured_stderr("[RecordingMicroAllocator]") as lines:
        interpreter.print_allocations()
    found = re.search(r"Arena allocation total (\d+) bytes", "\n".join(lines))
    if found is None:
        raise RuntimeError(f"the interpreter does not say how much of its arena it uses: {lines}")
    return int(found[1])


# The library with the ops.

_plugin_lock = threading.Lock()
_plugin: ctypes.CDLL | None = None


def _load_plugin() -> None:
    """Makes the function that registers our ops known to the process, once."""
    global _plugin
    with _plugin_lock:
        if _plugin is not None:
            return
        path = os.environ.get(PLUGIN_VARIABLE) or Path(__file__).with_name(_PLUGIN_NAME)
        if not os.path.isfile(path):
            raise RuntimeError(
                f"the library with the ops for the tflite-micro wheel is missing: {path}; build it"
                f" with `bazel build //ops:wheel_plugin` and set {PLUGIN_VARIABLE} to its path,"
                " or run through bazel"
            )
        try:
            # The wheel looks for the function among the global symbols.
            library = ctypes.CDLL(os.path.abspath(path), mode=ctypes.RTLD_GLOBAL)
            getattr(library, _REGISTERER)
        except (OSError, AttributeError) as error:
            raise RuntimeError(f"{path} is no library with the ops: {error}") from error
        _plugin = library


# What C++ code writes to stderr.

_capture_lock = threading.RLock()  # there is one stderr in a process


@contextlib.contextmanager
def _captured_stderr(*kept: str) -> Iterator[list[str]]:
    """Yields a list that gets the lines written to file descriptor 2 when the block ends.

    Those that begin with one of `kept` end there, all others go on to stderr. Without a stderr or
    room for a temporary file nothing is captured.
    """
    lines: list[str] = []
    with _capture_lock, contextlib.ExitStack() as stack:
        try:
            stderr = os.dup(2)
            stack.callback(os.close, stderr)
            file = stack.enter_context(tempfile.TemporaryFile())
        except OSError:
            yield lines
            return
        _flush_stderr()
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            _flush_stderr()
            os.dup2(stderr, 2)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines(keepends=True)
            passed_on = "".join(line for line in lines if not line.startswith(kept)).encode()
            with contextlib.suppress(OSError):
                while passed_on:
                    passed_on = passed_on[os.write(2, passed_on) :]


def _flush_stderr() -> None:
    # It may be None, closed, or whatever a program has put there.
    with contextlib.suppress(Exception):
        sys.stderr.flush()


@contextlib.contextmanager
def _reasons_in_exceptions() -> Iterator[None]:
    """Adds what the block writes to stderr to the message of the exception that ends it."""
    own = (_REGISTERER, *(code.decode() for code in _CUSTOM_CODES))
    lines: list[str] = []
    try:
        with _captured_stderr(*own) as lines:
            yield
    except (RuntimeError, ValueError) as error:
        kind = RuntimeError if isinstance(error, RuntimeError) else ValueError
        reasons = [line.strip() for line in lines if line.strip()]
        raise kind("\n".join([str(error), *reasons])) from error


# The check of a model: whether all that the interpreter will follow is there. Fields are given by
# their number in TensorFlow Lite's schema.fbs. What the values mean to builtin ops is up to those.

_MAX_SCALAR_BYTES = 8

# Fields of option tables that are offsets, as far as TFLM reads them: to vectors of 4-byte numbers
# or to strings.
_OPTION_VECTORS = {
    "BucketizeOptions": [0],
    "ConcatEmbeddingsOptions": [1, 2],
    "FullyConnectedOptions": [5],
    "ReshapeOptions": [0],
    "SqueezeOptions": [0],
}
_OPTION_STRINGS = {"VarHandleOptions": [0, 1]}


def check_model(data: bytes) -> None:
    """Checks that `data` is a whole TFLite model which the interpreter can walk without leaving it.

    Only scalars may reach up to 8 bytes beyond the end, if a table claims to be smaller than its
    fields; `Interpreter` puts zeros there.

    Raises:
      ValueError: if it is none, is truncated, or refers to what it does not have.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("not a TFLite model (no TFL3 identifier)")
    # Flatbuffers are made of whole words.
    if len(data) % 4 != 0:
        raise ValueError("truncated TFLite model (its size is not a multiple of 4)")
    try:
        _check_tables(data)
        # The wheel does this as well, with whatever exception comes of it.
        schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    except _Damage as damage:
        raise ValueError(f"truncated or damaged TFLite model ({damage})") from None
    except Exception as error:
        raise ValueError(f"damaged TFLite model ({error})") from error


class _Damage(Exception):
    """What is wrong with a model."""


class _Table:
    """A flatbuffer table; every access is checked."""

    def __init__(self, data: bytes, position: int, name: str) -> None:
        self.name = name
        self._data = data
        self._position = position
        self._vtable = position - self._read("<i", position)
        self._fields = (self._read("<H", self._vtable) - 4) // 2
        size = self._read("<H", self._vtable + 2)
        self._require_range(self._vtable, 4 + 2 * self._fields)
        self._require_range(position, size)
        if self._fields < 0 or any(self._offset(field) >= size for field in range(self._fields)):
            raise _Damage(f"{name}: a field lies outside its table")

    def scalar(self, field: int, layout: str = "<I", default: int = 0) -> int:
        """A number."""
        offset = self._offset(field)
        return self._read(layout, self._position + offset) if offset else default

    def vector(self, field: int, element_bytes: int) -> bytes:
        """Content of a vector of numbers, empty if there is none."""
        found = self._find_vector(field, element_bytes)
        return b"" if found is None else self._data[found[0] : found[0] + found[1] * element_bytes]

    def integers(self, field: int) -> tuple[int, ...]:
        """A vector of int32."""
        content = self.vector(field, 4)
        return struct.unpack(f"<{len(content) // 4}i", content)

    def has(self, field: int) -> bool:
        """Whether the field is there."""
        return self._offset(field) != 0

    def string(self, field: int) -> bytes:
        """A string, which a zero must follow."""
        found = self._find_vector(field, 1)
        if found is None:
            return b""
        start, length = found
        if self._read("<B", start + length) != 0:
            raise _Damage(f"{self.name}: a string has no end")
        return self._data[start : start + length]

    def table(self, field: int, name: str) -> _Table | None:
        """A table, None if there is none."""
        offset = self._offset(field)
        return self._follow(self._position + offset, name) if offset else None

    def tables(self, field: int, name: str, *, required: bool = False) -> list[_Table]:
        """A vector of tables."""
        found = self._find_vector(field, 4)
        if found is None:
            if required:
                raise _Damage(f"{self.name}: has no {name}s")
            return []
        start, length = found
        return [self._follow(start + 4 * i, f"{name} {i}") for i in range(length)]

    def _offset(self, field: int) -> int:
        """Where a field is in the table, 0 if it is not."""
        return self._read("<H", self._vtable + 4 + 2 * field) if field < self._fields else 0

    def _follow(self, position: int, name: str) -> _Table:
        return _Table(self._data, position + self._read("<I", position), name)

    def _find_vector(self, field: int, element_bytes: int) -> tuple[int, int] | None:
        """(position, length) of a vector's elements."""
        offset = self._offset(field)
        if not offset:
            return None
        position = self._position + offset
        position += self._read("<I", position)
        length = self._read("<I", position)
        self._require_range(position + 4, length * element_bytes)
        return position + 4, length

    def _read(self, layout: str, position: int) -> int:
        self._require_range(position, struct.calcsize(layout))
        return struct.unpack_from(layout, self._data, position)[0]

    def _require_range(self, position: int, size: int) -> None:
        if position < 0 or position + size > len(self._data):
            raise _Damage(f"{self.name}: leaves the file")


def _check_tables(data: bytes) -> None:
    if len(data) < 8:
        raise _Damage("it ends in its header")
    model = _Table(data, int.from_bytes(data[:4], "little"), "model")
    model.string(3)
    model.vector(5, 4)
    codes = model.tables(1, "operator code", required=True)
    buffers = model.tables(4, "buffer", required=True)
    sizes = [len(buffer.vector(0, 1)) for buffer in buffers]
    for code in codes:
        code.string(1)
    for entry in model.tables(6, "metadata"):
        entry.string(0)
        _require_index(entry, "buffer", entry.scalar(1), sizes)
    subgraphs = model.tables(2, "subgraph", required=True)
    if not subgraphs:
        raise _Damage("model: has no subgraphs")
    for subgraph in subgraphs:
        _check_subgraph(subgraph, codes, sizes)


def _check_subgraph(subgraph: _Table, codes: list[_Table], buffer_sizes: list[int]) -> None:
    subgraph.string(4)
    tensors = subgraph.tables(0, "tensor", required=True)
    for tensor in tensors:
        _check_tensor(tensor, buffer_sizes)
    for field, name in ((1, "inputs"), (2, "outputs")):
        if not subgraph.has(field):
            raise _Damage(f"{subgraph.name}: has no {name}")
        for index in subgraph.integers(field):
            _require_index(subgraph, "tensor", index, tensors)
    for operator in subgraph.tables(3, "operator"):
        _check_operator(operator, codes, tensors, buffer_sizes)


def _check_tensor(tensor: _Table, buffer_sizes: list[int]) -> None:
    tensor.string(3)
    tensor.vector(0, 4)
    tensor.vector(7, 4)
    _require_index(tensor, "buffer", tensor.scalar(2), buffer_sizes)
    quantization = tensor.table(4, "quantization")
    if quantization is not None:
        for field, element_bytes in ((0, 4), (1, 4), (2, 4), (3, 8)):
            quantization.vector(field, element_bytes)


def _check_operator(operator: _Table, codes: list[_Table], tensors: list[_Table], buffer_sizes: list[int]) -> None:
    operator.vector(5, 1)
    operator.vector(7, 1)
    code_index = operator.scalar(0)
    _require_index(operator, "operator code", code_index, codes)
    for field in (1, 2, 8):
        for index in operator.integers(field):
            if index != -1:  # an optional tensor that is left out
                _require_index(operator, "tensor", index, tensors)
    kind = operator.scalar(3, "<B")
    options = operator.table(4, "options")
    if options is not None:
        name = next((n for n, k in vars(schema.BuiltinOptions).items() if k == kind), "")
        for field in _OPTION_VECTORS.get(name, ()):
            options.vector(field, 4)
        for field in _OPTION_STRINGS.get(name, ()):
            options.string(field)
    operator.table(12, "further options")

    if codes[code_index].string(1) in _CUSTOM_CODES:
        _check_constants(operator, tensors, buffer_sizes)


def _check_constants(operator: _Table, tensors: list[_Table], buffer_sizes: list[int]) -> None:
    """Our ops see only the shape of a tensor, and not whether its buffer holds so many bytes."""
    for index in operator.integers(1):
        if index == -1:
            continue
        tensor = tensors[index]
        available = buffer_sizes[tensor.scalar(2)]
        if 0 < available < math.prod(tensor.integers(0)):
            raise _Damage(f"{operator.name}: {tensor.name} is larger than its buffer")


def _require_index(table: _Table, what: str, index: int, things: Iterable) -> None:
    if not 0 <= index < len(things):
        raise _Damage(f"{table.name}: there is no {what} {index}")

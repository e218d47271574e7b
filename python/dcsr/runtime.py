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
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from tflite_micro import runtime as stock

from dcsr.custom_ops import CUSTOM_CODES
from dcsr.model_check import MAX_SCALAR_BYTES, check_model

InterpreterConfig: TypeAlias = stock.InterpreterConfig

PLUGIN_VARIABLE = "DCSR_WHEEL_PLUGIN"

_PLUGIN_NAME = "_dcsr_ops_wheel.so"
_REGISTERER = "DcsrRegisterOps"

# The wheel's default of ten times the model is too little for small and for well compressed models.
# What is not touched of an arena costs nothing.
_MIN_DEFAULT_ARENA = 64 << 20

# The wheel crashes if the arena does not hold the structures that come before any of the model's.
_MIN_ARENA = {
    InterpreterConfig.kAllocationRecording: 512,
    InterpreterConfig.kPreserveAllTensors: 8216 + 512,  # the planner that plans nothing
}


class Interpreter(stock.Interpreter):  # type: ignore[misc]
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
                model_data + bytes(MAX_SCALAR_BYTES),
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
    own = (_REGISTERER, *CUSTOM_CODES.values())
    lines: list[str] = []
    try:
        with _captured_stderr(*own) as lines:
            yield
    except (RuntimeError, ValueError) as error:
        kind = RuntimeError if isinstance(error, RuntimeError) else ValueError
        reasons = [line.strip() for line in lines if line.strip()]
        raise kind("\n".join([str(error), *reasons])) from error

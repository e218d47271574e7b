"""The interpreter of the tflite-micro wheel, extended with the ops of compressed models.

    interpreter = dcsr.runtime.Interpreter.from_file("model.dcsr.tflite")

It has the interface of `tflite_micro.runtime.Interpreter`. The ops are in a separate library, which
`bazel build //ops:wheel_plugin` builds. It must be beside this module or at the path in the environment variable
DCSR_WHEEL_PLUGIN.

It differs from the wheel's class in two ways. If loading a model fails, the exception contains the messages that the
C++ code wrote to stderr. And it checks models before loading them: the wheel itself crashes on damaged models.
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

from dcsr.custom_ops import CUSTOM_CODES
from dcsr.errors import WheelError
from dcsr.model_check import check_model

try:
    from tflite_micro import runtime as stock
except ImportError as error:
    raise WheelError(f"its interpreter cannot be loaded ({error})") from error

InterpreterConfig: TypeAlias = stock.InterpreterConfig

PLUGIN_VARIABLE = "DCSR_WHEEL_PLUGIN"

_PLUGIN_NAME = "_dcsr_ops_wheel.so"
_REGISTERER = "DcsrRegisterOps"
# Its message in a wheel of another version, whose interpreter it leaves alone.
_UNKNOWN_WHEEL = re.compile(rf"{_REGISTERER}: (.* is unknown; this plugin supports .*)")

# The wheel's default, ten times the model size, is too small for small and for well compressed models. A larger arena
# costs nothing: pages that are never touched are not allocated.
_MIN_DEFAULT_ARENA = 64 << 20

# Smallest arena in bytes. The wheel crashes if the interpreter's first structures do not fit.
_MIN_ARENA = {
    InterpreterConfig.kAllocationRecording: 512,
    InterpreterConfig.kPreserveAllTensors: 8216 + 512,  # the memory planner that never reuses memory
}


class Interpreter(stock.Interpreter):  # type: ignore[misc]
    """A `tflite_micro.runtime.Interpreter` that also runs compressed models.

    The constructor raises
      ValueError: if the model is truncated or damaged, or if an argument is invalid.
      RuntimeError: if the interpreter rejects the model, with the reason given by the C++ code; or if the library
        with the ops is missing.
      WheelError: if the library does not know the interpreter of this wheel.
    """

    def __init__(
        self,
        model_data: bytes,
        custom_op_registerers: list[str],
        arena_size: int | None,
        intrepreter_config: InterpreterConfig = InterpreterConfig.kAllocationRecording,
        alt_decompression_memory_size: int = 0,
    ) -> None:
        """Loads a model. `from_bytes` and `from_file` have defaults for most arguments.

        Args:
          model_data: content of a .tflite file.
          custom_op_registerers: names of C functions that register further ops.
          arena_size: bytes; None for ten times the model size, but at least 64 MiB. If the arena is too small, the
            wheel's builtin ops may crash.
          intrepreter_config: as in the wheel, including the spelling.
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
            arena_size = default_arena(len(model_data))
        if arena_size < _MIN_ARENA.get(intrepreter_config, 0):
            raise ValueError(f"an arena of {arena_size} bytes is too small for any model")
        # Older wheels do not have the last argument.
        options = [alt_decompression_memory_size] if alt_decompression_memory_size else []
        with _reasons_in_exceptions():
            super().__init__(
                model_data,
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
        """Loads a model from a file. See the constructor for the other arguments."""
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
        """Loads a model from bytes. See the constructor for the other arguments."""
        return cls(
            model_data,
            [] if custom_op_registerers is None else custom_op_registerers,
            arena_size,
            intrepreter_config,
            alt_decompression_memory_size,
        )


def arena_used_bytes(model_data: bytes) -> int:
    """Measures the arena that the wheel's interpreter uses for a model, in bytes.

    It includes the interpreter's own structures, which are larger on a 64-bit host than on a microcontroller.

    Args:
      model_data: content of a .tflite file, compressed or not.

    Raises:
      ValueError, RuntimeError: if the model cannot be loaded, see `Interpreter`.
    """
    return arena_of(Interpreter.from_bytes(model_data))


def arena_of(interpreter: Interpreter) -> int:
    """Measures the arena of an interpreter like `arena_used_bytes`. It must have the default configuration."""
    with _captured_stderr("[RecordingMicroAllocator]") as lines:
        interpreter.print_allocations()
    found = re.search(r"Arena allocation total (\d+) bytes", "\n".join(lines))
    if found is None:
        raise RuntimeError(f"the interpreter does not say how much of its arena it uses: {lines}")
    return int(found[1])


def default_arena(model_bytes: int) -> int:
    """Returns the bytes of the arena that a model of this size gets by default."""
    return max(10 * model_bytes, _MIN_DEFAULT_ARENA)


# The library with the ops.

_plugin_lock = threading.Lock()
_plugin: ctypes.CDLL | None = None


def _load_plugin() -> None:
    """Loads the library with the ops, once per process. The wheel then finds its registration function."""
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
            # RTLD_GLOBAL, because the wheel searches the global symbols for the function.
            library = ctypes.CDLL(os.path.abspath(path), mode=ctypes.RTLD_GLOBAL)
            getattr(library, _REGISTERER)
        except (OSError, AttributeError) as error:
            raise RuntimeError(f"{path} is no library with the ops: {error}") from error
        _plugin = library


# Capturing stderr, where the C++ code reports errors.

_capture_lock = threading.RLock()  # a process has only one stderr


@contextlib.contextmanager
def _captured_stderr(*kept: str) -> Iterator[list[str]]:
    """Captures file descriptor 2 during the block. Yields a list, which receives the lines when the block ends.

    Lines that begin with one of `kept` only go to the list. All others also go to stderr. Nothing is captured without
    stderr or without space for a temporary file.
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
    # sys.stderr may be None, closed, or replaced by the program.
    with contextlib.suppress(Exception):
        sys.stderr.flush()


@contextlib.contextmanager
def _reasons_in_exceptions() -> Iterator[None]:
    """Appends the stderr output of the block to the message of the exception that ends it."""
    own = (_REGISTERER, *CUSTOM_CODES.values())
    lines: list[str] = []
    try:
        with _captured_stderr(*own) as lines:
            yield
    except (RuntimeError, ValueError) as error:
        kind = RuntimeError if isinstance(error, RuntimeError) else ValueError
        reasons = [line.strip() for line in lines if line.strip()]
        for unknown in filter(None, map(_UNKNOWN_WHEEL.fullmatch, reasons)):
            raise WheelError(unknown[1]) from error
        raise kind("\n".join([str(error), *reasons])) from error

"""Runs the TFLM interpreter in a child process, so that no model can take the calling process down.

The child is forked once per interpreter, not per inference. Its processor time per request, its memory and its output
are limited. A crash, an endless loop or a lack of memory becomes an `InterpreterDied` that names the operator where it
can.
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import os
import pickle
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dcsr import model as tflite
from dcsr import runtime
from dcsr.errors import WheelError

Array: TypeAlias = NDArray[Any]

# Processor seconds for loading a model, and for one inference. The largest model in models/ takes 0.1.
DEFAULT_TIMEOUT = 5.0

# Address space that a child may take besides what it inherits and its arena.
_MEMORY_BYTES = 384 << 20
# Seconds that may pass for each processor second, if other processes keep the machine busy.
_SLOWEST = 20
_PROBE_SECONDS = 0.5  # of a search for the operator that does not end
_LENGTH = struct.Struct("<Q")
_MAX_MESSAGES = 1 << 16


class InterpreterDied(RuntimeError):
    """The interpreter has crashed, has not finished in time, or has run out of memory; the text says which."""

    def __init__(self, reason: str, *, slow: bool = False) -> None:
        super().__init__(reason)
        self.slow = slow


class IsolatedInterpreter:
    """An interpreter in a child process, with the methods that comparisons need.

    Close it, or use it in a `with` statement. Errors of the model are those of `runtime.Interpreter`: ValueError if the
    model is damaged, RuntimeError with the interpreter's reasons if it is rejected, WheelError if the wheel does not
    serve. All methods, and the constructor, raise InterpreterDied if the child dies.
    """

    def __init__(self, model_data: bytes, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Loads a model.

        Args:
          model_data: content of a .tflite file.
          timeout: processor seconds for loading the model, and for each inference.
        """
        self._timeout = timeout
        self._child = 0
        self._messages = os.memfd_create("stderr")
        mine, other = socket.socketpair()
        self._socket = mine
        child = os.fork()
        if child == 0:
            mine.close()
            _serve(other, self._messages, model_data, timeout)
        self._child = child
        other.close()
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the child runs, as far as is known."""
        return bool(self._child)

    def set_input(self, value: Array, index: int) -> None:
        """Sets an input of the model."""
        self._call("set_input", value, index)

    def invoke(self) -> None:
        """Runs the model once."""
        self._call("invoke")

    def get_output(self, index: int) -> Array:
        """Returns a copy of an output of the model."""
        return np.asarray(self._call("get_output", index))

    def get_input_details(self, index: int) -> dict[str, Any]:
        """Returns the shape, type and quantisation of an input, as the wheel's method does."""
        details: dict[str, Any] = self._call("get_input_details", index)
        return details

    def arena_used_bytes(self) -> int:
        """Returns the bytes of arena that the model uses, see `runtime.arena_used_bytes`."""
        return int(self._call("arena_used_bytes"))

    def close(self) -> None:
        """Ends the child."""
        self._socket.close()
        if self._messages >= 0:
            os.close(self._messages)
            self._messages = -1
        self._end()

    def __enter__(self) -> IsolatedInterpreter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_child", 0):
            self.close()

    def _call(self, *request: Any) -> Any:
        if not self._child:
            raise ValueError("the interpreter is closed")
        with contextlib.suppress(OSError):  # a dead child is noticed below
            _send(self._socket, request)
        return self._receive()

    def _receive(self) -> Any:
        """Returns the child's answer, or raises its exception."""
        ready, _, _ = select.select([self._socket], [], [], _SLOWEST * self._timeout + 10)
        try:
            if not ready:
                raise EOFError
            value = _receive(self._socket)
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(value, Exception):
            raise value
        return value

    def _death(self) -> InterpreterDied:
        """Returns the exception that describes the end of the child."""
        status = self._end(grace=1)
        number = -status if status is not None and status < 0 else 0
        if number in (signal.SIGPROF, signal.SIGKILL):
            return InterpreterDied(f"the interpreter does not finish within {self._timeout:g} s", slow=True)
        reasons = " ".join(_text(self._messages).split())[-500:]
        how = f"the interpreter crashes ({signal.Signals(number).name})" if number else "the interpreter ends"
        return InterpreterDied(f"{how}: {reasons}" if reasons else how)

    def _end(self, grace: float = 0) -> int | None:
        """Kills the child, unless it ends by itself within `grace` seconds.

        Returns:
          Its status: minus the number of the signal that ended it, or None if it was ended before.
        """
        if not self._child:
            return None
        child, self._child = self._child, 0
        ended, status = os.waitpid(child, os.WNOHANG)
        deadline = time.monotonic() + grace
        while not ended and time.monotonic() < deadline:
            time.sleep(0.005)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)


def arena_used_bytes(model_data: bytes, timeout: float = DEFAULT_TIMEOUT) -> int:
    """Measures the arena of a model like `runtime.arena_used_bytes`, in a child process.

    Raises:
      ValueError, RuntimeError: if the model cannot be loaded. The message names the operator at which a load ends.
    """
    try:
        with IsolatedInterpreter(model_data, timeout) as interpreter:
            return interpreter.arena_used_bytes()
    except InterpreterDied as death:
        raise InterpreterDied(f"{death}{place_of_death(model_data, None, death)}") from None


def place_of_death(model_data: bytes, inputs: Sequence[Array] | None, death: InterpreterDied) -> str:
    """Searches the operator at which the interpreter dies, by loading models that end after an operator.

    Args:
      model_data: content of the .tflite file.
      inputs: inputs of the inference at which it died; None if it died when it loaded the model.
      death: the exception.

    Returns:
      Text to append to a message, such as " at operator 3 ADD"; empty if the search finds nothing.
    """
    try:
        model = tflite.parse(model_data, "model")
    except tflite.ModelError:
        return ""
    operators = model.subgraphs[0].operators or []

    def dies(count: int) -> bool:
        """Whether the interpreter dies with the first `count` operators."""
        part = copy.copy(model)
        main = copy.copy(model.subgraphs[0])
        main.operators = operators[:count]
        if count < len(operators):
            main.outputs = operators[count - 1].outputs
        part.subgraphs = [main, *model.subgraphs[1:]]
        part.signatureDefs = part.metadata = part.metadataBuffer = None
        try:
            with IsolatedInterpreter(tflite.serialize(part), _PROBE_SECONDS) as interpreter:
                for index, value in enumerate(inputs or ()):
                    interpreter.set_input(value, index)
                if inputs is not None:
                    interpreter.invoke()
        except InterpreterDied:
            return True
        except (RuntimeError, ValueError):
            return False
        return False

    low, high = 0, len(operators)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if dies(middle) else (middle, high)
    if not high or (len(operators) > 1 and high == len(operators) and not dies(high)):
        return ""
    name = tflite.operator_name(model, operators[high - 1])
    return f"{' most likely' if death.slow else ''} at operator {high - 1} {name}"


# The child.


def _serve(channel: socket.socket, messages: int, model_data: bytes, timeout: float) -> NoReturn:
    """Answers requests until the channel is closed, then ends the process."""
    status = 1
    try:
        # The parent handles Ctrl-C and the like. It closes the channel, which ends this process.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPROF):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        faulthandler.disable()
        os.dup2(messages, 2)
        _limit_memory(len(model_data))
        interpreter = _answer(channel, timeout, lambda: runtime.Interpreter.from_bytes(model_data))
        while interpreter is not None:
            method, *arguments = _receive(channel)
            if method == "arena_used_bytes":
                _answer(channel, timeout, lambda: runtime.arena_of(interpreter), reply=True)
            else:
                function = getattr(interpreter, method)
                _answer(channel, timeout, lambda f=function, a=arguments: f(*a), reply=True)
        status = 0
    except (EOFError, OSError):
        status = 0  # the parent has closed the channel
    finally:
        os._exit(status)


def _answer(channel: socket.socket, timeout: float, function: Any, *, reply: bool = False) -> Any:
    """Sends the result of `function` if `reply` is set, or its exception. Returns the result; None after an exception.

    The kernel ends the process with SIGPROF if the call takes more than `timeout` seconds of processor time.
    """
    signal.setitimer(signal.ITIMER_PROF, timeout)
    result, answer = None, None
    try:
        result = function()
        answer = result if reply else None
    except MemoryError:
        answer = InterpreterDied("the interpreter needs too much memory")
    except WheelError as error:
        answer = error
    except Exception as error:
        answer = ValueError(str(error)) if isinstance(error, ValueError) else RuntimeError(str(error))
    signal.setitimer(signal.ITIMER_PROF, 0)
    _send(channel, answer)
    return result


def _limit_memory(model_bytes: int) -> None:
    with open("/proc/self/statm") as file:
        present = int(file.read().split()[0]) * resource.getpagesize()
    limit = present + runtime.default_arena(model_bytes) + 4 * model_bytes + _MEMORY_BYTES
    with contextlib.suppress(ValueError, OSError):  # a lower limit is in force
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(channel: socket.socket, content: Any) -> None:
    data = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    channel.sendall(_LENGTH.pack(len(data)))
    channel.sendall(data)


def _receive(channel: socket.socket) -> Any:
    (length,) = _LENGTH.unpack(_read(channel, _LENGTH.size))
    return pickle.loads(_read(channel, length))


def _read(channel: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = channel.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return bytes(data)


def _text(messages: int) -> str:
    size = os.fstat(messages).st_size
    return os.pread(messages, _MAX_MESSAGES, max(0, size - _MAX_MESSAGES)).decode(errors="replace")

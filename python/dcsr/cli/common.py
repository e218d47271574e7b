"""Common code of the command-line tools: working directory, exit codes, one-line errors, output to stdout.

Imports only what is quick to import: `run` imports the tool itself, inside the guard that turns exceptions and signals
into one line.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from dcsr.errors import ModelError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

EXIT_OK = 0
EXIT_DIFFERENT = 1
EXIT_BAD_INPUT = 2

# Prefix of a tool's name in messages: "dcsr " if it was started as a subcommand of dcsr (main.py), else empty.
command = ""

_MAX_MESSAGE = 2000

_T = TypeVar("_T")


class _Ended(BaseException):
    """SIGTERM or SIGHUP. Not an Exception, so that nothing but the guard and clean-up code handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Parser(argparse.ArgumentParser):
    """Prints an error in one line, like all other errors, without the usage."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Prints the help. argparse itself ignores errors of stdout."""
        if file is None:
            say(self.format_help().rstrip("\n"))
        else:
            super().print_help(file)

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"{one_line(f'{self.prog}: {message} (see {self.prog} --help)')}\n")


def parser(tool: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """Returns an argument parser. Its help keeps the line breaks of `description` and `epilog`."""
    return _Parser(
        prog=command + tool,
        description=description,
        # Lines that begin with the tool's name are examples. They get the prefix.
        epilog=epilog.replace(f"\n  {tool} ", f"\n  {command}{tool} "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def positive_integer(value: str) -> int:
    """Parses an argument of at least 1. argparse prints the function's name in error messages."""
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return number


def natural_number(value: str) -> int:
    """Parses an argument of at least 0."""
    number = int(value)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return number


def number(value: str) -> float:
    """Parses a number. Text is nan, which lies in no range."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Adds --timeout, the limit of the interpreter's processor time."""
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="processor time that the TFLM interpreter may take to load a model, and for each inference"
        " (default: %(default)g)",
    )


def _seconds(value: str) -> float:
    seconds = number(value)
    if not 0 < seconds <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{value} is no number of seconds")
    return seconds


def run(tool: str, main: str | Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a tool with the command line and exits with its exit status. Turns exceptions into one-line errors.

    Exit status: that of main(), 2 for bad usage or input, 130 after SIGINT (Ctrl-C), 143 after SIGTERM, 129 after
    SIGHUP. It is no error if the reader of stdout closes it.

    `bazel run` starts tools in another directory. BUILD_WORKING_DIRECTORY then holds the user's directory.

    Args:
      tool: name of the tool in messages.
      main: the tool's function, which takes the arguments and returns an exit status, or the name of a module with
        such a function `main`.
    """
    code = guarded(tool, main, sys.argv[1:])
    # A signal at exit ends the process without a traceback.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sys.exit(code)


def guarded(tool: str, main: str | Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """Runs a tool like `run`, but returns its exit status."""
    try:
        with _ending_signals():
            if directory := os.environ.get("BUILD_WORKING_DIRECTORY"):
                os.chdir(directory)
            _prepare_streams()
            function = importlib.import_module(main).main if isinstance(main, str) else main
            try:
                code = int(function(argv))
            except SystemExit as exit_:  # of argparse
                code = exit_.code if isinstance(exit_.code, int) else EXIT_OK
            say()
            return code
    except ModelError as error:
        return _fail(tool, str(error))
    except KeyboardInterrupt:
        _discard_output()
        return 128 + signal.SIGINT
    except _Ended as ended:
        _discard_output()
        return 128 + ended.number
    except RecursionError:
        return _fail(tool, "the input is nested too deeply")
    except (OSError, MemoryError) as error:
        _discard_output()
        return _fail(tool, _reason(error))
    except Exception as error:
        if os.environ.get("DCSR_DEBUG"):
            raise
        return _fail(tool, f"internal error: {type(error).__name__}: {error} (DCSR_DEBUG=1 shows where)")


@contextlib.contextmanager
def _ending_signals() -> Iterator[None]:
    """Turns SIGINT, SIGTERM and SIGHUP into exceptions, so that temporary files and child processes are removed."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise _Ended(number)

    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: end, signal.SIGHUP: end}
    former = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        if former[number] != signal.SIG_IGN:  # nohup
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in former.items():
            signal.signal(number, previous)


def _prepare_streams() -> None:
    """Replaces missing output streams by os.devnull. Makes streams escape characters that they cannot encode."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(*lines: str) -> None:
    """Prints lines to stdout and flushes. If the reader has closed the pipe, the rest of the output is discarded.

    A tool that writes files prints first and then renames them, so that a full device leaves no file behind.

    Raises:
      OSError: if stdout cannot be written for another reason.
    """
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def note(text: str) -> None:
    """Prints one line to stderr."""
    with contextlib.suppress(OSError, ValueError):
        print(one_line(text), file=sys.stderr)


def one_line(text: str) -> str:
    """Returns `text` as one printable line of limited length. Names in a model file may contain anything."""
    text = " ".join(text.split())
    if len(text) > _MAX_MESSAGE:
        text = f"{text[: _MAX_MESSAGE // 2]} ... {text[-_MAX_MESSAGE // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _fail(tool: str, message: str) -> int:
    note(f"{tool}: {message}")
    return EXIT_BAD_INPUT


def _reason(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    where = error.filename if error.filename is not None else "output"
    return f"{where}: {error.strerror or error}"


def _discard_output() -> None:
    """Redirects stdout to os.devnull, so that flushing it at exit cannot fail."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def progress(description: str) -> Callable[[Sequence[_T]], Iterable[_T]]:
    """Returns a wrapper of sequences that shows a progress bar on stderr during iteration, if stderr is a terminal."""

    def track(items: Sequence[_T]) -> Iterable[_T]:
        if not sys.stderr.isatty():
            return iter(items)
        from rich.console import Console
        from rich.progress import track as rich_track

        return rich_track(items, description, console=Console(stderr=True), transient=True)

    return track

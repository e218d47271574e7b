"""What the command-line tools share: working directory, exit codes, one-line errors."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TypeVar

from dcsr.model import ModelError

EXIT_OK = 0
EXIT_DIFFERENT = 1
EXIT_BAD_INPUT = 2

# How users start a tool: "dcsr " where it is a subcommand of dcsr (main.py), else nothing.
command = ""

_T = TypeVar("_T")


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line as every other error, after the usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message} (see --help)\n")


def parser(tool: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """An argument parser whose help keeps the line breaks of `description` and `epilog`."""
    return _Parser(
        prog=command + tool,
        description=description,
        # Examples are lines that begin with the tool's name.
        epilog=epilog.replace(f"\n  {tool} ", f"\n  {command}{tool} "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def run(tool: str, main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a tool's main with the command line and exits with its exit code.

    `bazel run` starts tools elsewhere and says in BUILD_WORKING_DIRECTORY where the user stands.
    """
    code: int | None = None
    try:
        if directory := os.environ.get("BUILD_WORKING_DIRECTORY"):
            os.chdir(directory)
        _prepare_streams()
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except ModelError as error:
        code = _fail(tool, str(error))
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read the output has enough. What was found out stays true.
        code = 128 + signal.SIGPIPE if code is None else code
        _discard_output()
    except (OSError, MemoryError) as error:
        code = _fail(tool, str(error) or "not enough memory")
        _discard_output()
    except Exception as error:
        if os.environ.get("DCSR_DEBUG"):
            raise
        code = _fail(tool, f"internal error: {type(error).__name__}: {error} (DCSR_DEBUG=1 shows where)")
    sys.exit(code)


def _prepare_streams() -> None:
    """Has output go nowhere where there is none, and characters that a terminal cannot show be escaped."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(tool: str, message: str) -> int:
    # One line, whatever names from a file the message holds.
    print(f"{tool}: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_BAD_INPUT


def _discard_output() -> None:
    """Keeps the interpreter from writing at its exit to an output that fails."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_distinct(outputs: Sequence[str | os.PathLike[str] | None]) -> None:
    """Raises ModelError if two outputs have the same name; None is none."""
    named = [path for path in outputs if path]
    for path in named:
        if sum(os.path.realpath(path) == os.path.realpath(other) for other in named) > 1:
            raise ModelError(f"{path}: is named for two outputs")


def progress(description: str) -> Callable[[Sequence[_T]], Iterable[_T]]:
    """A wrapper of sequences that shows a bar on a terminal's stderr while they are worked through."""

    def track(items: Sequence[_T]) -> Iterable[_T]:
        if not sys.stderr.isatty():
            return iter(items)
        from rich.console import Console
        from rich.progress import track as rich_track

        return rich_track(items, description, console=Console(stderr=True), transient=True)

    return track

"""Common code of the command-line tools: working directory, exit codes, one-line errors."""

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

# Prefix of a tool's name in messages: "dcsr " if it was started as a subcommand of dcsr (main.py), else empty.
command = ""

_T = TypeVar("_T")


class _Parser(argparse.ArgumentParser):
    """Prints the usage, then the error in one line like all other errors."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message} (see --help)\n")


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


def run(tool: str, main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a tool's main() with the command line and exits with its exit code. Turns exceptions into one-line errors.

    `bazel run` starts tools in another directory. BUILD_WORKING_DIRECTORY then holds the user's directory.
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
        # The reader of the output has closed it. An exit code that main() returned before stays valid.
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
    """Replaces missing output streams by os.devnull. Makes streams escape characters that they cannot encode."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(tool: str, message: str) -> int:
    # Names from a model file may contain line breaks. The message must be one line.
    print(f"{tool}: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_BAD_INPUT


def _discard_output() -> None:
    """Redirects stdout to os.devnull, so that flushing it at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_distinct(outputs: Sequence[str | os.PathLike[str] | None]) -> None:
    """Raises ModelError if two outputs have the same name; None is none."""
    named = [path for path in outputs if path]
    for path in named:
        if sum(os.path.realpath(path) == os.path.realpath(other) for other in named) > 1:
            raise ModelError(f"{path}: is named for two outputs")


def progress(description: str) -> Callable[[Sequence[_T]], Iterable[_T]]:
    """Returns a wrapper of sequences that shows a progress bar on stderr during iteration, if stderr is a terminal."""

    def track(items: Sequence[_T]) -> Iterable[_T]:
        if not sys.stderr.isatty():
            return iter(items)
        from rich.console import Console
        from rich.progress import track as rich_track

        return rich_track(items, description, console=Console(stderr=True), transient=True)

    return track

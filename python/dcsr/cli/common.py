"""What the command-line tools share: working directory, exit codes, one-line errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, TypeVar

from dcsr.model import ModelError

EXIT_OK = 0
EXIT_DIFFERENT = 1
EXIT_BAD_INPUT = 2

_T = TypeVar("_T")


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line as every other error, after the usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message} (see --help)\n")


def parser(tool: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """An argument parser whose help keeps the line breaks of `description` and `epilog`."""
    return _Parser(
        prog=tool,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def run(tool: str, main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a tool's main with the command line and exits with its exit code.

    `bazel run` starts tools elsewhere and says in BUILD_WORKING_DIRECTORY where the user stands.
    """
    if directory := os.environ.get("BUILD_WORKING_DIRECTORY"):
        os.chdir(directory)
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except ModelError as error:
        # Messages are one line whatever a file's names contain.
        line = " ".join(str(error).split())
        print(f"{tool}: {line}", file=sys.stderr)
        code = EXIT_BAD_INPUT
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read the output has enough; without this the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_OK
    sys.exit(code)


def progress(description: str) -> Callable[[Sequence[_T]], Iterable[_T]]:
    """A wrapper of sequences that shows a bar on a terminal's stderr while they are worked through."""

    def track(items: Sequence[_T]) -> Iterable[_T]:
        if not sys.stderr.isatty():
            return iter(items)
        from rich.console import Console
        from rich.progress import track as rich_track

        return rich_track(items, description, console=Console(stderr=True), transient=True)

    return track

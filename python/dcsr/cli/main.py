"""dcsr: all command-line tools as one command, for the installed package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import dcsr
from dcsr.cli import common
from dcsr.errors import ModelError

# Each tool is a module of this folder. It is imported only when it is called, because only `verify` needs the
# interpreter.
TOOLS = {
    "prune": "make a dense int8 .tflite model sparse, without training",
    "compress": "pack the sparse layers of a .tflite model",
    "verify": "run a model and its compressed form in TFLM, compare every output bit",
    "inspect": "table of the layers of a model",
    "decompress": "give the dense model back",
    "matrix_metrics": "bytes of one matrix in every storage scheme",
    "export_matrix": "one matrix as C arrays",
    "completion": "completion of this command, for bash, zsh or fish",
}


def _usage() -> str:
    width = max(map(len, TOOLS))
    tools = "\n".join(f"  {name:<{width}}  {purpose}" for name, purpose in TOOLS.items())
    return f"usage: dcsr TOOL ...\n\n{tools}\n\n`dcsr TOOL --help` says more, `dcsr --version` which version this is."


def main() -> NoReturn:
    """Runs the tool that the command line names and exits with its exit status."""
    if len(sys.argv) > 1 and sys.argv[1] in TOOLS:
        tool = sys.argv.pop(1)
        common.command = "dcsr "
        common.run(tool, f"dcsr.cli.{tool}")
    common.run("dcsr", _without_tool)


def _without_tool(arguments: Sequence[str]) -> int:
    """Prints the usage or the version; returns the exit status."""
    if list(arguments) in (["-h"], ["--help"]):
        common.say(_usage())
        return common.EXIT_OK
    if list(arguments) == ["--version"]:
        common.say(f"dcsr {dcsr.__version__}")
        return common.EXIT_OK
    problem = f"there is no tool {arguments[0]!r}" if arguments else "name a tool"
    raise ModelError(f"{problem} (see dcsr --help)")


if __name__ == "__main__":
    main()

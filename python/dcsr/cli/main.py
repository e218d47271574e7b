"""dcsr: all command-line tools as one command, for the installed package."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import dcsr
from dcsr.cli import common

# Each tool is a module of this folder. It is imported only when it is called, because only `verify` needs the
# interpreter.
_TOOLS = {
    "prune": "make a dense int8 .tflite model sparse, without training",
    "compress": "pack the sparse layers of a .tflite model",
    "verify": "run a model and its compressed form in TFLM, compare every output bit",
    "inspect": "table of the layers of a model",
    "decompress": "give the dense model back",
    "matrix_metrics": "bytes of one matrix in every storage scheme",
    "export_matrix": "one matrix as C arrays",
}


def _usage() -> str:
    width = max(map(len, _TOOLS))
    tools = "\n".join(f"  {name:<{width}}  {purpose}" for name, purpose in _TOOLS.items())
    return f"usage: dcsr TOOL ...\n\n{tools}\n\n`dcsr TOOL --help` says more, `dcsr --version` which version this is."


def main() -> NoReturn:
    """Runs the tool that the command line names and exits with its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["-h"], ["--help"]):
        print(_usage())
        sys.exit(common.EXIT_OK)
    if arguments == ["--version"]:
        print(f"dcsr {dcsr.__version__}")
        sys.exit(common.EXIT_OK)
    if not arguments or arguments[0] not in _TOOLS:
        what = f"there is no tool {arguments[0]!r}" if arguments else "name a tool"
        print(f"{_usage()}\n\ndcsr: {what}", file=sys.stderr)
        sys.exit(common.EXIT_BAD_INPUT)
    del sys.argv[1]
    common.command = "dcsr "
    tool = arguments[0]
    common.run(tool, importlib.import_module(f"dcsr.cli.{tool}").main)


if __name__ == "__main__":
    main()

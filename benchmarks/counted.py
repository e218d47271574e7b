"""Reads what `model --json` counted, for the tools that fit constants to it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dcsr import model as tflite
from dcsr.cli import common


def parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Returns the parser of a tool that fits constants: the arguments `counted`, `models` and `output`."""
    found = common.parser(name, description, epilog)
    found.add_argument("counted", nargs="+", metavar="FILE", type=Path, help="written by model --json")
    found.add_argument("--models", required=True, metavar="FOLDER", type=Path, help="folder of the models")
    found.add_argument("-o", "--output", required=True, metavar="CONSTANTS.json", type=Path, help="file to update")
    return found


def entries(arguments: argparse.Namespace) -> Iterator[tuple[str, tflite.ModelT, Mapping[str, Any]]]:
    """Yields (core, model, what was counted) of each entry of the files.

    Raises:
      ModelError: if a file was not counted with CMSIS-NN, or a model cannot be read.
    """
    for path in arguments.counted:
        for entry in json.loads(path.read_text()):
            if entry["dense_kernels"] != "CMSIS-NN":
                raise tflite.ModelError(f"{path}: was not counted with CMSIS-NN")
            yield f"cortex-{entry['core']}", tflite.read(arguments.models / f"{entry['model']}.tflite"), entry


def present(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the constants of each core in the file to update; none if there is no such file."""
    found: dict[str, Any] = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    return found

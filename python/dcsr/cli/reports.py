"""The reports of compress and inspect: command-line options and output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcsr import html_report, report
from dcsr import model as tflite
from dcsr.model import ModelError
from dcsr.planning import cost
from dcsr.report import Row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --cpu, --report, --json and --comparison."""
    parser.add_argument(
        "--cpu",
        choices=cost.CPUS,
        default=cost.DEFAULT_CPU,
        help="core that instructions and scratch are estimated for (default: %(default)s)",
    )
    parser.add_argument(
        "--report", metavar="REPORT.html", help="also write the table as a page with bars, for a browser"
    )
    parser.add_argument("--json", metavar="REPORT.json", help="also write the table as JSON")
    parser.add_argument(
        "--comparison",
        metavar="TFLM.json",
        help="with --report: what benchmarks/tflm_compression --json wrote, to be shown for this model",
    )


def write(
    arguments: argparse.Namespace, rows: Sequence[Row], models: dict[str, bytes], objective: str | None = None
) -> None:
    """Writes the outputs of --report and --json. Measures the arena of the models in the interpreter.

    Args:
      arguments: the options of add_arguments, and `model`, the path of the input.
      rows: the layers.
      models: {suffix of keys in the JSON: content of the model}; the suffixes are `_before` and `_after`, or "" for a
        single model.
      objective: objective of compress; None for inspect.

    Raises:
      ModelError: if a file cannot be read or written, or if --comparison was given without --report.
    """
    if arguments.comparison and not arguments.report:
        raise ModelError(f"{arguments.comparison}: --comparison is for --report")
    if not (arguments.report or arguments.json):
        return
    comparison = _comparison(arguments.comparison, arguments.model) if arguments.comparison else []
    arenas = {suffix: _arena_bytes(data) for suffix, data in models.items()}
    if arguments.json:
        numbers: dict[str, object] = {"model": arguments.model, "cpu": arguments.cpu}
        numbers |= {f"file_bytes{suffix}": len(data) for suffix, data in models.items()}
        numbers |= {f"arena_bytes{suffix}": arena for suffix, arena in arenas.items()}
        if objective:
            numbers["objective"] = objective
        tflite.write_file(arguments.json, json.dumps(report.as_json(rows, **numbers), indent=2) + "\n")
    if arguments.report:
        page = html_report.Page(
            title=Path(arguments.model).name,
            cpu=arguments.cpu,
            objective=objective,
            file_bytes=[len(data) for data in models.values()],
            arena_bytes=list(arenas.values()),
            comparison=comparison,
        )
        tflite.write_file(arguments.report, html_report.render(page, rows))


def _arena_bytes(data: bytes) -> int | None:
    """Returns the bytes of arena that the model uses. If it cannot be loaded, prints a line and returns None."""
    # Imported here because it is slow to import and needs a compiled library.
    from dcsr import runtime

    try:
        return runtime.arena_used_bytes(data)
    except (RuntimeError, ValueError) as error:
        print(f"arena not measured: {' '.join(str(error).split())}", file=sys.stderr)
        return None


def _comparison(path: str, model: str) -> list[dict[str, Any]]:
    """Returns the entry of a model from a file that benchmarks/tflm_compression wrote."""
    try:
        entries: dict[str, list[dict[str, Any]]] = {
            entry["model"]: entry["ways"] for entry in json.loads(tflite.read_bytes(path))
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not what benchmarks/tflm_compression --json writes ({error!r})") from error
    if Path(model).stem not in entries:
        raise ModelError(f"{path}: has no model {Path(model).stem}; it has {', '.join(entries) or 'none'}")
    return entries[Path(model).stem]

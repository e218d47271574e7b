"""The reports of compress and inspect: command-line options and output."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcsr import firmware_report, html_report, report
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.errors import ModelError, WheelError
from dcsr.files import Outputs, read_bytes
from dcsr.planning import cost
from dcsr.planning.firmware import Firmware
from dcsr.report import Row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --cpu, --memory, --report, --json, --comparison and --timeout."""
    parser.add_argument(
        "--cpu",
        type=cost.cpu_name,
        choices=cost.CPUS,
        default=cost.DEFAULT_CPU,
        help="core that time and scratch are estimated for: cycles on cortex-m55 and m85, instructions on others;"
        " m55 is short for cortex-m55 (default: %(default)s)",
    )
    add_memory(parser)
    parser.add_argument(
        "--report", metavar="REPORT.html", help="also write the table as a page with bars, for a browser"
    )
    parser.add_argument("--json", metavar="REPORT.json", help="also write the table as JSON")
    parser.add_argument(
        "--comparison",
        metavar="TFLM.json",
        help="with --report: what benchmarks/tflm_compression --json wrote, to be shown for this model",
    )
    common.add_timeout(parser)


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Adds --memory."""
    parser.add_argument(
        "--memory",
        choices=cost.MEMORIES,
        default=cost.DEFAULT_MEMORY,
        help="where the firmware has activations, scratch and weights, for estimates of cycles: in the tightly coupled"
        " memory, or behind a cache, where gathers take longer (default: %(default)s)",
    )


def inputs(arguments: argparse.Namespace) -> list[str]:
    """Returns the paths of the files that a tool with these options reads."""
    return [path for path in (arguments.model, arguments.comparison) if path]


def check(arguments: argparse.Namespace, outputs: Outputs) -> None:
    """Checks the options before any work is done.

    Raises:
      ModelError: if --comparison was given without --report, or if a report would overwrite another file of the call.
    """
    if arguments.comparison and not arguments.report:
        raise ModelError(f"{arguments.comparison}: --comparison is for --report")
    for path in (arguments.json, arguments.report):
        if path:
            outputs.check(path)


def add(
    outputs: Outputs,
    arguments: argparse.Namespace,
    rows: Sequence[Row],
    models: dict[str, bytes],
    objective: str | None = None,
    firmware: Firmware | None = None,
) -> None:
    """Adds the outputs of --report and --json. Measures the arena of the models in the interpreter.

    Args:
      outputs: the outputs of the call.
      arguments: the options of add_arguments, and `model`, the path of the input.
      rows: the layers.
      models: {suffix of keys in the JSON: content of the model}; the suffixes are `_before` and `_after`, or "" for a
        single model.
      objective: objective of compress; None for inspect.
      firmware: estimates of compress; None for inspect.

    Raises:
      ModelError: if the file of --comparison cannot be read.
    """
    if not (arguments.report or arguments.json):
        return
    comparison = _comparison(arguments.comparison, arguments.model) if arguments.comparison else []
    arenas: dict[str, int | None] = {}
    reasons: dict[str, None] = {}
    for suffix, data in models.items():
        arenas[suffix], reason = _arena_bytes(data, arguments.timeout)
        reasons[reason] = None
    for reason in filter(None, reasons):
        common.note(f"arena not measured: {reason}")
    if arguments.json:
        numbers: dict[str, object] = {"model": arguments.model, "cpu": arguments.cpu, "memory": arguments.memory}
        numbers |= {f"file_bytes{suffix}": len(data) for suffix, data in models.items()}
        numbers |= {f"arena_bytes{suffix}": arena for suffix, arena in arenas.items()}
        if objective:
            numbers["objective"] = objective
        if firmware:
            numbers["firmware"] = firmware_report.as_json(firmware)
        outputs.add(arguments.json, json.dumps(report.as_json(rows, **numbers), indent=2) + "\n")
    if arguments.report:
        page = html_report.Page(
            title=Path(arguments.model).name,
            cpu=arguments.cpu,
            objective=objective,
            file_bytes=[len(data) for data in models.values()],
            arena_bytes=list(arenas.values()),
            comparison=comparison,
            firmware=firmware,
        )
        outputs.add(arguments.report, html_report.render(page, rows))


def _arena_bytes(data: bytes, timeout: float) -> tuple[int | None, str]:
    """Returns (bytes of arena that the model uses, ""); if it cannot be loaded, (None, the reason)."""
    try:
        # Imported here because it is slow to import and needs a compiled library.
        from dcsr import isolation, verification
    except WheelError as error:
        return None, str(error)
    try:
        return isolation.arena_used_bytes(data, timeout), ""
    except WheelError as error:
        return None, str(error)
    except (RuntimeError, ValueError) as error:
        return None, verification.refusal(tflite.parse(data, "model"), error)


def _comparison(path: str, model: str) -> list[dict[str, Any]]:
    """Returns the entry of a model from a file that benchmarks/tflm_compression wrote."""
    try:
        entries: dict[str, list[dict[str, Any]]] = {
            entry["model"]: entry["ways"] for entry in json.loads(read_bytes(path))
        }
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: not what benchmarks/tflm_compression --json writes ({error!r})") from error
    if Path(model).stem not in entries:
        raise ModelError(f"{path}: has no model {Path(model).stem}; it has {', '.join(entries) or 'none'}")
    return entries[Path(model).stem]

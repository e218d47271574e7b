"""compression: prints bytes, arena and compression time of a folder of models, for docs/results.md."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dcsr import compressing, metrics, report, runtime
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.passes.record import RECORD_NAME
from dcsr.planning.settings import OBJECTIVES, place

_DESCRIPTION = """\
Compresses every .tflite model below a folder with every objective and prints two Markdown tables: the layers' bytes
over their dense bytes next to those of other schemes and the entropy bound, and the files' bytes, arena, what
decompress needs and the converter's time as a whole process (median of the runs)."""

_EPILOG = """\
examples:
  compression                                the models of the repository
  compression --models DIR --json sizes.json

exit status: 0 done, 2 bad usage or bad input"""

_SCHEMES = ("csr", "bitmap", "zlib9", "rle", "dcsr", "rice", "rice+huffman", "bound", "bound_entropy")
# Runfiles: this file is <workspace>/benchmarks/compression.py.
_WORKSPACE = Path(__file__).parent.parent


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("compression", _DESCRIPTION, _EPILOG)
    parser.add_argument("--models", metavar="DIR", type=Path, default=_WORKSPACE / "models")
    parser.add_argument("--runs", type=int, default=3, help="of the converter (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers as JSON")
    arguments = parser.parse_args(argv)
    paths = sorted(arguments.models.rglob("*.tflite"))
    if not paths:
        raise tflite.ModelError(f"{arguments.models}: no .tflite files below it")
    results = [measure(path, arguments.runs) for path in common.progress("measuring")(paths)]
    if arguments.json:
        tflite.write_file(arguments.json, json.dumps(results, indent=2) + "\n")
    print("\n".join(tables(results)))
    return common.EXIT_OK


def measure(path: Path, runs: int) -> dict[str, object]:
    """Measures one model. Returns the numbers that --json writes for it."""
    data = path.read_bytes()
    model = tflite.parse(data, str(path))
    _, decisions, *_ = compressing.compress(model, str(path), method="dcsr")
    # The layers of the first table. `size` packs more, with fewer zeros.
    sparse = [decision for decision in decisions if decision.packed and not decision.layer.is_depthwise]
    compared = {place(decision.layer) for decision in sparse}
    matrices = [decision.layer.matrix for decision in sparse]
    sizes = [metrics.measure(matrix) for matrix in matrices]
    totals = {scheme: sum(size[scheme] for size in sizes) for scheme in ("dense", *_SCHEMES)}
    numbers: dict[str, object] = {"model": path.stem, "layers": len(matrices), "bytes": totals}
    numbers["arena_before"] = runtime.arena_used_bytes(data)
    numbers["file_before"] = len(data)
    for objective in OBJECTIVES:
        compressed, decisions, *_ = compressing.compress(model, str(path), objective=objective)
        rows = [report.row(decision) for decision in decisions if place(decision.layer) in compared]
        # If nothing is packed, the tool's output is its input.
        result = tflite.serialize(compressed) if any(decision.packed for decision in decisions) else data
        numbers[f"file_{objective}"] = len(result)
        numbers[f"layers_{objective}"] = asdict(report.totals(rows))
        numbers[f"arena_{objective}"] = runtime.arena_used_bytes(result)
        records = [entry.buffer for entry in compressed.metadata or [] if entry.name == RECORD_NAME]
        numbers["record"] = sum(len(compressed.buffers[index].data) for index in records)
        numbers["channels"] = sum(decision.packed.streams.rows for decision in decisions if decision.packed)
    stripped, _, *_ = compressing.compress(model, str(path), objective="size", strip=True)
    numbers["file_stripped"] = len(tflite.serialize(stripped))
    numbers["seconds"] = _seconds(path, runs)
    return numbers


def _seconds(path: Path, runs: int) -> float:
    """Returns the median wall time of the compress tool in seconds. Each run is a new process."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        command = [_WORKSPACE / "python/compress", path.absolute(), "-o", Path(folder) / "o.tflite"]
        for _ in range(runs):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def tables(results: Sequence[dict]) -> list[str]:
    """Returns the lines of both tables."""
    lines = [
        f"| model | layers | dense bytes | {' | '.join((*_SCHEMES, *OBJECTIVES)).replace('_', ' ')} |",
        f"|---|---|---|{'---|' * (len(_SCHEMES) + len(OBJECTIVES))}",
    ]
    for numbers in results:
        dense = numbers["bytes"]["dense"]
        if not dense:
            continue
        ratios = [f"{numbers['bytes'][scheme] / dense:.3f}" for scheme in _SCHEMES]
        for objective in OBJECTIVES:
            totals = numbers[f"layers_{objective}"]
            # The objective `speed` may leave layers dense.
            ratios.append(f"{(totals['packed_bytes'] + max(dense - totals['dense_bytes'], 0)) / dense:.3f}")
        cells = [numbers["model"], numbers["layers"], f"{dense:,}", *ratios]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "| model | file | balanced | size | speed | size, stripped | stripped/file | record a channel | arena |"
        " arena balanced | compress, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for numbers in results:
        cells = [
            numbers["model"],
            *(f"{numbers[f'file_{kind}']:,}" for kind in ("before", *OBJECTIVES, "stripped")),
            f"{numbers['file_stripped'] / numbers['file_before']:.3f}",
            f"{numbers['record'] / numbers['channels']:.2f}" if numbers["channels"] else "-",
            f"{numbers['arena_before']:,}",
            f"{numbers['arena_balanced']:,}",
            f"{numbers['seconds']:.2f}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


if __name__ == "__main__":
    common.run("compression", main)

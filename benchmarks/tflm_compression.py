"""tflm_compression: compares TFLM's compression with dCSR: flash, arena and latency on the host."""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tflite_micro import compression
from tflite_micro.tensorflow.lite.micro.compression import spec

import dcsr
from dcsr import compressing, runtime, verification
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.layers import Layer
from dcsr.planning.settings import OBJECTIVES, place
from dcsr.schema import schema

_DESCRIPTION = """\
Compresses the layers that ours packs with TFLM's compression module (tflite_micro.compression: look-up tables, Huffman
codes, pruning; its DECODE operator expands a tensor in the arena before each use) and with ours, runs all in one
process, and prints a Markdown table. Outputs are compared with the dense model's bit for bit. Models without layers to
pack are left out."""

_EPILOG = """\
examples:
  tflm_compression                                the models of the repository
  tflm_compression --models DIR --json tflm.json  compress --report R.html --comparison tflm.json shows them

exit status: 0 done, 2 bad usage or bad input"""

# Largest index width of TFLM's look-up tables.
_MAX_INDEX_BITS = 7
# Runfiles: this file is <workspace>/benchmarks/tflm_compression.py.
_WORKSPACE = Path(__file__).parent.parent


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("tflm_compression", _DESCRIPTION, _EPILOG)
    parser.add_argument("--models", metavar="DIR", type=Path, default=_WORKSPACE / "models")
    parser.add_argument("--rounds", type=int, default=20, help="inferences of each (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers as JSON")
    arguments = parser.parse_args(argv)
    paths = sorted(arguments.models.rglob("*.tflite"))
    if not paths:
        raise tflite.ModelError(f"{arguments.models}: no .tflite files below it")
    if arguments.rounds < 1:
        raise tflite.ModelError(f"--rounds {arguments.rounds} is not positive")
    paths = [path for path in paths if packed_layers(tflite.read(path), str(path))]
    results = [measure(path, arguments.rounds) for path in common.progress("measuring")(paths)]
    if arguments.json:
        tflite.write_file(arguments.json, json.dumps(results, indent=2) + "\n")
    print("\n".join(table(results)))
    return common.EXIT_OK


def measure(path: Path, rounds: int) -> dict[str, object]:
    """Measures one model with every storage method. Returns the numbers that --json writes for it."""
    data = path.read_bytes()
    model = tflite.parse(data, str(path))
    ways: dict[str, Callable[[], tuple[bytes, str]]] = {
        "dense": lambda: (data, ""),
        "TFLM look-up tables": lambda: look_up_tables(data, model, packed_layers(model, str(path))),
        "TFLM Huffman": lambda: through_tflm(data, packed_layers(model, str(path)), spec.HuffmanCompression()),
        "TFLM pruning": lambda: through_tflm(data, packed_layers(model, str(path)), spec.PruningCompression()),
    }
    for objective in OBJECTIVES:
        ways[f"dCSR {objective}"] = lambda objective=objective: (dcsr.compress(data, objective=objective).model, "")
    inputs = verification.inputs_of(model, str(path))
    sample = verification.random_samples(inputs, 1, seed=0)[0]
    outputs = len(model.subgraphs[0].outputs)

    entries, interpreters = [], {}
    for way, make in ways.items():
        entry = {"way": way, "flash_bytes": None, "arena_bytes": None, "latency_ratio": None, "note": ""}
        entries.append(entry)
        try:
            stored, entry["note"] = make()
            entry["flash_bytes"] = len(stored)
            entry["arena_bytes"] = runtime.arena_used_bytes(stored)
            interpreters[way] = runtime.Interpreter.from_bytes(stored)
        except Exception as error:  # TFLM's tools raise many types; the table shows the message
            entry["note"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            continue
        if way != "dense":
            difference = verification.compare(interpreters["dense"], interpreters[way], inputs, outputs, [sample])
            if difference:
                entry["note"] = f"outputs differ: {difference.text}"
    seconds = _seconds(interpreters, sample, rounds)
    for entry in entries:
        if entry["way"] in seconds:
            entry["latency_ratio"] = round(seconds[entry["way"]] / seconds["dense"], 3)
    return {"model": path.stem, "dense_seconds": seconds["dense"], "ways": entries}


def packed_layers(model: schema.ModelT, name: str) -> list[Layer]:
    """Returns the layers that dCSR packs."""
    _, decisions, *_ = compressing.compress(model, name, objective="size")
    return [decision.layer for decision in decisions if decision.packed]


def look_up_tables(data: bytes, model: schema.ModelT, layers: Sequence[Layer]) -> tuple[bytes, str]:
    """Stores the weights of each layer as indices into TFLM's look-up tables, if that is smaller.

    Args:
      data: content of the .tflite file.
      model: the parsed model.
      layers: the layers to compress.

    Returns:
      (content of the compressed file, note).
    """
    specs, left = [], 0
    for (subgraph, tensor), layer in _weights(layers).items():
        scales = model.subgraphs[subgraph].tensors[tensor].quantization.scale
        mode, bits, size = _tables(layer, per_channel=len(scales) > 1)
        if bits > _MAX_INDEX_BITS or size >= layer.matrix.size:
            left += 1
        else:
            specs.append(spec.Tensor(subgraph, tensor, [spec.LookUpTableCompression(bits, mode)]))
    if not specs:
        raise ValueError("no layer has so few different values that tables would make it smaller")
    note = f"{left} of {left + len(specs)} layers have too many different values" if left else ""
    return _compress(data, specs), note


def through_tflm(data: bytes, layers: Sequence[Layer], method: spec.CompressionMethod) -> tuple[bytes, str]:
    """Compresses all layers with one of TFLM's methods. Returns (content of the compressed file, note)."""
    return _compress(data, [spec.Tensor(*where, [method]) for where in _weights(layers)]), ""


def _weights(layers: Sequence[Layer]) -> dict[tuple[int, int], Layer]:
    """Returns {(subgraph, weight tensor): layer}."""
    return {place(layer): layer for layer in layers}


def _tables(layer: Layer, per_channel: bool) -> tuple[spec.PerTensor | spec.PerChannel, int, int]:
    """Returns (mode, index bits, bytes) of the look-up tables of a layer.

    The wheel's DECODE (2026-10-23) ignores the mode that was chosen for compression. It uses one table per channel if
    the tensor has a scale per channel, else a single table. In the other mode its outputs are wrong.
    """
    if per_channel:
        mode, tables = spec.PerChannel(axis=0), len(layer.matrix)
        values = max(len(np.unique(row)) for row in layer.matrix)
    else:
        mode, tables, values = spec.PerTensor(), 1, len(np.unique(layer.matrix))
    bits = max((values - 1).bit_length(), 1)
    # TFLM gives all tables of a tensor the length of the longest.
    return mode, bits, (layer.matrix.size * bits + 7) // 8 + tables * values


def _compress(data: bytes, specs: list[spec.Tensor]) -> bytes:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return bytes(compression.compress(bytearray(data), specs))


def _seconds(
    interpreters: dict[str, runtime.Interpreter], sample: Sequence[np.ndarray], rounds: int
) -> dict[str, float]:
    """Returns the median inference time of each interpreter in seconds.

    The interpreters take turns, so that other load on the host affects all of them equally.
    """
    times: dict[str, list[float]] = {way: [] for way in interpreters}
    for _ in range(rounds):
        for way, interpreter in interpreters.items():
            for index, value in enumerate(sample):
                interpreter.set_input(value, index)
            start = time.perf_counter()
            interpreter.invoke()
            times[way].append(time.perf_counter() - start)
    return {way: statistics.median(values) for way, values in times.items()}


def table(results: Sequence[dict]) -> list[str]:
    """Returns the lines of the table, and below it the methods that failed for every model for the same reason."""
    notes: dict[str, set[str]] = {}
    for entry in (entry for result in results for entry in result["ways"]):
        # "" marks a method that worked for a model. It then has no common reason of failure.
        notes.setdefault(entry["way"], set()).add(entry["note"] if entry["flash_bytes"] is None else "")
    failed = {way: next(iter(reasons)) for way, reasons in notes.items() if len(reasons) == 1 and reasons != {""}}
    lines = ["| model | stored as | flash | arena | latency / dense | note |", "|---|---|---|---|---|---|"]
    for result in results:
        for entry in result["ways"]:
            if entry["way"] in failed:
                continue
            ratio = entry["latency_ratio"]
            cells = [
                result["model"],
                entry["way"],
                *("-" if entry[key] is None else f"{entry[key]:,}" for key in ("flash_bytes", "arena_bytes")),
                "-" if ratio is None else f"{ratio:.2f}",
                entry["note"],
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, *(f"\n{way}, every model: `{reason}`" for way, reason in failed.items())]


if __name__ == "__main__":
    common.run("tflm_compression", main)

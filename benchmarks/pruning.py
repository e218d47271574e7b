"""pruning: accuracy, flash, time and memory of pruned models, for docs/pruning.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import dcsr
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.planning import cost
from dcsr.pruning import forward, prune
from training import calibration, measuring
from training.data import cache, images, load

_DESCRIPTION = """\
Prunes the dense models of the repository with `prune` and by magnitude, and prints a Markdown table with the retrained
models of the same sparsity: accuracy of the int8 model in the TFLM interpreter on the whole test set, zeros, flash
after `compress`, and time and memory of `prune` as a process of its own. The inputs of prune are from the training
part of the data sets. The stem of DS-CNN stays dense, as in the retrained models."""

_EPILOG = """\
examples:
  pruning --models models
  pruning --models models --only ds_cnn_s --json pruned.json

Takes about ten minutes. Needs the data sets of `evaluate`.
exit status: 0 done, 2 bad usage or bad input"""


@dataclass(frozen=True)
class Case:
    """A model and an aim.

    Attributes:
      dense: path below the folder of models.
      dataset: name of its data set.
      sparsity: share of zeros; None if the options have another aim.
      retrained: path of the model that was pruned in training; None if there is none.
      options: of prune besides --sparsity.
      objective: of compress.
      cpu: core of the estimates.
    """

    dense: str
    dataset: str
    sparsity: float | None
    retrained: str | None
    options: tuple[str, ...] = ()
    objective: str = "size"
    cpu: str = "cortex-m55"


def _keywords(size: str, sparsity: float, retrained: str | None, *options: str) -> Case:
    stem = ("--exclude", f"ds_cnn_{size}/stem/Conv2D1")
    found = f"kws/ds_cnn_{size}_{retrained}.tflite" if retrained else None
    return Case(f"kws/ds_cnn_{size}_dense.tflite", "synthetic_speech", sparsity, found, (*stem, *options))


_MOBILENET = "mobilenetv2/mnv2_035_dense.tflite"
CASES = (
    _keywords("s", 0.5, None),
    _keywords("s", 0.7, "70"),
    _keywords("m", 0.7, "70"),
    _keywords("m", 0.8, "80"),
    _keywords("l", 0.7, "70"),
    _keywords("l", 0.8, "80"),
    Case(_MOBILENET, "fashion_mnist", 0.8, "mobilenetv2/mnv2_035_80.tflite"),
    Case(_MOBILENET, "fashion_mnist", 0.9, "mobilenetv2/mnv2_035_90.tflite"),
)
TIMED = tuple(
    Case(_MOBILENET, "fashion_mnist", None, None, ("--max-disagreement", "0.03"), "speed", cpu)
    for cpu in ("cortex-m55", "cortex-m4")
)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
      model: name of the dense model.
      method: how it was pruned.
      sparsity: share of zeros of the layers that may be pruned; None if it is dense.
      accuracy: on the whole test set.
      flash: bytes after compress.
      time: (estimated, dense) of an inference, in the unit of the core (planning.cost.unit).
      seconds, cpu_seconds, megabytes: of the process; None for other methods.
      disagreement: that prune printed, on inputs that it held out.
      note: options.
    """

    model: str
    method: str
    sparsity: float | None
    accuracy: float
    flash: int
    time: tuple[int, int]
    seconds: float | None = None
    cpu_seconds: float | None = None
    megabytes: float | None = None
    disagreement: float | None = None
    note: str = ""


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("pruning", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--models", metavar="DIR", type=Path, required=True, help="folder like models/ of the repository"
    )
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="only cases with this in model or objective: ds_cnn_s, speed"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the numbers as JSON")
    arguments = parser.parse_args(argv)
    rows: list[Row] = []
    for case in [case for case in CASES + TIMED if arguments.only in f"{case.dense} {case.objective}"]:
        rows += measure(case, arguments.models, rows)
        print(f"measured {case.dense} {case.sparsity or case.options}", file=sys.stderr)
    if arguments.json:
        tflite.write_file(arguments.json, json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    print("\n".join(tables(rows)))
    return common.EXIT_OK


def measure(case: Case, folder: Path, known: Sequence[Row]) -> list[Row]:
    """The rows of a case; that of the dense model only if it is not known yet."""
    path = folder / case.dense
    content = tflite.read_bytes(path)
    model = tflite.parse(content, str(path))
    name = path.stem.removesuffix("_dense")
    layers = [
        layer
        for layer in layer_finder.find(model)
        if layer.obstacle is None and not layer.is_depthwise and layer.name not in case.options
    ]
    shape = tuple(int(d) for d in model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape)
    inputs, labels = test_set(case.dataset, shape)

    def row(method: str, data: bytes, **more: object) -> Row:
        answers = measuring.outputs(data, inputs, f"{name}, {method}")
        compressed = dcsr.compress(data, objective=case.objective, cpu=case.cpu)
        share = None if method == "dense" else zeros(data, {layer.name for layer in layers})
        accuracy = measuring.accuracy(answers, labels)
        return Row(name, method, share, accuracy, compressed.bytes_after, times(compressed), **more)  # type: ignore[arg-type]

    rows = []
    if not any(entry.model == name and entry.method == "dense" for entry in known):
        rows.append(row("dense", content))
    with tempfile.TemporaryDirectory() as temporary:
        samples = Path(temporary) / "inputs.npz"
        np.savez(samples, inputs=calibration.DATASETS[case.dataset](shape)[0])
        command = [str(path), "--inputs", str(samples), "-o", str(Path(temporary) / "pruned.tflite")]
        command += ["--json", str(Path(temporary) / "pruned.json"), *case.options]
        command += [] if case.sparsity is None else ["--sparsity", str(case.sparsity)]
        command += ["--objective", case.objective, "--cpu", case.cpu]
        seconds, cpu_seconds, megabytes = as_process(command)
        data = (Path(temporary) / "pruned.tflite").read_bytes()
        numbers = json.loads((Path(temporary) / "pruned.json").read_text())
    rows.append(
        row(
            "prune",
            data,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            megabytes=megabytes,
            disagreement=numbers["disagreement"][0]["value"],
            note=" ".join(
                [*(["--objective speed --cpu", case.cpu] if case.objective == "speed" else ()), *case.options]
            ),
        )
    )
    if case.sparsity is not None:
        positions = {layer.position for layer in layers}
        for method, share in (("magnitude, per layer", by_layer), ("magnitude, global", by_model)):
            rows.append(row(method, share(model, positions, case.sparsity)))
    if case.retrained:
        rows.append(row("retrained", tflite.read_bytes(folder / case.retrained)))
    return rows


def test_set(name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of a whole test set."""
    if name in load.KEYWORD_SETS:
        return load.keywords(name, cache.default_folder(), common.progress)[0].test
    pixels, labels = load.image_set(name, cache.default_folder(), False)[0].test
    return images.normalised(pixels, shape[1] // images.SIDE), labels


# The peak of the memory comes from /proc: that of wait4() is at least the memory of this process at the fork.
_PROGRAM = """
import re, sys
from pathlib import Path
from dcsr.cli import common, prune
peak = sys.argv.pop()
try:
    common.run("prune", prune.main)
finally:
    Path(peak).write_text(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def as_process(arguments: Sequence[str]) -> tuple[float, float, float]:
    """(seconds, seconds of the processor, peak megabytes) of the command prune."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with tempfile.TemporaryDirectory() as temporary:
        peak = Path(temporary) / "peak"
        command = [sys.executable, "-c", _PROGRAM, *arguments, str(peak)]
        start = time.monotonic()
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if status:
            raise tflite.ModelError(f"prune {' '.join(arguments)}: exit status {child.returncode}")
        return time.monotonic() - start, usage.ru_utime + usage.ru_stime, int(peak.read_text()) / 1024


def zeros(content: bytes, names: set[str]) -> float:
    """Share of zeros of the layers with these weights."""
    found = [layer.matrix for layer in layer_finder.find(tflite.parse(content, "model")) if layer.name in names]
    matrices = [matrix for matrix in found if matrix is not None]
    return 1 - sum(np.count_nonzero(m) for m in matrices) / sum(m.size for m in matrices)


def times(compressed: dcsr.Result) -> tuple[int, int]:
    """(estimated time of all layers with weights, of the same if none were packed), in the unit of the core."""
    in_cycles = cost.unit(compressed.cpu) == cost.CYCLES
    now = [d.cycles if in_cycles else d.instructions for d in compressed.decisions]
    dense = [d.dense_cycles if in_cycles else d.dense_instructions for d in compressed.decisions]
    return sum(value or 0 for value in now), sum(value or 0 for value in dense)


def by_layer(model: object, positions: set[int], share: float) -> bytes:
    """The model without a share of the smallest weights of each layer."""
    return _smallest(model, positions, lambda sizes: {p: float(np.quantile(size, share)) for p, size in sizes.items()})


def by_model(model: object, positions: set[int], share: float) -> bytes:
    """The model without a share of the smallest weights of all layers, each relative to its layer's mean square."""

    def limits(sizes: dict[int, np.ndarray]) -> dict[int, float]:
        norms = {p: float(np.sqrt(np.mean(size**2))) for p, size in sizes.items()}
        limit = float(np.quantile(np.concatenate([size.ravel() / norms[p] for p, size in sizes.items()]), share))
        return {p: limit * norms[p] for p in sizes}

    return _smallest(model, positions, limits)


def _smallest(model: object, positions: set[int], limits: Callable[[dict[int, np.ndarray]], dict[int, float]]) -> bytes:
    network = forward.Network(model, "model")
    known = {p: network.weights(p) for p in positions}
    sizes = {p: np.abs(w.matrix * w.scales.astype(np.float64)[:, np.newaxis]) for p, w in known.items()}
    bounds = limits(sizes)
    changed = {
        p: forward.Weights(np.where(sizes[p] > bounds[p], w.matrix, 0).astype(np.int8), w.scales, w.bias)
        for p, w in known.items()
    }
    return tflite.serialize(prune.written(network.model, network, changed))


def tables(rows: Sequence[Row]) -> list[str]:
    """The rows as Markdown."""
    by_size = [row for row in rows if not row.note.startswith("--objective speed")]
    lines = [
        "| model | method | zeros | accuracy | flash, `size` | held-out disagreement | seconds (CPU) | peak MB |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in by_size:
        share = "" if row.sparsity is None else f"{row.sparsity:.1%}"
        held_out = "" if row.disagreement is None else f"{row.disagreement:.1%}"
        seconds = "" if row.seconds is None else f"{row.seconds:.0f} ({row.cpu_seconds:.0f})"
        megabytes = "" if row.megabytes is None else f"{row.megabytes:.0f}"
        method = f"**{row.method}**" if row.method == "prune" else row.method
        lines.append(
            f"| {row.model} | {method} | {share} | {row.accuracy:.2%} | {row.flash:,} | {held_out} | {seconds} |"
            f" {megabytes} |"
        )
    timed = [row for row in rows if row.note.startswith("--objective speed")]
    if timed:
        lines += [
            "",
            "| model | options | zeros | accuracy | time | dense | |",
            "|---|---|---:|---:|---:|---:|---:|",
        ]
        for row in timed:
            now, dense = row.time
            lines.append(
                f"| {row.model} | `{row.note}` | {row.sparsity:.1%} | {row.accuracy:.2%} | {now:,} | {dense:,} |"
                f" {now / dense - 1:+.1%} |"
            )
    return lines


if __name__ == "__main__":
    common.run("pruning", main)

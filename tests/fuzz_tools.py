"""Runs the command-line tools on mutated models, plans and arrays, and reports every fault.

    bazel run //tests:fuzz_tools -- --cases 20000 --seed 7 --keep findings

Each case is a number: with the seed it determines the input and the options. A case runs in a forked process that has
all modules loaded. Faults are
  - an exit status that is not documented, more or less than one line for an error, a traceback or "internal error",
  - a crash of the process, a run of more than 20 seconds of processor time, or more than 500 MB of memory,
  - a temporary file that is left, an output of a call that failed, a changed input,
  - control characters in the output,
  - a compressed model whose outputs differ from those of its original.
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import dcsr
from dcsr import model as tflite
from dcsr.cli import common
from dcsr.passes.record import RECORD_NAME
from dcsr.schema import schema
from dcsr.testing.models import (
    Builder,
    SparseLayout,
    conv_model,
    fully_connected_model,
    siamese,
    sparse_matrix,
    with_sparse_weights,
)

MAX_SECONDS = 20.0
MAX_BYTES = 500 << 20
_HANGS = 90  # seconds after which a case is killed

_WORDS = (0, 1, 2, 4, 127, 128, 255, 256, 65535, 1 << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE)
_PLAN_PIECES = [
    *(
        "version: 1",
        "tensors:",
        "- tensor: 1",
        "  method: rice",
        "  method: none",
        "  scratch: 99999999999",
        "&a",
        "*a",
    ),
    *("!!float x", "2001-99-99", "!!python/name:os.system", "{", "}", "[", "]", ": ", "\n", "\0", "\x1b[31m", "é"),
    *("? ", "|", "<<: *a", "0x", "1e999", ".nan", "~", "'", '"', "- {tensor: 1, method: dcsr4+huffman}"),
    *("- tensor: -1", "subgraph: 7"),
]


@dataclass(frozen=True)
class Finding:
    """A fault.

    Attributes:
      case: number of the case.
      text: the command and the fault.
    """

    case: int
    text: str


Tool = Callable[[Sequence[str]], int]
Tools = dict[str, str | Tool]

TOOLS: Tools = {
    name: f"dcsr.cli.{name}"
    for name in ("compress", "decompress", "inspect", "verify", "matrix_metrics", "export_matrix")
}


# Seeds.


def generated() -> list[bytes]:
    """Builds small models that contain every kind of layer, tensor and record."""
    rng = np.random.default_rng(1)

    def sparse(rows: int, cols: int) -> np.ndarray:
        return sparse_matrix(rng, rows, cols, 0.9)

    chain = Builder()
    x = chain.tensor("x", (1, 6, 6, 8), scale=0.1, zero_point=-3)
    y = chain.conv_2d(x, sparse(24, 72), filter_size=(3, 3), bias=rng.integers(-99, 99, 24).astype(np.int32), name="a")
    y = chain.conv_2d(y, sparse(32, 24), stride=(2, 2), activation=schema.ActivationFunctionType.RELU, name="b")
    flat = chain.tensor("flat", (1, 288), scale=0.5, zero_point=3)
    chain.operator(schema.BuiltinOperator.RESHAPE, [y], [flat], schema.ReshapeOptionsT(newShape=np.array([1, 288])))
    w = chain.fully_connected(flat, sparse(20, 288), (1, 20), name="c")
    models = [chain.finish([x], [w])]

    shared = Builder()
    x = shared.tensor("x", (1, 80), scale=0.1)
    weights = shared.tensor("w", (80, 80), data=sparse(80, 80), scale=0.01)
    y = x
    for _ in range(3):
        y = shared.fully_connected(y, weights, (1, 80), output_scale=0.1, output_zero_point=0)
    models.append(shared.finish([x], [y]))

    wide = Builder()
    x = wide.tensor("x", (1, 60), np.int16, scale=0.1)
    y = wide.fully_connected(x, sparse(50, 60), (1, 50), bias=rng.integers(-99, 99, 50), output_zero_point=0)
    models.append(wide.finish([x], [y]))

    models.append(siamese(convolution=True, int16=False, per_channel=True))  # with shared rows
    models += [conv_model(rng, sparse(16, 40)), fully_connected_model(rng, sparse(40, 90))]
    models.append(with_sparse_weights(fully_connected_model(rng, sparse(64, 128)), SparseLayout(blocks={1: 4})))
    found = [tflite.serialize(model) for model in models]
    found += [dcsr.compress(data, objective="size").model for data in found[:4]]
    return [*found, dcsr.compress(found[0], strip=True).model]


# Mutations.


def mutated(rng: np.random.Generator, data: bytes) -> bytes:
    """Changes a model: its bytes, its tables, or both."""
    changed = data
    while changed == data:
        if rng.random() < 0.7:
            with contextlib.suppress(Exception):  # the object API does not write every change
                changed = _changed_tables(rng, data)
        if rng.random() < 0.4:
            changed = _changed_bytes(rng, changed)
    return changed


def _changed_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(0, max(1, len(changed) - 8)))
        match int(rng.integers(0, 7)):
            case 0:
                changed[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                changed[at : at + 1] = bytes([changed[at] ^ (1 << int(rng.integers(0, 8)))]) if changed else b""
            case 2:
                at -= at % 4
                changed[at : at + 4] = int(rng.choice(_WORDS)).to_bytes(4, "little")
            case 3:
                at -= at % 4
                word = int.from_bytes(changed[at : at + 4], "little") + int(rng.integers(-64, 65)) * 4
                changed[at : at + 4] = (word % (1 << 32)).to_bytes(4, "little")
            case 4:
                length = int(rng.integers(1, 64))
                source = int(rng.integers(0, max(1, len(changed) - length)))
                changed[at : at + length] = changed[source : source + length]
            case 5 if rng.random() < 0.3:
                del changed[at:]
            case 6 if rng.random() < 0.3:
                changed += bytes(int(rng.integers(0, 64)))
    return bytes(changed)


def _changed_tables(rng: np.random.Generator, data: bytes) -> bytes:
    model = tflite.parse(data, "seed")
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.1:
            _change_record(rng, model)
        else:
            holders = list(_tables(model))
            holder = holders[int(rng.integers(0, len(holders)))]
            names = [name for name in vars(holder) if name != "attached_archive"]
            _change_field(rng, holder, names[int(rng.integers(0, len(names)))], holders)
    return tflite.serialize(model)


def _tables(table: Any) -> Iterator[Any]:
    """Yields a table and all tables below it."""
    yield table
    for value in vars(table).values():
        for entry in value if isinstance(value, list) else [value]:
            if hasattr(entry, "_UnPack"):
                yield from _tables(entry)


def _change_field(rng: np.random.Generator, holder: Any, name: str, tables: list[Any]) -> None:
    value = getattr(holder, name)
    if isinstance(value, (bool, np.bool_)):
        setattr(holder, name, not value)
    elif isinstance(value, (int, np.integer)):
        choices = [int(value) + 1, int(value) - 1, 0, 1, 127, -1, 255, 65536, (1 << 31) - 1]
        setattr(holder, name, choices[int(rng.integers(0, len(choices)))])
    elif isinstance(value, np.ndarray):
        setattr(holder, name, _changed_array(rng, value))
    elif isinstance(value, list) and value:
        at = int(rng.integers(0, len(value)))
        match int(rng.integers(0, 4)):
            case 0:
                del value[at]
            case 1:
                value.append(value[at])
            case 2:
                value[at], value[0] = value[0], value[at]
            case _:
                setattr(holder, name, None)
    elif isinstance(value, (bytes, str)):
        names = [None, b"", b"x" * 5000, b"\x1b[31m\n\x07", b"\xff\xfe", b"DCSR_CONV_2D", b"TheirOp"]
        setattr(holder, name, names[int(rng.integers(0, len(names)))])
    elif hasattr(value, "_UnPack"):
        same = [table for table in tables if type(table) is type(value)]
        setattr(holder, name, None if rng.random() < 0.5 else same[int(rng.integers(0, len(same)))])


def _changed_array(rng: np.random.Generator, value: np.ndarray) -> np.ndarray | None:
    array = np.array(value)
    match int(rng.integers(0, 6)):
        case 0:
            return None
        case 1:
            return array[: int(rng.integers(0, len(array) + 1))]
        case 2:
            return np.concatenate([array, array])[: len(array) + int(rng.integers(1, 9))]
        case _ if len(array):
            choices = [0, -1, -2, 1, 2, 3, 100, 40000, (1 << 31) - 1, 1e-30, 1e30, np.nan, int(array[0]) + 1]
            chosen = np.array([choices[int(rng.integers(0, len(choices)))]])
            with np.errstate(all="ignore"):
                array[int(rng.integers(0, len(array)))] = chosen.astype(array.dtype)[0]
    return array


def _change_record(rng: np.random.Generator, model: schema.ModelT) -> None:
    for entry in model.metadata or []:
        if entry.name == RECORD_NAME:
            buffer = model.buffers[entry.buffer]
            record = _changed_bytes(rng, zlib.decompress(bytes(buffer.data)))
            buffer.data = np.frombuffer(zlib.compress(record), np.uint8)


def plan_text(rng: np.random.Generator) -> str:
    """Returns the text of a plan, or of something like a plan."""
    lines = ["version: 1", "tensors:"] if rng.random() < 0.7 else []
    for _ in range(int(rng.integers(0, 6))):
        method = rng.choice(["rice", "rle", "auto", "none", "dcsr4+huffman", "best", "1", "2001-01-01", "[]"])
        lines.append(f"  - tensor: {rng.choice(['0', '1', '4', 'a/weights', '-1', '1.5', 'w', '[1]', '{}', '~'])}")
        lines.append(f"    method: {method}")
        if rng.random() < 0.3:
            lines.append(f"    scratch: {rng.choice(['0', '-1', '4096', '1e9', 'x', '99999999999'])}")
    text = "\n".join(lines) + "\n"
    for _ in range(int(rng.integers(0, 4))):
        at = int(rng.integers(0, len(text) + 1))
        text = text[:at] + str(rng.choice(_PLAN_PIECES)) + text[at:]
    return text


def array_bytes(rng: np.random.Generator) -> bytes:
    """Returns a damaged .npy or .npz file."""
    file = io.BytesIO()
    array = sparse_matrix(rng, int(rng.integers(1, 9)), int(rng.integers(1, 40)), 0.5)
    if rng.random() < 0.7:
        np.save(file, array)
    else:
        np.savez_compressed(file, x=array)
    content = file.getvalue()
    if rng.random() < 0.3:
        content = content.replace(b"(", b"(99999999999, ", 1)
    return _changed_bytes(rng, content)


# Running.


class _Case:
    """One case: runs tools in the present folder and collects the faults."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.faults: list[str] = []

    def run(self, tool: str, *arguments: str) -> int:
        """Runs a tool and checks everything that can be checked without knowing the input; returns its status."""
        command = f"{tool} {' '.join(arguments)}"
        before = _folder()
        inputs = {name: Path(name).read_bytes() for name in before}
        streams = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        start = sum(os.times()[:4])
        try:
            with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
                status = common.guarded(tool, self._tools[tool], arguments)
        except BaseException as error:
            self.faults.append(f"{command}: raised {type(error).__name__}: {error}")
            return -1
        seconds = sum(os.times()[:4]) - start
        for stream in streams:
            stream.flush()
        output, errors = (stream.buffer.getvalue().decode() for stream in streams)  # type: ignore[attr-defined]

        def fault(text: str) -> None:
            self.faults.append(f"{command}: {text}")

        if status not in ((0, 1, 2) if tool == "verify" else (0, 2)):
            fault(f"exit status {status}")
        if "internal error" in errors or "Traceback" in output + errors:
            fault(errors.strip()[-300:])
        if status == 2 and (not errors.endswith("\n") or sum(map(_is_error(tool), errors.splitlines())) != 1):
            fault(f"an error of {errors.count(chr(10))} lines: {errors[:300]!r}")
        if not all(line.isprintable() for line in (output + errors).splitlines()):
            fault("control characters in the output")
        if seconds > MAX_SECONDS:
            fault(f"took {seconds:.1f} s")
        if any(name not in _folder() or Path(name).read_bytes() != content for name, content in inputs.items()):
            fault("an input is gone or changed")
        created = [name for name in _folder() if name not in before]
        if status == 2 and created or any(name.startswith(".") for name in created):
            fault(f"left {created}")
        return status


def _is_error(tool: str) -> Callable[[str], bool]:
    return lambda line: line.startswith(f"{tool}: ")


def _folder() -> list[str]:
    return [path.name for path in Path().iterdir() if path.is_file()]


def _run_model(case: _Case, rng: np.random.Generator, data: bytes) -> None:
    Path("m.tflite").write_bytes(data)
    case.run("inspect", "m.tflite", "--json", "i.json", "--report", "i.html")
    case.run("decompress", "m.tflite", "-o", "d.tflite")
    options = [
        [],
        ["--objective", "size", "--strip"],
        ["--method", "none", "--dead-channels"],
        ["--objective", "speed", "--cpu", "cortex-m4"],
        ["--method", "dcsr4+huffman", "--min-sparsity", "0", "--max-scratch", "100"],
        ["--cc", "m.cc", "--dump-plan", "p.yaml", "--numpy", "matrices"],
    ]
    status = case.run("compress", "m.tflite", "-o", "o.tflite", *options[int(rng.integers(0, len(options)))])
    if case.run("verify", "m.tflite", "m.tflite", "--samples", "1") == 0 and status == 0:
        outcome = case.run("verify", "m.tflite", "o.tflite", "--samples", "2")
        if outcome:
            case.faults.append(f"compress: a model that runs became one with which verify exits with {outcome}")


def _run_plan(case: _Case, rng: np.random.Generator, data: bytes) -> None:
    Path("m.tflite").write_bytes(data)
    Path("plan.yaml").write_text(plan_text(rng))
    case.run("compress", "m.tflite", "-o", "o.tflite", "--plan", "plan.yaml")


def _run_array(case: _Case, rng: np.random.Generator, data: bytes) -> None:
    Path("m.tflite").write_bytes(data)
    Path("a.npy").write_bytes(array_bytes(rng))
    case.run("matrix_metrics", "a.npy", "--json", "a.json")
    case.run("export_matrix", "a.npy", "a.h")
    case.run("verify", "m.tflite", "m.tflite", "--inputs", "a.npy")


def run_case(number: int, seed: int, seeds: Sequence[bytes], tools: Tools, keep: Path | None = None) -> list[Finding]:
    """Runs a case in a forked process, in a folder of its own.

    Args:
      number: number of the case.
      seed: seed of all cases.
      seeds: the models that are mutated.
      tools: {name: module or function} of the tools.
      keep: folder for the files of cases with findings.

    Returns:
      The faults.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        results = Path(folder, "results")
        inside = Path(folder, "run")
        inside.mkdir()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _in_child(number, seed, seeds, tools, inside, results)
        end, status, usage = 0, 0, None
        deadline = time.monotonic() + _HANGS
        while not end and time.monotonic() < deadline:
            end, status, usage = os.wait4(child, os.WNOHANG)
            if not end:
                time.sleep(0.002)
        if not end:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        faults, peak = pickle.loads(results.read_bytes()) if results.exists() else ([], 0)
        if not end:
            faults.append(f"does not end within {_HANGS} s")
        elif code:
            faults.append(f"the process ended with status {code}")
        peak = max(peak, usage.ru_maxrss << 10 if usage else 0)
        if peak > MAX_BYTES:
            faults.append(f"took {peak >> 20} MB")
        if faults and keep:
            shutil.copytree(inside, keep / f"{seed}_{number}", dirs_exist_ok=True)
    return [Finding(number, fault) for fault in faults]


def _in_child(number: int, seed: int, seeds: Sequence[bytes], tools: Tools, inside: Path, results: Path) -> None:
    """Runs a case, writes (faults, bytes of the largest child) to `results`, and ends the process."""
    status = 1
    try:
        os.chdir(inside)
        case = _Case(tools)
        rng = np.random.default_rng([seed, number])
        data = seeds[int(rng.integers(0, len(seeds)))]
        kind = rng.random()
        if kind < 0.75:
            _run_model(case, rng, mutated(rng, data))
        elif kind < 0.9:
            _run_plan(case, rng, data)
        else:
            _run_array(case, rng, data)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
        results.write_bytes(pickle.dumps((case.faults, peak)))
        status = 0
    finally:
        os._exit(status)


def preload() -> None:
    """Imports what the tools import, so that the forked processes do not."""
    import importlib

    for name in (*TOOLS.values(), "rich.console", "rich.table", "yaml", "dcsr.api", "dcsr.isolation", "dcsr.layerwise"):
        importlib.import_module(str(name))
    dcsr.inspect(copy.copy(generated()[0]))


def main(argv: Sequence[str]) -> int:
    """Runs the cases; returns 1 if there are findings."""
    parser = common.parser("fuzz_tools", __doc__ or "")
    parser.add_argument("models", nargs="*", metavar="MODEL.tflite", help="models to mutate besides the generated ones")
    parser.add_argument("--cases", type=common.positive_integer, default=1000, help="default: %(default)s")
    parser.add_argument("--first", type=common.natural_number, default=0, help="number of the first case")
    parser.add_argument("--seed", type=common.natural_number, default=0, help="default: %(default)s")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of cases with findings")
    options = parser.parse_args(argv)
    seeds = generated() + [Path(path).read_bytes() for path in options.models]
    preload()
    findings = 0
    start = time.monotonic()
    for number in range(options.first, options.first + options.cases):
        for finding in run_case(number, options.seed, seeds, TOOLS, options.keep):
            findings += 1
            common.say(common.one_line(f"case {finding.case}: {finding.text}"))
        if (number + 1) % 500 == 0:
            common.say(f"{number + 1} cases, {findings} findings, {time.monotonic() - start:.0f} s")
    common.say(f"{options.cases} cases with seed {options.seed}: {findings} findings")
    return common.EXIT_DIFFERENT if findings else common.EXIT_OK


if __name__ == "__main__":
    common.run("fuzz_tools", main)

"""Tests the command-line tools as a user runs them: exit codes, one-line errors, and complete or unchanged files."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

import dcsr
from dcsr import encodings, layers, packing
from dcsr import model as tflite
from dcsr.planning.settings import methods
from dcsr.schema import schema
from dcsr.testing.compare import assert_same
from dcsr.testing.models import (
    Builder,
    SparseLayout,
    conv_model,
    fully_connected_model,
    siamese,
    sparse_matrix,
    with_sparse_weights,
)

TOOLS = Path("python").absolute()


def run(tool: str, *arguments: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess:
    """Runs a tool like `bazel run` from `cwd`. Asserts its exit status, and that it prints no traceback."""
    environment = os.environ | {"BUILD_WORKING_DIRECTORY": str(cwd)}
    result = subprocess.run(
        [TOOLS / tool, *map(str, arguments)],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    return result


def error_of(result: subprocess.CompletedProcess) -> str:
    """Returns the only line on stderr."""
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture(name="dense")
def dense_model(tmp_path) -> Path:
    """A model with sparse FULLY_CONNECTED layers of two sizes, and a layer that is not sparse."""
    rng = np.random.default_rng(0)
    builder = Builder()
    x = builder.tensor("x", (1, 300), scale=0.1, zero_point=-3)
    y = builder.fully_connected(x, sparse_matrix(rng, 100, 300, 0.9), (1, 100), name="first")
    z = builder.fully_connected(y, sparse_matrix(rng, 250, 100, 0.1), (1, 250), name="full")
    w = builder.fully_connected(z, sparse_matrix(rng, 200, 250, 0.9), (1, 200), name="last")
    path = tmp_path / "dense.tflite"
    path.write_bytes(tflite.serialize(builder.finish([x], [w])))
    return path


def test_compress_inspect_verify_decompress(dense):
    cwd = dense.parent
    result = run("compress", "dense.tflite", "-o", "small.tflite", "--json", "r.json", cwd=cwd)
    assert "first/weights" in result.stdout and "below --min-sparsity 60 %" in result.stdout
    assert (cwd / "small.tflite").stat().st_size < dense.stat().st_size

    report = json.loads((cwd / "r.json").read_text())
    assert [layer["encoding"] == "dense" for layer in report["layers"]] == [False, True, False]
    first = report["layers"][0]
    assert (first["rows"], first["cols"], first["dense_bytes"]) == (100, 300, 30000)
    packed = [layer for layer in report["layers"] if layer["layer_bytes"]]
    assert report["total"]["packed_bytes"] == sum(layer["packed_bytes"] for layer in packed)
    assert report["total"]["file_bytes_after"] == (cwd / "small.tflite").stat().st_size

    for model in ("dense.tflite", "small.tflite"):
        assert "first/weights" in run("inspect", model, cwd=cwd).stdout
    result = run("verify", "dense.tflite", "small.tflite", "--samples", 3, cwd=cwd)
    assert "identical: 3 samples" in result.stdout and "arena " in result.stdout

    run("decompress", "small.tflite", "-o", "back.tflite", cwd=cwd)
    assert_same(tflite.read(dense), tflite.read(cwd / "back.tflite"))
    run("compress", "back.tflite", "-o", "again.tflite", cwd=cwd)
    assert (cwd / "again.tflite").read_bytes() == (cwd / "small.tflite").read_bytes()


def test_tools_and_header_name_the_registration_that_shared_rows_need(tmp_path):
    twins = tflite.serialize(siamese(convolution=False, int16=False, per_channel=True))
    (tmp_path / "twins.tflite").write_bytes(twins)
    options = ["--objective", "size", "--cc", "small.cc", "--json", "c.json"]
    compressed = run("compress", "twins.tflite", "-o", "small.tflite", *options, cwd=tmp_path).stdout
    inspected = run("inspect", "small.tflite", cwd=tmp_path).stdout
    count = json.loads((tmp_path / "c.json").read_text())["total"]["layers_with_shared_rows"]
    assert count > 1
    line = f"the firmware registers the ops with dcsr::AddDcsrOpsWithSharedRows: {count} layers have shared rows\n"
    assert compressed.count(line) == inspected.count(line) == 1
    assert f"// {line}" in (tmp_path / "small.h").read_text()


def test_the_array_is_stripped_unless_names_are_kept(dense):
    cwd = dense.parent
    for option, kept in (([], False), (["--keep-names"], True)):
        out = run("compress", dense, "-o", "small.tflite", "--cc", "array.cc", *option, cwd=cwd).stdout
        text = (cwd / "array.cc").read_text()
        array = bytes(int(number) for number in re.findall(r"\b\d+(?=,)", text.split("= {")[1]))
        model = (cwd / "small.tflite").read_bytes()
        assert array == (model if kept else dcsr.strip(model))
        assert f"array array.cc: {len(array):,} bytes" in out and ("bytes, stripped" in out) != kept
        assert tflite.parse(model, "m").subgraphs[0].tensors[0].name
    run("compress", dense, "-o", "o.tflite", "--keep-names", cwd=cwd, code=2)


LAYER_KEYS = {
    *("name", "op", "rows", "cols", "nonzeros", "dense_bytes", "packed_bytes", "encoding", "bound_bytes"),
    *("estimated_instructions", "dense_instructions", "estimated_cycles", "dense_cycles", "scratch_bytes"),
}


def test_reports_have_the_same_numbers_and_the_measured_arena(dense):
    cwd = dense.parent
    run("compress", dense, "-o", "small.tflite", "--json", "c.json", "--report", "c.html", cwd=cwd)
    run("inspect", "small.tflite", "--json", "i.json", "--report", "i.html", cwd=cwd)
    compressed, inspected = (json.loads((cwd / name).read_text()) for name in ("c.json", "i.json"))
    for report in (compressed, inspected):
        assert report["layers"][0].keys() >= LAYER_KEYS
        for unit in ("instructions", "cycles"):
            assert report["total"][f"estimated_{unit}"] == sum(
                layer[f"estimated_{unit}"] or 0 for layer in report["layers"]
            )
            assert report["total"][f"other_{unit}"] == sum(
                layer[f"dense_{unit}"] for layer in report["layers"] if layer["layer_bytes"] is None
            )
    for before, after in zip(compressed["layers"], inspected["layers"], strict=True):
        for key in LAYER_KEYS - {"op"}:
            assert before[key] == after[key], key
    verified = run("verify", dense, "small.tflite", "--samples", 1, cwd=cwd).stdout
    total = compressed["total"]
    assert f"arena {total['arena_bytes_before']:,} -> {total['arena_bytes_after']:,} bytes" in verified
    assert inspected["total"]["arena_bytes"] == total["arena_bytes_after"]
    page = (cwd / "c.html").read_text()
    for number in (total["file_bytes_after"], total["arena_bytes_after"], total["estimated_cycles"]):
        assert f"<b>{number:,}</b>" in page
    assert "http" not in page and "http" not in (cwd / "i.html").read_text()


OTHER_KINDS = {
    "window": lambda rng: conv_model(rng, sparse_matrix(rng, 64, 288, 0.9), filter_size=(3, 3), pixels=(8, 8)),
    "int16 window": lambda rng: conv_model(rng, sparse_matrix(rng, 64, 288, 0.9), filter_size=(3, 3), int16=True),
    "int16": lambda rng: conv_model(rng, sparse_matrix(rng, 64, 128, 0.9), int16=True),
    "int16 fully connected": lambda rng: fully_connected_model(rng, sparse_matrix(rng, 100, 300, 0.9), int16=True),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_every_kind_of_layer_has_time_and_scratch(tmp_path, kind):
    """Reports show the scratch that the layer uses, not the budget, and warn of layers that became slower."""
    (tmp_path / "m.tflite").write_bytes(tflite.serialize(OTHER_KINDS[kind](np.random.default_rng(0))))
    # The layer is the whole model: its scratch is above the arena of the dense one, and its code counts most.
    room = ("--max-arena", 100_000, "--code", "all")
    small = ("compress", "m.tflite", "-o", "o.tflite", "--objective", "size", *room, "--slowest", 10)
    result = run(*small, "--json", "c.json", cwd=tmp_path)
    run("inspect", "o.tflite", "--json", "i.json", cwd=tmp_path)
    ((before,), (after,)) = (json.loads((tmp_path / name).read_text())["layers"] for name in ("c.json", "i.json"))
    assert {key: before[key] for key in LAYER_KEYS - {"op"}} == {key: after[key] for key in LAYER_KEYS - {"op"}}
    assert f"{before['estimated_cycles']:,}" in result.stdout and " cycles on cortex-m55" in result.stdout
    in_instructions = run(*small, "--cpu", "cortex-m4", cwd=tmp_path)
    assert " instructions on cortex-m4" in in_instructions.stdout and "cycles" not in in_instructions.stdout
    assert (before["scratch_bytes"] > 0) == ("fully connected" not in kind)
    assert before["scratch_bytes"] < 49152
    slower = before["estimated_cycles"] > before["dense_cycles"]
    assert slower == ("int16" in kind) == ("1 packed layer is estimated to be slower than dense" in result.stderr)
    assert slower == ("'; --objective speed avoids that" in result.stderr)
    named = run(*small, "--objective", "speed", "--dump-plan", "plan.yaml", "--method", "rice", cwd=tmp_path)
    assert slower == ("'; --method names the encoding" in named.stderr)
    named = run(*small, "--objective", "speed", "--plan", "plan.yaml", cwd=tmp_path)
    assert slower == ("'; the plan names the encoding" in named.stderr) and "avoids that" not in named.stderr
    fast = run(
        "compress", "m.tflite", "-o", "f.tflite", "--objective", "speed", "--json", "f.json", *room, cwd=tmp_path
    )
    (layer,) = json.loads((tmp_path / "f.json").read_text())["layers"]
    assert (layer["note"] == "faster dense on cortex-m55") == slower
    assert "slower than dense" not in fast.stderr


def test_memory_changes_the_estimate_of_gathers(tmp_path):
    """FULLY_CONNECTED gathers on a core with vectors."""
    model = fully_connected_model(np.random.default_rng(0), sparse_matrix(np.random.default_rng(0), 100, 300, 0.9))
    (tmp_path / "m.tflite").write_bytes(tflite.serialize(model))
    cycles = {}
    for memory in ("dtcm", "cached"):
        options = ("--objective", "size", "--memory", memory, "--json", "c.json")
        run("compress", "m.tflite", "-o", f"{memory}.tflite", *options, cwd=tmp_path)
        run("inspect", f"{memory}.tflite", "--memory", memory, "--json", "i.json", cwd=tmp_path)
        pages = [json.loads((tmp_path / name).read_text()) for name in ("c.json", "i.json")]
        assert {page["total"]["memory"] for page in pages} == {memory}
        found = [page["layers"][0] for page in pages]
        assert found[0]["estimated_cycles"] == found[1]["estimated_cycles"]
        cycles[memory] = found[0]["estimated_cycles"]
    assert 1.02 < cycles["cached"] / cycles["dtcm"] < 2


def test_report_with_a_comparison(dense):
    cwd = dense.parent
    way = {"way": "TFLM LUT", "flash_bytes": 1, "arena_bytes": 2, "latency_ratio": 3.25, "note": "a note"}
    (cwd / "tflm.json").write_text(json.dumps([{"model": "dense", "ways": [way]}]))
    options = ("--report", "r.html", "--comparison", "tflm.json")
    run("compress", dense, "-o", "o.tflite", *options, cwd=cwd)
    assert "TFLM LUT" in (cwd / "r.html").read_text()
    (cwd / "tflm.json").write_text(json.dumps([{"model": "other", "ways": []}]))
    line = error_of(run("compress", dense, "-o", "o2.tflite", *options, cwd=cwd, code=2))
    assert line == "compress: tflm.json: has no model dense; it has other"
    assert not (cwd / "o2.tflite").exists()


def test_stripped_models_verify_and_cannot_be_decompressed(dense):
    cwd = dense.parent
    run("compress", dense, "-o", "small.tflite", cwd=cwd)
    run("compress", dense, "-o", "stripped.tflite", "--strip", cwd=cwd)
    assert (cwd / "stripped.tflite").stat().st_size < (cwd / "small.tflite").stat().st_size
    run("verify", dense, "stripped.tflite", cwd=cwd)
    run("inspect", "stripped.tflite", cwd=cwd)
    line = error_of(run("decompress", "stripped.tflite", "-o", "back.tflite", cwd=cwd, code=2))
    assert "stripped.tflite: has no 'dcsr_original' metadata" in line and "--strip" in line
    assert not (cwd / "back.tflite").exists()


def test_dumped_plan_gives_the_same_file(dense):
    cwd = dense.parent
    options = ("--objective", "speed", "--cpu", "cortex-m4", "--max-scratch", 5000)
    run("compress", dense, "-o", "a.tflite", "--dump-plan", "plan.yaml", *options, cwd=cwd)
    run("compress", dense, "-o", "b.tflite", "--plan", "plan.yaml", cwd=cwd)
    assert (cwd / "a.tflite").read_bytes() == (cwd / "b.tflite").read_bytes()
    run("verify", dense, "b.tflite", "--samples", 2, cwd=cwd)
    (cwd / "plan.yaml").write_text("version: 1\ntensors: [{tensor: lost, method: rle}]")
    line = error_of(run("compress", dense, "-o", "c.tflite", "--plan", "plan.yaml", cwd=cwd, code=2))
    assert line.startswith("compress: plan.yaml: entry 1 of 'tensors': ") and "no layer whose weights are" in line


METHODS = [method for method in methods() if "+" not in method or method == "rice+huffman"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("objective", ["size", "balanced", "speed"])
def test_methods_and_objectives_verify(dense, method, objective):
    cwd = dense.parent
    run("compress", dense, "-o", "o.tflite", "--method", method, "--objective", objective, cwd=cwd)
    run("verify", dense, "o.tflite", "--samples", 2, cwd=cwd)


def test_tflite_s_own_sparse_form(dense):
    cwd = dense.parent
    sparse = with_sparse_weights(tflite.read(dense), SparseLayout(blocks={1: 2}))
    (cwd / "sparse.tflite").write_bytes(tflite.serialize(sparse))
    result = run("compress", "sparse.tflite", "-o", "small.tflite", cwd=cwd)
    assert "1 layers kept dense: 1 below --min-sparsity 60 %" in result.stdout
    assert "first/weights" in run("inspect", "sparse.tflite", cwd=cwd).stdout
    for original in ("sparse.tflite", "dense.tflite"):
        assert "identical" in run("verify", original, "small.tflite", "--samples", 3, cwd=cwd).stdout
    run("decompress", "small.tflite", "-o", "back.tflite", cwd=cwd)
    assert_same(tflite.read(dense), tflite.read(cwd / "back.tflite"))
    result = run("compress", "sparse.tflite", "-o", "none.tflite", "--method", "none", cwd=cwd)
    assert "the output is the dense equivalent of the input" in result.stdout
    assert_same(tflite.read(dense), tflite.read(cwd / "none.tflite"))

    sparse.subgraphs[0].tensors[1].sparsity.dimMetadata[0].denseSize = 7
    (cwd / "damaged.tflite").write_bytes(tflite.serialize(sparse))
    for tool in (["compress", "damaged.tflite", "-o", "out.tflite"], ["inspect", "damaged.tflite"]):
        error = error_of(run(*tool, cwd=cwd, code=2))
        assert error.startswith(
            f"{tool[0]}: damaged.tflite: subgraph 0, tensor 1 'first/weights': its sparsity parameters"
        )
    assert not (cwd / "out.tflite").exists()


def test_an_input_is_never_overwritten(dense):
    cwd = dense.parent
    before = dense.read_bytes()
    (cwd / "link.tflite").symlink_to("dense.tflite")
    (cwd / "hard.tflite").hardlink_to(dense)
    (cwd / "plan.yaml").write_text("version: 1\n")
    for path in ("dense.tflite", "link.tflite", "hard.tflite"):
        for arguments in (["-o", path], ["-o", "o.tflite", "--json", path]):
            assert "is an input" in error_of(run("compress", "dense.tflite", *arguments, cwd=cwd, code=2))
        assert "is an input" in error_of(run("inspect", "dense.tflite", "--report", path, cwd=cwd, code=2))
    arguments = ("-o", "o.tflite", "--plan", "plan.yaml", "--dump-plan", "plan.yaml")
    assert "is an input" in error_of(run("compress", "dense.tflite", *arguments, cwd=cwd, code=2))
    assert dense.read_bytes() == before
    assert sorted(p.name for p in cwd.iterdir()) == ["dense.tflite", "hard.tflite", "link.tflite", "plan.yaml"]


def test_nothing_packed_means_nothing_changed(dense):
    cwd = dense.parent
    (cwd / "odd.tflite").write_bytes(dense.read_bytes() + bytes(8))
    result = run("compress", "odd.tflite", "-o", "o.tflite", "--method", "none", cwd=cwd)
    assert "the output is the input, byte for byte" in result.stdout
    assert (cwd / "o.tflite").read_bytes() == (cwd / "odd.tflite").read_bytes()


def test_verify_finds_a_single_changed_weight(dense):
    cwd = dense.parent
    run("compress", dense, "-o", "small.tflite", cwd=cwd)
    model = tflite.read(cwd / "small.tflite")
    layer = layers.find(model)[-1]
    tensor = model.subgraphs[0].tensors[layer.operator.inputs[1]]
    data = np.array(model.buffers[tensor.buffer].data)
    values = len(layer.packed.streams.values)
    end = len(packing.pack(layer.packed)) - -values % 4
    data[end - 1] ^= 64
    model.buffers[tensor.buffer].data = data
    (cwd / "broken.tflite").write_bytes(tflite.serialize(model))
    result = run("verify", dense, "broken.tflite", cwd=cwd, code=1)
    # The changed weight affects only the last output. Clamping may hide the difference in the first samples.
    assert re.match(r"different: sample \d+, output 0: element \[0, 199\] is -?\d+ in", result.stdout)


def test_verify_on_given_inputs(dense):
    cwd = dense.parent
    run("compress", dense, "-o", "small.tflite", cwd=cwd)
    np.savez(cwd / "inputs.npz", x=np.zeros((4, 1, 300), np.int8))
    result = run("verify", dense, "small.tflite", "--inputs", "inputs.npz", cwd=cwd)
    assert "identical: 4 samples" in result.stdout
    np.savez(cwd / "wrong.npz", x=np.zeros((4, 1, 299), np.int8))
    result = run("verify", dense, "small.tflite", "--inputs", "wrong.npz", cwd=cwd, code=2)
    assert "wrong.npz: input 'x' wants int8 [samples, 1, 300]" in error_of(result)


def test_verify_of_different_models(dense):
    other = dense.parent / "other.tflite"
    rng = np.random.default_rng(1)
    other.write_bytes(tflite.serialize(conv_model(rng, sparse_matrix(rng, 8, 8, 0.5))))
    result = run("verify", dense, other, cwd=dense.parent, code=2)
    assert "its inputs are not those of" in error_of(result)


BAD_FILES = {
    "empty": b"",
    "text": b"this is not a model, but it is long enough to look at",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("kind", [*BAD_FILES, "missing", "directory", "truncated"])
@pytest.mark.parametrize("tool", ["compress", "decompress", "inspect", "verify"])
def test_bad_files_give_one_line_and_leave_the_output_alone(dense, kind, tool):
    cwd = dense.parent
    path, output = cwd / f"{kind}.tflite", cwd / "out.tflite"
    output.write_bytes(b"what was there before")
    if kind in BAD_FILES:
        path.write_bytes(BAD_FILES[kind])
    elif kind == "directory":
        path.mkdir()
    elif kind == "truncated":
        path.write_bytes(dense.read_bytes()[:-5000])
    arguments = {"inspect": [path], "verify": [dense, path]}.get(tool, [path, "-o", output])
    line = error_of(run(tool, *arguments, cwd=cwd, code=2))
    assert line.startswith(f"{tool}: ") and f"{kind}.tflite" in line
    assert output.read_bytes() == b"what was there before"


def test_float_models_are_refused_with_the_tensor_and_the_way_out(tmp_path):
    builder = Builder()
    x = builder.tensor("x", (1, 8), np.float32)
    weights = builder.tensor("dense/MatMul", (4, 8), np.float32, data=np.zeros((4, 8)))
    y = builder.tensor("y", (1, 4), np.float32)
    options = schema.FullyConnectedOptionsT()
    builder.operator(schema.BuiltinOperator.FULLY_CONNECTED, [x, weights, -1], [y], options)
    (tmp_path / "kws.tflite").write_bytes(tflite.serialize(builder.finish([x], [y])))
    line = error_of(run("compress", "kws.tflite", "-o", "o.tflite", cwd=tmp_path, code=2))
    assert line.startswith("compress: kws.tflite: subgraph 0, tensor 1 'dense/MatMul': float32 weights; convert")
    assert not (tmp_path / "o.tflite").exists()


def test_outputs_that_cannot_be_written(dense):
    result = run("compress", dense, "-o", "no/such/folder/o.tflite", cwd=dense.parent, code=2)
    assert "no/such/folder/o.tflite: cannot be written" in error_of(result)


def test_nothing_is_written_if_the_model_cannot_be(dense):
    cwd = dense.parent
    before = sorted(path.name for path in cwd.iterdir())
    run("compress", dense, "-o", "no/o.tflite", "--json", "r.json", "--cc", "m.cc", cwd=cwd, code=2)
    assert sorted(path.name for path in cwd.iterdir()) == before
    result = run("compress", dense, "-o", "m.json", "--json", "m.json", cwd=cwd, code=2)
    assert "named for two outputs" in error_of(result)


def test_links_and_devices_stay_what_they_are(dense):
    cwd = dense.parent
    (cwd / "target.tflite").write_bytes(b"old")
    (cwd / "link.tflite").symlink_to("target.tflite")
    run("compress", dense, "-o", "link.tflite", cwd=cwd)
    assert (cwd / "link.tflite").is_symlink()
    assert (cwd / "target.tflite").read_bytes()[4:8] == b"TFL3"
    run("compress", dense, "-o", "/dev/null", cwd=cwd)
    assert Path("/dev/null").is_char_device()


def test_exit_status_of_verify_survives_a_closed_pipe(dense):
    other = dense.parent / "other.tflite"
    model = tflite.read(dense)
    weights = model.subgraphs[0].tensors[model.subgraphs[0].operators[2].inputs[1]]
    data = np.array(model.buffers[weights.buffer].data)
    model.buffers[weights.buffer].data = (data ^ 1).astype(np.uint8)
    other.write_bytes(tflite.serialize(model))
    command = f'"{TOOLS}/verify" dense.tflite other.tflite | true; exit ${{PIPESTATUS[0]}}'
    assert subprocess.run(["bash", "-c", command], cwd=dense.parent, check=False).returncode == 1


@pytest.mark.parametrize(
    "command",
    [
        "inspect dense.tflite",
        "inspect --help",
        "compress dense.tflite -o o.tflite --json r.json --cc m.cc --numpy matrices",
        "verify dense.tflite dense.tflite --samples 1",
    ],
)
def test_full_device_behind_stdout_is_one_line_and_leaves_no_file(dense, command):
    before = sorted(path.name for path in dense.parent.iterdir())
    shell = f'"{TOOLS}/"{command} > /dev/full'
    result = subprocess.run(["bash", "-c", shell], cwd=dense.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert error_of(result) == f"{command.split()[0]}: output: No space left on device"
    assert sorted(path.name for path in dense.parent.iterdir()) == before


@pytest.mark.parametrize("command", ["compress --help", "compress dense.tflite -o o.tflite"])
def test_closed_pipe_is_no_error(dense, command):
    reading, writing = os.pipe()
    os.close(reading)
    shell = f'exec 3>&{writing}; "{TOOLS}/"{command} >&3'
    result = subprocess.run(
        ["bash", "-c", shell], cwd=dense.parent, pass_fds=[writing], capture_output=True, text=True, check=False
    )
    os.close(writing)
    assert result.returncode == 0 and "Error" not in result.stderr and "Exception" not in result.stderr
    assert ("-o" in command) == (dense.parent / "o.tflite").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_leave_no_file_and_no_traceback(dense, number, status):
    cwd = dense.parent
    os.mkfifo(cwd / "plan.yaml")  # the tool waits for the plan
    command = [TOOLS / "compress", "dense.tflite", "-o", "o.tflite", "--plan", "plan.yaml"]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with (cwd / "plan.yaml").open("w"):  # returns when the tool has opened the other end
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert not output and not errors
    assert sorted(path.name for path in cwd.iterdir()) == ["dense.tflite", "plan.yaml"]


def test_names_of_tensors_cannot_control_the_terminal(dense):
    cwd = dense.parent
    model = tflite.read(dense)
    for tensor in model.subgraphs[0].tensors:
        tensor.name = "\x1b]0;title\x07\x1b[31m" + tflite.text(tensor.name) + "\n\u202e" + "x" * 3000
    model.subgraphs[0].tensors[1].type = schema.TensorType.INT4
    (cwd / "esc.tflite").write_bytes(tflite.serialize(model))
    (cwd / "plan.yaml").write_text("version: 1\ntensors: [{tensor: 1, method: rice}]\n")
    result = run("compress", "esc.tflite", "-o", "o.tflite", "--plan", "plan.yaml", cwd=cwd, code=2)
    assert error_of(result).isprintable() and len(error_of(result)) < 4000
    result = run("compress", "esc.tflite", "-o", "o.tflite", "--cc", "a\nb.cc", cwd=cwd, code=2)
    assert "choose a plain name" in error_of(result)
    result = run("inspect", "esc.tflite", cwd=cwd)
    assert all(line.isprintable() for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    "plan",
    [
        "version: 1\ntensors:\n- {method: [&a [x, x], &b [*a, *a], [*b, *b]], tensor: 1}\n",
        "version: 1\ntensors: [{tensor: &t first/weights, method: *t}]\n",
        "version: !!float foo",
        "version: 2001-99-99",
        "version: !!python/name:os.system",
        "version: 0x",
        "version: !!binary '*'",
        "? [a]\n: 1",
        "? {a: b}\n: 1",
        "version: 1\ntensors: 7",
        "[" * 5000,
        "version: 1\n# " + "x" * (1 << 18),
    ],
)
def test_plans_that_are_none_are_one_line(dense, plan):
    (dense.parent / "plan.yaml").write_text(plan)
    result = run("compress", dense, "-o", "o.tflite", "--plan", "plan.yaml", cwd=dense.parent, code=2)
    assert "plan.yaml" in error_of(result) and "internal" not in result.stderr


def test_paths_that_are_not_unicode(dense):
    cwd = os.fsencode(dense.parent)
    os.rename(dense, cwd + b"/\xff.tflite")
    result = subprocess.run(
        [TOOLS / "compress", b"\xff.tflite", "-o", b"\xfe.tflite", "--json", b"\xfd.json", "--report", b"\xfc.html",
         "--dump-plan", b"\xfb.yaml", "--cc", b"\xfa.cc"],
        cwd=cwd, capture_output=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for name in (b"\xfe.tflite", b"\xfd.json", b"\xfc.html", b"\xfb.yaml", b"\xfa.cc", b"\xfa.h"):
        assert os.path.exists(cwd + b"/" + name)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dense.tflite"],
        ["dense.tflite", "-o", "o.tflite", "--method", "best"],
        ["dense.tflite", "-o", "o.tflite", "--min-sparsity", "60"],
        ["dense.tflite", "-o", "o.tflite", "--cc", "model.txt"],
        ["dense.tflite", "-o", "o.tflite", "--max-scratch", "-1"],
        ["dense.tflite", "-o", "o.tflite", "--cpu", "cortex-a5"],
        ["dense.tflite", "-o", "o.tflite", "--plan", "none.yaml"],
        ["dense.tflite", "-o", "o.tflite", "--report", "o.tflite"],
        ["dense.tflite", "-o", "o.tflite", "--comparison", "dense.tflite"],
        ["dense.tflite", "-o", "o.tflite", "--bogus"],
    ],
)
def test_bad_usage(dense, arguments):
    run("compress", *arguments, cwd=dense.parent, code=2)
    assert not (dense.parent / "o.tflite").exists()


@pytest.mark.parametrize("tool", ["compress", "decompress", "inspect", "verify", "matrix_metrics", "export_matrix"])
def test_help_shows_an_example_and_the_exit_status(tool, tmp_path):
    text = run(tool, "--help", cwd=tmp_path).stdout
    assert "example" in text and "exit status" in text


def test_numpy_metrics_and_export(tmp_path):
    rng = np.random.default_rng(2)
    matrix = sparse_matrix(rng, 60, 100, 0.9)
    model = fully_connected_model(rng, matrix)
    (tmp_path / "m.tflite").write_bytes(tflite.serialize(model))
    run("compress", "m.tflite", "-o", "s.tflite", "--numpy", "weights", cwd=tmp_path)
    (path,) = (tmp_path / "weights").iterdir()
    assert np.array_equal(np.load(path), matrix)

    result = run("matrix_metrics", path, "--json", "sizes.json", cwd=tmp_path)
    sizes = json.loads((tmp_path / "sizes.json").read_text())["bytes"]
    assert sizes["dense"] == 6000
    for scheme in ("csr", "bcsr", "psr", *encodings.REGISTRY, "zlib6", "zlib9", "bound"):
        assert scheme in sizes and scheme in result.stdout

    run("export_matrix", path, "out.h", cwd=tmp_path)
    assert "static const int8_t out_matrix[]" in (tmp_path / "out.h").read_text()


@pytest.mark.parametrize("tool,more", [("matrix_metrics", []), ("export_matrix", ["o.h"])])
def test_matrices_that_are_none(tmp_path, tool, more):
    np.save(tmp_path / "float.npy", np.zeros((3, 3), np.float32))
    np.save(tmp_path / "object.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "archive.npz", np.zeros((3, 3), np.int8))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_text("")
    for name in ("float.npy", "object.npy", "archive.npz", "text.npy", "empty.npy", "none.npy"):
        assert name in error_of(run(tool, name, *more, cwd=tmp_path, code=2))
    assert not (tmp_path / "o.h").exists()


# ------------------------------------------------------------------------------------------ prune

DENSE_SPEECH = Path("models/kws/ds_cnn_s_dense.tflite").absolute()
RECORDED = Path("models/kws/recorded.npz").absolute()


def test_prune_compress_verify(tmp_path):
    """The three commands of README.md."""
    found = run(
        "prune",
        *(DENSE_SPEECH, "--inputs", RECORDED, "-o", "sparse.tflite", "--sparsity", ".6"),
        *("--report", "page.html", "--json", "numbers.json", "--dump-plan", "plan.yaml"),
        cwd=tmp_path,
    )
    assert "another class for" in found.stdout and "an estimate" in found.stdout
    assert "compress it:" in found.stdout and found.stderr == ""
    assert json.loads((tmp_path / "numbers.json").read_text())["held_out"] == 53
    assert "</html>" in (tmp_path / "page.html").read_text()
    plan = (tmp_path / "plan.yaml").read_text()
    assert "sparsity 0.600" in plan and plan.count("    sparsity: 0.") >= 5
    run("compress", "sparse.tflite", "-o", "small.tflite", "--objective", "size", cwd=tmp_path)
    assert (tmp_path / "small.tflite").stat().st_size < 0.75 * DENSE_SPEECH.stat().st_size
    assert "identical" in run("verify", "sparse.tflite", "small.tflite", cwd=tmp_path).stdout
    both = run(
        *("compress", DENSE_SPEECH, "-o", "both.tflite", "--objective", "size", "--prune", ".6"),
        *("--inputs", RECORDED),
        cwd=tmp_path,
    )
    assert "disagreement with the dense model" in both.stdout
    assert (tmp_path / "both.tflite").read_bytes() == (tmp_path / "small.tflite").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--inputs", "missing.npz"], "prune: missing.npz: No such file or directory"),
        (["--inputs", "bad.npz"], "prune: bad.npz: not an .npz or .npy file of numbers"),
        (["--inputs", "few.npz"], "prune: few.npz: has 3 samples, at least 8 are needed"),
        (["--inputs", "shape.npz"], "prune: shape.npz: input 'serving_default_mfcc:0' wants [samples, 49, 10, 1]"),
        (["--inputs", RECORDED, "--flash", "9"], "9 bytes cannot be reached"),
        (["--inputs", RECORDED, "--exclude", "x"], "has no layer whose weights are tensor 'x'"),
        (["--inputs", RECORDED, "--labels", "few.npz"], "prune: few.npz: expected a .npy with one integer"),
        (["--inputs", RECORDED, "--pattern", "4:2"], "pattern '4:2' is neither N:M"),
        (["--dataset", "nothing"], "--dataset nothing: unknown; known are speech_commands"),
    ],
)
def test_prune_says_in_one_line_what_is_wrong(tmp_path, arguments, message):
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "few.npz", np.zeros((3, 49, 10, 1), np.int8))
    np.savez(tmp_path / "shape.npz", np.zeros((30, 49, 11, 1), np.int8))
    result = run("prune", DENSE_SPEECH, "-o", "sparse.tflite", *arguments, cwd=tmp_path, code=2)
    assert message in error_of(result)
    assert not (tmp_path / "sparse.tflite").exists()


def test_prune_warns_of_random_inputs(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "random.npz", rng.integers(-128, 128, (96, 49, 10, 1), np.int8))
    result = run(
        *("prune", DENSE_SPEECH, "--inputs", "random.npz", "-o", "out.tflite", "--sparsity", ".5"), cwd=tmp_path
    )
    assert "warning: random.npz: the samples look like random numbers" in result.stderr


def test_limits_of_arena_and_time(tmp_path):
    """--max-arena is kept, --slowest too; the last line and the JSON have the figures of the whole firmware."""
    rng = np.random.default_rng(5)
    builder = Builder()
    x = builder.tensor("x", (1, 12, 12, 96), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng, 96, 96, 0.9), name="first")
    z = builder.conv_2d(y, sparse_matrix(rng, 96, 96, 0.9), name="second")
    (tmp_path / "m.tflite").write_bytes(tflite.serialize(builder.finish([x], [z])))

    def compressed(*options: object) -> tuple[dict, str]:
        arguments = ("compress", "m.tflite", "-o", "o.tflite", "--cpu", "cortex-m4", "--json", "o.json", *options)
        result = run(*arguments, cwd=tmp_path)
        return json.loads((tmp_path / "o.json").read_text())["total"]["firmware"], result.stdout

    firmware, text = compressed("--clock", 120)
    dense, small = firmware["dense"], firmware["compressed"]
    assert small["arena_bytes"] <= dense["arena_bytes"] < firmware["unlimited_arena_bytes"]
    assert small["instructions"] < dense["instructions"] and firmware["arena_time"] > 0
    assert f"arena {dense['arena_bytes']:,} -> {small['arena_bytes']:,} bytes" in text
    assert " ms at 120 MHz) on cortex-m4" in text
    assert f"--max-arena {firmware['unlimited_arena_bytes']} would avoid that" in text
    free, text = compressed("--max-arena", firmware["unlimited_arena_bytes"])
    assert free["arena_time"] == 0 and "would avoid that" not in text
    # With scratch, `balanced` may choose a smaller encoding that is at most 10 % slower.
    assert free["compressed"]["instructions"] <= 1.1 * (small["instructions"] - firmware["arena_time"])
    bounded, _ = compressed("--objective", "size", "--slowest", 0.75)
    assert bounded["compressed"]["instructions"] <= 0.75 * dense["instructions"]
    arguments = ("compress", "m.tflite", "-o", "no.tflite", "--max-arena", 9000)
    error = error_of(run(*arguments, cwd=tmp_path, code=2))
    assert "m.tflite: does not fit into an arena of 9,000 bytes: 'second/weights' takes at least " in error
    assert not (tmp_path / "no.tflite").exists()
    for option, value in (("--slowest", "0"), ("--slowest", "inf"), ("--clock", "-1"), ("--slowest-start", "abc")):
        error = error_of(run("compress", "m.tflite", "-o", "no.tflite", option, value, cwd=tmp_path, code=2))
        assert f"argument {option}: {value} is not a positive number" in error
    for value in ("-1", "abc"):
        error = error_of(run("compress", "m.tflite", "-o", "no.tflite", "--max-arena", value, cwd=tmp_path, code=2))
        assert f"argument --max-arena: {value} is no number of bytes" in error

"""Tests the ops in the real wheel, with models built in memory, and rejected models."""

import os
import struct
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import numpy as np
import pytest
from tflite_micro import runtime as stock

from dcsr import model as tflite
from dcsr import runtime
from dcsr.schema import schema
from dcsr.testing.models import Builder

CUSTOM = schema.BuiltinOperator.CUSTOM
NAMES = {1: "DCSR_CONV_2D", 2: "DCSR_FULLY_CONNECTED"}

# The scales have the ratio 1/256 or 1/512, so multiplier and shift are obvious.
INPUT_SCALE, WEIGHT_SCALE = 0.5, 0.125
OUTPUT_SCALE = {1: 16.0, 2: 32.0}
MULTIPLIER = 1 << 30
SHIFT = {1: -7, 2: -8}

INPUT_ZERO_POINT, OUTPUT_ZERO_POINT = -7, 11


def packed_layer(op, matrix, bias, stride=(1, 1)):
    """Builds a dense packed layer according to docs/format.md."""
    rows, cols = matrix.shape
    folded = bias - INPUT_ZERO_POINT * matrix.sum(axis=1, dtype=np.int64)
    body = folded.astype("<i4").tobytes() + struct.pack("<ib3x", MULTIPLIER, SHIFT[op])
    body += matrix.tobytes() + bytes(-matrix.size % 4)
    header = struct.pack("<4s4B4I", b"dCSR", 1, op, 0, 0, 64 + len(body), rows, cols, matrix.size)
    header += struct.pack("<4h", INPUT_ZERO_POINT, OUTPUT_ZERO_POINT, -128, 127)
    header += struct.pack("<2B2B4x3I12x", *stride, 0, 0, 0, 0, 0)
    return header + body


class Case:
    """A layer as two models: one with the builtin op and one with the packed layer."""

    def __init__(self, op, rows, cols, seed=0, stride=(1, 1), shape=None):
        self.rng = np.random.default_rng(seed)
        self.op = op
        self.stride = stride
        self.matrix = self.rng.integers(-127, 128, (rows, cols)).astype(np.int8)
        self.matrix[self.rng.random((rows, cols)) < 0.7] = 0
        self.bias = self.rng.integers(-3000, 3000, rows).astype(np.int32)
        self.blob = packed_layer(op, self.matrix, self.bias, stride)
        self.input_shape = shape or ((2, 5, 7, cols) if op == 1 else (3, cols))
        if op == 1:
            batches, height, width, _ = self.input_shape
            self.output_shape = (batches, -(-height // stride[0]), -(-width // stride[1]), rows)
        else:
            self.output_shape = (int(np.prod(self.input_shape)) // cols, rows)

    def dense(self):
        builder = Builder()
        x = builder.tensor("x", self.input_shape, scale=INPUT_SCALE, zero_point=INPUT_ZERO_POINT)
        options = {
            "bias": self.bias,
            "weight_scale": WEIGHT_SCALE,
            "output_scale": OUTPUT_SCALE[self.op],
            "output_zero_point": OUTPUT_ZERO_POINT,
        }
        if self.op == 1:
            y = builder.conv_2d(x, self.matrix, stride=self.stride, **options)
        else:
            y = builder.fully_connected(x, self.matrix, self.output_shape, **options)
        return tflite.serialize(builder.finish([x], [y]))

    def packed_t(self, blob=None):
        """Returns the packed model as an object of the schema's object API."""
        blob = self.blob if blob is None else bytes(blob)
        builder = Builder()
        x = builder.tensor("x", self.input_shape, scale=INPUT_SCALE, zero_point=INPUT_ZERO_POINT)
        packed = builder.tensor("packed", (len(blob),), data=np.frombuffer(blob, np.int8))
        y = builder.tensor("y", self.output_shape, scale=OUTPUT_SCALE[self.op], zero_point=OUTPUT_ZERO_POINT)
        builder.operator(CUSTOM, [x, packed], [y], custom=NAMES[self.op])
        return builder.finish([x], [y])

    def packed(self, blob=None):
        return tflite.serialize(self.packed_t(blob))

    def random_input(self):
        return self.rng.integers(-128, 128, self.input_shape).astype(np.int8)


CONV = Case(1, 6, 10)
FULLY_CONNECTED = Case(2, 5, 33)
CASES = {
    "conv": CONV,
    "conv of stride 2": Case(1, 9, 17, stride=(2, 2), shape=(1, 7, 8, 17)),
    "conv of strides 3 and 1": Case(1, 3, 4, stride=(3, 1), shape=(2, 8, 5, 4)),
    "conv of one weight": Case(1, 1, 1, shape=(1, 1, 1, 1)),
    "fully connected": FULLY_CONNECTED,
    "fully connected of one batch": Case(2, 12, 700, shape=(1, 700)),
    "fully connected of an image": Case(2, 4, 24, shape=(1, 2, 3, 4)),
}


def run(interpreter, activations):
    interpreter.set_input(activations, 0)
    interpreter.invoke()
    return interpreter.get_output(0)


def assert_survives(function):
    """Runs `function` in a child process. A crash of the interpreter then becomes an exit status."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"exit status {status}"


def python(code, redirection="", **environment):
    """Runs code in a new Python process; returns (exit status, stdout)."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, code],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_packed_layer_equals_builtin_op(case):
    dense = stock.Interpreter.from_bytes(case.dense(), arena_size=1 << 20)
    packed = runtime.Interpreter.from_bytes(case.packed())
    outputs = set()
    for _ in range(5):
        activations = case.random_input()
        expected = run(dense, activations)
        np.testing.assert_array_equal(run(packed, activations), expected)
        outputs.update(expected.ravel().tolist())
    assert case.matrix.size == 1 or len(outputs) > 10, "this proves nothing"


def test_interpreter_runs_uncompressed_models_too():
    dense = CONV.dense()
    activations = CONV.random_input()
    expected = run(stock.Interpreter.from_bytes(dense, arena_size=1 << 20), activations)
    np.testing.assert_array_equal(run(runtime.Interpreter.from_bytes(dense), activations), expected)


def test_two_nodes_in_one_model_keep_their_own_state():
    first, second = Case(2, 20, 30, seed=1, shape=(2, 30)), Case(2, 4, 20, seed=2, shape=(2, 20))
    second.blob = bytearray(second.blob)
    second.blob[24:26] = struct.pack("<h", OUTPUT_ZERO_POINT)  # its input is the output of the first one
    builder = Builder()
    tensors = [builder.tensor("x", (2, 30), scale=0.5, zero_point=INPUT_ZERO_POINT)]
    for layer, width in ((first, 20), (second, 4)):
        packed = builder.tensor("packed", (len(layer.blob),), data=np.frombuffer(layer.blob, np.int8))
        tensors.append(builder.tensor("y", (2, width), scale=0.5, zero_point=OUTPUT_ZERO_POINT))
        builder.operator(CUSTOM, [tensors[-2], packed], [tensors[-1]], custom=NAMES[2])
    both = runtime.Interpreter.from_bytes(tflite.serialize(builder.finish(tensors[:1], tensors[-1:])))

    second_model = second.packed_t()
    second_model.subgraphs[0].tensors[0].quantization.zeroPoint[:] = OUTPUT_ZERO_POINT
    activations = first.random_input()
    between = run(runtime.Interpreter.from_bytes(first.packed()), activations)
    expected = run(runtime.Interpreter.from_bytes(tflite.serialize(second_model)), between)
    np.testing.assert_array_equal(run(both, activations), expected)


def test_two_interpreters_do_not_disturb_each_other():
    cases = [Case(1, 6, 10, seed=3), Case(1, 11, 10, seed=4)]
    interpreters = [runtime.Interpreter.from_bytes(case.packed()) for case in cases]
    activations = CONV.random_input()
    alone = [run(interpreter, activations) for interpreter in interpreters]
    for interpreter in interpreters:
        interpreter.set_input(activations, 0)
    for interpreter in interpreters:
        interpreter.invoke()
    for interpreter, expected in zip(interpreters, alone, strict=True):
        np.testing.assert_array_equal(interpreter.get_output(0), expected)


def test_threads_with_an_interpreter_each():
    failures = []

    def work(seed):
        try:
            case = Case(1 + seed % 2, 8, 40, seed=seed)
            dense = stock.Interpreter.from_bytes(case.dense(), arena_size=1 << 20)
            for _ in range(5):
                packed = runtime.Interpreter.from_bytes(case.packed())
                with pytest.raises(RuntimeError, match="packed layer"):
                    runtime.Interpreter.from_bytes(case.packed(case.blob[:-4]))
                for _ in range(20):
                    activations = case.random_input()
                    np.testing.assert_array_equal(run(packed, activations), run(dense, activations))
        except BaseException as error:  # seen by the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_interpreter_outlives_what_it_was_made_from():
    model = bytearray(CONV.packed())
    activations = CONV.random_input()
    interpreter = runtime.Interpreter.from_bytes(model)
    expected = run(interpreter, activations).copy()
    model[:] = bytes(len(model))
    np.testing.assert_array_equal(run(interpreter, activations), expected)


def test_methods_have_the_wheels_arguments(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(CONV.packed())
    activations = CONV.random_input()
    keep = runtime.InterpreterConfig.kPreserveAllTensors
    first = runtime.Interpreter.from_file(str(path), ["DcsrRegisterOps"], 1 << 16, intrepreter_config=keep)
    second = runtime.Interpreter.from_file(path)
    assert isinstance(first, stock.Interpreter)
    output = run(first, activations)
    np.testing.assert_array_equal(run(second, activations), output)
    np.testing.assert_array_equal(first.GetTensor(2, 0)["tensor_data"], output)
    assert second.get_output_details(0)["shape"].tolist() == list(CONV.output_shape)


def test_wrong_arguments_are_value_errors(tmp_path):
    with pytest.raises(ValueError, match="path"):
        runtime.Interpreter.from_file(tmp_path / "missing.tflite")
    with pytest.raises(ValueError, match="None"):
        runtime.Interpreter.from_bytes(None)
    with pytest.raises(ValueError, match="registerers"):
        runtime.Interpreter.from_bytes(CONV.packed(), "DcsrRegisterOps")


# Rejected models and their messages.


def set_field(offset, layout, *values):
    def spoil(blob):
        struct.pack_into(layout, blob, offset, *values)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        set_field(0, "4s", b"DCSR"),
        set_field(4, "B", 2),
        set_field(5, "B", 2),  # the op
        set_field(6, "B", 1),  # the encoding
        set_field(7, "B", 1),
        set_field(8, "<I", 1 << 31),
        set_field(12, "<I", 0xFFFFFFFF),
        set_field(12, "<II", 1 << 20, (1 << 18) - 1),
        set_field(16, "<I", 0),
        set_field(20, "<I", 1),
        set_field(28, "<h", -129),
        set_field(32, "B", 0),
        set_field(35, "B", 4),
        set_field(40, "<I", 0xFFFFFFFC),
        set_field(60, "B", 1),
        set_field(64 + 4 * 6, "<i", -1),  # the multiplier
        set_field(64 + 4 * 7, "<b", 31),  # the shift
    ],
)
def test_invalid_packed_layer_is_refused_with_the_reason(spoil, capfd):
    blob = bytearray(CONV.blob)
    spoil(blob)
    with pytest.raises(RuntimeError, match="\nDCSR_CONV_2D: packed layer: "):
        runtime.Interpreter.from_bytes(CONV.packed(blob))
    # Messages of the interpreter itself stay on stderr.
    stderr = capfd.readouterr().err
    assert "packed layer" not in stderr
    assert "failed to prepare" in stderr


def test_packed_layer_with_any_byte_changed_is_refused_or_runs():
    case = Case(1, 3, 4, shape=(1, 2, 2, 4))
    model = case.packed()
    start = model.index(case.blob)

    def change_each():
        for position in range(len(case.blob)):
            for bits in (0x01, 0x80, 0xFF):
                changed = bytearray(model)
                changed[start + position] ^= bits
                try:
                    run(runtime.Interpreter.from_bytes(changed), case.random_input())
                except RuntimeError as error:
                    assert "DCSR_CONV_2D: " in str(error)

    assert_survives(change_each)


def shape(tensor, *dims):
    def spoil(graph):
        graph.tensors[tensor].shape = np.array(dims, np.int32)

    return spoil


def zero_point(tensor):
    def spoil(graph):
        graph.tensors[tensor].quantization.zeroPoint[:] += 1

    return spoil


def kind(tensor, name):
    def spoil(graph):
        graph.tensors[tensor].type = getattr(schema.TensorType, name)

    return spoil


def inputs(*indices):
    def spoil(graph):
        graph.operators[0].inputs = np.array(indices, np.int32)

    return spoil


def outputs(*indices):
    def spoil(graph):
        graph.operators[0].outputs = np.array(indices, np.int32)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (inputs(0), "inputs"),
        (inputs(0, 1, 1), "packed layer: is of an unknown version"),
        (inputs(), "inputs"),
        (outputs(), "outputs"),
        (outputs(2, 2), "outputs"),
        (inputs(0, -1), "packed layer: is missing"),
        (inputs(-1, 1), "input: is missing"),
        (inputs(0, 0), "packed layer: is not constant"),
        (kind(0, "INT16"), "input: its type is not that of the packed layer's activations"),
        (kind(0, "INT32"), "input: is neither int8 nor int16"),
        (kind(1, "UINT8"), "packed layer: is not int8"),
        (kind(2, "FLOAT32"), "output: is neither int8 nor int16"),
        (zero_point(0), "input: its zero point"),
        (zero_point(2), "output: its zero point"),
        (shape(0, 2, 5, 10, 7), "input: its channels"),
        (shape(0, 2, 50, 7), "input: does not have 4 dimensions"),
        (shape(0, 2, 5, 0, 10), "input: has an impossible shape"),
        (shape(1, 16), "packed layer: is truncated"),
        (shape(1, 0), "packed layer: has an impossible shape"),
        (shape(2, 2, 5, 6, 7), "output: its channels"),
        (shape(2, 2, 4, 7, 6), "output: its height"),
        (shape(2, 1, 5, 7, 6), "output: its batches"),
        (shape(2), "output: has an impossible shape"),
    ],
)
def test_node_that_does_not_fit_is_refused_with_the_reason(spoil, reason):
    model = CONV.packed_t()
    spoil(model.subgraphs[0])
    data = tflite.serialize(model)

    def load():
        with pytest.raises(RuntimeError, match=f"DCSR_CONV_2D: {reason}"):
            runtime.Interpreter.from_bytes(data)

    assert_survives(load)


def test_too_small_an_arena_is_a_runtime_error():
    with pytest.raises(RuntimeError, match="allocate"):
        runtime.Interpreter.from_bytes(CONV.packed(), arena_size=1500)


@pytest.mark.parametrize("config", runtime.InterpreterConfig)
def test_arena_of_any_size_is_enough_or_an_exception(config):
    model = FULLY_CONNECTED.packed()

    def load_with_each():
        for size in (*range(0, 1500, 12), *range(8000, 9500, 12)):
            try:
                runtime.Interpreter.from_bytes(model, arena_size=size, intrepreter_config=config)
            except (ValueError, RuntimeError):
                pass

    assert_survives(load_with_each)


def test_stock_interpreter_without_our_ops_raises_and_says_which_op():
    # A new process, in which the ops are not registered.
    code = f"""
from tflite_micro import runtime as stock
for _ in range(3):
    for model in {[CONV.packed(), FULLY_CONNECTED.packed()]!r}:
        try:
            stock.Interpreter.from_bytes(model, arena_size=1 << 20)
        except RuntimeError as error:
            print(error, flush=True)
# The process goes on as before.
stock.Interpreter.from_bytes({CONV.dense()!r}, arena_size=1 << 20).invoke()
print("alive")
"""
    status, output = python(code)
    assert status == 0
    assert output.count("allocate tensors") == 6
    assert output.rstrip().endswith("alive")


def test_stock_interpreter_without_our_ops_names_what_is_missing(capfd):
    with pytest.raises(RuntimeError, match="allocate tensors"):
        stock.Interpreter.from_bytes(CONV.packed(), arena_size=1 << 20)
    assert "CUSTOM" in capfd.readouterr().err


def test_threads_share_one_model():
    models = [CONV.packed(), FULLY_CONNECTED.packed()]
    inputs = [CONV.random_input(), FULLY_CONNECTED.random_input()]
    expected = [run(runtime.Interpreter.from_bytes(model), x).copy() for model, x in zip(models, inputs, strict=True)]
    differences = []

    def work(model, activations, output):
        interpreter = runtime.Interpreter.from_bytes(model)
        for _ in range(50):
            if not np.array_equal(run(interpreter, activations), output):
                differences.append(output)

    # Two per model.
    work_loads = 2 * list(zip(models, inputs, expected, strict=True))
    threads = [threading.Thread(target=work, args=load) for load in work_loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not differences


def test_unknown_registerer_is_a_runtime_error_with_the_reason():
    with pytest.raises(RuntimeError, match="(?s)NoSuchFunction.*undefined symbol"):
        runtime.Interpreter.from_bytes(CONV.packed(), ["NoSuchFunction"])


def test_a_wheel_of_another_version_is_one_line(tmp_path):
    """The library is a stand-in that answers as ours does in a wheel that it does not know."""
    own = Path(runtime.__file__).with_name("_dcsr_ops_wheel.so").read_bytes()
    words = (b"DcsrRegisterOps: %s; this plugin supports ", b"the interpreter's library is unknown")
    assert all(word in own for word in words)
    source = tmp_path / "stand_in.c"
    message = b"DcsrRegisterOps: " + words[1] + b"; this plugin supports others\\n"
    source.write_text(
        f'#include <stdio.h>\nint DcsrRegisterOps(void* r) {{ fprintf(stderr, "{message.decode()}"); return 0; }}\n'
    )
    library = tmp_path / "stand_in.so"
    subprocess.run(["gcc", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    model = tmp_path / "model.tflite"
    model.write_bytes(CONV.packed())
    code = f"""
import dcsr
for run in (dcsr.Interpreter.from_file, lambda model: dcsr.verify(model, model, samples=1)):
    try:
        run({str(model)!r})
    except dcsr.ModelError as error:
        print(error)
"""
    status, stdout = python(code, DCSR_WHEEL_PLUGIN=str(library))
    line = (
        "the tflite-micro wheel of this Python does not serve: the interpreter's library is unknown; this plugin"
        " supports others; install the version that dcsr requires, which `pip check` names\n"
    )
    assert (status, stdout) == (0, 2 * line)


def test_missing_or_foreign_plugin_is_a_runtime_error(tmp_path):
    foreign = tmp_path / "foreign.so"
    foreign.write_bytes(b"no library")
    model = tmp_path / "model.tflite"
    model.write_bytes(CONV.packed())
    code = f"""
from dcsr import runtime
try:
    runtime.Interpreter.from_file({str(model)!r})
except RuntimeError as error:
    print(error)
"""
    status, stdout = python(code, DCSR_WHEEL_PLUGIN=str(tmp_path / "missing.so"))
    assert status == 0 and "bazel build //ops:wheel_plugin" in stdout
    status, stdout = python(code, DCSR_WHEEL_PLUGIN=str(foreign))
    assert status == 0 and "foreign.so is no library with the ops" in stdout


# Damaged files.


@pytest.mark.parametrize("case", [CONV, FULLY_CONNECTED], ids=["conv", "fully connected"])
@pytest.mark.parametrize("form", ["dense", "packed"])
def test_file_truncated_anywhere_is_a_value_error(case, form):
    model = getattr(case, form)()

    def truncate_everywhere():
        for length in range(len(model)):
            with pytest.raises(ValueError):
                runtime.Interpreter.from_bytes(model[:length])

    assert_survives(truncate_everywhere)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\x03\x04" + bytes(100), bytes(4) + b"TFL3" + bytes(100)])
def test_foreign_file_is_a_value_error(data):
    with pytest.raises(ValueError, match="TFLite model"):
        runtime.Interpreter.from_bytes(data)


def test_file_with_any_byte_changed_is_refused_or_runs():
    case = Case(1, 3, 4, shape=(1, 2, 2, 4))
    model = case.packed()

    def load_and_run(data):
        try:
            runtime.check_model(data)
            codes = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0)).operatorCodes
            if any(code.builtinCode != CUSTOM for code in codes):
                return  # The handling of such nodes by builtin ops is not tested here.
            run(runtime.Interpreter.from_bytes(data, arena_size=1 << 20), case.random_input())
        except (ValueError, RuntimeError, IndexError):  # IndexError: a model without inputs
            pass

    def change_each():
        for position in range(len(model)):
            for bits in (0x01, 0x02, 0x08, 0x80, 0xFF):
                changed = bytearray(model)
                changed[position] ^= bits
                load_and_run(bytes(changed))

    assert_survives(change_each)


def subgraphs(model):
    model.subgraphs = []


def no_lists(model):
    model.subgraphs[0].inputs = None


def operator_code(model):
    model.subgraphs[0].operators[0].opcodeIndex = 1


def operator_tensor(model):
    model.subgraphs[0].operators[0].outputs = np.array([3], np.int32)


def model_input(model):
    model.subgraphs[0].inputs = np.array([-1], np.int32)


def tensor_buffer(model):
    model.subgraphs[0].tensors[0].buffer = 5


def short_buffer(model):
    model.buffers[1].data = model.buffers[1].data[:80]


def no_buffers(model):
    model.buffers = []


@pytest.mark.parametrize(
    "spoil",
    [subgraphs, no_lists, operator_code, operator_tensor, model_input, tensor_buffer, short_buffer, no_buffers],
    ids=lambda spoil: spoil.__name__,
)
def test_model_that_refers_to_what_it_lacks_is_a_value_error(spoil):
    model = CONV.packed_t()
    spoil(model)
    with pytest.raises(ValueError, match="damaged TFLite model"):
        runtime.Interpreter.from_bytes(tflite.serialize(model))


def test_check_follows_the_options_of_builtin_ops():
    builder = Builder()
    x = builder.tensor("x", (2, 6), scale=1.0)
    y = builder.tensor("y", (3, 4), scale=1.0)
    options = schema.ReshapeOptionsT(newShape=np.array([3, 4], np.int32))
    builder.operator(schema.BuiltinOperator.RESHAPE, [x], [y], options)
    model = tflite.serialize(builder.finish([x], [y]))
    runtime.check_model(model)
    start = model.index(struct.pack("<3i", 2, 3, 4))  # the vector with its length
    with pytest.raises(ValueError, match="options, new shape: leaves the file"):
        runtime.check_model(model[:start] + struct.pack("<i", 1 << 29) + model[start + 4 :])


# Output on stderr.


def test_stderr_is_as_before_after_success_and_failure(capfd):
    before = os.fstat(2)
    runtime.Interpreter.from_bytes(CONV.packed())
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(CONV.packed(CONV.blob[:64]))
    after = os.fstat(2)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)
    capfd.readouterr()
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_no_file_is_left_open():
    runtime.Interpreter.from_bytes(CONV.packed())
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with pytest.raises(RuntimeError):
            runtime.Interpreter.from_bytes(CONV.packed(CONV.blob[:64]))
        runtime.arena_used_bytes(CONV.packed())
    assert len(os.listdir("/proc/self/fd")) == before


def test_text_of_others_reaches_stderr_while_a_model_loads(capfd):
    with runtime._captured_stderr("ours") as lines:
        os.write(2, b"ours 1\ntheirs\nours 2\nand")
    assert lines == ["ours 1\n", "theirs\n", "ours 2\n", "and"]
    assert capfd.readouterr().err == "theirs\nand"


def test_process_without_stderr(tmp_path):
    good, bad = tmp_path / "good.tflite", tmp_path / "bad.tflite"
    good.write_bytes(CONV.packed())
    bad.write_bytes(CONV.packed(CONV.blob[:64]))
    code = f"""
from dcsr import runtime
runtime.Interpreter.from_file({str(good)!r})
try:
    runtime.Interpreter.from_file({str(bad)!r})
except RuntimeError as error:
    print(error)
"""
    status, stdout = python(code, redirection="2>&-")
    assert status == 0 and "allocate tensors" in stdout


# The arena.


def test_arena_used_is_what_the_interpreter_needs(capfd):
    for model in (CONV.dense(), CONV.packed(), FULLY_CONNECTED.packed()):
        used = runtime.arena_used_bytes(model)
        # Planning needs additional memory, which is released afterwards.
        runtime.Interpreter.from_bytes(model, arena_size=used + 1024)
        with pytest.raises(RuntimeError):
            runtime.Interpreter.from_bytes(model, arena_size=used - 64)
    assert "RecordingMicroAllocator" not in capfd.readouterr().err


def test_arena_of_a_damaged_model_is_a_value_error():
    with pytest.raises(ValueError):
        runtime.arena_used_bytes(CONV.packed()[:-4])

"""Tests that no model takes the calling process down: crashes, endless loops and lack of memory are exceptions."""

import os
import time

import numpy as np
import pytest

import dcsr
from dcsr import isolation, layerwise, runtime, verification
from dcsr import model as tflite
from dcsr.schema import schema
from dcsr.testing.models import Builder, conv_model, fully_connected_model, sparse_matrix


def with_convolutions(channels: int = 4) -> schema.ModelT:
    """A model of three 1x1 convolutions. TFLM divides by the input channels that the weights of the last one have."""
    rng = np.random.default_rng(0)
    builder = Builder()
    x = y = builder.tensor("x", (1, 8, 8, 4), scale=0.5)
    for columns in (4, 4, channels):
        y = builder.conv_2d(y, rng.integers(-9, 9, (4, columns)).astype(np.int8))
    model = builder.finish([x], [y])
    graph = model.subgraphs[0]
    graph.tensors[graph.operators[2].inputs[1]].shape = np.array([4, 1, 1, channels], np.int32)
    return model


def slow(size: int) -> schema.ModelT:
    """A model with a convolution of size * size pixels and channels, which takes long."""
    rng = np.random.default_rng(0)
    builder = Builder()
    x = builder.tensor("x", (1, size, size, 64), scale=0.5)
    weights = rng.integers(-9, 9, (64, 64 * 25)).astype(np.int8)
    y = builder.conv_2d(x, weights, filter_size=(5, 5))
    return builder.finish([x], [y])


def ours() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_equals_the_interpreter_in_this_process():
    rng = np.random.default_rng(1)
    model = conv_model(rng, sparse_matrix(rng, 8, 8, 0.5))
    data = tflite.serialize(model)
    (sample,) = verification.random_samples(verification.inputs_of(model, "m"), 1, 0)
    here = runtime.Interpreter.from_bytes(data)
    here.set_input(sample[0], 0)
    here.invoke()
    before = ours()
    with isolation.IsolatedInterpreter(data) as there:
        there.set_input(sample[0], 0)
        there.invoke()
        np.testing.assert_array_equal(there.get_output(0), here.get_output(0))
        assert there.arena_used_bytes() == runtime.arena_used_bytes(data)
        with pytest.raises(ValueError):
            there.set_input(sample[0][..., :1], 0)
        there.invoke()  # an error of a call does not end the child
    assert ours() == before
    with pytest.raises(ValueError, match="closed"):
        there.invoke()


def test_a_crash_names_the_operator():
    data = tflite.serialize(with_convolutions(channels=8))
    before = ours()
    with pytest.raises(dcsr.ModelError, match=r"the interpreter crashes \(SIGFPE\).* at operator 2 CONV_2D"):
        dcsr.verify(data, data, samples=1)
    assert ours() == before


def test_a_crash_is_an_exception_of_prune():
    model = with_convolutions(channels=8)
    inputs = verification.inputs_of(model, "m")
    samples = [sample[0][0] for sample in verification.random_samples(inputs, 12, 0)]
    before = ours()
    with pytest.raises(dcsr.ModelError, match=r"the interpreter crashes \(SIGFPE\).* at operator 2 CONV_2D"):
        dcsr.prune(tflite.serialize(model), [np.stack(samples)[:, np.newaxis]])
    assert ours() == before


def test_a_loop_ends_with_its_operator():
    data = tflite.serialize(slow(200))
    start = time.monotonic()
    with pytest.raises(dcsr.ModelError, match="within 0.2 s most likely at operator 0 CONV_2D; a longer --timeout"):
        dcsr.verify(data, data, samples=1, timeout=0.2)
    assert time.monotonic() - start < 20


def test_too_much_memory_is_an_exception(monkeypatch):
    monkeypatch.setattr(isolation, "_MEMORY_BYTES", -(60 << 20))
    with pytest.raises(RuntimeError, match="memory|ends"):
        isolation.arena_used_bytes(tflite.serialize(with_convolutions()))


def test_reasons_of_a_refusal_are_not_on_stderr(capfd):
    builder = Builder()
    x = builder.tensor("x", (1, 4), scale=1.0)
    y = builder.tensor("y", (1, 4), scale=1.0)
    builder.operator(schema.BuiltinOperator.CUSTOM, [x], [y], custom="TheirOp")
    model = builder.finish([x], [y])
    with pytest.raises(dcsr.ModelError, match="lacks the custom operators 'TheirOp'") as caught:
        dcsr.verify(tflite.serialize(model), tflite.serialize(model))
    assert str(caught.value).count("op code CUSTOM") == 1
    assert capfd.readouterr().err == ""


def with_their_op(rng: np.random.Generator) -> schema.ModelT:
    builder = Builder()
    x = builder.tensor("x", (1, 96), scale=0.1, zero_point=-3)
    y = builder.fully_connected(x, sparse_matrix(rng, 64, 96, 0.9), (1, 64), name="first")
    z = builder.tensor("z", (1, 64), scale=0.5, zero_point=3)
    builder.operator(schema.BuiltinOperator.CUSTOM, [y], [z], custom="TheirOp", custom_options=b"options")
    w = builder.fully_connected(z, sparse_matrix(rng, 80, 64, 0.9), (1, 80), name="last")
    return builder.finish([x], [w])


def test_models_that_cannot_run_are_compared_layer_by_layer():
    model = with_their_op(np.random.default_rng(2))
    data = tflite.serialize(model)
    small = dcsr.compress(data, slowest=1000).model
    found = dcsr.verify(data, small, samples=3)
    assert found.identical and found.layers == 2 and found.arena_bytes is None
    assert "layer by layer instead: 2 packed layers" in str(found) and "'TheirOp'" in str(found)

    changed = tflite.parse(data, "m")
    weights = changed.subgraphs[0].tensors[changed.subgraphs[0].operators[2].inputs[1]]
    content = np.array(changed.buffers[weights.buffer].data)
    content[np.flatnonzero(content)[5]] ^= 64
    changed.buffers[weights.buffer].data = content
    found = dcsr.verify(tflite.serialize(changed), small, samples=20)
    assert not found.identical and found.difference.startswith("subgraph 0, operator 2: sample")

    changed.subgraphs[0].operators[1].customOptions = np.frombuffer(b"other", np.uint8)
    with pytest.raises(dcsr.ModelError, match="operator 1 is not that of original"):
        dcsr.verify(tflite.serialize(changed), small)


def test_a_model_without_dead_channels_is_compared_with_the_original_without_them():
    rng = np.random.default_rng(4)
    builder = Builder()
    x = builder.tensor("x", (1, 96), scale=0.1, zero_point=-3)
    y = builder.fully_connected(x, sparse_matrix(rng, 64, 96, 0.9), (1, 64), name="first")
    last = sparse_matrix(rng, 80, 64, 0.9)
    last[:, 20:30] = 0
    z = builder.fully_connected(y, last, (1, 80), name="last")
    w = builder.tensor("w", (1, 80), scale=0.5, zero_point=3)
    builder.operator(schema.BuiltinOperator.CUSTOM, [z], [w], custom="TheirOp")
    data = tflite.serialize(builder.finish([x], [w]))
    for options in ({"dead_channels": True}, {"strip": True}):
        found = dcsr.verify(data, dcsr.compress(data, slowest=1000, **options).model, samples=3)
        assert found.identical and found.layers == 2
        assert "compared without its dead channels, whose removal was not checked" in str(found)
    found = dcsr.verify(data, dcsr.compress(data, slowest=1000).model, samples=3)
    assert found.identical and "dead channels" not in str(found)


def test_other_operators_are_compared_completely():
    rng = np.random.default_rng(3)
    model = fully_connected_model(rng, sparse_matrix(rng, 64, 96, 0.9))
    small = tflite.parse(dcsr.compress(tflite.serialize(model), slowest=1000).model, "small")
    outcome = layerwise.compare(model, small, ("a", "b"), 2, 0, 5)
    assert outcome == layerwise.Outcome(1, "")
    with pytest.raises(tflite.ModelError, match="no packed layers"):
        layerwise.compare(model, model, ("a", "b"), 2, 0, 5)

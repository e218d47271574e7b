"""Compares the architectures with the papers' tables; tests pruning and quantisation."""

import numpy as np
import pytest

from dcsr import layers as layer_finder
from dcsr import model as tflite
from training import ds_cnn, fitting, mobilenet_v2, pruning, quantisation, stack


@pytest.fixture(autouse=True, scope="module")
def tensorflow():
    stack.prepare(1, 1)


def folded_parameters(model):
    """Parameters after folding batch normalisation: weights, and a bias per channel."""
    return sum(
        int(np.prod(layer.weights[0].shape)) + layer.output_shape[-1]
        for layer in model.layers
        if layer.weights and "norm" not in layer.name
    )


# "Hello Edge", table 6: layers, and memory for 8-bit weights and the two largest consecutive activations, in KB.
@pytest.mark.parametrize(
    "name, pointwise, channels, kilobytes", [("s", 4, 64, 38.6), ("m", 4, 172, 189.2), ("l", 5, 276, 497.6)]
)
def test_ds_cnn_is_that_of_hello_edge(name, pointwise, channels, kilobytes):
    model = ds_cnn.build(name)
    sizes = [int(np.prod(layer.output_shape[1:])) for layer in model.layers if layer.name.endswith("_relu")]
    activations = max(a + b for a, b in zip(sizes, sizes[1:], strict=False))
    assert round((folded_parameters(model) + activations) / 1000, 1) == kilobytes
    kernels = [layer.get_weights()[0].shape for layer in model.layers if pruning.is_prunable(layer)]
    assert kernels == [(1, 1, channels, channels)] * pointwise + [(channels, 12)]
    assert sum("depthwise" in layer.name and layer.name[-1].isdigit() for layer in model.layers) == pointwise
    assert model.output_shape == (None, 12)


# With 1000 classes: trainable parameters, and the same in millions as published in the paper (table 4: 3.4) and in
# the authors' list of checkpoints, which counts slightly less.
@pytest.mark.parametrize(
    "width, parameters, published", [(0.35, 1_677_128, 1.66), (1.0, 3_504_872, 3.47), (1.4, 6_108_776, 6.06)]
)
def test_mobilenet_v2_has_the_parameters_of_the_paper(width, parameters, published):
    model = mobilenet_v2.build(224, 3, 1000, width, 0.2, 1)
    assert sum(int(np.prod(weights.shape)) for weights in model.trainable_weights) == parameters
    assert parameters / 1e6 == pytest.approx(published, rel=0.02)
    depthwise = [layer for layer in model.layers if layer.name.endswith("_depthwise")]
    assert len(depthwise) == mobilenet_v2.BLOCKS == 17
    pointwise = [layer for layer in model.layers if pruning.is_prunable(layer)]
    assert len(pointwise) == 2 * 17 - 1 + 1 + 1  # the first block does not expand; head; fully connected
    assert model.get_layer("head").input_shape[1:3] == (7, 7)


def test_skipped_blocks_are_the_first():
    model = mobilenet_v2.build(32, 1, 10, 0.35, 0, 1)
    kept = set(mobilenet_v2.layers_of_blocks(7))
    pruned = [layer.name for layer in model.layers if pruning.is_prunable(layer) and layer.name not in kept]
    assert pruned == [f"block_{n}_{part}" for n in range(7, 17) for part in ("expand", "project")] + ["head", "dense"]


@pytest.mark.parametrize("steps", [1, 7, 40, 60, 469, 3752])
def test_pruning_ends_in_time_in_a_step_that_updates_masks(steps):
    end = pruning.end_step(steps)
    assert end % pruning.frequency(steps) == 0
    assert 0 < end <= steps


def test_schedule_reaches_its_sparsity_and_zeros_survive_to_int8(tmp_path):
    rng = np.random.default_rng(1)
    inputs, labels = rng.normal(size=(640, 49, 10, 1)).astype(np.float32), rng.integers(0, 12, 640)

    def fit(model, stage, callbacks):
        fitting.fit(
            model,
            fitting.Stage(stage, 2, 1e-3),
            1,
            lambda rng: (inputs, labels),
            640,
            (inputs[:50], labels[:50]),
            callbacks,
            fitting.Checkpoints(tmp_path),
            lambda *figures: None,
        )

    model = pruning.growing(ds_cnn.build("s"), 0.8, 2 * fitting.steps_per_epoch(640), ())
    fit(model, "prune", pruning.callbacks())
    model = pruning.stripped(model)
    found = pruning.sparsities(model, ())
    assert len(found) == 5
    assert all(abs(value - 0.8) < 0.002 for value in found.values()), found
    zeros = {layer.name: layer.get_weights()[0] == 0 for layer in model.layers if layer.name in found}

    model = pruning.held(model, 0.8, ())
    fit(model, "retrain", pruning.callbacks())
    model = pruning.stripped(model)
    for name, mask in zeros.items():
        assert np.all(model.get_layer(name).get_weights()[0][mask] == 0), name

    single = ds_cnn.build("s", 1)
    single.set_weights(model.get_weights())
    content = quantisation.quantise(single, inputs[:20])
    matrices = [
        layer.matrix
        for layer in layer_finder.find(tflite.parse(content, "model"))
        if layer.matrix is not None and layer.matrix.shape[1] == 64
    ]
    assert len(matrices) == 5
    for matrix, mask in zip(matrices, zeros.values(), strict=True):
        assert np.all(matrix[mask.reshape(mask.shape[-2:]).T] == 0)
    quantisation.check_zeros(content, "model", {(64, 64): 3276, (12, 64): 614})
    with pytest.raises(ValueError, match="12 x 64 weights: .* zeros, 768 expected"):
        quantisation.check_zeros(content, "model", {(12, 64): 768})


def test_dropout_goes_on_where_it_was():
    import tensorflow as tf

    def outputs(layer, count):
        return [layer(tf.ones((1, 50)), training=True).numpy() for _ in range(count)]

    cls = mobilenet_v2._dropout_layer()
    first = cls(0.5, 3)
    expected = outputs(first, 4)
    again = cls(0.5, 3)
    again.build((1, 50))
    again.set_weights([np.array(2)])
    np.testing.assert_array_equal(outputs(again, 2), expected[2:])
    assert not np.array_equal(expected[0], expected[1])
    assert np.array_equal(first(tf.ones((1, 50))), np.ones((1, 50)))

"""Pruning whole models: a trained one, small ones of every kind, and the bytes that are written."""

import resource
from pathlib import Path

import numpy as np
import pytest

import dcsr
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.model import ModelError
from dcsr.pruning import aims, allocation, forward, page, summary
from dcsr.schema import schema
from dcsr.testing.models import Builder

TRAINED = "models/kws/ds_cnn_s_dense.tflite"
RECORDED = "models/kws/recorded.npz"


def smooth(rng, shape, count=96, dtype=np.int8):
    """Samples whose neighbours are alike."""
    top = np.iinfo(dtype).max
    values = np.cumsum(rng.standard_normal((count, *shape)), axis=1) + rng.standard_normal((count, *shape)) * 0.3
    return (values / np.abs(values).max() * top).astype(dtype)


def small_model(rng, *, int16=False, per_channel=True, with_bias=True, channels=48):
    """Two 1x1 convolutions, one 3x3, and FULLY_CONNECTED, with weights that are not zero."""
    builder = Builder()
    dtype = np.int16 if int16 else np.int8
    zero = 0 if int16 else -5
    finer = 256 if int16 else 1
    x = builder.tensor("x", (1, 6, 6, channels), dtype, scale=0.05 / finer, zero_point=zero)

    def weights(rows, cols):
        found = rng.integers(-60, 61, (rows, cols)).astype(np.int8)
        found[found == 0] = 1
        return found

    def options(rows):
        scales = rng.uniform(0.004, 0.01, rows if per_channel else 1).astype(np.float32)
        bias = rng.integers(-900, 900, rows).astype(np.int64 if int16 else np.int32) if with_bias else None
        return {"weight_scale": scales, "bias": bias, "output_zero_point": 0 if int16 else 4}

    relu = schema.ActivationFunctionType.RELU
    a = builder.conv_2d(x, weights(64, channels), output_scale=0.1 / finer, activation=relu, name="a", **options(64))
    b = builder.conv_2d(a, weights(40, 64), output_scale=0.1 / finer, name="b", **options(40))
    c = builder.conv_2d(
        b, weights(24, 360), filter_size=(3, 3), stride=(2, 2), output_scale=0.2 / finer, name="c", **options(24)
    )
    d = builder.fully_connected(c, weights(10, 216), (1, 10), output_scale=0.4 / finer, name="d", **options(10))
    return builder.finish([x], [d])


def prune(model, samples, **options):
    content = model if isinstance(model, bytes) else tflite.serialize(model)
    return dcsr.prune(content, [samples], **options)


def matrices(content):
    found = layer_finder.find(tflite.parse(content, "model"))
    return {layer.name: layer.matrix for layer in found if layer.matrix is not None}


# ------------------------------------------------------------------------------------------ a trained model


def test_a_trained_model_keeps_its_answers():
    result = dcsr.prune(TRAINED, RECORDED, sparsity=0.5, min_sparsity=0.3, exclude=["ds_cnn_s/stem/Conv2D1"])
    assert 0.5 <= result.sparsity < 0.52
    assert result.disagreement[0].kind == "class" and result.disagreement[0].samples == 53
    assert result.disagreement[0].value <= 0.12
    compressed = dcsr.compress(result.model, objective="size", min_sparsity=0.3)
    assert compressed.bytes_after == result.cost.flash < 0.85 * result.dense_cost.flash
    assert dcsr.verify(result.model, compressed.model, samples=3).identical
    assert np.count_nonzero(matrices(result.model)["ds_cnn_s/stem/Conv2D1"]) > 2500
    # Magnitude pruning to the same layers' sparsities changes many more answers.
    assert magnitude_disagreement(result) > 3 * result.disagreement[0].value + 0.1


def magnitude_disagreement(result):
    dense = tflite.parse(result.original, "model")
    network = forward.Network(dense, "model")
    changed = {}
    for position, layer in network.layers.items():
        share = 1 - np.count_nonzero(matrices(result.model)[layer.name]) / layer.matrix.size
        weights = network.weights(position)
        keep = np.abs(weights.matrix.astype(int)) > np.quantile(np.abs(weights.matrix.astype(int)), share)
        changed[position] = forward.Weights((weights.matrix * keep).astype(np.int8), weights.scales, weights.bias)
    samples = [np.load(RECORDED)["inputs"][:, np.newaxis]]
    before, after = (n.run(samples)[0].reshape(160, -1) for n in (network, network.with_weights(changed)))
    return float(np.mean(before.argmax(axis=1) != after.argmax(axis=1)))


def test_aims_on_a_trained_model():
    by_flash = dcsr.prune(TRAINED, RECORDED, flash=33_000)
    assert 30_000 < by_flash.cost.flash <= 33_000
    with pytest.raises(ModelError, match="1,000 bytes cannot be reached"):
        dcsr.prune(TRAINED, RECORDED, flash=1000)
    careful = dcsr.prune(TRAINED, RECORDED, max_disagreement=0.06)
    assert careful.disagreement[0].value <= 0.06 and careful.sparsity > 0.1
    with pytest.raises(ModelError, match=r"a sparsity of 0.999 cannot be reached: at most 0\.9"):
        dcsr.prune(TRAINED, RECORDED, sparsity=0.999)


def test_the_curve_is_in_the_report():
    result = dcsr.prune(TRAINED, RECORDED, sparsity=0.7, curve=True, labels=np.arange(160) % 12)
    assert len(result.curve) >= 5
    flash = [point.cost.flash for point in result.curve]
    assert flash == sorted(flash, reverse=True)
    html = page.render(result)
    assert html.count('<circle class="point"') == 2 * len(result.curve)
    assert html.count('class="mark"') == 2 and "<script" not in html and "http" not in html
    data = summary.as_json(result)
    assert len(data["curve"]) == len(result.curve) and data["disagreement"][0]["samples"] == 53
    text = str(result)
    assert "held-out inputs" in text and "an estimate" in text and "accuracy on the 53" in text


def test_a_plan_leads_to_the_same_model(tmp_path):
    first = dcsr.prune(TRAINED, RECORDED, sparsity=0.6)
    (tmp_path / "plan.yaml").write_text(first.plan)
    again = dcsr.prune(TRAINED, RECORDED, plan=tmp_path / "plan.yaml")
    assert {n: np.count_nonzero(m) for n, m in matrices(again.model).items()} == pytest.approx(
        {n: np.count_nonzero(m) for n, m in matrices(first.model).items()}, rel=0.02
    )
    (tmp_path / "bad.yaml").write_text("version: 1\ntensors:\n  - tensor: nothing\n    sparsity: .5\n")
    with pytest.raises(ModelError, match="has no layer whose weights are tensor 'nothing'"):
        dcsr.prune(TRAINED, RECORDED, plan=tmp_path / "bad.yaml")


# ------------------------------------------------------------------------------------------ depthwise


def depthwise_model(rng, *, multiplier=1, per_channel=True, with_bias=True):
    """A 3x3 DEPTHWISE_CONV_2D of 24 channels between two 1x1 convolutions."""
    builder = Builder()
    x = builder.tensor("x", (1, 6, 6, 16), np.int8, scale=0.05, zero_point=-5)
    rows = 24 * multiplier

    def weights(*shape):
        found = rng.integers(-60, 61, shape).astype(np.int8)
        found[found == 0] = 1
        return found

    a = builder.conv_2d(x, weights(24, 16), bias=rng.integers(-900, 900, 24).astype(np.int32), name="a")
    b = builder.depthwise_conv_2d(
        a,
        weights(rows, 9),
        bias=rng.integers(-900, 900, rows).astype(np.int32) if with_bias else None,
        weight_scale=rng.uniform(0.004, 0.01, rows if per_channel else 1).astype(np.float32),
        output_scale=0.4,
        name="b",
    )
    c = builder.conv_2d(b, weights(8, rows), bias=np.zeros(8, np.int32), output_scale=1.0, name="c")
    return builder.finish([x], [c])


def test_depthwise_layers_stay_as_they_are_unless_asked():
    rng = np.random.default_rng(3)
    dense = depthwise_model(rng)
    samples = smooth(rng, (6, 6, 16))
    result = prune(dense, samples, sparsity=0.5)
    before, after = matrices(tflite.serialize(dense)), matrices(result.model)
    assert (
        np.array_equal(before["b/weights"], after["b/weights"])
        and np.count_nonzero(after["a/weights"]) < before["a/weights"].size
    )
    notes = {layer.name: layer.note for layer in result.layers}
    assert notes["b/weights"] == "depthwise"


@pytest.mark.parametrize(
    "kind", [{}, {"multiplier": 2}, {"per_channel": False}, {"with_bias": False}], ids=lambda kind: str(kind)
)
def test_a_plan_prunes_a_depthwise_layer(tmp_path, kind):
    rng = np.random.default_rng(4)
    dense = depthwise_model(rng, **kind)
    samples = smooth(rng, (6, 6, 16), count=192)
    (tmp_path / "plan.yaml").write_text("version: 1\ntensors:\n  - tensor: b/weights\n    sparsity: .5\n")
    result = prune(dense, samples, plan=tmp_path / "plan.yaml")
    before, after = matrices(tflite.serialize(dense)), matrices(result.model)
    assert np.array_equal(before["a/weights"], after["a/weights"]) and np.array_equal(
        before["c/weights"], after["c/weights"]
    )
    assert 0.45 < 1 - np.count_nonzero(after["b/weights"]) / after["b/weights"].size <= 0.55
    # The weights that are left make up for those that are gone: magnitude pruning without that is worse.
    flat = before["b/weights"].astype(np.int16)
    least = np.sort(np.abs(flat), axis=None)[flat.size // 2]
    model = tflite.parse(tflite.serialize(dense), "m")
    [layer] = [layer for layer in layer_finder.find(model) if layer.is_depthwise]
    kernel = model.subgraphs[0].tensors[layer.operator.inputs[1]]
    cut = np.where(np.abs(flat) < least, 0, flat).astype(np.int8)
    model.buffers[kernel.buffer].data = np.frombuffer(cut.T.tobytes(), np.uint8)
    wanted, got, worse = (
        forward.interpreted_outputs(dense, content, "m", [samples[:, np.newaxis]])[0].astype(float)
        for content in (tflite.serialize(dense), result.model, tflite.serialize(model))
    )
    assert np.mean((got - wanted) ** 2) < 0.7 * np.mean((worse - wanted) ** 2)


def test_zeros_of_depthwise_layers_are_shared_out_when_asked():
    rng = np.random.default_rng(5)
    samples = smooth(rng, (6, 6, 16))
    result = prune(depthwise_model(rng), samples, sparsity=0.5, depthwise=True)
    [layer] = [layer for layer in result.layers if layer.name == "b/weights"]
    assert layer.note != "depthwise" and layer.sparsity is not None


# ------------------------------------------------------------------------------------------ every kind of layer


@pytest.mark.parametrize(
    "kind", [{}, {"int16": True}, {"per_channel": False}, {"with_bias": False}], ids=lambda kind: str(kind)
)
def test_scales_and_zero_points_of_a_pruned_model(kind):
    rng = np.random.default_rng(1)
    dense = small_model(rng, **kind)
    samples = smooth(rng, (6, 6, 48), dtype=np.int16 if kind.get("int16") else np.int8)
    result = prune(dense, samples, sparsity=0.6)
    pruned = tflite.parse(result.model, "model")
    assert result.sparsity >= 0.6
    assert result.disagreement[0].error < 0.9  # weights at random bear little
    for before, after in zip(layer_finder.find(dense), layer_finder.find(pruned), strict=True):
        assert after.obstacle is None
        old, new = dense.subgraphs[0], pruned.subgraphs[0]
        for which in (before.operator.inputs[0], before.operator.outputs[0]):
            np.testing.assert_array_equal(old.tensors[which].quantization.scale, new.tensors[which].quantization.scale)
            np.testing.assert_array_equal(
                old.tensors[which].quantization.zeroPoint, new.tensors[which].quantization.zeroPoint
            )
        weights = new.tensors[after.operator.inputs[1]]
        scales = weights.quantization.scale
        assert len(scales) == len(old.tensors[before.operator.inputs[1]].quantization.scale)
        assert np.all(scales > 0) and not np.any(weights.quantization.zeroPoint)
        if np.any(before.matrix != after.matrix):
            largest = np.abs(after.matrix.astype(int)).max(axis=1)
            assert largest.max() == 127
            if len(scales) > 1:
                assert np.all(largest[largest > 0] >= 126)
        index = layer_finder.bias_index(after.operator)
        assert (index >= 0) == kind.get("with_bias", True)
        if index >= 0:
            source = new.tensors[after.operator.inputs[0]].quantization.scale[0]
            np.testing.assert_array_equal(new.tensors[index].quantization.scale, source * scales)


def test_weights_that_two_layers_share_stay_shared():
    rng = np.random.default_rng(2)
    builder = Builder()
    x = builder.tensor("x", (1, 6, 6, 48), scale=0.05, zero_point=-5)
    matrix = rng.integers(1, 60, (48, 48)).astype(np.int8) * rng.choice([-1, 1], (48, 48)).astype(np.int8)
    weights = builder.tensor("shared", (48, 1, 1, 48), data=matrix, scale=np.full(48, 0.005))
    options = {"output_scale": 0.05, "weight_scale": np.full(48, 0.005)}
    a = builder.conv_2d(x, weights, bias=rng.integers(-99, 99, 48).astype(np.int32), name="a", **options)
    b = builder.conv_2d(a, weights, bias=rng.integers(-99, 99, 48).astype(np.int32), name="b", **options)
    model = builder.finish([x], [b])
    result = prune(model, smooth(rng, (6, 6, 48)), sparsity=0.7)
    found = layer_finder.find(tflite.parse(result.model, "model"))
    assert int(found[0].operator.inputs[1]) == int(found[1].operator.inputs[1])
    assert 1 - np.count_nonzero(found[1].matrix) / found[1].matrix.size >= 0.7
    assert result.disagreement[0].error < 0.7


def test_a_bias_that_two_layers_share_is_split():
    """Converters write equal constants once; after pruning the biases differ."""
    rng = np.random.default_rng(3)
    builder = Builder()
    x = builder.tensor("x", (1, 6, 6, 48), scale=0.05, zero_point=-5)
    bias = builder.tensor("zeros", (48,), np.int32, data=np.zeros(48), scale=np.full(48, 0.05 * 0.005))
    options = {"bias": bias, "output_scale": 0.05, "weight_scale": np.full(48, 0.005)}
    weights = [rng.integers(1, 60, (48, 48)).astype(np.int8) * rng.choice([-1, 1], (48, 48)) for _ in range(2)]
    a = builder.conv_2d(x, weights[0].astype(np.int8), name="a", **options)
    b = builder.conv_2d(a, weights[1].astype(np.int8), name="b", **options)
    result = prune(builder.finish([x], [b]), smooth(rng, (6, 6, 48)), sparsity=0.7)
    graph = tflite.parse(result.model, "model").subgraphs[0]
    found = layer_finder.find(tflite.parse(result.model, "model"))
    biases = [layer_finder.bias_values(tflite.parse(result.model, "model"), layer) for layer in found]
    assert not np.array_equal(*biases) and np.any(biases[0]) and np.any(biases[1])
    for layer in found:
        source, weights, own = (graph.tensors[i].quantization.scale for i in layer.operator.inputs)
        np.testing.assert_array_equal(own, source[0] * weights)


@pytest.mark.parametrize(("pattern", "check"), [("2:4", (4, 2)), ("1:4", (4, 1))])
def test_patterns(pattern, check):
    rng = np.random.default_rng(4)
    result = prune(small_model(rng), smooth(rng, (6, 6, 48)), pattern=pattern)
    group, kept = check
    for name, matrix in matrices(result.model).items():
        assert np.count_nonzero(matrix.reshape(-1, group), axis=1).max() <= kept, name
    assert result.sparsity >= 1 - kept / group


def test_blocks():
    rng = np.random.default_rng(5)
    result = prune(small_model(rng), smooth(rng, (6, 6, 48)), pattern="1x4", sparsity=0.7)
    pruned = [m for m in matrices(result.model).values() if np.mean(m == 0) > 0.5]
    assert pruned
    for matrix in pruned:
        whole = np.any(matrix.reshape(len(matrix), -1, 4), axis=2)
        assert 1 - whole.mean() >= 0.6


def test_a_model_with_several_subgraphs():
    """A layer in another subgraph is left alone, with the reason."""
    rng = np.random.default_rng(6)
    model = small_model(rng)
    other = small_model(rng)
    offset = len(model.buffers)
    codes = len(model.operatorCodes)
    for tensor in other.subgraphs[0].tensors:
        tensor.buffer += offset if tensor.buffer else 0
    for operator in other.subgraphs[0].operators:
        operator.opcodeIndex += codes
    model.buffers += other.buffers
    model.operatorCodes += other.operatorCodes
    model.subgraphs.append(other.subgraphs[0])
    result = prune(model, smooth(rng, (6, 6, 48)), sparsity=0.7)
    notes = [layer.note for layer in result.layers]
    assert notes[:4].count("") >= 3
    assert set(notes[4:]) == {"not in the main subgraph: its inputs are not seen"}


def test_a_layer_whose_optimum_is_known():
    """Half of the inputs are copies of the others: half of the weights go and the outputs stay."""
    rng = np.random.default_rng(7)
    model = Builder()
    x = model.tensor("x", (1, 64), scale=0.05)
    matrix = rng.integers(20, 60, (32, 64)).astype(np.int8) * rng.choice([-1, 1], (32, 1)).astype(np.int8)
    y = model.fully_connected(
        x,
        matrix,
        (1, 32),
        bias=np.zeros(32, np.int32),
        weight_scale=np.full(32, 0.01),
        output_scale=0.4,
    )
    half = smooth(rng, (32,), 400) // 2
    result = prune(
        model.finish([x], [y]), np.concatenate([half, half], axis=1), sparsity=0.5, min_sparsity=0.4, holdout=0.3
    )
    assert result.sparsity >= 0.5
    assert result.disagreement[0].error < 0.03


# ------------------------------------------------------------------------------------------ allocation


def test_layers_that_matter_less_lose_more():
    def layer(factor):
        levels = np.array([0.6, 0.8, 0.95])
        losses = np.cumsum(np.ones(1000))[(levels * 1000).astype(int) - 1]
        return allocation.Measured(
            1000, 0, levels, factor * np.array([0.01, 0.05, 0.4]), losses, np.ones(1000), 1000 * (1.1 - levels), 1000.0
        )

    curves = [allocation.curve(layer(1)), allocation.curve(layer(30))]
    choices = allocation.at_least(
        curves, lambda c: sum(curve.zeros[i] for curve, i in zip(curves, c, strict=True)) >= 1400
    )
    assert choices is not None
    first, second = (int(curve.zeros[i]) for curve, i in zip(curves, choices, strict=True))
    assert first > second and 1400 <= first + second <= 1440


def test_a_choice_is_eased_to_its_aim():
    """At one price all layers go from 0 to 60 %, which is too much."""
    levels = np.array([0.6, 0.61])
    measured = allocation.Measured(
        100, 0, levels, np.array([0.01, 0.011]), np.array([1.0, 1.1]), np.ones(100), np.array([50.0, 49]), 100.0
    )
    curves = [allocation.curve(measured)] * 5
    choices = allocation.at_least(
        curves, lambda c: sum(int(curve.zeros[i]) for curve, i in zip(curves, c, strict=True)) >= 120
    )
    assert choices is not None and sorted(map(bool, choices)) == [False, False, False, True, True]


def test_an_aim_out_of_reach_has_no_choice():
    measured = allocation.Measured(10, 0, np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), 5.0)
    assert allocation.at_least([allocation.curve(measured)], lambda _: False) is None


# ------------------------------------------------------------------------------------------ refusals


def test_what_cannot_be_pruned_is_refused():
    rng = np.random.default_rng(8)
    compressed = dcsr.compress(Path("models/fashion_dscnn_90.tflite"), min_sparsity=0.5).model
    with pytest.raises(ModelError, match="is compressed already; prune the model before"):
        dcsr.prune(compressed, [np.zeros((9, 28, 28, 1), np.int8)])
    with pytest.raises(ModelError, match="no layer can be pruned: excluded"):
        prune(small_model(rng), smooth(rng, (6, 6, 48)), exclude=["a/weights", "b/weights", "c/weights", "d/weights"])
    with pytest.raises(ModelError, match="--exclude nothing"):
        prune(small_model(rng), smooth(rng, (6, 6, 48)), exclude=["nothing"])
    with pytest.raises(ModelError, match="96 samples, but there are 3 labels"):
        prune(small_model(rng), smooth(rng, (6, 6, 48)), labels=np.zeros(3, int))
    for options in (
        {"sparsity": 1.5},
        {"pattern": "4:2"},
        {"sparsity": 0.5, "flash": 10},
        {"pattern": "2:4", "flash": 9},
    ):
        with pytest.raises(ValueError, match=r"pattern|sparsity"):
            prune(small_model(rng), smooth(rng, (6, 6, 48)), **options)


def test_random_inputs_are_warned_about():
    rng = np.random.default_rng(9)
    result = prune(small_model(rng), rng.integers(-128, 128, (96, 6, 6, 48), np.int8), sparsity=0.6)
    assert any("look like random numbers" in warning for warning in result.warnings)


def test_no_input_needs_to_be_held_out():
    rng = np.random.default_rng(10)
    result = prune(small_model(rng), smooth(rng, (6, 6, 48)), holdout=0, sparsity=0.6)
    assert result.disagreement == () and "not measured" in str(result)


def test_patterns_are_parsed():
    assert aims.parse_pattern("2:4").group == 4 and aims.parse_pattern("1x4").block == (1, 4)
    for text in ("2:2", "0:4", "x", "2x", "1:999"):
        with pytest.raises(ValueError, match="neither N:M"):
            aims.parse_pattern(text)


def test_memory_is_bounded():
    """A layer of 4500 columns, whose covariance would take 160 MB in float64, several times."""
    rng = np.random.default_rng(11)
    builder = Builder()
    x = builder.tensor("x", (1, 4500), scale=0.05)
    matrix = rng.integers(1, 60, (12, 4500)).astype(np.int8) * rng.choice([-1, 1], (12, 4500)).astype(np.int8)
    y = builder.fully_connected(x, matrix, (1, 12), bias=np.zeros(12, np.int32), weight_scale=0.001, output_scale=0.5)
    samples = smooth(rng, (4500,), 700)
    result = prune(builder.finish([x], [y]), samples, sparsity=0.8)
    assert result.sparsity >= 0.8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20


@pytest.mark.parametrize("aim", [{"sparsity": 0.5}, {"pattern": "2:4"}])
def test_int16_inputs_with_a_large_mean(aim):
    rng = np.random.default_rng(8)
    samples = np.clip(smooth(rng, (6, 6, 48), dtype=np.int16) // 64 + 31000, -32768, 32767).astype(np.int16)
    result = prune(small_model(rng, int16=True), samples, **aim)
    assert result.sparsity > 0.3

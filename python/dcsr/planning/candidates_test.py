"""Tests which encodings a layer can have, and the settings that keep it dense."""

import copy
import dataclasses

import numpy as np
import pytest

from dcsr import custom_ops, encodings, layers, packing
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.planning import code_bytes, cost, workload
from dcsr.planning.candidates import candidates, placed, time_and_size
from dcsr.planning.plan_file import plan_text
from dcsr.planning.settings import OBJECTIVES, Settings
from dcsr.schema import schema
from dcsr.testing.models import (
    Builder,
    conv_model,
    depthwise_model,
    fully_connected_model,
    separable,
    sparse_matrix,
)
from dcsr.testing.round_trip import rng, round_trip


def test_min_sparsity_and_method_none():
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.7))
    assert round_trip(model)[1][0].packed
    assert round_trip(model, min_sparsity=0.9)[1][0].note == "below --min-sparsity 90 %"
    assert round_trip(model, method="none")[1][0].note == "--method none"


def test_every_encoding_takes_part():
    matrix = sparse_matrix(np.random.default_rng(0), 20, 40, 0.8)
    tried = {encodings.encode(matrix, name).encoding for name in encodings.candidates()}
    assert tried == set(encodings.REGISTRY) - {"dense"}


def test_candidates_of_a_method():
    assert encodings.candidates("dcsr") == ("dcsr4", "dcsr8")
    assert encodings.candidates("dcsr8") == ("dcsr8",)
    assert encodings.candidates("rle") == ("rle",)
    assert set(encodings.candidates()) == {name for m in encodings.METHODS for name in encodings.candidates(m)}


def _planned(pixels: tuple[int, int], memory: str) -> tuple[packing.PackedLayer, cost.Estimate]:
    model = conv_model(rng(), sparse_matrix(rng(), 96, 576, 0.9), pixels=pixels)
    _, (decision,) = round_trip(model, method="offset8", memory=memory)
    assert decision.candidate is not None
    packed = packing.unpack(decision.candidate.blob)
    return packed, cost.estimate("cortex-m55", packed, decision.candidate.shape, memory)


def test_layers_behind_a_cache_are_gathered_up_to_fewer_pixels_where_that_is_faster():
    for pixels, memory, kernel in (
        ((6, 6), "dtcm", "conv1x1_gather_mve"),
        ((6, 6), "cached", "conv1x1_mve"),
        ((5, 4), "cached", "conv1x1_gather_mve"),
    ):
        packed, estimate = _planned(pixels, memory)
        assert packed.slow_gathers == (kernel == "conv1x1_mve")
        assert estimate.kernel == kernel


def test_placing_a_layer_behind_a_cache_never_makes_it_slower():
    packed, _ = _planned((6, 6), "dtcm")
    for side in range(1, 8):
        shape = cost.Shape(side * side, (side, side), (side, side))
        before = cost.estimate("cortex-m55", packed, shape, "cached")
        assert placed("cortex-m55", packed, shape, "cached")[2].time <= before.time
        assert placed("cortex-m55", packed, shape, "dtcm")[0] is packed
        assert placed("cortex-m4", packed, shape, "cached")[0] is packed


# Estimates of the test: {operator: time of its kernel}; others have the estimate of the model.
FAST, SLOW = 1000, 10**9


def with_estimates(monkeypatch, times: dict[str, int | None], is_portable: bool = False) -> None:
    """Has the kernels for dense weights of the given operators take these times, on every core."""
    original = cost.estimate

    def estimate(cpu, packed, shape, memory=cost.DEFAULT_MEMORY):
        found = original(cpu, packed, shape, memory)
        name = custom_ops.CUSTOM_CODES[packed.op].removeprefix("DCSR_")
        if name == "CONV_2D" and packed.filter_size == (1, 1):
            name = "CONV_2D 1x1"
        if packed.streams.scheme not in encodings.DENSE_METHODS or name not in times:
            return found
        time = times[name]
        cycles = time if cpu in cost.CYCLE_CPUS else None
        return dataclasses.replace(found, instructions=time, cycles=cycles, is_portable=is_portable, tails=0)

    monkeypatch.setattr(cost, "estimate", estimate)


def outcome(model: schema.ModelT, **options: object) -> dict[str, str]:
    """Compresses a model; returns the coding of each packed layer, and the reason of each other one."""
    _, decisions = round_trip(model, **options)
    return {
        decision.layer.name.removesuffix("/weights"): cost.coding(decision.packed.streams)
        if decision.packed
        else decision.note
        for decision in decisions
    }


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("cpu", cost.CPUS)
def test_layers_with_dense_weights_are_packed_if_they_get_faster(monkeypatch, objective, cpu):
    stays = f"depthwise, faster in TFLM on {cpu}"
    # A firmware for so small a model would grow.
    monkeypatch.setattr(code_bytes, "code_bytes", lambda *_, **__: 0)
    for times, expected in (
        ({"DEPTHWISE_CONV_2D": FAST, "CONV_2D": FAST}, ["dense", "dense"]),
        ({"DEPTHWISE_CONV_2D": FAST, "CONV_2D": SLOW}, ["not sparse", "dense"]),
        ({"DEPTHWISE_CONV_2D": SLOW, "CONV_2D": FAST}, ["dense", stays]),
        ({"DEPTHWISE_CONV_2D": None, "CONV_2D": None}, ["not sparse", stays]),
    ):
        with monkeypatch.context() as patched:
            with_estimates(patched, times)
            found = outcome(separable(), objective=objective, cpu=cpu)
        assert found["pointwise"] in encodings.candidates()
        for name, wanted in zip(("stem", "depthwise"), expected, strict=True):
            coding = found[name]
            if wanted == "not sparse":
                assert coding.startswith("below --min-sparsity") or (
                    objective == "size" and coding not in encodings.DENSE_METHODS
                )
            elif wanted == "dense":
                # `size` takes the smallest coding, for which these weights have too many values.
                assert coding in (encodings.DENSE_METHODS if objective == "size" else ["dense"])
            else:
                assert coding == wanted


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m55"])
def test_pointwise_layers_with_dense_weights_are_packed_if_that_is_the_fastest(monkeypatch, cpu):
    for time, expected in ((FAST, {"dense"}), (SLOW, set(encodings.candidates()))):
        with monkeypatch.context() as patched:
            with_estimates(patched, {"CONV_2D 1x1": time})
            assert outcome(separable(), objective="speed", cpu=cpu)["pointwise"] in expected


def test_portable_kernels_are_not_chosen_whatever_their_estimate(monkeypatch):
    with_estimates(monkeypatch, {"DEPTHWISE_CONV_2D": FAST, "CONV_2D": FAST}, is_portable=True)
    assert not set(outcome(separable()).values()) & set(encodings.DENSE_METHODS)


def test_without_a_kernel_of_its_own_every_core_leaves_dense_weights_alone():
    for cpu in cost.CPUS:
        found = outcome(separable(), cpu=cpu)
        kernels = {
            name: cost.estimate(cpu, packed, shape) for name, (packed, shape) in dense_forms(separable()).items()
        }
        for name in ("stem", "depthwise"):
            if kernels[name].is_portable or kernels[name].time is None:
                assert found[name] != "dense"


def dense_forms(model: schema.ModelT) -> dict[str, tuple[packing.PackedLayer, cost.Shape]]:
    """Returns the layers of a model with dense weights, and their shapes."""
    return {
        layer.name.removesuffix("/weights"): (
            layer_finder.packed_layer(model, layer, "dense"),
            workload.shape(model, layer),
        )
        for layer in layer_finder.find(model)
    }


def test_faster_layers_need_not_save_bytes_but_sparse_ones_do(monkeypatch):
    with_estimates(monkeypatch, {"DEPTHWISE_CONV_2D": FAST})
    # One channel with a scale for all: the header is larger than weights, bias and quantisation.
    model = depthwise_model(rng(), np.ones((1, 9), np.int8), per_channel=False, pixels=(90, 90))
    compressed, (decision,) = round_trip(model)
    assert decision.packed and len(tflite.serialize(compressed)) > len(tflite.serialize(model))
    _, (decision,) = round_trip(model, objective="size")
    assert decision.note == "would not get smaller"


def test_dense_layers_of_a_large_file_do_not_hide_that_sparse_ones_save_nothing(monkeypatch):
    """A tiny sparse layer beside a depthwise one: the record that both need is not worth its bytes for the first."""
    with_estimates(monkeypatch, {"DEPTHWISE_CONV_2D": FAST})
    builder = Builder()
    x = builder.tensor("x", (1, 90, 90, 4), scale=0.1)
    y = builder.depthwise_conv_2d(x, np.ones((4, 9), np.int8))
    z = builder.conv_2d(y, sparse_matrix(rng(), 16, 4, 0.9), name="tiny")
    found = outcome(builder.finish([x], [z]))
    assert found == {"depthwise": "dense", "tiny": "would not get smaller"}


def test_weights_of_several_depthwise_layers_are_not_stored_twice(monkeypatch):
    with_estimates(monkeypatch, {"DEPTHWISE_CONV_2D": FAST})
    builder = Builder()
    x = builder.tensor("x", (1, 20, 20, 4), scale=0.1)
    y = builder.depthwise_conv_2d(x, np.ones((4, 49), np.int8), filter_size=(7, 7), weight_scale=0.1)
    model = builder.finish([x], [y])
    graph = model.subgraphs[0]
    second = copy.deepcopy(graph.tensors[y])
    second.name, second.quantization.scale = "second", np.array([0.7], np.float32)
    graph.tensors.append(second)
    twin = copy.deepcopy(graph.operators[0])
    twin.inputs, twin.outputs = np.array([y, *twin.inputs[1:]], np.int32), np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.append(twin)
    graph.outputs = twin.outputs
    _, decisions = round_trip(model)
    assert [decision.note for decision in decisions] == ["would not get smaller: 2 operators share the weights"] * 2
    assert all(decision.packed is None for decision in decisions)


def test_named_methods_are_for_sparse_layers(monkeypatch):
    with_estimates(monkeypatch, {"DEPTHWISE_CONV_2D": FAST, "CONV_2D": FAST})
    found = outcome(separable(), method="rle")
    assert found["depthwise"] == "depthwise" and found["pointwise"] == "rle"
    assert found["stem"].startswith("below --min-sparsity")
    assert set(outcome(separable(), method="none").values()) == {"--method none"}


def test_dense_products_of_dense_weights_are_those_of_tflm(monkeypatch):
    with_estimates(monkeypatch, {"DEPTHWISE_CONV_2D": FAST, "CONV_2D": FAST})
    model = separable()
    _, decisions = round_trip(model)
    for decision in decisions[:2]:
        kept = workload.kept(model, decision.layer, cost.DEFAULT_CPU)
        assert (decision.dense_instructions, decision.dense_cycles) == (kept.instructions, kept.cycles)
        assert decision.cycles == FAST


def test_plan_of_dense_weights_goes_round(monkeypatch, tmp_path):
    # Whether rows are compact depends on the estimates, not on the plan.
    with_estimates(monkeypatch, {"DEPTHWISE_CONV_2D": FAST, "CONV_2D": FAST})
    compressed, decisions = round_trip(separable())
    plan = tmp_path / "plan.yaml"
    plan.write_text(plan_text(decisions, "plan"))
    assert plan.read_text().count("method: dense") == 2
    again, _ = round_trip(separable(), plan=plan)
    assert tflite.serialize(again) == tflite.serialize(compressed)


@pytest.mark.parametrize("objective", ["size", "balanced", "speed"])
@pytest.mark.parametrize("pixels", [(40, 40), (4, 5)])
def test_compact_rows_take_little_time_or_save_bytes(objective, pixels):
    # With few pixels a row is read for few products.
    model = conv_model(rng(), sparse_matrix(rng(), 64, 256, 0.95), pixels=pixels)
    found = candidates(model, layers.find(model)[0], Settings(objective=objective))
    assert not isinstance(found, str)
    for candidate in found:
        plain = candidate.plain or candidate
        assert plain.packed.row_form == "plain" and plain.plain is None
        with_compact_rows = cost.with_compact_rows(Settings().cpu, plain.estimate)
        added = with_compact_rows.time / plain.estimate.time - 1
        assert 0 < added < 0.2
        if candidate.packed.row_form == "compact":
            assert objective != "speed" or added <= 0.01
            assert candidate.estimate == with_compact_rows
            assert candidate.nbytes < plain.nbytes and len(candidate.blob) < len(plain.blob)
        else:
            assert objective != "size" and added > 0.01
    scheme = min(found, key=time_and_size).packed.streams.scheme
    forms = {candidate.packed.row_form for candidate in found if candidate.packed.streams.scheme == scheme}
    usual = {"size": {"compact"}, "balanced": {"plain", "compact"}, "speed": {"plain"}}[objective]
    assert forms == ({"compact"} if pixels == (40, 40) else usual)


def test_layers_with_one_scale_or_int16_activations_have_plain_rows():
    matrix = sparse_matrix(rng(), 64, 128, 0.9)
    for options in ({"per_channel": False}, {"per_channel": True, "int16": True}):
        _, [decision] = round_trip(fully_connected_model(rng(), matrix, **options), objective="size")
        assert decision.packed.row_form == "plain"


@pytest.mark.parametrize("form", ["plain", "compact"])
def test_a_plan_chooses_the_form_of_rows(form, tmp_path):
    model = conv_model(rng(), sparse_matrix(rng(), 64, 512, 0.9))
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"version: 1\ntensors: [{{tensor: 1, method: rice, rows: {form}}}]")
    for objective in OBJECTIVES:
        _, [decision] = round_trip(model, objective=objective, plan=plan)
        assert decision.packed.row_form == form
    assert f"rows: {form}\n" in plan_text([decision], "plan")


def test_a_plan_cannot_ask_for_compact_rows_that_do_not_exist(tmp_path):
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), per_channel=False)
    plan = tmp_path / "plan.yaml"
    plan.write_text("version: 1\ntensors: [{tensor: 1, rows: compact}]")
    with pytest.raises(tflite.ModelError, match="cannot have compact rows"):
        round_trip(model, plan=plan)


def test_layers_that_share_weights_have_no_dense_candidates(monkeypatch):
    with_estimates(monkeypatch, {"CONV_2D": FAST})
    builder = Builder()
    x = builder.tensor("x", (1, 12, 12, 8), scale=0.1)
    y = builder.conv_2d(x, sparse_matrix(rng(), 8, 72, 0.9), filter_size=(3, 3), output_scale=0.1, name="a")
    model = builder.finish([x], [y])
    assert set(outcome(model, objective="speed").values()) == {"dense"}
    graph = model.subgraphs[0]
    graph.tensors.append(copy.deepcopy(graph.tensors[y]))
    graph.tensors[-1].name = "b"
    twin = copy.deepcopy(graph.operators[0])
    twin.inputs = np.array([y, *twin.inputs[1:]], np.int32)
    twin.outputs = graph.outputs = np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.append(twin)
    assert "dense" not in outcome(model, objective="speed").values()


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m55"])
def test_scratch_is_named_where_too_little_keeps_a_layer_dense(cpu):
    model = depthwise_model(rng(), sparse_matrix(rng(), 64, 9, 0), pixels=(16, 16))
    for options in ({}, {"max_scratch": 100}):
        note = round_trip(model, cpu=cpu, **options)[1][0].note
        assert note == ("depthwise, faster in TFLM on " + cpu + " with 100 bytes of scratch" if options else "")

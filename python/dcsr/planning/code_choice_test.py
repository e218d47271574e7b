"""Tests of code_choice: encodings and ops that cost more code than they save."""

import numpy as np
import pytest

from dcsr import compressing
from dcsr import layers as layer_finder
from dcsr import model as tflite
from dcsr.planning import candidates, code_bytes, code_choice, cost
from dcsr.planning.settings import Settings
from dcsr.testing import models

CPU = "cortex-m4"


def _model(rng):
    model = models.conv_model(rng, models.sparse_matrix(rng, 64, 64, 0.9), pixels=(8, 8))
    return tflite.parse(tflite.serialize(model), "model")


def _candidates(model, settings):
    layers = layer_finder.find(model)
    return layers, [candidates.candidates(model, layer, settings) for layer in layers]


def _decisions(layers, found, coding):
    return [
        code_choice.Decision(layer, next(way for way in ways if cost.coding(way.packed.streams) == coding))
        for layer, ways in zip(layers, found, strict=True)
    ]


@pytest.fixture(name="settings")
def _settings():
    return Settings("balanced", CPU)


def test_a_coding_that_costs_more_code_than_it_saves_is_exchanged(settings):
    layers, found = _candidates(_model(np.random.default_rng(2)), settings)
    before = _decisions(layers, found, "rice+huffman")
    after = code_choice.fewer_codings(before + before, [*found, *found], settings)
    # Equal blobs are stored once, and keep their coding.
    assert [of.candidate for of in after] == [of.candidate for of in before + before]
    both = [*found[0], *found[0]]
    plain = _decisions(layers, found, "rice")
    after = code_choice.fewer_codings(before + plain, [both, both], settings)
    assert [cost.coding(of.packed.streams) for of in after] == ["rice", "rice"]


def test_with_speed_and_with_a_method_nothing_is_exchanged(settings):
    layers, found = _candidates(_model(np.random.default_rng(2)), settings)
    before = _decisions(layers, found, "rice+huffman") + _decisions(layers, found, "rice")
    for other in (Settings("speed", CPU), Settings("balanced", CPU, "rice")):
        after = code_choice.fewer_codings(before, [*found, *found], other)
        assert [of.candidate for of in after] == [of.candidate for of in before]


def _depthwise():
    rng = np.random.default_rng(3)
    matrix = rng.integers(-127, 128, (64, 9), np.int8)
    return tflite.parse(tflite.serialize(models.depthwise_model(rng, matrix, pixels=(24, 24))), "model")


@pytest.mark.parametrize("objective", ["balanced", "speed"])
def test_a_firmware_does_not_grow_for_speed(monkeypatch, objective):
    def packed():
        return [
            bool(of.candidate) for of in compressing.compress(_depthwise(), "model", cpu=CPU, objective=objective)[1]
        ]

    assert packed() == [True]
    monkeypatch.setattr(code_bytes, "code_bytes", lambda cpu, used, *_, **__: 1_000_000 if used else 0)
    assert packed() == [objective == "speed"]

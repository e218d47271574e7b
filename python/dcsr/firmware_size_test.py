"""Tests that the flash of a firmware, model and code, does not grow in the forms in which it holds a model."""

import os
from pathlib import Path

import pytest

from dcsr import compressing
from dcsr import model as tflite
from dcsr.passes.strip import strip
from dcsr.planning import linking
from dcsr.schema import schema
from dcsr.testing.random_graphs import random_graph

CPUS = ("cortex-m55", "cortex-m4")
MODELS = sorted(Path("models").rglob("*.tflite"))
PUBLISHED = sorted(Path(os.environ.get("DCSR_PUBLISHED_MODELS", "/nonexistent")).rglob("*.tflite"))


def _bytes(model: schema.ModelT) -> int:
    return len(tflite.serialize(model))


def _check(model: schema.ModelT, cpu: str, objective: str) -> bool:
    """Compresses a model, with and without `strip`; returns whether a layer was packed."""
    before = linking.code(model, [], cpu)
    found = compressing.compress(model, "m", cpu=cpu, objective=objective)
    added = linking.code(model, found.decisions, cpu) - before
    assert _bytes(found.model) + added <= _bytes(model)
    # The array of `compress --cc`.
    assert _bytes(strip(found.model)[0]) + added <= _bytes(strip(model)[0])

    stripped = compressing.compress(model, "m", cpu=cpu, objective=objective, strip=True)
    code = stripped.firmware.compressed.code_bytes
    assert code is not None
    assert _bytes(stripped.model) + code <= _bytes(strip(model)[0]) + before

    for one in (found, stripped):
        assert one.firmware.compressed.arena_bytes <= one.firmware.dense.arena_bytes
    return any(decision.packed for decision in found.decisions)


@pytest.mark.parametrize("objective", ["balanced", "size"])
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("path", MODELS + PUBLISHED, ids=lambda path: path.stem)
def test_models(path, cpu, objective):
    model = tflite.parse(path.read_bytes(), str(path))
    assert _check(model, cpu, objective), "every model has layers that get smaller or faster"


def test_the_models_are_there():
    assert {path.stem for path in MODELS} >= {"ds_cnn_s_dense", "ds_cnn_s_90", "mnv2_035_dense", "mnv2_035_90"}


@pytest.mark.parametrize("objective", ["balanced", "size"])
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("width", [1, 16])
def test_random_models(width, cpu, objective):
    packed = 0
    for seed in range(12):
        model = tflite.parse(tflite.serialize(random_graph(seed, 10, width)), "m")
        packed += _check(model, cpu, objective)
    assert packed or width == 1

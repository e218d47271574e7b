"""Compresses models in tests and asserts that decompressing restores them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from dcsr import compressing
from dcsr import model as tflite
from dcsr.passes.record import RECORD_NAME
from dcsr.planning.choice import Decision
from dcsr.schema import schema
from dcsr.testing.compare import assert_same

# Options with which small models are packed, although dense layers would be faster, start faster, or take less arena
# or code.
UNBOUNDED: dict[str, Any] = {"slowest": 1000, "slowest_start": 1000, "max_arena": 1 << 30, "code": "all"}


def rng() -> np.random.Generator:
    """Returns the generator of test data. Its seed is fixed."""
    return np.random.default_rng(7)


def through_bytes(model: schema.ModelT) -> schema.ModelT:
    """Serialises and parses a model. The result has numpy vectors and byte strings, like a model from a file."""
    return tflite.parse(tflite.serialize(model), "m")


def round_trip(model: schema.ModelT, **options: Any) -> tuple[schema.ModelT, list[Decision]]:
    """Compresses `model` and asserts that decompress restores it. Returns (compressed model, decisions)."""
    original = through_bytes(model)
    options = UNBOUNDED | options
    untouched = copy.deepcopy(original)
    compressed, decisions, *_ = compressing.compress(original, "m", **options)
    assert_same(untouched, original)
    compressed = through_bytes(compressed)
    if any(decision.packed for decision in decisions):
        assert_same(original, compressing.decompress(compressed, "m"))
        assert RECORD_NAME in [entry.name for entry in compressed.metadata]
    else:
        assert_same(original, compressed)
    return compressed, decisions

"""Tests the amount of work of a layer."""

import numpy as np
import pytest

from dcsr import layers
from dcsr.planning import cost, workload
from dcsr.schema import schema
from dcsr.testing.models import Builder, three_convolutions
from dcsr.testing.round_trip import through_bytes


@pytest.fixture(name="model")
def _model() -> schema.ModelT:
    return through_bytes(three_convolutions())


def test_vectors_are_output_pixels_and_batches(model):
    found = layers.find(model)
    assert [workload.shape(model, layer).vectors for layer in found] == [100, 100, 100]
    builder = Builder()
    x = builder.tensor("x", (5, 64), scale=0.1)
    y = builder.fully_connected(x, np.ones((8, 64), np.int8), (5, 8))
    model = builder.finish([x], [y])
    assert workload.shape(model, layers.find(model)[0]) == cost.Shape(5)

"""Tests the check of a model's references and constants before the interpreter loads it."""

import numpy as np
import pytest

from dcsr import compressing
from dcsr import model as tflite
from dcsr.model_check import check_model
from dcsr.schema import schema
from dcsr.testing.models import Builder, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import rng


def packed_model(int16: bool = False) -> schema.ModelT:
    """Returns a model with one packed layer: x (0), packed layer (1) -> y (2)."""
    model = fully_connected_model(rng(), sparse_matrix(rng(), 64, 128, 0.9), int16=int16)
    compressed, (decision,), *_ = compressing.compress(model, "m", objective="size", slowest=1000, max_arena=1 << 30)
    assert decision.packed
    return compressed


def check(model: schema.ModelT) -> None:
    check_model(tflite.serialize(model))


@pytest.mark.parametrize("int16", [False, True])
def test_packed_model_passes(int16):
    check(packed_model(int16))


@pytest.mark.parametrize("index", [-2, -(2**31), 3, 2**31 - 1])
@pytest.mark.parametrize("field", ["inputs", "outputs"])
def test_index_of_no_tensor_is_refused(field, index):
    model = packed_model()
    operator = model.subgraphs[0].operators[0]
    values = getattr(operator, field).copy()
    values[-1] = index
    setattr(operator, field, values)
    with pytest.raises(ValueError, match="damaged TFLite model"):
        check(model)


@pytest.mark.parametrize("index", [-2, 3])
@pytest.mark.parametrize("field", ["inputs", "outputs"])
def test_subgraph_with_an_index_of_no_tensor_is_refused(field, index):
    model = packed_model()
    setattr(model.subgraphs[0], field, np.array([index], np.int32))
    with pytest.raises(ValueError, match="damaged TFLite model"):
        check(model)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("kind,element_bytes", [(schema.TensorType.INT8, 1), (schema.TensorType.INT16, 2)])
@pytest.mark.parametrize("missing", [0, 1])
def test_constant_of_our_ops_that_is_larger_than_its_buffer_is_refused(number, kind, element_bytes, missing):
    model = packed_model()
    tensor = model.subgraphs[0].tensors[number]
    tensor.type = kind
    tensor.shape = np.array([100], np.int32)
    model.buffers.append(schema.BufferT(data=np.zeros(100 * element_bytes - missing, np.uint8)))
    tensor.buffer = len(model.buffers) - 1
    if missing:
        with pytest.raises(ValueError, match=rf"its shape \[100\] needs {100 * element_bytes}"):
            check(model)
    else:
        check(model)


def test_constant_output_is_refused():
    model = packed_model()
    graph = model.subgraphs[0]
    model.buffers.append(schema.BufferT(data=np.zeros(64, np.uint8)))
    graph.tensors[graph.operators[0].outputs[0]].buffer = len(model.buffers) - 1
    with pytest.raises(ValueError, match="operator 0 DCSR_FULLY_CONNECTED: its output '.*' is constant"):
        check(model)


@pytest.mark.parametrize("multiplier", [0, 2, 127, -1])
def test_wrong_depth_multiplier_is_refused(multiplier):
    builder = Builder()
    x = builder.tensor("x", (1, 6, 6, 8), scale=0.1)
    weights = builder.tensor("w", (1, 3, 3, 8), data=np.ones((1, 3, 3, 8), np.int8), scale=0.1)
    y = builder.tensor("y", (1, 6, 6, 8), scale=0.1)
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.SAME, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1, depthMultiplier=1
    )
    builder.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, [x, weights, -1], [y], options)
    model = builder.finish([x], [y])
    check(model)
    options.depthMultiplier = multiplier
    with pytest.raises(ValueError, match=f"its depth multiplier {multiplier} gives {8 * multiplier} channels"):
        check(model)

"""Tests the tables of attributes against the schema, and what options do to a layer."""

import numpy as np
import pytest

from dcsr import attributes, compressing, layers, report
from dcsr.requantize import ACTIVATION_BOUNDS
from dcsr.schema import schema
from dcsr.testing.models import conv_model, fully_connected_model, sparse_matrix
from dcsr.testing.round_trip import rng

TABLES = [
    (schema.Conv2DOptionsT, attributes.CONV_2D_OPTIONS),
    (schema.FullyConnectedOptionsT, attributes.FULLY_CONNECTED_OPTIONS),
    (schema.DepthwiseConv2DOptionsT, attributes.DEPTHWISE_CONV_2D_OPTIONS),
    (schema.OperatorT, attributes.OPERATOR),
    (schema.TensorT, attributes.TENSOR),
    (schema.QuantizationParametersT, attributes.QUANTIZATION),
]
MAKERS = [fully_connected_model, conv_model]
TYPES = {name: value for name, value in vars(schema.TensorType).items() if not name.startswith("_")}


@pytest.mark.parametrize("table,listed", TABLES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_field_of_the_schema_is_listed_once(table, listed):
    assert sorted(attribute.field for attribute in listed) == sorted(vars(table()))
    assert all(attribute.read and attribute.treatment for attribute in listed)


def first_layer(model: schema.ModelT) -> layers.Layer:
    (layer,) = layers.find(model)
    return layer


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("int16", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_type_of_the_sums(make, kind, int16, with_bias):
    model = make(rng(), sparse_matrix(rng(), 8, 40, 0.9), int16=int16, with_bias=with_bias)
    model.subgraphs[0].operators[0].builtinOptions.quantizedBiasType = TYPES[kind]
    layer = first_layer(model)
    if with_bias or not int16:
        assert layer.obstacle is None and layer.caveat is None
    elif kind in ("FLOAT32", "INT64"):
        assert layer.obstacle is None and layer.caveat == attributes.SUMS_WITHOUT_BIAS
    else:
        assert layer.obstacle.startswith(f"no bias and quantized_bias_type {kind.lower()}")
        assert layer.caveat is None


@pytest.mark.parametrize("make", MAKERS)
def test_unknown_type_of_the_sums_stays(make):
    model = make(rng(), sparse_matrix(rng(), 8, 40, 0.9))
    model.subgraphs[0].operators[0].builtinOptions.quantizedBiasType = 99
    assert first_layer(model).obstacle == "quantized_bias_type 99"


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("number", range(8))
def test_fused_activations(make, number):
    model = make(rng(), sparse_matrix(rng(), 8, 40, 0.9))
    model.subgraphs[0].operators[0].builtinOptions.fusedActivationFunction = number
    names = {value: name for name, value in vars(schema.ActivationFunctionType).items()}
    name = names.get(number, str(number))
    assert first_layer(model).obstacle == (None if name in ACTIVATION_BOUNDS else f"activation {name}")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("change", [("builtinOptionsType", 77), ("builtinOptions", None)])
def test_options_of_another_type_stay(make, change):
    model = make(rng(), sparse_matrix(rng(), 8, 40, 0.9))
    setattr(model.subgraphs[0].operators[0], *change)
    assert first_layer(model).obstacle == "no builtin options"


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("extra", [[0], [-1], []])
def test_number_of_inputs(make, extra):
    model = make(rng(), sparse_matrix(rng(), 8, 40, 0.9))
    operator = model.subgraphs[0].operators[0]
    operator.inputs = np.array([*operator.inputs, *extra], np.int32)
    assert first_layer(model).obstacle == ("unusual inputs or outputs" if extra else None)


@pytest.mark.parametrize(
    "shape",
    [
        (2, 7),
        (1, 8),
        (3, 8),
        (2, 4),
        (8, 2),
        (-2, -8),
        (0, 8),
        (16,),
        (2, 0),
        (),
        (-1, -2, 8),
        (2, 2, 4),
        (1,) * 7 + (2, 8),
    ],
)
def test_fully_connected_whose_output_does_not_fit_stays(shape):
    model = fully_connected_model(rng(), sparse_matrix(rng(), 8, 40, 0.9), batches=2)
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[0]].shape = np.array(shape, np.int32)
    assert first_layer(model).obstacle == "unusual shapes"


@pytest.mark.parametrize("shape", [None, (), (0,), (-1, -80), (2, 39), (1,) * 7 + (2, 40)])
def test_fully_connected_whose_input_does_not_fit_stays(shape):
    model = fully_connected_model(rng(), sparse_matrix(rng(), 8, 40, 0.9), batches=2)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = None if shape is None else np.array(shape, np.int32)
    assert first_layer(model).obstacle == "unusual shapes"


def test_fully_connected_of_a_scalar_stays():
    model = fully_connected_model(rng(), sparse_matrix(rng(), 8, 1, 0.0))
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = np.zeros(0, np.int32)
    assert first_layer(model).obstacle == "unusual shapes"


@pytest.mark.parametrize("shape", [(2, 8), (1, 2, 8), (2, 1, 1, 8), (1,) * 6 + (2, 8)])
def test_fully_connected_whose_output_fits_is_packed(shape):
    model = fully_connected_model(rng(), sparse_matrix(rng(), 8, 40, 0.9), batches=2)
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[0]].shape = np.array(shape, np.int32)
    assert first_layer(model).obstacle is None


@pytest.mark.parametrize("make", MAKERS)
def test_report_counts_layers_whose_sums_depend_on_the_version(make):
    model = make(rng(), sparse_matrix(rng(), 40, 200, 0.9), int16=True, with_bias=False)
    _, decisions, *_ = compressing.compress(model, "m", objective="size", smaller_only=False)
    rows = [report.row(decision) for decision in decisions]
    assert rows[0].caveat == attributes.SUMS_WITHOUT_BIAS
    assert f"packed layers, 1: {attributes.SUMS_WITHOUT_BIAS}" in report.summary(rows, "cortex-m55")
    _, decisions, *_ = compressing.compress(model, "m", method="none")
    assert report.row(decisions[0]).caveat == ""

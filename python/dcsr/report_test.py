"""Tests the rows of operators that are not packed, shared weights, and the names in the table."""

import numpy as np

import dcsr
from dcsr import model as tflite
from dcsr import report
from dcsr.schema import schema
from dcsr.testing.models import Builder, separable, sparse_matrix
from dcsr.testing.round_trip import UNBOUNDED

OP = schema.BuiltinOperator


def inspected(builder: Builder, inputs: list[int], outputs: list[int]) -> dcsr.Inspection:
    return dcsr.inspect(tflite.serialize(builder.finish(inputs, outputs)))


def test_every_operator_with_constants_has_a_row_with_the_reason():
    builder = Builder()
    x = builder.tensor("x", (1, 4, 4, 8), scale=0.5)
    shape = builder.tensor("shape", (4,), np.int32, data=np.array([1, 8, 8, 6]))
    weights = builder.tensor("up/weights", (6, 3, 3, 8), data=np.ones((6, 3, 3, 8)), scale=0.1)
    up = builder.tensor("up", (1, 8, 8, 6), scale=0.5)
    builder.operator(OP.TRANSPOSE_CONV, [shape, weights, x], [up], schema.TransposeConvOptionsT())
    flat = builder.tensor("flat", (1, 384), scale=0.5)
    dims = builder.tensor("dims", (2,), np.int32, data=np.array([1, 384]))
    builder.operator(OP.RESHAPE, [up, dims], [flat], schema.ReshapeOptionsT())
    stream = builder.tensor("stream", (500,), np.uint8, data=np.ones(500))
    npu = builder.tensor("npu", (1, 384), scale=0.5)
    builder.operator(OP.CUSTOM, [stream, flat], [npu], custom="ethos-u")
    right = builder.tensor("right", (384, 5), data=np.ones((384, 5)), scale=0.1)
    product = builder.tensor("product", (1, 5), scale=0.5)
    builder.operator(OP.BATCH_MATMUL, [npu, right], [product], schema.BatchMatMulOptionsT())
    rows = inspected(builder, [x], [product]).layers
    assert [(row.operator, row.op, row.constant_bytes) for row in rows] == [
        (0, "TRANSPOSE_CONV", 432),
        (2, "ethos-u", 500),
        (3, "BATCH_MATMUL", 1920),
    ]
    assert rows[1].note == "compiled by Vela; compile with Vela after compress, not before"
    assert all("no packed form" in rows[index].note for index in (0, 2))
    text = report.table(rows, "cortex-m55")
    assert " cycles " in text and " instructions " in report.table(rows, "cortex-m4")
    assert "up/weights" in text and "1,920" in text
    lines = report.summary(rows, "cortex-m55")
    assert "2,852 bytes of constants in 3 other operators stay as they are" in lines
    assert report.totals(rows).other_instructions == 0


def with_shared_weights(zeros: float) -> bytes:
    builder = Builder()
    rng = np.random.default_rng(0)
    x = builder.tensor("x", (1, 64), scale=0.1)
    weights = builder.tensor("recurrent", (64, 64), data=sparse_matrix(rng, 64, 64, zeros), scale=0.01)
    y = x
    for number in range(3):
        bias = rng.integers(-99, 99, 64).astype(np.int32)
        y = builder.fully_connected(
            y, weights, (1, 64), bias=bias, output_scale=0.1, output_zero_point=0, name=f"step{number}"
        )
    return tflite.serialize(builder.finish([x], [y]))


def test_shared_weights_are_named_and_counted_once():
    result = dcsr.compress(with_shared_weights(0.97), **UNBOUNDED)
    assert [row.shares_weights_of for row in result.layers] == [None, (0, 0), (0, 0)]
    assert all(row.layer_bytes for row in result.layers)
    assert result.totals.dense_bytes == 64 * 64
    assert result.totals.nonzeros == result.layers[0].nonzeros
    assert str(result).count("weights of #0") == 2


def test_depthwise_layers_are_inspected_dense_and_packed(tmp_path):
    dense = tflite.serialize(separable())
    plan = tmp_path / "plan.yaml"
    plan.write_text("version: 1\ntensors: [{tensor: depthwise/weights, method: dense, rows: compact}]\n")
    packed = dcsr.compress(dense, plan=plan, layout="nhwc", **UNBOUNDED).model
    before, after = (dcsr.inspect(model).layers[1] for model in (dense, packed))
    assert (before.op, before.layer_bytes, before.note) == ("DEPTHWISE_CONV_2D 3x3", None, "")
    assert (after.op, after.coding) == ("DCSR_DEPTHWISE_CONV_2D 3x3", "dense")
    assert (before.rows, before.cols) == (after.rows, after.cols) == (64, 9)
    # Header, rows and weights.
    assert after.row_form == "compact"
    assert after.layer_bytes == 64 + 16 + 64 * 6 + 64 * 9
    assert after.dense_cycles == before.dense_cycles and after.estimated_cycles < after.dense_cycles


def test_equal_packed_layers_are_counted_once():
    builder = Builder()
    rng = np.random.default_rng(0)
    x = builder.tensor("x", (1, 90), scale=0.1)
    weights = builder.tensor("w", (80, 90), data=sparse_matrix(rng, 80, 90, 0.9), scale=0.01)
    outputs = [builder.fully_connected(x, weights, (1, 80), name=f"y{number}") for number in range(4)]
    result = dcsr.compress(tflite.serialize(builder.finish([x], outputs)), **UNBOUNDED)
    inspection = dcsr.inspect(result.model)
    for found in (result, inspection):
        assert [row.stored_with for row in found.layers] == [None, (0, 0), (0, 0), (0, 0)]
        assert found.totals.layer_bytes == found.layers[0].layer_bytes
        assert found.totals.dense_bytes == 7200
        assert found.totals.layers_with_shared_rows == 0 and "AddDcsrOps" not in str(found)
    assert result.totals == inspection.totals


def test_reason_names_the_operators_that_share_weights():
    result = dcsr.compress(with_shared_weights(0.1), min_sparsity=0, **UNBOUNDED)
    assert {row.note for row in result.layers} == {"would not get smaller: 3 operators share the weights"}


def test_shared_rows_are_counted_once():
    result = dcsr.compress(with_shared_weights(0.7), **UNBOUNDED)
    inspection = dcsr.inspect(result.model)
    for found in (result, inspection):
        assert [row.shares_rows_with for row in found.layers] == [None, (0, 0), (0, 0)]
        assert [row.shares_weights_of for row in found.layers] == [None, (0, 0), (0, 0)]
        assert [row.stored_with for row in found.layers] == [None] * 3
        own = [row.layer_bytes - row.shared_bytes for row in found.layers]
        assert own == [72 + 4 * 64] * 3 and len({row.shared_bytes for row in found.layers}) == 1
        assert found.totals.layer_bytes == sum(own) + found.layers[0].shared_bytes
        assert found.totals.packed_bytes == found.layers[0].packed_bytes
        assert str(found).count("weights of #0, stored once") == 2
        assert found.totals.layers_with_shared_rows == 3
        line = "the firmware registers the ops with dcsr::AddDcsrOpsWithSharedRows: 3 layers have shared rows"
        assert found.summary().count(line) == 1
    assert result.totals == inspection.totals
    assert [row.name for row in inspection.layers] == [row.name for row in result.layers]


def test_summary_says_what_min_sparsity_leaves():
    builder = Builder()
    rng = np.random.default_rng(0)
    x = builder.tensor("x", (1, 200), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng, 100, 200, 0.55), (1, 100), name="first")
    z = builder.fully_connected(y, sparse_matrix(rng, 100, 100, 0.01), (1, 100), name="full")
    data = tflite.serialize(builder.finish([x], [z]))
    (line,) = [line for line in dcsr.compress(data, **UNBOUNDED).summary() if line.startswith("--min-sparsity")]
    assert line.startswith("--min-sparsity leaves 1 layer dense; --min-sparsity 0.5")
    promised = int(line.split("about ")[1].split()[0].replace(",", ""))
    result = dcsr.compress(data, min_sparsity=0.5, objective="size", **UNBOUNDED)
    assert result.totals.dense_bytes == 20_000
    saved = result.layers[0].dense_bytes - result.layers[0].packed_bytes
    assert 0.8 * saved < promised < 1.2 * saved
    assert not [line for line in result.summary() if line.startswith("--min-sparsity")]


def test_objective_size_packs_every_layer_that_gets_smaller():
    builder = Builder()
    rng = np.random.default_rng(0)
    x = builder.tensor("x", (1, 200), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng, 100, 200, 0.5), (1, 100), name="half")
    z = builder.fully_connected(y, sparse_matrix(rng, 100, 100, 0.0), (1, 100), name="full")
    data = tflite.serialize(builder.finish([x], [z]))
    size, balanced = (dcsr.compress(data, objective=objective, **UNBOUNDED) for objective in ("size", "balanced"))
    assert [bool(row.layer_bytes) for row in size.layers] == [True, False]
    assert size.layers[1].note == "faster dense on cortex-m55, by more than the saving is worth"
    assert not any(row.layer_bytes for row in balanced.layers)
    assert dcsr.compress(data, objective="size", min_sparsity=0.6, **UNBOUNDED).model == data
    assert dcsr.verify(data, size.model, samples=3).identical


def test_names_of_quantisation_aware_models_are_told_apart():
    end = "/LastValueQuant/FakeQuantWithMinMaxVarsPerChannel"
    names = [f"model/quant_conv_{n}/Conv2D{end}" for n in range(3)]
    assert [report.shortened(name) for name in names] == [f"model/quant_conv_{n}/Conv2D" for n in range(3)]
    assert report.shortened(f"m/dense/MatMul;m/dense{end}_1:0") == "m/dense/MatMul;m/dense"
    assert report.shortened("FakeQuantWithMinMaxVars") == "FakeQuantWithMinMaxVars"
    long = [f"encoder_{n}/{'x' * 60}" for n in range(2)]
    shown = report.shortened_names([*long, "short", "short"])
    assert len(set(shown)) == 3 and shown[0].startswith("encoder_0/") and max(map(len, shown)) <= 32

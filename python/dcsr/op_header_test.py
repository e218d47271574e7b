"""Tests of op_header: the header registers the operators of the model, with the kernels and encodings that it needs."""

import re
from pathlib import Path

import numpy as np
import pytest

from dcsr import compressing, op_header
from dcsr import model as tflite
from dcsr.planning import code_bytes, cost
from dcsr.schema import schema
from dcsr.testing import models
from dcsr.testing.round_trip import UNBOUNDED


def _header(model, cpu="cortex-m55", source="model.cc", **options):
    parsed = tflite.parse(tflite.serialize(model), "model")
    result = compressing.compress(parsed, "model", cpu=cpu, **options)
    return op_header.make(Path(source), result.model, result.decisions, cpu, "small.tflite"), result


def _parts(text, table):
    """Returns the entries of a list of a table."""
    match = re.search(rf"constexpr DcsrKernel {table}\[\] = {{\n(.*?)}};", text, re.DOTALL)
    return [line.strip().rstrip(",") for line in match[1].splitlines()] if match else None


@pytest.fixture(name="separable", scope="module")
def _separable():
    return models.separable()


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_parts_are_those_of_the_decisions(separable, cpu):
    header, result = _header(separable, cpu, smaller_only=False)
    expected = set()
    for decision in result.decisions:
        if decision.candidate:
            coding, _, values = cost.coding(decision.candidate.packed.streams).partition("+")
            for kernel in decision.candidate.estimate.linked:
                expected.add(f"DCSR_{'HUFFMAN_' if values else ''}PART({kernel}, {coding})")
    assert expected
    assert set(re.findall(r"DCSR_(?:HUFFMAN_)?PART\([^)]*\)", header.text)) == expected


def test_every_operator_is_registered_once(separable):
    header, result = _header(separable, method="rice", smaller_only=False)
    names = {tflite.operator_name(result.model, operator) for _, operator in tflite.operators(result.model)}
    before, _, others = header.text.partition("#else")
    assert before.count("if (status == kOk) status = ") == len(names)
    assert f"kModelOps = {len(names)};" in header.text
    assert header.unknown == ()
    assert others.count("dcsr::Register_DCSR") == sum(name.startswith("DCSR_") for name in names)


def test_the_readers_are_those_of_the_encodings(separable):
    text = _header(separable, method="rice", smaller_only=False)[0].text
    assert "&kDcsrRiceDecoder" in text
    assert "kDcsrRleDecoder" not in text
    assert "kDcsrHuffmanDecoder" not in text


def test_a_model_without_our_ops_includes_no_kernels(separable):
    header, _ = _header(separable, method="none")
    assert "kernel_parts.h" not in header.text
    assert "DCSR_CORE_CLASS" not in header.text
    assert "resolver.AddDepthwiseConv2D()" in header.text


def test_names_follow_the_file(separable):
    header, _ = _header(separable, source="out/my-model 2.cc", method="none")
    assert header.path == Path("out/my-model 2_ops.h")
    assert "AddMyModel2Ops(" in header.text
    assert "AddModel9xOps(" in _header(separable, source="9x.cc", method="none")[0].text


def test_larger_filters_plan_with_every_1x1_kernel():
    rng = np.random.default_rng(1)
    matrix = models.sparse_matrix(rng, 40, 9 * 24, 0.9)
    model = models.conv_model(rng, matrix, filter_size=(3, 3), pixels=(12, 12))
    text = _header(model, "cortex-m4", method="rice", **UNBOUNDED)[0].text
    assert _parts(text, "kConv2dLarger")[0] == "DCSR_PART(conv2d_im2col, rice)"
    pointwise = _parts(text, "kConv2dPointwise")
    planned = [entry for entry in pointwise if entry.startswith("DCSR_PLANNED")]
    assert planned == [
        "DCSR_PLANNED(conv2d_dense_dsp)",
        "DCSR_PLANNED(conv1x1_smlal)",
        "DCSR_PLANNED(conv1x1_ref)",
    ]
    # An entry for parts of a kernel precedes the one that only plans.
    assert pointwise.index("DCSR_PART(conv1x1_smlal, rice)") < pointwise.index("DCSR_PLANNED(conv1x1_smlal)")


def test_shared_rows_take_the_functions_for_them():
    model = models.siamese(convolution=True, int16=False, per_channel=True)
    header, result = _header(model, **UNBOUNDED)
    assert any(decision.packed and decision.packed.shared is not None for decision in result.decisions)
    assert "RegistrationWithSharedRowsOf<" in header.text
    assert "Register_DCSR_CONV_2D_WITH_SHARED_ROWS()" in header.text


def test_a_verified_image_has_a_function_of_its_own(separable):
    plain = _header(separable, method="rice+huffman", smaller_only=False)[0].text
    assert "OfVerifiedImage" not in plain and "Unchecked" not in plain
    text = _header(separable, method="rice+huffman", smaller_only=False, verified_image=True)[0].text
    before, function, after = text.partition("dcsr::tflm::Status AddModelOpsOfVerifiedImage(")
    assert function and before.startswith(plain.partition("namespace")[0])
    # What the usual function registers validates.
    usual = before.partition("dcsr::tflm::Status AddModelOps(")[2]
    assert "RegistrationOf<" in usual and "Unchecked" not in usual and "VERIFIED" not in usual
    of_parts, _, of_all = after.partition("#else")
    assert of_parts.count("RegistrationOfVerifiedImage<") == of_all.count("_OF_VERIFIED_IMAGE()") > 0
    assert "&kDcsrRiceUncheckedDecoder" in before and "&kDcsrHuffmanUncheckedDecoder};" in before


def test_operators_of_the_user_are_counted_and_left_to_him(separable):
    model = tflite.parse(tflite.serialize(separable), "model")
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"MyOp*/\n"
    model.operatorCodes.append(code)
    model.subgraphs[0].operators[-1].opcodeIndex = len(model.operatorCodes) - 1
    header = op_header.make(Path("model.cc"), model, (), "cortex-m4", "model.tflite")
    names = {tflite.operator_name(model, operator) for _, operator in tflite.operators(model)}
    assert header.unknown == ("MyOp*/\n",)
    assert f"kModelOps = {len(names)};" in header.text
    assert f"N >= {len(names) - 1}," in header.text
    assert "add them yourself: MyOp*/_.\n" in header.text


def test_code_bytes_counts_shared_functions_once():
    for cpu in cost.CPUS:
        one, two = {("conv2d_int16_c", "rice")}, {("conv2d_int16_c", "rice"), ("conv2d_int16_c", "rle")}
        alone = code_bytes.code_bytes(cpu, one)
        assert 0 == code_bytes.code_bytes(cpu, ()) < alone < code_bytes.code_bytes(cpu, two) < 2 * alone
        assert alone < code_bytes.code_bytes(cpu, one, has_shared_rows=True)
    assert code_bytes.code_bytes("cortex-m4", (), ["CONV_2D", "SOFTMAX"]) > 10_000

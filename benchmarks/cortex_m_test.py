"""Tests the Cortex-M benchmark: small layers on one core, and parsing of the firmware's output."""

from __future__ import annotations

import dataclasses
import os

import pytest

from benchmarks import cortex_m, cortex_m_layers, firmware_code
from benchmarks.cycles import program, timings
from dcsr import encodings
from dcsr.planning import cost

# Layers of both ops, with odd numbers of pixels.
SMALL = (
    cortex_m_layers.Anchor(5, 40, (3, 7), 0.8, None),
    cortex_m_layers.Anchor(5, 40, (3, 7), 0.8, None, scratch_budget=1024),
    cortex_m_layers.Anchor(3, 200, None, 0.9, None),
)


@pytest.fixture(params=["m0plus", "m55"])
def core(request):
    return request.param


def test_table_has_a_row_for_each_layer_and_two_runs_are_equal(core):
    cases = cortex_m_layers.anchors(None, "speed", f"cortex-{core}", SMALL)
    first, second = (cortex_m.measure(core, cases) for _ in range(2))
    assert first == second
    rows = [line.split(" | ") for line in cortex_m.tables([first]) if line.startswith(("| conv", "| fc"))]
    assert [row[0] for row in rows] == ["| conv 5x40@21", "| conv 5x40@21, 1 KB", "| fc 3x200"]
    assert len({len(row) for row in rows}) == 1
    for layer in first["layers"]:
        # An instruction computes at most 16 products (vectors). Every layer here has at least 600 products.
        assert layer["dense_instructions"] > 600 / 16
        assert layer["sparse_code"] > 100
        assert layer["sparse_cycles"]["2"] >= layer["sparse_instructions"]


def test_scratch_is_what_the_cost_model_says(core):
    """Checks budgets from too small to more than enough."""
    shapes = [((40, (3, 7)), (300, 700, 900, 1000, 2000)), ((300, (5, 5)), (5000, 7000, 9000, 30000))]
    anchors = [
        cortex_m_layers.Anchor(5, cols, size, 0.8, None, budget)
        for (cols, size), budgets in shapes
        for budget in (0, *budgets)
    ]
    cases = cortex_m_layers.anchors(None, "every", f"cortex-{core}", anchors)
    cases += cortex_m_layers.made_up_layers("offset8", f"cortex-{core}", (0, 2000, 5000, 20000))
    # Rice layers with few pixels use a kernel that gathers and needs no scratch.
    cases += cortex_m_layers.made_up_layers("rice", f"cortex-{core}", (9000, 40000, 70000))
    for case, layer in zip(cases, cortex_m.measure(core, cases)["layers"], strict=True):
        assert layer["sparse_scratch"] == case.costs(f"cortex-{core}").scratch_bytes, layer


def test_layers_of_all_kinds_are_measured(core):
    """The firmware itself compares its outputs with those of the Python library."""
    cases = cortex_m_layers.made_up_layers("speed", f"cortex-{core}")
    layers = cortex_m.measure(core, cases)["layers"]
    assert len(layers) == len(cortex_m_layers.FITTED) + len(cortex_m_layers.HELD_OUT)
    assert sum(layer["held_out"] for layer in layers) == len(cortex_m_layers.HELD_OUT)
    for case, layer in zip(cases, layers, strict=True):
        # At most 16 products per instruction.
        assert layer["dense_instructions"] > case.matrix.size * case.work_shape.vectors / 16
        assert layer["sparse_code"] > 100


@pytest.mark.parametrize("cycles_core", cortex_m.CORES)
def test_cycles_are_of_the_measured_products(cycles_core):
    cases = cortex_m_layers.anchors(None, "every", f"cortex-{cycles_core}", SMALL)
    with_cycles, again = (cortex_m.measure(cycles_core, cases, with_cycles=True) for _ in range(2))
    assert with_cycles == again
    plain = cortex_m.measure(cycles_core, cases)
    for layer, same in zip(with_cycles["layers"], plain["layers"], strict=True):
        estimated = layer.pop("estimated_cycles")
        assert layer == same
        for product in ("dense", "sparse"):
            # The firmware counts a few instructions more or less (cycle_counter.h).
            assert abs(estimated[product]["instructions"] - layer[f"{product}_instructions"]) <= 3
            # An M7 issues two instructions in a cycle. No product takes four cycles for each.
            assert 0.5 < estimated[product]["dtcm"] / estimated[product]["instructions"] < 4
            assert estimated[product]["cached"] >= estimated[product]["dtcm"]
            assert (estimated[product]["cached"] == estimated[product]["dtcm"]) or cycles_core == "m55"


def test_gathers_cost_more_behind_a_cache():
    anchor = cortex_m_layers.Anchor(4, 2000, None, 0.9, None)
    [case] = cortex_m_layers.anchors(None, "offset8", "cortex-m55", [anchor])
    [layer] = cortex_m.measure("m55", [case], with_cycles=True)["layers"]
    sparse = layer["estimated_cycles"]["sparse"]
    # Gathers of 16 bytes: 16 cycles in place of 8.
    assert layer["gathers"] > 10
    assert 4 * layer["gathers"] < sparse["cached"] - sparse["dtcm"] <= 8 * layer["gathers"]


def test_instruction_without_timing_is_an_error(monkeypatch):
    m55 = timings.CORES["m55"]
    without = {name: timing for name, timing in m55.classes.items() if name != "vector_multiply"}
    monkeypatch.setitem(timings.CORES, "m55", dataclasses.replace(m55, classes=without))
    cases = cortex_m_layers.anchors(None, "offset8", "cortex-m55", SMALL[2:])
    with pytest.raises(program.UnknownInstructionError, match="have no timing"):
        cortex_m.measure("m55", cases, with_cycles=True)


def test_qemu_without_plugins_is_named(monkeypatch, tmp_path):
    qemu = tmp_path / "qemu-system-arm"
    qemu.write_text("#!/bin/sh\necho '-machine board'\n")
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    cases = cortex_m_layers.anchors(None, "offset8", "cortex-m55", SMALL[2:])
    with pytest.raises(cortex_m.NoPluginsError, match="qemu-system-arm was built without them"):
        cortex_m.measure("m55", cases, with_cycles=True)


def test_tables_name_the_memories_and_the_baseline():
    cases = cortex_m_layers.anchors(None, "speed", "cortex-m55", SMALL[:1])
    result = cortex_m.measure("m55", cases, with_cycles=True)
    header = next(line for line in cortex_m.tables([result]) if line.startswith("| layer"))
    assert "| dense cycles, DTCM | sparse cycles, DTCM | ratio of cycles, DTCM | dense cycles, cached |" in header
    header = next(line for line in cortex_m.tables([{**result, "dense": "CMSIS-NN"}]) if line.startswith("| layer"))
    assert "| CMSIS-NN's dense | sparse |" in header


def test_dense_product_is_run_once_for_a_layer(core):
    cases = cortex_m_layers.anchors(None, "every", f"cortex-{core}", SMALL)
    together = cortex_m.measure(core, cases)["layers"]
    alone = [cortex_m.measure(core, [case])["layers"][0] for case in cases[::5]]
    assert [layer["dense_instructions"] for layer in together[::5]] == [layer["dense_instructions"] for layer in alone]


@pytest.mark.parametrize("method", encodings.METHODS)
def test_method_is_the_encoding(method):
    for case in cortex_m_layers.anchors(None, method, "cortex-m4", SMALL):
        assert cost.coding(case.sparse.streams) in encodings.candidates(method)


def test_wrong_output_is_noticed(core, monkeypatch):
    (case,) = cortex_m_layers.synthetic(SMALL[0], "auto", "cortex-m4")
    changed = dataclasses.replace(case.sparse, bias=case.sparse.bias + 12345)
    wrong = dataclasses.replace(case, sparse=changed)
    with pytest.raises(cortex_m.FirmwareError, match="exit status 1: sparse output byte"):
        cortex_m.measure(core, [case, wrong])


def test_damaged_layer_is_refused(core):
    (case,) = cortex_m_layers.synthetic(SMALL[2], "auto", "cortex-m4")
    damaged = dataclasses.replace(case, sparse=dataclasses.replace(case.sparse, op=7))
    with pytest.raises(cortex_m.FirmwareError, match="the sparse layer: "):
        cortex_m.measure(core, [damaged])


def test_synthetic_layers_have_the_anchors_sparsity():
    cases = cortex_m_layers.anchors(None, "auto", "cortex-m4")
    for anchor, case in zip(cortex_m_layers.ANCHORS, cases, strict=True):
        assert case.matrix.shape == (anchor.rows, anchor.cols)
        assert case.sparsity == pytest.approx(anchor.sparsity, abs=0.01)


def test_code_of_a_kernel_has_what_it_calls(core):
    code = firmware_code.read(cortex_m.firmware(core))
    (table,) = (name for name in code.tables if name.startswith("kDcsrConv2d") and name.endswith("Pointwise"))
    names = {function.name for function in code.reachable([table])}
    # The reference kernel is the last of every core's list.
    assert "dcsr_conv1x1_ref" in names
    assert len([name for name in names if name.startswith("dcsr_")]) > 1
    assert "dcsr_layer_parse_with" not in names
    assert "main" not in names


@pytest.mark.parametrize("core", cortex_m_layers.CMSIS_NN)
def test_dense_baseline_is_as_good_as_cmsis_nn(core):
    if "arm_fully_connected_s8" in firmware_code.read(cortex_m.firmware(core)).addresses:
        pytest.skip("the baseline is CMSIS-NN")
    expected = cortex_m_layers.CMSIS_NN[core]
    cases = {case.product: case for case in cortex_m_layers.anchors(None, "rle", f"cortex-{core}")}
    assert cases.keys() == expected.keys()
    result = cortex_m.measure(core, list(cases.values()))
    for product, layer in zip(cases, result["layers"], strict=True):
        assert layer["dense_instructions"] <= 1.05 * expected[product], product
    rows = [line.split(" | ") for line in cortex_m.tables([result])]
    titles = next(row for row in rows if row[0] == "| layer")
    ratios = [row[titles.index("CMSIS-NN")] for row in rows if row[0].startswith(("| conv", "| fc"))]
    assert [float(ratio) for ratio in ratios] == [
        pytest.approx(layer["sparse_instructions"] / expected[product], abs=0.001)
        for product, layer in zip(cases, result["layers"], strict=True)
    ]


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m55"])
def test_speed_takes_what_the_planner_takes(cpu):
    def estimated(case: cortex_m_layers.Case) -> int | None:
        return cost.estimate(cpu, case.sparse, case.work_shape).instructions

    every = cortex_m_layers.anchors(None, "every", cpu, SMALL)
    fastest = {
        name: min(estimated(case) for case in every if case.name == name) for name in {case.name for case in every}
    }
    chosen = cortex_m_layers.anchors(None, "speed", cpu, SMALL)
    assert {case.name: estimated(case) for case in chosen} == fastest

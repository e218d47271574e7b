"""Tests fitting of the cost model: it recovers known constants, and the written file equals the fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fit_cost_model
from benchmarks.fit_cost_model import Sample
from dcsr import encodings, packing
from dcsr import model as tflite
from dcsr.planning import cost
from dcsr.testing.models import sparse_matrix


def layer_costs(rng: np.random.Generator, filter_size: tuple[int, int] = (1, 1), budget: int = 0) -> tuple:
    """Returns (coding, costs on a Cortex-M4, bytes of the streams) of a random convolution with one of two codings."""
    rows, channels, vectors = (int(number) for number in rng.integers(50, 300, 3))
    cols = channels * filter_size[0] * filter_size[1]
    matrix = sparse_matrix(rng, rows, cols, 1 - rng.uniform(0.05, 0.3))
    packed = packing.PackedLayer(
        op=packing.OP_CONV_2D,
        streams=encodings.encode(matrix, str(rng.choice(["rle", "rice+huffman"]))),
        bias=np.zeros(rows, np.int32),
        multiplier=np.full(rows, 1 << 30, np.int32),
        shift=np.full(rows, -5, np.int8),
        input_zero_point=0,
        output_zero_point=3,
        activation_min=-128,
        activation_max=127,
        scratch_budget=budget,
        filter_size=filter_size,
        same_padding=filter_size != (1, 1),
    )
    # Images of many shapes, so that the patches are copied in different numbers of pieces.
    height = int(rng.integers(1, 15))
    size = (height, vectors // height)
    shape = cost.Shape(size[0] * size[1], size, size)
    return cost.coding(packed.streams), cost.costs("cortex-m4", packed, shape), packed.streams.nbytes


def samples(constants: dict[str, float], noise: float = 0.0) -> list[Sample]:
    """Returns convolutions with two codings and instruction counts computed from `constants`."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(60):
        coding, costs, size = layer_costs(rng, budget=int(rng.choice([0, 10000, 60000])))
        assert list(costs.parts) == ["conv1x1_smlal"]
        instructions = sum(constants[name] * count for name, count in costs.parts["conv1x1_smlal"].items())
        instructions = round(instructions * (1 + noise * rng.standard_normal()))
        dense = 2000 + 3 * costs.dense["dense_conv1x1"]["product"]
        found.append(Sample(f"layer {number}", coding, costs.parts, costs.dense, size, instructions, dense))
    return found


CONSTANTS = {
    "layer": 3000.0,
    "input": 2.0,
    "output": 20.0,
    "row block": 0.0,
    "product block": 8.0,
    "row": 100.0,
    "rle element": 5.0,
    "rle position byte": 9.0,
    "rice+huffman element": 25.0,
    "rice+huffman position byte": 0.0,
    "table of codes": 4000.0,
}


def test_constants_are_found_again():
    every = fit_cost_model.fit(samples(CONSTANTS))
    fitted = every["conv1x1_smlal"]
    assert fitted.keys() == CONSTANTS.keys()
    for name, value in CONSTANTS.items():
        assert fitted[name] == pytest.approx(value, rel=0.02, abs=0.6), name
    assert every["dense_conv1x1"]["product"] == pytest.approx(3, rel=0.001)
    assert every["dense_conv1x1"]["layer"] == pytest.approx(2000, rel=0.01)


IM2COL = {"layer": 4000.0, "tile": 500.0, "patch": 100.0, "piece": 30.0, "byte": 0.5}


def larger_filters() -> list[Sample]:
    """Returns 3x3 convolutions with instruction counts computed from IM2COL and CONSTANTS."""
    rng = np.random.default_rng(1)
    made = []
    for number in range(60):
        coding, costs, size = layer_costs(rng, (3, 3), budget=100_000)
        assert list(costs.parts) == ["conv2d_im2col", "conv1x1_smlal"]
        counted = cost.time({"conv2d_im2col": IM2COL, "conv1x1_smlal": CONSTANTS}, costs.parts)
        dense = 5000 + 4 * costs.dense["dense_conv2d"]["product"]
        made.append(Sample(f"3x3 {number}", coding, costs.parts, costs.dense, size, counted, dense))
    return made


def test_kernels_that_work_together_are_told_apart():
    found = samples(CONSTANTS)
    fitted = fit_cost_model.fit(found + larger_filters())
    for kernel, constants in (("conv2d_im2col", IM2COL), ("conv1x1_smlal", CONSTANTS)):
        assert fitted[kernel].keys() == constants.keys()
        for name, value in constants.items():
            assert fitted[kernel][name] == pytest.approx(value, rel=0.05, abs=0.6), name


def test_missing_constants_are_fitted_beside_present_ones():
    rle = {name: value for name, value in CONSTANTS.items() if "huffman" not in name and name != "table of codes"}
    present = {"conv1x1_smlal": rle | {"row": 100.0}, "conv1x1_c": {"layer": 7.0}}
    every = fit_cost_model.fit(samples(CONSTANTS), present)
    assert {name: every["conv1x1_smlal"][name] for name in rle} == rle
    assert every["conv1x1_c"] == {"layer": 7.0}
    for name in CONSTANTS.keys() - rle.keys():
        assert every["conv1x1_smlal"][name] == pytest.approx(CONSTANTS[name], rel=0.02, abs=0.6), name
    assert every["dense_conv1x1"]["product"] == pytest.approx(3, rel=0.001)
    assert fit_cost_model.fit(samples(CONSTANTS), every) == every


def test_held_out_layers_are_judged_and_not_fitted(tmp_path, capsys):
    found = samples(CONSTANTS)
    layers = as_json(found)
    # Held-out layers with very different counts.
    layers += [layer | {"held_out": True, "sparse_instructions": 2 * layer["sparse_instructions"]} for layer in layers]
    constants = []
    for number, some in enumerate((layers[: len(found)], layers)):
        (tmp_path / "m.json").write_text(json.dumps([{"core": "m4", "layers": some}]))
        fit_cost_model.main([str(tmp_path / "m.json"), "-o", str(tmp_path / f"{number}.json")])
        constants.append((tmp_path / f"{number}.json").read_text())
    assert constants[0] == constants[1]
    before, after = capsys.readouterr().out.split("Held out:")
    assert "| cortex-m4 | conv1x1 smlal | 60 | 50" in after
    assert "| cortex-m4 | conv1x1 smlal | 60 | 0." in before


def test_noise_stays_noise_and_no_constant_is_negative():
    noisy = samples(CONSTANTS, noise=0.03)
    fitted = fit_cost_model.fit(noisy)
    assert min(fitted["conv1x1_smlal"].values()) >= 0
    table = fit_cost_model.error_table({"cortex-m4": fitted}, {"cortex-m4": noisy})
    (errors,) = (line.split(" | ") for line in table if "conv1x1 smlal" in line)
    assert errors[2] == "60" and float(errors[3].rstrip("%")) < 4
    assert errors[6].startswith(("rle ", "rice+huffman "))


def test_non_negative_least_squares_meets_its_optimality_conditions():
    rng = np.random.default_rng(1)
    for _ in range(50):
        matrix, target = rng.standard_normal((20, 6)), rng.standard_normal(20)
        x = fit_cost_model.non_negative_least_squares(matrix, target)
        gradient = matrix.T @ (target - matrix @ x)
        assert np.all(x >= 0) and np.all(gradient <= 1e-6) and np.allclose(gradient[x > 0], 0, atol=1e-6)


def as_json(found: list[Sample]) -> list[dict]:
    """Returns measurements in the format of cortex_m."""
    return [
        {
            "weights": "model",
            "layer": sample.name,
            "packed_bytes": sample.packed_bytes,
            "encoding": sample.coding,
            "counts": sample.counts,
            "dense_counts": sample.dense_counts,
            "sparse_instructions": sample.time,
            "dense_instructions": sample.dense_time,
        }
        for sample in found
    ]


def test_file_holds_the_fit(tmp_path, capsys):
    layers = as_json(samples(CONSTANTS))
    (tmp_path / "m.json").write_text(json.dumps([{"core": "m4", "layers": layers}]))
    fit_cost_model.main([str(tmp_path / "m.json"), "-o", str(tmp_path / "constants.json")])
    constants = json.loads((tmp_path / "constants.json").read_text())
    assert constants.keys() == {"cortex-m4"}
    assert constants["cortex-m4"]["conv1x1_smlal"].keys() >= {"row block", "rle element"}
    assert "| cortex-m4 | conv1x1 smlal | " in capsys.readouterr().out


def test_cycles_are_fitted_for_each_memory(tmp_path, capsys):
    layers = as_json(samples(CONSTANTS))
    for layer in layers:
        layer["estimated_cycles"] = {
            product: {"dtcm": 2 * layer[f"{product}_instructions"], "cached": 3 * layer[f"{product}_instructions"]}
            for product in ("dense", "sparse")
        }
    (tmp_path / "m.json").write_text(json.dumps([{"core": "m55", "layers": layers}]))
    outputs = [str(tmp_path / name) for name in ("constants.json", "cycles.json")]
    fit_cost_model.main([str(tmp_path / "m.json"), "-o", outputs[0], "--cycles", outputs[1]])
    instructions, cycles = (json.loads(Path(path).read_text())["cortex-m55"] for path in outputs)
    assert list(cycles) == ["dtcm", "cached"]
    for name, value in instructions["conv1x1_smlal"].items():
        assert cycles["dtcm"]["conv1x1_smlal"][name] == pytest.approx(2 * value, rel=1e-3, abs=1e-2)
        assert cycles["cached"]["conv1x1_smlal"][name] == pytest.approx(3 * value, rel=1e-3, abs=1e-2)
    printed = capsys.readouterr().out
    assert "Cycles, dtcm:" in printed and "Cycles, cached:" in printed


def test_missing_cycles_are_an_error(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps([{"core": "m55", "layers": as_json(samples(CONSTANTS))}]))
    with pytest.raises(tflite.ModelError, match="has no cycles of a core that the planner compares by them"):
        fit_cost_model.main([str(tmp_path / "m.json"), "--cycles", str(tmp_path / "cycles.json")])
    assert not (tmp_path / "cycles.json").exists()


def test_choices_are_judged_by_the_counts():
    constants = {"cortex-m4": {"kernel": {"layer": 1000.0, "slow element": 50.0, "fast element": 0.0}}}
    slow, fast = ({"kernel": {"layer": 1, f"{coding} element": 1}} for coding in ("slow", "fast"))
    measured = [Sample("a", "slow", slow, {}, 100, 1200, 1), Sample("a", "fast", fast, {}, 150, 1000, 1)]
    table = fit_cost_model.choice_table(constants, {"cortex-m4": measured})
    # `balanced` chooses the smaller coding: 5 % slower by the estimate, 20 % slower by the count.
    assert table[2] == "| cortex-m4 | 1 | balanced | 20.0% | 20.0% | 1.000 |"
    assert table[3] == "| cortex-m4 | 1 | speed | 0.0% | 0.0% | 1.500 |"


@pytest.mark.parametrize("content", ["", "{}", '[{"core": "m4"}]', '[{"core": "m4", "layers": [{"counts": {}}]}]'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "m.json"
    path.write_text(content)
    with pytest.raises(tflite.ModelError, match="m.json: not what cortex_m --json writes|m.json: has no layers"):
        fit_cost_model.main([str(path)])

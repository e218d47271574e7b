"""Tests fitting of the cost model: it recovers known constants, and the written file equals the fit."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import fit_cost_model
from benchmarks.fit_cost_model import Sample
from dcsr import model as tflite
from dcsr import packing
from dcsr.planning import cost


def samples(core: str, constants: dict[str, float], noise: float = 0.0) -> list[Sample]:
    """Returns convolutions with two codings and instruction counts computed from `constants`."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(60):
        rows, cols, vectors = (int(number) for number in rng.integers(50, 300, 3))
        elements = int(rows * cols * rng.uniform(0.05, 0.3))
        coding = str(rng.choice(["rle", "rice+huffman"]))
        position_bytes = int(elements * rng.uniform(0.3, 0.9))
        budget = int(rng.choice([0, 10000, 60000]))
        longest = elements // rows + 9
        work = cost.Work(
            packing.OP_CONV_2D, coding, rows, cols, elements, longest, position_bytes, vectors, scratch_budget=budget
        )
        kernel, counts = cost.structure(core, work)
        assert kernel == "conv1x1_smlal"
        instructions = sum(constants[name] * count for name, count in counts.items())
        instructions = round(instructions * (1 + noise * rng.standard_normal()))
        dense = 2000 + 3 * rows * cols * vectors
        found.append(Sample(f"layer {number}", work, elements + position_bytes, instructions, dense))
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
    every = fit_cost_model.fit("cortex-m4", samples("cortex-m4", CONSTANTS))
    fitted = every["conv1x1_smlal"]
    assert fitted.keys() == CONSTANTS.keys()
    for name, value in CONSTANTS.items():
        assert fitted[name] == pytest.approx(value, rel=0.02, abs=0.6), name
    assert every["dense_conv1x1"]["product"] == pytest.approx(3, rel=0.001)
    assert every["dense_conv1x1"]["layer"] == pytest.approx(2000, rel=0.01)


IM2COL = {"layer": 4000.0, "tile": 500.0, "patch": 100.0, "piece": 30.0, "byte": 0.5}


def with_larger_filters(found: list[Sample]) -> list[Sample]:
    """Returns the samples as 3x3 convolutions, with instruction counts computed from IM2COL and CONSTANTS."""
    rng = np.random.default_rng(1)
    made = []
    for sample in found:
        work = dataclasses.replace(sample.work, cols=9 * (sample.work.cols // 9), taps=9)
        work = dataclasses.replace(work, pieces=int(work.vectors * rng.uniform(3, 9)), scratch_budget=60000)
        parts = cost.parts("cortex-m4", work)
        assert list(parts) == ["conv2d_im2col", "conv1x1_smlal"]
        counted = cost.instructions({"conv2d_im2col": IM2COL, "conv1x1_smlal": CONSTANTS}, parts)
        dense = 5000 + 4 * work.rows * work.cols * work.vectors
        made.append(Sample(f"3x3 {sample.name}", work, sample.packed_bytes, counted, dense))
    return made


def test_kernels_that_work_together_are_told_apart():
    found = samples("cortex-m4", CONSTANTS)
    fitted = fit_cost_model.fit("cortex-m4", found + with_larger_filters(found))
    for kernel, constants in (("conv2d_im2col", IM2COL), ("conv1x1_smlal", CONSTANTS)):
        assert fitted[kernel].keys() == constants.keys()
        for name, value in constants.items():
            assert fitted[kernel][name] == pytest.approx(value, rel=0.05, abs=0.6), name


def test_held_out_layers_are_judged_and_not_fitted(tmp_path, capsys):
    found = samples("cortex-m4", CONSTANTS)
    layers = as_json(found)
    # Held-out layers with very different counts.
    layers += [layer | {"held_out": True, "sparse_instructions": 2 * layer["sparse_instructions"]} for layer in layers]
    constants = []
    for number, some in enumerate((layers[: len(found)], layers)):
        (tmp_path / "m.json").write_text(json.dumps([{"core": "m4", "layers": some}]))
        fit_cost_model.main([str(tmp_path / "m.json"), "-o", str(tmp_path / f"{number}.py")])
        constants.append((tmp_path / f"{number}.py").read_text())
    assert constants[0] == constants[1]
    before, after = capsys.readouterr().out.split("Held out:")
    assert "| cortex-m4 | conv1x1 smlal | 60 | 50" in after
    assert "| cortex-m4 | conv1x1 smlal | 60 | 0." in before


def test_noise_stays_noise_and_no_constant_is_negative():
    noisy = samples("cortex-m4", CONSTANTS, noise=0.03)
    fitted = fit_cost_model.fit("cortex-m4", noisy)
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
            "work": dataclasses.asdict(sample.work),
            "sparse_instructions": sample.instructions,
            "dense_instructions": sample.dense_instructions,
        }
        for sample in found
    ]


def test_module_holds_what_was_fitted(tmp_path, capsys):
    layers = as_json(samples("cortex-m4", CONSTANTS))
    (tmp_path / "m.json").write_text(json.dumps([{"core": "m55", "layers": layers}]))
    fit_cost_model.main([str(tmp_path / "m.json"), "-o", str(tmp_path / "constants.py")])
    scope: dict = {}
    exec((tmp_path / "constants.py").read_text(), scope)
    assert scope["CONSTANTS"].keys() == {"cortex-m55"}
    assert scope["CONSTANTS"]["cortex-m55"]["conv1x1_mve"].keys() >= {"row vector", "rle element"}
    assert "| cortex-m55 | conv1x1 mve | " in capsys.readouterr().out


def test_choices_are_judged_by_what_was_counted():
    work = dataclasses.replace(samples("cortex-m4", CONSTANTS)[0].work, scratch_budget=1 << 20)
    slow, fast = (dataclasses.replace(work, coding=coding) for coding in ("slow", "fast"))
    shared = dict.fromkeys(cost.structure("cortex-m4", work)[1], 0.0) | {"layer": 1000.0}
    constants = {"cortex-m4": {"conv1x1_smlal": shared}}
    for coding, estimate in (("slow", 0.05), ("fast", 0.0)):
        # The layer costs 1000 instructions. Its elements add the fraction `estimate` of that.
        constants["cortex-m4"]["conv1x1_smlal"][f"{coding} element"] = 1000 * estimate / work.elements
        constants["cortex-m4"]["conv1x1_smlal"][f"{coding} position byte"] = 0.0
    measured = [Sample("a", slow, 100, 1200, 1), Sample("a", fast, 150, 1000, 1)]
    table = fit_cost_model.choice_table(constants, {"cortex-m4": measured})
    # Smaller. The estimate is 5 % slower, the count 20 % slower.
    assert table[2] == "| cortex-m4 | 1 | balanced | 20.0% | 20.0% | 1.000 |"
    assert table[3] == "| cortex-m4 | 1 | speed | 0.0% | 0.0% | 1.500 |"


@pytest.mark.parametrize("content", ["", "{}", '[{"core": "m4"}]', '[{"core": "m4", "layers": [{"work": {}}]}]'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "m.json"
    path.write_text(content)
    with pytest.raises(tflite.ModelError, match="m.json: not what cortex_m --json writes|m.json: has no layers"):
        fit_cost_model.main([str(path)])

"""Reading representative inputs: every form, and one line about each that cannot be used."""

import numpy as np
import pytest

from dcsr.model import ModelError
from dcsr.pruning import inputs
from dcsr.testing.models import Builder


def model_of(shape=(1, 8, 8, 2), dtype=np.int8, scale=0.05, zero_point=-3, count=1):
    builder = Builder()
    found = [builder.tensor(f"x{i}", shape, dtype, scale=scale, zero_point=zero_point) for i in range(count)]
    return builder.finish(found, found)


def smooth(rng, count, shape=(8, 8, 2)):
    """Float samples whose neighbours are alike, in -3..3."""
    values = np.cumsum(rng.standard_normal((count, *shape)), axis=1)
    return (values / np.abs(values).max() * 3).astype(np.float32)


def load(given, model=None):
    return inputs.load(given, model or model_of(), "model.tflite")


def test_float_samples_are_quantised(tmp_path):
    rng = np.random.default_rng(0)
    samples = smooth(rng, 70)
    np.savez(tmp_path / "x.npz", whatever=samples)
    found = load(tmp_path / "x.npz")
    assert found.warnings == []
    assert found.arrays[0].shape == (70, 1, 8, 8, 2) and found.arrays[0].dtype == np.int8
    np.testing.assert_array_equal(found.arrays[0][:, 0], np.rint(samples / np.float32(0.05)) - 3)


def test_all_forms_give_the_same(tmp_path):
    samples = (smooth(np.random.default_rng(1), 70) * 30).astype(np.int8)
    np.savez(tmp_path / "x.npz", samples)
    np.save(tmp_path / "x.npy", samples)
    folder = tmp_path / "samples"
    folder.mkdir()
    for number, sample in enumerate(samples):
        np.save(folder / f"{number:03}.npy", sample)
    for given in (samples[:, np.newaxis], None):
        wanted = samples[:, np.newaxis]
        if given is not None:
            np.testing.assert_array_equal(load({"x0": given}).arrays[0], wanted)
    for given in (tmp_path / "x.npz", str(tmp_path / "x.npy"), folder, [samples]):
        np.testing.assert_array_equal(load(given).arrays[0], samples[:, np.newaxis])


def test_several_inputs_go_by_name():
    rng = np.random.default_rng(2)
    first, second = ((smooth(rng, 64) * 30).astype(np.int8) for _ in range(2))
    found = load({"x1": second, "x0": first}, model_of(count=2))
    np.testing.assert_array_equal(found.arrays[0][:, 0], first)
    np.testing.assert_array_equal(found.arrays[1][:, 0], second)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((70, 8, 8, 3), np.int8), r"input 'x0' wants \[samples, 8, 8, 2\], the file has \[70, 8, 8, 3\]"),
        (np.zeros((70, 8, 8, 2), np.uint8), "wants int8, or float to be quantised"),
        (np.zeros((5, 8, 8, 2), np.int8), "has 5 samples, at least 8 are needed"),
        (np.zeros((70, 8, 8, 2), np.int8), "all 70 samples are equal"),
        (np.full((70, 8, 8, 2), np.nan, np.float32), "not finite"),
        (np.zeros((), np.int8), "the file has"),
    ],
)
def test_samples_that_do_not_fit(given, message):
    with pytest.raises(ModelError, match=message):
        load([given])


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match=r"missing\.npz: No such file"):
        load(tmp_path / "missing.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(ModelError, match="not an .npz or .npy file of numbers"):
        load(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", np.array([object()], object))
    with pytest.raises(ModelError, match="not an .npz or .npy file of numbers"):
        load(tmp_path / "y.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="has no .npy or .npz files"):
        load(tmp_path / "empty")
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(ModelError, match=r"has 2 arrays \('a', 'b'\), the model has 1 inputs: 'x0'"):
        load(tmp_path / "two.npz")
    (tmp_path / "mixed").mkdir()
    np.save(tmp_path / "mixed" / "0.npy", np.zeros((8, 8, 2), np.int8))
    np.save(tmp_path / "mixed" / "1.npy", np.zeros((8, 8), np.int8))
    with pytest.raises(ModelError, match=r"1\.npy: 'x0' is int8 \[8, 8\], in 0\.npy int8 \[8, 8, 2\]"):
        load(tmp_path / "mixed")


def warnings_about(samples):
    return " ".join(load([samples]).warnings)


def test_useless_samples_are_warned_about():
    rng = np.random.default_rng(3)
    assert "look like random numbers" in warnings_about(rng.integers(-128, 128, (100, 8, 8, 2), np.int8))
    assert "look like random numbers" in warnings_about(rng.standard_normal((100, 8, 8, 2)).astype(np.float32))
    assert "20 samples are few" in warnings_about(smooth(rng, 20))
    assert "only 50 of the 100 samples are different" in warnings_about(np.tile(smooth(rng, 50), (2, 1, 1, 1)))
    assert "outside the model's range" in warnings_about(smooth(rng, 100) * 80)
    assert warnings_about(smooth(rng, 100)) == ""


def test_the_split_is_random_and_disjoint():
    chosen, held_out = inputs.split(100, 0.33, 50, 20, 7)
    assert len(chosen) == 50 and len(held_out) == 20
    assert not set(chosen) & set(held_out)
    again, _ = inputs.split(100, 0.33, 50, 20, 7)
    np.testing.assert_array_equal(chosen, again)
    assert inputs.split(100, 0, 1000, 20, 7)[1].size == 0
    assert sorted(np.concatenate(inputs.split(10, 0.5, 99, 99, 1))) == list(range(10))

"""Tests train_mnetv2 end to end on a few artificial images."""

import gzip
import json
import struct

import numpy as np
import pytest

from training import mobilenet_v2, pipeline, stack, train_mnetv2
from training.data import images
from training.errors import InputError


def write_idx(path, values):
    header = b"\x00\x00\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture(autouse=True)
def fashion(tmp_path, monkeypatch):
    folder = tmp_path / "fashion"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for prefix, count in (("train", 320), ("t10k", 40)):
        labels = np.arange(count) % 10
        # A bright stripe; its position is the label.
        pixels = rng.integers(0, 60, (count, 28, 28))
        for index, label in enumerate(labels):
            pixels[index, 2 * label + 3 : 2 * label + 6] += 150
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", pixels)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
    monkeypatch.setattr(images, "FASHION_MNIST", folder)
    return folder


def arguments(output, *more):
    common = ["--output", str(output), "--dataset", "fashion_mnist", "--threads", "1", "-e", "2", "-p", "2", "-r", "1"]
    return [*common, *more]


def test_run_prunes_all_but_the_skipped_blocks(tmp_path):
    output = tmp_path / "output"
    assert train_mnetv2.main(arguments(output, "-s", "0.8")) == 0
    results = json.loads((output / "mnv2_035_80.json").read_text())
    sparsity = results["sparsity"]
    assert "block_6_project" not in sparsity
    for layer in ("block_7_expand", "block_16_project", "head", "dense"):
        assert sparsity[layer] == pytest.approx(0.8, abs=0.01)
    assert results["bytes"]["balanced"] < results["bytes"]["before"] == (output / "mnv2_035_80.tflite").stat().st_size
    assert set(results["accuracy"]) == {"dense_float", "pruned_float", "int8"}
    assert results["compared_samples"] == 40
    assert (output / "mnv2_035_80.dcsr.tflite").exists()

    # Start from its dense weights, without dropout, at the paper's resolution, with all blocks pruned.
    more = "-o 0 --upscale -p 1 -r 0 -x 0 -s 0.5 -b".split()
    more.append(str(output / "mnv2_035.weights.npz"))
    assert train_mnetv2.main(arguments(output, *more)) == 0
    results = json.loads((output / "mnv2_035_96_50.json").read_text())
    assert results["sparsity"]["block_1_expand"] == pytest.approx(0.5, abs=0.01)


def test_weights_trained_without_dropout_serve_with_it(tmp_path):
    stack.prepare(1, 1)
    trained, other = (mobilenet_v2.build(32, 1, 10, 0.1, dropout, 1) for dropout in (0.0, 0.2))
    pipeline.save_weights(trained, tmp_path / "weights.npz")
    pipeline.load_weights(other, tmp_path / "weights.npz")
    np.testing.assert_array_equal(other.get_layer("head").get_weights()[0], trained.get_layer("head").get_weights()[0])


def test_weights_of_another_width_are_refused(tmp_path):
    weights = tmp_path / "weights.npz"
    np.savez(weights, other=np.zeros(3))
    with pytest.raises(InputError, match="not the weights of mobilenet_v2: stem.kernel is missing"):
        train_mnetv2.main(arguments(tmp_path / "output", "-b", str(weights)))


@pytest.mark.parametrize("more", [("-x", "18"), ("-w", "0"), ("-o", "1"), ("-s", "0")])
def test_bad_usage_exits_with_2(tmp_path, more, capsys):
    with pytest.raises(SystemExit) as stopped:
        train_mnetv2.main(arguments(tmp_path, *more))
    assert stopped.value.code == 2
    assert more[0] in capsys.readouterr().err


def test_missing_data_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "FASHION_MNIST", tmp_path / "none")
    with pytest.raises(InputError, match="apt-get install dataset-fashion-mnist"):
        train_mnetv2.main(arguments(tmp_path))

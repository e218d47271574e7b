import gzip
import struct

import numpy as np
import pytest
import train_fashion


def write_idx(path, values):
    header = b"\x00\x00\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def folder(tmp_path):
    for prefix, number in (("train", 3), ("t10k", 2)):
        images = np.full((number, 28, 28), 255, np.uint8)
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", np.arange(number))
    return tmp_path


def test_dataset_is_scaled_and_labelled(folder):
    data = train_fashion.load_dataset(folder)
    assert data.train_images.shape == (3, 28, 28, 1)
    assert data.train_images.dtype == np.float32 and data.train_images.max() == 1
    assert data.test_labels.tolist() == [0, 1]


def test_missing_data_names_the_package(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(train_fashion.InputError, match="dataset-fashion-mnist"):
            train_fashion.load_dataset(folder)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"no gzip", "cannot be read"),
        (gzip.compress(bytes(200))[:-12], "cannot be read"),
        (gzip.compress(b"\x00\x00\x0d\x01\x00\x00\x00\x00"), "not an IDX file"),
        (gzip.compress(b"\x00\x00\x08\x03\x00"), "header cut short"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x09abc"), "promises 9 bytes, file has 3"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x03abc"), "expected labels 0..9"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x02ab"), "n images of 28x28 and n labels"),
    ],
)
def test_damaged_labels_are_refused_in_one_line(folder, content, message):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(train_fashion.InputError, match=message) as error:
        train_fashion.load_dataset(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--sparsity", "1"], ["--sparsity", "nan"], ["--epochs", "0"], ["--width", "2"]],
)
def test_bad_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        train_fashion.parse_arguments(arguments + ["--output", "x"] * bool(arguments))
    assert exit_info.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_relative_paths_start_where_the_user_is(monkeypatch):
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", "/home/me")
    options = train_fashion.parse_arguments(["--output", "models"])
    assert str(options.output) == "/home/me/models"
    assert options.data == train_fashion.DEFAULT_DATA


@pytest.mark.parametrize("steps", [50, 60, 99, 100, 469, 3752])
def test_pruning_ends_in_time_where_masks_are_updated(steps):
    end = train_fashion.pruning_end_step(steps)
    assert end % train_fashion.PRUNING_FREQUENCY == 0
    assert 0 < end <= steps


@pytest.mark.parametrize("zeros, complete", [(90, True), (97, True), (80, False)])
def test_lost_zeros_are_noticed(zeros, complete):
    layers = [
        train_fashion.LayerReport("CONV_2D", (4, 3, 3, 1), 36, 0),
        train_fashion.LayerReport("FULLY_CONNECTED", (10, 10), 100, zeros),
    ]
    if complete:
        train_fashion.check_pruned(layers, 0.9)
    else:
        with pytest.raises(ValueError, match="80 zeros, at least 90"):
            train_fashion.check_pruned(layers, 0.9)


def test_nothing_is_left_behind_when_measuring_fails(tmp_path):
    def fail(path):
        assert path.read_bytes() == b"model"
        raise RuntimeError

    target = tmp_path / "model.tflite"
    with pytest.raises(RuntimeError):
        train_fashion.write_measured(b"model", target, fail)
    assert list(tmp_path.iterdir()) == []
    assert train_fashion.write_measured(b"model", target, lambda path: 0.9) == 0.9
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]

"""Tests the TensorFlow Datasets code paths with TFDS's own mock data, and with unreachable hosts."""

import os
import time

import numpy as np
import pytest

from training import features, stack
from training.data import images, load, speech_commands, tfds_source
from training.data.keywords import LABELS
from training.errors import InputError


@pytest.fixture(autouse=True, scope="module")
def tensorflow():
    stack.prepare(1, 1)


@pytest.fixture
def reachable(monkeypatch):
    """Treats mock data as reachable: there is no download to mock."""
    monkeypatch.setattr(tfds_source, "_check_reachable", lambda *arguments: None)


def clips(split):
    """A few clips of every class with different lengths, as TFDS would return them."""
    import tensorflow as tf

    rng = np.random.default_rng(len(split))
    labels = [label for label in range(12) for _ in range(3)]
    lengths = [16000, 12000, 17000] * 12
    audio = [rng.integers(-3000, 3000, length).astype(np.int64) for length in lengths]
    return tf.data.Dataset.from_generator(
        lambda: ({"audio": clip, "label": label} for clip, label in zip(audio, labels, strict=True)),
        output_signature={"audio": tf.TensorSpec([None], tf.int64), "label": tf.TensorSpec([], tf.int64)},
    )


def test_speech_commands_becomes_features(tmp_path, reachable):
    import tensorflow_datasets as tfds

    def dataset(builder, split, **kwargs):
        assert builder.info.features["label"].names[:10] == list(LABELS[:10])
        return clips(split)

    with tfds.testing.mock_data(as_dataset_fn=dataset):
        data, _ = load.keywords("speech_commands", tmp_path, lambda name: iter)
    assert data.training_energies.shape == (33, features.FRAMES, features.BANDS)  # without silence
    assert data.noise_energies.shape == (3, features.FRAMES, features.BANDS)
    assert data.test[0].shape == (36, 49, 10, 1)
    assert np.bincount(data.test[1]).tolist() == [3] * 12
    assert data.second_test is None
    assert np.isfinite(data.test[0]).all()
    # The cache now has it; TFDS is no longer needed.
    again, _ = load.keywords("speech_commands", tmp_path, lambda name: iter)
    np.testing.assert_array_equal(again.test[0], data.test[0])


def test_unknown_words_are_no_majority():
    labels = np.array([0, 1, 2, 3] * 10 + [LABELS.index("unknown")] * 500 + [LABELS.index("silence")] * 7)
    kept = labels[speech_commands._balanced(labels)]
    assert np.sum(kept == LABELS.index("unknown")) <= 2 * 40 // 10
    assert np.sum(kept < 10) == 40
    assert LABELS.index("silence") not in kept


def test_cifar10_becomes_images(tmp_path, reachable):
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(num_examples=20):
        data, _ = load.image_set("cifar10", tmp_path, upscale=True)
    assert data.training[0].shape == (16, 32, 32, 3)
    assert data.validation[0].shape == (4, 32, 32, 3)
    assert data.mirror
    assert images.normalised(data.test[0], data.scale).shape == (20, 96, 96, 3)
    # The cache now has it; evaluate works without TFDS.
    again, _ = load.image_set("cifar10", tmp_path, upscale=True)
    np.testing.assert_array_equal(again.test[0], data.test[0])


@pytest.mark.parametrize("name", ["cifar10", "speech_commands"])
def test_unreachable_data_are_found_out_at_once(tmp_path, name, monkeypatch):
    for variable in list(os.environ):
        if variable.lower().endswith("_proxy"):
            monkeypatch.delenv(variable)
    monkeypatch.setitem(tfds_source._URLS, name, ["https://data.invalid/archive.tar.gz"])
    began = time.monotonic()
    with pytest.raises(InputError, match=f"{name}: not downloaded yet, and data.invalid cannot be reached") as error:
        list(tfds_source.samples(name, "train", tmp_path))
    assert time.monotonic() - began < 20
    assert "\n" not in str(error.value)

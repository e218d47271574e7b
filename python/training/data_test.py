"""Tests data sets, features and augmentation without TensorFlow."""

import gzip
import shutil
import struct

import numpy as np
import pytest

from training import features
from training.data import cache, images, keywords, load, synthetic_speech
from training.data.keywords import LABELS
from training.errors import InputError

needs_speech = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="espeak-ng or flite is not installed"
)
SIZE = synthetic_speech.Size(variants=1, accents=1, keyword_takes=1, other_words=2, noises=12, flite_takes=1)

# ----------------------------------------------------------------------------------------- features


def test_second_becomes_49_by_10():
    tone = np.sin(2 * np.pi * 1000 * np.arange(features.CLIP) / features.SAMPLE_RATE).astype(np.float32)
    energies = features.mel_energies(tone[np.newaxis])
    assert energies.shape == (1, 49, 40)
    edges = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(4000 / 700), 42)
    centre = np.argmin(np.abs(edges[1:-1] - 1127 * np.log1p(1000 / 700)))
    assert np.all(energies[0].argmax(axis=1) == centre)
    assert features.mfcc(energies).shape == (1, 49, 10, 1)


def test_mfcc_are_those_of_the_formula():
    energies = np.random.default_rng(1).uniform(0.1, 5, (1, 49, 40)).astype(np.float32)
    logarithms = np.log(energies[0, 7].astype(np.float64))
    for number in range(10):
        scale = np.sqrt((1 if number == 0 else 2) / 40)
        value = scale * np.sum(logarithms * np.cos(np.pi / 40 * (np.arange(40) + 0.5) * number))
        value = (value - features.MEAN[number]) / features.DEVIATION[number]
        assert features.mfcc(energies)[0, 7, number, 0] == pytest.approx(value, abs=1e-4)


def test_energies_of_sounds_add_up():
    rng = np.random.default_rng(2)
    first, second = rng.standard_normal((2, 40, features.CLIP)).astype(np.float32) * 0.1
    apart = features.mel_energies(first).mean(axis=(0, 1)) + features.mel_energies(second).mean(axis=(0, 1))
    np.testing.assert_allclose(features.mel_energies(first + second).mean(axis=(0, 1)), apart, rtol=0.1)


def test_unwarped_bands_are_where_they_are():
    np.testing.assert_allclose(features.band_positions(np.array([1.0]))[0], np.arange(40), atol=1e-9)
    assert np.all(features.band_positions(np.array([1.1]))[0] > np.arange(40))


# ----------------------------------------------------------------------------------- synthetic speech


def test_no_voice_is_in_two_sets():
    training, validation, test = (
        set(names)
        for names in (
            synthetic_speech.TRAINING_VARIANTS,
            synthetic_speech.VALIDATION_VARIANTS,
            synthetic_speech.TEST_VARIANTS,
        )
    )
    assert not training & validation and not training & test and not validation & test
    assert training | validation | test < set(synthetic_speech.VARIANTS)
    rng = np.random.default_rng(0)
    size = synthetic_speech.Size()

    def voices(utterances):
        return {utterance.command[2] for utterance in utterances}

    trained = voices(synthetic_speech._training_utterances(rng, size))
    tested = voices(synthetic_speech._test_utterances(rng, synthetic_speech.TEST_VARIANTS, size))
    assert len(trained) == len(training) * 8 and len(tested) == len(test) * 8
    assert not trained & tested


@needs_speech
def test_set_is_made_once_and_the_same_each_time(tmp_path, monkeypatch):
    data, sha256 = load.keywords("synthetic_speech", tmp_path / "a", lambda name: iter, SIZE)
    assert data.training_energies.shape == (12, 49, 40)
    assert data.test[0].shape == (12, 49, 10, 1)
    assert sorted(data.test[1]) == list(range(12))
    assert data.second_test[0].shape == (48, 49, 10, 1)
    assert np.isfinite(data.test[0]).all()
    assert load.keywords("synthetic_speech", tmp_path / "b", lambda name: iter, SIZE)[1] == sha256
    monkeypatch.setattr(synthetic_speech, "build", None)
    again, _ = load.keywords("synthetic_speech", tmp_path / "a", lambda name: iter, SIZE)
    np.testing.assert_array_equal(again.test[0], data.test[0])


def test_missing_synthesiser_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(InputError, match="espeak-ng and flite not found; apt-get install espeak-ng flite"):
        load.keywords("synthetic_speech", tmp_path, lambda name: iter)


def test_resampling_keeps_a_tone():
    time = np.arange(22050) / 22050
    samples = synthetic_speech._resample(np.sin(2 * np.pi * 440 * time).astype(np.float32), 22050)
    assert len(samples) == 16000
    np.testing.assert_allclose(samples, np.sin(2 * np.pi * 440 * np.arange(16000) / 16000), atol=1e-3)


# --------------------------------------------------------------------------------------------- cache


def test_damaged_cache_is_made_anew(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return {"x": np.arange(5)}

    for _ in range(2):
        arrays, sha256 = cache.cached(tmp_path, "set", "1", make)
        assert arrays["x"].tolist() == [0, 1, 2, 3, 4]
    assert len(calls) == 1
    [file] = tmp_path.glob("*.npz")
    content = bytearray(file.read_bytes())
    content[-40] ^= 1
    file.write_bytes(content)
    assert cache.cached(tmp_path, "set", "1", make)[1] == sha256
    assert len(calls) == 2
    cache.cached(tmp_path, "set", "2", make)
    assert len(calls) == 3


# -------------------------------------------------------------------------------------- augmentation


@pytest.fixture
def spoken():
    rng = np.random.default_rng(3)
    energies = rng.uniform(1, 2, (24, 49, 40)).astype(np.float32)
    pair = (np.zeros((1, 49, 10, 1), np.float32), np.zeros(1, np.int64))
    return keywords.KeywordData(energies, np.arange(24) % 12, energies[:5], pair, pair, None)


def test_epoch_depends_on_its_generator_alone(spoken):
    first, labels = keywords.augmented_epoch(spoken, np.random.default_rng(7))
    again, _ = keywords.augmented_epoch(spoken, np.random.default_rng(7))
    other, _ = keywords.augmented_epoch(spoken, np.random.default_rng(8))
    assert first.shape == (keywords.samples_per_epoch(spoken), 49, 10, 1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.isfinite(first).all()
    assert np.sum(labels == LABELS.index("silence")) == 2 + 2


def test_shift_moves_frames_and_leaves_silence():
    energies = np.arange(1, 50, dtype=np.float32).reshape(1, 49, 1).repeat(40, axis=2)
    moved = keywords._shifted(energies.repeat(2, axis=0), np.array([3, -2]))
    assert moved[0, :5, 0].tolist() == [0, 0, 0, 1, 2]
    assert moved[1, -4:, 0].tolist() == [48, 49, 0, 0]


def test_warp_moves_a_formant_up():
    energies = np.zeros((2, 49, 40), np.float32)
    energies[:, :, 20] = 1
    warped = keywords._warped(energies, np.array([1.0, 1.2]))
    np.testing.assert_allclose(warped[0], energies[0], atol=1e-5)
    assert warped[1, 0].argmax() > 20


@pytest.mark.parametrize("mirror", [False, True])
def test_images_are_shifted_and_mirrored(mirror):
    pixels = np.zeros((64, 32, 32, 1), np.uint8)
    pixels[:, 10, 4] = 255
    pair = (pixels, np.arange(64) % 10)
    data = images.ImageData(pair, pair, pair, scale=1, shift=2, mirror=mirror)
    moved, labels = images.augmented_epoch(data, np.random.default_rng(1))
    assert moved.shape == (64, 32, 32, 1) and moved.min() == -1
    places = [tuple(int(place[0]) for place in np.nonzero(image[..., 0] > 0)) for image in moved]
    assert {row for row, _ in places} == {8, 9, 10, 11, 12}
    columns = {column for _, column in places}
    assert columns == set(range(2, 7)) | (set(range(25, 30)) if mirror else set())
    assert sorted(labels) == sorted(pair[1])


# ------------------------------------------------------------------------------------- Fashion-MNIST


def write_idx(path, values):
    header = b"\x00\x00\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def folder(tmp_path):
    for prefix, number in (("train", 10), ("t10k", 2)):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", np.full((number, 28, 28), 255, np.uint8))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", np.arange(number))
    return tmp_path


def test_fashion_mnist_is_padded_and_split(folder):
    data, sha256 = images.fashion_mnist(folder, upscale=False)
    assert data.training[0].shape == (8, 32, 32, 1) and data.validation[1].tolist() == [8, 9]
    assert data.test[0][0, :, 16, 0].tolist() == [0, 0, *[255] * 28, 0, 0]
    values = images.normalised(data.test[0], data.scale)
    assert values.min() == -1 and values.max() == 1 and values.dtype == np.float32
    assert images.fashion_mnist(folder, upscale=True)[1] == sha256


@pytest.mark.parametrize(
    "content, message",
    [
        (b"no gzip", "cannot be read"),
        (gzip.compress(bytes(200))[:-12], "cannot be read"),
        (gzip.compress(b"\x00\x00\x0d\x01\x00\x00\x00\x00"), "not an IDX file"),
        (gzip.compress(b"\x00\x00\x08\x03\x00"), "header cut short"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x09abc"), "promises 9 bytes, file has 3"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x0a" + bytes([77] * 10)), "expected labels 0..9"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x02ab"), "n images of 28x28 and n labels"),
    ],
)
def test_damaged_labels_are_refused_in_one_line(folder, content, message):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        images.fashion_mnist(folder, upscale=False)
    assert "\n" not in str(error.value)

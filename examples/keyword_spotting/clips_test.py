"""Tests the example without TFLM's sources: its clips, and the compressed model in the stock interpreter."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dcsr.runtime import Interpreter

MODEL = Path("models/kws/ds_cnn_s_90.tflite")
COMPRESSED = Path("examples/keyword_spotting/cortex_m55/keyword_model.tflite")
CLIPS = Path("models/kws/keyword_clips.npz")
SOURCE = Path("examples/keyword_spotting/keyword_clips.cc")


@pytest.fixture(name="clips", scope="module")
def _clips() -> dict[str, np.ndarray]:
    with np.load(CLIPS) as data:
        return dict(data)


def scores(model: Path, clips: np.ndarray) -> np.ndarray:
    interpreter = Interpreter.from_file(model)
    found = []
    for clip in clips:
        interpreter.set_input(clip[np.newaxis], 0)
        interpreter.invoke()
        found.append(interpreter.get_output(0)[0])
    return np.array(found)


def test_compressed_model_gives_the_same_scores(clips):
    np.testing.assert_array_equal(scores(COMPRESSED, clips["clips"]), scores(MODEL, clips["clips"]))
    assert COMPRESSED.stat().st_size < MODEL.stat().st_size


def test_most_clips_are_recognised(clips):
    recognised = scores(COMPRESSED, clips["clips"]).argmax(axis=1)
    assert np.mean(recognised == clips["spoken"]) >= 0.75


def test_firmware_has_the_clips_and_the_scores(clips):
    text = SOURCE.read_text()
    braces = re.findall(r"\{\n([-\d,\s]*)\}", text)
    numbers = [[int(number) for number in re.findall(r"-?\d+", block)] for block in braces]
    expected = scores(MODEL, clips["clips"])
    assert len(numbers) == 2 * len(expected)
    np.testing.assert_array_equal(np.array(numbers[0::2]), clips["clips"].reshape(len(expected), -1))
    np.testing.assert_array_equal(np.array(numbers[1::2]), expected)

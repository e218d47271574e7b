"""A keyword data set that can be generated anywhere: voices of espeak-ng and flite in noise.

The classes are those of Speech Commands (data/keywords.py). docs/training.md describes and motivates the clips.

Voices: an espeak-ng voice is a variant (a timbre such as "klatt2") that speaks an accent (such as "en-gb-scotland").
The variants of validation and test are never used in training, with any accent. The second test set is spoken by
flite, another synthesiser.
"""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import subprocess
import wave
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from training import features
from training.data.keywords import KEYWORDS, LABELS, SILENCE, UNKNOWN, KeywordData
from training.errors import InputError

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")

# The human-sounding variants of espeak-ng 1.51: no robots, no whispers.
VARIANTS = (
    "Alex Alicia Andrea Andy Annie AnxiousAndy Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike"
    " Nguyen RicishayMax RicishayMax2 RicishayMax3 adam anika announcer antonio aunty belinda benjamin boris caleb"
    " david ed edward edward2 f1 f2 f3 f4 f5 grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt"
    " klatt2 klatt3 klatt4 klatt5 klatt6 linda m1 m2 m3 m4 m5 m6 m7 m8 marcelo max michel miguel norbert pablo paul"
    " pedro quincy rob robert sandro shelby steph steph2 steph3 travis victor zac"
).split()

# Held out from training, in all accents.
VALIDATION_VARIANTS = ("Annie", "Hugo", "edward", "m4", "pablo", "shelby")
TEST_VARIANTS = (
    "Alicia", "Denis", "Mike", "RicishayMax", "benjamin", "f3", "klatt3", "linda", "m7", "norbert", "steph", "zac",
)  # fmt: skip
# Other versions of held-out voices. They are not used in training either.
_RELATIVES = ("RicishayMax2", "RicishayMax3", "edward2", "steph2", "steph3")
TRAINING_VARIANTS = tuple(name for name in VARIANTS if name not in VALIDATION_VARIANTS + TEST_VARIANTS + _RELATIVES)

FLITE_VOICES = ("kal16", "awb", "rms", "slt")

# The other words of Speech Commands.
OTHER_WORDS = (
    "backward bed bird cat dog eight five follow forward four happy house learn marvin nine one seven sheila six three"
    " tree two visual wow zero"
).split()

SEED = 20_211_112  # of the data set; independent of the seed of a training
RECIPE = 1  # increased whenever a change below changes the clips


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a data set. Tests use small ones."""

    variants: int | None = None  # per split; None for all
    accents: int = len(ACCENTS)
    keyword_takes: int = 2  # per keyword and training voice
    other_words: int = 4  # per training voice
    noises: int = 1200  # one-second clips of noise to train with
    flite_takes: int = 6


@dataclasses.dataclass(frozen=True)
class _Utterance:
    """One call of a synthesiser."""

    word: str
    command: tuple[str, ...]


def check_programs() -> None:
    """Raises InputError if a synthesiser is missing."""
    missing = [program for program in ("espeak-ng", "flite") if not shutil.which(program)]
    if missing:
        raise InputError(f"synthetic_speech: {' and '.join(missing)} not found; apt-get install espeak-ng flite")


def version(size: Size) -> str:
    """Version of all that determines the clips; raises InputError if a synthesiser is missing."""
    check_programs()
    espeak = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"[0-9][0-9.]*", espeak)
    amount = "" if size == Size() else " small " + " ".join(str(value) for value in dataclasses.astuple(size))
    return f"recipe {RECIPE} espeak-ng {number[0] if number else 'unknown'}{amount}"


# ------------------------------------------------------------------------------------------- speech


def _espeak(rng: np.random.Generator, variant: str, accent: str, word: str) -> _Utterance:
    speed, pitch = rng.integers(110, 200), rng.integers(25, 76)
    voice = f"{accent}+{variant}"
    return _Utterance(word, ("espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word))


def _flite(rng: np.random.Generator, voice: str, word: str) -> _Utterance:
    stretch, pitch = rng.uniform(0.8, 1.4), {"slt": 170.0}.get(voice, 110.0) * rng.uniform(0.85, 1.2)
    settings = ("--setf", f"duration_stretch={stretch:.2f}", "--setf", f"int_f0_target_mean={pitch:.0f}")
    return _Utterance(word, ("flite", "-voice", voice, *settings, "-t", word, "-o", "/dev/stdout"))


def _read_wave(content: bytes) -> tuple[np.ndarray, int]:
    """Returns samples, float32 with full scale 1, and their rate. Ignores the header's sizes, wrong in pipes."""
    with wave.open(io.BytesIO(content)) as file:
        rate = file.getframerate()
    samples = np.frombuffer(content[44:][: (len(content) - 44) // 2 * 2], "<i2")
    return samples.astype(np.float32) / 32768, rate


def _resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resamples to 16 kHz by truncating the spectrum."""
    if rate == features.SAMPLE_RATE:
        return samples
    divisor = np.gcd(rate, features.SAMPLE_RATE)
    step, wanted = rate // divisor, features.SAMPLE_RATE // divisor
    blocks = -(-len(samples) // step)
    spectrum = np.fft.rfft(np.pad(samples, (0, blocks * step - len(samples))))
    result = np.fft.irfft(spectrum[: blocks * wanted // 2 + 1], blocks * wanted)
    return (result * (wanted / step)).astype(np.float32)


def _trim(samples: np.ndarray) -> np.ndarray:
    """Removes the silence at both ends; cuts to one second."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max(initial=1e-6))
    return samples[loud[0] : loud[-1] + 1][: features.CLIP] if loud.size else samples[:0]


def _speak(utterance: _Utterance) -> np.ndarray:
    """Synthesises a word: float32, at most CLIP samples, unit root mean square."""
    done = subprocess.run(utterance.command, capture_output=True, check=False)
    if done.returncode or len(done.stdout) <= 44:
        what = " ".join(utterance.command)
        raise InputError(f"synthetic_speech: `{what}` failed: {done.stderr.decode(errors='replace').strip()}")
    samples = _trim(_resample(*_read_wave(done.stdout)))
    if not samples.size:
        raise InputError(f"synthetic_speech: `{' '.join(utterance.command)}` was silent")
    return samples / np.sqrt(np.mean(samples**2))


def _speak_all(utterances: Sequence[_Utterance], track: Callable[[Sequence[Any]], Iterable[Any]]) -> list[np.ndarray]:
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(_speak, utterance) for utterance in utterances]
        return [future.result() for future in track(futures)]


def _place(rng: np.random.Generator, word: np.ndarray) -> np.ndarray:
    """Places the word within a second, float32 [CLIP]."""
    clip = np.zeros(features.CLIP, np.float32)
    # Near the middle: recordings are cut around the word, and a detector sees every position in turn.
    room = features.CLIP - len(word)
    start = int(round(room * rng.uniform(0.25, 0.75)))
    clip[start : start + len(word)] = word
    return clip


# -------------------------------------------------------------------------------------------- noise


def _coloured(rng: np.random.Generator, exponent: float) -> np.ndarray:
    """Noise whose power is proportional to 1 / frequency^exponent: 0 is white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(features.CLIP))
    spectrum *= np.maximum(np.arange(len(spectrum)), 20) ** (-exponent / 2)
    return np.fft.irfft(spectrum, features.CLIP)


def _machine(rng: np.random.Generator) -> np.ndarray:
    """Hum or a motor: a few harmonics with slowly varying loudness, over pink noise."""
    time = np.arange(features.CLIP) / features.SAMPLE_RATE
    base, swell = rng.uniform(45, 400), 1 + 0.5 * np.sin(2 * np.pi * (rng.uniform(0.3, 8) * time + rng.uniform()))
    tones = sum(
        rng.uniform(0.2, 1) / number * np.sin(2 * np.pi * (base * number * time + rng.uniform()))
        for number in range(1, rng.integers(3, 9))
    )
    noise = _coloured(rng, 1)
    return tones * swell + noise / noise.std() * rng.uniform(0.1, 1)


def _babble(rng: np.random.Generator, words: Sequence[np.ndarray]) -> np.ndarray:
    """Five to nine people talking at once."""
    mix = np.zeros(features.CLIP)
    for _ in range(rng.integers(5, 10)):
        voice = np.concatenate([words[index] for index in rng.integers(len(words), size=4)])
        mix += rng.uniform(0.5, 1) * np.roll(np.resize(voice, features.CLIP), rng.integers(features.CLIP))
    return mix


def _noise(rng: np.random.Generator, words: Sequence[np.ndarray]) -> np.ndarray:
    """One second of a random kind of noise, float32 [CLIP], unit root mean square."""
    kind = rng.integers(6)
    if kind < 3:
        noise = _coloured(rng, (0.0, 1.0, 2.0)[kind])
    elif kind == 3:
        noise = _machine(rng)
    elif kind == 4:
        noise = _babble(rng, words)
    else:  # a room: coloured noise and distant voices
        noise = _coloured(rng, rng.uniform(0.5, 2))
        voices = _babble(rng, words)
        noise = noise / noise.std() + voices / voices.std() * rng.uniform(0.1, 0.7)
    return (noise / noise.std()).astype(np.float32)


def _decibels(value: float) -> float:
    return 10 ** (value / 20)


def _level(rng: np.random.Generator) -> float:
    """Root mean square of a word: -32 to -14 dB of full scale."""
    return _decibels(rng.uniform(-32, -14))


def _in_noise(rng: np.random.Generator, word: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """A clip of a word, 5 to 30 dB louder than the noise. The word has unit level on input."""
    ratio = _decibels(rng.uniform(5, 30))
    return (_level(rng) * (_place(rng, word) + _noise(rng, others) / ratio)).clip(-1, 1)


def _silence(rng: np.random.Generator, others: Sequence[np.ndarray]) -> np.ndarray:
    """A clip of noise only."""
    return (_decibels(rng.uniform(-60, -20)) * _noise(rng, others)).clip(-1, 1)


# ---------------------------------------------------------------------------------------------- set


def _voices(variants: Sequence[str], size: Size) -> list[tuple[str, str]]:
    return [(variant, accent) for variant in variants[: size.variants] for accent in ACCENTS[: size.accents]]


def _label(word: str) -> int:
    return LABELS.index(word if word in KEYWORDS else UNKNOWN)


def _training_utterances(rng: np.random.Generator, size: Size) -> list[_Utterance]:
    utterances = []
    for variant, accent in _voices(TRAINING_VARIANTS, size):
        words = [*KEYWORDS] * size.keyword_takes + [*rng.choice(OTHER_WORDS, size.other_words, replace=False)]
        utterances += [_espeak(rng, variant, accent, str(word)) for word in words]
    return utterances


def _test_utterances(rng: np.random.Generator, variants: Sequence[str], size: Size) -> list[_Utterance]:
    """Every keyword and one other word, by each voice."""
    utterances = []
    for variant, accent in _voices(variants, size):
        words = [*KEYWORDS, str(rng.choice(OTHER_WORDS))]
        utterances += [_espeak(rng, variant, accent, word) for word in words]
    return utterances


def _flite_utterances(rng: np.random.Generator, size: Size) -> list[_Utterance]:
    utterances = []
    for voice in FLITE_VOICES:
        for _ in range(size.flite_takes):
            utterances += [_flite(rng, voice, word) for word in (*KEYWORDS, str(rng.choice(OTHER_WORDS)))]
    return utterances


def _test_set(
    rng: np.random.Generator, utterances: Sequence[_Utterance], words: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of words in noise, and as much silence as one keyword has."""
    audio = [_in_noise(rng, word, words) for word in words]
    labels = [_label(utterance.word) for utterance in utterances]
    silences = len(utterances) // (len(KEYWORDS) + 1)
    audio += [_silence(rng, words) for _ in range(silences)]
    labels += [LABELS.index(SILENCE)] * silences
    return features.mfcc(features.mel_energies(np.stack(audio))), np.array(labels, np.int64)


def build(size: Size, track: Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]) -> KeywordData:
    """Generates the data set. The full set takes about three minutes.

    Args:
      size: how much to generate.
      track: given a description, wraps a sequence to show progress.

    Raises:
      InputError: if a synthesiser is missing or fails.
    """
    check_programs()
    rng = np.random.default_rng(SEED)
    utterances = {
        "training": _training_utterances(rng, size),
        "validation": _test_utterances(rng, VALIDATION_VARIANTS, size),
        "test": _test_utterances(rng, TEST_VARIANTS, size),
        "flite": _flite_utterances(rng, size),
    }
    words = {name: _speak_all(spoken, track(f"speaking: {name}")) for name, spoken in utterances.items()}
    # Babble uses words of the same set, so that no voice occurs in two sets.
    noises = np.stack([_noise(rng, words["training"]) for _ in range(size.noises)])
    clips = np.stack([_place(rng, word) for word in words["training"]])
    return KeywordData(
        training_energies=features.mel_energies(clips),
        training_labels=np.array([_label(utterance.word) for utterance in utterances["training"]], np.int64),
        noise_energies=features.mel_energies(noises),
        validation=_test_set(rng, utterances["validation"], words["validation"]),
        test=_test_set(rng, utterances["test"], words["test"]),
        second_test=_test_set(rng, utterances["flite"], words["flite"]),
    )

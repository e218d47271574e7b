"""Keyword data sets, and the augmentation of training data."""

from __future__ import annotations

import dataclasses

import numpy as np

from training import features

KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
SILENCE, UNKNOWN = "silence", "unknown"
LABELS = (*KEYWORDS, SILENCE, UNKNOWN)  # in the order of TensorFlow Datasets

_SHIFT = 4  # frames, 20 ms each
_WARP = (0.88, 1.36)  # of frequency: most synthetic voices are male; children's formants are a third higher
_TILT = 1.0  # of log energy at the lowest and the highest band; models microphones and rooms
_MASKED_FRAMES = 5
_MASKED_BANDS = 4


@dataclasses.dataclass(frozen=True)
class KeywordData:
    """A data set in memory.

    training_energies, training_labels: speech as mel energies float32 [n, FRAMES, BANDS], and labels int64 [n].
    noise_energies: noise float32 [m, FRAMES, BANDS], to mix with speech and to use as silence.
    validation, test, second_test: MFCC float32 [n, FRAMES, COEFFICIENTS, 1] and labels int64 [n]; second_test may be
      None.
    """

    training_energies: np.ndarray
    training_labels: np.ndarray
    noise_energies: np.ndarray
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    second_test: tuple[np.ndarray, np.ndarray] | None


def _silences(data: KeywordData) -> int:
    """Silence clips per epoch: about as many as one keyword has."""
    return len(data.training_labels) // len(LABELS)


def samples_per_epoch(data: KeywordData) -> int:
    """Number of samples that `augmented_epoch` returns."""
    return len(data.training_labels) + _silences(data)


def _shifted(energies: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Shifts each clip by its number of frames. Vacated frames are zero."""
    frames = np.arange(features.FRAMES) - shifts[:, np.newaxis]
    inside = (frames >= 0) & (frames < features.FRAMES)
    moved = np.take_along_axis(energies, frames.clip(0, features.FRAMES - 1)[..., np.newaxis], axis=1)
    return moved * inside[..., np.newaxis]


def _warped(energies: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Scales the formants of each clip by `factors` (vocal tract length perturbation)."""
    positions = features.band_positions(1 / factors)
    lower = positions.astype(int).clip(0, features.BANDS - 2)
    share = (positions - lower).clip(0, 1).astype(np.float32)[:, np.newaxis]
    lower = lower[:, np.newaxis]
    return (1 - share) * np.take_along_axis(energies, lower, axis=2) + share * np.take_along_axis(
        energies, lower + 1, axis=2
    )


def _mask(rng: np.random.Generator, logarithms: np.ndarray, axis: int, most: int) -> None:
    """SpecAugment: replaces a stretch of up to `most` frames or bands of each clip by the clip's mean, in place."""
    size = logarithms.shape[axis]
    width = rng.integers(0, most + 1, len(logarithms))[:, np.newaxis]
    start = (rng.random(len(logarithms))[:, np.newaxis] * (size - width + 1)).astype(int)
    places = np.arange(size)
    masked = (places >= start) & (places < start + width)
    masked = masked[:, :, np.newaxis] if axis == 1 else masked[:, np.newaxis, :]
    np.copyto(logarithms, logarithms.mean(axis=(1, 2), keepdims=True), where=masked)


def augmented_epoch(data: KeywordData, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws one epoch in random order: every training clip, shifted, warped, mixed with noise and masked; and silence.

    The energies of speech and noise are added band by band. On average this equals the energy of the mixed sounds.

    Returns:
      MFCC float32 [n, FRAMES, COEFFICIENTS, 1] and labels int64 [n].
    """
    count = len(data.training_labels)
    silences = _silences(data)
    total = count + silences
    spoken = _shifted(data.training_energies, rng.integers(-_SHIFT, _SHIFT + 1, count))
    spoken = _warped(spoken, np.exp(rng.uniform(*np.log(_WARP), count)))
    noise = data.noise_energies[rng.integers(len(data.noise_energies), size=total)]
    # Rotate the frames, so that the noise starts at a random point.
    noise = np.take_along_axis(
        noise,
        ((np.arange(features.FRAMES) + rng.integers(features.FRAMES, size=(total, 1))) % features.FRAMES)[
            ..., np.newaxis
        ],
        axis=1,
    )
    energies = np.empty((total, features.FRAMES, features.BANDS), np.float32)
    level = 10 ** rng.uniform(-3.2, -1.4, (count, 1, 1))  # as power: -32 to -14 dB
    ratio = 10 ** -rng.uniform(0.5, 3, (count, 1, 1))  # 5 to 30 dB
    energies[:count] = level * (spoken + ratio * noise[:count])
    energies[count:] = 10 ** rng.uniform(-6, -2, (silences, 1, 1)) * noise[count:]
    logarithms = np.log(np.maximum(energies, features.ENERGY_FLOOR))
    logarithms += rng.uniform(-_TILT, _TILT, (total, 1, 1)) * np.linspace(-1, 1, features.BANDS, dtype=np.float32)
    _mask(rng, logarithms, 1, _MASKED_FRAMES)
    _mask(rng, logarithms, 2, _MASKED_BANDS)
    labels = np.concatenate([data.training_labels, np.full(silences, LABELS.index(SILENCE))])
    order = rng.permutation(total)
    return features.mfcc_of_logarithms(logarithms[order]), labels[order]

"""Mel energies and MFCC of one-second clips, in numpy only: the input features of a keyword spotter.

The parameters are those of "Hello Edge" (arXiv 1711.07128): 16 kHz, 40 ms windows every 20 ms and 10 coefficients.
One second becomes 49 x 10 values. docs/training.md has the formulas.
"""

from __future__ import annotations

import numpy as np

SAMPLE_RATE = 16_000
CLIP = SAMPLE_RATE  # samples per clip: one second
WINDOW = 640
HOP = 320
FRAMES = (CLIP - WINDOW) // HOP + 1  # 49
FFT = 1024
BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 20.0, 4000.0
COEFFICIENTS = 10

# Lower bound of energies: about a tenth of the energy that quantisation noise of 12-bit audio has in a band.
ENERGY_FLOOR = 1e-5

# Normalise each coefficient to about zero mean and unit deviation over keywords in noise. They are part of the
# definition of the features: firmware must use the same numbers.
MEAN = np.array([-9.5, 5, 1, -0.5, 0, 0, 0, 0, 0, 0], np.float32)
DEVIATION = np.array([16, 5, 3, 3.2, 2.5, 2.2, 2, 1.8, 1.6, 1.6], np.float32)


def _mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def _hertz(mel: np.ndarray) -> np.ndarray:
    return 700.0 * np.expm1(mel / 1127.0)


def band_positions(factors: np.ndarray) -> np.ndarray:
    """Positions, in bands, of the band centres scaled in frequency by `factors`: [n] to [n, BANDS]."""
    edges = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2)
    scaled = _mel(_hertz(edges[1:-1]) * factors[:, np.newaxis])
    return (scaled - edges[1]) / (edges[1] - edges[0])


def _filters() -> np.ndarray:
    """Returns triangular filters evenly spaced in mel, float32 [FFT / 2 + 1, BANDS]."""
    edges = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2)
    bins = _mel(np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT)[:, np.newaxis]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _cosines() -> np.ndarray:
    """Returns the first rows of the orthonormal DCT-II, float32 [BANDS, COEFFICIENTS]."""
    bands, numbers = np.arange(BANDS)[:, np.newaxis], np.arange(COEFFICIENTS)
    cosines = np.cos(np.pi / BANDS * (bands + 0.5) * numbers) * np.sqrt(2 / BANDS)
    cosines[:, 0] /= np.sqrt(2)
    return cosines.astype(np.float32)


_WINDOW = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
_FILTERS = _filters()
_COSINES = _cosines()


def mel_energies(audio: np.ndarray) -> np.ndarray:
    """Computes energies in mel bands over time.

    Args:
      audio: float32 [clips, CLIP], full scale is 1.

    Returns:
      float32 [clips, FRAMES, BANDS]. When sounds are added, their energies add up on average.
    """
    energies = np.empty((len(audio), FRAMES, BANDS), np.float32)
    for index, clip in enumerate(audio):
        frames = np.lib.stride_tricks.sliding_window_view(clip, WINDOW)[::HOP] * _WINDOW
        spectrum = np.fft.rfft(frames, FFT)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        energies[index] = power @ _FILTERS
    return energies


def mfcc_of_logarithms(logarithms: np.ndarray) -> np.ndarray:
    """Normalised MFCC of log mel energies: [clips, FRAMES, BANDS] to [clips, FRAMES, COEFFICIENTS, 1]."""
    return ((logarithms @ _COSINES - MEAN) / DEVIATION)[..., np.newaxis].astype(np.float32)


def mfcc(energies: np.ndarray) -> np.ndarray:
    """Normalised MFCC of mel energies: float32 [clips, FRAMES, BANDS] to [clips, FRAMES, COEFFICIENTS, 1]."""
    return mfcc_of_logarithms(np.log(np.maximum(energies, ENERGY_FLOOR)))

"""Image data sets, and the augmentation of training data."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from training.data import cache, tfds_source
from training.errors import InputError

CLASSES = 10
CHANNELS = {"cifar10": 3, "fashion_mnist": 1}
SIDE = 32
UPSCALED = 96
VALIDATION = 2000  # the last images of the training set
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_LABELS = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_INSTALL = "apt-get install dataset-fashion-mnist"


@dataclasses.dataclass(frozen=True)
class ImageData:
    """A data set in memory: uint8 [n, SIDE, SIDE, channels] and labels int64 [n].

    scale: upscaling in height and width by pixel repetition, 1 or 3; applied before the network.
    shift: largest shift of an image by augmentation, in pixels.
    mirror: whether augmentation mirrors images.
    """

    training: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    scale: int
    shift: int
    mirror: bool


def normalised(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Converts pixels to network inputs: float32 in -1..1, each pixel repeated `scale` times in both directions."""
    values = pixels.astype(np.float32) / 127.5 - 1
    return values if scale == 1 else values.repeat(scale, axis=1).repeat(scale, axis=2)


def augmented_epoch(data: ImageData, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws one epoch in random order: every training image, shifted and possibly mirrored."""
    pixels, labels = data.training
    order = rng.permutation(len(labels))
    rows = np.arange(SIDE) + rng.integers(-data.shift, data.shift + 1, (len(order), 1))
    columns = np.arange(SIDE) + rng.integers(-data.shift, data.shift + 1, (len(order), 1))
    inside = ((rows >= 0) & (rows < SIDE))[:, :, np.newaxis] & ((columns >= 0) & (columns < SIDE))[:, np.newaxis, :]
    mirrored = rng.random((len(order), 1)) < (0.5 if data.mirror else 0)
    columns = np.where(mirrored, columns[:, ::-1], columns).clip(0, SIDE - 1)
    inside = np.where(mirrored[..., np.newaxis], inside[:, :, ::-1], inside)
    moved = pixels[
        order[:, np.newaxis, np.newaxis], rows.clip(0, SIDE - 1)[:, :, np.newaxis], columns[:, np.newaxis, :]
    ]
    return normalised(moved * inside[..., np.newaxis], data.scale), labels[order]


def _split(
    training: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    upscale: bool,
    shift: int,
    mirror: bool,
) -> ImageData:
    held_out = min(VALIDATION, len(training[1]) // 5)
    return ImageData(
        training=tuple(array[:-held_out] for array in training),
        validation=tuple(array[-held_out:] for array in training),
        test=test,
        scale=UPSCALED // SIDE if upscale else 1,
        shift=shift,
        mirror=mirror,
    )


# ------------------------------------------------------------------------------------ Fashion-MNIST


def _read_idx(path: Path) -> np.ndarray:
    """Reads a gzipped IDX file: bytes 0 0 8 and rank, big-endian sizes, then unsigned bytes."""
    try:
        with gzip.open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {_INSTALL}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise InputError(f"{path}: not an IDX file of unsigned bytes")
    rank = content[3]
    if len(content) < 4 + 4 * rank:
        raise InputError(f"{path}: header cut short")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    if values.size != math.prod(shape):
        raise InputError(f"{path}: header promises {math.prod(shape)} bytes, file has {values.size}")
    return values.reshape(shape)


def _fashion_split(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads images, padded from 28 to SIDE pixels, and labels. `prefix` is "train" or "t10k"."""
    pixels = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    if pixels.ndim != 3 or pixels.shape[1:] != (28, 28) or labels.shape != pixels.shape[:1]:
        raise InputError(
            f"{folder}: {prefix}: expected n images of 28x28 and n labels, found {pixels.shape} and {labels.shape}"
        )
    if labels.size == 0 or labels.max() >= CLASSES:
        raise InputError(f"{folder}: {prefix}: expected labels 0..{CLASSES - 1}")
    return np.pad(pixels, ((0, 0), (2, 2), (2, 2)))[..., np.newaxis], labels.astype(np.int64)


def fashion_mnist(folder: Path, upscale: bool) -> tuple[ImageData, str]:
    """Reads Fashion-MNIST from the files of the Debian package; returns it with its sha256.

    Raises:
      InputError: if the folder is missing or one of its files is invalid.
    """
    if not folder.is_dir():
        raise InputError(f"fashion_mnist: no folder {folder}; {_INSTALL}")
    training, test = _fashion_split(folder, "train"), _fashion_split(folder, "t10k")
    digest = hashlib.sha256(b"".join(array.tobytes() for array in (*training, *test))).hexdigest()
    # All garments are centred, and all shoes point to the left.
    return _split(training, test, upscale, shift=1, mirror=False), digest


# ------------------------------------------------------------------------------------------ CIFAR-10


def cifar10(folder: Path, upscale: bool) -> tuple[ImageData, str]:
    """Reads CIFAR-10 from the cache or through TensorFlow Datasets; returns it with its sha256.

    Raises:
      InputError: if it is not in the cache and cannot be downloaded.
    """

    def split(name: str) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(pair["image"], pair["label"]) for pair in tfds_source.samples("cifar10", name, folder)]
        return np.stack([image for image, _ in pairs]), np.array([label for _, label in pairs], np.int64)

    def build() -> dict[str, np.ndarray]:
        (training_pixels, training_labels), (test_pixels, test_labels) = split("train"), split("test")
        return {
            "training_pixels": training_pixels,
            "training_labels": training_labels,
            "test_pixels": test_pixels,
            "test_labels": test_labels,
        }

    arrays, sha256 = cache.cached(folder, "cifar10", "1", build)
    training = arrays["training_pixels"], arrays["training_labels"]
    return _split(training, (arrays["test_pixels"], arrays["test_labels"]), upscale, shift=3, mirror=True), sha256

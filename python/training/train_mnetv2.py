"""train_mnetv2: trains a sparse int8 MobileNetV2 on an image data set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dcsr.cli import common
from training import arguments, mobilenet_v2, pipeline, report, stack
from training.data import images, load

_DESCRIPTION = """\
Trains a MobileNetV2 (arXiv 1801.04381) on small images, prunes its pointwise and fully connected layers except in the
first blocks, quantises it to int8, compresses it, and measures it in TensorFlow Lite Micro.
Input: 32x32 pixels, or 96x96 with --upscale as in the dCSR paper, in -1..1."""

_EPILOG = """\
DIR then has NAME.tflite (zeros stored as int8 zeros), NAME.dcsr.tflite (compressed), NAME.json (what was measured),
NETWORK.weights.npz (of the dense stage, for -b) and mlflow.db. NAME is mnv2_035_90, for example, or mnv2_035_dense.
A run that was interrupted goes on where it was if it is asked for the same again.

examples:
  train_mnetv2 --output out --dataset fashion_mnist                           a sparse model, from nothing
  train_mnetv2 --output out --dataset fashion_mnist -s 0.8 -b out/mnv2_035.weights.npz        from dense weights
  train_mnetv2 --output out --upscale -w 1.0 -x 0                             CIFAR-10 at 96x96, every block pruned

data: cifar10 is downloaded by TensorFlow Datasets (160 MB); fashion_mnist, padded from 28x28, is a Debian package
(apt-get install dataset-fashion-mnist).
exit status: 0 done, 2 bad usage or bad input"""

_RATES = {pipeline.DENSE: 3e-3, pipeline.PRUNE: 2e-3, pipeline.RETRAIN: 1e-3}


def _share(value: str) -> float:
    number = float(value)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{value}: must be at least 0 and below 1")
    return number


def _width(value: str) -> float:
    number = float(value)
    if not 0.1 <= number <= 2:
        raise argparse.ArgumentTypeError(f"{value}: must lie between 0.1 and 2")
    return number


def _blocks(value: str) -> int:
    number = int(value)
    if not 0 <= number <= mobilenet_v2.BLOCKS:
        raise argparse.ArgumentTypeError(f"{value}: must lie between 0 and {mobilenet_v2.BLOCKS}")
    return number


def main(argv: Sequence[str]) -> int:
    """Runs the tool; returns its exit status."""
    parser = common.parser("train_mnetv2", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "-o", "--dropout", type=_share, default=0.2, metavar="D", help="before the last layer (default: %(default)s)"
    )
    parser.add_argument(
        "-w",
        "--width",
        type=_width,
        default=0.35,
        metavar="W",
        help="multiplier of the channels (default: %(default)s)",
    )
    parser.add_argument(
        "-x",
        "--skip_blocks",
        type=_blocks,
        default=7,
        metavar="N",
        help="inverted residual blocks that stay dense, from the first on; 7 as in the dCSR paper's models (default:"
        " %(default)s)",
    )
    parser.add_argument(
        "-b",
        "--base_model_path",
        type=Path,
        metavar="FILE.npz",
        help="start from these dense weights instead of training",
    )
    parser.add_argument("--upscale", action="store_true", help="96x96 instead of 32x32: each pixel three times")
    arguments.add(parser, load.IMAGE_SETS, (12, 5, 4))
    options = parser.parse_args(argv)
    settings = arguments.settings("train_mnetv2", options, argv, options.base_model_path)
    side = images.UPSCALED if options.upscale else images.SIDE
    network = pipeline.Network(
        name=f"mnv2_{round(100 * options.width):03}" + ("_96" if options.upscale else ""),
        build=lambda batch_size: mobilenet_v2.build(
            side,
            images.CHANNELS[options.dataset],
            images.CLASSES,
            options.width,
            options.dropout,
            options.seed,
            batch_size,
        ),
        kept_dense=mobilenet_v2.layers_of_blocks(options.skip_blocks),
        rates=_RATES,
    )
    arguments.check_weights(network, settings, options.threads)
    data, fingerprint = load.image_set(options.dataset, options.cache, options.upscale)
    stack.prepare(options.seed, options.threads)
    task = pipeline.Task(
        name=options.dataset,
        fingerprint=fingerprint,
        samples=len(data.training[1]),
        epoch=lambda rng: images.augmented_epoch(data, rng),
        validation=(images.normalised(data.validation[0], data.scale), data.validation[1]),
        test=(images.normalised(data.test[0], data.scale), data.test[1]),
        second_test=None,
    )
    report.print_results(pipeline.run(network, task, settings), options.output)
    return common.EXIT_OK

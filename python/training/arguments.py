"""Command-line arguments shared by the training commands."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from training import pipeline, stack, tracking
from training.data import cache
from training.errors import InputError


def _epochs(value: str) -> int:
    number = int(value)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return number


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value}: at least 1 is needed")
    return number


def _sparsity(value: str) -> float:
    number = float(value)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{value}: must lie between 0 and 1, for example 0.9")
    return number


def _seed(value: str) -> int:
    number = int(value)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{value}: must lie between 0 and 2^32 - 1")
    return number


def add(parser: argparse.ArgumentParser, datasets: Sequence[str], epochs: tuple[int, int, int]) -> None:
    """Adds the shared arguments. `epochs` are the defaults of the three stages."""
    parser.add_argument(
        "-e", "--epochs", type=_positive, default=epochs[0], metavar="N", help="dense training (default: %(default)s)"
    )
    parser.add_argument(
        "-p",
        "--pruning_epochs",
        type=_positive,
        default=epochs[1],
        metavar="N",
        help="while zeros grow (default: %(default)s)",
    )
    parser.add_argument(
        "-r",
        "--retraining_epochs",
        type=_epochs,
        default=epochs[2],
        metavar="N",
        help="afterwards, zeros held; 0 leaves it out (default: %(default)s)",
    )
    parser.add_argument(
        "-s",
        "--sparsity",
        type=_sparsity,
        default=0.9,
        metavar="S",
        help="share of zeros in each pruned layer, 0 < S < 1 (default: %(default)s)",
    )
    parser.add_argument(
        "-d",
        "--dense",
        action="store_true",
        help="stay dense: no pruning, no retraining; the dense model is quantised and measured",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to; created")
    parser.add_argument("--dataset", choices=datasets, default=datasets[0], help="(default: %(default)s)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=cache.default_folder(),
        metavar="DIR",
        help="where data sets are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=_seed, default=1, metavar="N", help="of weights, order and augmentation (default: %(default)s)"
    )
    parser.add_argument("--tracking_uri", metavar="URI", help="MLflow's store (default: sqlite in DIR/mlflow.db)")
    parser.add_argument(
        "--threads",
        type=_epochs,
        default=0,
        metavar="N",
        help="of TensorFlow, 0 for one per core; another number may round sums otherwise (default: %(default)s)",
    )


def settings(tool: str, options: argparse.Namespace, argv: Sequence[str], weights: Path | None) -> pipeline.Settings:
    """Returns the settings of a run; raises InputError if the weights or the output folder cannot be used."""
    if weights and not weights.is_file():
        raise InputError(f"{weights}: no such file of weights; a run without it trains a dense model and writes them")
    pipeline.check_output(options.output)
    return pipeline.Settings(
        output=options.output,
        epochs={
            pipeline.DENSE: options.epochs,
            pipeline.PRUNE: options.pruning_epochs,
            pipeline.RETRAIN: options.retraining_epochs,
        },
        sparsity=None if options.dense else options.sparsity,
        weights=weights,
        seed=options.seed,
        tracking_uri=options.tracking_uri or tracking.default_uri(options.output),
        command=f"bazel run //python:{tool} -- {shlex.join(argv)}",
    )


def check_weights(network: pipeline.Network, settings: pipeline.Settings, threads: int) -> None:
    """Raises InputError if the dense weights to start from do not belong to the network.

    Call it before loading data, which may take minutes. It prepares the stack; preparing it again afterwards makes the
    run identical to one without weights.
    """
    if settings.weights:
        pipeline.read_weights(settings.weights)  # rejects other files before TensorFlow starts
        stack.prepare(settings.seed, threads)
        pipeline.load_weights(network.build(None), settings.weights)

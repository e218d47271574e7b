"""train_kws: trains a sparse int8 DS-CNN on a keyword data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcsr.cli import common
from training import arguments, ds_cnn, pipeline, report, stack
from training.data import keywords, load, synthetic_speech

_DESCRIPTION = (
    """\
Trains a DS-CNN of "Hello Edge" (arXiv 1711.07128) to tell ten keywords, silence and anything else apart, prunes its
pointwise and fully connected layers, quantises it to int8, compresses it, and measures it in TensorFlow Lite Micro.
Input: MFCC 49x10 of one second (docs/training.md). Classes: """
    + " ".join(keywords.LABELS)
    + "."
)

_EPILOG = """\
DIR then has NAME.tflite (zeros stored as int8 zeros), NAME.dcsr.tflite (compressed), NAME.json (what was measured),
NETWORK.weights.npz (of the dense stage, for -w) and mlflow.db. NAME is ds_cnn_l_90, for example, or ds_cnn_l_dense.
A run that was interrupted goes on where it was if it is asked for the same again.

examples:
  train_kws --output out --dataset synthetic_speech -a s                      a sparse model, from nothing
  train_kws --output out --dataset synthetic_speech -a l -d                   dense only
  train_kws --output out --dataset synthetic_speech -a l -s 0.8 -w out/ds_cnn_l.weights.npz    from dense weights

data: speech_commands is downloaded by TensorFlow Datasets (2.4 GB); synthetic_speech is spoken by espeak-ng and flite
(apt-get install espeak-ng flite), which takes some minutes once.
exit status: 0 done, 2 bad usage or bad input"""

# Highest learning rates of the three stages.
_RATES = {
    "s": {pipeline.DENSE: 4e-3, pipeline.PRUNE: 3e-3, pipeline.RETRAIN: 2e-3},
    "m": {pipeline.DENSE: 3e-3, pipeline.PRUNE: 2e-3, pipeline.RETRAIN: 1e-3},
    "l": {pipeline.DENSE: 3e-3, pipeline.PRUNE: 2e-3, pipeline.RETRAIN: 1e-3},
}


def main(argv: Sequence[str], size: synthetic_speech.Size | None = None) -> int:
    """Runs the tool and returns its exit status. Tests pass a smaller `size` of synthetic_speech."""
    parser = common.parser("train_kws", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "-a", "--architecture", choices=ds_cnn.ARCHITECTURES, default="s", help="(default: %(default)s)"
    )
    parser.add_argument(
        "-w", "--weights", type=Path, metavar="FILE.npz", help="start from these dense weights instead of training"
    )
    arguments.add(parser, load.KEYWORD_SETS, (30, 12, 10))
    options = parser.parse_args(argv)
    settings = arguments.settings("train_kws", options, argv, options.weights)
    network = pipeline.Network(
        name=f"ds_cnn_{options.architecture}",
        build=lambda batch_size: ds_cnn.build(options.architecture, batch_size),
        kept_dense=(),
        rates=_RATES[options.architecture],
    )
    arguments.check_weights(network, settings, options.threads)
    data, fingerprint = load.keywords(options.dataset, options.cache, common.progress, size)
    stack.prepare(options.seed, options.threads)
    task = pipeline.Task(
        name=options.dataset,
        fingerprint=fingerprint,
        samples=keywords.samples_per_epoch(data),
        epoch=lambda rng: keywords.augmented_epoch(data, rng),
        validation=data.validation,
        test=data.test,
        second_test=data.second_test,
    )
    report.print_results(pipeline.run(network, task, settings), options.output)
    return common.EXIT_OK

"""Trains, prunes and quantises a small DS-CNN on Fashion-MNIST and writes an int8 .tflite file.

The stages, each one function below:
  1. train dense                                 train_dense
  2. prune by magnitude, from 0 to --sparsity    prune
  3. retrain with the zeros held in place        retrain
  4. quantise to int8; zeros stay zeros          quantise
  5. check the file and measure it               inspect, check_pruned, measure_int8

TensorFlow is imported where it is used, after the arguments and the data have been checked: --help
and mistakes answer at once, and the tests of the rest do without it.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import math
import os
import pathlib
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

CLASSES = 10
SIDE = 28  # images are 28x28 grey pixels
STRIDES = (1, 2, 1, 2)  # of the four blocks; the stem halves 28 to 14, these end at 4
BATCH = 128
LEARNING_RATE = 2e-3
PRUNING_FREQUENCY = 50  # steps between two updates of the masks
REPRESENTATIVE_IMAGES = 500
DEFAULT_DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")

INSTALL_DATA = "install the Debian package dataset-fashion-mnist or pass --data DIR"

DESCRIPTION = """\
Trains a depthwise-separable CNN on Fashion-MNIST, prunes its 1x1 convolutions and its fully
connected layer, and writes DIR/fashion_dscnn_<sparsity>.tflite: int8 weights, int8 input
(pixel - 128), int8 output (10 classes). Zeros are stored as ordinary int8 zeros; a sparse encoder
takes the file from here."""

EPILOG = """\
examples:
  train_fashion --output models            the model in models/; about 17 minutes on 2 cores
  train_fashion --output out --sparsity 0.8 --width 64                    smaller, less sparse
  train_fashion --output out --epochs 1 --pruning_epochs 1 --retraining_epochs 1   a smoke run

data: Debian and Ubuntu package dataset-fashion-mnist (MIT licence); any folder with the same four
.gz files does.
exit status: 0 written; 2 bad usage or input, nothing written."""


class InputError(Exception):
    """Something the user can put right; its text is the one line to print."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images float32 [n, 28, 28, 1] in 0..1 and labels uint8 [n], for training and for testing."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """What one weight tensor of the written file looks like."""

    op: str
    shape: tuple[int, ...]
    weights: int
    zeros: int


# --------------------------------------------------------------------------------------------- data


def read_idx(path: pathlib.Path) -> np.ndarray:
    """Reads a gzipped IDX file: bytes 0 0 8 and rank, big-endian sizes, then unsigned bytes.

    Raises:
      InputError: if the file is missing, damaged, or not what its header says.
    """
    try:
        with gzip.open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {INSTALL_DATA}") from None
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


def load_split(folder: pathlib.Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Loads images (scaled to 0..1) and labels of a split; `prefix` is "train" or "t10k"."""
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or labels.shape != images.shape[:1]:
        raise InputError(
            f"{folder}: {prefix}: expected n images of {SIDE}x{SIDE} and n labels, "
            f"found {images.shape} and {labels.shape}"
        )
    if labels.size == 0 or labels.max() >= CLASSES:
        raise InputError(f"{folder}: {prefix}: expected labels 0..{CLASSES - 1}")
    return images[..., np.newaxis].astype(np.float32) / 255, labels


def load_dataset(folder: pathlib.Path) -> Dataset:
    """Loads both splits.

    Raises:
      InputError: if the folder is missing or a file in it is not as it should be.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {INSTALL_DATA}")
    return Dataset(*load_split(folder, "train"), *load_split(folder, "t10k"))


# -------------------------------------------------------------------------------------------- model


def build_model(width: int, batch_size: int | None = None) -> Any:
    """Builds the network: 3x3 stem, four blocks depthwise 3x3 + pointwise 1x1, fully connected."""
    from tf_keras import Sequential, layers

    def normalised(layer: Any) -> list[Any]:
        # momentum .9: runs of few epochs must also end with usable statistics.
        return [
            layer,
            layers.BatchNormalization(momentum=0.9, name=f"{layer.name}_norm"),
            layers.ReLU(name=f"{layer.name}_relu"),
        ]

    shape = (SIDE, SIDE, 1)
    parts = [layers.InputLayer(input_shape=shape, batch_size=batch_size, name="image")]
    parts += normalised(layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False, name="stem"))
    for block, stride in enumerate(STRIDES, start=1):
        parts += normalised(
            layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"depthwise_{block}")
        )
        parts += normalised(layers.Conv2D(width, 1, use_bias=False, name=f"pointwise_{block}"))
    parts += [
        layers.Flatten(name="flatten"),
        layers.Dropout(0.3, name="dropout"),
        layers.Dense(CLASSES, name="dense"),
    ]
    return Sequential(parts, name="fashion_dscnn")


def is_prunable(layer: Any) -> bool:
    """Says whether a layer is pruned: 1x1 convolutions and fully connected layers are."""
    from tf_keras import layers

    if isinstance(layer, layers.DepthwiseConv2D):  # a subclass of Conv2D
        return False
    if isinstance(layer, layers.Conv2D):
        return layer.kernel_size == (1, 1)
    return isinstance(layer, layers.Dense)


def with_pruning(model: Any, schedule: Callable[[], Any]) -> Any:
    """Returns a copy of `model`, weights included, whose prunable layers follow `schedule()`."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    def wrap(layer: Any) -> Any:
        copy = layer.__class__.from_config(layer.get_config())
        if not is_prunable(layer):
            return copy
        return tfmot.sparsity.keras.prune_low_magnitude(copy, pruning_schedule=schedule())

    copy = tf_keras.models.clone_model(model, clone_function=wrap)
    for source, target in zip(model.layers, copy.layers, strict=True):
        inner = getattr(target, "layer", target)  # wrapped layers hold theirs inside
        inner.set_weights(source.get_weights())
    return copy


# ------------------------------------------------------------------------------------------- stages


def progress(stage: str, epochs: int, steps: int) -> Any:
    """Returns a callback that draws a bar on a terminal and writes a line per epoch elsewhere."""
    import tf_keras

    def state(epoch: int, logs: dict[str, float]) -> str:
        loss, accuracy = logs["loss"], logs["accuracy"]
        return f"epoch {epoch + 1}/{epochs} loss {loss:.3f} accuracy {accuracy:.3f}"

    class Progress(tf_keras.callbacks.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if sys.stderr.isatty() and (batch % 10 == 0 or batch + 1 == steps):
                done = (self.epoch * steps + batch + 1) / (epochs * steps)
                bar = f"[{'#' * int(30 * done):<30}]"
                print(f"\r{stage:<8} {bar} {state(self.epoch, logs)} ", end="", file=sys.stderr)
                sys.stderr.flush()

        def on_epoch_end(self, epoch, logs=None):
            if not sys.stderr.isatty():
                print(f"{stage:<8} {state(epoch, logs)}", file=sys.stderr, flush=True)
            elif epoch + 1 == epochs:
                print(file=sys.stderr)

    return Progress()


def steps_per_epoch(data: Dataset) -> int:
    """Batches in one pass over the training images."""
    return math.ceil(len(data.train_images) / BATCH)


def fit(model: Any, data: Dataset, stage: str, epochs: int, callbacks: list[Any]) -> None:
    """Trains for `epochs`; the learning rate falls to zero along a cosine."""
    import tf_keras

    steps = steps_per_epoch(data)
    rate = tf_keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * steps)
    model.compile(
        optimizer=tf_keras.optimizers.Adam(rate),
        metrics=["accuracy"],
        loss=tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(
        data.train_images,
        data.train_labels,
        batch_size=BATCH,
        epochs=epochs,
        verbose=0,
        callbacks=[*callbacks, progress(stage, epochs, steps)],
    )


def train_dense(data: Dataset, width: int, epochs: int) -> Any:
    """Returns a trained model without zeros."""
    model = build_model(width)
    fit(model, data, "train", epochs, [])
    return model


def pruning_end_step(steps: int) -> int:
    """Returns the step at which pruning ends: about three quarters of `steps`.

    The schedule reaches its final sparsity only if the end is a multiple of PRUNING_FREQUENCY.
    """
    return max(1, steps * 3 // 4 // PRUNING_FREQUENCY) * PRUNING_FREQUENCY


def prune(model: Any, data: Dataset, sparsity: float, epochs: int) -> Any:
    """Returns a copy trained on while its smallest weights go to zero, ever more slowly."""
    from tensorflow_model_optimization.sparsity import keras as pruning

    end_step = pruning_end_step(epochs * steps_per_epoch(data))
    pruned = with_pruning(
        model,
        lambda: pruning.PolynomialDecay(0.0, sparsity, 0, end_step, frequency=PRUNING_FREQUENCY),
    )
    fit(pruned, data, "prune", epochs, [pruning.UpdatePruningStep()])
    return pruning.strip_pruning(pruned)


def retrain(model: Any, data: Dataset, sparsity: float, epochs: int) -> Any:
    """Returns a copy trained on while what is zero stays zero."""
    from tensorflow_model_optimization.sparsity import keras as pruning

    # Steps count from 1; the masks taken in the first are those of the zeros that are there.
    retrained = with_pruning(model, lambda: pruning.ConstantSparsity(sparsity, begin_step=1, end_step=1, frequency=1))
    fit(retrained, data, "retrain", epochs, [pruning.UpdatePruningStep()])
    return pruning.strip_pruning(retrained)


def measure_float(model: Any, data: Dataset) -> float:
    """Returns the accuracy on the test images."""
    predicted = model.predict(data.test_images, batch_size=500, verbose=0).argmax(axis=1)
    return float(np.mean(predicted == data.test_labels))


def quantise(model: Any, data: Dataset, width: int) -> bytes:
    """Returns `model` as a .tflite file: full-integer, int8 in and out, batch of one."""
    import tensorflow as tf

    single = build_model(width, batch_size=1)
    single.set_weights(model.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    images = data.train_images[:REPRESENTATIVE_IMAGES]
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about options that post-training quantisation does not have
        return converter.convert()


# -------------------------------------------------------------------------------------- measurement


def inspect(content: bytes) -> list[LayerReport]:
    """Reads the weight tensors back from a .tflite file, in execution order.

    Raises:
      ValueError: if weights are not int8, or have a zero point that is not 0: a pruned weight would
        not be a zero byte.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    reports = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        tensor = graph.tensors[operator.inputs[1]]
        if tensor.type != schema.TensorType.INT8 or np.any(tensor.quantization.zeroPoint):
            raise ValueError(f"{tensor.name.decode()}: weights must be int8 with zero points 0")
        values = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
        reports.append(
            LayerReport(
                name,
                tuple(int(size) for size in tensor.shape),
                values.size,
                int(np.count_nonzero(values == 0)),
            )
        )
    return reports


def check_pruned(layers: list[LayerReport], sparsity: float) -> None:
    """Makes sure that no zero was lost between pruning and the file.

    Raises:
      ValueError: if a 1x1 convolution or fully connected layer has fewer zeros than asked for.
    """
    for layer in layers:
        pruned = layer.op == "FULLY_CONNECTED" or (layer.op == "CONV_2D" and layer.shape[1:3] == (1, 1))
        zeros_asked = layer.weights - round(layer.weights * (1 - sparsity))
        if pruned and layer.zeros < zeros_asked - 1:  # the pruner rounds in float32
            raise ValueError(f"{layer.op} {layer.shape}: {layer.zeros} zeros, at least {zeros_asked} expected")


def measure_int8(path: pathlib.Path, data: Dataset) -> float:
    """Returns the accuracy of the file on the test images, run by stock TensorFlow Lite Micro."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(str(path))
    pixels = np.rint(data.test_images * 255).astype(np.int16)
    correct = 0
    for index, (image, label) in enumerate(zip(pixels, data.test_labels, strict=True)):
        if sys.stderr.isatty() and index % 100 == 0:
            print(f"\rmeasure  {index}/{len(pixels)} ", end="", file=sys.stderr, flush=True)
        interpreter.set_input((image - 128).astype(np.int8)[np.newaxis], 0)
        interpreter.invoke()
        correct += int(interpreter.get_output(0).argmax() == label)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return correct / len(pixels)


# ------------------------------------------------------------------------------------------ program


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Parses and checks the command line; leaves with status 2 if it cannot be right."""
    parser = argparse.ArgumentParser(
        prog="train_fashion",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        required=True,
        metavar="DIR",
        help="folder to write to; created",
    )
    parser.add_argument(
        "--data",
        type=pathlib.Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help=f"folder with the four .gz files (default {DEFAULT_DATA})",
    )
    parser.add_argument("--epochs", type=int, default=12, metavar="N", help="dense training (default 12)")
    parser.add_argument(
        "--pruning_epochs",
        type=int,
        default=8,
        metavar="N",
        help="while sparsity grows; too few cost accuracy (default 8)",
    )
    parser.add_argument(
        "--retraining_epochs",
        type=int,
        default=8,
        metavar="N",
        help="afterwards, zeros held in place; 0 leaves it out (default 8)",
    )
    parser.add_argument(
        "--sparsity",
        type=float,
        default=0.9,
        metavar="S",
        help="share of zeros in each pruned layer, 0 < S < 1 (default .9)",
    )
    parser.add_argument(
        "--width",
        type=int,
        default=96,
        metavar="C",
        help="channels: pointwise layers are C x C, the last one 10 x 16 C (default 96)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of weights and shuffling (default 1)")
    options = parser.parse_args(arguments)
    if options.epochs < 1 or options.pruning_epochs < 1 or options.retraining_epochs < 0:
        parser.error("--epochs and --pruning_epochs must be at least 1, --retraining_epochs at least 0")
    if not 0 < options.sparsity < 1:
        parser.error(f"--sparsity {options.sparsity:g}: must lie between 0 and 1, for example 0.9")
    if not 4 <= options.width <= 512:
        parser.error(f"--width {options.width}: must lie between 4 and 512")
    if not 0 <= options.seed < 2**32:
        parser.error(f"--seed {options.seed}: must lie between 0 and 2^32 - 1")
    # `bazel run` starts programs elsewhere; paths mean what they mean where the user typed them.
    start = pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    options.output, options.data = start / options.output, start / options.data
    return options


def prepare_tensorflow(seed: int) -> None:
    """Imports TensorFlow quietly, with the Keras that can be pruned, and fixes every random choice.

    Raises:
      InputError: if part of the training stack is missing.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # pruning does not know Keras 3
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
        import tensorflow_model_optimization  # noqa: F401
        import tf_keras
        import tflite_micro  # noqa: F401
    except ImportError as error:
        raise InputError(f"{error}; install third_party/python/training_lock.txt or use bazel run") from None
    tf.get_logger().setLevel("ERROR")
    tf_keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def write_measured(content: bytes, path: pathlib.Path, measure: Callable[[pathlib.Path], float]) -> float:
    """Writes to a temporary file, measures that, and gives it its name only if all went well."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = pathlib.Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        result = measure(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return result


def run(options: argparse.Namespace) -> None:
    """Runs the stages and prints what was measured."""
    data = load_dataset(options.data)
    if options.pruning_epochs * steps_per_epoch(data) < PRUNING_FREQUENCY:
        raise InputError(
            f"{options.data}: {len(data.train_images)} training images: pruning takes at least "
            f"{PRUNING_FREQUENCY} batches of {BATCH}; raise --pruning_epochs"
        )
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{options.output}: {error.strerror}") from None
    prepare_tensorflow(options.seed)

    model = train_dense(data, options.width, options.epochs)
    dense_accuracy = measure_float(model, data)
    model = prune(model, data, options.sparsity, options.pruning_epochs)
    if options.retraining_epochs:
        model = retrain(model, data, options.sparsity, options.retraining_epochs)
    pruned_accuracy = measure_float(model, data)

    content = quantise(model, data, options.width)
    layers = inspect(content)
    check_pruned(layers, options.sparsity)
    path = options.output / f"fashion_dscnn_{round(100 * options.sparsity)}.tflite"
    int8_accuracy = write_measured(content, path, lambda file: measure_int8(file, data))

    print(f"{'op':<18} {'weights':<14} {'number':>7}  sparsity")
    for layer in layers:
        shape = "x".join(str(size) for size in layer.shape)
        percent = 100 * layer.zeros / layer.weights
        print(f"{layer.op:<18} {shape:<14} {layer.weights:>7}  {percent:5.1f} %")
    print(
        f"accuracy on {len(data.test_labels)} test images: dense float {dense_accuracy:.4f}, "
        f"pruned float {pruned_accuracy:.4f}, pruned int8 {int8_accuracy:.4f}"
    )
    print(f"{path}: {len(content)} bytes")


def main() -> int:
    """Runs the program; returns its exit status."""
    try:
        run(parse_arguments(sys.argv[1:]))
    except InputError as error:
        print(f"train_fashion: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

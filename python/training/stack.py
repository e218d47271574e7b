"""TensorFlow as the pipelines need it. Imported late: --help and mistakes answer at once."""

from __future__ import annotations

import os

from training.errors import InputError


def set_environment() -> None:
    """Chooses the Keras that can be pruned, and silence; to be called before anything imports TensorFlow."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # the pruning toolkit does not know Keras 3
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def prepare(seed: int, threads: int) -> None:
    """Imports TensorFlow quietly, with the Keras that can be pruned, and fixes every random choice.

    Args:
      seed: of initial weights.
      threads: of TensorFlow, 0 for one per core. Sums are rounded in an order that may depend on it.

    Raises:
      InputError: if part of the training stack is missing.
    """
    set_environment()
    try:
        import tensorflow as tf
        import tensorflow_model_optimization  # noqa: F401
        import tf_keras
    except ImportError as error:
        raise InputError(f"{error}; install third_party/python/training_lock.txt or use bazel run") from None
    tf.get_logger().setLevel("ERROR")
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:  # can be set once in a process
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf_keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()

"""Sets up TensorFlow for the pipelines. It is imported late so that --help and usage errors are immediate."""

from __future__ import annotations

import os

from training.errors import InputError


def set_environment() -> None:
    """Selects the Keras version that supports pruning, and silences TensorFlow. Call it before importing TensorFlow."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # the pruning toolkit does not support Keras 3
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def prepare(seed: int, threads: int) -> None:
    """Imports TensorFlow quietly with the Keras version that supports pruning, and makes all random choices repeatable.

    Args:
      seed: seed of the initial weights.
      threads: threads of TensorFlow, 0 for one per core. The rounding of sums may depend on this number.

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

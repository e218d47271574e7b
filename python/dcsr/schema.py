"""The generated Python module of the TFLite schema, from the tflite-micro wheel."""

from __future__ import annotations

try:
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema
except ImportError:  # wheels before October 2026
    from tflite_micro.tensorflow.lite.python import schema_py_generated as schema

__all__ = ["enum_name", "schema"]


def enum_name(enum: type, value: int) -> str:
    """Returns the name of `value` in a generated enum class, or the number as text."""
    for name, number in vars(enum).items():
        if number == value and not name.startswith("_"):
            return name
    return str(value)

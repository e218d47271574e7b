"""The generated Python module of the TFLite schema, from the tflite-micro wheel."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dcsr.errors import WheelError

__all__ = ["enum_name", "schema"]

_MODULES = (
    "tensorflow.lite.micro.python.schema_py_generated",
    "tensorflow.lite.python.schema_py_generated",  # wheels before October 2026
)


def _load() -> ModuleType:
    """Loads the module alone. Importing its package would load the interpreter as well, which only some tools need.

    Raises:
      WheelError: if there is no tflite-micro wheel, or if its module lacks constructors with keyword arguments.
    """
    package = importlib.util.find_spec("tflite_micro")
    if package is None or package.submodule_search_locations is None:
        raise WheelError("it is not installed")
    for folder in package.submodule_search_locations:
        for name in _MODULES:
            path = Path(folder, *name.split(".")).with_suffix(".py")
            if path.is_file():
                return _checked(_module(f"tflite_micro.{name}", path))
    raise WheelError("it has no schema_py_generated.py")


def _module(name: str, path: Path) -> ModuleType:
    """Imports a file as module `name`, under which the wheel itself finds it later."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _checked(module: ModuleType) -> ModuleType:
    try:
        module.BufferT(data=None)
    except TypeError as error:
        raise WheelError("its schema module is older than that of January 2026") from error
    return module


if TYPE_CHECKING:
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema
else:
    schema = _load()


def enum_name(enum: type, value: int) -> str:
    """Returns the name of `value` in a generated enum class, or the number as text."""
    for name, number in vars(enum).items():
        if number == value and not name.startswith("_"):
            return name
    return str(value)

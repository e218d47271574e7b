"""Tests tools with tflite-micro wheels that do not serve, and that tools without the interpreter do not load it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcsr import schema
from dcsr.errors import ModelError, WheelError

OLD = "tensorflow/lite/python/schema_py_generated.py"


def run_python(*arguments: str, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = [str(first)] if first else []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*path, *sys.path])}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(name="wheel")
def _wheel(tmp_path, monkeypatch):
    """Returns a function that puts a package tflite_micro with the given files in the place of the real one."""

    def install(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / "tflite_micro" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            monkeypatch.delitem(sys.modules, f"tflite_micro.{name[: -len('.py')].replace('/', '.')}", raising=False)
        spec = importlib.machinery.ModuleSpec("tflite_micro", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path / "tflite_micro")]
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)

    yield install
    sys.modules.pop("tflite_micro." + OLD[: -len(".py")].replace("/", "."), None)


def test_an_old_place_of_the_module_is_found(wheel):
    wheel({OLD: "class BufferT:\n    def __init__(self, data=None):\n        pass\n"})
    assert schema._load().BufferT(data=b"") is not None


def test_an_old_module_is_refused(wheel):
    wheel({OLD: "class BufferT:\n    def __init__(self):\n        pass\n"})
    with pytest.raises(WheelError, match=r"does not serve: its schema module is older .*; install the version"):
        schema._load()


def test_a_wheel_without_the_module_is_refused(wheel):
    wheel({})
    with pytest.raises(ModelError, match="it has no schema_py_generated"):
        schema._load()


def test_a_missing_wheel_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="it is not installed; install the version that dcsr requires"):
        schema._load()


def test_a_wheel_that_does_not_load_is_one_line(tmp_path):
    """As wheels whose library was built for another Python: `verify` says so, `compress` does not need the library."""
    copy = tmp_path.joinpath(*schema.schema.__name__.split(".")).with_suffix(".py")
    copy.parent.mkdir(parents=True)
    copy.symlink_to(schema.schema.__file__)
    (tmp_path / "tflite_micro/__init__.py").write_text(
        "raise ImportError('_runtime.so: undefined symbol: PyNothing')\n"
    )
    model = tmp_path / "model.tflite"
    model.write_bytes(b"no model")
    result = run_python("-m", "dcsr", "inspect", str(model), first=tmp_path)
    assert (result.returncode, "not a TFLite model" in result.stderr) == (2, True)
    result = run_python("-c", "import dcsr.runtime", first=tmp_path)
    assert result.stderr.splitlines()[-1].startswith("dcsr.errors.WheelError: the tflite-micro wheel of this Python")
    guard = "from dcsr.cli import common; common.run('verify', lambda _: __import__('dcsr.runtime'))"
    result = run_python("-c", guard, first=tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("verify: ") and "undefined symbol: PyNothing" in line and "`pip check`" in line


@pytest.mark.parametrize("tool", ["compress", "decompress", "inspect", "matrix_metrics", "export_matrix", "completion"])
def test_help_is_quick_because_it_loads_no_interpreter(tool):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['dcsr', '{tool}', '--help']\n"
        "try:\n    runpy.run_module('dcsr', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print(sorted({'tflite_micro', 'tflite_micro.runtime', 'yaml', 'rich'} & set(sys.modules)), file=sys.stderr)\n"
    )
    result = run_python("-c", code)
    assert f"usage: dcsr {tool}" in result.stdout
    assert result.stderr.strip() == "[]"

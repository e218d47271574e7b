"""Tests that the rooms of the package import only their permitted rooms, and that all places give one version."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dcsr

PACKAGE = Path(__file__).parent
ROOT = Path.cwd()

# Modules at the bottom, which every room may import.
BASE = {
    "attributes",
    "compact_rows",
    "custom_ops",
    "encodings",
    "errors",
    "files",
    "graph",
    "layers",
    "metrics",
    "model",
    "packing",
    "requantize",
    "schema",
    "shared_rows",
    "sharing_builder",
    "structure",
}
# The rooms that each room may import besides itself.
MAY_IMPORT = {
    "encodings": set(),
    "requantize": set(),
    "schema": {"errors"},
    "errors": set(),
    "files": {"errors"},
    "arrays": {"errors", "files"},
    "metrics": {"encodings"},
    "structure": {"schema"},
    "sharing_builder": set(),
    "model": {"errors", "files", "schema", "sharing_builder", "structure"},
    "packing": {"compact_rows", "encodings", "requantize", "shared_rows"},
    "compact_rows": {"encodings", "requantize", "shared_rows"},
    "shared_rows": set(),
    "graph": {"model", "schema"},
    "custom_ops": {"model", "packing", "schema"},
    "attributes": {"packing", "requantize", "schema"},
    "layers": {
        "attributes",
        "compact_rows",
        "custom_ops",
        "encodings",
        "model",
        "packing",
        "requantize",
        "schema",
        "shared_rows",
    },
    "planning": BASE,
    "passes": BASE | {"planning"},
    "compressing": BASE | {"planning", "passes"},
    "report": BASE | {"passes", "planning"},
    "firmware_report": {"planning"},
    "html_report": {"firmware_report", "planning", "report"},
    "op_header": {"cc_array", "custom_ops", "encodings", "model", "packing", "planning", "schema"},
    "model_check": {"graph", "model", "schema", "structure"},
    "runtime": {"custom_ops", "errors", "model_check"},
    "isolation": {"errors", "model", "runtime"},
    "layerwise": {"custom_ops", "graph", "isolation", "model", "passes", "schema", "verification"},
    "verification": {"arrays", "custom_ops", "model", "schema"},
    "pruning": BASE | {"api", "arrays", "compressing", "html_report", "isolation", "planning"},
    "api": BASE
    | {
        "compressing",
        "firmware_report",
        "isolation",
        "layerwise",
        "model_check",
        "passes",
        "planning",
        "pruning",
        "report",
        "verification",
    },
    "cc_array": {"errors", "model"},
}


def imported_rooms(source: str) -> set[str]:
    """Returns the modules and packages directly below dcsr that a source imports. `dcsr` is the public face."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts == ["dcsr"]:
                found |= {alias.name for alias in node.names}
            elif parts[0] == "dcsr":
                found.add(parts[1])
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {name[1] if len(name) > 1 else "dcsr" for name in names if name[0] == "dcsr"}
    return found


def sources(room: str) -> list[Path]:
    folder = PACKAGE / room
    files = folder.glob("*.py") if folder.is_dir() else [PACKAGE / f"{room}.py"]
    return [path for path in files if not path.name.endswith("_test.py")]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_rooms_below_it(room):
    assert sources(room)
    for path in sources(room):
        assert imported_rooms(path.read_text()) <= MAY_IMPORT[room] | {room}, path.name


def test_every_room_is_listed():
    rooms = {path.stem for path in PACKAGE.glob("*.py") if not path.name.endswith("_test.py")}
    rooms |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - {"__init__", "__main__", "cli", "testing"} == set(MAY_IMPORT)


def test_importing_the_package_imports_nothing_else():
    code = (
        "import dcsr, sys;"
        "print(sorted({'numpy', 'flatbuffers', 'tflite_micro', 'dcsr.api', 'dcsr.runtime'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in dcsr.__all__:
        assert getattr(dcsr, name) is not None
        assert name in dir(dcsr)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = dcsr.nothing


def test_one_version_everywhere():
    module = (ROOT / "MODULE.bazel").read_text()
    assert f'module(\n    name = "dcsr",\n    version = "{dcsr.__version__}",\n' in module
    header = (ROOT / "tflm_kernels/packed_layer.h").read_text()
    numbers = zip(("MAJOR", "MINOR", "PATCH"), dcsr.__version__.split("."), strict=True)
    assert all(f"#define DCSR_VERSION_{name} {number}\n" in header for name, number in numbers)
    assert f'#define DCSR_VERSION_STRING "{dcsr.__version__}"\n' in header
    # CMake reads the header, setuptools the package.
    assert "file(STRINGS tflm_kernels/packed_layer.h dcsr_version" in (ROOT / "CMakeLists.txt").read_text()
    assert 'version = {attr = "dcsr.__version__"}' in (ROOT / "python/pyproject.toml").read_text()

"""Tests the package in a clean virtual environment: its tag, its dependencies, `import dcsr`, the command `dcsr`.

The dependencies are those of the lock file. They come from Bazel's folders, so nothing is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path.cwd()
MODEL = ROOT / "models/fashion_dscnn_90.tflite"
PROGRAMS = ("compress", "decompress", "inspect", "verify")


def run(*command: str | Path, cwd: Path, status: int = 0) -> str:
    # Do not pass on the environment of this test: its path contains the sources.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == status, f"{command}\n{result.stdout}"
    return result.stdout


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "python/wheel", "--output", folder], check=True)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(name="environment", scope="module")
def _environment(wheel, tmp_path_factory) -> Path:
    """Creates a virtual environment and installs the wheel and its dependencies with pip."""
    folder = tmp_path_factory.mktemp("venv") / "clean"
    venv.create(folder, with_pip=True)
    site = next(folder.glob("lib/python3*/site-packages"))
    dependencies = [path for path in sys.path if path.endswith("/site")]
    assert dependencies
    (site / "dependencies.pth").write_text("".join(f"{os.path.abspath(path)}\n" for path in dependencies))
    run(folder / "bin/pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check", wheel, cwd=folder)
    return folder


def test_tag_is_this_platform_and_any_python_3(wheel):
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/WHEEL")]
        text = archive.read(name).decode()
    assert f"Tag: py3-none-{platform}" in text


def test_package_has_the_plugin_and_no_test(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"dcsr/_dcsr_ops_wheel.so", "dcsr/_dcsr_costs.so", "dcsr/py.typed"} <= set(names)
    assert "dcsr/planning/kernel_constants.json" in names
    assert "dcsr/passes/pack.py" in names and "dcsr/planning/choice.py" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if "_test" in name or "/testing/" in name]


def test_declared_dependencies_are_there_and_are_the_locked_ones(environment):
    run(environment / "bin/pip", "check", "--disable-pip-version-check", cwd=environment)
    locked = (ROOT / "third_party/python/requirements.in").read_text().splitlines()
    pin = next(line for line in locked if line.startswith("tflite-micro=="))
    assert f'"{pin}"' in (ROOT / "python/pyproject.toml").read_text()


def test_import_finds_the_plugin_in_the_package(environment):
    code = (
        "import dcsr, dcsr.runtime as r, pathlib, sys\n"
        "assert pathlib.Path(dcsr.__file__).is_relative_to(sys.prefix), dcsr.__file__\n"
        "r._load_plugin()\n"
        "print(r._plugin._name)\n"
    )
    plugin = run(environment / "bin/python", "-c", code, cwd=environment).strip()
    assert Path(plugin).is_relative_to(environment.resolve()) or Path(plugin).is_relative_to(environment)


def test_commands_compress_verify_inspect_decompress(environment, tmp_path):
    dcsr = environment / "bin/dcsr"
    output = run(dcsr, "compress", MODEL, "-o", "small.tflite", cwd=tmp_path)
    assert "dcsr verify" in output
    assert (tmp_path / "small.tflite").stat().st_size < MODEL.stat().st_size
    assert "identical" in run(dcsr, "verify", MODEL, "small.tflite", "--samples", "2", cwd=tmp_path)
    assert "DCSR_CONV_2D" in run(dcsr, "inspect", "small.tflite", cwd=tmp_path)
    run(dcsr, "decompress", "small.tflite", "-o", "dense.tflite", cwd=tmp_path)
    run(dcsr, "verify", MODEL, "dense.tflite", "--samples", "1", cwd=tmp_path)


def test_help_teaches_and_wrong_usage_is_status_2(environment, tmp_path):
    dcsr = environment / "bin/dcsr"
    assert all(name in run(dcsr, "--help", cwd=tmp_path) for name in PROGRAMS)
    for name in PROGRAMS:
        text = run(dcsr, name, "--help", cwd=tmp_path)
        assert f"usage: dcsr {name}" in text
        assert f"  dcsr {name} " in text
    assert "there is no tool 'compres'" in run(dcsr, "compres", cwd=tmp_path, status=2)
    assert "name a tool" in run(dcsr, cwd=tmp_path, status=2)
    assert "missing.tflite" in run(dcsr, "inspect", "missing.tflite", cwd=tmp_path, status=2)
    version = run(dcsr, "--version", cwd=tmp_path)
    assert version == run(environment / "bin/python", "-m", "dcsr", "--version", cwd=tmp_path)

"""Installs the package with pip, from the index, in a clean virtual environment of each Python on this machine.

Looks for every version that the package supports on PATH and among pyenv's. The tests that need no index are in
wheel_test.py.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path.cwd()
MODEL = ROOT / "models/fashion_dscnn_90.tflite"
# Seconds for one command. The whole test takes about 30 s for each Python, most of them for pip.
TIMEOUT = 240


def supported_versions() -> list[str]:
    """Returns the versions in the package's classifiers: "3.10" and so on."""
    return re.findall(r"Python :: (3\.\d+)\"", (ROOT / "python/pyproject.toml").read_text())


def interpreters(version: str) -> list[Path]:
    """Returns each interpreter of this version on the machine once, without those of virtual environments."""
    on_path = [shutil.which(name) for name in (f"python{version}", "python3")]
    candidates = [Path(name) for name in on_path if name] + [Path(sys.base_prefix, "bin/python3")]  # this test's own
    pyenv = Path(os.environ.get("PYENV_ROOT", Path(pwd.getpwuid(os.getuid()).pw_dir, ".pyenv")), "versions")
    found: dict[Path, Path] = {}
    for path in candidates + sorted(pyenv.glob(f"{version}.*/bin/python3")):
        query = "import sys; print('%d.%d' % sys.version_info[:2], sys.prefix == sys.base_prefix)"
        result = subprocess.run([path, "-c", query], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if result.stdout.split() == [version, "True"]:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def pythons() -> list[object]:
    """Returns a parameter of the test for each interpreter, and one for each version that has none here."""
    parameters: list[object] = []
    for version in supported_versions():
        for path in interpreters(version):
            parameters.append(pytest.param(path, id=f"{version}-{path}"))
        if not interpreters(version):
            reason = f"no Python {version} on PATH or in pyenv"
            parameters.append(pytest.param(None, id=version, marks=pytest.mark.skip(reason=reason)))
    return parameters


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    # The environment of this test has the sources on its path. pip reads the machine's and the user's configuration.
    pip = {key: value for key, value in os.environ.items() if key.startswith("PIP_") or key.lower().endswith("_proxy")}
    environment = {"PATH": "/usr/bin:/bin", "HOME": pwd.getpwuid(os.getuid()).pw_dir, "PYTHONNOUSERSITE": "1"} | pip
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert not check or result.returncode == 0, f"{command}\n{result.stdout}"
    return result


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "python/wheel", "--output", folder], check=True)
    (found,) = folder.iterdir()
    return found


def clean_environment(python: Path, folder: Path) -> Path:
    """Creates a virtual environment with pip. Skips the test if this Python cannot."""
    created = run(python, "-m", "venv", folder, cwd=folder.parent, check=False)
    if created.returncode != 0:
        pytest.skip(f"{python} -m venv does not work (Debian: python3-venv)")
    return folder


@pytest.mark.parametrize("python", pythons())
def test_pip_installs_the_package_and_the_command_works(wheel, python, tmp_path):
    environment = clean_environment(python, tmp_path / "clean")
    pip = [environment / "bin/pip", "--disable-pip-version-check", "--no-cache-dir", "--timeout=15", "--retries=1"]
    # The smallest package that is needed: if pip does not get it, there is no index.
    probe = run(*pip, "download", "--no-deps", "--dest", tmp_path / "probe", "mdurl", cwd=tmp_path, check=False)
    if probe.returncode != 0:
        pytest.skip(f"{python}: pip reaches no package index: {probe.stdout.strip().splitlines()[-1]}")
    run(*pip, "install", "--only-binary=:all:", wheel, cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)

    dcsr = environment / "bin/dcsr"
    assert "compress" in run(dcsr, "--help", cwd=tmp_path).stdout
    run(dcsr, "compress", MODEL, "-o", "small.tflite", cwd=tmp_path)
    assert (tmp_path / "small.tflite").stat().st_size < MODEL.stat().st_size
    assert "identical" in run(dcsr, "verify", MODEL, "small.tflite", "--samples", "2", cwd=tmp_path).stdout
    assert "DCSR_CONV_2D" in run(dcsr, "inspect", "small.tflite", cwd=tmp_path).stdout

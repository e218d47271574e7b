"""Tests the package: its metadata and tag, and in a clean virtual environment `import dcsr` and the command `dcsr`.

The dependencies are those of the lock file. They come from Bazel's folders, so nothing is downloaded.
"""

from __future__ import annotations

import email
import os
import platform
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import elf_symbols
import numpy as np
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
    dependencies = [path for path in sys.path if path.endswith("/site") and "/pip_packaging/" not in path]
    assert dependencies
    (site / "dependencies.pth").write_text("".join(f"{os.path.abspath(path)}\n" for path in dependencies))
    run(folder / "bin/pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check", wheel, cwd=folder)
    return folder


def information(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [path for path in archive.namelist() if path.endswith(f".dist-info/{name}")]
        return archive.read(path).decode()


def readelf(option: str, library: Path) -> str:
    return subprocess.run(["readelf", option, library], capture_output=True, text=True, check=True).stdout


def test_tag_is_any_python_3_and_the_oldest_glibc_with_all_symbols(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        libraries = [Path(archive.extract(name, tmp_path)) for name in archive.namelist() if name.endswith(".so")]
    assert len(libraries) == 2
    versions, linked = set(), set()
    for library in libraries:
        versions |= set(re.findall(r"Name: (\w+_[\d.]+) ", readelf("--version-info", library)))
        linked |= set(re.findall(r"NEEDED.*\[(.*)\]", readelf("--dynamic", library)))
    assert linked <= {"libc.so.6", "libm.so.6"}
    minors = [int(re.fullmatch(r"GLIBC_2\.(\d+)(\.\d+)?", version)[1]) for version in versions]
    tag = f"py3-none-manylinux_2_{max(17, *minors)}_{platform.machine()}"
    assert wheel.name.endswith(f"-{tag}.whl")
    assert f"Tag: {tag}\n" in information(wheel, "WHEEL")
    # This machine's glibc has them.
    assert max(minors) <= int(platform.libc_ver()[1].split(".")[1])


def test_symbol_versions_are_those_that_readelf_prints():
    """For the libraries of numpy, some of which need more than glibc."""
    libraries = [path for path in Path(np.__file__).parents[1].glob("**/*.so*") if path.is_file()]
    assert len(libraries) > 10
    for library in libraries:
        linked, versions = elf_symbols.needed(library.read_bytes())
        assert linked == set(re.findall(r"NEEDED.*\[(.*)\]", readelf("--dynamic", library)))
        needs = readelf("--version-info", library).partition("Version needs section")[2]
        assert versions == set(re.findall(r"Name: (\S+) ", needs)), library


def test_libraries_that_need_more_than_glibc_are_refused(tmp_path):
    for library in Path(np.__file__).parents[1].glob("numpy.libs/*openblas*"):
        with pytest.raises(elf_symbols.LibraryError, match="openblas.*: (needs|is linked with)"):
            elf_symbols.glibc_minor([library])
        break
    else:
        pytest.fail("numpy has no OpenBLAS")
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(elf_symbols.LibraryError, match=r"text\.so: it is no 64-bit little-endian ELF file"):
        elf_symbols.glibc_minor([tmp_path / "text.so"])


def test_metadata_is_fit_for_an_index(wheel):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    check = [sys.executable, "-m", "twine", "check", "--strict", str(wheel)]
    result = subprocess.run(check, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "PASSED" in result.stdout, result.stdout + result.stderr
    metadata = email.message_from_string(information(wheel, "METADATA"))
    assert metadata["Author"] == "The dCSR authors"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().strip() == (ROOT / "python/package_readme.md").read_text().strip()
    # The readme is shown without the repository, so links into it would be dead.
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)]+)\)", metadata.get_payload()))
    minors = {int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", "\n".join(metadata.get_all("Classifier")))}
    locked = (ROOT / "third_party/python/requirements_lock.txt").read_text()
    first, last = map(int, re.search(r"For CPython 3\.(\d+) to 3\.(\d+) ", locked).groups())
    assert minors == set(range(first, last + 1))


def test_package_has_the_plugin_and_no_test(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"dcsr/_dcsr_ops_wheel.so", "dcsr/_dcsr_costs.so", "dcsr/py.typed"} <= set(names)
    assert {"dcsr/planning/kernel_constants.json", "dcsr/planning/cycle_constants.json"} <= set(names)
    assert {"dcsr/passes/pack.py", "dcsr/planning/choice.py", "dcsr/pruning/prune.py"} <= set(names)
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


def test_the_lines_of_the_document_run(environment, tmp_path):
    """All but those that build and install the package."""
    section = (ROOT / "docs/embedding.md").read_text().partition("\n## Python")[2].partition("\n## ")[0]
    commands, code = (match.replace("\n    ", "\n") for match in re.findall(r"(?<=\n\n)((?:    .*\n)+)", section)[:2])
    lines = [line.strip() for line in commands.splitlines() if not re.match(r"\s*(bazel|pip) ", line)]
    assert len(lines) >= 4
    (tmp_path / "model.tflite").symlink_to(MODEL)
    run("sh", "-euc", "\n".join([f"PATH={environment / 'bin'}:$PATH", *lines]), cwd=tmp_path)
    assert (tmp_path / "small.tflite").is_file()
    assert "_dcsr" in (tmp_path / ".local/share/bash-completion/completions/dcsr").read_text()
    run(environment / "bin/python", "-c", code.strip() + "\ninterpreter.invoke()\n", cwd=tmp_path)


def test_help_teaches_and_wrong_usage_is_status_2(environment, tmp_path):
    dcsr = environment / "bin/dcsr"
    assert all(name in run(dcsr, "--help", cwd=tmp_path) for name in PROGRAMS)
    for name in PROGRAMS:
        text = run(dcsr, name, "--help", cwd=tmp_path)
        assert f"usage: dcsr {name}" in text
        assert f"  dcsr {name} " in text
    assert "complete -o default -F _dcsr dcsr" in run(dcsr, "completion", "bash", cwd=tmp_path)
    assert "there is no tool 'compres'" in run(dcsr, "compres", cwd=tmp_path, status=2)
    assert "name a tool" in run(dcsr, cwd=tmp_path, status=2)
    assert "missing.tflite" in run(dcsr, "inspect", "missing.tflite", cwd=tmp_path, status=2)
    version = run(dcsr, "--version", cwd=tmp_path)
    assert version == run(environment / "bin/python", "-m", "dcsr", "--version", cwd=tmp_path)

"""Builds the Python package: `bazel run //python:wheel` writes dist/dcsr-VERSION-py3-none-PLATFORM.whl.

The package works with every Python version that pyproject.toml allows, on the platform of the build. The libraries in
it are C and C++ and do not use Python's API.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

# Root of the runfiles. Their folders are those of the repository.
_ROOT = Path(__file__).absolute().parents[2]


def _stage(folder: Path) -> None:
    """Copies the sources of the package to `folder`, because setuptools writes beside its input."""
    shutil.copy(_ROOT / "python/pyproject.toml", folder)
    shutil.copy(_ROOT / "LICENSE", folder)
    source = _ROOT / "python/dcsr"
    for path in (*source.rglob("*.py"), *source.rglob("*.json"), *source.glob("*.so"), source / "py.typed"):
        target = folder / "dcsr" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    # The plugin depends on the platform, not on the Python version.
    (folder / "setup.cfg").write_text(f"[bdist_wheel]\npython_tag = py3\nplat_name = {platform}\n")


def _use_whole_setuptools() -> None:
    """Puts the installed setuptools on the path. The runfiles lack one of its files, whose name contains a space."""
    entry = next(path for path in sys.path if Path(path, "setuptools/__init__.py").is_file())
    sys.path.insert(0, str(Path(entry, "setuptools/__init__.py").resolve().parents[1]))


def build(output: Path) -> Path:
    """Writes the wheel into the folder `output` and returns its path."""
    _use_whole_setuptools()
    from setuptools import build_meta

    output.mkdir(parents=True, exist_ok=True)
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as temporary:
        staged, built = Path(temporary, "package"), Path(temporary, "built")
        staged.mkdir()
        built.mkdir()
        _stage(staged)
        os.chdir(staged)
        try:
            # The log is only printed on failure.
            with tempfile.TemporaryFile("w+") as log:
                stdout, sys.stdout = sys.stdout, log
                try:
                    name = build_meta.build_wheel(str(built))
                except BaseException:
                    log.seek(0)
                    sys.stderr.write(log.read())
                    raise
                finally:
                    sys.stdout = stdout
        finally:
            os.chdir(here)
        # Copy, then rename: the wheel appears complete or not at all.
        partial = output / f".{name}.partial"
        shutil.copy(built / name, partial)
        partial.replace(output / name)
    return output / name


def main() -> int:
    """Builds the package and prints where it is."""
    if directory := os.environ.get("BUILD_WORKING_DIRECTORY"):
        os.chdir(directory)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", metavar="DIR", type=Path, default=Path("dist"), help="default: %(default)s")
    try:
        print(build(parser.parse_args().output))
    except OSError as error:
        print(f"wheel: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

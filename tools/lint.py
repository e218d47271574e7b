"""Checks the form of all sources: clang-format over C and C++, ruff over Python, and mypy over the package dcsr.

bazel run //tools:lint            says what is wrong, exit status 1 if anything is
bazel run //tools:lint -- --fix   corrects what can be corrected
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import clang_format
import ruff

C_SUFFIXES = frozenset({".c", ".cc", ".h"})
TYPED = "python/dcsr"  # with `strict` in pyproject.toml
UNTYPED = r"(_test\.py$|/testing/)"  # within


def sources(root: Path) -> list[str]:
    """Returns the C, C++ and Python files below `root`, relative to it."""
    found = []
    for folder, subfolders, files in os.walk(root):
        # Hidden folders are Git's and caches; bazel-* are Bazel's links to what it built.
        subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "bazel-")))
        for file in sorted(files):
            path = Path(folder, file)
            if path.suffix in C_SUFFIXES | {".py"}:
                found.append(str(path.relative_to(root)))
    return found


def commands(files: Sequence[str], *, fix: bool) -> list[list[str]]:
    """Returns what to run over `files`."""
    formatter = str(Path(clang_format.__file__).parent / "data/bin/clang-format")
    # pip puts it beside the package, in bin/.
    linter = str(Path(ruff.__file__).parents[1] / "bin/ruff")
    c_files = [file for file in files if Path(file).suffix in C_SUFFIXES]
    python_files = [file for file in files if Path(file).suffix not in C_SUFFIXES]
    found = []
    if c_files:
        found.append([formatter, *(["-i"] if fix else ["--dry-run", "-Werror"]), *c_files])
    if python_files:
        found.append([linter, "check", "--no-cache", *(["--fix"] if fix else []), *python_files])
        found.append([linter, "format", "--no-cache", *([] if fix else ["--diff"]), *python_files])
    if any(file.startswith(f"{TYPED}/") for file in python_files):
        mypy = [sys.executable, "-m", "mypy", f"--cache-dir={os.devnull}", "--no-error-summary"]
        found.append([*mypy, f"--exclude={UNTYPED}", TYPED])
    return found


def main() -> int:
    """Runs every tool, also after one has found something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="correct the files in place")
    fix = parser.parse_args().fix
    root = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    files = sources(root)
    failures = 0
    # Packages that mypy is to find, itself among them.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for command in commands(files, fix=fix):
        failures += subprocess.run(command, cwd=root, env=environment, check=False).returncode != 0
    print(f"lint: {len(files)} files, {'see above' if failures else 'all in order'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

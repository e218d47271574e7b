"""Checks all sources: clang-format for C and C++, ruff for Python, mypy for the package dcsr, load() in Bazel's files.

bazel run //tools:lint            reports problems; exit status 1 if there are any
bazel run //tools:lint -- --fix   corrects what can be corrected automatically
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import build_files
import clang_format
import ruff

C_SUFFIXES = frozenset({".c", ".cc", ".h"})
TYPED = "python/dcsr"  # with `strict` in pyproject.toml
UNTYPED = r"(_test\.py$|/testing/)"  # within


def sources(root: Path) -> list[str]:
    """Returns the C, C++, Python and Bazel files below `root`, relative to it."""
    found = []
    for folder, subfolders, files in os.walk(root):
        # Skip hidden folders (Git, caches) and bazel-* (links to Bazel's outputs).
        subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "bazel-")))
        for file in sorted(files):
            path = Path(folder, file)
            if path.suffix in C_SUFFIXES | {".py"} or build_files.is_build_file(path):
                found.append(str(path.relative_to(root)))
    return found


def commands(files: Sequence[str], *, fix: bool) -> list[list[str]]:
    """Returns the commands that check or fix `files`."""
    formatter = str(Path(clang_format.__file__).parent / "data/bin/clang-format")
    # pip installs it in bin/, beside the package.
    linter = str(Path(ruff.__file__).parents[1] / "bin/ruff")
    c_files = [file for file in files if Path(file).suffix in C_SUFFIXES]
    python_files = [file for file in files if Path(file).suffix == ".py"]
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
    """Runs every tool, even if an earlier one reports problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="correct the files in place")
    fix = parser.parse_args().fix
    root = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    files = sources(root)
    problems = build_files.problems(root, [file for file in files if build_files.is_build_file(Path(file))])
    print("\n".join(problems), end="\n" if problems else "")
    failures = len(problems)
    # Packages that mypy is to find, itself among them.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for command in commands(files, fix=fix):
        failures += subprocess.run(command, cwd=root, env=environment, check=False).returncode != 0
    print(f"lint: {len(files)} files, {'see above' if failures else 'all in order'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

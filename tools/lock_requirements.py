"""Writes a hash-pinned lock file for each requirements file named on the command line.

    python3 tools/lock_requirements.py third_party/python/requirements.in

writes third_party/python/requirements_lock.txt. Every supported CPython resolves the requirements
with its own pip, so that markers such as `python_version < "3.11"` are evaluated correctly. A package
that resolves to different versions gets one line per version, with a marker that selects it.
Only wheels for x86-64 Linux are considered. `--source PACKAGE` locks the source archive of a package without a wheel.

The interpreters must be on PATH as python3.10, python3.11 and so on, each with pip 22.2 or later.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

PYTHON_MINORS = range(10, 15)

# glibc of Debian 12, the oldest supported system. It cannot load wheels for a newer glibc.
GLIBC_MINOR = 36

Pin = tuple[str, str]  # name, version


def canonical(name: str) -> str:
    """Returns the normalised name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pip(python: str, what: str, *arguments: str) -> None:
    """Runs pip; ends the program if it fails."""
    if subprocess.run([python, "-m", "pip", *arguments], check=False).returncode != 0:
        sys.exit(f"lock_requirements: {what}: pip of {python} failed, see above")


def installs(python: str, what: str, *arguments: str) -> list[dict]:
    """Returns the packages that `pip install` would install, from pip's report."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        options = ("--quiet", "--dry-run", "--ignore-installed", f"--report={report}", f"--target={scratch}/site")
        pip(python, what, "install", *options, *arguments)
        return json.loads(report.read_text())["install"]


def sha256(install: dict) -> str:
    """Returns the sha256 of the file of an entry of pip's report."""
    return install["download_info"]["archive_info"]["hashes"]["sha256"]


def resolve(requirements: Path, minor: int, sources: set[str]) -> dict[Pin, set[str]]:
    """Resolves `requirements` for CPython 3.`minor` without installing anything.

    Returns:
      The sha256 of the chosen wheel of each package; for packages in `sources`, of the source archive.
    """
    python = shutil.which(f"python3.{minor}")
    if python is None:
        sys.exit(f"lock_requirements: python3.{minor} is not on PATH")
    platforms = [f"manylinux_2_{glibc}_x86_64" for glibc in range(GLIBC_MINOR, 4, -1)]
    platforms += [f"manylinux{tag}_x86_64" for tag in ("2014", "2010", "1")]
    pins = {}
    with tempfile.TemporaryDirectory() as wheels:
        # For another platform, pip accepts source archives only with --no-deps. So build wheels from them first.
        for source in sources:
            pip(
                python,
                source,
                "wheel",
                "--quiet",
                "--use-pep517",
                "--no-deps",
                f"--no-binary={source}",
                f"--wheel-dir={wheels}",
                source,
            )
        chosen = installs(
            python,
            str(requirements),
            "--only-binary=:all:",
            f"--find-links={wheels}",
            *(f"--platform={platform}" for platform in platforms),
            f"--requirement={requirements}",
        )
    for install in chosen:
        name, version = canonical(install["metadata"]["name"]), install["metadata"]["version"]
        if name in sources:
            [install] = installs(python, name, "--use-pep517", "--no-deps", f"--no-binary={name}", f"{name}=={version}")
        pins[name, version] = {sha256(install)}
    return pins


def marker(minors: set[int], supported: range) -> str:
    """Returns the shortest marker that selects `minors` among `supported`."""
    low, high = min(minors), max(minors)
    if len(minors) != high - low + 1:
        return " or ".join(f'python_version == "3.{minor}"' for minor in sorted(minors))
    clauses = []
    if low != supported[0]:
        clauses.append(f'python_version >= "3.{low}"')
    if high != supported[-1]:
        clauses.append(f'python_version < "3.{high + 1}"')
    return " and ".join(clauses)


def lock_text(requirements: Path, supported: range, without: set[str], sources: set[str]) -> str:
    """Returns the text of the lock file of `requirements`, except the packages in `without`."""
    hashes: dict[Pin, set[str]] = defaultdict(set)
    minors: dict[Pin, set[int]] = defaultdict(set)
    for minor in supported:
        for pin, wheel in resolve(requirements, minor, sources).items():
            if pin[0] not in without:
                hashes[pin] |= wheel
                minors[pin].add(minor)
    lines = [
        f"# Made by tools/lock_requirements.py from {requirements.name}; to change it, change that and run it again.",
        f"# For CPython 3.{supported[0]} to 3.{supported[-1]} on x86-64 Linux.",
    ]
    for name, version in sorted(hashes):
        pin = (name, version)
        condition = marker(minors[pin], supported)
        lines.append(f"{name}=={version}" + (f" ; {condition}" if condition else "") + " \\")
        lines.append(" \\\n".join(f"    --hash=sha256:{digest}" for digest in sorted(hashes[pin])))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Locks every requirements file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requirements", nargs="+", type=Path, help="a file NAME.in; writes NAME_lock.txt beside it")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="leave out a package that others require, because another one stands in for it",
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="lock the source archive of a package that has no wheel; name it in source_packages in WORKSPACE too",
    )
    parser.add_argument(
        "--newest",
        type=int,
        default=PYTHON_MINORS[-1],
        metavar="N",
        help="lock for CPython up to 3.N only (default: %(default)s)",
    )
    arguments = parser.parse_args()
    supported = range(PYTHON_MINORS[0], arguments.newest + 1)
    without = {canonical(name) for name in arguments.without}
    sources = {canonical(name) for name in arguments.source}
    for requirements in arguments.requirements:
        lock = requirements.with_name(requirements.stem + "_lock.txt")
        lock.write_text(lock_text(requirements, supported, without, sources))
        print(lock)


if __name__ == "__main__":
    main()

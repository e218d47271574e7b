"""Tests bazelw on machines that lack programs. PATH has nothing but stand-ins, so nothing is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

BAZELW = Path.cwd() / "bazelw"
NEEDED = {"bazel", "python3", "gcc"}
ONLY_FOR_TESTS = {"qemu-system-arm", "espeak-ng", "flite", "cmake", "ninja"}
NO_SIMULATOR = "--//toolchains:simulator=none"


@pytest.fixture(name="bazelw")
def _bazelw(tmp_path):
    """Returns a function that runs bazelw on a machine with some programs.

    It returns (exit status, arguments of Bazel, messages).
    """

    def run(programs: set[str], *arguments: str, **variables: str) -> tuple[int, str, str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        for program in programs:
            stand_in = folder / program
            stand_in.write_text('#!/bin/sh\necho "$@"\n' if program == "bazel" else "#!/bin/sh\n")
            stand_in.chmod(0o755)
        for program in ("env", "id"):
            (folder / program).symlink_to(f"/usr/bin/{program}")
        environment = {"PATH": str(folder), **variables}
        result = subprocess.run(
            ["/bin/sh", os.path.realpath(BAZELW), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout.strip(), result.stderr

    return run


def test_a_complete_machine_runs_bazel_without_a_word(bazelw):
    assert bazelw(NEEDED | ONLY_FOR_TESTS, "test", "//...") == (0, "test //...", "")


def test_only_tests_need_the_programs_of_the_tests(bazelw):
    assert bazelw(NEEDED, "run", "//python:compress") == (0, "run //python:compress", "")


def test_without_them_tests_are_skipped_by_name(bazelw):
    status, arguments, messages = bazelw(NEEDED, "test", "--jobs=2", "--", "//...", "-//models/...")
    assert (status, arguments) == (0, f"test {NO_SIMULATOR} --jobs=2 -- //... -//models/...")
    assert "missing on this machine: qemu-system-arm espeak-ng flite cmake ninja-build" in messages
    assert "there is no apt-get here" in messages
    assert all(name in messages for name in ("SKIPPED", "//python/training:data_test", "//tests:plain_build_test"))


def test_without_cmake_only_its_tests_are_skipped(bazelw):
    status, arguments, messages = bazelw((NEEDED | ONLY_FOR_TESTS) - {"cmake"}, "test", "//...")
    assert (status, arguments) == (0, "test //...")
    assert "//tests:plain_build_test" in messages
    assert "SKIPPED" not in messages and "data_test" not in messages


def test_the_fvp_replaces_qemu_where_it_is_named(bazelw):
    programs = (NEEDED | ONLY_FOR_TESTS) - {"qemu-system-arm"}
    _, arguments, messages = bazelw(programs, "test", "//...", FVP_CORSTONE_300="/opt/fvp")
    assert arguments == "test //..."
    assert "QEMU for ARM" in messages and "SKIPPED" not in messages


def test_a_failed_installation_is_no_obstacle_for_the_others(bazelw):
    programs = (NEEDED | ONLY_FOR_TESTS | {"apt-get", "sudo"}) - {"qemu-system-arm"}
    status, arguments, messages = bazelw(programs, "test", "//...")
    assert (status, arguments) == (0, f"test {NO_SIMULATOR} //...")
    assert "installing them with" in messages and "not all that was installed is what PATH finds" in messages


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_without_the_programs_of_every_build_nothing_runs(bazelw, missing):
    status, arguments, messages = bazelw((NEEDED | ONLY_FOR_TESTS) - {missing}, "build", "//...")
    assert (status, arguments) == (1, "")
    assert "install these yourself" in messages and "then run it again" in messages
    assert "skipped" not in messages

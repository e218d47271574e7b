"""Builds and runs consumer/, a project that depends on this repository, with a separate Bazel instance.

It uses the fake TensorFlow Lite Micro of ops/tflm/testing, because this repository does not download the real one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# The source tree, not the runfiles, because the dependency is the whole repository.
CONSUMER = Path(__file__).resolve().with_name("consumer")
FAKE_TFLM = Path.cwd() / "ops/tflm/testing/fake"

TFLM_BUILD = """\
cc_library(
    name = "framework",
    srcs = ["micro_log.cc"],
    hdrs = glob(["**/*.h"]),
    defines = ["DCSR_FAKE_TFLM=1"],
    includes = ["."],
    visibility = ["//visibility:public"],
)
"""
MICRO_LOG = """\
#include "tensorflow/lite/micro/micro_log.h"
void MicroPrintf(const char*, ...) {}
"""


class Bazel:
    """A Bazel instance that keeps all its files in one folder."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("bazel") or shutil.which("bazelisk")
        if program is None:
            pytest.skip("no bazel on PATH")
        self._startup = [program, f"--output_user_root={folder / 'root'}", "--host_jvm_args=-Xmx512m"]
        self._folder = folder
        self._flags: list[str] = []
        # Bazel 7 needs this flag to read a WORKSPACE. Bazel 4 does not know it.
        if self.run("info", "--noenable_bzlmod", "release", check=False).returncode == 0:
            self._flags = ["--noenable_bzlmod"]

    def run(self, command: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("TEST_", "BUILD_"))}
        environment |= {"HOME": str(self._folder)}
        result = subprocess.run(
            [*self._startup, command, *getattr(self, "_flags", []), *arguments],
            cwd=CONSUMER,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or result.returncode == 0, result.stdout
        return result


@pytest.fixture(name="bazel", scope="module")
def _bazel(tmp_path_factory) -> Iterator[Bazel]:
    bazel = Bazel(tmp_path_factory.mktemp("bazel"))
    yield bazel
    bazel.run("shutdown")


@pytest.fixture(name="tflm")
def _tflm(tmp_path) -> Path:
    folder = tmp_path / "tflm"
    shutil.copytree(FAKE_TFLM, folder)
    (folder / "WORKSPACE").touch()
    (folder / "BUILD").write_text(TFLM_BUILD)
    (folder / "micro_log.cc").write_text(MICRO_LOG)
    return folder


def flags(tflm: Path) -> list[str]:
    return [
        f"--override_repository=tflm={tflm}",
        "--compilation_mode=opt",
        "--jobs=2",
        "--nosandbox_debug",
        "--symlink_prefix=/",
        "--color=no",
        "--curses=no",
        "--noshow_progress",
    ]


def test_project_with_this_repository_as_dependency_builds_and_runs(bazel, tflm):
    output = bazel.run("test", *flags(tflm), "--test_output=all", "//...").stdout
    assert "DCSR_CONV_2D is registered" in output
    assert "DCSR_FULLY_CONNECTED is registered" in output
    assert "a packed layer is multiplied" in output


def test_without_tflm_the_ops_are_skipped_and_the_kernels_build(bazel, tflm):
    unset = "--@dcsr//third_party/tflm:framework=@dcsr//third_party/tflm:none"
    output = bazel.run("test", *flags(tflm), unset, "//...").stdout
    assert "SKIPPED" in next(line for line in output.splitlines() if line.startswith("//:ops_test"))
    assert "PASSED" in next(line for line in output.splitlines() if line.startswith("//:kernels_test"))


def test_dependency_brings_no_repository_that_was_not_asked_for(bazel, tflm):
    bazel.run("build", *flags(tflm), "//...")
    external = Path(bazel.run("info", "output_base").stdout.strip().splitlines()[-1], "external")
    fetched = {path.name for path in external.iterdir()}
    assert not fetched & {"arm_gcc", "pip", "pip_training", "pip_lint", "host_python"}

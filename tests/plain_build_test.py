"""Tests builds without Bazel: the commands in docs/embedding.md, and CMakeLists.txt."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path.cwd()  # the runfiles, with the same folders as the repository
ARM_GCC = ROOT.parent / "arm_gcc/bin/arm-none-eabi-gcc"
FAKE_TFLM = ROOT / "ops/tflm/testing/fake"
HEADING = "## A plain compiler"

CORES = {
    "host": [],
    "cortex-m0plus": ["-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"],
    "cortex-m4": ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard"],
    "cortex-m55": ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"],
}
WARNINGS = ["-Wall", "-Wextra", "-Werror"]

# The CMakeLists.txt of an application: one target uses the kernels, one the ops.
CMAKE = """\
cmake_minimum_required(VERSION 3.13)
project(app LANGUAGES C CXX)
set(DCSR_TFLM "{tflm}" CACHE STRING "")
set(DCSR_TFLM_DEFINITIONS DCSR_FAKE_TFLM=2 CACHE STRING "")
set(DCSR_COMPILE_OPTIONS -O2;{options} CACHE STRING "")
add_subdirectory("{dcsr}" dcsr)
add_{kind}(kernels_app {static} "{dcsr}/tests/exported_weights_test.c")
target_link_libraries(kernels_app PRIVATE dcsr::kernels)
add_{kind}(ops_app {static} ops_app.cc)
target_link_libraries(ops_app PRIVATE dcsr::ops)
"""

OPS_APP = """\
#include "ops/tflm/tflm_ops.h"
void MicroPrintf(const char*, ...) {}
int main() {
  tflite::MicroMutableOpResolver<2> resolver;
  if (dcsr::AddDcsrOps(resolver) != kTfLiteOk) return 1;
  return resolver.FindOp("DCSR_CONV_2D") == nullptr || resolver.FindOp("DCSR_FULLY_CONNECTED") == nullptr;
}
"""


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Runs a command in `folder` and returns its output. Asserts that it succeeds."""
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}"
    return result.stdout


def compiler(core: str) -> str:
    return "gcc" if core == "host" else str(ARM_GCC)


def documented_commands() -> str:
    """Returns the commands of docs/embedding.md, without the line that sets CC."""
    text = (ROOT / "docs/embedding.md").read_text()
    section = text[text.index(HEADING) :]
    block = re.search(r"\n\n((?:    .*\n)+)", section)
    assert block, f"no commands below {HEADING}"
    lines = [line.strip() for line in block[1].splitlines()]
    commands = [line for line in lines if not line.startswith("CC=")]
    assert len(commands) >= 3, lines
    return "\n".join(commands)


@pytest.mark.parametrize("core", CORES)
def test_commands_of_the_document_build(core, tmp_path):
    flags = [*CORES[core], *WARNINGS, "-DDCSR_FAKE_TFLM=1"]
    run(
        ["sh", "-eu", "-c", documented_commands()],
        tmp_path,
        CC=" ".join([compiler(core), *flags]),
        DCSR=str(ROOT),
        TFLM=str(FAKE_TFLM),
    )
    objects = sorted(path.name for path in tmp_path.glob("*.o"))
    expected = {path.stem + ".o" for path in kernel_sources()} | {"dcsr_ops.o", "tflm_ops.o", "tflm_port.o"}
    assert set(objects) == expected
    # The kernels link on their own: no object refers to a missing one.
    if core == "host":
        kernels = [path.stem + ".o" for path in kernel_sources()]
        main = str(ROOT / "tests/exported_weights_test.c")
        run(["gcc", "-std=c11", f"-I{ROOT}", main, *kernels, "-o", "app"], tmp_path)
        run(["./app"], tmp_path)


def kernel_sources() -> list[Path]:
    """Returns the C files of a firmware. The runfiles of this test contain only those of //tflm_kernels:sources."""
    return list((ROOT / "tflm_kernels").glob("**/*.c"))


@pytest.mark.parametrize("core", ["host", "cortex-m55"])
def test_cmake_builds(core, tmp_path):
    if shutil.which("cmake") is None or not (shutil.which("ninja") or shutil.which("make")):
        pytest.skip("no cmake with ninja or make on PATH (Debian: cmake ninja-build)")
    is_host = core == "host"
    kind, static = ("executable", "") if is_host else ("library", "STATIC")
    options = ";".join([*CORES[core], *WARNINGS])
    text = CMAKE.format(tflm=FAKE_TFLM, options=options, dcsr=ROOT, kind=kind, static=static)
    (tmp_path / "CMakeLists.txt").write_text(text)
    (tmp_path / "ops_app.cc").write_text(OPS_APP)
    configure = ["cmake", "-S", ".", "-B", "build", "-G", "Ninja" if shutil.which("ninja") else "Unix Makefiles"]
    if not is_host:
        # Like a toolchain file: -mcpu also applies to the application's own sources.
        flags = " ".join(CORES[core])
        configure += [
            "-DCMAKE_SYSTEM_NAME=Generic",
            "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
            f"-DCMAKE_C_COMPILER={ARM_GCC}",
            f"-DCMAKE_CXX_COMPILER={ARM_GCC}",
            f"-DCMAKE_C_FLAGS={flags}",
            f"-DCMAKE_CXX_FLAGS={flags}",
        ]
    run(configure, tmp_path)
    run(["cmake", "--build", "build"], tmp_path)
    # The suffix is .o or .obj.
    built = {path.name.split(".")[0] for path in tmp_path.glob("build/dcsr/**/*.c.o*")}
    assert built == {path.stem for path in kernel_sources()}
    if is_host:
        run(["build/kernels_app"], tmp_path)
        run(["build/ops_app"], tmp_path)

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
CMAKE_HEADING = "## CMake"

CORES = {
    "host": [],
    "cortex-m0plus": ["-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"],
    "cortex-m4": ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard"],
    "cortex-m55": ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"],
}
WARNINGS = ["-Wall", "-Wextra", "-Werror"]

# The CMakeLists.txt of an application, around the lines of docs/embedding.md.
CMAKE = """\
cmake_minimum_required(VERSION 3.13)
project(app LANGUAGES C CXX)
set(DCSR_COMPILE_OPTIONS -O2 {options})
add_library(tflm INTERFACE)
target_include_directories(tflm INTERFACE "{tflm}")
target_compile_definitions(tflm INTERFACE DCSR_FAKE_TFLM=2)
add_{kind}(firmware {static} ops_app.cc)
add_{kind}(kernels_app {static} tests/exported_weights_test.c)
target_include_directories(kernels_app PRIVATE .)
{documented}
target_link_libraries(kernels_app PRIVATE dcsr::kernels)
"""

OPS_APP = """\
#include "ops/tflm/tflm_ops.h"
void MicroPrintf(const char*, ...) {}
int main() {
  tflite::MicroMutableOpResolver<3> resolver;
  if (dcsr::AddDcsrOps(resolver) != kTfLiteOk) return 1;
  return resolver.FindOp("DCSR_CONV_2D") == nullptr || resolver.FindOp("DCSR_DEPTHWISE_CONV_2D") == nullptr;
}
"""


# A function around the lines for the kernels alone. The layers are those of tests/embedding/kernels_test.c.
KERNELS_ALONE = """\
#define main test_main
#include "tests/embedding/kernels_test.c"
#undef main
static int run(const uint8_t* blob, size_t blob_bytes, const int8_t* input, int8_t* output, void* scratch) {{
{layer}
  return plan.scratch_bytes > 0;
}}
static int run_shared(const uint8_t* blob, size_t blob_bytes, const uint8_t* shared, size_t shared_bytes,
                      const int8_t* input, int8_t* output, void* scratch, void* derived) {{
  DcsrLayer layer;
{shared_rows}
{rest}
  return plan.scratch_bytes > 0;
}}
int main(void) {{
  int8_t input[kCols], output[kRows] = {{0}};
  for (int i = 0; i < kCols; ++i) input[i] = (int8_t)((37 * i + 11) % 256 - 128);
  if (run(kLayer, sizeof(kLayer), input, output, NULL) != 0 || memcmp(output, kExpected, sizeof(output)) != 0) return 2;
  // A layer without shared rows has no second blob.
  return run_shared(kLayer, sizeof(kLayer), kLayer, 0, input, output, NULL, NULL) != 1 || test_main() != 0;
}}
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


def blocks(heading: str) -> list[list[str]]:
    """Returns the indented blocks of a section of docs/embedding.md, as lines without their indentation."""
    text = (ROOT / "docs/embedding.md").read_text()
    section = text[text.index(f"\n{heading}\n") + 1 :].split("\n## ")[0]
    found = [match[1] for match in re.finditer(r"(?<=\n\n)((?:    .*\n)+)", section)]
    assert found, f"no block below {heading}"
    return [[line.strip() for line in text.splitlines()] for text in found]


def documented_commands() -> str:
    """Returns the block of commands, without the line that sets the variables."""
    commands = [line for line in blocks(HEADING)[0] if not line.startswith("CC=")]
    assert len(commands) >= 3, commands
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
    ops = {"dcsr_ops.o", "dcsr_ops_with_shared_rows.o", "tflm_ops.o", "tflm_port.o"}
    assert set(objects) == {path.stem + ".o" for path in kernel_sources()} | ops
    # The kernels link on their own: no object refers to a missing one.
    if core == "host":
        kernels = [path.stem + ".o" for path in kernel_sources()]
        main = str(ROOT / "tests/exported_weights_test.c")
        run(["gcc", "-std=c11", f"-I{ROOT}", main, *kernels, "-o", "app"], tmp_path)
        run(["./app"], tmp_path)


def test_the_lines_for_the_kernels_alone_run(tmp_path):
    include, layer, shared_rows = ("\n".join(lines) for lines in blocks("## Without TFLM"))
    assert include in (ROOT / "tests/embedding/kernels_test.c").read_text()
    layer = layer.replace("{ ... }", "{ return 1; }")
    shared_rows = shared_rows.replace("{ ... }", "{ return 1; }").replace("= ...;", "= derived;")
    rest = layer[layer.index("const DcsrKernels*") :]
    (tmp_path / "app.c").write_text(KERNELS_ALONE.format(layer=layer, shared_rows=shared_rows, rest=rest))
    sources = [str(path) for path in kernel_sources()]
    run(["gcc", "-std=c11", *WARNINGS, f"-I{ROOT}", "app.c", *sources, "-o", "app"], tmp_path)
    run(["./app"], tmp_path)


def test_the_lines_for_any_model_compile(tmp_path):
    text = (ROOT / "docs/embedding.md").read_text()
    text = text[text.index("### Any model\n") :]
    include, *lines = re.search(r":\n\n((?:    .*\n|\n)+)", text)[1].strip().splitlines()
    assert "AddDcsrOps" in "".join(lines)
    # The fake resolver has no builtin operators.
    prelude = f'{include.strip()}\n#define AddSoftmax() FindOp("")\n'
    (tmp_path / "app.cc").write_text(prelude + "int main() {\n" + "\n".join(lines) + "\n}\n")
    flags = ["-std=c++17", *WARNINGS, f"-I{ROOT}", f"-I{FAKE_TFLM}", "-DDCSR_FAKE_TFLM=1"]
    run(["gcc", *flags, "-fsyntax-only", "app.cc"], tmp_path)


def kernel_sources() -> list[Path]:
    """Returns the C files of a firmware. The runfiles of this test contain only those of //tflm_kernels:sources."""
    return list((ROOT / "tflm_kernels").glob("**/*.c"))


def toolchain(core: str) -> list[str]:
    """Returns the definitions that a toolchain file of the core would have."""
    if core == "host":
        return []
    # -mcpu is for the application's own sources, too.
    flags = " ".join(CORES[core])
    return [
        "-DCMAKE_SYSTEM_NAME=Generic",
        "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
        f"-DCMAKE_C_COMPILER={ARM_GCC}",
        f"-DCMAKE_CXX_COMPILER={ARM_GCC}",
        f"-DCMAKE_C_FLAGS={flags}",
        f"-DCMAKE_CXX_FLAGS={flags}",
    ]


@pytest.fixture(name="project")
def _project(tmp_path) -> Path:
    """A project with this repository at third_party/dcsr."""
    if shutil.which("cmake") is None or not (shutil.which("ninja") or shutil.which("make")):
        pytest.skip("no cmake with ninja or make on PATH (Debian: cmake ninja-build)")
    (tmp_path / "ops_app.cc").write_text(OPS_APP)
    (tmp_path / "tests").mkdir()
    for name in ("exported_weights.h", "exported_weights_test.c"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    (tmp_path / "third_party").mkdir()
    (tmp_path / "third_party/dcsr").symlink_to(ROOT)
    return tmp_path


def build_project(project: Path, core: str, lines: list[str], *options: str) -> None:
    """Writes the CMakeLists.txt with the documented lines, builds it for the core and, on the host, runs it."""
    kind, static = ("executable", "") if core == "host" else ("library", "STATIC")
    (project / "CMakeLists.txt").write_text(
        CMAKE.format(tflm=FAKE_TFLM, options=" ".join(WARNINGS), kind=kind, static=static, documented="\n".join(lines))
    )
    generator = "Ninja" if shutil.which("ninja") else "Unix Makefiles"
    run(["cmake", "-S", ".", "-B", "build/app", "-G", generator, *toolchain(core), *options], project)
    run(["cmake", "--build", "build/app"], project)
    if core == "host":
        run(["build/app/kernels_app"], project)
        run(["build/app/firmware"], project)


@pytest.mark.parametrize("core", ["host", "cortex-m55"])
def test_cmake_builds_the_repository_as_a_folder_of_a_project(core, project):
    subdirectory, _, _ = blocks(CMAKE_HEADING)
    build_project(project, core, subdirectory)
    # .o or .obj
    built = {path.name.split(".")[0] for path in project.glob("build/app/third_party/dcsr/**/*.c.o*")}
    assert built == {path.stem for path in kernel_sources()}


@pytest.mark.parametrize("core", ["host", "cortex-m55"])
def test_cmake_finds_the_installed_package_without_the_sources(core, project):
    _, install, found = blocks(CMAKE_HEADING)
    configure, *rest = install
    commands = [" ".join([configure, *(f"'{option}'" for option in toolchain(core))]), *rest]
    run(["sh", "-eu", "-c", "\n".join(commands)], project)
    (project / "third_party/dcsr").unlink()
    shutil.rmtree(project / "build/dcsr")
    build_project(project, core, found, f"-DCMAKE_PREFIX_PATH={project / 'build/installed'}")

"""Follows docs/embedding.md: writes the files that it gives as they stand there, and builds and runs them.

Its TensorFlow Lite Micro (TFLM) is the fake of ops/tflm/testing, because no registry has the real source: as a source
tree for examples/tflm, and in targets shaped as TFLM's own. The compiler for Cortex-M and the Python packages are those
that this test's own Bazel has fetched, so nothing is downloaded twice.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# The source tree, not the runfiles: a project depends on the whole repository.
SOURCE = Path(__file__).resolve().parents[1]
APP = SOURCE / "tests/embedding"
FAKE_TFLM = SOURCE / "ops/tflm/testing/fake"
DOCUMENT = SOURCE / "docs/embedding.md"
EXAMPLE_TFLM = SOURCE / "examples/tflm/README.md"

# A stand-in for a clone of TFLM with its downloads, for the commands of examples/tflm. The BUILD files are to be
# deleted, the sources with #error are not to be compiled.
ERROR = "#error this file does not belong into the library\n"
ARM_KERNEL = """\
#include "Include/arm_nnfunctions.h"
#include "arm_nnfunctions.h"
#ifndef CMSIS_NN
#error CMSIS_NN is not defined
#endif
const char* ConvKernel() { return arm_convolve(); }
"""
TFLM_CLONE = {
    "signal/BUILD": "no BUILD file",
    "signal/signal.h": "",
    "tensorflow/lite/micro/BUILD": "no BUILD file",
    "tensorflow/lite/micro/micro_log_test.cc": ERROR,
    "tensorflow/lite/micro/kernels/conv.cc": 'const char* ConvKernel() { return "portable"; }\n',
    "tensorflow/lite/micro/kernels/conv_test.cc": ERROR,
    "tensorflow/lite/micro/kernels/cmsis_nn/conv.cc": ARM_KERNEL,
    "tensorflow/lite/micro/kernels/xtensa/conv.cc": ERROR,
}
DOWNLOADS = {
    "cmsis_nn/Include/arm_nnfunctions.h": '#pragma once\nextern "C" const char* arm_convolve(void);\n',
    "cmsis_nn/Source/arm_convolve.c": 'const char* arm_convolve(void) { return "CMSIS-NN"; }\n',
    "cmsis_nn/Source/arm_convolve_f32.c": ERROR,
    "flatbuffers/include/codegen/BUILD.bazel": "no BUILD file",
    "flatbuffers/include/flatbuffers/flatbuffers.h": "",
    "gemmlowp/BUILD": "no BUILD file",
    "kissfft/kiss_fft.h": "",
    "ruy/WORKSPACE": "",
    "ruy/ruy/BUILD": "no BUILD file",
    "ruy/ruy/ruy.h": "",
}
# Prints which kernels a target of examples/tflm has.
WHICH_KERNELS = """\
#include <cstdio>
const char* ConvKernel();
int main() { std::printf("convolutions are %s\\n", ConvKernel()); }
"""
WHICH_KERNELS_BUILD = """
[cc_test(
    name = "which_kernels_" + framework,
    srcs = ["which_kernels.cc"],
    deps = ["@tflm//:" + framework],
) for framework in ["framework", "framework_cmsis_nn"]]
"""

# As TFLM's tflm_cc_library, with its flags, and without `includes`: the compiler then prints warnings of its headers.
TFLM_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")

cc_library(
    name = "micro_framework",
    srcs = ["micro_log.cc"],
    hdrs = glob(["**/*.h"]),
    copts = ["-Wall", "-fno-exceptions"],
    defines = ["DCSR_FAKE_TFLM=1"],
    visibility = ["//visibility:public"],
    deps = ["//:fake_tflm"],
)

cc_library(
    name = "op_resolvers",
    visibility = ["//visibility:public"],
    deps = [":micro_framework"],
)
"""
TFLM_ROOT_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library")

cc_library(
    name = "fake_tflm",
    hdrs = ["fake_tflm.h"],
    visibility = ["//visibility:public"],
)
"""
MICRO_LOG = """\
#include "tensorflow/lite/micro/micro_log.h"
void MicroPrintf(const char*, ...) {}
"""
# What TFLM's headers do and our own warnings refuse.
LAX_HEADER = """\
#pragma once
#if NOT_DEFINED_ANYWHERE
#endif
inline int Lax(int unused) { int shadow = 0; { int shadow = 1; (void)shadow; } return shadow; }
"""

KERNELS_BUILD = """
cc_test(
    name = "kernels_test",
    srcs = ["kernels_test.c"],
    deps = ["@dcsr//tflm_kernels"],
)
"""

# A project without the tools and without the compiler for Cortex-M.
SMALL_WORKSPACE = """\
local_repository(name = "dcsr", path = "third_party/dcsr")
local_repository(name = "tflm", path = "third_party/tflm")
load("@dcsr//:repositories.bzl", "dcsr_repositories")
dcsr_repositories()
"""
SMALL_BUILD = """\
load("@rules_cc//cc:defs.bzl", "cc_library", "cc_test")

cc_test(
    name = "ops_test",
    srcs = ["ops_test.cc"],
    deps = ["@dcsr//ops"],
)
"""


def section(heading: str) -> str:
    """The text below a heading of docs/embedding.md."""
    text = DOCUMENT.read_text()
    start = text.index(f"\n## {heading}\n")
    end = text.find("\n## ", start + 1)
    return text[start : end if end >= 0 else len(text)]


def block(heading: str, label: str) -> str:
    """The indented block of a section that follows the paragraph which ends in `label`."""
    found = re.search(rf"{re.escape(label)}\n\n((?:    .*\n|\n)+)", section(heading))
    assert found, f"docs/embedding.md, {heading}: no block after {label!r}"
    return re.sub(r"^    ", "", found[1], flags=re.MULTILINE).strip("\n") + "\n"


def copy_of_the_repository(target: Path) -> None:
    """Copies the source tree without the files of Bazel, Git and other tools."""
    not_ours = shutil.ignore_patterns("bazel-*", ".git", ".ruff_cache", "__pycache__", "dist")
    shutil.copytree(SOURCE, target, ignore=not_ours)


def example_tflm(folder: Path) -> None:
    """Makes third_party/tflm of a project in `folder` with the commands of examples/tflm."""
    clone = folder / "clone"
    shutil.copytree(FAKE_TFLM / "tensorflow", clone / "tensorflow")
    downloads = clone / "tensorflow/lite/micro/tools/make/downloads"
    header = "#define DCSR_FAKE_TFLM 1\n" + (FAKE_TFLM / "fake_tflm.h").read_text()
    files = {clone / name: text for name, text in TFLM_CLONE.items()}
    files |= {downloads / name: text for name, text in DOWNLOADS.items()}
    files |= {clone / "tensorflow/lite/micro/micro_log.cc": MICRO_LOG, downloads / "gemmlowp/fake_tflm.h": header}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    commands = re.search(r"Then make the folder `tflm`.*\n\n((?:    .*\n)+)", EXAMPLE_TFLM.read_text())
    assert commands
    script = f"TFLM={clone} DCSR={folder / 'third_party/dcsr'}\n{commands[1]}"
    subprocess.run(["sh", "-euc", script], cwd=folder / "third_party", check=True)
    shutil.rmtree(clone)
    # Everything below is a part of its package.
    build_files = [path.relative_to(folder) for path in (folder / "third_party/tflm").rglob("BUILD*")]
    assert build_files == [Path("third_party/tflm/BUILD.bazel")]


def tflm_with_its_own_targets(folder: Path) -> None:
    """Makes a repository with targets shaped as TFLM's own."""
    shutil.copytree(FAKE_TFLM, folder)
    (folder / "WORKSPACE").touch()
    (folder / "BUILD").write_text(TFLM_ROOT_BUILD)
    micro = folder / "tensorflow/lite/micro"
    (micro / "BUILD").write_text(TFLM_BUILD)
    (micro / "micro_log.cc").write_text(MICRO_LOG)
    resolver = micro / "micro_mutable_op_resolver.h"
    resolver.write_text(LAX_HEADER + resolver.read_text())


def fetched_repository(name: str, member: Path) -> Path:
    """The folder of a repository of this test's Bazel, by one of its files. With Bzlmod its name has a prefix."""
    found = [path for path in member.resolve().parents if re.fullmatch(rf"(.*[~+])?{name}", path.name)]
    assert found, f"{member} is not in the repository {name}"
    return found[-1]


class Project:
    """A project that depends on this repository, with a Bazel that keeps all its files in one folder."""

    def __init__(self, root: Path) -> None:
        program = shutil.which("bazel") or shutil.which("bazelisk")
        if program is None:
            pytest.skip("no bazel on PATH")
        self.root = root
        self.folder = root / "project"
        self._startup = [program, f"--output_user_root={root / 'bazel'}", "--host_jvm_args=-Xmx512m"]
        self._flags: list[str] = []
        copy_of_the_repository(self.folder / "third_party/dcsr")
        repositories = {
            "pip": fetched_repository("pip", Path(pytest.__file__)),
            "arm_gcc": fetched_repository("arm_gcc", Path.cwd().parent / "arm_gcc/bin/arm-none-eabi-gcc"),
        }
        self._repositories = [f"--override_repository={name}={path}" for name, path in repositories.items()]

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def start(self) -> None:
        # Bazel 7 needs this flag to read a WORKSPACE. Bazel 4 does not have it.
        if self.run("info", "--noenable_bzlmod", "release", check=False).returncode == 0:
            self._flags = ["--noenable_bzlmod"]

    def run(
        self, command: str, *arguments: str, check: bool = True, fetch: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command of Bazel. `fetch` names a repository that the project is to fetch for itself."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("TEST_", "BUILD_"))}
        environment |= {"HOME": str(self.root)}
        flags = [] if command in ("shutdown", "info") else [f for f in self._repositories if f"={fetch}=" not in f]
        result = subprocess.run(
            [*self._startup, command, *self._flags, *flags, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or result.returncode == 0, result.stdout
        return result

    def output(self, command: str, *arguments: str) -> str:
        quiet = [
            "--jobs=2",
            "--symlink_prefix=/",
            "--color=no",
            "--curses=no",
            "--noshow_progress",
            "--nosandbox_debug",
        ]
        # As tools/bazel does for the repository itself.
        if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").total >= 4 << 30:
            quiet.append("--sandbox_base=/dev/shm")
        return self.run(command, *quiet, *arguments).stdout


@pytest.fixture(name="documented", scope="module")
def _documented(tmp_path_factory) -> Iterator[Project]:
    """The project of "Bazel, WORKSPACE"."""
    project = Project(tmp_path_factory.mktemp("documented"))
    heading = "Bazel, WORKSPACE"
    project.write(
        {
            "WORKSPACE": block(heading, "In `WORKSPACE`:"),
            ".bazelrc": block(heading, "In `.bazelrc`:"),
            ".bazelignore": block(heading, "means your own packages:"),
            "BUILD": block(heading, "In `BUILD`:") + KERNELS_BUILD + WHICH_KERNELS_BUILD,
            "which_kernels.cc": WHICH_KERNELS,
        }
    )
    example_tflm(project.folder)
    shutil.copy(APP / "app.cc", project.folder)
    shutil.copy(APP / "kernels_test.c", project.folder)
    shutil.copy(SOURCE / "models/fashion_dscnn_90.tflite", project.folder / "model.tflite")
    project.start()
    yield project
    project.run("shutdown")


@pytest.fixture(name="small", scope="module")
def _small(tmp_path_factory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("small"))
    tflm_with_its_own_targets(project.folder / "third_party/tflm")
    deps = block("Bazel, Bzlmod", "In `BUILD` its targets are then")
    flags = block("Bazel, WORKSPACE", "In `.bazelrc`:")
    project.write(
        {
            "WORKSPACE": SMALL_WORKSPACE,
            ".bazelrc": "".join(line + "\n" for line in flags.splitlines() if "resolution" not in line),
            ".bazelignore": "third_party/dcsr\nthird_party/tflm\n",
            "BUILD": SMALL_BUILD + f'cc_library(\n    name = "tflm",\n{deps})\n' + KERNELS_BUILD,
            "ops_test.cc": '#include "ops/tflm/tflm_ops.h"\n'
            "int main() {\n"
            "  tflite::MicroMutableOpResolver<3> resolver;\n"
            "  return dcsr::AddDcsrOps(resolver) == kTfLiteOk ? 0 : 1;\n"
            "}\n",
        }
    )
    shutil.copy(APP / "kernels_test.c", project.folder)
    project.start()
    yield project
    project.run("shutdown")


def test_the_documented_project_builds_and_runs_on_the_host_and_on_a_core(documented):
    output = documented.output("test", "--test_output=all", "//...")
    for name in ("DCSR_CONV_2D", "DCSR_FULLY_CONNECTED", "DCSR_DEPTHWISE_CONV_2D"):
        assert output.count(f"{name} is registered") == 2
    assert len(re.findall(r"the model has \d{4,} bytes", output)) == 2
    assert "a packed layer is multiplied" in output
    # The two targets of examples/tflm.
    assert "convolutions are portable" in output
    assert "convolutions are CMSIS-NN" in output


def test_the_tools_run_from_the_documented_project(documented):
    small = documented.folder / "again.tflite"
    documented.output("run", "@dcsr//python:compress", "--", str(documented.folder / "model.tflite"), "-o", str(small))
    assert "identical" in documented.output(
        "run", "@dcsr//python:verify", "--", str(documented.folder / "model.tflite"), str(small), "--samples", "1"
    )


def test_no_tool_has_an_empty_package_dcsr_before_ours(documented):
    """Bazel would make one of the folder of the repository, which is named dcsr too."""
    programs = documented.run("query", 'kind("py_binary rule", @dcsr//python/...)', "--output=build").stdout
    rules = re.findall(r"^py_binary\((.*?)^\)", programs, re.MULTILINE | re.DOTALL)
    assert len(rules) > 10
    assert not [rule for rule in rules if "legacy_create_init = 0," not in rule]


def test_a_machine_without_a_mirror_of_debian_is_told_what_to_set(documented, tmp_path, monkeypatch):
    if shutil.which("apt-get") is None:
        pytest.skip("no apt-get on PATH")
    sources, configuration = tmp_path / "sources.list", tmp_path / "apt.conf"
    sources.write_text("deb http://archive.ubuntu.com/ubuntu noble main\n")
    configuration.write_text(f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "{tmp_path}/none";\n')
    monkeypatch.setenv("APT_CONFIG", str(configuration))
    monkeypatch.delenv("DCSR_DEBIAN_MIRROR", raising=False)
    result = documented.run("query", "@arm_gcc//:all", check=False, fetch="arm_gcc")
    assert result.returncode != 0
    assert "export DCSR_DEBIAN_MIRROR=http://MIRROR/debian" in result.stdout


def test_our_sources_have_no_warnings_as_errors_in_a_project(small):
    # The headers of TFLM would not pass ours (LAX_HEADER).
    output = small.output("test", "--compilation_mode=opt", "--subcommands", "//...")
    ours = [line for line in output.splitlines() if "/dcsr/" in line and " -c " in line]
    assert ours
    assert not [line for line in ours if "-Werror" in line]


def test_without_tflm_the_ops_are_skipped_and_the_kernels_build(small):
    unset = "--@dcsr//third_party/tflm:framework=@dcsr//third_party/tflm:none"
    output = small.output("test", unset, "//...")
    assert "SKIPPED" in next(line for line in output.splitlines() if line.startswith("//:ops_test"))
    assert "PASSED" in next(line for line in output.splitlines() if line.startswith("//:kernels_test"))


def test_the_dependency_brings_no_repository_that_was_not_asked_for(small):
    small.output("build", "//...")
    external = Path(small.run("info", "output_base").stdout.strip().splitlines()[-1], "external")
    fetched = {path.name for path in external.iterdir()}
    assert "rules_cc" in fetched
    assert not fetched & {"arm_gcc", "pip", "pip_training", "pip_lint", "host_python"}

"""Tests the files by which other build systems find this repository: Zephyr, ESP-IDF, PlatformIO, CMSIS-Packs, Arduino.

Their own tools are not run. The sources that the files name are built with CMake or the host's compiler, with stand-ins
for the functions of Zephyr and ESP-IDF, and with the fake of TensorFlow Lite Micro's headers. docs/embedding.md says
what else was checked.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

ROOT = Path.cwd()  # the runfiles, with the same folders as the repository
FAKE_TFLM = ROOT / "ops/tflm/testing/fake"
PDSC = ROOT / "dCSR.TFLM_dCSR.pdsc"

NOT_FOR_FIRMWARE = {"baseline", "common", "costs", "testing"}  # rooms of tflm_kernels; `common` has only headers
KERNELS = {
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "tflm_kernels").glob("*/*.c")
    if path.parent.name not in NOT_FOR_FIRMWARE
}
OPS = {"ops/dcsr_ops.cc", "ops/dcsr_ops_with_shared_rows.cc", "ops/tflm/tflm_ops.cc", "ops/tflm/tflm_port.cc"}

APP = """\
#include "ops/tflm/tflm_ops.h"
void MicroPrintf(const char*, ...) {}
int main() {
  tflite::MicroMutableOpResolver<3> resolver;
  if (dcsr::AddDcsrOps(resolver) != kTfLiteOk) return 1;
  return resolver.FindOp("DCSR_CONV_2D") == nullptr || resolver.FindOp("DCSR_DEPTHWISE_CONV_2D") == nullptr;
}
"""

ZEPHYR = """\
cmake_minimum_required(VERSION 3.20)
project(app LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 17)
set(CONFIG_DCSR {dcsr})
set(CONFIG_DCSR_TFLM {tflm})
set(CONFIG_DCSR_OPTIMIZE_FOR_SPEED y)
add_library(zephyr_interface INTERFACE)
target_include_directories(zephyr_interface INTERFACE "{fake}")
target_compile_definitions(zephyr_interface INTERFACE DCSR_FAKE_TFLM=2)
macro(zephyr_include_directories)
  target_include_directories(zephyr_interface INTERFACE ${{ARGN}})
endmacro()
macro(zephyr_library_named name)
  add_library(${{name}} STATIC)
  target_link_libraries(${{name}} PUBLIC zephyr_interface)
  set(library ${{name}})
endmacro()
macro(zephyr_library_sources)
  target_sources(${{library}} PRIVATE ${{ARGN}})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${{library}} PRIVATE ${{ARGN}})
endmacro()
add_subdirectory("{module}" module)
if(TARGET dcsr)
  get_target_property(sources dcsr SOURCES)
  get_target_property(options dcsr COMPILE_OPTIONS)
  file(WRITE "{listing}" "${{sources}};${{options}}")
  if(CONFIG_DCSR_TFLM)
    add_executable(app app.cc)
    target_link_libraries(app PRIVATE dcsr)
  endif()
endif()
"""

# A component is read twice: by the build, and before by a script that asks for its requirements, in which
# idf_component_register() returns.
ESP_IDF_SCRIPT = """\
set(ESP_PLATFORM 1)
macro(idf_component_register)
  set(registered 1)
  return()
endmacro()
include("{component}/CMakeLists.txt")
if(NOT registered)
  message(FATAL_ERROR "the component does not register itself")
endif()
"""

ESP_IDF = """\
cmake_minimum_required(VERSION 3.16)
project(app LANGUAGES C CXX)
set(ESP_PLATFORM 1)
function(idf_component_register)
  cmake_parse_arguments(argument "" "" "SRCS;INCLUDE_DIRS" ${{ARGN}})
  add_library(component STATIC ${{argument_SRCS}})
  target_include_directories(component PUBLIC ${{argument_INCLUDE_DIRS}} "{fake}")
  target_compile_definitions(component PUBLIC DCSR_FAKE_TFLM=2)
  file(WRITE "{listing}" "${{argument_SRCS}}")
  set(COMPONENT_LIB component PARENT_SCOPE)
endfunction()
add_subdirectory("{component}" component)
add_executable(app app.cc)
target_link_libraries(app PRIVATE component)
"""


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}"
    return result.stdout


def cmake(folder: Path, text: str, **places: object) -> None:
    """Writes a CMake project, with APP as its source, and builds it."""
    if shutil.which("cmake") is None or not (shutil.which("ninja") or shutil.which("make")):
        pytest.skip("no cmake with ninja or make on PATH (Debian: cmake ninja-build)")
    (folder / "CMakeLists.txt").write_text(text.format(fake=FAKE_TFLM, **places))
    (folder / "app.cc").write_text(APP)
    generator = "Ninja" if shutil.which("ninja") else "Unix Makefiles"
    run("cmake", "-S", ".", "-B", "build", "-G", generator, "-DCMAKE_BUILD_TYPE=Debug", cwd=folder)
    run("cmake", "--build", "build", cwd=folder)


def listed(listing: Path, root: Path) -> set[str]:
    """Returns the sources that a CMake project wrote, relative to `root`."""
    return {os.path.relpath(path, root) for path in listing.read_text().split(";") if path.endswith((".c", ".cc"))}


def copy_selected(patterns: Iterable[str], target: Path) -> set[str]:
    """Copies the files of the repository that patterns select. Every pattern must select a file."""
    selected = set()
    for pattern in patterns:
        found = [path for path in ROOT.glob(pattern) if path.is_file()]
        assert found, pattern
        selected |= {path.relative_to(ROOT).as_posix() for path in found}
    for name in selected:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
    return selected


def compile_all(folder: Path, sources: list[str]) -> None:
    """Compiles sources, given relative to `folder`, with the host's compiler. `folder` is the include folder."""
    objects = folder / "objects"
    objects.mkdir()
    compiler = os.environ.get("CC", "gcc")
    for language, suffix, standard in (("c", ".c", "-std=gnu11"), ("c++", ".cc", "-std=gnu++17")):
        files = [folder / path for path in sources if path.endswith(suffix)]
        includes = [f"-I{folder}", f"-isystem{FAKE_TFLM}", "-DDCSR_FAKE_TFLM=2"]
        run(compiler, "-x", language, standard, *includes, "-c", *files, cwd=objects)
    assert len(list(objects.glob("*.o"))) == len(sources)


def version() -> str:
    header = (ROOT / "tflm_kernels/packed_layer.h").read_text()
    return re.search(r'^#define DCSR_VERSION_STRING "(.*)"$', header, re.MULTILINE)[1]


def description() -> str:
    return json.loads((ROOT / "library.json").read_text())["description"]


def test_the_documents_name_this_version():
    document = (ROOT / "docs/embedding.md").read_text()
    assert f'bazel_dep(name = "dcsr", version = "{version()}")' in document
    assert f"find_package(dcsr {version().rpartition('.')[0]} REQUIRED)" in document
    assert re.search(r"^## (\S+), ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version()


def test_the_lists_are_not_empty():
    assert len(KERNELS) > 30
    assert all((ROOT / path).is_file() for path in KERNELS | OPS)


@pytest.mark.parametrize("tflm", [True, False])
def test_zephyr_builds_the_module(tmp_path, tflm):
    module = yaml.safe_load((ROOT / "zephyr/module.yml").read_text())
    assert module["name"] == "dcsr"
    assert (ROOT / module["build"]["kconfig"]).is_file()
    listing = tmp_path / "listing"
    places = {"module": ROOT / module["build"]["cmake"], "listing": listing}
    cmake(tmp_path, ZEPHYR, dcsr="y", tflm="y" if tflm else "", **places)
    assert listed(listing, ROOT) == (KERNELS | OPS if tflm else KERNELS)
    assert listing.read_text().endswith(";-O2")
    if tflm:
        run(tmp_path / "build/app", cwd=tmp_path)


def test_zephyr_builds_nothing_unless_asked(tmp_path):
    cmake(tmp_path, ZEPHYR, dcsr="", tflm="", module=ROOT / "zephyr", listing=tmp_path / "listing")
    assert not (tmp_path / "listing").exists()


def test_kconfig_defines_the_options_of_cmake():
    used = set(re.findall(r"CONFIG_(\w+)", (ROOT / "zephyr/CMakeLists.txt").read_text()))
    defined = set(re.findall(r"^(?:menu)?config (\w+)$", (ROOT / "zephyr/Kconfig").read_text(), re.MULTILINE))
    assert used == defined


def test_esp_idf_builds_the_files_of_the_component(tmp_path):
    manifest = yaml.safe_load((ROOT / "idf_component.yml").read_text())
    assert manifest["version"] == version()
    assert manifest["description"] == description()
    assert manifest["dependencies"]["espressif/esp-tflite-micro"]["public"] is True
    assert manifest["files"]["exclude"] == ["**/*"]
    component = tmp_path / "component"
    selected = copy_selected(manifest["files"]["include"], component)
    assert selected >= KERNELS | OPS | {"CMakeLists.txt", "LICENSE", "README.md"}
    assert not [path for path in selected if "_test" in path or "/testing/" in path]
    listing = tmp_path / "listing"
    cmake(tmp_path, ESP_IDF, component=component, listing=listing)
    assert listed(listing, component) == KERNELS | OPS
    run(tmp_path / "build/app", cwd=tmp_path)
    script = tmp_path / "requirements.cmake"
    script.write_text(ESP_IDF_SCRIPT.format(component=component))
    run("cmake", "-P", script, cwd=tmp_path)


def test_platformio_builds_the_files_of_the_library(tmp_path):
    manifest = json.loads((ROOT / "library.json").read_text())
    assert manifest["version"] == version()
    assert manifest["license"] == "Apache-2.0"
    selected = copy_selected(manifest["export"]["include"], tmp_path)
    assert selected >= KERNELS | OPS | {"LICENSE", "README.md", "library.json"} | set(manifest["headers"])
    assert not [path for path in selected if "_test" in path or "/testing/" in path]
    build = manifest["build"]
    assert build["srcDir"] == build["includeDir"] == "."
    assert build["srcFilter"][0] == "-<*>"
    patterns = [re.fullmatch(r"\+<(.*)>", entry)[1] for entry in build["srcFilter"][1:]]
    sources = sorted(path for path in selected if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns))
    assert set(sources) == KERNELS | OPS
    compile_all(tmp_path, sources)


def test_arduino_compiles_the_documented_copy(tmp_path):
    """The IDE compiles every source below src/, with src/ as the include folder."""
    document = (ROOT / "docs/embedding.md").read_text()
    script = re.search(r"make a library from a copy:\n\n((?:    .*\n)+)", document)[1]
    run("sh", "-euc", f"DCSR={ROOT}\n{script}", cwd=tmp_path)
    properties = dict(line.split("=", 1) for line in (tmp_path / "dCSR/library.properties").read_text().splitlines())
    assert properties["version"] == version()
    source = tmp_path / "dCSR/src"
    assert (source / properties["includes"]).is_file()
    sources = {path.relative_to(source).as_posix() for path in source.rglob("*.c*")}
    assert sources == KERNELS | OPS
    compile_all(source, sorted(sources))


def test_the_pack_lists_every_source():
    package = ET.parse(PDSC).getroot()
    assert f"{package.findtext('vendor')}.{package.findtext('name')}.pdsc" == PDSC.name
    assert package.findtext("description") == description()
    assert (ROOT / package.findtext("license")).is_file()
    assert [release.get("version") for release in package.iter("release")] == [version()]
    listed_files = {}
    for component in package.iter("component"):
        assert component.get("Cversion") == version()
        files = list(component.iter("file"))
        assert all((ROOT / file.get("name")).exists() for file in files)
        assert [file.get("name") for file in files if file.get("category") == "include"] == ["./"]
        for file in files:
            suffix = Path(file.get("name")).suffix
            assert file.get("category") == {".c": "sourceC", ".cc": "sourceCpp", ".h": "header", ".md": "doc"}.get(
                suffix, "include"
            )
        listed_files[component.get("Csub")] = {
            file.get("name") for file in files if file.get("category").startswith("source")
        }
    assert listed_files == {"Kernels": KERNELS, "TFLM Ops": OPS}

"""Links the firmware of a model with TFLM's interpreter, if the benchmark is built with TFLM."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dcsr import cc_array, op_header
from dcsr.planning.choice import Decision
from dcsr.schema import schema

# Runfiles: this file is <workspace>/benchmarks/firmware_link.py.
_WORKSPACE = Path(__file__).parents[1]
_MAIN = Path(__file__).with_name("firmware") / "whole.cc"

# As Bazel compiles the libraries (toolchains/arm_gcc/cc_toolchain_config.bzl).
_COMPILE = (
    "-O2 -std=c++17 -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-use-cxa-atexit -ffunction-sections"
    " -fdata-sections -w"
).split()
_LINK = (
    "-no-canonical-prefixes -fno-use-linker-plugin -nostartfiles -nostdlib -static -Wl,--build-id=none"
    " -Wl,--gc-sections -Wl,--defsym=__STACK_SIZE=65536"
).split()
_LIBRARIES = "-Wl,--start-group -lc -lm -lgcc -Wl,--end-group".split()
# A region of a board's linker script. The firmware does not run, so a model may be larger than the memory.
_LENGTH = re.compile(r"LENGTH = \w+")


class LinkError(Exception):
    """The firmware cannot be compiled or linked."""


def is_possible(core: str) -> bool:
    """Returns whether the benchmark has the libraries for a core."""
    return _description(core).exists()


def link(core: str, content: bytes, header: str, folder: Path) -> Path:
    """Links the firmware of a model.

    Args:
      core: one of emulated.CORES.
      content: the .tflite file.
      header: text of model_ops.h, which registers its operators.
      folder: an empty folder for the files.

    Returns:
      The path of the ELF file.

    Raises:
      LinkError: with the messages of the compiler or linker.
    """
    kit: Mapping[str, Any] = json.loads(_description(core).read_text())
    for path, text in cc_array.sources(folder / "model.cc", content, "model.tflite").items():
        path.write_text(text)
    (folder / "model_ops.h").write_text(header)
    compiler = [str(_WORKSPACE / kit["compiler"]), *kit["core_flags"]]
    includes = [f"-I{folder}", *(f"-isystem{_WORKSPACE / path}" for path in kit["includes"])]
    defines = [f"-D{define}" for define in kit["defines"]]
    objects = []
    for source in (_MAIN, folder / "model.cc"):
        objects.append(str(folder / f"{source.stem}.o"))
        _run([*compiler, *_COMPILE, *defines, *includes, "-c", str(source), "-o", objects[-1]])
    libraries = []
    for library in kit["libraries"]:
        path = str(_WORKSPACE / library["path"])
        libraries += ["-Wl,-whole-archive", path, "-Wl,-no-whole-archive"] if library["whole"] else [path]
    scripts = []
    for script in kit["scripts"]:
        copy = folder / Path(script).name
        copy.write_text(_LENGTH.sub("LENGTH = 128M", (_WORKSPACE / script).read_text()))
        scripts.append(f"-Wl,-T,{copy}")
    elf = folder / "whole.elf"
    _run([*compiler, "-o", str(elf), *objects, *libraries, *scripts, *_LINK, *_LIBRARIES])
    return elf


def header(model: schema.ModelT, decisions: Sequence[Decision], cpu: str) -> str:
    """Returns the text of model_ops.h for a compressed model, or without decisions for a dense one."""
    source = Path("model.cc")
    return op_header.make(source, model, decisions, cpu, source.name).text


def _description(core: str) -> Path:
    return Path(__file__).with_name(f"whole_libraries_{core}.json").absolute()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LinkError(f"{Path(command[0]).name}: {done.stderr.strip() or done.returncode}")

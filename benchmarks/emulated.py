"""Runs the firmware of a benchmark on an emulated core, and estimates the cycles of its regions."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cycles import instructions, program, timings
from dcsr.planning import cost
from toolchains.simulator import run_firmware

# Without the M85: it runs the code of the M55 and is emulated as one.
CORES = ("m0plus", "m3", "m4", "m7", "m33", "m55")
CORES_WITH_GATHERS = ("m55",)
# Where the data is, and what the tables call it.
MEMORIES = {"dtcm": "DTCM", "cached": "cached"}

_TIMEOUT = 1800.0
# The firmware's own count is off by a few instructions, and by an interrupt every 2^24 ticks.
_COUNTER_ERROR = 50

# Runfiles: this file is <workspace>/benchmarks/emulated.py.
_PLUGIN = Path(__file__).with_name("cycles").joinpath("libcycles.so").absolute()


def core_name(name: str) -> str:
    """Returns the name of a core as in CORES: "m55" for "cortex-m55"."""
    return cost.cpu_name(name).removeprefix("cortex-")


class FirmwareError(Exception):
    """An output of the firmware was wrong, or the firmware did not finish."""


class NoPluginsError(Exception):
    """QEMU cannot load the plugin that estimates cycles."""


def run(core: str, elf: Path, job: bytes, with_cycles: bool) -> tuple[bytes, Iterator[dict[str, int]]]:
    """Runs a firmware with a job.

    Args:
      core: one of CORES.
      elf: the firmware; its disassembly is beside it, with the suffix .txt.
      job: the content of job.bin.
      with_cycles: also estimate cycles.

    Returns:
      The firmware's output, which is also printed on stderr, and for each region its instructions and cycles
      (program.regions); no regions without `with_cycles`.

    Raises:
      FirmwareError: if the firmware failed.
      NoPluginsError, program.UnknownInstructionError: if cycles cannot be estimated.
      run_firmware.SimulatorMissingError: if QEMU is missing.
    """
    simulator = run_firmware.choose("qemu", f"cortex-{core}", str(elf), deterministic=True)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "job.bin").write_bytes(job)
        command = list(simulator.command)
        if with_cycles:
            _check_plugins(simulator.command[0])
            decoded = instructions.read(elf.with_suffix(".txt").read_text())
            Path(folder, "program.bin").write_bytes(program.serialise(timings.CORES[core], decoded))
            command += ["-plugin", f"{_PLUGIN},program=program.bin,output=cycles.txt"]
        # The firmware opens job.bin in the simulator's working directory.
        simulator = dataclasses.replace(simulator, command=("env", f"--chdir={folder}", *command))
        with contextlib.redirect_stdout(sys.stderr):
            output, problem = run_firmware.run(simulator, _TIMEOUT)
        regions = list(program.regions(Path(folder, "cycles.txt").read_text())) if with_cycles and not problem else []
    if problem:
        said = [line for line in output.decode(errors="replace").splitlines() if not line.startswith("firmware:")]
        raise FirmwareError(f"{core}: the firmware {problem}: {'; '.join(said[-2:])}")
    return output, iter(regions)


def region(regions: Iterator[dict[str, int]], instructions: int) -> dict[str, int]:
    """Returns the next region that the plugin saw.

    Args:
      regions: of the plugin.
      instructions: of the region as the firmware counted them.

    Raises:
      FirmwareError: if there is no region, or the plugin saw another number of instructions.
    """
    found = next(regions, None)
    if found is None or abs(found["instructions"] - instructions) > _COUNTER_ERROR + instructions // 1000:
        raise FirmwareError(f"the firmware counted {instructions} instructions, the plugin {found}")
    return found


def _check_plugins(qemu: str) -> None:
    """Checks that QEMU can load plugins.

    Raises:
      NoPluginsError: if it cannot.
    """
    options = subprocess.run([qemu, "-help"], check=False, capture_output=True, text=True).stdout
    if "\n-plugin" not in options:
        raise NoPluginsError(
            f"--cycles needs a QEMU that loads plugins, and {qemu} was built without them; that of Debian 12 or later"
            " (apt-get install qemu-system-arm) does"
        )

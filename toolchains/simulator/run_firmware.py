#!/usr/bin/env python3
"""Runs firmware in a simulator; the exit status tells whether the firmware succeeded.

Uses the Corstone-300 FVP if there is one for the core, else QEMU. The firmware must end with the line
`firmware: exit status N` (firmware_exit() in //toolchains/firmware:io.h); 0 is success.

Exit status: 0 the firmware behaved as expected, 1 it did not, 2 there is no simulator.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

# QEMU's board for each core. An M3 emulates the M0+ and an M55 the M85 (toolchains/cores.bzl).
QEMU_MACHINES = {
    "cortex-m0plus": "mps2-an385",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
    "cortex-m85": "mps3-an547",
}

# Cores of the Corstone-300 FVP.
FVP_CORES = frozenset({"cortex-m55"})
FVP_VARIABLE = "FVP_CORSTONE_300"
FVP_PROGRAMS = ("FVP_Corstone_SSE-300_Ethos-U55", "FVP_Corstone_SSE-300_Ethos-U65", "FVP_Corstone_SSE-300")

EXIT_LINE = re.compile(rb"firmware: exit status (-?\d+)\r?\n")

# Seconds from the end of the firmware to the end of the simulator. Firmware that prints on a UART cannot end it.
GRACE = 1.0

INSTALL = f"""\
run_firmware: found {{missing}}. Install one of these, then run it again:
  QEMU            Debian, Ubuntu: apt-get install qemu-system-arm
  Corstone-300    Arm's FVP for the Cortex-M55; name the program in {FVP_VARIABLE}, or put it on PATH as
                  {FVP_PROGRAMS[0]}
Or skip the tests that need one: bazel test --//toolchains:simulator=none (another project: --@dcsr//toolchains:...)
"""


@dataclass(frozen=True)
class Simulator:
    """A simulator and the command that runs one firmware in it."""

    name: str
    command: tuple[str, ...]
    # Whether its exit status is the firmware's. Not every version of the FVP passes it on.
    returns_status: bool


class SimulatorMissingError(Exception):
    """No simulator for the firmware is installed."""


def find_fvp() -> str | None:
    """Returns the path of the FVP, or None if it is not installed."""
    named = os.environ.get(FVP_VARIABLE)
    if named:
        return shutil.which(named)
    return next(filter(None, map(shutil.which, FVP_PROGRAMS)), None)


def fvp(program: str, firmware: str) -> Simulator:
    """Returns the Corstone-300 FVP with the command that runs `firmware`."""
    parameters = [
        "cpu0.semihosting-enable=1",
        "mps3_board.visualisation.disable-visualisation=1",
        "mps3_board.telnetterminal0.start_telnet=0",
        "mps3_board.uart0.out_file=-",
        "mps3_board.uart0.unbuffered_output=1",
    ]
    options = [word for parameter in parameters for word in ("-C", parameter)]
    return Simulator("the Corstone-300 FVP", (program, *options, "-a", firmware), returns_status=False)


def qemu(program: str, cpu: str, firmware: str, *, deterministic: bool) -> Simulator:
    """Returns QEMU with the command that runs `firmware`."""
    command = [program, "-machine", QEMU_MACHINES[cpu], "-nographic", "-monitor", "none", "-net", "none", "-no-reboot"]
    # Print the first UART. Semihosting output is printed as well.
    command += ["-serial", "stdio", "-semihosting-config", "enable=on,target=native"]
    if deterministic:
        # An instruction takes 32 ns of simulated time.
        command += ["-icount", "shift=5,sleep=off"]
    return Simulator("QEMU", (*command, "-kernel", firmware), returns_status=True)


def choose(setting: str, cpu: str, firmware: str, *, deterministic: bool) -> Simulator:
    """Returns the simulator for `cpu` according to `setting`: auto, fvp or qemu."""
    # Only QEMU counts instructions.
    has_fvp = cpu in FVP_CORES and not deterministic
    if has_fvp and setting in ("auto", "fvp"):
        program = find_fvp()
        if program:
            return fvp(program, firmware)
        if setting == "fvp" or os.environ.get(FVP_VARIABLE):
            named = os.environ.get(FVP_VARIABLE)
            raise SimulatorMissingError(f"no program {named} ({FVP_VARIABLE})" if named else "no Corstone-300 FVP")
    program = shutil.which("qemu-system-arm")
    if program:
        return qemu(program, cpu, firmware, deterministic=deterministic)
    no_fvp_either = ", and no FVP" if has_fvp and setting == "auto" else ""
    raise SimulatorMissingError("no qemu-system-arm on PATH" + no_fvp_either)


def run(simulator: Simulator, timeout: float) -> tuple[bytes, str | None]:
    """Runs the simulator and passes its output on.

    Returns:
      The output, and the reason why the firmware failed, or None if it succeeded.
    """
    process = subprocess.Popen(
        simulator.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    killed = threading.Event()

    def kill() -> None:
        killed.set()
        process.kill()

    timer = threading.Timer(timeout, kill)
    timer.start()
    output = bytearray()
    exit_status = None
    assert process.stdout is not None
    for line in process.stdout:
        output += line
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        match = EXIT_LINE.match(line)
        if match and exit_status is None:
            exit_status = int(match[1])
            timer.cancel()
            timer = threading.Timer(GRACE, kill)
            timer.start()
    status = process.wait()
    timer.cancel()

    problem = None
    if exit_status is None and killed.is_set():
        problem = f"did not end within {timeout:g} s"
    elif exit_status is None:
        problem = f"ended without an exit status; {simulator.name} ended with {status}"
    elif exit_status != 0:
        problem = f"ended with exit status {exit_status}"
    elif simulator.returns_status and status != 0 and not killed.is_set():
        problem = f"ended with exit status 0, but {simulator.name} ended with {status}"
    return bytes(output), problem


def default_timeout() -> float:
    """Returns slightly less than Bazel's timeout, so that this program can report the timeout itself."""
    return 0.9 * float(os.environ.get("TEST_TIMEOUT", "600"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the firmware named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("firmware", help="ELF file")
    parser.add_argument("--cpu", required=True, choices=sorted(QEMU_MACHINES), help="core that it is built for")
    parser.add_argument("--simulator", default="auto", choices=["auto", "fvp", "qemu"], help="default: auto")
    parser.add_argument("--deterministic", action="store_true", help="in QEMU, where time counts instructions")
    parser.add_argument("--timeout", type=float, default=0, metavar="SECONDS", help="default: 600, or what Bazel says")
    parser.add_argument("--expect-failure", metavar="TEXT", help="succeed if it fails, and TEXT says why")
    options = parser.parse_args(arguments)
    try:
        simulator = choose(options.simulator, options.cpu, options.firmware, deterministic=options.deterministic)
    except SimulatorMissingError as error:
        sys.stderr.write(INSTALL.format(missing=error))
        return 2
    print(f"run_firmware: {os.path.basename(options.firmware)} on {options.cpu} in {simulator.name}", flush=True)
    output, problem = run(simulator, options.timeout or default_timeout())
    print(f"run_firmware: {'the firmware ' + problem if problem else 'the firmware succeeded'}")
    if options.expect_failure is None:
        return 1 if problem else 0
    said = f"{output.decode(errors='replace')}the firmware {problem}"
    if problem is None or options.expect_failure not in said:
        print(f"run_firmware: expected it to fail with '{options.expect_failure}'")
        return 1
    print(f"run_firmware: it failed as expected, with '{options.expect_failure}'")
    return 0


if __name__ == "__main__":
    sys.exit(main())

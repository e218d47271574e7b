"""Tests the runner with fake simulators: choice of the simulator, output, and exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchains.simulator import run_firmware


class Fakes:
    """A folder of fake simulators that is the entire PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.delenv(run_firmware.FVP_VARIABLE, raising=False)
        monkeypatch.delenv("TEST_TIMEOUT", raising=False)

    def add(self, name: str, script: str = "echo firmware: exit status 0") -> Path:
        program = self.folder / name
        program.write_text(f'#!/bin/sh\necho "{name}: $*"\n{script}\n')
        program.chmod(0o755)
        return program


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    return Fakes(tmp_path, monkeypatch)


QEMU = "qemu-system-arm"
FVP = run_firmware.FVP_PROGRAMS[0]


@pytest.mark.parametrize(
    ("installed", "setting", "cpu", "deterministic", "expected"),
    [
        ([QEMU, FVP], "auto", "cortex-m55", False, FVP),
        ([QEMU, FVP], "auto", "cortex-m55", True, QEMU),
        ([QEMU, FVP], "fvp", "cortex-m55", True, QEMU),
        ([QEMU, FVP], "fvp", "cortex-m55", False, FVP),
        ([QEMU, FVP], "qemu", "cortex-m55", False, QEMU),
        ([QEMU], "auto", "cortex-m55", False, QEMU),
        ([FVP], "auto", "cortex-m55", False, FVP),
        ([QEMU, FVP], "auto", "cortex-m4", False, QEMU),
        ([QEMU, FVP], "fvp", "cortex-m4", False, QEMU),
    ],
)
def test_takes_fvp_where_it_serves_and_qemu_otherwise(
    fakes: Fakes,
    capfd: pytest.CaptureFixture[str],
    installed: list[str],
    setting: str,
    cpu: str,
    deterministic: bool,
    expected: str,
) -> None:
    for program in installed:
        fakes.add(program)
    arguments = ["x.elf", f"--cpu={cpu}", f"--simulator={setting}"] + ["--deterministic"] * deterministic
    assert run_firmware.main(arguments) == 0
    assert f"{expected}: " in capfd.readouterr().out


def test_takes_the_fvp_that_the_variable_names(
    fakes: Fakes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.add(QEMU)
    monkeypatch.setenv(run_firmware.FVP_VARIABLE, str(fakes.add("my-fvp")))
    assert run_firmware.main(["x.elf", "--cpu=cortex-m55"]) == 0
    assert "my-fvp: " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("installed", "setting", "cpu", "message"),
    [
        ([], "auto", "cortex-m55", "found no qemu-system-arm on PATH, and no FVP"),
        ([], "auto", "cortex-m3", "found no qemu-system-arm on PATH"),
        ([FVP], "qemu", "cortex-m55", "found no qemu-system-arm on PATH"),
        ([QEMU], "fvp", "cortex-m55", "found no Corstone-300 FVP"),
    ],
)
def test_without_simulator_says_what_to_install(
    fakes: Fakes, capfd: pytest.CaptureFixture[str], installed: list[str], setting: str, cpu: str, message: str
) -> None:
    for program in installed:
        fakes.add(program)
    assert run_firmware.main(["x.elf", f"--cpu={cpu}", f"--simulator={setting}"]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert "apt-get install qemu-system-arm" in error


def test_fvp_of_the_variable_that_is_not_there_is_an_error(
    fakes: Fakes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.add(QEMU)
    monkeypatch.setenv(run_firmware.FVP_VARIABLE, "/nowhere/fvp")
    assert run_firmware.main(["x.elf", "--cpu=cortex-m55"]) == 2
    assert "/nowhere/fvp" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        ("echo firmware: exit status 0", 0, "succeeded"),
        ("echo firmware: exit status 3; exit 3", 1, "ended with exit status 3"),
        ("echo firmware: exit status -1; exit 255", 1, "ended with exit status -1"),
        ("echo firmware: exit status 3", 1, "ended with exit status 3"),
        ("echo firmware: exit status 0; exit 7", 1, "QEMU ended with 7"),
        ("exit 0", 1, "ended without an exit status; QEMU ended with 0"),
        ("echo it says firmware: exit status 0", 1, "ended without an exit status"),
        ("exec /bin/sleep 60", 1, "did not end within 1 s"),
        # Firmware that cannot end the simulator.
        ("echo firmware: exit status 0; exec /bin/sleep 60", 0, "succeeded"),
        ("echo firmware: exit status 1; exec /bin/sleep 60", 1, "ended with exit status 1"),
    ],
)
def test_end_of_the_firmware_is_judged(
    fakes: Fakes, capfd: pytest.CaptureFixture[str], script: str, status: int, message: str
) -> None:
    fakes.add(QEMU, script)
    assert run_firmware.main(["x.elf", "--cpu=cortex-m3", "--timeout=1"]) == status
    assert message in capfd.readouterr().out


@pytest.mark.parametrize(
    ("script", "expected_failure", "status"),
    [
        ("echo boom; echo firmware: exit status 3", "boom", 0),
        ("echo boom; echo firmware: exit status 3", "exit status 3", 0),
        ("echo boom; echo firmware: exit status 3", "bang", 1),
        ("echo boom; echo firmware: exit status 0", "boom", 1),
    ],
)
def test_expected_failure_has_to_happen_and_to_say_so(
    fakes: Fakes, script: str, expected_failure: str, status: int
) -> None:
    fakes.add(QEMU, script)
    assert run_firmware.main(["x.elf", "--cpu=cortex-m3", f"--expect-failure={expected_failure}"]) == status


def test_fvp_status_is_what_the_firmware_printed(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.add(FVP, "echo firmware: exit status 0; exit 9")
    assert run_firmware.main(["x.elf", "--cpu=cortex-m55"]) == 0


def test_deterministic_counts_instructions(fakes: Fakes, capfd: pytest.CaptureFixture[str]) -> None:
    fakes.add(QEMU)
    run_firmware.main(["x.elf", "--cpu=cortex-m3", "--deterministic"])
    run_firmware.main(["x.elf", "--cpu=cortex-m3"])
    assert capfd.readouterr().out.count("-icount shift=5,sleep=off") == 1

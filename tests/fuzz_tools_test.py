"""Runs the fuzzer of the tools on fixed cases, and tests that it notices every kind of fault."""

import os
import signal
import sys
import time
from pathlib import Path

import fuzz_tools
import pytest

from dcsr.errors import ModelError

CASES = 160  # about half a minute; `bazel run //tests:fuzz_tools` runs more
A_MODEL = 1  # number of a case that mutates a model


@pytest.fixture(name="seeds", scope="module")
def _seeds() -> list[bytes]:
    fuzz_tools.preload()
    return fuzz_tools.generated()


@pytest.mark.parametrize("part", range(4))
def test_no_mutated_input_breaks_a_tool(seeds, part):
    numbers = range(part, CASES, 4)
    found = [finding for number in numbers for finding in fuzz_tools.run_case(number, 0, seeds, fuzz_tools.TOOLS)]
    assert not found


def test_cases_are_the_same_each_time(seeds):
    import numpy as np

    first, second = (fuzz_tools.mutated(np.random.default_rng([3, 5]), seeds[0]) for _ in range(2))
    assert first == second != seeds[0]


def raise_error(_arguments):
    raise KeyError("internal")


def crash(_arguments):
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(_arguments):
    Path(".dcsr.1234").write_text("left")
    return 0


def write_and_fail(_arguments):
    Path("o.tflite").write_text("half")
    raise ModelError("failed")


def change_the_input(_arguments):
    Path("m.tflite").write_bytes(b"")
    return 0


def fail_silently(_arguments):
    return 2


def say_too_much(_arguments):
    print("compress: one\ncompress: two", file=sys.stderr)
    return 2


def control_the_terminal(_arguments):
    print("\x1b[31m")
    return 0


def be_slow(_arguments):
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    return 0


def need_memory(_arguments):
    return 0 * len(bytearray(600 << 20).replace(b"\0", b"\1"))


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        (raise_error, "internal error: KeyError"),
        (crash, "ended with status -11"),
        (leave, r"left \['.dcsr.1234'\]"),
        (write_and_fail, r"left \['o.tflite'\]"),
        (change_the_input, "an input is gone or changed"),
        (fail_silently, "an error of 0 lines"),
        (say_too_much, "an error of 2 lines"),
        (control_the_terminal, "control characters"),
        (be_slow, "took 0.[3-9] s"),
        (need_memory, r"took \d+ MB"),
    ],
)
def test_every_kind_of_fault_is_noticed(seeds, tool, text, monkeypatch, tmp_path):
    import re

    monkeypatch.setattr(fuzz_tools, "MAX_SECONDS", 0.2 if tool is be_slow else 20)
    tools = fuzz_tools.TOOLS | {"compress": tool}
    found = fuzz_tools.run_case(A_MODEL, 1, seeds, tools, tmp_path)
    assert any(re.search(text, finding.text) for finding in found), found
    assert list(tmp_path.iterdir())

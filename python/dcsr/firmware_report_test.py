"""Tests the line about the whole firmware."""

import dataclasses

from dcsr import firmware_report
from dcsr.planning.firmware import Figures, Firmware

FIRMWARE = Firmware(
    Figures(30_000, 9_000_000, 10_000_000, start_up=1_000_000),
    Figures(27_000, 4_000_000, 5_000_000, start_up=1_200_000),
)


def test_line_compares_flash_arena_inference_and_start_up():
    assert firmware_report.line(FIRMWARE, 100_000, 60_000, "cortex-m55") == (
        "flash 100,000 -> 60,000 bytes (-40.0%), arena 30,000 -> 27,000 bytes (-10.0%),"
        " inference 10.0 -> 5.00 M cycles (x 0.500),"
        " start-up 1.00 -> 1.20 M instructions (x 1.200) on cortex-m55"
    )


def test_millions_have_the_same_number_of_digits():
    shown = {3_000_000: "3.00", 112_345: "0.112", 0: "0.00", 99_960_000: "100", 123_400_000: "123"}
    for number, text in shown.items():
        firmware = Firmware(Figures(1, 3_140_000, None), Figures(1, number, None))
        assert f"inference 3.14 -> {text} M instructions" in firmware_report.line(firmware, 2, 1, "cortex-m4")


def test_time_at_a_clock_is_exact_for_cycles_and_a_lower_bound_for_instructions():
    in_cycles = firmware_report.line(FIRMWARE, 2, 1, "cortex-m55", 250)
    assert "inference 10.0 -> 5.00 M cycles (x 0.500, 20 ms at 250 MHz)" in in_cycles
    assert in_cycles.endswith("(x 1.200, at least 4.8 ms at 250 MHz) on cortex-m55")
    in_instructions = firmware_report.line(FIRMWARE, 2, 1, "cortex-m4", 80)
    assert "inference 9.00 -> 4.00 M instructions (x 0.444, at least 50 ms at 80 MHz), start-up" in in_instructions


def test_what_has_no_estimate_is_left_out():
    unknown = dataclasses.replace(FIRMWARE, compressed=Figures(27_000, None, None))
    line = firmware_report.line(unknown, 2, 1, "cortex-m55", 100)
    assert line.endswith("arena 30,000 -> 27,000 bytes (-10.0%) on cortex-m55")
    assert firmware_report.notes(dataclasses.replace(FIRMWARE, arena_time=9), "cortex-m55") != []
    no_start_up = Figures(30_000, 9_000_000, 10_000_000)
    unknown = dataclasses.replace(unknown, dense=no_start_up, arena_time=9)
    assert firmware_report.notes(unknown, "cortex-m3") == [
        "the start-up is not estimated on cortex-m3, so it has no bound"
    ]


def test_notes_name_what_the_bounds_cost():
    assert firmware_report.notes(FIRMWARE, "cortex-m4") == []
    limited = dataclasses.replace(
        FIRMWARE,
        unknown=("LOGISTIC", "TANH"),
        arena_time=400_000,
        unlimited_arena_bytes=40_000,
        bound_bytes=1234,
        start_up_bytes=567,
        unlimited_start_up=1_911_111,
    )
    assert firmware_report.notes(limited, "cortex-m4") == [
        "the limit of the arena costs 400,000 instructions (+11.1%); --max-arena 40000 would avoid that",
        "--slowest costs 1,234 bytes: without it the inference would take longer",
        "the bound of the start-up costs 567 bytes; --slowest-start 1.92 avoids that",
        "the time of the inference lacks LOGISTIC, TANH: no estimate",
    ]
    assert firmware_report.as_json(limited)["dense"] == {
        "arena_bytes": 30_000,
        "instructions": 9_000_000,
        "cycles": 10_000_000,
        "code_bytes": None,
        "start_up": 1_000_000,
    }


def test_a_bound_of_time_that_no_plan_keeps_is_named():
    missed = dataclasses.replace(FIRMWARE, slowest=0.25)
    assert firmware_report.notes(missed, "cortex-m4") == [
        "--slowest 0.25 cannot be met: the fastest plan with these options takes 0.444 times the dense inference"
    ]
    assert firmware_report.notes(dataclasses.replace(FIRMWARE, slowest=0.5), "cortex-m4") == []


def test_a_bound_of_the_start_up_that_is_not_met_is_named():
    missed = dataclasses.replace(FIRMWARE, slowest_start=0.9)
    assert firmware_report.notes(missed, "cortex-m4") == [
        "--slowest-start 0.9 is not met: the start-up of this plan is estimated at 1.200 times the dense one;"
        " --slowest-start 1.2 allows that"
    ]
    assert firmware_report.notes(dataclasses.replace(FIRMWARE, slowest_start=1.2), "cortex-m4") == []
    assert firmware_report.notes(dataclasses.replace(missed, is_named=True), "cortex-m4") == [
        "--slowest-start 0.9 is not met: the start-up of this plan is estimated at 1.200 times the dense one;"
        " it follows from the encodings that the plan or --method names"
    ]


def test_code_counts_as_flash_if_it_is_known():
    known = Firmware(Figures(1, 2, 3, 50_000), Figures(1, 2, 3, 20_000))
    line = firmware_report.line(known, 100_000, 40_000, "cortex-m4")
    assert line.startswith("flash 100,000 + 50,000 code -> 40,000 + 20,000 bytes (-60.0%), arena")
    unknown = Firmware(Figures(1, 2, 3, None), Figures(1, 2, 3, 20_000))
    assert firmware_report.line(unknown, 4, 1, "cortex-m3").startswith("flash 4 -> 1 bytes (-75.0%), arena")

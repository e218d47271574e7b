"""Tests plans of the trained models: better plans that fit are found, and advice that is printed is true."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from dcsr import compressing, firmware_report
from dcsr import model as tflite
from dcsr.compressing import Compressed
from dcsr.schema import schema


@cache
def model(name: str) -> schema.ModelT:
    path = Path("models/kws", f"{name}.tflite")
    return tflite.parse(path.read_bytes(), path.name)


def time(found: Compressed) -> int:
    figures = found.firmware.compressed
    return figures.cycles or figures.instructions or 0


@pytest.mark.parametrize("name", ["ds_cnn_s_80", "ds_cnn_s_90", "ds_cnn_m_90", "ds_cnn_l_90"])
@pytest.mark.parametrize("objective", ["balanced", "size"])
@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m55"])
def test_following_the_advice_saves_what_it_says(name: str, objective: str, cpu: str) -> None:
    options = {"cpu": cpu, "objective": objective}
    found = compressing.compress(model(name), name, **options)
    text = "\n".join(firmware_report.notes(found.firmware, cpu))
    if match := re.search(r"the arena costs ([\d,]+) \w+ \(.*\); --max-arena (\d+) would avoid that", text):
        assert int(match[2]) > found.firmware.dense.arena_bytes
        larger = compressing.compress(model(name), name, max_arena=int(match[2]), **options)
        assert time(found) - time(larger) == int(match[1].replace(",", "")) > 0
        assert larger.firmware.compressed.arena_bytes <= int(match[2])
    if match := re.search(r"start-up costs ([\d,]+) bytes; --slowest-start ([\d.]+) avoids that", text):
        slower = compressing.compress(model(name), name, slowest_start=float(match[2]), **options)
        saved = len(tflite.serialize(found.model)) - len(tflite.serialize(slower.model))
        assert saved == int(match[1].replace(",", "")) > 0


@pytest.mark.parametrize("objective", ["balanced", "size", "speed"])
def test_a_plan_that_fits_in_planes_is_found(objective: str) -> None:
    """Its layers would not fit in NHWC."""
    options = {"cpu": "cortex-m4", "objective": objective}
    found = compressing.compress(model("ds_cnn_m_70"), "m", **options)
    free = compressing.compress(model("ds_cnn_m_70"), "m", max_arena=1 << 30, **options)
    assert free.firmware.compressed.arena_bytes <= found.firmware.dense.arena_bytes
    assert time(found) == time(free) and found.firmware.arena_time == 0


@pytest.mark.parametrize("name", ["ds_cnn_s_90", "ds_cnn_l_90"])
def test_the_smallest_planes_are_not_slower_than_others_of_their_size(name: str) -> None:
    auto, planes = (
        compressing.compress(model(name), name, cpu="cortex-m4", objective="size", layout=layout)
        for layout in ("auto", "planes")
    )
    assert len(tflite.serialize(auto.model)) == len(tflite.serialize(planes.model))
    assert time(auto) <= time(planes)

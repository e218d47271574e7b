"""Tests the counts and the estimate of the start-up, and its bound."""

import numpy as np
import pytest

from dcsr import compressing, encodings, firmware_report
from dcsr import model as tflite
from dcsr.errors import ModelError
from dcsr.planning import arena, cost, firmware, start_up
from dcsr.planning.arena import Buffer
from dcsr.testing.compare import assert_same
from dcsr.testing.models import Builder, sparse_matrix
from dcsr.testing.round_trip import UNBOUNDED, through_bytes


def model_of(rows: int = 64, cols: int = 600, sparsity: float = 0.8):
    rng = np.random.default_rng(5)
    builder = Builder()
    x = builder.tensor("x", (1, cols), scale=0.1)
    y = builder.fully_connected(x, sparse_matrix(rng, rows, cols, sparsity), (1, rows), bias=np.zeros(rows, np.int32))
    return through_bytes(builder.finish([x], [y]))


def test_planner_steps_of_a_small_case():
    # In reversed order 16, 48, 32, the first pass swaps 16 twice, the second one nothing.
    # Two buffers are compared with those before them, and inserted behind these.
    buffers = [Buffer(32, 0, 1), Buffer(48, 1, 2), Buffer(16, 2, 3)]
    assert arena.steps(buffers) == {"compare": 4, "swap": 2, "visit": 6}
    assert arena.steps([]) == {"compare": 0, "swap": 0, "visit": 0}


@pytest.mark.parametrize("scheme", encodings.METHODS)
def test_every_encoding_has_counts_with_constants(scheme):
    found = compressing.compress(model_of(), "m", method=scheme, smaller_only=False, **UNBOUNDED)
    (decision,) = found.decisions
    counts = decision.candidate.start_up
    streams = decision.candidate.packed.streams
    parts = {cost.coding(streams).split("+")[0], "rows", "DCSR", "longest row"}
    parts |= {"huffman"} if streams.value_coding != encodings.PLAIN else set()
    assert set(counts) <= parts and set(counts) >= parts - {"longest row"}
    for cpu in ("cortex-m4", "cortex-m55", "cortex-m85"):
        known = start_up._constants()[cost.measured_core(cpu)]
        assert all(count in known[part] for part, of in counts.items() for count in of)
        assert start_up.instructions(cpu, counts) > 1000
    assert found.firmware.compressed.start_up > 1000 and found.firmware.dense.start_up > 1000


def test_planes_plan_with_the_longest_row_as_nhwc():
    found = compressing.compress(model_of(), "m", method="bitmap", smaller_only=False, **UNBOUNDED)
    packed = found.decisions[0].candidate.packed
    nhwc, planes = (start_up.packed(packed, [kernel]) for kernel in ("conv1x1_mve", "conv1x1_planes_mve"))
    assert nhwc == planes and planes["longest row"]["word"] > 0


def test_offset8_counts_the_groups_near_the_end():
    matrix = np.zeros((2, 1000), np.int8)
    matrix[0, [1, 800]] = matrix[1, 3] = 1
    (streams,) = encodings.encode_all(matrix, ["offset8"])
    counts = start_up._offset8(streams)
    assert counts["row"] == 2 and counts["group"] == len(streams.index) // 2
    # Only the group with column 800 ends within 256 columns of the end.
    assert 1 <= counts["near"] < len(streams.values)


def test_bound_is_kept_where_a_layer_could_stay_dense():
    model = model_of(128, 2000)
    ratios, sizes = [], []
    for slowest_start in (1000, 3, 1.2):
        found = compressing.compress(
            model, "m", objective="size", cpu="cortex-m4", slowest=1000, slowest_start=slowest_start
        )
        figures = found.firmware
        ratios.append(figures.compressed.start_up / figures.dense.start_up)
        sizes.append(firmware_bytes(found))
        assert ratios[-1] <= slowest_start
        assert (figures.start_up_bytes > 0) == (ratios[-1] < ratios[0])
        assert figures.unlimited_start_up == pytest.approx(ratios[0] * figures.dense.start_up, abs=1)
    assert ratios[0] > 3 and sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert found.decisions[0].note == "would start too slowly on cortex-m4"


def test_a_plan_that_keeps_the_bound_when_it_is_finished_is_found():
    """The start-up of the finished plan counts, not that of its layers before planes and kernels are chosen."""
    model, options = model_of(128, 2000), {"objective": "size", "slowest": 1000}
    free = compressing.compress(model, "m", slowest_start=1000, **options)
    ratio = free.firmware.compressed.start_up / free.firmware.dense.start_up
    kept = compressing.compress(model, "m", slowest_start=1.001 * ratio, **options)
    assert tflite.serialize(kept.model) == tflite.serialize(free.model)
    assert kept.firmware.start_up_bytes == 0
    less = compressing.compress(model, "m", slowest_start=0.999 * ratio, **options)
    assert less.firmware.compressed.start_up < free.firmware.compressed.start_up


@pytest.mark.parametrize("slowest_start", [None, 0.5, 1.3])
def test_the_bound_costs_nothing_with_the_ratio_that_is_printed(slowest_start):
    model, options = model_of(128, 2000), {"objective": "size", "slowest": 1000}
    found = compressing.compress(model, "m", slowest_start=slowest_start, **options)
    (line,) = (one for one in firmware_report.notes(found.firmware, "cortex-m55") if "bytes; --slowest-start" in one)
    ratio = float(line.split("--slowest-start ")[1].split(" ")[0])
    assert ratio > (slowest_start or 1.5)
    free = compressing.compress(model, "m", slowest_start=ratio, **options)
    saved = len(tflite.serialize(found.model)) - len(tflite.serialize(free.model))
    assert saved == found.firmware.start_up_bytes > 0 == free.firmware.start_up_bytes


def test_a_bound_that_is_not_met_is_told():
    options = {"cpu": "cortex-m55", "slowest": 1000}
    missed, kept = (compressing.compress(model_of(), "m", slowest_start=x, **options).firmware for x in (0.01, 100))
    assert missed.slowest_start == 0.01
    assert missed.compressed.start_up > 0.01 * missed.dense.start_up
    told = "--slowest-start 0.01 is not met: the start-up of this plan is estimated at "
    assert [note.startswith(told) for note in firmware_report.notes(missed, "cortex-m55")].count(True) == 1
    assert "is not met" not in "".join(firmware_report.notes(kept, "cortex-m55"))
    named = compressing.compress(model_of(), "m", slowest_start=0.01, method="rice", **options).firmware
    assert named.is_named and not missed.is_named


def firmware_bytes(found: compressing.Compressed) -> int:
    candidate = found.decisions[0].candidate
    return len(candidate.blob) if candidate else found.decisions[0].layer.matrix.nbytes


def test_cores_without_constants_have_no_bound():
    assert not start_up.is_known("cortex-m0plus") and start_up.is_known("cortex-m85")
    found = compressing.compress(model_of(), "m", cpu="cortex-m0plus", objective="size")
    assert found.firmware.compressed.start_up is None
    assert firmware.start_up_limit(model_of(), model_of(), [], "cortex-m3", 1.5) is None


def test_a_verified_image_gets_checksums_and_starts_faster():
    """Files differ in checksums only; a model without them is restored alike, and damage is found."""
    model = model_of(64, 600)
    options = {"objective": "size", "method": "rice+huffman", "smaller_only": False} | UNBOUNDED
    plain = compressing.compress(model, "m", **options)
    checked = compressing.compress(model, "m", verified_image=True, **options)
    assert checked.decisions[0].packed.has_checksum and not plain.decisions[0].packed.has_checksum
    assert checked.firmware.compressed.start_up < 0.6 * plain.firmware.compressed.start_up
    assert_same(compressing.decompress(through_bytes(checked.model), "m"), model)
    blob = checked.decisions[0].candidate.blob
    data = bytearray(tflite.serialize(checked.model))
    data[bytes(data).index(blob) + len(blob) // 2] ^= 1
    with pytest.raises(ModelError, match="the checksum of the packed layer is wrong"):
        compressing.decompress(tflite.parse(bytes(data), "m"), "m")

"""Tests the comparison with TFLM's compression: stored models are exact, failures are reported. Tests no times."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import tflm_compression
from dcsr import model as tflite
from dcsr.testing.models import conv_model, fully_connected_model, sparse_matrix


@pytest.fixture(name="result", params=[(conv_model, True), (fully_connected_model, False)], scope="module")
def measured(request, tmp_path_factory):
    make, per_channel = request.param
    rng = np.random.default_rng(0)
    # The weights have few different values, so that look-up tables work.
    matrix = np.sign(sparse_matrix(rng, 120, 200, 0.9)) * np.int8(17)
    path = tmp_path_factory.mktemp("models") / "small.tflite"
    path.write_bytes(tflite.serialize(make(rng, matrix, per_channel=per_channel)))
    return tflm_compression.measure(path, rounds=2)


def test_ways_that_the_wheel_can_store_are_exact(result):
    ways = {way["way"]: way for way in result["ways"]}
    dense = ways["dense"]
    assert dense["latency_ratio"] == 1
    for name in ("TFLM look-up tables", "dCSR balanced", "dCSR size", "dCSR speed"):
        assert ways[name]["note"] == ""
        # On an M55, a small fully connected layer is faster dense.
        stays = name == "dCSR speed" and ways[name]["flash_bytes"] == dense["flash_bytes"]
        assert ways[name]["flash_bytes"] < dense["flash_bytes"] or stays
        assert ways[name]["arena_bytes"] > 0 and ways[name]["latency_ratio"] > 0
    # DECODE expands a whole layer into the arena.
    assert ways["TFLM look-up tables"]["arena_bytes"] >= dense["arena_bytes"] + 120 * 200


def test_stubs_of_the_wheel_are_named(result):
    ways = {way["way"]: way for way in result["ways"]}
    for name in ("TFLM Huffman", "TFLM pruning"):
        assert ways[name]["flash_bytes"] is None
        assert "CompressionError: " in ways[name]["note"] and "not yet implemented" in ways[name]["note"]


def test_table_has_a_row_for_each_way(result):
    lines = "\n".join(tflm_compression.table([result])).splitlines()
    rows = [line for line in lines if line.startswith("| small |")]
    assert [row.split(" | ")[1] for row in rows] == [
        way["way"] for way in result["ways"] if way["flash_bytes"] is not None
    ]
    assert len({row.count(" | ") for row in rows}) == 1
    # A method that fails for every model is listed only once, below the table.
    below = [line for line in lines if ", every model: `CompressionError: " in line]
    assert [line.split(",")[0] for line in below] == ["TFLM Huffman", "TFLM pruning"]

"""Tests the published sparse models and those of the repository: exact, reversible, and smaller than in the paper.

DCSR_PUBLISHED_MODELS is the folder of the published models. If it is not set, their tests are skipped.
"""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from dcsr import compressing, encodings, layers, runtime, verification
from dcsr import model as tflite
from dcsr.passes.dead_channels import dead_channels
from dcsr.passes.record import RECORD_NAME
from dcsr.planning.settings import DEFAULT_MIN_SPARSITY, OBJECTIVES
from dcsr.testing.compare import assert_same, without_ranges

OWN = [Path("models/fashion_dscnn_90.tflite")]
TRAINED = sorted(path for path in Path("models").glob("*/*.tflite") if not path.stem.endswith(("_dense", ".dcsr")))
ROOT = os.environ.get("DCSR_PUBLISHED_MODELS")
PUBLISHED = sorted(Path(ROOT).glob("*/*.tflite")) if ROOT else []

# Results of the paper: bytes of all compressed layers divided by their dense bytes.
PAPER = {
    "sparse_l_70": 0.407,
    "sparse_l_80": 0.302,
    "sparse_l_90": 0.192,
    "sparse_m_90": 0.205,
    "sparse_s_90": 0.239,
    "mobilenetv2_cifar10_sparse80": 0.362,
    "mobilenetv2_cifar10_sparse90": 0.207,
}
# Number of packed layers: pointwise convolutions and FULLY_CONNECTED that are sparse enough.
LAYERS = {
    "dense_l": 1,
    "dense_m": 1,
    "dense_s": 0,
    "sparse_l": 6,
    "sparse_m": 5,
    "sparse_s": 5,
    "mobilenetv2_cifar10_sparse80": 12,
    "mobilenetv2_cifar10_sparse90": 16,
}
# Upper limits: bytes of all layers, each in its smallest scheme, divided by their dense bytes.
SMALLEST = {
    "sparse_l_70": 0.320,
    "sparse_l_80": 0.240,
    "sparse_l_90": 0.147,
    "sparse_m_90": 0.151,
    "sparse_s_90": 0.170,
    "mobilenetv2_cifar10_sparse80": 0.280,
    "mobilenetv2_cifar10_sparse90": 0.159,
}
# Number of dead channels of all layers.
DEAD = {
    "sparse_l_90": 408,
    "sparse_m_90": 263,
    "sparse_s_90": 29,
    "mobilenetv2_cifar10_sparse90": 472,
    "ds_cnn_s_90": 21,
    "mnv2_035_90": 1150,
}
# Of dcsr the parameter that is smaller, and bytes. Two with coded values stand for all.
METHODS = [method for method in encodings.METHODS if "+" not in method and method != "dcsr4"]
METHODS += ["rice+huffman", "bitmap+huffman"]
SAMPLES = 20

needs_published = pytest.mark.skipif(not PUBLISHED, reason="DCSR_PUBLISHED_MODELS is not set, or has no models")


def name_of(path: Path) -> str:
    return path.stem


class Recorded:
    """Replays the outputs of a model for a sequence of input sets, so that the slow dense model runs once."""

    def __init__(self, path: Path, samples: int = SAMPLES) -> None:
        model = tflite.read(path)
        self.inputs = verification.inputs_of(model, str(path))
        self.sets = verification.random_samples(self.inputs, samples, seed=1)
        self.outputs = len(model.subgraphs[0].outputs)
        interpreter = runtime.Interpreter.from_bytes(path.read_bytes())
        self.results = [verification.run(interpreter, inputs, self.outputs) for inputs in self.sets]
        self.next = 0

    def set_input(self, value, index):
        assert value is self.sets[self.next][index]

    def invoke(self):
        self.next += 1

    def get_output(self, index):
        return self.results[self.next - 1][index]


def assert_verifies(dense: Recorded, compressed: bytes, what: str) -> None:
    dense.next = 0
    interpreter = runtime.Interpreter.from_bytes(compressed)
    difference = verification.compare(dense, interpreter, dense.inputs, dense.outputs, dense.sets)
    assert difference is None, f"{what}: {difference.text}"
    assert dense.next == len(dense.sets)


@pytest.mark.parametrize("path", [*OWN, *PUBLISHED], ids=name_of)
def test_compressed_model_is_exact_and_given_back_whole_with_every_method(path):
    data = path.read_bytes()
    dense = Recorded(path)
    for method in METHODS:
        model = tflite.parse(data, str(path))
        compressed, decisions, *_ = compressing.compress(model, str(path), method=method)
        result = tflite.serialize(compressed)
        packed = [decision for decision in decisions if decision.packed]
        if packed:
            assert len(result) < len(data), method
            back = compressing.decompress(tflite.parse(result, "compressed"), "compressed")
            assert_same(without_ranges(model, decisions), back)
        assert_verifies(dense, result, method)


def test_trained_models_are_there():
    assert {path.stem for path in TRAINED} >= {"ds_cnn_s_90", "ds_cnn_m_90", "ds_cnn_l_90", "mnv2_035_90"}


@needs_published
def test_all_published_models_are_there():
    assert {path.stem for path in PUBLISHED} >= PAPER.keys()


@pytest.mark.parametrize("path", PUBLISHED or [pytest.param(None, marks=needs_published)], ids=str)
def test_expected_layers_are_packed_and_smaller_than_the_paper_s(path):
    model = tflite.read(path)
    _, decisions, *_ = compressing.compress(
        model, str(path), method="dcsr", objective="size", min_sparsity=DEFAULT_MIN_SPARSITY
    )
    packed = [decision for decision in decisions if decision.packed]
    expected = LAYERS.get(path.stem, LAYERS.get(path.stem.rsplit("_", 1)[0]))
    assert expected is not None, "a model that the table does not know"
    assert len(packed) == expected
    if path.stem in PAPER:
        stored = sum(decision.packed.streams.nbytes for decision in packed)
        dense = sum(decision.layer.matrix.nbytes for decision in packed)
        assert stored / dense <= PAPER[path.stem]


@pytest.mark.parametrize("path", [*OWN, *TRAINED, *PUBLISHED], ids=name_of)
def test_stripped_model_is_exact_and_the_record_takes_less_than_4_bytes_a_channel(path):
    data = path.read_bytes()
    model = tflite.parse(data, str(path))
    compressed, decisions, *_ = compressing.compress(model, str(path), objective="size")
    channels = sum(decision.packed.streams.rows for decision in decisions if decision.packed)
    for entry in compressed.metadata or []:
        if entry.name == RECORD_NAME and channels > 100:
            assert len(compressed.buffers[entry.buffer].data) <= 4 * channels
    stripped = tflite.serialize(compressing.compress(model, str(path), objective="size", strip=True)[0])
    assert len(stripped) < len(tflite.serialize(compressed))
    if path.stem == "sparse_l_90":
        assert len(stripped) <= 200_000
    assert_verifies(Recorded(path, samples=5), stripped, "stripped")


@pytest.mark.parametrize("path", [*OWN, *TRAINED, *PUBLISHED], ids=name_of)
def test_dense_model_without_dead_channels_is_exact(path):
    data = path.read_bytes()
    result, done = dead_channels(tflite.parse(data, str(path)))
    found = [done.removed.get((layer.subgraph, layer.position)) for layer in layers.find(result)]
    count = sum(entry.channels_before - entry.channels_after for entry in found if entry)
    assert count == DEAD.get(path.stem, count)
    smaller = tflite.serialize(result)
    assert len(smaller) < len(data) or not count
    assert_verifies(Recorded(path), smaller, "without dead channels")


@pytest.mark.parametrize("path", [*OWN, *TRAINED, *PUBLISHED], ids=name_of)
def test_every_objective_is_exact_and_takes_no_more_arena_than_scratch(path):
    data = path.read_bytes()
    dense = Recorded(path, samples=3)
    arena = runtime.arena_used_bytes(data)
    for objective in OBJECTIVES:
        compressed, _, *_ = compressing.compress(tflite.parse(data, str(path)), str(path), objective=objective)
        result = tflite.serialize(compressed)
        assert_verifies(dense, result, objective)
        # The host's kernels need no scratch.
        assert runtime.arena_used_bytes(result) <= arena, objective


@needs_published
@pytest.mark.parametrize("path", [path for path in PUBLISHED if path.stem.find("sparse") >= 0], ids=name_of)
def test_smallest_schemes_are_below_zlib_and_near_the_entropy(path):
    model = tflite.read(path)
    _, decisions, *_ = compressing.compress(model, str(path), method="auto")
    candidates = [decision.candidate for decision in decisions]
    matrices = [
        decision.layer.matrix
        for decision, candidate in zip(decisions, candidates, strict=True)
        if candidate and not candidate.has_dense_weights
    ]
    sizes = [min(encodings.sizes(matrix, encodings.SCHEMES).values()) for matrix in matrices]
    for matrix, size in zip(matrices, sizes, strict=True):
        assert size < len(zlib.compress(matrix.tobytes(), 9))
    if path.stem in SMALLEST:
        assert sum(sizes) / sum(matrix.size for matrix in matrices) <= SMALLEST[path.stem]


@needs_published
def test_no_value_is_stored_twice_where_the_published_encoder_pads():
    """Tests the 12 x 16560 matrix of DS-CNN-L. The published encoder stores 56 % more values than nonzeros for it."""
    (path,) = (p for p in PUBLISHED if p.stem == "sparse_l_90")
    _, decisions, *_ = compressing.compress(tflite.read(path), str(path), method="dcsr")
    (decision,) = (c for c in decisions if c.layer.shape == (12, 16560))
    assert len(decision.packed.streams.values) == np.count_nonzero(decision.layer.matrix)

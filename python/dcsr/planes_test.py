"""Tests planes between packed layers: outputs, decompress, and which tensors are in planes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import dcsr
from dcsr import compressing, layerwise, packing
from dcsr import model as tflite
from dcsr.layers import find, packed_layer, transposed, with_compact_rows
from dcsr.model import ModelError
from dcsr.passes.pack import pack
from dcsr.passes.record import in_nhwc
from dcsr.planning import cost, plan_file, planes, workload
from dcsr.planning.candidates import Candidate
from dcsr.planning.choice import Decision
from dcsr.planning.settings import OBJECTIVES
from dcsr.schema import schema
from dcsr.testing.models import Builder, sparse_matrix
from dcsr.testing.random_graphs import random_graph

CPU = "cortex-m55"


class _Chain:
    """Builds a model of convolutions whose sizes and strides are odd."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = Builder()
        self.names = (f"layer{i}" for i in itertools.count())

    def input(self, height: int, width: int, channels: int) -> int:
        return self.builder.tensor("x", (1, height, width, channels), scale=0.02, zero_point=-7)

    def quantisation(self, rows: int) -> dict[str, object]:
        return {
            "bias": self.rng.integers(-900, 900, rows).astype(np.int32),
            "weight_scale": self.rng.uniform(0.005, 0.02, rows).astype(np.float32),
            "output_scale": 1.5,
            "name": next(self.names),
        }

    def conv(self, x: int, rows: int, size: tuple[int, int] = (1, 1), **options: object) -> int:
        cols = size[0] * size[1] * self.builder.shape(x)[3]
        matrix = sparse_matrix(self.rng, rows, cols, 0.1 if size != (1, 1) else 0.8)
        return self.builder.conv_2d(x, matrix, filter_size=size, **self.quantisation(rows), **options)

    def depthwise(self, x: int, size: tuple[int, int] = (3, 3), multiplier: int = 1, **options: object) -> int:
        rows = self.builder.shape(x)[3] * multiplier
        matrix = sparse_matrix(self.rng, rows, size[0] * size[1], 0.1)
        return self.builder.depthwise_conv_2d(x, matrix, filter_size=size, **self.quantisation(rows), **options)

    def add(self, x: int, y: int) -> int:
        z = self.builder.tensor("sum", self.builder.shape(x), scale=2.5, zero_point=5)
        self.builder.operator(schema.BuiltinOperator.ADD, [x, y], [z], schema.AddOptionsT())
        return z

    def mean(self, x: int) -> int:
        axes = self.builder.tensor("axes", (2,), np.int32, data=np.array([1, 2], np.int32))
        y = self.builder.tensor("mean", (1, self.builder.shape(x)[3]), scale=1.5, zero_point=3)
        self.builder.operator(schema.BuiltinOperator.MEAN, [x, axes], [y], schema.ReducerOptionsT(keepDims=False))
        return y

    def finish(self, x: int, *outputs: int) -> bytes:
        return tflite.serialize(self.builder.finish([x], list(outputs)))


def _plain(chain: _Chain) -> bytes:
    x = chain.input(21, 9, 1)
    y = chain.conv(x, 17, (5, 4), stride=(2, 1))
    for _ in range(2):
        y = chain.conv(chain.depthwise(y), 17)
    return chain.finish(x, chain.mean(y))


def _residual(chain: _Chain) -> bytes:
    x = chain.input(7, 11, 3)
    y = chain.conv(x, 20, (3, 3))
    z = chain.add(chain.conv(chain.depthwise(y, (5, 5)), 20), y)
    return chain.finish(x, chain.conv(chain.depthwise(z, multiplier=2), 12))


def _unusual(chain: _Chain) -> bytes:
    x = chain.input(13, 6, 8)
    y = chain.depthwise(x, (3, 5), stride=(2, 2))
    y = chain.conv(y, 9, (3, 2), dilation=(2, 1))
    y = chain.depthwise(y, (2, 3), padding=schema.Padding.VALID)
    return chain.finish(x, chain.conv(y, 5))


def _with_other_readers(chain: _Chain) -> bytes:
    x = chain.input(9, 9, 4)
    y = chain.conv(x, 16)
    z = chain.depthwise(y)
    w = chain.conv(z, 16)
    return chain.finish(x, chain.mean(z), w, chain.conv(chain.depthwise(w), 8), y)


_MODELS = {"plain": _plain, "residual": _residual, "unusual": _unusual, "other readers": _with_other_readers}


def _plan(path: Path, count: int, methods: Sequence[str]) -> Path:
    """Writes a plan that packs every layer, so that no layer stays dense because it is small."""
    lines = ["version: 1", "tensors:"]
    for number, method in zip(range(count), itertools.cycle(methods), strict=False):
        lines += [f"  - tensor: layer{number}/weights", f"    method: {method}"]
    path.write_text("\n".join(lines) + "\n")
    return path


def _compressed(
    data: bytes, tmp_path: Path, layout: str, methods: Sequence[str] = ("dense", "rice", "dcsr")
) -> compressing.Compressed:
    model = tflite.parse(data, "m")
    count = sum(len(operator.inputs) > 2 for _, operator in tflite.operators(model))
    plan = _plan(tmp_path / "plan.yaml", count, methods)
    return compressing.compress(model, "m", cpu=CPU, layout=layout, smaller_only=False, plan=plan)


def _in_planes(data: bytes, tmp_path: Path, is_transposed: bool) -> schema.ModelT:
    """Compresses with all chains in planes, also those that only the portable kernels take."""
    model = tflite.parse(data, "m")
    decisions = _compressed(data, tmp_path, "nhwc").decisions
    found = planes.chains(model, decisions, lambda candidate, ends: True)
    assert found
    for chain in found:
        tried = planes.in_planes(model, decisions, chain, is_transposed, CPU, "dtcm", {})
        assert tried is not None
        decisions = tried
    assert {of.packed.planes.is_transposed for of in decisions if of.packed and of.packed.planes} == {is_transposed}
    return pack(model, decisions)[0]


def _layouts(result: compressing.Compressed) -> list[str]:
    return [decision.packed.layout for decision in result.decisions if decision.packed]


@pytest.mark.parametrize("name", _MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_planes_change_no_output(name: str, seed: int, tmp_path: Path) -> None:
    data = _MODELS[name](_Chain(seed))
    for is_transposed in (False, True):
        compressed = _in_planes(data, tmp_path, is_transposed)
        assert dcsr.verify(data, tflite.serialize(compressed)).identical


@pytest.mark.parametrize("name", _MODELS)
def test_decompress_gives_the_same_model_as_without_planes(name: str, tmp_path: Path) -> None:
    data = _MODELS[name](_Chain(1))
    before = dcsr.decompress(tflite.serialize(_compressed(data, tmp_path, "nhwc").model))
    for is_transposed in (False, True):
        assert dcsr.decompress(tflite.serialize(_in_planes(data, tmp_path, is_transposed))) == before


@pytest.mark.parametrize("name", _MODELS)
def test_in_nhwc_gives_the_layers_of_a_model_without_planes(name: str, tmp_path: Path) -> None:
    data = _MODELS[name](_Chain(2))
    before = _compressed(data, tmp_path, "nhwc")
    blobs = [of.candidate.blob for of in before.decisions if of.candidate]
    for is_transposed in (False, True):
        restored = find(in_nhwc(tflite.parse(tflite.serialize(_in_planes(data, tmp_path, is_transposed)), "m")))
        assert [packing.pack(layer.packed) for layer in restored if layer.packed] == blobs
    for decision in before.decisions:
        if decision.packed:
            assert packing.pack(transposed(transposed(decision.packed))) == packing.pack(decision.packed)


def test_tensors_that_others_read_stay_nhwc(tmp_path: Path) -> None:
    data = _with_other_readers(_Chain(2))
    found = planes.chains(tflite.parse(data, "m"), _compressed(data, tmp_path, "nhwc").decisions, lambda *_: True)
    # y and w are outputs, z is read by MEAN; only the input of the last layer is left.
    assert [len(chain) for chain in found] == [1]


def test_nhwc_uses_no_planes(tmp_path: Path) -> None:
    data = _plain(_Chain(2))
    assert set(_layouts(_compressed(data, tmp_path, "nhwc"))) == {"nhwc"}


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="layout"):
        dcsr.compress(_plain(_Chain(2)), layout="nchw")


def _packed_anyhow(model: schema.ModelT, seed: int) -> list[Decision]:
    """Packs every layer whose weights no other layer has, with a random encoding and form of its rows."""
    rng = np.random.default_rng(seed)
    layers = find(model)
    buffers = [model.subgraphs[of.subgraph].tensors[of.operator.inputs[1]].buffer for of in layers]
    decisions = []
    for layer, buffer in zip(layers, buffers, strict=True):
        candidate = None
        if layer.obstacle is None and buffers.count(buffer) == 1:
            packed = packed_layer(model, layer, str(rng.choice(["dense", "rice", "dcsr", "rle", "offset8"])))
            if rng.random() < 0.5:
                packed = with_compact_rows(model, layer, packed) or packed
            shape = workload.shape(model, layer)
            candidate = Candidate(packed, shape, cost.estimate(CPU, packed, shape))
        decisions.append(Decision(layer, candidate))
    return decisions


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_graphs(first: int) -> None:
    chains = 0
    for seed in range(first, first + 20):
        data = tflite.serialize(random_graph(seed, 18))
        model = tflite.parse(data, "m")
        decisions = _packed_anyhow(model, seed)
        before = tflite.serialize(pack(model, decisions)[0])
        found = planes.chains(model, decisions, lambda *_: True)
        for number, chain in enumerate(found):
            tried = planes.in_planes(model, decisions, chain, (seed + number) % 2 == 1, CPU, "dtcm", {})
            assert tried is not None
            decisions = tried
        compressed = tflite.serialize(pack(model, decisions)[0])
        assert dcsr.verify(data, compressed).identical, seed
        assert dcsr.decompress(compressed) == dcsr.decompress(before), seed
        chains += len(found)
    assert chains > 10


def test_a_dumped_plan_makes_the_same_layouts(tmp_path: Path) -> None:
    model = tflite.parse(_plain(_Chain(5)), "m")
    decisions = _compressed(_plain(_Chain(5)), tmp_path, "nhwc").decisions
    (chain,) = planes.chains(model, decisions, lambda *_: True)
    for is_transposed in (False, True):
        chosen = planes.in_planes(model, decisions, chain, is_transposed, CPU, "dtcm", {})
        assert chosen is not None
        path = tmp_path / "dumped.yaml"
        path.write_text(plan_file.plan_text(chosen, "a title"))
        for objective in OBJECTIVES:
            again = compressing.compress(model, "m", cpu=CPU, objective=objective, plan=path).decisions
            blobs = [[of.candidate and of.candidate.blob for of in found] for found in (again, chosen)]
            assert blobs[0] == blobs[1]
    dumped = path.read_text()

    def check_refused(plan: str, message: str) -> None:
        path.write_text(plan)
        with pytest.raises(ModelError, match=message):
            compressing.compress(model, "m", cpu=CPU, smaller_only=False, plan=path)

    # A layer that has to read planes, after one that writes NHWC.
    check_refused(
        dumped.replace("layout: nhwc to planes\n    transposed: true", "layout: nhwc"), "do not fit together: tensor"
    )
    check_refused(dumped.replace("    transposed: true\n", "", 1), "only some are transposed")
    check_refused(dumped.replace("layout: nhwc to planes", "layout: nhwc"), "transposed is for a layout with planes")
    path.write_text(dumped)
    with pytest.raises(ModelError, match="does not fit into an arena of"):
        compressing.compress(model, "m", cpu=CPU, smaller_only=False, plan=path, max_arena=4400)


@pytest.mark.parametrize("is_transposed", [False, True])
@pytest.mark.parametrize("name", ["plain", "unusual"])
def test_layers_in_planes_are_compared_one_by_one(name: str, is_transposed: bool, tmp_path: Path) -> None:
    data = _MODELS[name](_Chain(3))
    compressed = _in_planes(data, tmp_path, is_transposed)

    def compare() -> layerwise.Outcome:
        return layerwise.compare(tflite.parse(data, "m"), compressed, ("m", "c"), samples=2, seed=1, timeout=60)

    found = compare()
    assert found.layers > 2 and not found.difference
    # A damaged weight is found.
    layer = max(find(compressed), key=lambda one: one.matrix.size)
    buffer = compressed.buffers[compressed.subgraphs[0].tensors[layer.weights].buffer]
    buffer.data = np.array(buffer.data)
    buffer.data[-5] ^= 64
    assert compare().difference

"""Tests of linking: kernels and encodings that cost more code than they save."""

import numpy as np
import pytest

from dcsr import compressing, encodings
from dcsr import model as tflite
from dcsr.planning import code_bytes, cost, linking
from dcsr.planning.settings import OBJECTIVES
from dcsr.testing import models

CPUS = ("cortex-m4", "cortex-m55")


def _read(model):
    return tflite.parse(tflite.serialize(model), "model")


def _sparse(seed=2, channels=64):
    rng = np.random.default_rng(seed)
    return _read(models.conv_model(rng, models.sparse_matrix(rng, channels, channels, 0.9), pixels=(8, 8)))


def _depthwise():
    rng = np.random.default_rng(3)
    matrix = rng.integers(-127, 128, (64, 9), np.int8)
    return _read(models.depthwise_model(rng, matrix, pixels=(24, 24)))


def _decisions(model, **options):
    return compressing.compress(model, "model", **options).decisions


def _codings(decisions):
    return {coding for _, coding in linking.parts(decisions)}


@pytest.mark.parametrize("objective", ["balanced", "size"])
@pytest.mark.parametrize("cpu", CPUS)
def test_a_plan_that_counts_code_makes_the_firmware_no_larger(monkeypatch, cpu, objective):
    for model in (_sparse(), _depthwise()):
        counted = _decisions(model, cpu=cpu, objective=objective)
        with monkeypatch.context() as patch:
            patch.setattr(linking, "_worth_trying", lambda *_: [])
            patch.setattr(code_bytes, "knows_tflm", lambda _: False)
            uncounted = _decisions(model, cpu=cpu, objective=objective)
        assert linking.flash(model, counted, cpu) <= linking.flash(model, uncounted, cpu)


def test_a_coding_that_costs_more_code_than_it_saves_is_not_used(monkeypatch):
    model = _sparse()
    first = _codings(_decisions(model, cpu="cortex-m4", objective="balanced"))
    real = code_bytes.code_bytes

    def dear(cpu, used, *others, **options):
        return real(cpu, used, *others, **options) + 10_000 * len(first & {coding for _, coding in used})

    monkeypatch.setattr(code_bytes, "code_bytes", dear)
    assert _codings(_decisions(model, cpu="cortex-m4", objective="balanced")).isdisjoint(first)
    # The code of the fastest encodings does not count, nor that of an encoding that the user has named.
    assert _codings(_decisions(model, cpu="cortex-m4", objective="speed"))
    named = min(first)
    assert _codings(_decisions(model, cpu="cortex-m4", method=named)) == {named}


def test_no_single_coding_is_better_in_bytes_and_time():
    for cpu in CPUS:
        model = _sparse(4, 128)
        best = compressing.compress(model, "model", cpu=cpu)
        for method in encodings.METHODS:
            other = compressing.compress(model, "model", cpu=cpu, method=method)
            is_smaller = linking.flash(model, other.decisions, cpu) < linking.flash(model, best.decisions, cpu)
            times = [_time(found.firmware.compressed, cpu) for found in (other, best)]
            assert not is_smaller or times[0] is None or times[1] is None or times[0] >= times[1]


def _time(figures, cpu):
    return figures.cycles if cost.unit(cpu) == cost.CYCLES else figures.instructions


def test_size_trades_few_bytes_of_the_file_for_code(monkeypatch):
    model = _sparse(5, 192)
    before = sum(of.candidate.nbytes for of in _decisions(model, objective="size") if of.candidate)
    real = code_bytes.code_bytes

    def dear(cpu, used, *others, **options):
        dearest = 100_000 if any(coding.endswith("huffman") for _, coding in used) else 0
        return real(cpu, used, *others, **options) + dearest

    monkeypatch.setattr(code_bytes, "code_bytes", dear)
    monkeypatch.setattr(code_bytes, "knows_tflm", lambda _: False)
    after = sum(of.candidate.nbytes for of in _decisions(model, objective="size") if of.candidate)
    assert before <= after <= (1 + linking._MOST_GROWTH) * before


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("model", "cpu"), [(_sparse(), "cortex-m4"), (_depthwise(), "cortex-m55")])
def test_a_firmware_does_not_grow(monkeypatch, model, cpu, objective):
    def packed(model):
        return [bool(of.candidate) for of in _decisions(model, cpu=cpu, objective=objective)]

    assert packed(model) == [True]
    monkeypatch.setattr(code_bytes, "code_bytes", lambda cpu, used, *_, **__: 1_000_000 if used else 0)
    assert packed(model) == [objective == "speed"]


def test_reason_of_layers_that_stay_dense_for_their_code(monkeypatch):
    monkeypatch.setattr(code_bytes, "code_bytes", lambda cpu, used, *_, **__: 1_000_000 if used else 0)
    with monkeypatch.context() as patch:
        # Nothing can be left out.
        patch.setattr(linking, "_worth_trying", lambda *_: [])
        assert [of.note for of in _decisions(_sparse(), cpu="cortex-m4")] == [linking.TOO_MUCH_CODE]
    assert _decisions(_sparse(), cpu="cortex-m4", code="all")[0].candidate
    # An encoding that the user has named is used.
    assert _decisions(_sparse(), cpu="cortex-m4", method="rice")[0].candidate
    # Without figures for TFLM's operators there is no comparison.
    monkeypatch.setattr(code_bytes, "knows_tflm", lambda _: False)
    assert _decisions(_sparse(), cpu="cortex-m4")[0].candidate


@pytest.mark.parametrize("cpu", cost.CPUS)
def test_code_of_the_dense_model_is_that_of_its_operators(cpu):
    model = _sparse()
    assert (linking.code(model, [], cpu) > 0) == code_bytes.knows_tflm(cpu)
    assert linking.code(model, _decisions(model, cpu=cpu), cpu) > 0

"""Tests the bounds of inference and start-up."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from dcsr.planning import bounds
from dcsr.planning.bounds import Group


def way(nbytes: int, time: int | None) -> Any:
    return SimpleNamespace(nbytes=nbytes, estimate=SimpleNamespace(time=time))


def group(dense_bytes: int, dense_time: int | None, *ways: tuple[int, int | None]) -> Group:
    return Group([way(*one) for one in ways], dense_bytes, dense_time)


def within(layers: list[Group], rest: float, most: float) -> list[int | None]:
    return bounds.within(layers, [0, 0], bounds.time_limit(layers, rest, most))


def test_ways_that_are_not_slower_than_dense_come_first():
    layer = group(1000, 100, (300, 90), (200, 100), (100, 101))
    assert bounds.worthwhile(layer, 100_000) == [True, True, False]


def test_slower_ways_have_to_save_bytes_and_take_at_most_twice_the_time():
    layer = group(1000, 100, (300, 110), (200, 199), (100, 201))
    assert bounds.worthwhile(layer, 100_000) == [True, True, False]
    # 10 of 100 are 10 % of the inference: 640 bytes; 99 are 99 %: 6,336.
    assert bounds.worthwhile(layer, 100) == [True, False, False]
    assert bounds.worthwhile(dataclasses.replace(layer, dense_bytes=900), 100) == [False, False, False]


def test_an_unknown_time_is_no_reason_to_stay_dense():
    assert bounds.worthwhile(group(1000, None, (300, 110)), 100) == [True]
    assert bounds.worthwhile(group(1000, 100, (300, None)), 100) == [True]


def test_bound_takes_the_fewest_bytes_for_the_time_saved():
    layers = [group(1000, 100, (100, 500), (150, 200)), group(2000, 100, (100, 400), (900, 150))]
    assert within(layers, 50, 2000) == [0, 0]
    # The first layer gets 300 faster for 50 bytes.
    assert within(layers, 50, 900) == [1, 0]
    # Then 250 for 800 bytes, 3.2 each, rather than 100 for 850.
    assert within(layers, 50, 649) == [1, 1]
    assert within(layers, 50, 399) == [None, 1]
    assert within(layers, 50, 350) == [None, 1]
    assert within(layers, 50, 250) == [None, None]


@pytest.mark.parametrize("limit", [0, 100])
def test_a_bound_that_cannot_be_kept_gives_the_fastest(limit):
    layers = [group(1000, 100, (100, 500), (150, 20)), group(1000, None, (100, 400))]
    assert within(layers, 500, limit) == [1, 0]


def starting(dense_start_up: float, start_ups: list[float], layer: Group) -> Group:
    return dataclasses.replace(layer, start_ups=start_ups, dense_start_up=dense_start_up)


def test_start_up_is_exchanged_for_the_price_of_the_objective():
    ways = (100, 100), (150, 100), (100, 150)
    layers = [starting(20, [50, 10, 10], group(1000, 200, *ways)), starting(20, [50, 10, 10], group(1000, 200, *ways))]
    start = bounds.start_up_limit(layers, 100, 170)
    assert start.total([0, 0]) == 200 and start.total([None, 1]) == 130
    # One exchange is enough: for bytes, or for time.
    assert bounds.within(layers, [0, 0], start, price=lambda nbytes, _: nbytes) == [2, 0]
    assert bounds.within(layers, [0, 0], start, price=lambda _, time: time) == [1, 0]


def test_start_up_keeps_the_limit_of_the_time_where_it_can():
    layers = [starting(0, [50, 10], group(1000, 90, (100, 100), (110, 140)))]
    start = bounds.start_up_limit(layers, 0, 20)
    assert bounds.within(layers, [0], start, [bounds.time_limit(layers, 0, 150)]) == [1]
    assert bounds.within(layers, [0], start, [bounds.time_limit(layers, 0, 120)]) == [None]
    # Without another way the start-up comes first.
    slow = [dataclasses.replace(layers[0], dense_start_up=60)]
    assert bounds.within(slow, [0], bounds.start_up_limit(slow, 0, 20), [bounds.time_limit(slow, 0, 120)]) == [1]


def test_encodings_that_the_user_has_named_have_no_bound():
    layers = [dataclasses.replace(starting(0, [50, 10], group(1000, 90, (100, 100), (110, 80))), is_fixed=True)]
    assert bounds.within(layers, [0], bounds.start_up_limit(layers, 0, 20)) == [0]
    assert bounds.within(layers, [0], bounds.time_limit(layers, 0, 20)) == [0]

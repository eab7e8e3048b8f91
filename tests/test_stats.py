from itertools import product
from math import exp, inf, isclose, log
from random import Random
from statistics import stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from accel.errors import InvalidRequestError
from accel.sequential import CONFIDENCE
from accel.stats import (
    block_interval,
    estimate,
    log_ratios,
    minimum_detectable_effect,
    walsh_averages,
)

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=60)
ratios = st.lists(st.floats(-2, 2), min_size=1, max_size=14)
seconds = st.floats(1e-3, 1e3)
pairs = st.lists(st.tuples(seconds, seconds), min_size=1, max_size=10)


def speedup(pairs):
    return estimate(log_ratios(pairs)).speedup


def test_twice_as_fast_is_a_speedup_of_two():
    assert speedup([(2.0, 1.0)] * 8) == pytest.approx((2, 2, 2))


def test_one_outlier_hardly_moves_the_estimate():
    good = [(1.5 + 0.001 * i, 1.0) for i in range(9)]
    assert speedup([*good, (1.5, 30.0)])[0] == pytest.approx(1.5, rel=0.01)


def test_walsh_averages_by_hand():
    assert walsh_averages([1.0, 5.0, 3.0]) == [1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize(
    ("pairs", "coverage"), [(1, 0), (2, 0.5), (3, 0.75), (4, 0.875), (5, 0.9375)]
)
def test_few_pairs_take_the_whole_range_and_say_what_it_covers(pairs, coverage):
    found = estimate([0.1 * i for i in range(pairs)])
    assert (found.low, found.high) == (0, 0.1 * (pairs - 1))
    assert found.coverage == coverage


@pytest.mark.parametrize("pairs", [6, 8, 10, 12, 20, 40])
def test_the_interval_is_the_signed_rank_test_inverted(pairs):
    """Shifted to just inside an end, scipy's exact test accepts; just outside, it rejects."""
    values = np.random.default_rng(pairs).normal(size=pairs)
    found = estimate(values.tolist())
    p = [
        scipy_stats.wilcoxon(values - shift, method="exact").pvalue
        for shift in (found.low - 1e-6, found.low + 1e-6, found.high - 1e-6, found.high + 1e-6)
    ]
    assert p[0] <= 0.05 < p[1]
    assert p[3] <= 0.05 < p[2]


@pytest.mark.parametrize("pairs", [3, 5, 6, 8])
def test_the_coverage_is_true(pairs):
    """Over all sign patterns of given sizes, 0 is inside as often as the estimate says."""
    sizes = [1.0, 2.1, 4.3, 8.7, 17.9, 35.1, 71.3, 143.9][:pairs]
    signs = list(product((-1, 1), repeat=pairs))
    found = [estimate([s * x for s, x in zip(sign, sizes, strict=True)]) for sign in signs]
    assert sum(e.low <= 0 <= e.high for e in found) / len(signs) == found[0].coverage


@repeatable
@given(ratios)
def test_the_estimate_lies_in_its_interval_and_the_interval_in_the_data(values):
    found = estimate(values)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)


@repeatable
@given(ratios, st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(values, random):
    shuffled = random.sample(values, len(values))
    assert estimate(shuffled).value == pytest.approx(estimate(values).value, abs=1e-12)


@repeatable
@given(ratios)
def test_faster_and_slower_mirror_each_other(values):
    there, back = estimate(values), estimate([-x for x in values])
    assert (back.value, back.low, back.high) == (-there.value, -there.high, -there.low)


@repeatable
@given(ratios, st.floats(-3, 3))
def test_a_shift_of_all_shifts_the_estimate(values, shift):
    assert isclose(
        estimate([x + shift for x in values]).value, estimate(values).value + shift, abs_tol=1e-9
    )


@repeatable
@given(pairs, st.floats(1e-2, 1e2))
def test_the_unit_of_time_does_not_matter(pairs, scale):
    scaled = [(a * scale, b * scale) for a, b in pairs]
    assert speedup(scaled) == pytest.approx(speedup(pairs), rel=1e-9)


@pytest.mark.parametrize(
    ("pairs", "confidence"), [(6, 0.95), (10, 0.95), (10, CONFIDENCE), (20, CONFIDENCE)]
)
def test_the_minimum_detectable_effect_is_detected(pairs, confidence):
    """Of known noise: at that effect the interval leaves out 0 in about 95 of 100 runs."""
    draws = Random(0)
    runs = [[draws.gauss() for _ in range(pairs)] for _ in range(400)]
    unit = [value / stdev(runs[0]) for value in runs[0]]
    effect = estimate(unit, confidence).detectable
    found = sum(estimate([effect + x for x in run], confidence).low > 0 for run in runs)
    assert 0.92 <= found / len(runs) <= 0.99


def test_one_pair_detects_nothing():
    assert minimum_detectable_effect([0.3], 0.5) == inf


def test_log_ratios_are_positive_for_a_faster_candidate():
    assert log_ratios([(3.0, 1.0)]) == [log(3)]
    assert exp(log_ratios([(1.0, 4.0)])[0]) == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [0.0, -1.0, inf, float("nan")])
def test_a_time_that_cannot_be_is_refused(bad):
    with pytest.raises(InvalidRequestError, match="measure that pair again"):
        log_ratios([(1.0, bad)])


@pytest.mark.parametrize("bad", [[], [0.1, float("nan")]])
def test_no_estimate_without_finite_ratios(bad):
    with pytest.raises(InvalidRequestError, match="at least one, all finite"):
        estimate(bad)


def test_a_series_of_independent_values_has_the_interval_of_its_mean():
    values = np.random.default_rng(0).normal(3, 1, 400)
    low, high = block_interval(values.tolist())
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.25 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.25 * half)


def test_neighbours_that_are_alike_widen_the_interval():
    """100 values, each four times in a row, tell no more than 100 values."""
    values = np.random.default_rng(0).normal(3, 1, 100)
    low, high = block_interval(np.repeat(values, 4).tolist())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.2)


def test_an_interval_covers_the_mean_of_correlated_series_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        noise = rng.normal(size=101)
        low, high = block_interval((noise[1:] + 0.5 * noise[:-1]).tolist(), draws=500)
        hits += low < 0 < high
    assert hits >= 85


def test_a_constant_series_has_no_width():
    assert block_interval([2.0] * 9) == (2.0, 2.0)


@pytest.mark.parametrize("bad", [[1.0] * 7, [1.0] * 8 + [float("nan")]])
def test_no_interval_of_few_or_broken_values(bad):
    with pytest.raises(InvalidRequestError, match="8 or more, all finite"):
        block_interval(bad)

"""The rule for times, and by simulation how often it is wrong."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import InvalidRequestError
from accel.limits import LIMITS
from accel.sequential import CONFIDENCE, LOOKS, NARROW, answer, block_ratios, enough, interval
from accel.stats import log_ratios

MARGIN = next(limit.absolute for limit in LIMITS if limit.pattern == "speedup")
TWICE = exp(2 * MARGIN)
RUNS = 300
AUTOREGRESSION, OUTLIERS = 0.5, 0.03

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=60)
ends = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)


def machine(rng, runs, noise, ramp=0.0):
    """Factors on the seconds of generations that follow each other.

    noise: deviation, the half of it in drift that remembers, and rare outliers of up to 5 %.
    ramp: what the last one is slower by.
    """
    drift, own = np.zeros(runs), rng.normal(0, noise, (2, runs))
    for i in range(1, runs):
        drift[i] = AUTOREGRESSION * drift[i - 1] + own[0, i] / 2
    jumps = (rng.random(runs) < OUTLIERS) * rng.uniform(0.02, 0.05, runs)
    return np.exp(drift + own[1] + jumps + np.linspace(0, ramp, runs))


def turns(blocks):
    """ABBA BAAB ...: True where the candidate runs."""
    return np.resize([False, True, True, False, True, False, False, True], 4 * blocks)


def ratios(seconds, candidate):
    """Log ratios of the pairs of each two generations that follow each other."""
    pairs = zip(seconds.reshape(-1, 2), candidate.reshape(-1, 2), strict=True)
    return log_ratios((s[~c].item(), s[c].item()) for s, c in pairs)


def judged(rng, slower, noise, ramp=0.0):
    """What the gate says of one simulated run whose candidate takes `slower` times as long."""
    candidate = turns(LOOKS[-1])
    seconds = machine(rng, len(candidate), noise, ramp) * np.where(candidate, slower, 1.0)
    blocks = block_ratios(ratios(seconds, candidate))
    taken = next(n for n in range(1, len(blocks) + 1) if enough(blocks[:n], LOOKS[-1]))
    found = interval(blocks[:taken])
    return answer(found.low, found.high, 0.0, MARGIN)


def shares(slower, noise, ramp=0.0):
    rng = np.random.default_rng(0)
    answers = [judged(rng, slower, noise, ramp) for _ in range(RUNS)]
    return {name: answers.count(name) / RUNS for name in answers}


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.02])
def test_no_change_is_hardly_ever_regressed(noise):
    assert shares(1.0, noise).get("regressed", 0) <= 0.01


def test_no_change_passes():
    assert shares(1.0, 0.01)["pass"] >= 0.95


def test_a_change_of_twice_the_margin_is_found():
    assert shares(TWICE, 0.01)["regressed"] >= 0.95


def test_a_gain_of_twice_the_margin_is_found():
    assert shares(1 / TWICE, 0.01)["improved"] >= 0.95


def test_a_thermal_ramp_is_no_alarm():
    found = shares(1.0, 0.005, ramp=0.03)
    assert found.get("regressed", 0) == found.get("improved", 0) == 0


def test_the_same_ramp_alarms_where_the_sides_do_not_take_turns():
    """What the blocks are for: all references first, then all candidates."""
    rng = np.random.default_rng(0)
    seconds = machine(rng, 80, 0.005, ramp=0.03)
    found = interval(log_ratios(zip(seconds[:40], seconds[40:], strict=True)))
    assert answer(found.low, found.high, 0.0, log(1.01)) == "regressed"


def test_a_linear_drift_cancels_in_a_block():
    candidate = turns(2)
    seconds = np.exp(0.01 * np.arange(8))
    assert block_ratios(ratios(seconds, candidate)) == pytest.approx([0, 0])


def test_half_a_block_is_refused():
    with pytest.raises(InvalidRequestError, match="3 pairs make no whole blocks"):
        block_ratios([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("speedups", "expected", "margin", "told"),
    [
        ((0.10, 0.11), 0.0, 0.05, "improved"),
        ((-0.11, -0.10), 0.0, 0.05, "regressed"),
        ((-0.01, 0.01), 0.0, 0.05, "pass"),
        ((-0.06, 0.01), 0.0, 0.05, "inconclusive"),
        ((0.01, 0.06), 0.0, 0.05, "pass"),
        ((0.23, 0.24), log(1.25), 0.0, "improved"),
        ((0.20, 0.22), log(1.25), 0.0, "regressed"),
        ((0.20, 0.24), log(1.25), 0.0, "inconclusive"),
    ],
)
def test_the_whole_interval_decides(speedups, expected, margin, told):
    assert answer(*speedups, expected, margin) == told


def test_it_stops_at_a_look_whose_interval_is_narrow():
    narrow = [0.1, 0.1 + NARROW] * 20
    wide = [0.1, 0.1 + 10 * NARROW] * 20
    assert [n for n in range(41) if enough(narrow[:n], 40)] == [*LOOKS]
    assert [n for n in range(41) if enough(wide[:n], 40)] == [40]
    assert enough(wide[:7], 7)


def test_looking_thrice_errs_in_5_percent():
    assert 3 * (1 - CONFIDENCE) == pytest.approx(0.05)


@repeatable
@given(ends, st.floats(0, 0.5))
def test_mirrored_intervals_never_give_the_same_alarm(between, margin):
    low, high = between
    if answer(low, high, 0, margin) == "regressed":
        assert answer(-high, -low, 0, margin) == "improved"


@repeatable
@given(ends, st.floats(0, 0.2), st.floats(0, 0.2))
def test_a_wider_margin_never_turns_a_pass_into_an_alarm(between, margin, extra):
    if answer(*between, 0, margin) in ("pass", "improved"):
        assert answer(*between, 0, margin + extra) in ("pass", "improved")

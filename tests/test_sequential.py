"""The rule for times, and by simulation how often it is wrong."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import InvalidRequestError
from accel.sequential import LOOKS, block_ratios, decide
from accel.stats import log_ratios

MARGIN = log(1.02)
RUNS = 300
AUTOREGRESSION, OUTLIERS = 0.5, 0.03

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=60)
values = st.lists(st.floats(-1, 1), min_size=1, max_size=45)


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


def answer(rng, slower, noise, ramp=0.0):
    """The final answer of one simulated run whose candidate takes `slower` times as long."""
    candidate = turns(LOOKS[-1])
    seconds = machine(rng, len(candidate), noise, ramp) * np.where(candidate, slower, 1.0)
    blocks = block_ratios(ratios(seconds, candidate))
    for look in LOOKS:
        found = decide(blocks[:look], margin=MARGIN)
        if found.answer != "inconclusive":
            break
    return found.answer


def shares(slower, noise, ramp=0.0):
    rng = np.random.default_rng(0)
    answers = [answer(rng, slower, noise, ramp) for _ in range(RUNS)]
    return {name: answers.count(name) / RUNS for name in answers}


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.02])
def test_no_change_is_hardly_ever_regressed(noise):
    assert shares(1.0, noise).get("regressed", 0) <= 0.01


def test_no_change_passes():
    assert shares(1.0, 0.01)["pass"] >= 0.95


def test_a_change_of_twice_the_margin_is_found():
    assert shares(1.02**2, 0.01)["regressed"] >= 0.95


def test_a_gain_of_twice_the_margin_passes_and_is_mostly_called_one():
    """A pass ends the looks before a gain is sure."""
    found = shares(1.02**-2, 0.01)
    assert found["improved"] + found.get("pass", 0) == 1
    assert found["improved"] >= 0.8


def test_a_thermal_ramp_is_no_alarm():
    found = shares(1.0, 0.005, ramp=0.03)
    assert found.get("regressed", 0) == found.get("improved", 0) == 0


def test_the_same_ramp_alarms_where_the_sides_do_not_take_turns():
    """What the blocks are for: all references first, then all candidates."""
    rng = np.random.default_rng(0)
    seconds = machine(rng, 80, 0.005, ramp=0.03)
    found = decide(log_ratios(zip(seconds[:40], seconds[40:], strict=True)), margin=log(1.01))
    assert found.answer == "regressed"


def test_a_linear_drift_cancels_in_a_block():
    candidate = turns(2)
    seconds = np.exp(0.01 * np.arange(8))
    assert block_ratios(ratios(seconds, candidate)) == pytest.approx([0, 0])


def test_half_a_block_is_refused():
    with pytest.raises(InvalidRequestError, match="3 pairs make no whole blocks"):
        block_ratios([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("speedups", "expected", "margin", "answer"),
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
def test_the_whole_interval_decides(speedups, expected, margin, answer):
    found = decide([*speedups] * 5, expected, margin)
    assert (found.estimate.low, found.estimate.high) == speedups
    assert found.answer == answer


@pytest.mark.parametrize(
    ("blocks", "used", "more"), [(3, 3, 7), (10, 10, 10), (15, 10, 5), (20, 20, 20), (41, 40, 0)]
)
def test_it_looks_at_set_numbers_of_blocks(blocks, used, more):
    found = decide([0.1] * blocks, margin=0.02)
    assert (found.estimate.pairs, found.more) == (used, more)
    assert found.answer == ("inconclusive" if blocks < LOOKS[0] else "improved")


@repeatable
@given(values, st.floats(0, 0.5))
def test_mirrored_blocks_never_give_the_same_alarm(blocks, margin):
    one, other = decide(blocks, margin=margin), decide([-b for b in blocks], margin=margin)
    assert one.answer != "regressed" or other.answer == "improved"


@repeatable
@given(values, st.floats(0, 0.2), st.floats(0, 0.2))
def test_a_wider_margin_never_turns_a_pass_into_an_alarm(blocks, margin, extra):
    tight, wide = decide(blocks, margin=margin), decide(blocks, margin=margin + extra)
    if tight.answer in ("pass", "improved"):
        assert wide.answer in ("pass", "improved")


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_a_margin_that_cannot_be_is_refused(margin):
    with pytest.raises(InvalidRequestError, match="margin"):
        decide([0.1] * 10, margin=margin)

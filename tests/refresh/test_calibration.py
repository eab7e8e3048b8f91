"""What repeats tell of the limits: the table is the floor, and the rate of false alarms holds."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.gate import judge
from accel.limits import LIMITS
from accel.refresh.calibration import calibrate, central, series, tolerance, widths
from tests.examples import METRICS, failing, line_of, record

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=100)
moves = st.lists(st.integers(-1000, 1000).map(lambda n: n / 100), min_size=2, max_size=8)
speedups = st.lists(st.floats(1.4, 1.6), min_size=2, max_size=5)


def repeats(metric, values):
    return [record({metric: value}, run={"run": str(n)}) for n, value in enumerate(values)]


@repeatable
@given(moves, st.floats(1, 100), st.sampled_from([1, 2]))
def test_a_wider_spread_never_narrows(found, factor, sides):
    wider = [factor * move for move in found]
    assert tolerance(wider, wider[0], sides) >= tolerance(found, found[0], sides) * (1 - 1e-12)


@repeatable
@given(moves, st.floats(-10, 10))
def test_two_sides_are_wider_than_one(found, accepted):
    assert tolerance(found, accepted, 2) >= tolerance(found, accepted, 1)


@repeatable
@given(speedups)
def test_a_tolerance_is_never_below_the_tables(values):
    for width in widths(calibrate(repeats("speedup", values)), None):
        assert width.before == width.table <= width.now


@repeatable
@given(speedups)
def test_each_repeat_passes_under_the_limits_that_it_set(values):
    """Up to six: of so few none can be further out than the prediction limit."""
    baseline = calibrate(found := repeats("speedup", values))
    for repeat in found:
        assert failing(judge(repeat, baseline)).get("speedup") is None


@pytest.mark.parametrize(("sides", "quantile"), [(1, 6.964557), (2, 9.924843)])
def test_a_known_answer(sides, quantile):
    """Student's t with two degrees of freedom, from a printed table: 99 % and 99.5 %."""
    found = tolerance([0.0, 1.0, 2.0], 1.0, sides)
    assert found == pytest.approx(quantile * (4 / 3) ** 0.5, rel=1e-6)
    assert tolerance([0.0, 1.0, 2.0], 2.0, sides) == pytest.approx(found + 1)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_an_unchanged_run_is_regressed_in_one_percent_at_most(count):
    """By simulation; the accepted repeat is the most central one, as `calibrate` chooses it."""
    random = np.random.default_rng(count)
    alarms, of = 0, 4000
    for _ in range(of):
        *found, new = random.normal(size=count + 1)
        mean = np.mean(found)
        accepted = min(found, key=lambda value: abs(value - mean))
        alarms += new < accepted - tolerance(found, accepted)
    assert alarms / of < 0.01 + 2.6 * (0.01 * 0.99 / of) ** 0.5
    assert alarms > 0


def test_the_most_central_repeat_is_accepted():
    assert central(repeats("speedup", [1.5, 1.56, 1.53])) == 2
    assert central(repeats("speedup", [1.5, 1.5])) == 0
    assert central([record()]) == 0


def test_the_metric_that_uses_up_most_of_its_limit_decides():
    """0.3 dB of 1 dB allowed are less than 3 % of a speed-up of 4 % allowed."""
    values = [(1.50, 48.5), (1.545, 48.5), (1.50, 48.8)]
    found = [record({"speedup": s, "psnr": p}) for s, p in values]
    assert central(found) == 0


def test_what_is_kept_of_the_repeats():
    baseline = calibrate(repeats("speedup", [1.5, 1.56, 1.53]))
    kept = baseline.run["calibration"]
    assert (baseline.run["run"], kept["repeats"]) == ("2", 3)
    assert kept["spread"]["speedup"] == pytest.approx(0.01961, abs=1e-5)
    assert kept["spread"]["clip"] == kept["tolerances"]["clip"] == 0
    gated = {name for name in METRICS if any(limit.covers(name, True) for limit in LIMITS)}
    assert kept["tolerances"].keys() == kept["spread"].keys() == gated


def test_one_repeat_calibrates_nothing():
    baseline = calibrate([record()])
    assert baseline.run["calibration"] == {"repeats": 1}
    assert all(width.now == width.table for width in widths(baseline, None))


def test_a_metric_that_a_repeat_lacks_is_left_out():
    found = [record(), record({"clip": None})]
    assert "clip" not in {s.metric for s in series(found)}


def test_the_gate_takes_the_wider_of_table_and_calibration():
    baseline = calibrate(repeats("speedup", [1.5, 1.56, 1.53]))
    own = baseline.run["calibration"]["tolerances"]["speedup"]
    assert own > 0.03
    inside, outside = (record({"speedup": 1.53 * exp(-f * own)}) for f in (0.99, 1.01))
    assert judge(inside, baseline).status == "pass"
    verdict = judge(outside, baseline)
    assert failing(verdict) == {"speedup": "regressed"}
    assert line_of(verdict, "speedup").endswith(
        f"-{100 * (1 - exp(-1.01 * own)):.1f} %, allowed {100 * (exp(own) - 1):.1f} % (calibrated)"
    )


def test_the_gate_says_nothing_of_a_calibration_that_is_narrower():
    baseline = calibrate(repeats("speedup", [1.5, 1.5001]))
    verdict = judge(record({"speedup": 1.5 * exp(-0.05)}), baseline)
    assert failing(verdict) == {"speedup": "regressed"}
    assert "allowed 3.0 %" in line_of(verdict, "speedup")
    assert "(calibrated)" not in line_of(verdict, "speedup")


@pytest.mark.parametrize(
    "calibration", [None, "wide", {"tolerances": 9}, {"tolerances": {"speedup": "9"}}]
)
def test_a_calibration_that_cannot_be_read_leaves_the_tables_limit(calibration):
    baseline = record(run={"calibration": calibration})
    assert judge(record({"speedup": 1.5 * exp(-0.05)}), baseline).status == "regressed"
    assert judge(record({"speedup": 1.5 * exp(-0.029)}), baseline).status == "pass"


def test_a_move_is_told_as_the_limit_compares():
    (found,) = (s for s in series(repeats("speedup", [1.5, 3.0])) if s.metric == "speedup")
    assert found.moves == [0, pytest.approx(log(2))]
    (found,) = (s for s in series(repeats("clip", [0.5, 0.75])) if s.metric == "clip")
    assert found.moves == [0, 0.25]
    assert (found.sides, replace(found, limit=LIMITS[0]).sides) == (2, 1)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.gate import judge
from accel.limits import LIMITS, family, shown
from tests.examples import GATED, record

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=50)


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("memory.denoise.rss_mib", "memory"),
        ("seconds.denoise", "speed"),
        ("speedup", "speed"),
        ("tof", "quality"),
    ],
)
def test_families(metric, name):
    assert family(metric) == name


@repeatable
@given(st.sampled_from(GATED), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_further_from_the_baseline_is_never_better(metric, before, one, other):
    """Of two values on the same side of the baseline, only the nearer one may pass alone."""
    near, far = sorted((one, other), key=lambda value: abs(value - before))
    if (near - before) * (far - before) < 0:
        return
    statuses = [
        next(c.status for c in judge(record({metric: value}), record({metric: before})).checks[::-1]
             if c.metric == metric)
        for value in (near, far)
    ]  # fmt: skip
    assert not (statuses[1] == "pass" and statuses[0] in ("regressed", "improved"))


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("memory.peak.rss_mib", 12311.4, "12311 MiB"),
        ("speedup", 1.25, "1.25x"),
        ("seconds.denoise", 0.64, "0.64 s"),
        ("clip", 0.97, "0.97"),
    ],
)
def test_numbers_are_shown_with_their_unit(metric, value, text):
    assert shown(metric, value) == text


def test_speed_is_limited_where_time_is_judged_only():
    speed = [limit for limit in LIMITS if limit.covers("speedup", timed=True)]
    assert len(speed) == 1
    assert not speed[0].covers("speedup", timed=False)


@pytest.mark.parametrize("metric", ["seconds", "seconds.decode", "fps", "memory.peak.process_mib"])
def test_what_depends_on_the_card_or_the_driver_has_no_limit(metric):
    assert not any(limit.covers(metric, timed=True) for limit in LIMITS)

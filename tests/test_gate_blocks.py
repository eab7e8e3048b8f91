"""Speed that blocks of single calls tell: by its interval, if the machine was fit."""

import pytest

from accel.gate import judge
from tests.examples import failing, line_of, record

BLOCKS = {"speedup_pairs": 10, "blocks_rejected": 0.0, "composition": 1.01}


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (1.47, 1.53, None),
        (1.46, 1.75, None),
        (1.43, 1.53, "inconclusive"),
        (1.38, 1.43, "regressed"),
        (1.57, 1.63, "improved"),
    ],
)
def test_the_interval_against_the_baseline(low, high, status):
    """The limit is 3 % of 1.5, about 1.456 to 1.546."""
    now = record({**BLOCKS, "speedup_low": low, "speedup_high": high})
    verdict = judge(now, record(BLOCKS))
    assert failing(verdict) == ({"speedup": status} if status else {})
    if status:
        told = f"speedup is 1.5x [{low}, {high}], a change of 0.8 % could have been seen, was 1.5x"
        assert told in line_of(verdict, "speedup")


def test_an_interval_that_is_absent_is_missing():
    verdict = judge(record({**BLOCKS, "speedup_low": None}), record(BLOCKS))
    assert failing(verdict) == {"speedup": "missing"}


def test_an_unfit_machine_is_no_verdict():
    blocks = [{"rejected": "hot"}, {"rejected": ""}, {"rejected": "busy"}]
    unfit = record({**BLOCKS, "blocks_rejected": 0.67}, samples={"blocks": blocks})
    verdict = judge(unfit, record(BLOCKS))
    assert failing(verdict) == {"blocks_rejected": "inconclusive"}
    assert line_of(verdict, "blocks_rejected") == "67% of the blocks were rejected: busy; hot"


def test_an_unfit_machine_does_not_regress_a_speedup():
    blocks = [{"rejected": "hot"}] * 2 + [{"rejected": ""}]
    slow = {**BLOCKS, "blocks_rejected": 0.67, "speedup": 1.3}
    unfit = record({**slow, "speedup_low": 1.29, "speedup_high": 1.31}, samples={"blocks": blocks})
    verdict = judge(unfit, record(BLOCKS))
    assert failing(verdict) == {"blocks_rejected": "inconclusive", "speedup": "inconclusive"}
    assert line_of(verdict, "speedup").endswith("; not on such a machine")


@pytest.mark.parametrize(
    ("hot", "found"),
    [
        (4, {"pairs_disturbed": "inconclusive", "speedup": "inconclusive"}),
        (1, {"speedup": "regressed"}),
    ],
)
def test_pairs_on_an_unfit_machine_are_no_verdict(hot, found):
    seen = [{"telemetry": {"throttle": ["hardware_thermal"] * (i < hot)}} for i in range(8)]
    pairs = {"reference": [{}] * 8, "candidate": seen}
    slow = {"speedup": 1.3, "speedup_pairs": 8, "speedup_low": 1.29, "speedup_high": 1.31}
    verdict = judge(record(slow, samples=pairs), record({**slow, "speedup": 1.5}))
    assert failing(verdict) == found
    if len(found) == 2:
        told = "50% of the pairs were disturbed: the GPU was slowed down: hardware_thermal"
        assert line_of(verdict, "pairs_disturbed") == told


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_calls_that_do_not_compose_a_generation_are_no_verdict(factor):
    verdict = judge(record({**BLOCKS, "composition": factor}), record(BLOCKS))
    assert failing(verdict) == {"composition": "inconclusive"}


def test_a_composition_that_nobody_looked_at_is_missing():
    verdict = judge(record({**BLOCKS, "composition": None}), record(BLOCKS))
    assert failing(verdict) == {"composition": "missing"}

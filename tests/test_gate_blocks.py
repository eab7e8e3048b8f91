"""Speed that blocks of single calls tell: by its interval, if the machine was fit."""

import pytest

from accel.gate import judge
from tests.examples import failing, line_of, record

BLOCKS = {"speedup_pairs": 10, "blocks_rejected": 0.0, "composition": 1.01}


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (1.47, 1.53, None),
        (1.45, 1.75, None),
        (1.43, 1.53, "inconclusive"),
        (1.38, 1.43, "regressed"),
        (1.57, 1.63, "improved"),
    ],
)
def test_the_interval_against_the_baseline(low, high, status):
    """The limit is 4 % of 1.5, about 1.441 to 1.561."""
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


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_calls_that_do_not_compose_a_generation_are_no_verdict(factor):
    verdict = judge(record({**BLOCKS, "composition": factor}), record(BLOCKS))
    assert failing(verdict) == {"composition": "inconclusive"}


def test_a_composition_that_nobody_looked_at_is_missing():
    verdict = judge(record({**BLOCKS, "composition": None}), record(BLOCKS))
    assert failing(verdict) == {"composition": "missing"}

"""Growth from one generation to the next: judged wherever it was measured, by no claim."""

import pytest

from accel.gate import judge
from tests.examples import METRICS, failing, record

METRIC = "memory.growth_mib"


def judged(growth, reference=0.0, **changes):
    told = {name: n for name, n in {METRIC: reference}.items() if n is not None}
    own = record({METRIC: growth}, reference={**METRICS, **told}, **changes)
    return judge(own, own)


@pytest.mark.parametrize("growth", [-5.0, 0.0, 1.0])
def test_what_does_not_grow_passes(growth):
    assert failing(judged(growth)) == {}


@pytest.mark.parametrize("group", ["svd.pretrained", "svd-xt.untrained"])
def test_what_grows_is_regressed_whatever_the_baseline(group):
    verdict = judged(3.0, group=group)
    (check,) = (check for check in verdict.checks if check.metric == METRIC)
    assert (check.family, check.status, check.beyond) == ("memory", "regressed", 2.0)
    assert check.message == ("memory in use grows by 3 MiB with each generation, allowed: 1 MiB")


def test_what_only_the_reference_tells_is_missing():
    assert failing(judged(None)) == {METRIC: "missing"}


def test_where_nothing_tells_it_nothing_is_judged():
    assert failing(judged(None, reference=None)) == {}

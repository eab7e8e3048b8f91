"""Table 1's bounds beside the true clip, on planted scores: each holds, and each is missed."""

from math import isnan, nan

import pytest

from accel.limits import GATE_ZERO
from accel.methods import parse
from accel.verdict import Check
from accel.zoo.bounds import MOTION, TRUTH, Found, bounds, line

INPUTS = 8
ENDS = (-1.0, 1.0) * (INPUTS // 2)
SPREAD = 0.01
"""Of the differences, one way and the other: their deviation is 1.069 times as much."""


def planted(text, truth=0.2, gated=0.5, motion=2.0, status="pass", weights="mini"):
    """Every input differs from the others by far more than the methods do from each other."""
    scenes = range(INPUTS)
    wobble = [0.0 if text == "reference" else SPREAD * end for end in ENDS]
    scores = {
        name: [gated + scene + by for scene, by in zip(scenes, wobble, strict=True)]
        for name in GATE_ZERO
    }
    scores[TRUTH] = [truth + 0.01 * scene for scene in scenes]
    scores[MOTION] = [motion] * INPUTS
    return Found(text, parse(text), weights, scores, (Check("quality", "lpips", status, ""),))


REFERENCE = planted("reference")


def held(*others):
    """Whether each bound of these methods holds, in their order."""
    return [bound.holds for bound in bounds([REFERENCE, *others])]


@pytest.mark.parametrize(("truth", "holds"), [(0.29, True), (0.30, False), (0.31, False)])
def test_lcm_has_to_be_nearer_than_as_many_steps(truth, holds):
    nearer, _ = held(planted("fewer_steps:4", truth=0.30), planted("lcm:4", truth=truth))
    assert nearer is holds


def test_lcm_is_nearer_only_if_the_interval_says_so():
    few, own = planted("fewer_steps:4", truth=0.30), planted("lcm:4", truth=0.30)
    own.scores[TRUTH][0] -= 1.0
    assert own.mean(TRUTH) < few.mean(TRUTH)
    assert held(few, own)[0] is False


def test_lcm_is_compared_with_as_many_steps_alone():
    assert len(held(planted("fewer_steps:8"), planted("lcm:4"))) == 1


@pytest.mark.parametrize(("motion", "holds"), [(1.61, True), (1.59, False), (nan, False)])
def test_lcm_has_to_keep_the_motion(motion, holds):
    assert held(planted("lcm:4", motion=motion)) == [holds]


@pytest.mark.parametrize(("far", "holds"), [(3.3, True), (3.1, False)])
def test_untuned_sparsity_has_to_be_outside_of_every_healthy_method(far, holds):
    near = planted("int8_weight_only", gated=0.4)
    ruined = planted("semi_structured", gated=0.5 + far * SPREAD, status="as expected")
    outside, flagged = held(planted("fewer_steps:10"), near, ruined)
    assert (outside, flagged) == (holds, True)


def test_one_metric_outside_is_enough():
    ruined = planted("semi_structured", status="as expected")
    ruined.scores["tlpips"][:] = [value + 1 for value in ruined.scores["tlpips"]]
    outside, _ = bounds([REFERENCE, planted("lcm:2"), ruined])[1:]
    assert outside.holds
    assert outside.bound.endswith("on a metric: tlpips, from lcm:2")


def test_what_declares_its_failure_is_not_healthy():
    """Four steps of pretrained weights may fail: nobody is measured by their spread."""
    few = planted("fewer_steps:4", weights="pretrained")
    ruined = planted("semi_structured", gated=0.9, status="as expected")
    (flagged,) = held(few, ruined)
    assert flagged
    assert line(ruined, [REFERENCE, few, ruined])["deviations"] == {}


@pytest.mark.parametrize("status", ["pass", "regressed"])
def test_untuned_sparsity_has_to_be_flagged(status):
    assert held(planted("semi_structured", status=status)) == [False]


@pytest.mark.parametrize(
    ("truth", "status", "expected"),
    [
        (0.22, "pass", [True, True]),
        (0.10, "pass", [True, True]),
        (0.23, "pass", [False, True]),
        (0.20, "regressed", [True, False]),
        (0.20, "inconclusive", [True, False]),
    ],
)
def test_tuned_sparsity_has_to_pass_and_stay_near(truth, status, expected):
    """The mean over the inputs is 0.035 more; the reference's is 0.235."""
    assert held(planted("semi_structured:tuned=true", truth=truth, status=status)) == expected


def test_a_missing_score_holds_no_bound():
    own, ruined = planted("lcm:4"), planted("semi_structured", gated=9.0, status="as expected")
    for name in (*GATE_ZERO, TRUTH):
        own.scores[name][3] = nan
    assert held(planted("fewer_steps:4"), own, ruined) == [False, True, False, True]


def test_the_line_of_a_method():
    few, own = planted("fewer_steps:4", gated=0.6), planted("lcm:4", truth=0.25, motion=1.0)
    found = line(own, [REFERENCE, few, own])
    assert (found["method"], found["inputs"]) == ("lcm:4", INPUTS)
    assert found["lpips_above_reference"] == pytest.approx((0.05, 0.05, 0.05))
    assert found["coverage"] > 0.95
    assert found["motion_share"] == 0.5
    assert found["gate"] == "pass"
    away, healthy = found["deviations"]["clip"]
    assert (away, healthy) == (pytest.approx(0.1 / (SPREAD * 1.069), rel=1e-3), "fewer_steps:4")


def test_the_line_of_a_method_without_scores():
    own = planted("lcm:4")
    own.scores[TRUTH][0] = nan
    found = line(own, [REFERENCE, own])
    assert isnan(found["coverage"])
    assert all(map(isnan, found["lpips_above_reference"]))

"""Methods that declare their failure: what the gate makes of a ruin, and of a surprise."""

import pytest

from accel.gate import judge
from accel.methods import parse
from tests.examples import QUALITY, failing, record

RUIN = ("collapsed", "regressed")
BAD = {"clip": 0.6, "motion_class": "static"}
NO_VIDEO = {**dict.fromkeys(QUALITY), "sanity": "nan: 14 frames"}


def test_a_declared_ruin_is_as_expected():
    bad = record(BAD)
    verdict = judge(bad, bad, must_fail=RUIN)
    assert verdict.status == "as expected"
    assert set(failing(verdict)) == {"clip", "motion_class"}
    assert verdict.lines[0].startswith("as expected: collapsed: the video is frozen")
    assert judge(bad, bad).status == "collapsed"


def test_a_declared_collapse_without_any_video_is_as_expected():
    verdict = judge(record(NO_VIDEO), record(NO_VIDEO), must_fail=RUIN)
    assert verdict.status == "as expected"
    assert failing(verdict) == {"sanity": "as expected"}


def test_an_unexpected_pass_fails():
    verdict = judge(record(), record(), must_fail=RUIN)
    assert failing(verdict) == {"must_fail": "regressed"}
    assert verdict.lines == (
        "regressed: quality is pass; of this method it must be collapsed or regressed",
    )


def test_another_failure_than_the_declared_one_fails():
    assert failing(judge(record(BAD), record(BAD), must_fail=("regressed",))) == {
        "clip": "regressed", "motion_class": "collapsed", "must_fail": "regressed"
    }  # fmt: skip
    unseen = record({"clip": None})
    assert judge(unseen, unseen, must_fail=RUIN).status == "regressed"


def test_a_reference_that_is_no_video_is_never_expected():
    broken = record(reference={**record().reference, "sanity": "black: 0"})
    assert judge(broken, broken, must_fail=RUIN).status == "collapsed"


def test_time_memory_counters_and_the_baseline_are_judged_as_ever():
    worse = record({**BAD, "memory.peak.allocated_mib": 999.0, "psnr": 20.0})
    found = failing(judge(worse, record(BAD), must_fail=RUIN))
    assert found["memory.peak.allocated_mib"] == found["psnr"] == "regressed"


def test_what_is_not_judged_must_not_fail():
    changes = {"group": "svd.untrained"}
    verdict = judge(record(**changes), record(**changes), must_fail=RUIN)
    assert verdict.status == "pass"


def test_a_ruin_that_may_be_is_as_expected_and_a_pass_is_a_pass():
    bad = record(BAD)
    assert judge(bad, bad, may_fail=("collapsed",)).status == "as expected"
    assert judge(record(), record(), may_fail=("collapsed",)).status == "pass"


def test_another_failure_than_the_one_that_may_be_is_judged_as_ever():
    assert failing(judge(record(BAD), record(BAD), may_fail=("regressed",))) == {
        "clip": "regressed", "motion_class": "collapsed"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "weights", "declared"),
    [
        ("fewer_steps:4", "pretrained", ("collapsed",)),
        ("fewer_steps:4", "mini", ()),
        ("fewer_steps:10", "pretrained", ()),
        ("distilled", "pretrained", ("regressed",)),
        ("distilled", "mini", ()),
        ("fewer_steps:4+int8_weight_only", "pretrained", ("collapsed",)),
    ],
)
def test_what_was_published_of_real_weights_is_declared_for_them_alone(text, weights, declared):
    assert parse(text).may_fail(weights) == declared

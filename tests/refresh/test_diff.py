"""What a reviewer reads, as text."""

from dataclasses import replace

from accel.compare import judge_of
from accel.methods import method_of
from accel.refresh.calibration import calibrate
from accel.refresh.diff import Change, render
from tests.examples import record


def change(speedups, old=None, reason=None, **metrics):
    new = calibrate([record({"speedup": speedup, **metrics}) for speedup in speedups])
    if reason:
        calibration = {**new.run["calibration"], "reason": reason}
        new = replace(new, run={**new.run, "calibration": calibration})
    return Change(new, old, judge_of(new, method_of(new), old, "the old baseline"))


def text(found):
    return "\n".join(render(found)) + "\n"


def test_a_first_baseline(snapshot):
    found = change([1.5, 1.51, 1.505])
    assert text(found) == snapshot
    assert found.looser == []


def test_a_wider_limit_with_its_reason(snapshot):
    found = change([1.5, 1.56, 1.53], old=record(), reason="the driver is less steady")
    assert text(found) == snapshot
    assert found.looser == ["limit of speedup: 3.0 % -> 17.1 %"]


def test_a_baseline_that_is_worse(snapshot):
    found = change([1.3], old=record(), lpips=0.012)
    assert text(found) == snapshot
    (why,) = found.looser
    assert why.startswith("regressed: speedup is 1.3x [")
    assert ", was 1.5x in the old baseline: -13.3 %" in why


def test_a_limit_that_returns_to_the_table():
    old = calibrate([record({"speedup": speedup}) for speedup in (1.5, 1.56, 1.53)])
    found = change([1.53], old=old)
    assert "    limit of speedup: 17.1 % -> 3.0 %\n" in text(found)
    assert found.looser == []


def test_an_old_baseline_that_cannot_be_read_takes_a_reason():
    found = replace(change([1.5]), unreadable="the old baseline cannot be read: no JSON")
    assert found.looser == ["the old baseline cannot be read: no JSON"]
    assert text(found).startswith("svd.pretrained/fewer_steps-15@128x128x14-s15: the old baseline")


def test_a_method_that_breaks_its_own_claims_takes_a_reason():
    found = change([1.5], lpips=0.2)
    assert [why.partition(" is ")[0] for why in found.looser] == ["regressed: lpips"]


def test_a_larger_value_with_a_relative_limit_is_no_wider_limit():
    """What grew is the verdict's to say."""
    old = record({"memory.peak.reserved_mib": 390.0})
    found = change([1.5], old=old, **{"memory.peak.reserved_mib": 400.0})
    assert found.looser == []
    assert "limit of" not in text(found)


def test_the_first_cold_start_takes_no_reason():
    found = change([1.5])
    started = {"seconds": 9.0, "reference": 3.0, "misses": 0, "sizes": [], "graphs": [1]}
    cold = replace(found.new, samples={"cold": {**started, "expected": [1]}}, hardware="h200")
    old = replace(record(), hardware="h200")
    verdict = judge_of(cold, method_of(cold), old, "the old baseline")
    assert [check.metric for check in verdict.checks if check.status == "missing"] == ["cold.start"]
    assert Change(cold, old, verdict).looser == []


def test_what_the_old_one_told_and_this_one_does_not_takes_a_reason():
    found = change([1.5])
    new = {name: value for name, value in found.new.metrics.items() if name != "clip"}
    bare = replace(found.new, metrics=new)
    old = record(samples={"cold": {"misses": 0}})
    verdict = judge_of(bare, method_of(bare), old, "the old baseline")
    told = Change(bare, old, verdict).looser
    assert any(why.startswith("missing: clip") for why in told)
    assert told[-1] == "the old baseline has a cold start and this one none; add --cold"

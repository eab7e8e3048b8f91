"""What methods claim, and what the word of their fidelity says without a word of theirs."""

import pytest

from accel.core import Claim
from accel.gate import judge
from tests.examples import FAITHFUL, FASTER, LEANER, failing, line_of, record


def test_claims_hold_without_a_baseline():
    slow = judge(record({"speedup": 1.2}), None, (FASTER, LEANER))
    assert failing(slow) == {"speedup": "regressed", "baseline": "missing"}
    assert line_of(slow, "speedup") == (
        "speedup is 1.2x [1.46, 1.54] of 3 pairs, a change of 0.8 % could have been seen, "
        "claimed: at least 1.25 times faster"
    )


def test_a_floor_below_one_allows_a_slowdown():
    verdict = judge(record({"speedup": 0.9}), None, (Claim("speedup", at_least=1 / 1.05),))
    assert line_of(verdict, "speedup").endswith("claimed: at most 1.05 times slower")
    assert verdict.status == "regressed"


def test_a_claim_on_a_difference_uses_the_reference():
    verdict = judge(record({"memory.denoise.allocated_mib": 300}), None, (LEANER,))
    assert line_of(verdict, "memory.denoise.allocated_mib") == (
        "memory.denoise.allocated_mib minus the reference's is -700 MiB, claimed: at most -770 MiB"
    )
    assert verdict.status == "regressed"


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [(1.3, 1.6, "pass"), (1.1, 1.4, "inconclusive"), (0.9, 1.2, "regressed")],
)
def test_from_six_pairs_on_a_speed_claim_is_about_the_whole_interval(low, high, status):
    metrics = {"speedup": 1.3, "speedup_low": low, "speedup_high": high, "speedup_pairs": 6}
    verdict = judge(record(metrics), record(metrics), (FASTER,))
    assert verdict.status == status
    told = f"speedup is 1.3x [{low}, {high}], a change of 0.8 % could have been seen, claimed: "
    assert verdict.checks[1].message == told + "at least 1.25 times faster"


def test_with_fewer_pairs_it_is_about_the_estimate():
    wide = record({"speedup": 1.3, "speedup_low": 0.9, "speedup_pairs": 3})
    assert judge(wide, wide, (FASTER,)).status == "pass"


def test_an_interval_that_should_be_there_is_missing():
    none = record({"speedup": 1.3, "speedup_low": None, "speedup_pairs": 8})
    assert judge(none, none, (FASTER,)).status == "missing"


@pytest.mark.parametrize("group", ["svd.mini", "svd.untrained"])
def test_claims_bind_only_where_they_are_made(group):
    bad = record({"speedup": 1.0, "psnr": 1.0}, group=group)
    found = failing(judge(bad, bad, (FASTER, FAITHFUL)))
    assert found == ({"psnr": "regressed"} if group == "svd.mini" else {"speedup": "regressed"})


def test_exact_says_at_least_50_db():
    near, far = (record({"psnr": db}, fidelity="exact") for db in (55.0, 45.0))
    assert failing(judge(near, near)) == {}
    assert failing(judge(far, far)) == {"psnr": "regressed"}
    faithful = record({"psnr": 45.0})
    assert failing(judge(faithful, faithful)) == {}


def test_faithful_says_at_most_0_05_lpips_unless_the_method_says_otherwise():
    far = record({"lpips": 0.06})
    assert failing(judge(far, far)) == {"lpips": "regressed"}
    assert failing(judge(far, far, (Claim("lpips", at_most=0.1),))) == {}
    other = record({"lpips": 0.06}, fidelity="new_sample")
    assert failing(judge(other, other)) == {}


@pytest.mark.parametrize(("lpips", "beyond"), [(0.05, 0.0), (0.075, 0.5), (0.025, -0.5)])
def test_beyond_a_claim_is_told_in_bounds(lpips, beyond):
    own = record({"lpips": lpips})
    (check,) = (c for c in judge(own, own).checks if "claimed" in c.message)
    assert check.beyond == pytest.approx(beyond)

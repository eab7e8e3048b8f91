"""The gate, told as stories: what happened to the candidate, and what the verdict says."""

from dataclasses import replace
from math import nan

import pytest

from accel.core import Claim
from accel.gate import is_judged, judge
from accel.limits import GATE_ZERO, MOTION, shown
from tests.examples import (
    FAITHFUL,
    FASTER,
    LEANER,
    METRICS,
    QUALITY,
    failing,
    on_cpu,
    record,
)

BASELINE = record()


# a healthy candidate


def test_nothing_changed_passes():
    verdict = judge(record(), BASELINE, (FASTER, LEANER, FAITHFUL))
    assert (verdict.status, verdict.lines) == ("pass", ())
    assert {check.family for check in verdict.checks} == {
        "speed", "memory", "quality", "collapse"
    }  # fmt: skip


def test_changes_within_the_tolerance_pass():
    close = {"speedup": 1.46, "memory.peak.allocated_mib": 302.5, "clip": 0.975, "psnr": 48.0}
    assert judge(record(close), BASELINE).status == "pass"


def test_seconds_are_never_gated():
    assert judge(record({"seconds": 100.0, "memory.peak.process_mib": 9e3}), BASELINE).lines == ()


def test_all_checks_of_a_family():
    verdict = judge(record(), BASELINE)
    assert {check.metric for check in verdict.of("speed")} == {
        "speedup", "counters.denoiser_calls", "counters.graph_breaks"
    }  # fmt: skip


# collapse


@pytest.mark.parametrize(
    "defect", ["black: mean 0.001", "grey: std 0.002", "nan: 14 frames", "frozen: change 0"]
)
def test_a_video_that_is_none_collapses_with_its_own_message(defect):
    broken = record({**dict.fromkeys(QUALITY), "sanity": defect})
    verdict = judge(broken, BASELINE, (FAITHFUL,))
    assert failing(verdict) == {"sanity": "missing"}  # the later of two checks of this name
    assert verdict.lines == (
        f"collapsed: this is no video: {defect}",
        f"missing: quality not judged: {defect}",
    )
    assert verdict.status == "collapsed"


def test_a_video_that_nobody_looked_at_is_missing():
    assert judge(record({"sanity": None}), BASELINE).status == "missing"


def test_a_defect_counts_even_where_quality_is_not_judged():
    assert judge(record({"sanity": "nan: 1"}, group="svd.untrained"), None).status == "collapsed"


@pytest.mark.parametrize(("before", "now"), MOTION)
def test_a_change_of_the_motion_class(before, now):
    still = record({"motion_class": now}, reference={**METRICS, "motion_class": before})
    verdict = judge(still, still)
    assert failing(verdict) == {"motion_class": MOTION[before, now]}
    assert f"motion_class is {now}, {before} in the reference" in verdict.lines[0]


def test_a_static_candidate_is_called_frozen():
    verdict = judge(record({"motion_class": "static"}), BASELINE)
    assert verdict.status == "collapsed"
    assert "the video is frozen" in verdict.lines[0]


def test_a_reference_that_froze_with_its_candidate_is_seen_against_the_baseline():
    static = {**METRICS, "motion_class": "static"}
    verdict = judge(record(static, reference=static), BASELINE)
    assert [check.status for check in verdict.of("collapse")] == ["pass"]
    assert failing(verdict) == {"motion_class": "collapsed"}


@pytest.mark.parametrize("value", [None, "wobbly", nan])
def test_an_unknown_motion_class_is_missing(value):
    verdict = judge(record({"motion_class": value}), BASELINE)
    assert failing(verdict) == {"motion_class": "missing"}


# gate 0


@pytest.mark.parametrize("metric", GATE_ZERO)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("fidelity", "loose"), [("faithful", 0), ("exact", 0), ("new_sample", 1)])
def test_gate_zero_looks_both_ways(metric, sign, fidelity, loose):
    def at(share):
        moved = {metric: METRICS[metric] + sign * share * GATE_ZERO[metric][loose], "psnr": 60.0}
        return failing(judge(own := record(moved, fidelity=fidelity), own))

    assert at(0.9) == {}
    assert at(1.1) == {metric: "regressed"}


@pytest.mark.parametrize(
    ("fidelity", "ratio", "status"),
    [
        ("faithful", 0.75, "regressed"),
        ("faithful", 1.3, "regressed"),
        ("new_sample", 0.75, "pass"),
        ("new_sample", 2.1, "regressed"),
    ],
)
def test_motion_is_preserved(fidelity, ratio, status):
    own = record({"motion_ratio": ratio}, fidelity=fidelity)
    assert judge(own, own).status == status


@pytest.mark.parametrize("group", ["svd.untrained", "svd.mini"])
def test_quality_is_judged_only_where_it_means_something(group):
    latents = {**BASELINE.request, "latents_only": group == "svd.mini"}
    own = record(dict.fromkeys(QUALITY), group=group, request=latents)
    verdict = judge(own, own, (FAITHFUL,))
    assert not is_judged(own)
    assert (verdict.status, verdict.of("quality"), verdict.of("collapse")) == ("pass", (), ())


# the baseline


@pytest.mark.parametrize(("graphs", "status"), [(0, "regressed"), (1, "pass")])
def test_what_compiles_may_reserve_more(graphs, status):
    """68 MiB, by whether inductor's cache was empty."""
    before, now = (
        record({"memory.peak.reserved_mib": mib}, counters={"compiled_graphs": graphs})
        for mib in (268.0, 336.0)
    )
    assert judge(now, before).status == status
    assert (
        judge(
            replace(now, metrics={**now.metrics, "memory.peak.reserved_mib": 350.0}), before
        ).status
        == "regressed"
    )


@pytest.mark.parametrize(
    ("metric", "value", "status"),
    [
        ("speedup", 1.4, "regressed"),
        ("speedup", 1.6, "improved"),
        ("memory.denoise.allocated_mib", 400.0, "regressed"),
        ("memory.denoise.allocated_mib", 190.0, "improved"),
        ("memory.peak.reserved_mib", 500.0, "regressed"),
        ("psnr", 30.0, "regressed"),
        ("psnr", 55.0, "improved"),
        ("ssim", 0.9, "regressed"),
        ("lpips", 0.04, "regressed"),
        ("tof", 0.5, "regressed"),
        ("clip", 0.985, "regressed"),
        ("clip", 0.955, "regressed"),
        ("motion_amount", 0.9, "regressed"),
        ("motion_ratio", 1.15, "regressed"),
    ],
)
def test_one_number_that_moved_is_the_only_line(metric, value, status):
    verdict = judge(record({metric: value}), BASELINE)
    assert failing(verdict) == {metric: status}
    assert f"{metric} is {shown(metric, value)}" in verdict.lines[0]
    assert shown(metric, METRICS[metric]) in verdict.lines[0]
    assert ("accel refresh" in verdict.lines[0]) == (status == "improved")


def test_both_tolerances_must_be_exceeded():
    small, large = (record({"memory.denoise.allocated_mib": mib}) for mib in (20.0, 20000.0))
    assert judge(record({"memory.denoise.allocated_mib": 21.9}), small).status == "pass"
    assert judge(record({"memory.denoise.allocated_mib": 20150.0}), large).status == "pass"
    assert judge(record({"memory.denoise.allocated_mib": 22.1}), small).status == "regressed"


def test_other_software_is_compared_and_named():
    newer = record({"psnr": 30.0}, fingerprint=_fingerprint(torch="2.15.0"))
    assert judge(newer, BASELINE).lines == (
        "regressed: psnr is 30 dB, was 48.5 dB in the baseline: -18.5 dB, allowed 1 dB; "
        "torch 2.11.0 -> 2.15.0",
    )


@pytest.mark.parametrize("calls", [14, 16])
def test_a_counter_must_be_equal(calls):
    verdict = judge(record(counters={"denoiser_calls": calls, "graph_breaks": 0}), BASELINE)
    line = f"counters.denoiser_calls is {calls}, was 15 in the baseline: they must be equal"
    assert verdict.lines == (f"regressed: {line}",)


def test_a_counter_that_one_side_lacks_is_missing():
    assert failing(judge(record(counters={"denoiser_calls": 15}), BASELINE)) == {
        "counters.graph_breaks": "missing"
    }


def test_no_baseline_is_missing_in_every_family_that_is_judged():
    verdict = judge(record(), None)
    assert [c.family for c in verdict.checks if c.metric == "baseline"] == [
        "speed", "memory", "quality"
    ]  # fmt: skip
    assert verdict.lines[0] == (
        "missing: no baseline for nvidia-h200; write one with `accel refresh`, then review it"
    )


def _fingerprint(torch="2.11.0", clip="sha256:1"):
    return {"versions": {"torch": torch}, "metrics": {"clip": clip}}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"hardware": "nvidia-h100"}, "hardware nvidia-h100 -> nvidia-h200"),
        ({"method": "FewerSteps(steps=10)"}, "method FewerSteps(steps=10) -> "),
        ({"request": {**BASELINE.request, "seed": 1}}, "request.seed 1 -> 0"),
        ({"fingerprint": _fingerprint(clip="sha256:2")}, "metrics.clip sha256:2 -> sha256:1"),
    ],
)
def test_another_recipe_is_incomparable_and_claims_still_hold(other, named):
    verdict = judge(record(), record(**other), (Claim("psnr", at_least=60),))
    assert failing(verdict) == {"psnr": "regressed", "baseline": "incomparable"}
    assert named in verdict.lines[-1]
    assert judge(record(), record(**other)).status == "incomparable"


def test_on_a_cpu_speed_is_not_judged_and_memory_loosely():
    verdict = judge(on_cpu(metrics={"speedup": 0.1}), on_cpu(), (FASTER, LEANER))
    assert verdict.status == "pass"
    assert all(check.metric.startswith("counters.") for check in verdict.of("speed"))
    assert judge(on_cpu(metrics={"memory.peak.rss_mib": 2000}), on_cpu()).status == "regressed"


def test_the_time_of_mini_models_is_not_judged_their_counters_are():
    def mini(**changes):
        return record(group="svd.mini", **changes)

    verdict = judge(mini(metrics={"speedup": 0.1}), mini(), (FASTER, LEANER))
    assert verdict.status == "pass"
    assert all(check.metric.startswith("counters.") for check in verdict.of("speed"))
    assert judge(mini(metrics={"memory.denoise.allocated_mib": 400.0}), mini()).status == (
        "regressed"
    )


@pytest.mark.parametrize("make", [record, on_cpu])
def test_what_record_and_baseline_both_lack_is_missing(make):
    names = {"speedup", "memory.peak.allocated_mib", "memory.peak.rss_mib"}
    bare = make(metrics=dict.fromkeys(names))
    required = {"memory.peak.rss_mib"} if make is on_cpu else names - {"memory.peak.rss_mib"}
    assert failing(judge(bare, bare)) == dict.fromkeys(required, "missing")


def test_the_record_is_left_as_it_was():
    before = record()
    judge(before, BASELINE, (FASTER,))
    assert before == replace(BASELINE)


def test_nothing_is_judged_by_a_reference_that_is_no_video():
    own = record()
    broken = replace(own, reference={**own.reference, "sanity": "black: mean 0.001"})
    verdict = judge(broken, own)
    assert verdict.status == "collapsed"
    assert "the reference is no video" in verdict.lines[0]
    assert [check.status for check in verdict.of("quality")] == ["missing"]


def test_a_picture_is_known_by_its_pixels():
    def own(path, pixels):
        found = record()
        request = {**found.request, "image": path}
        return replace(found, request=request, fingerprint={**found.fingerprint, "image": pixels})

    assert judge(own("a.jpg", "1"), own("/there/a.jpg", "1")).status == "pass"
    assert judge(own("a.jpg", "1"), own("a.jpg", "2")).status == "incomparable"

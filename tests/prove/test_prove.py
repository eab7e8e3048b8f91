"""Every defect is measured once; then it is judged again and again, each time without one check.

On a CPU, and with `-m gpu` on a GPU. `-m "not prove"` leaves it out.
"""

import math
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest
from rich.console import Console

from accel import claimed, collapse, limits
from accel import gate as gating
from accel.core import Case
from accel.limits import GATE_ZERO, LIMITS
from accel.methods.int8_weight_only import Int8WeightOnly
from accel.methods.reference import Reference
from accel.metrics import sanity
from accel.models import default_request
from accel.prove import DEFECTS
from accel.prove.command import show
from accel.prove.measure import measure, options_on
from accel.prove.proof import alarms, exit_code, healthy, rows
from accel.refresh.proof import unproved
from accel.runner import Bench
from accel.runs import RunFolder
from accel.verdict import Check

pytestmark = pytest.mark.prove

REQUEST = default_request("svd", "mini", frames=7, steps=4)
KINDS = get_args(get_type_hints(sanity.Defect)["kind"])


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def evidence(request, tmp_path_factory, gate):
    """Everything measured once on the device."""
    gate.close()  # one that was judged before holds the GPU
    folder = RunFolder(tmp_path_factory.mktemp("prove"))
    with Bench(folder, options_on(request.param, 1), lambda text: None) as bench:
        return measure(bench, Case("svd", "mini", REQUEST, Reference()), repeats=2)


def found(evidence):
    return [row for defect in DEFECTS for row in rows(defect, evidence)]


def test_every_defect_is_caught_by_its_own_check(evidence):
    assert [row for row in found(evidence) if row.caught == "no"] == []
    assert exit_code(evidence, found(evidence)) == 0


def test_what_cannot_be_shown_here_says_what_it_needs(evidence):
    rest = {row.defect: row.caught for row in found(evidence) if row.caught.startswith("needs")}
    for defect in ("slower", "dragging", "hoarding"):
        assert rest.pop(defect) == "needs a GPU and full-size weights"
    assert rest.pop("hidden") == "needs a GPU, full-size weights and --blocks"
    assert rest.pop("crowded").startswith("needs a GPU whose processes NVML lists, ")
    assert rest.pop("one_still").startswith("needs trained weights and several inputs")
    on_cpu = evidence.healthy[Int8WeightOnly()].hardware == "cpu"
    assert rest == {"doubled": "needs a GPU" if on_cpu else "needs a CPU"}


def test_the_healthy_cases_pass_and_raise_no_alarm(evidence):
    assert [verdict.lines for verdict in healthy(evidence)] == [()] * 3
    assert len(evidence.repeats) == 2
    assert alarms(evidence) == []


def test_beyond_its_bound_is_told_of_every_number(evidence):
    margins = [row.beyond for row in found(evidence) if row.beyond is not None]
    assert len(margins) > 15
    assert min(margins) > 0


@pytest.mark.parametrize(
    ("metric", "tolerance", "defect"),
    [
        ("clip", 1.0, "wrong_image"),
        ("lpips", 1.0, "cached"),
        ("psnr", 200.0, "wrong_seed"),
        ("tof", 100.0, "shuffled"),
        ("motion_amount", 100.0, "lost_motion"),
    ],
)
def test_a_calibrated_limit_that_is_too_wide(evidence, metric, tolerance, defect):
    """What `accel refresh` asks before it accepts one; as wide as the table's it is fine."""
    host = evidence.healthy[Int8WeightOnly()]
    calibrated = {"calibration": {"repeats": 3, "tolerances": {metric: 1e-6}}}
    assert list(unproved(evidence, replace(host, run=calibrated))) == []
    calibrated["calibration"]["tolerances"][metric] = tolerance
    found = list(unproved(evidence, replace(host, run=calibrated)))
    assert any(
        line.startswith(f"{defect} by quality: {metric} (in the baseline)") for line in found
    )
    assert all("in the baseline" in line for line in found)


def test_the_table(evidence, capsys):
    assert show(evidence, Console(width=100)) == 0
    printed = capsys.readouterr().out
    assert all(defect.name in printed for defect in DEFECTS)
    assert "healthy cases: 3 of 3 pass" in printed
    assert "A/A: 0 false alarms in 2 repeats; the rate is 0.0 to 84.2 % (95 %)" in printed


# without one check


def nobody_sees(evidence):
    """The defects that a gate without the check lets pass; the proof must fail."""
    assert exit_code(evidence, found(evidence)) == 1
    return {row.defect for row in found(evidence) if row.caught == "no"}


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_kind_of_sanity(evidence, monkeypatch, kind):
    seen = gating.broken
    monkeypatch.setattr(
        gating, "broken", lambda numbers: "" if seen(numbers).startswith(kind) else seen(numbers)
    )
    assert nobody_sees(evidence) == {"tinted" if kind == "flat" else kind}


def test_without_the_motion_class(evidence, monkeypatch):
    monkeypatch.setattr(collapse, "MOTION", {})
    assert nobody_sees(evidence) == {"shuffled"}


@pytest.mark.parametrize(
    ("claim", "defects"),
    [(limits.NEAR, {"cached", "untuned"}), (limits.EXACT, {"wrong_seed"})],
)
def test_without_what_a_fidelity_claims(evidence, monkeypatch, claim, defects):
    implied = claimed._implied
    monkeypatch.setattr(
        claimed, "_implied", lambda *given: tuple(c for c in implied(*given) if c != claim)
    )
    assert nobody_sees(evidence) == defects


def test_without_what_a_method_claims(evidence, monkeypatch):
    monkeypatch.setattr(Int8WeightOnly, "claims", lambda self, request: ())
    assert nobody_sees(evidence) == {"lost_bias"}


@pytest.mark.parametrize("metric", GATE_ZERO)
def test_without_a_metric_of_gate_zero(evidence, monkeypatch, metric):
    monkeypatch.delitem(GATE_ZERO, metric)
    assert nobody_sees(evidence) == {"wrong_image" if metric == "clip" else "flicker"}


def test_without_the_preservation_of_motion(evidence, monkeypatch):
    monkeypatch.setattr(gating, "MOTION_RATIO", ((-math.inf, math.inf),) * 2)
    assert nobody_sees(evidence) == {"lost_motion"}


def test_without_growth(evidence, monkeypatch):
    monkeypatch.setattr(gating, "GROWTH_MIB", math.inf)
    assert nobody_sees(evidence) == {"leaking"}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.pattern)
def test_without_a_limit(evidence, monkeypatch, limit):
    on_cpu = evidence.healthy[Int8WeightOnly()].hardware == "cpu"
    of_memory = limit.pattern.startswith("memory.")
    if limit.timed or (of_memory and limit.pattern.endswith("rss_mib") != on_cpu):
        pytest.skip("this limit is of another machine: the table says what it needs")
    covers = limits.Limit.covers
    monkeypatch.setattr(
        limits.Limit, "covers", lambda self, *asked: self != limit and covers(self, *asked)
    )
    assert len(nobody_sees(evidence)) == 1


def test_without_equal_counters(evidence, monkeypatch):
    passing = Check("speed", "counters.denoiser_calls", "pass", "")
    monkeypatch.setattr(gating, "_counter", lambda *given: passing)
    assert nobody_sees(evidence) == {"fewer_than_said"}

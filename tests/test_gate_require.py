"""The gate fixture, asked for one family of a case. The verdict is planted: nothing is measured."""

from dataclasses import replace

import pytest

from accel.core import Case
from accel.gate import judge
from accel.gates import Gate
from tests.examples import REQUEST, FewerSteps, record

CASE = Case("svd", "pretrained", REQUEST, FewerSteps())
NAME = "svd.pretrained/fewer_steps-15@128x128x14-s15"
DOUBLED = record({"memory.peak.allocated_mib": 600.0})
LOW_TEXTURE = record({"motion_class": "low-texture"})


@pytest.fixture
def require(tmp_path, monkeypatch):
    """Ask a gate for a family of a record, judged against a healthy baseline."""

    def ask(measured, family, **options):
        verdict = judge(measured, record(group=measured.group))
        monkeypatch.setattr(Gate, "_judge", lambda self, case, device: verdict)
        case = replace(CASE, weights=measured.group.partition(".")[2])
        Gate(tmp_path, tmp_path, **options).require(case, family, "cuda")
        return {check.status for check in verdict.of(family)}

    return ask


def test_a_bad_family_fails_with_the_line_of_its_metric(require):
    with pytest.raises(pytest.fail.Exception) as failed:
        require(DOUBLED, "memory")
    assert str(failed.value) == (
        f"{NAME}\nregressed: memory.peak.allocated_mib is 600 MiB, was 300 MiB in the baseline: "
        "+300 MiB, allowed 3 MiB"
    )


@pytest.mark.parametrize("family", ["speed", "quality", "collapse"])
def test_the_other_families_pass(require, family):
    assert require(DOUBLED, family) == {"pass"}


def test_a_family_without_checks_is_skipped(require):
    with pytest.raises(pytest.skip.Exception) as skipped:
        require(record(group="svd.untrained"), "collapse")
    assert str(skipped.value) == "collapse is not judged for svd.untrained on nvidia-h200"


def test_a_family_that_could_not_be_judged_fails_unless_that_is_allowed(require):
    with pytest.raises(pytest.fail.Exception, match="\ninconclusive: motion_class is low-texture"):
        require(LOW_TEXTURE, "collapse")
    assert "inconclusive" in require(LOW_TEXTURE, "collapse", allow_inconclusive=True)

"""The defects that need full-size weights on a GPU, judged again without the check of each.

tests/prove/test_machine.py does the same with a GPU that is played.
"""

import math

import pytest

from accel import fitness, limits
from accel.core import Case
from accel.launch import Options
from accel.limits import LIMITS
from accel.methods.int8_weight_only import Int8WeightOnly
from accel.methods.reference import Reference
from accel.models import default_request
from accel.prove import DEFECTS
from accel.prove.measure import measure
from accel.prove.proof import alarms, exit_code, healthy, rows
from accel.runner import Bench
from accel.runs import RunFolder

pytestmark = [pytest.mark.gpu, pytest.mark.prove]

REQUEST = default_request("svd", "untrained", width=512, height=512, frames=14, steps=4)
SPEEDUP = next(limit for limit in LIMITS if limit.timed)


@pytest.fixture(scope="module")
def evidence(gate, tmp_path_factory):
    """Everything measured once, with blocks of single calls."""
    gate.close()  # one that was judged before holds the GPU
    options = Options(blocks=10, device="cuda")
    with Bench(RunFolder(tmp_path_factory.mktemp("timed")), options, lambda text: None) as bench:
        return measure(bench, Case("svd", "untrained", REQUEST, Reference()), repeats=2)


def found(evidence):
    return [row for defect in DEFECTS for row in rows(defect, evidence)]


def missed(evidence):
    """The defects that a gate without the check lets pass; the proof must fail."""
    assert exit_code(evidence, found(evidence)) == 1
    return {row.defect for row in found(evidence) if row.caught == "no"}


def test_every_defect_of_time_is_caught(evidence):
    assert [verdict.lines for verdict in healthy(evidence)] == [()] * 3
    assert alarms(evidence) == []
    assert [row for row in found(evidence) if row.caught == "no"] == []
    caught = {row.defect for row in found(evidence) if row.caught == "yes"}
    assert {"slower", "dragging", "hoarding", "crowded", "hidden"} <= caught


def test_without_the_limit_of_the_speedup(evidence, monkeypatch):
    covers = limits.Limit.covers
    monkeypatch.setattr(
        limits.Limit, "covers", lambda self, *asked: self != SPEEDUP and covers(self, *asked)
    )
    assert missed(evidence) == {"slower"}


def test_without_what_int8_claims(evidence, monkeypatch):
    monkeypatch.setattr(Int8WeightOnly, "claims", lambda self, request: ())
    assert missed(evidence) == {"dragging", "hoarding"}


@pytest.mark.parametrize(
    ("check", "nothing", "defect"),
    [("MOST_REJECTED", 1.0, "crowded"), ("COMPOSITION", math.inf, "hidden")],
)
def test_without_a_check_of_the_blocks(evidence, monkeypatch, check, nothing, defect):
    monkeypatch.setattr(fitness, check, nothing)
    assert missed(evidence) == {defect}

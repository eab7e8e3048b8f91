"""The proof itself, on records that are made up."""

from dataclasses import replace

import pytest

from accel.errors import NoEffectError, WorkerDiedError
from accel.methods.int8_weight_only import Int8WeightOnly
from accel.prove.costs import Doubled, Dragging, Hoarding, Leaking, Off, Slower
from accel.prove.healthy import Unedited
from accel.prove.proof import Evidence, alarms, exact_interval, exit_code, healthy, rows
from accel.prove.videos import Black
from tests.examples import on_cpu, record

HEALTHY = {"psnr": 100.0, "memory.growth_mib": 0.0, "memory.decode.allocated_mib": 300.0}


def of(defect, changes, make=record, **more):
    """Evidence of one defect, whose metrics have the changes; Unedited's have none of them."""
    host = replace(make(metrics=HEALTHY), fidelity="exact", **more)
    return Evidence(
        {Unedited(): host}, {defect: replace(host, metrics={**host.metrics, **changes})}
    )


def test_caught_by_its_own_check():
    evidence = of(Black(), {"sanity": "black: 14 of 14 frames"})
    (row,) = rows(Black(), evidence)
    assert (row.caught, row.beyond) == ("yes", None)
    assert row.message == "collapsed: this is no video: black: 14 of 14 frames"
    assert exit_code(evidence, [row]) == 0


def test_caught_by_another_check_is_not_caught():
    evidence = of(Black(), {"sanity": "grey: 14 of 14 frames"})
    (row,) = rows(Black(), evidence)
    assert (row.caught, row.message) == ("no", "the gate has no such check")
    assert exit_code(evidence, [row]) == 1


@pytest.mark.parametrize(
    ("error", "caught"),
    [
        (NoEffectError("int8_linears is 0, expected 208"), "yes"),
        (NoEffectError("denoiser_calls is 3, expected 2"), "no"),
        (WorkerDiedError("int8_linears is 0, expected 208"), "no"),
    ],
)
def test_an_error_is_judged_by_its_type_and_its_words(error, caught):
    (row,) = rows(Off(), Evidence({Int8WeightOnly(): record()}, {Off(): error}))
    assert row.caught == caught
    assert str(error) in row.message


def test_no_error_is_not_caught():
    (row,) = rows(Off(), Evidence({Int8WeightOnly(): record()}, {Off(): record()}))
    assert (row.caught, row.message) == ("no", "it was measured without an error")


def test_five_percent_of_sleep_is_beyond_the_limit_of_time():
    (row,) = rows(Slower(), of(Slower(), {"speedup": 1.5 / 1.05}))
    assert row.caught == "yes"
    assert row.beyond == pytest.approx(0.626, abs=0.01)


BROKEN = {
    Hoarding(): {"memory.denoise.allocated_mib": 998.0},
    Dragging(): {f"speedup{end}": 1 / 1.15 for end in ("", "_low", "_high")},
}


@pytest.mark.parametrize("defect", BROKEN, ids=lambda defect: defect.name)
def test_a_broken_claim_is_caught_by_the_claim_alone(defect, monkeypatch):
    """The records' int8 saves 800 MiB; the margins of the baseline are another matter."""
    planted = record(metrics=BROKEN[defect])
    evidence = Evidence({Int8WeightOnly(): record()}, {defect: planted})
    (row,) = rows(defect, evidence)
    assert row.caught == "yes"
    assert "claimed: at most" in row.message
    assert row.beyond > 0
    monkeypatch.setattr(Int8WeightOnly, "claims", lambda self, request: ())
    (row,) = rows(defect, evidence)
    assert (row.caught, row.message) == ("no", "the gate has no such check")
    assert exit_code(evidence, [row]) == 1


@pytest.mark.parametrize("change", [{"group": "svd.mini"}, {"hardware": "cpu"}])
def test_time_is_not_shown_where_it_is_not_judged(change):
    (row,) = rows(Slower(), of(Slower(), {"speedup": 0.1}, **change))
    assert row.caught == "needs a GPU and full-size weights"


def test_quality_is_not_shown_of_untrained_weights():
    (row,) = rows(Black(), of(Black(), {}, group="svd-xt.untrained"))
    assert row.caught == "needs trained weights"


def test_memory_is_shown_by_what_the_device_tells():
    found = list(rows(Doubled(), of(Doubled(), {"memory.decode.allocated_mib": 400.0})))
    assert [row.caught for row in found] == ["yes", "no", "needs a CPU"]
    assert found[0].beyond == pytest.approx(100 / 3 - 1)
    on_a_cpu = rows(Doubled(), of(Doubled(), {"memory.decode.rss_mib": 1.0}, make=on_cpu))
    assert [row.caught for row in on_a_cpu] == ["needs a GPU", "needs a GPU", "no"]


def test_nothing_shown_proves_nothing():
    evidence = of(Slower(), {}, hardware="cpu")
    assert exit_code(evidence, list(rows(Slower(), evidence))) == 1


def test_a_healthy_case_that_fails_makes_the_proof_void():
    evidence = of(Leaking(), {"memory.growth_mib": 16.0})
    (row,) = rows(Leaking(), evidence)
    assert (row.caught, row.beyond, exit_code(evidence, [row])) == ("yes", 15.0, 0)
    ill = replace(evidence.healthy[Unedited()], reference={"sanity": "black: 14 frames"})
    void = Evidence({Unedited(): ill}, evidence.planted)
    assert [verdict.status for verdict in healthy(void)] == ["collapsed"]
    assert exit_code(void, [row]) == 1


def test_a_repeat_that_moved_either_way_is_an_alarm():
    host = of(Black(), {}).healthy[Unedited()]
    repeats = [replace(host, metrics={**host.metrics, "speedup": s}) for s in (1.5, 1.4, 1.6)]
    evidence = Evidence({Unedited(): host}, {}, repeats)
    assert [verdict.status for verdict in alarms(evidence)] == ["regressed", "improved"]


@pytest.mark.parametrize(
    ("events", "of", "low", "high"),
    [(0, 20, 0, 0.16843), (1, 20, 0.00127, 0.24873), (0, 1, 0, 0.975), (3, 3, 0.29240, 1)],
)
def test_the_exact_interval(events, of, low, high):
    """Without events its high end is 1 - 0.025 ** (1 / n)."""
    assert exact_interval(events, of) == pytest.approx((low, high), abs=1e-5)

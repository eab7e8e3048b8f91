"""The questions about a cold start: each alone, of records that lack nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from accel.cold import judge
from accel.core import Record
from accel.gate import judge as judge_all
from tests.examples import on_cpu, record

COLD = {
    "seconds": 30.0, "reference": 6.0, "misses": 0,
    "sizes": [[192, 128], [128, 192], [128, 128]], "graphs": [1, 1, 0], "expected": [1, 1, 0],
}  # fmt: skip


def started(found: Record | None = None, **changes: Any) -> Record:
    """A record with a cold start of which some is changed."""
    found = found or record()
    return replace(found, samples={**found.samples, "cold": {**COLD, **changes}})


def failing(now: Record, before: Record | None) -> dict[str, str]:
    return {c.metric: c.status for c in judge(now, before) if c.status != "pass"}


def test_what_was_not_measured_is_not_judged():
    assert list(judge(record(), started())) == []


def test_a_healthy_start_passes_three_checks():
    assert [check.status for check in judge(started(), started())] == ["pass"] * 3
    assert {check.family for check in judge(started(), started())} == {"speed"}


@pytest.mark.parametrize("graphs", [[2, 1, 0], [1, 1, 1], [0, 0, 0]])
def test_other_recompiles_than_expected(graphs):
    (_, *_), (check, *_) = judge(started(), None), judge(started(graphs=graphs), None)
    assert check.status == "regressed"
    assert "192x128, 128x192, 128x128 compiled " + str(graphs) in check.message


def test_one_that_failed_is_missing_and_no_baseline_of_the_next():
    failed = replace(record(), samples={"cold": {"error": "WorkerDiedError: killed"}})
    assert failing(failed, started()) == {"cold.start": "missing"}
    assert failing(started(), failed) == {"cold.start": "missing"}
    assert judge_all(failed, failed, ()).status == "missing"


def test_a_cache_that_is_not_found():
    assert failing(started(misses=1), started()) == {"cold.misses": "regressed"}


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(37.4, None), (37.6, "regressed"), (22.6, None), (22.4, "improved")],
)
def test_the_ratio_may_move_by_a_quarter(seconds, status):
    expected = {"cold.start": status} if status else {}
    assert failing(started(seconds=seconds), started()) == expected


@pytest.mark.parametrize(("seconds", "status"), [(7.9, None), (8.1, "regressed")])
def test_or_by_two_seconds(seconds, status):
    """Of a start that is as short as the reference's."""
    expected = {"cold.start": status} if status else {}
    assert failing(started(seconds=seconds), started(seconds=6.0)) == expected


def test_a_slower_machine_is_no_slower_method():
    assert failing(started(seconds=60.0, reference=12.0), started()) == {}


def test_a_baseline_without_it_is_missing():
    assert failing(started(), record()) == {"cold.start": "missing"}


def test_seconds_of_a_cpu_are_not_judged():
    slow = started(on_cpu(), seconds=99.0)
    assert [check.metric for check in judge(slow, started(on_cpu()))] == [
        "cold.graphs",
        "cold.misses",
    ]


def test_the_gate_asks_them():
    checks = judge_all(started(misses=2), started()).checks
    assert {c.metric: c.status for c in checks}["cold.misses"] == "regressed"
    assert "cold.start" in {check.metric for check in checks}


def test_what_cannot_be_compared_has_no_start_to_compare_with():
    other = replace(started(), hardware="nvidia-a100")
    assert "cold.start" not in {check.metric for check in judge_all(started(), other).checks}

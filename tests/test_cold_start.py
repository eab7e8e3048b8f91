"""Cold starts as a run measures them, on the tiny pipeline."""

from dataclasses import asdict, replace

import pytest

from accel.cold import judge
from accel.core import Case
from accel.errors import InvalidRequestError, OutOfMemoryError
from accel.launch import Options
from accel.methods import parse
from accel.models import default_request
from accel.pool import Worker
from accel.runner import Bench
from accel.runs import RunFolder
from tests.examples import on_cpu
from tests.local_worker import LocalWorker

REQUEST = default_request("svd", "mini", width=64, height=64, frames=2, steps=2)


@pytest.fixture(scope="module")
def weights(shallow_folder):
    return str(shallow_folder)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A run that measures cold starts; what compiles has real workers, for graphs are counted by
    process."""

    def start(log, *rest):
        return (Worker if "torch_compile" in log.name else LocalWorker)(log, *rest)

    monkeypatch.setattr("accel.launch.Worker", start)
    options = Options(pairs=1, device="cpu", cold=True)
    with Bench(RunFolder(tmp_path), options, lambda text: None) as bench:
        yield bench


def test_each_new_size_costs_a_graph_and_the_old_one_none(bench, weights):
    method = parse("torch_compile:backend=aot_eager")
    record = bench.measure(Case("svd", "pretrained", REQUEST, method, weights))
    found = record.samples["cold"]
    assert found["sizes"] == [[128, 64], [64, 128], [64, 64]]
    assert found["graphs"] == found["expected"] == [1, 1, 0]
    assert found["seconds"] > found["reference"] > 0
    assert [check.status for check in judge(record, None)] == ["pass", "pass"]
    case = Case("svd", "pretrained", REQUEST, method, weights)
    assert bench.measure(case).samples["cold"] == found


def test_one_that_fails_takes_nothing_else_with_it(bench, weights, monkeypatch):
    def fail(*asked):
        raise OutOfMemoryError("no memory for three sizes")

    monkeypatch.setattr("accel.cold_start.measure", fail)
    case = Case("svd", "pretrained", REQUEST, parse("torch_compile:backend=aot_eager"), weights)
    record = bench.measure(case)
    assert record.samples["cold"] == {"error": "OutOfMemoryError: no memory for three sizes"}
    assert record.metrics["speedup"] > 0
    monkeypatch.setattr("accel.cold_start.measure", lambda *asked: {"seconds": 1.0})
    assert bench.measure(case).samples["cold"] == {"seconds": 1.0}, "the same command tries again"


def test_a_record_without_one_is_not_taken_for_one(bench, weights, no_worker):
    case = Case("svd", "pretrained", REQUEST, parse("torch_compile"), weights)
    request = asdict(REQUEST)
    kept = on_cpu(case=case.id, group=case.group, method=repr(case.method), request=request)
    kept = replace(kept, counters={"compiled_graphs": 1}, run={"path": weights})
    bench.folder.write(case, kept)
    with pytest.raises(InvalidRequestError, match="was measured without --cold; choose another"):
        bench.measure(case)


def test_what_compiles_nothing_has_no_cold_start(bench, weights):
    record = bench.measure(Case("svd", "pretrained", REQUEST, parse("fewer_steps:1"), weights))
    assert "cold" not in record.samples

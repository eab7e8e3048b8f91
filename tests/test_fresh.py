"""Generations of processes that start for them, one at a time, in place of resident ones."""

from dataclasses import replace

import pytest

from accel.core import Case
from accel.errors import InvalidRequestError, OutOfMemoryError
from accel.launch import Options
from accel.methods import parse
from accel.models import default_request
from accel.runner import Bench, reference_of
from accel.runs import RunFolder
from tests.local_worker import LocalWorker
from tests.planted import Planted

REQUEST = default_request("svd", "mini", frames=2, steps=2, width=64, height=64)


class OneAtATime(LocalWorker):
    """Notes every start, and takes no second one beside it."""

    running = 0
    starts: list[str]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        if OneAtATime.running:
            raise OutOfMemoryError("another process has the memory")
        OneAtATime.running += 1

    def apply(self, method):
        self.starts.append(method.slug)
        return super().apply(method)

    def close(self):
        OneAtATime.running = 0


@pytest.fixture
def starts(monkeypatch):
    monkeypatch.setattr(OneAtATime, "starts", [], raising=False)
    monkeypatch.setattr(OneAtATime, "running", 0)
    monkeypatch.setattr("accel.launch.Worker", OneAtATime)
    return OneAtATime.starts


@pytest.fixture
def cases_of(tiny_folder):
    def make(**changes):
        """Two methods and their reference."""
        request = replace(REQUEST, **changes)
        methods = parse("fewer_steps:1"), parse("int8_weight_only")
        found = [Case("svd", "pretrained", request, method, str(tiny_folder)) for method in methods]
        return [*found, reference_of(found[0])]

    return make


@pytest.fixture
def cases(cases_of):
    """Their quality is not judged."""
    return cases_of(latents_only=True)


def measured(folder, cases, **options):
    """The records, and how often progress was told beside how often it was foretold."""
    settings, told = Options(pairs=2, device="cpu", **options), []
    with Bench(RunFolder(folder), settings, told.append) as bench:
        total = Bench.steps(cases, bench.folder, settings)
        found = bench.run(cases)
    assert bench.folder.failures() == {}
    return found, (len(told), total)


def test_each_generation_has_a_process_of_its_own(starts, cases_of, tmp_path):
    (few, int8, alone), (told, foretold) = measured(tmp_path, cases_of(seeds=2), fresh=True)
    one, other, m0 = "fewer_steps-1", "int8_weight_only", "reference"
    assert starts == [m0, one, one, m0, m0, other, other, m0]
    assert told == foretold
    assert alone.samples["candidate"] == few.samples["reference"] + int8.samples["reference"]
    for record in (few, int8):
        samples = record.samples["candidate"]
        assert len(samples) == record.metrics["speedup_pairs"] == 2
        assert [set(sample["preparation"]) for sample in samples] == [{"load", "apply", "warm"}] * 2
        assert record.samples["preparation"] == samples[0]["preparation"]
        assert "memory.growth_mib" not in record.metrics
        assert len(record.samples["inputs"]) == 2
        assert record.run["options"]["fresh"] is True


def test_a_reference_by_itself_starts_for_each_generation(starts, cases, tmp_path):
    (alone,), (told, foretold) = measured(tmp_path, cases[2:], fresh=True)
    assert starts == ["reference"] * 2
    assert len(alone.samples["candidate"]) == 2
    assert told == foretold


def test_two_residents_would_not_have_fitted(starts, cases, tmp_path):
    with Bench(RunFolder(tmp_path), Options(1, device="cpu")) as bench:
        assert [record.case for record in bench.run(cases)] == [cases[2].id]
    assert starts == ["reference"]
    assert set(bench.folder.failures()) == {case.id for case in cases[:2]}


def test_a_case_that_fails_leaves_the_reference_to_the_others(starts, cases, tmp_path):
    bad = replace(cases[0], method=Planted("broken"))
    settings = Options(1, device="cpu", fresh=True, timed=False)
    with Bench(RunFolder(tmp_path), settings) as bench:
        assert [record.case for record in bench.run([bad, *cases])] == [case.id for case in cases]
    assert list(bench.folder.failures()) == [bad.id]
    assert starts.count("reference") == 1


def test_a_reference_that_refused_is_not_asked_again(starts, cases, tmp_path):
    nowhere = [replace(case, path=str(tmp_path / "nowhere")) for case in cases[:2]]
    told = []
    with Bench(RunFolder(tmp_path), Options(1, device="cpu", fresh=True), told.append) as bench:
        assert bench.run(nowhere) == []
    assert len(bench.folder.failures()) == 2
    assert sum("loading" in text for text in told) == 1


def test_where_time_is_not_judged_the_reference_generates_once(starts, cases, tmp_path):
    measured(tmp_path, cases, fresh=True, timed=False)
    assert starts.count("reference") == 2


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.usefixtures("starts")
def test_a_run_goes_on_as_it_was_begun(cases, tmp_path, before):
    measured(tmp_path, cases[2:], fresh=before)
    with pytest.raises(InvalidRequestError, match="choose another folder"):
        measured(tmp_path, cases[2:], fresh=not before)


def test_there_are_no_single_calls_of_fresh_ones():
    with pytest.raises(InvalidRequestError, match=r"10 blocks .* leave out --blocks or --fresh"):
        Options(blocks=10, fresh=True)

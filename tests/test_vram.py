"""A run under --vram-cap, its GPU played: workers in this process, and an allocator that obeys."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from accel import baselines, commands
from accel.__main__ import main
from accel.advise import judged
from accel.cases import case_of
from accel.core import Case
from accel.errors import BaselineError, InvalidRequestError
from accel.identity import incomparable
from accel.launch import Options
from accel.methods import parse
from accel.methods.fewer_steps import FewerSteps
from accel.models import default_request
from accel.models.svd import Pipeline
from accel.runner import Bench, reference_of
from accel.runs import RunFolder
from accel.vram import GIB, check_cap, limit, out_of_memory
from accel.worker import Session
from tests.asking import GROUP, asked
from tests.local_worker import LocalWorker

CASE = Case("svd", "mini", default_request("svd", "mini"), parse("fewer_steps:10"))
CAPPED = replace(CASE, vram_cap=16.0)
FULL = "CUDA out of memory. Tried to allocate 20.00 MiB"


class Card:
    """Stands for a GPU of 32 GiB; fractions: those that it was capped to."""

    total = 32 * GIB

    def __init__(self) -> None:
        self.fractions: list[float] = []

    def mem_get_info(self) -> tuple[int, int]:
        return self.total, self.total

    def set_per_process_memory_fraction(self, fraction: float) -> None:
        self.fractions.append(fraction)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card = Card()
    for name in ("mem_get_info", "set_per_process_memory_fraction"):
        monkeypatch.setattr(torch.cuda, name, getattr(card, name))
    return card


@pytest.fixture
def crowded(card: Card, monkeypatch: pytest.MonkeyPatch) -> Card:
    """Under a cap a generation of 3 steps does not fit; others do. All runs on the CPU."""
    sessions: list[Session] = []
    load, generate = Session.load, Pipeline._generate

    def loading(session: Session, **message: object) -> object:
        sessions.append(session)
        session.device = "cpu"
        return load(session, **message)

    def generating(pipeline: Pipeline, request: object) -> torch.Tensor:
        session = next(s for s in sessions if getattr(s, "pipeline", None) is pipeline)
        if session.vram_cap and pipeline.request.steps == 3:
            raise torch.OutOfMemoryError(FULL)
        return generate(pipeline, request)

    monkeypatch.setattr(Session, "load", loading)
    monkeypatch.setattr("accel.worker.limit", lambda device, gib: limit("cuda", gib))
    monkeypatch.setattr(Pipeline, "_generate", generating)
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    monkeypatch.setattr("accel.cases.gpu_count", lambda: 1)
    monkeypatch.setattr(commands, "_check_resumed", lambda *_: None)
    return card


def capped(tiny_folder: Path, out: Path, *more: object, command: str = "bench") -> list[str]:
    gpu = ("--device", "cuda", "--vram-cap", "16")
    return asked(tiny_folder, out, *gpu, *more, command=command)


def stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.rglob("*.json")}


def test_what_does_not_fit_is_named_and_the_others_run_on(crowded, tiny_folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(capped(tiny_folder, out)) == 1
    request = "@128x128x7-s3"
    measured = {f"reference{request}", f"fewer_steps-2-vram_cap16{request}"}
    assert stems(out / "records" / GROUP) == measured
    ((case, error),) = json.loads((out / "failures.json").read_text()).items()
    assert case == f"reference-vram_cap16{request}"
    remedy = "ask for less: --size, --frames, --decode-chunk-size"
    told = f"OutOfMemoryError: out of memory under a cap of 16 GiB: {FULL}; {remedy}"
    assert error == told
    table = (out / "table.md").read_text()
    assert "M0 reference-vram_cap16 ¹" in table
    assert f"¹ {case}: {told}" in table
    assert crowded.fractions == [0.5, 0.5]
    record = baselines.read(out / "records" / GROUP / f"fewer_steps-2-vram_cap16{request}.json")
    assert record.run["vram_cap"] == 16
    assert record.metrics["speedup"] > 0
    assert main(["report", str(out), "--baselines", str(tmp_path / "none")]) == 0


def test_a_cap_that_all_fit_under_and_one_run_folder_for_two_caps(crowded, tiny_folder, tmp_path):
    """M0 under the cap is the reference's video, and no counter changes: that is no fault."""
    out = tmp_path / "run"
    more = ("--methods", "reference", "--steps", "4")
    assert main(capped(tiny_folder, out, *more)) == 0
    assert main(capped(tiny_folder, out, *more, "--vram-cap", "24")) == 0
    assert crowded.fractions == [0.5, 0.75]
    names = {name.partition("@")[0] for name in stems(out / "records")}
    assert names == {"reference", "reference-vram_cap16", "reference-vram_cap24"}
    kept = {verdict.record.slug for verdict in judged(out, tmp_path / "none")}
    assert kept == {"reference"}


def test_a_refreshed_cap_has_a_baseline_of_its_own(
    crowded, clean_tree, tiny_folder, tmp_path, monkeypatch
):
    """The workers share the test's process, so that its memory tells nothing of them."""
    monkeypatch.setattr("accel.measure.in_use", lambda device: 400.0)
    out = tmp_path / "run"
    assert main(capped(tiny_folder, out, "--repeats", "1", command="refresh")) == 1
    found = {name.partition("@")[0] for name in stems(tmp_path / "baselines")}
    assert found == {"reference", "fewer_steps-2-vram_cap16"}


def test_capped_and_uncapped_are_never_one_case(tmp_path):
    from tests.test_runs import record_of

    plain, under = (record_of(case) for case in (CASE, CAPPED))
    assert CAPPED.id == "fewer_steps-10-vram_cap16@128x128x14-s25"
    assert replace(CASE, vram_cap=12.5).id.startswith("fewer_steps-10-vram_cap12.5@")
    assert "case fewer_steps-10@" in incomparable(under, plain, "the baseline")
    assert (under.request_slug, under.is_reference) == (plain.request_slug, False)
    assert reference_of(CAPPED) == reference_of(CASE)
    assert not replace(reference_of(CASE), vram_cap=16.0).is_reference
    kept = replace(under, run={**under.run, "vram_cap": 16.0, "path": None, "modules": []})
    assert case_of(kept) == CAPPED
    folder = RunFolder(tmp_path)
    folder.write(CAPPED, kept)
    assert folder.record(CAPPED) == kept
    with pytest.raises(BaselineError, match=r"measured with vram_cap 16.0, not 16.00001"):
        folder.record(replace(CASE, vram_cap=16.00001))


def test_the_cap_is_set_before_anything_is_loaded(card, monkeypatch):
    monkeypatch.setattr("accel.worker.fingerprint", lambda device: {})
    monkeypatch.setattr("accel.worker.load", lambda case, device: card.fractions.append(-1.0))
    for cap in (24.0, None):
        Session("cuda").load("svd", "mini", None, {}, cap)
    assert card.fractions == [0.75, -1.0, -1.0]


def test_a_cap_above_the_card_is_refused(card):
    limit("cuda", 32)
    with pytest.raises(InvalidRequestError, match=r"--vram-cap 33: the GPU has 32.00 GiB"):
        limit("cuda", 33)
    assert card.fractions == [1.0]


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf"), float("nan")])
def test_a_cap_is_a_positive_number(bad):
    with pytest.raises(InvalidRequestError, match="give GiB above 0"):
        check_cap(bad, on_cpu=False)


def test_without_a_cap_none_is_named():
    check_cap(None, on_cpu=True)
    check_cap(0.5, on_cpu=False)
    told = out_of_memory(None, FULL)
    assert told.startswith(f"{FULL}; ask for less: --size, ")
    assert told.endswith("; or --fresh, with which M0's process does not lie beside it")


def test_a_capped_worker_on_a_cpu_refuses(tmp_path, tiny_folder):
    """Past the command line's check, in a process of its own."""
    case = Case("svd", "pretrained", CASE.request, FewerSteps(2), str(tiny_folder), 16.0)
    with Bench(RunFolder(tmp_path), Options(pairs=1, device="cpu"), lambda text: None) as bench:
        bench.run([case])
        assert "the run is on a CPU" in bench.folder.failures()[case.id]

"""Defects of a cold start, played on the tiny pipeline: each is caught, and not without its check.

Graphs are counted by process, so what compiles has real workers; they compile by aot_eager. On a
GPU it is mini, and inductor.
"""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from accel import cold
from accel.core import Case
from accel.methods.torch_compile import TorchCompile
from accel.models import default_request
from accel.prove import OF_STARTS, starts
from accel.prove.measure import measure, options_on
from accel.prove.proof import exit_code, healthy, rows
from accel.runner import Bench
from accel.runs import RunFolder
from accel.verdict import Check

pytestmark = pytest.mark.prove

REQUEST = default_request("svd", "mini", width=64, height=64, frames=2, steps=2)


class Eagerly:
    """Compiles in a second, not in a minute."""

    host = TorchCompile(backend="aot_eager")


class Recompiling(Eagerly, starts.Recompiling): ...


class Forgetful(Eagerly, starts.Forgetful): ...


class Sluggish(Eagerly, starts.Sluggish): ...


DEFECTS = (Recompiling(), Forgetful(), Sluggish())


@pytest.fixture(scope="module")
def evidence(tmp_path_factory, shallow_folder):
    """Each measured once, by workers of their own, on a CPU."""
    folder = RunFolder(tmp_path_factory.mktemp("starts"))
    case = Case("svd", "pretrained", REQUEST, TorchCompile(), str(shallow_folder))
    with Bench(folder, options_on("cpu", 0, cold=True), lambda text: None) as bench:
        return measure(bench, case, 0, DEFECTS)


def found(evidence):
    told = [row for defect in DEFECTS for row in rows(defect, evidence)]
    assert exit_code(evidence, told) == int(any(row.caught == "no" for row in told))
    return {row.defect: row.caught for row in told}


def test_each_is_caught_by_its_own_check(evidence):
    assert [verdict.lines for verdict in healthy(evidence)] == [()]
    shown = {"recompiling": "yes", "forgetful": "yes", "sluggish": "needs a GPU"}
    assert found(evidence) == shown


@pytest.mark.parametrize(
    ("check", "defect"), [("_recompiles", "recompiling"), ("_cache", "forgetful")]
)
def test_without_its_check_the_proof_fails(evidence, monkeypatch, check, defect):
    asks = getattr(cold, check)
    monkeypatch.setattr(cold, check, lambda found: replace(asks(found), status="pass"))
    assert [name for name, caught in found(evidence).items() if caught == "no"] == [defect]


def test_a_sluggish_start_is_caught_on_a_gpu(evidence, monkeypatch):
    """By records that say they are a GPU's."""
    (host,) = (replace(record, hardware="nvidia-h200") for record in evidence.healthy.values())
    start = {**host.samples["cold"], "seconds": 30.0, "reference": 6.0}
    healthy, planted = (
        replace(host, samples={**host.samples, "cold": {**start, "seconds": seconds}})
        for seconds in (30.0, 54.0)
    )
    known = replace(evidence, healthy={Eagerly.host: healthy}, planted={DEFECTS[2]: planted})
    (row,) = rows(DEFECTS[2], known)
    assert (row.caught, row.beyond) == ("yes", pytest.approx(2.2))
    assert row.message.startswith(
        "regressed: cold.start takes 9 times the reference's 6.0 s, was 5"
    )
    passing = Check("speed", "cold.start", "pass", "")
    monkeypatch.setattr(cold, "_start", lambda found, before: passing)
    (row,) = rows(DEFECTS[2], known)
    assert (row.caught, exit_code(known, [row])) == ("no", 1)


def test_a_sluggish_start_is_in_the_first_call_alone(monkeypatch):
    now = 0.0

    def pass_by(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "sleep", pass_by)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    denoiser = SimpleNamespace(forward=pass_by)
    starts.Sluggish().plant(SimpleNamespace(denoiser=denoiser, device=torch.device("cpu")))
    seen = []
    for _ in range(3):
        before = now
        denoiser.forward(4.0)
        seen.append(now - before)
    assert seen == [8.0, 4.0, 4.0]


@pytest.mark.gpu
@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_gpu_shows_all_three(gate, tmp_path):
    gate.close()  # one that was judged before holds the GPU
    case = Case("svd", "mini", default_request("svd", "mini"), TorchCompile())
    with Bench(RunFolder(tmp_path), options_on("cuda", 1, cold=True), lambda text: None) as bench:
        evidence = measure(bench, case, 0, OF_STARTS)
    told = [row for defect in OF_STARTS for row in rows(defect, evidence)]
    assert [(row.defect, row.message) for row in told if row.caught != "yes"] == []
    assert exit_code(evidence, told) == 0

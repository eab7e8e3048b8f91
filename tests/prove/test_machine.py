"""Blocks of single calls that must not be believed, with and without the check that says so."""

import math
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest

from accel import fitness, turns
from accel.core import Case
from accel.errors import CaseError
from accel.launch import Options
from accel.prove import machine
from accel.prove.healthy import Unedited
from accel.prove.machine import Crowded, Hidden
from accel.prove.proof import Evidence, exit_code, healthy, rows
from accel.runner import Bench
from accel.runs import RunFolder
from tests.prove.played import REQUEST, play

WITHOUT_TORCH = machine.OTHER.replace(", torch", "").replace("held", "# held")


class Started:
    """Stands for the module subprocess: keeps every process that a defect starts."""

    PIPE = subprocess.PIPE

    def __init__(self):
        self.others = []

    def Popen(self, *given, **named):
        self.others.append(subprocess.Popen(*given, **named))
        return self.others[-1]

    def telemetry(self, *given):
        """Telemetry that sees how many of them there are, and nothing else."""
        there = float(sum(other.poll() is None for other in self.others))
        return nullcontext(SimpleNamespace(result=lambda: {"foreign_processes": there}))

    def end(self):
        """Let go of them, as a worker does that ends; the codes that they end with."""
        for other in self.others:
            other.stdout.close()
            other.stdin.close()
        return [other.wait(timeout=60) for other in self.others]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory, tiny_folder):
    """The healthy case, then both defects, each in ten blocks."""
    started = Started()
    with pytest.MonkeyPatch.context() as patch:
        play(patch)
        patch.setattr(machine, "subprocess", started)
        patch.setattr(machine, "OTHER", WITHOUT_TORCH)
        patch.setattr(turns, "Telemetry", started.telemetry)
        folder = RunFolder(tmp_path_factory.mktemp("machine"))
        with Bench(folder, Options(1, 10, "cpu"), lambda text: None) as bench:
            sound, hidden, crowded = (
                bench.measure(Case("svd", "pretrained", REQUEST, method, str(tiny_folder)))
                for method in (Unedited(), Hidden(), Crowded())
            )
        assert started.end() == [0]
    listed = replace(sound, metrics={**sound.metrics, "memory.peak.process_mib": 500.0})
    return Evidence({Unedited(): listed}, {Hidden(): hidden, Crowded(): crowded})


def test_each_is_caught_by_its_own_check_and_not_without_it(evidence, monkeypatch):
    def found():
        told = [row for defect in evidence.planted for row in rows(defect, evidence)]
        assert exit_code(evidence, told) == int(any(row.caught == "no" for row in told))
        return {row.defect: row.caught for row in told}

    assert [verdict.lines for verdict in healthy(evidence)] == [()]
    assert found() == {"hidden": "yes", "crowded": "yes"}
    with monkeypatch.context() as patch:
        patch.setattr(fitness, "COMPOSITION", math.inf)
        assert found() == {"hidden": "no", "crowded": "yes"}
    with monkeypatch.context() as patch:
        patch.setattr(fitness, "MOST_REJECTED", 1.0)
        assert found() == {"hidden": "yes", "crowded": "no"}


def test_they_say_what_they_saw(evidence):
    hidden, crowded = (row for defect in evidence.planted for row in rows(defect, evidence))
    assert hidden.message.startswith("inconclusive: single calls tell a speed-up 1.5 times that of")
    assert hidden.beyond == pytest.approx(math.log(1.5) / fitness.COMPOSITION - 1)
    assert crowded.message == (
        "inconclusive: 100% of the blocks were rejected: 1 foreign processes were on the GPU"
    )
    assert crowded.beyond == pytest.approx(3)


def test_without_blocks_or_a_list_of_processes_they_cannot_be_shown(evidence):
    def reasons(*absent):
        (host,) = evidence.healthy.values()
        metrics = {name: x for name, x in host.metrics.items() if name not in absent}
        less = replace(evidence, healthy={Unedited(): replace(host, metrics=metrics)})
        return [row.caught for defect in evidence.planted for row in rows(defect, less)]

    processes = "needs a GPU whose processes NVML lists, full-size weights and --blocks"
    assert reasons("memory.peak.process_mib") == ["yes", processes]
    assert reasons("blocks_rejected") == ["needs a GPU, full-size weights and --blocks", processes]


def test_a_process_that_cannot_come_is_an_error(monkeypatch):
    started = Started()
    monkeypatch.setattr(machine, "subprocess", started)
    monkeypatch.setattr(machine, "OTHER", "")
    with pytest.raises(CaseError, match="no other process came onto the GPU"):
        Crowded().plant(None)
    assert started.end() == [0]

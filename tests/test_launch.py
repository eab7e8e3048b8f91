"""Pairs of generations beside blocks of single calls: which of them are made, and which tell."""

import pytest

from accel.core import Case
from accel.launch import Options
from accel.methods import parse
from accel.models import default_request
from accel.runner import Bench, reference_of
from accel.runs import RunFolder
from tests.local_worker import LocalWorker

BLOCKS = 1


@pytest.fixture
def run(tmp_path, tiny_folder, monkeypatch):
    """Two methods and their reference, so many pairs of each; two pairs have an interval here."""
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    for module in ("launch", "recording"):
        monkeypatch.setattr(f"accel.{module}.MIN_PAIRS", 2)
    request = default_request("svd", "mini", frames=2, steps=2, latents_only=True)
    methods = [parse(text) for text in ("fewer_steps:1", "int8_weight_only")]
    cases = [Case("svd", "pretrained", request, method, str(tiny_folder)) for method in methods]
    cases.append(reference_of(cases[0]))

    def run(pairs, blocks=BLOCKS, timed=True):
        options, steps = Options(pairs, blocks, "cpu", timed=timed), []
        with Bench(RunFolder(tmp_path), options, steps.append) as bench:
            total = Bench.steps(cases, bench.folder, options)
            found = bench.run(cases)
        assert len(steps) == total
        return found

    return run


def test_where_blocks_tell_the_reference_generates_once(run):
    one, other, alone = run(pairs=1)
    assert one.samples["reference"] == other.samples["reference"] == alone.samples["candidate"]
    assert one.metrics["speedup_pairs"] == BLOCKS
    assert len(alone.samples["candidate"]) == 1


def test_where_time_is_not_judged_the_reference_generates_once(run):
    one, other, alone = run(pairs=2, blocks=0, timed=False)
    assert one.samples["reference"] == other.samples["reference"] == alone.samples["candidate"]
    assert len(alone.samples["candidate"]) == 2


def test_enough_pairs_take_turns_and_the_blocks_are_checked_against_them(run):
    one, other, alone = run(pairs=2)
    assert alone.samples["candidate"] == one.samples["reference"] + other.samples["reference"]
    assert one.metrics["speedup_pairs"] == 2
    assert {"composition", "blocks_rejected"} <= one.metrics.keys()

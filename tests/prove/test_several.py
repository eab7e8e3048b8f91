"""Defects that only several inputs show, and the others' checks as several images word them."""

from dataclasses import replace

import pytest

from accel.core import Case
from accel.errors import NoEffectError
from accel.launch import Options
from accel.methods.int8_weight_only import Int8WeightOnly
from accel.models import default_request
from accel.prove.costs import Copied
from accel.prove.healthy import Unedited
from accel.prove.inputs import WrongImage
from accel.prove.proof import Evidence, exit_code, healthy, rows
from accel.prove.videos import Black, OneStill
from accel.runner import Bench
from accel.runs import RunFolder
from tests.examples import record
from tests.local_worker import LocalWorker

REQUEST = default_request("svd", "mini", frames=5, steps=4, seeds=2)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("several"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.launch.Worker", LocalWorker)
        with Bench(folder, Options(1, device="cpu", timed=False), lambda text: None) as bench:
            case = Case("svd", "mini", REQUEST, Unedited())
            sound, planted = (
                bench.measure(replace(case, method=method)) for method in (Unedited(), OneStill())
            )
            with pytest.raises(NoEffectError) as copied:
                bench.measure(replace(case, method=Copied()))
    hosts = {Unedited(): sound, Int8WeightOnly(): sound}
    return Evidence(hosts, {OneStill(): planted, Copied(): copied.value})


def test_copies_of_both_are_told(evidence):
    (row,) = rows(Copied(), evidence)
    assert row.caught == "yes"


def test_one_of_two_stands_still(evidence):
    assert all(verdict.lines == () for verdict in healthy(evidence))
    (row,) = rows(OneStill(), evidence)
    assert row.caught == "yes"
    assert row.message.endswith("the reference's moves: coffee, seed 1")
    assert exit_code(evidence, [row]) == 0


def test_without_the_check_of_each_input(evidence, monkeypatch):
    monkeypatch.setattr("accel.gate.frozen_inputs", lambda record: iter(()))
    (row,) = rows(OneStill(), evidence)
    assert row.caught == "no"
    assert exit_code(evidence, [row]) == 1


def test_of_one_input_it_cannot_be_shown():
    (row,) = rows(OneStill(), Evidence({Unedited(): record()}, {OneStill(): record()}))
    assert row.caught == "needs trained weights and several inputs (--seeds 2)"


def test_one_that_is_black_is_caught_by_its_name():
    (kind,) = (catch.says for catch in Black().caught_by)
    host = record({"inputs": 2, "sanity": "ok"})
    black = record({"inputs": 2, "sanity": "coffee, seed 1: black: 14 of 14 frames"})
    (row,) = rows(Black(), Evidence({Unedited(): host}, {Black(): black}))
    assert (kind, row.caught) == ("this is no video: *black: ", "yes")


def of_images(*scores):
    """A record of one input for each image, with that CLIP similarity beside 0.97."""
    found = [
        {"image": f"{place}", "digest": None, "seed": 0, "scores": {"clip": own},
         "reference": {"clip": 0.97}}
        for place, own in enumerate(scores)
    ]  # fmt: skip
    clip = sum(scores) / len(scores)
    return record({"inputs": len(scores), "clip": clip}, samples={"inputs": found})


def test_the_wrong_image_is_caught_by_the_interval_over_images():
    evidence = Evidence({Unedited(): of_images(0.97, 0.97)}, {WrongImage(): of_images(0.6, 0.61)})
    beside, _ = rows(WrongImage(), evidence)
    assert (beside.caught, "over 2 images; allowed: 0.02 apart" in beside.message) == ("yes", True)

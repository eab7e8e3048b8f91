"""Two pictures and two seeds through the tiny pipeline: what many inputs leave in a record."""

from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest
from PIL import Image

from accel.core import Case
from accel.gate import judge
from accel.launch import Options
from accel.methods import parse
from accel.methods.reference import Reference
from accel.models import default_request
from accel.models.images import image_digest
from accel.prove.costs import Idle
from accel.runner import Bench
from accel.runs import RunFolder
from tests.local_worker import LocalWorker
from tests.planted import OneBlack

OPTIONS = Options(pairs=1, device="cpu")


@pytest.fixture(scope="module")
def case(tiny_folder, tmp_path_factory):
    """Fewer steps on a folder of two pictures, two seeds of each."""
    pictures = tmp_path_factory.mktemp("pictures")
    for place, name in enumerate(("coffee", "rocket")):
        pixels = np.random.default_rng(place).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{name}.png")
    request = default_request(
        "svd", "mini", frames=4, steps=3, image=str(pictures), seeds=2, width=64, height=64
    )
    return Case("svd", "pretrained", request, parse("fewer_steps:2"), str(tiny_folder))


@pytest.fixture(scope="module")
def run(case, tmp_path_factory):
    """The folder of a run of three candidates, what it told, and what it generated."""
    folder, told, generated = RunFolder(tmp_path_factory.mktemp("run")), [], []
    cases = [
        replace(case, method=method) for method in (Reference(), case.method, OneBlack(1), Idle())
    ]

    class Counting(LocalWorker):
        def generate(self, request, frames=None):
            generated.append((self.session.pipeline, request.image, request.seed))
            return super().generate(request, frames)

    steps = Bench.steps(cases, folder, OPTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.launch.Worker", Counting)
        with Bench(folder, OPTIONS, told.append) as bench:
            bench.run(cases)
    return folder, cases, told, steps, generated


@pytest.fixture(scope="module")
def record(run, case):
    return run[0].record(case)


def test_a_record_keeps_a_row_for_each_input(record, case):
    rows = record.samples["inputs"]
    assert [(row["image"], row["seed"]) for row in rows] == [
        ("coffee.png", 0), ("coffee.png", 1), ("rocket.png", 0), ("rocket.png", 1),
    ]  # fmt: skip
    assert {row["digest"] for row in rows[:2]} == {
        image_digest(f"{case.request.image}/coffee.png", 64, 64)
    }
    assert len({row["scores"]["lpips"] for row in rows}) == 4
    assert all("lpips" not in row["reference"] for row in rows)
    assert record.fingerprint["image"] == image_digest(case.request.image, 64, 64)


def test_quality_is_mean_and_spread_over_the_inputs(record):
    values = [row["scores"]["lpips"] for row in record.samples["inputs"]]
    assert record.metrics["inputs"] == record.reference["inputs"] == 4
    assert record.metrics["lpips"] == pytest.approx(fmean(values), rel=1e-5)
    assert record.metrics["lpips_sd"] == pytest.approx(stdev(values), rel=1e-5)
    assert record.metrics["sanity"] == "ok"


def test_time_is_the_first_inputs(record):
    assert len(record.samples["candidate"]) == len(record.samples["reference"]) == 1


def test_frames_of_each_input_are_kept(run, case):
    folder = run[0]
    for side in (case, replace(case, method=Reference())):
        videos = [folder.frames(side, index) for index in range(4)]
        assert all(video.shape == (4, 64, 64, 3) for video in videos)
        assert all((videos[0] != other).any() for other in videos[1:])


def test_the_reference_makes_its_videos_once(run):
    *_, generated = run
    reference = [asked for asked in generated if asked[0] is generated[0][0]]
    assert len(reference) == 3 + 3, "a pair for each of three candidates, and the other inputs"


def test_progress_tells_every_generation(run):
    _, _, told, steps, generated = run
    failed = [text for text in told if ": failed: " in text]
    assert len(told) - len(failed) == steps
    assert len(generated) == 3 * 2 + 3 + 3 * 3
    assert len(failed) == 1
    assert "input 4 of 4" in "".join(told)


def test_one_ruined_video_is_never_averaged_away(run):
    folder, cases, *_ = run
    found = folder.record(cases[2])
    assert found.metrics["sanity"].startswith("coffee.png, seed 1: black")
    assert found.metrics["sanity"].endswith(", and 1 more of 4 inputs")
    verdict = judge(found, None)
    assert verdict.status == "collapsed"
    assert "this is no video: coffee.png, seed 1: black" in verdict.lines[0]


def test_the_same_video_of_every_input_is_no_effect(run):
    folder, cases, *_ = run
    assert "NoEffectError" in folder.failures()[cases[3].id]


def test_counters_are_checked_for_every_input(case, tmp_path, monkeypatch):
    """A method that is off for the last input alone."""

    class Off(LocalWorker):
        def generate(self, request, frames=None):
            answer = super().generate(request, frames)
            if request.image.endswith("rocket.png") and request.seed == 1:
                answer["counters"]["denoiser_calls"] = 3
            return answer

    monkeypatch.setattr("accel.launch.Worker", Off)
    with Bench(RunFolder(tmp_path), OPTIONS, lambda text: None) as bench:
        bench.run([case])
        assert "denoiser_calls is 3, expected 2" in bench.folder.failures()[case.id]


def test_what_nobody_judges_is_generated_once(case, tmp_path, monkeypatch):
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    unjudged = replace(case, request=replace(case.request, latents_only=True))
    assert Bench.steps([unjudged], RunFolder(tmp_path), OPTIONS) == 8
    with Bench(RunFolder(tmp_path), OPTIONS, lambda text: None) as bench:
        found = bench.measure(unjudged)
    assert found.samples["inputs"] == []
    assert "inputs" not in found.metrics

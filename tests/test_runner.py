"""Whole runs on the tiny pipeline, each worker a real process; planted harm must be caught."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from accel.core import Case, Record
from accel.errors import (
    CaseError,
    InvalidRequestError,
    MissingWeightsError,
    NoEffectError,
    NotSupportedError,
    OutOfMemoryError,
    WorkerDiedError,
    WorkerTimeoutError,
)
from accel.gate import judge
from accel.launch import Options
from accel.methods import parse
from accel.methods.reference import Reference
from accel.models import default_request
from accel.pool import Worker
from accel.prove import costs, videos
from accel.runner import Bench, reference_of
from accel.runs import RunFolder
from tests.local_worker import LocalWorker
from tests.planted import Planted

REQUEST = default_request("svd", "mini", frames=4, steps=3, width=64, height=64)
PAIRS = Options(pairs=2, device="cpu", timeout=120)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """One run folder and one resident reference for all tests of this file."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    with Bench(folder, PAIRS, progress=lambda text: None) as bench:
        yield bench


@pytest.fixture
def case_of(tiny_folder):
    def make(method, request=REQUEST):
        return Case("svd", "pretrained", request, method, str(tiny_folder))

    return make


@pytest.fixture(scope="module")
def record(bench, tiny_folder) -> Record:
    method = parse("int8_weight_only")
    return bench.measure(Case("svd", "pretrained", REQUEST, method, str(tiny_folder)))


def test_a_record_holds_both_sides(record):
    assert record.hardware == "cpu"
    assert record.counters["int8_linears"] > 0
    assert record.counters["denoiser_calls"] == 3
    assert len(record.samples["candidate"]) == len(record.samples["reference"]) == 2
    assert set(record.samples["preparation"]) == {"load", "apply", "warm"}
    assert record.metrics["speedup"] > 0
    assert record.metrics["lpips"] < 0.05
    assert record.reference["speedup"] == 1
    assert "lpips" not in record.reference
    assert record.fingerprint["metrics"]


def test_blocks_of_single_calls_tell_the_speedup(tmp_path, case_of):
    """Of generations with 6 and 3 steps; a call of both takes as long. Decoding is two calls."""
    options = Options(pairs=1, blocks=2, device="cpu", timeout=120)
    request = default_request("svd", "mini", frames=4, steps=6, decode_chunk_size=3)
    case = case_of(parse("fewer_steps:3"), request)
    steps = []
    with Bench(RunFolder(tmp_path), options, steps.append) as bench:
        cases = [case, reference_of(case)]
        total = Bench.steps(cases, bench.folder, options)
        found, _ = bench.run(cases)
    assert [block["rejected"] for block in found.samples["blocks"]] == ["", ""]
    assert found.metrics["speedup_pairs"] == 2
    assert found.metrics["speedup"] > 1
    assert {"composition", "blocks_rejected"} <= found.metrics.keys()
    sample = found.samples["candidate"][0]
    assert {kind.partition("x")[0]: n for kind, n in sample["calls"].items()} == {
        "encode_image": 1, "encode_vae 1": 1, "denoise 2": 3, "decode 3": 1, "decode 1": 1,
    }  # fmt: skip
    assert len(sample["stages"]["decode"]) == 1
    whole = sum(map(sum, sample["stages"].values()))
    assert sample["seconds"] - whole <= sample["between"] < sample["seconds"]
    assert len(steps) == total


def test_fields_that_a_cpu_cannot_give_are_absent(record):
    absent = ("temperature_c", "energy_j", "sm_clock_mhz", "memory.peak.allocated_mib")
    assert not set(absent) & set(record.metrics)
    stages = {"encode_image", "encode_vae", "denoise", "decode", "peak"}
    assert {f"memory.{stage}.rss_mib" for stage in stages} <= set(record.metrics)


def test_stages_sum_to_no_more_than_the_whole(record):
    for sample in record.samples["candidate"]:
        assert sum(sum(times) for times in sample["stages"].values()) <= sample["seconds"]


def test_what_was_measured_is_not_measured_again(bench, record, case_of, monkeypatch, no_worker):
    monkeypatch.setattr(bench, "_resident", lambda case: pytest.fail("a worker was started"))
    assert bench.measure(case_of(parse("int8_weight_only"))) == bench.folder.record(
        case_of(parse("int8_weight_only"))
    )


@pytest.mark.parametrize(
    "defect", [videos.Black(), videos.Grey(), videos.NotFinite(), videos.Frozen()], ids=repr
)
def test_a_broken_video_is_collapsed_with_its_own_message(bench, case_of, defect):
    found = bench.measure(case_of(defect))
    verdict = judge(found, None)
    if defect.name == "frozen" and found.reference["motion_class"] == "static":
        pytest.fail("the tiny reference does not move; nothing can be frozen beside it")
    assert verdict.status == "collapsed"
    collapsed = [check.message for check in verdict.checks if check.status == "collapsed"]
    assert any(defect.name in message for message in collapsed), collapsed


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        (costs.Off(), r"int8_linears is 0, expected \d+"),
        (costs.Twice(), "was the method applied twice"),
        (costs.Idle(), "changes no counter, so nothing shows that it is on"),
        (costs.Copied(), "gives the reference's video and calls itself faithful"),
    ],
    ids=repr,
)
def test_an_acceleration_that_is_none_is_no_effect(bench, case_of, defect, message):
    with pytest.raises(NoEffectError, match=message):
        bench.measure(case_of(defect))


def test_a_run_is_not_resumed_with_other_options(bench, record, case_of):
    other = Bench(bench.folder, Options(pairs=5, device="cpu"), lambda text: None)
    with pytest.raises(InvalidRequestError, match=r"measured with .*'pairs': 2.*choose another"):
        other.measure(case_of(parse("int8_weight_only")))
    with pytest.raises(InvalidRequestError, match="choose another"):
        other.run([case_of(parse("int8_weight_only"))])
    assert bench.folder.failures() == {}, "its record is as good as before"


def test_a_run_is_not_resumed_with_another_picture_of_that_name(tmp_path, case_of, monkeypatch):
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    picture = tmp_path / "picture.png"
    Image.new("RGB", (64, 64), "teal").save(picture)
    case = case_of(parse("fewer_steps:2"), replace(REQUEST, image=str(picture)))
    options = Options(pairs=1, device="cpu")
    with Bench(RunFolder(tmp_path / "run"), options, lambda text: None) as bench:
        first = bench.measure(case)
        assert bench.measure(case).samples == first.samples
        Image.new("RGB", (64, 64), "red").save(picture)
        with pytest.raises(InvalidRequestError, match="is another picture"):
            bench.measure(case)


def test_two_folders_of_weights_are_two_references(bench, record, tiny_folder, tmp_path):
    """Ids do not tell them apart: one run folder refuses to hold both."""
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    case = Case("svd", "pretrained", REQUEST, parse("fewer_steps:1"), str(copy))
    with pytest.raises(InvalidRequestError, match=r"choose another folder for .*copy"):
        bench.measure(case)


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("killed", WorkerDiedError, r"ended with signal 9 during 'apply'"),
        ("hungry", OutOfMemoryError, r"allocate"),
        ("broken", CaseError, r"KeyError: 'no such key'"),
    ],
)
def test_a_failing_worker_fails_its_case_alone(bench, case_of, kind, error, message):
    cases = [case_of(Planted(kind)), case_of(parse("fewer_steps:2"))]
    records = bench.run(cases)
    assert [found.method for found in records] == ["FewerSteps(steps=2)"]
    kept = bench.folder.failures()[cases[0].id]
    assert kept.startswith(error.__name__)
    with pytest.raises(error, match=message):
        bench.measure(cases[0])


def test_a_hung_worker_is_killed(tmp_path, case_of, monkeypatch):
    """Loading may take long, and the edit that hangs may not."""

    class Impatient(Worker):
        def apply(self, method):
            self.timeout = 1 if isinstance(method, Planted) else self.timeout
            return super().apply(method)

    monkeypatch.setattr("accel.launch.Worker", Impatient)
    options = Options(pairs=1, device="cpu", timeout=120)
    with (
        Bench(RunFolder(tmp_path), options, lambda text: None) as bench,
        pytest.raises(WorkerTimeoutError, match=r"no answer to 'apply' in 1 s and was killed"),
    ):
        bench.measure(case_of(Planted("hung")))


def test_a_refusal_says_why(bench, case_of):
    with pytest.raises(NotSupportedError, match="9 steps are not fewer than the request's 3"):
        bench.measure(case_of(parse("fewer_steps:9")))


def test_a_killed_reference_is_started_again(bench, case_of):
    bench._reference.worker._process.kill()
    bench._reference.worker._process.join()
    with pytest.raises(WorkerDiedError):
        bench.measure(case_of(parse("int8_weight_only:torchao")))
    assert bench.measure(case_of(parse("int8_weight_only:torchao"))).counters["int8_linears"] > 0


def test_missing_weights_stop_the_case(tmp_path):
    case = Case("svd", "pretrained", REQUEST, Reference(), str(tmp_path / "nowhere"))
    with (
        Bench(RunFolder(tmp_path / "run"), PAIRS, lambda text: None) as bench,
        pytest.raises(MissingWeightsError, match="nowhere is no Stable Video Diffusion folder"),
    ):
        bench.measure(case)


def test_the_reference_reuses_the_samples_of_its_pairs(bench, case_of):
    reference = bench.measure(case_of(Reference()))
    assert len(reference.samples["candidate"]) >= PAIRS.pairs
    assert reference.metrics["speedup"] == 1
    assert reference.samples["reference"] == []


def test_frames_are_kept_as_they_were_generated(bench, record, case_of):
    video = bench.folder.frames(case_of(parse("int8_weight_only")))
    assert video.shape == (4, 64, 64, 3)
    assert video.dtype == np.float32
    assert Path(bench.folder.frames_path(case_of(Reference()))).exists()

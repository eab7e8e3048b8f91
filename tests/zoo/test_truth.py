"""The command that measures methods beside the true clips, on a random pipeline of toy width."""

import json
from contextlib import redirect_stdout
from io import StringIO
from math import isnan

import numpy as np
import pytest

from accel.baselines import read
from accel.core import Case
from accel.methods import parse
from accel.metrics.fidelity import lpips
from accel.models import default_request
from accel.models.images import image_array, pictures
from accel.runs import RunFolder
from accel.zoo import truth
from tests.local_worker import LocalWorker


@pytest.fixture(scope="module")
def local():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.launch.Worker", LocalWorker)
        yield


def lines_of(printed):
    return [json.loads(line) for line in printed.splitlines()]


def asked(tiny, out, *methods):
    where = ["--path", tiny, "--device", "cpu", "--out", out]
    request = ["--clips", 2, "--frames", 3, "--steps", 3]
    return [str(word) for word in (*methods, *where, *request)]


METHODS = ("fewer_steps:2", "lcm:2,weights={}/student.safetensors", "lcm:3")


@pytest.fixture(scope="module")
def ran(tiny_folder, tmp_path_factory, local):
    """Run folder, words, exit code and lines; lcm:3 has no student."""
    out = tmp_path_factory.mktemp("truth") / "run"
    words = asked(tiny_folder, out, *(method.format(tiny_folder) for method in METHODS))
    with redirect_stdout(StringIO()) as printed:
        code = truth.main(words)
    return out, words, code, lines_of(printed.getvalue())


@pytest.fixture
def told(ran, capsys, no_worker):
    """The lines of the same command again, which measures nothing that is there."""
    _, words, _, _ = ran
    truth.main([word for word in words if word != "lcm:3"])
    return lines_of(capsys.readouterr().out)


def test_a_method_that_fails_fails_the_command(ran):
    _, _, code, lines = ran
    assert code == 1
    assert lines[0]["method"] == "lcm:3"
    assert (
        "NotSupportedError: lcm refuses this pipeline: these weights are no student's"
        in (lines[0]["error"])
    )
    assert lines[-1]["failed"] == ["lcm:3"]


def test_measuring_again_tells_the_same_and_starts_no_worker(ran, told):
    *_, lines = ran
    assert told[:-1] == lines[1:-1]


def test_the_reference_comes_first_and_is_measured_unasked(told, tiny_folder):
    methods = [line["method"] for line in told if "method" in line]
    assert methods == ["reference", *(m.format(tiny_folder) for m in METHODS[:2])]
    assert told[0]["motion_share"] == 1
    assert told[0]["lpips_above_reference"] == [0, 0, 0]


def test_the_bounds_that_the_methods_allow_are_told(told):
    asked_for = [line["bound"].split(" is ")[-1] for line in told if "bound" in line]
    assert len(asked_for) == 2
    assert asked_for[0].startswith("nearer to the true clip than fewer_steps:2")
    missed = [line["bound"] for line in told if "bound" in line and not line["holds"]]
    assert told[-1] == {"missed": missed, "failed": []}


def test_lpips_to_the_truth_is_that_of_the_kept_videos(ran, told):
    out, *_ = ran
    true = truth.videos(truth.held_out(2, 3, bucket=truth.BUCKET))
    kept = sorted((out / "frames").rglob("fewer_steps-2@*.npy"), key=lambda p: p.stem[-2:] == ".1")
    values = [lpips(np.load(p).astype(np.float32), v) for p, v in zip(kept, true, strict=True)]
    assert told[1]["lpips_to_truth"] == pytest.approx(np.mean(values), abs=1e-4)


def test_other_scenes_are_another_case(ran, tiny_folder, no_worker):
    out, *_ = ran
    (path,) = (out / "records").rglob("fewer_steps-2@*.json")
    assert read(path).case.endswith("-imageheld_out_2x3")


def test_the_pictures_are_the_first_frames_in_the_order_of_the_clips(tmp_path):
    true = truth.scenes(12, 2, tmp_path / "scenes")
    found = [image_array(image, 128, 128) for image in pictures(str(tmp_path / "scenes"))]
    assert len(found) == 12
    for own, clip in zip(found, true, strict=True):
        assert np.abs(own - clip[0]).max() < 0.5001 / 255


def test_a_video_that_is_not_finite_has_no_score(ran, tiny_folder, monkeypatch):
    out, *_ = ran
    run = RunFolder(out)
    request = default_request("svd", "pretrained", image=str(out / "held_out_2x3"), frames=3)
    case = Case("svd", "pretrained", request, parse("fewer_steps:2"))
    (path,) = (out / "records").rglob("fewer_steps-2@*.json")
    record = read(path)
    del record.samples["inputs"][0]["scores"]["clip"]
    broken = np.full((3, 128, 128, 3), np.nan, np.float32)
    monkeypatch.setattr(run, "frames", lambda case, place: broken)
    true = truth.videos(truth.held_out(2, 3, bucket=truth.BUCKET))
    scores = truth.found_of("fewer_steps:2", case, record, true, run).scores
    assert isnan(scores["clip"][0])
    assert np.isnan(scores["lpips_to_truth"]).all()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["lcm:4", "--clips", "1"], "--clips is 1; a spread needs at least 2"),
        (["lcm:4", "--frames", "1"], "frames is 1; it must be at least 2"),
        (["lcn:4"], "unknown method 'lcn'"),
        (["lcm:4", "--path", "nowhere"], "nowhere has no model_index.json"),
    ],
)
def test_what_cannot_be_measured_leaves_no_folder(words, error, tmp_path, capsys, no_worker):
    out = tmp_path / "run"
    assert truth.main([*words, "--device", "cpu", "--out", str(out)]) == 2
    assert error in capsys.readouterr().err
    assert not out.exists()

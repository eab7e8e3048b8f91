"""Which cases are measured where nobody names methods, and what is said of the others."""

from pathlib import Path

import pytest

from accel.__main__ import parser
from accel.cases import cases_of
from accel.errors import InvalidRequestError, MissingWeightsError
from accel.methods import parse
from accel.models import default_request
from accel.standard import standard


@pytest.fixture(autouse=True)
def _a_gpu(monkeypatch):
    monkeypatch.setattr("accel.cases.gpu_count", lambda: 1)


def chosen(*words):
    """The slugs of the cases of `accel bench svd-xt`."""
    options = parser().parse_args(["bench", "svd-xt", *words])
    return {case.method.slug for case in cases_of(options)}


WHOLE = {parse(text).slug for text in standard("svd-xt", "untrained", on_gpu=True)}
KEYS = {"keyframes-9", "keyframes-13"}
BY_SEVEN = {slug for slug in WHOLE if "keyframes" in slug} - KEYS
FEWER = {"fewer_steps-15", "fewer_steps-10", "sampler-ays"}


@pytest.mark.parametrize(
    ("words", "left_out", "why"),
    [
        ("--steps 10", FEWER, "fewer_steps:15 (15 steps are not fewer than the request's 10)"),
        ("--steps 4", FEWER | {"fewer_steps-4"}, "sampler:ays (10 steps take 10 denoiser calls"),
        ("--frames 14", KEYS | BY_SEVEN, "keyframes:9 (9 key frames do not divide 14 frames"),
        ("--frames 13", KEYS, "keyframes:13 (13 key frames do not divide 13 frames"),
        ("--max-guidance 1", {"guidance_interval"}, "guidance_interval (max_guidance 1.0 guides"),
    ],
)
def test_what_does_not_fit_the_request_is_left_out_and_named(words, left_out, why, capsys):
    assert chosen("--weights", "untrained", *words.split()) == WHOLE - left_out
    line = capsys.readouterr().out
    assert line.startswith("left out, for they do not fit the request: ")
    assert line.count("\n") == 1
    assert why in line


def test_of_the_default_request_nothing_is_left_out(capsys):
    assert chosen("--weights", "untrained") == WHOLE
    assert not capsys.readouterr().out


def test_methods_that_are_named_are_not_left_out(capsys):
    words = ("--weights", "untrained", "--steps", "10", "--methods", "fewer_steps:15")
    assert chosen(*words) == {"reference", "fewer_steps-15"}
    assert not capsys.readouterr().out


def test_what_wants_a_file_is_named_with_the_remedy(capsys):
    found = chosen("--weights", "pretrained")
    line = capsys.readouterr().out
    told = line.removeprefix("left out, for their weights are not shipped: ").partition(";")[0]
    assert {"distilled", "lcm:4", "tiny_vae"} <= set(told.split(", "))
    assert {parse(text).slug for text in told.split(", ")} == WHOLE - found
    assert "--student AnimateLCM-SVD-xt.safetensors" in line


def test_with_its_files_nothing_is_left_out(tmp_path, capsys):
    files = [tmp_path / "student.safetensors", tmp_path / "decoder.pth"]
    for file in files:
        file.touch()
    options = ("--student", str(files[0]), "--tiny-decoder", str(files[1]))
    assert len(chosen("--weights", "pretrained", *options)) == len(WHOLE)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--weights pretrained --student nowhere", "'nowhere' is not there; give the path"),
        ("--weights pretrained --student=", "'' is not there; give the path"),
        ("--weights mini --student a+b", "'a.b' cannot be a word of a .* under a plainer name"),
        ("--weights mini --student 5", "'5' cannot be a word of a method's text"),
        ("--weights untrained --student x", "untrained weights take no file; leave out --student"),
        ("--tiny-decoder x --methods tiny_vae", "leave out --tiny-decoder"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a+b", "5"):
        Path(name).touch()
    with pytest.raises((InvalidRequestError, MissingWeightsError), match=message):
        chosen(*words.split())


def test_a_model_without_the_table_takes_no_file():
    options = parser().parse_args(["bench", "svd", "--student", "x"])
    with pytest.raises(InvalidRequestError, match="of svd takes no file; leave out --student"):
        cases_of(options)


def test_a_chain_is_unfit_where_a_part_is_after_those_before_it():
    request = default_request("svd-xt", "untrained")
    assert parse("fewer_steps:10+keyframes:7").unfit(request) is None
    assert "guides no step" in parse("lcm:4+guidance_interval").unfit(request)

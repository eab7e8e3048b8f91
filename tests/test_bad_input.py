"""Bad input to the command line: one line, exit code 2, nothing begun and nothing lost."""

import json
import re
from dataclasses import asdict

import pytest
from PIL import Image

from accel.__main__ import main
from accel.baselines import write_file
from accel.errors import MissingWeightsError
from accel.metrics import lpips_net
from accel.models import default_request
from tests.asking import CASE, GROUP, asked, committed, record_path
from tests.examples import on_cpu
from tests.fake_nvml import install


@pytest.fixture
def run(tmp_path):
    """A run folder with the record of one case."""
    request = default_request("svd", "mini", frames=7, steps=3)
    found = on_cpu(case=CASE, group=GROUP, method="FewerSteps(steps=2)", request=asdict(request))
    write_file(found, record_path(tmp_path / "run"))
    return tmp_path / "run"


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused command prints."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert re.fullmatch(r"accel: \w+Error: [^\n]+\n", printed.err), printed.err
    return printed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--size 100x64", "width 100 is not a multiple of 8 up to 8192; try 96 or 104"),
        ("--size 0x64", "width 0 is not a multiple of 8 up to 8192; try 8 or 16"),
        ("--size 64x8000000", "height 8000000 is not a multiple of 8 up to 8192; try 8184 or 8192"),
        ("--size abc", "--size 'abc' is not WxH in pixels, as in 1024x576"),
        ("--size 128", "--size '128' is not WxH"),
        ("--size ²x64", "--size '²x64' is not WxH"),
        ("--steps 0", "steps is 0; it must be at least 1"),
        ("--frames 0", "frames is 0; it must be at least 2"),
        ("--fps 0", "fps is 0.0; it must be above 0"),
        ("--motion-bucket 300", "motion_bucket 300 is outside 1 to 255"),
        ("--pairs 0", "--pairs is 0; it must be at least 1"),
        ("--blocks -1", "--blocks is -1; it must be 0 or more"),
        ("--timeout 0", "--timeout is 0; give seconds above 0, and at most 86400"),
        ("--timeout nan", "--timeout is nan; give seconds above 0"),
        ("--vram-cap 16", "--vram-cap 16 caps the memory of a GPU, and the run is on a CPU"),
        ("--vram-cap 0", "--vram-cap is 0; give GiB above 0, as in 8, 16 or 24"),
        ("--vram-cap nan", "--vram-cap is nan; give GiB above 0"),
        ("--methods fewer_step:2", "unknown method 'fewer_step'; did you mean 'fewer_steps'?"),
        ("--methods fewer_steps", "missing 1 required positional argument: 'steps'"),
        ("--methods fewer_steps:0", "fewer_steps: steps is 0; give 1 or more"),
        ("--methods fewer_steps:2+fewer_steps:1", "a chain takes two or more different methods"),
        ("--methods int8_weight_only:torchoa", "did you mean 'torchao'?"),
        ("--methods torch_compile:true", "unknown mode of torch.compile 'True'"),
        ("--methods torch_compile:max_autotune", "did you mean 'max-autotune'?"),
        ("--methods keyframes:1", "keyframes: keys is 1; give 2 or more"),
        ("--weights minni", "unknown weights 'minni'; did you mean 'mini'?"),
        ("--weights mini", "goes with --weights pretrained, not with mini"),
        ("--clip ViT-B-31:openai", "unknown CLIP model 'ViT-B-31'; did you mean"),
        ("--image cofee", "unknown photograph 'cofee'; did you mean 'coffee'?"),
        ("--image no/such.jpg", "image 'no/such.jpg' does not exist"),
        ("--image=", "the image has no name; give a bundled photograph or a path"),
        (f"--image {'a' * 300}", "cannot be opened: File name too long; give another path"),
        ("--images no/such", "image 'no/such' does not exist"),
        ("--seeds 0", "seeds is 0; it must be at least 1"),
    ],
)
def test_a_bad_value(words, message, tiny_folder, tmp_path, capsys, no_worker):
    out = tmp_path / "run"
    assert message in refused([*asked(tiny_folder, out), *words.split()], capsys)
    assert not list(out.rglob("*.json"))


def test_the_nearest_model(tiny_folder, tmp_path, capsys):
    arguments = asked(tiny_folder, tmp_path / "run")
    arguments[1] = "svd_xt"
    assert "unknown model 'svd_xt'; did you mean 'svd-xt'?" in refused(arguments, capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words", ["--methods", "--steps many", "--device tpu", "--bogus", "--out=", "--clip mini:foo"]
)
def test_what_argparse_refuses(words, tiny_folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*asked(tiny_folder, tmp_path / "run"), *words.split()])
    assert stopped.value.code == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["bench", "refresh", "compare --base HEAD --head ."])
def test_a_size_that_the_mini_models_cannot_halve(command, tmp_path, capsys, no_worker):
    name, *more = command.split()
    words = [name, "svd", "--size", "136x128", "--device", "cpu", "--out", str(tmp_path / "run")]
    line = refused([*words, *more], capsys)
    assert "width 136 is not a multiple of 32, which this UNet needs; try 128 or 160" in line
    assert not (tmp_path / "run").exists()


def test_no_gpu(tiny_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("accel.cases.gpu_count", lambda: 0)
    line = refused(asked(tiny_folder, tmp_path / "run", "--device", "cuda"), capsys)
    assert "--device cuda: NVML finds no GPU here; choose --device cpu" in line


def test_a_text_is_not_an_image(tiny_folder, tmp_path, capsys):
    picture = tmp_path / "picture.jpg"
    picture.write_text("not an image")
    line = refused(asked(tiny_folder, tmp_path / "run", "--image", picture), capsys)
    assert "picture.jpg is not an image; give a JPEG, PNG or WebP" in line
    assert not (tmp_path / "run").exists()


def test_one_pixel_is_no_picture(tiny_folder, tmp_path, capsys):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    line = refused(asked(tiny_folder, tmp_path / "run", "--image", tmp_path / "dot.png"), capsys)
    assert "dot.png is 1x1 pixels; give an image of at least 32x32" in line
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written(tiny_folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = refused(asked(tiny_folder, tmp_path / "file" / "run"), capsys)
    assert re.search(r"cannot write to .*file/run: Not a directory; choose another --out", line)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"case": "fe', "not JSON at line 1, column 10"),
        ('{"schema": 99}', "schema 99 found, 1 expected"),
    ],
)
def test_a_broken_baseline(tiny_folder, tmp_path, capsys, content, message):
    """Before anything is measured."""
    path = tmp_path / "baselines" / "cpu" / GROUP / f"{CASE}.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    line = refused(asked(tiny_folder, tmp_path / "run"), capsys)
    assert message in line
    assert "or write it anew with `accel refresh`" in line
    assert not (tmp_path / "run").exists()


def test_a_broken_baseline_of_a_finished_run(run, tmp_path, capsys):
    path = tmp_path / "baselines" / "cpu" / GROUP / f"{CASE}.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    where = [str(run), "--baselines", str(tmp_path / "baselines")]
    (run / "table.md").write_text("of the run")
    for command in ("compare", "report"):
        assert "holds a list, not a record" in refused([command, *where], capsys)
    assert (run / "table.md").read_text() == "of the run"
    committed(run)
    again = ["refresh", "svd", "--from", *where]
    assert "the old baseline cannot be read" in refused(again, capsys)
    assert main([*again, "--reason", "it was broken"]) == 0


def test_missing_weights(tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty has no model_index.json" in refused(asked(empty, tmp_path / "run"), capsys)
    assert not (tmp_path / "run").exists()


def test_missing_metric_weights_stop_the_run_first(
    tiny_folder, tmp_path, capsys, monkeypatch, no_worker
):
    def missing(name):
        raise MissingWeightsError(f"the weights {name!r} are not in x: run `accel fetch`")

    lpips_net.network.cache_clear()
    monkeypatch.setattr(lpips_net, "path_of", missing)
    assert "run `accel fetch`" in refused(asked(tiny_folder, tmp_path / "run"), capsys)
    lpips_net.network.cache_clear()


def test_the_folder_of_another_model(run, tiny_folder, capsys, no_worker):
    arguments = asked(tiny_folder, run)
    arguments[1] = "svd-xt"
    line = refused(arguments, capsys)
    assert "holds records of svd.pretrained; choose another --out for svd-xt.pretrained" in line


def test_the_folder_of_another_device(run, tiny_folder, capsys, no_worker, monkeypatch):
    install(monkeypatch)
    form = json.loads(record_path(run).read_text())
    form["run"]["path"] = str(tiny_folder)
    record_path(run).write_text(json.dumps(form))
    line = refused(asked(tiny_folder, run, "--device", "cuda"), capsys)
    told = "was measured on cpu; choose another --out for nvidia-h200, or --device cpu"
    assert told in line


def test_two_pictures_of_one_name_are_not_mixed_up(run, tiny_folder, tmp_path, capsys, no_worker):
    path = record_path(run)
    form = json.loads(path.read_text())
    form["request"]["image"] = "elsewhere/coffee"
    path.write_text(json.dumps(form))
    line = refused(asked(tiny_folder, run), capsys)
    assert "was measured with image 'elsewhere/coffee', not 'coffee'" in line


def test_a_corrupt_record_says_to_delete_it(run, tiny_folder, capsys, no_worker):
    record_path(run).write_text("")
    line = refused(asked(tiny_folder, run), capsys)
    assert "not JSON" in line
    assert "delete it, and the case is measured again" in line


@pytest.mark.parametrize("command", ["compare", "report", "refresh svd --from"])
def test_a_folder_without_a_run(command, tmp_path, capsys):
    nowhere = tmp_path / "nowhere"
    line = refused([*command.split(), str(nowhere)], capsys)
    assert "no records in" in line
    assert not nowhere.exists()


def test_a_record_of_another_accel(run, capsys):
    path = record_path(run)
    form = json.loads(path.read_text())
    form["request"]["colour"] = "blue"
    path.write_text(json.dumps(form))
    line = refused(["report", str(run)], capsys)
    assert "is of another accel" in line
    assert path.stem in line


def test_a_picture_of_a_set_that_is_none_is_named(tiny_folder, tmp_path, capsys):
    (tmp_path / "set").mkdir()
    line = refused(asked(tiny_folder, tmp_path / "run", "--images", tmp_path / "set"), capsys)
    assert "set holds no picture; put JPEG, PNG or WebP files there" in line
    (tmp_path / "set" / "text.png").write_text("not an image")
    line = refused(asked(tiny_folder, tmp_path / "run", "--images", tmp_path / "set"), capsys)
    assert "text.png is not an image" in line


def test_one_image_and_a_set_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "svd", "--image", "coffee", "--images", "bundled"])
    assert stopped.value.code == 2
    assert "--images: not allowed with argument --image" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--images bundled", "--seeds 2"])
def test_untrained_weights_have_no_quality_to_look_at_twice(tmp_path, capsys, words):
    base = ["bench", "svd", "--weights", "untrained", "--out", str(tmp_path / "run")]
    line = refused([*base, *words.split()], capsys)
    assert "inputs are for quality, and untrained weights have none; give one --image" in line

"""What doctor finds on this machine, and what it says of the things that are not there."""

import shutil

import pytest
from rich.console import Console

from accel import doctor
from accel.__main__ import main
from accel.doctor import Finding, examine, findings
from accel.models import MODELS


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub cache that is empty, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    return tmp_path


def by_name(found):
    return {finding.what: finding for finding in found}


def test_what_works_here():
    found = by_name(findings())
    assert {"python", "torch", "GPU", "C compiler", "lpips-alexnet weights"} <= set(found)
    for name in ("torch", "diffusers", "mini svd weights", "mini clip weights"):
        assert found[name].state == "ok", found[name]


def test_weights_that_were_not_fetched(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    finding = by_name(findings())["lpips-alexnet weights"]
    assert finding.state == "missing"
    assert "run `accel fetch`" in finding.detail
    clip = by_name(findings())["bikes"]
    assert clip.state == "absent"
    assert "run `accel fetch bikes`" in clip.detail
    assert main(["doctor"]) == 1


def test_shipped_weights_that_are_gone(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "ZOO", tmp_path)
    found = by_name(findings())
    assert found["mini svd weights"].state == "missing"
    assert "python -m accel.zoo.train_unet" in found["mini svd weights"].detail
    assert "python -m accel.zoo.train_clip" in found["mini clip weights"].detail


@pytest.mark.parametrize("part", doctor.WEIGHTY)
def test_shipped_weights_that_lack_a_part(monkeypatch, tmp_path, part):
    shutil.copytree(doctor.ZOO, tmp_path / "zoo")
    next((tmp_path / "zoo" / "svd" / part).glob("*.safetensors")).unlink()
    monkeypatch.setattr(doctor, "ZOO", tmp_path / "zoo")
    found = by_name(findings())
    assert found["mini svd weights"].state == "missing"
    assert f"{part} has no weights" in found["mini svd weights"].detail
    assert found["mini clip weights"].state == "ok"


def test_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    assert by_name(findings())["no-such-package"] == Finding(
        "no-such-package", "missing", "pip install no-such-package"
    )


def test_a_torch_that_does_not_load(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    found = by_name(findings())["GPU"]
    assert (found.state, found.detail[:20]) == ("missing", "torch does not load:")


def test_no_compiler(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert by_name(findings())["C compiler"].state == "absent"


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("absent", 0), ("missing", 1)])
def test_the_exit_code_and_text_in_brackets(monkeypatch, state, code, capsys):
    """Details are paths and messages: nothing in them is a style of rich."""
    found = [Finding("thing", state, "in [/tmp/x] [red]")]
    monkeypatch.setattr(doctor, "findings", lambda: iter(found))
    assert examine(False, Console(width=80)) == code
    assert "in [/tmp/x] [red]" in capsys.readouterr().out


def test_pretrained_weights_that_are_not_here(no_hub):
    found = by_name(doctor._pretrained())
    assert set(found) == {f"{name} pretrained" for name in MODELS}
    for model in MODELS.values():
        finding = found[f"{model.name} pretrained"]
        assert finding.state == "absent"
        for words in (
            f"get *.json, *.fp16.safetensors of {model.hub} at revision {model.revision[:12]}",
            "no token: run `hf auth login`",
            "copy a folder in the diffusers layout here and say --path FOLDER",
        ):
            assert words in finding.detail


def test_pretrained_weights_in_the_hubs_cache(no_hub):
    """Whole they are found; of half a download only the folder is there."""
    model = MODELS["svd"]
    folder = no_hub / f"models--{model.hub.replace('/', '--')}" / "snapshots" / model.revision
    for part in doctor.WEIGHTY:
        assert by_name(doctor._pretrained())["svd pretrained"].state == "absent"
        (folder / part).mkdir(parents=True)
        (folder / part / "model.fp16.safetensors").touch()
    (folder / "model_index.json").touch()
    assert by_name(doctor._pretrained())["svd pretrained"] == Finding(
        "svd pretrained", "ok", str(folder)
    )


def test_the_command(no_hub, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "findings", lambda: iter([]))
    assert main(["doctor", "--pretrained"]) == 0
    assert "svd-xt" in capsys.readouterr().out

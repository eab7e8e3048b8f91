"""The weights of a case are known by what is in their files, whatever the files are called."""

import json
import os
from dataclasses import replace
from hashlib import sha256

import pytest
import torch
from safetensors.torch import load_file

from accel.core import Case
from accel.errors import MissingWeightsError
from accel.methods import parse
from accel.models import default_request, students
from accel.models.checksums import checksums
from accel.models.sources import MINI
from tests.tiny import save_tiny

REQUEST = default_request("svd", "mini")
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


def case_of(folder, method="reference", weights="pretrained"):
    return Case("svd", weights, REQUEST, parse(method), folder and str(folder))


@pytest.fixture
def folder(tmp_path):
    return save_tiny(tmp_path / "svd")


def test_every_part_that_is_loaded_is_known(folder):
    found = checksums(case_of(folder))
    assert sorted(found) == [
        "feature_extractor/preprocessor_config.json",
        "image_encoder/config.json", "image_encoder/model.fp16.safetensors",
        "scheduler/scheduler_config.json",
        "unet/config.json", UNET,
        "vae/config.json", "vae/diffusion_pytorch_model.fp16.safetensors",
    ]  # fmt: skip
    assert found[UNET] == sha256((folder / UNET).read_bytes()).hexdigest()


def test_every_shard_is_known(tmp_path):
    whole = checksums(case_of(save_tiny(tmp_path, shard="200KB")))
    shards = [name for name in whole if name.startswith("unet/diff")]
    assert len(shards) == len([*tmp_path.glob("unet/*.safetensors")]) > 1


def test_one_bit_makes_other_weights(folder):
    before, path = checksums(case_of(folder)), folder / UNET
    content, state = bytearray(path.read_bytes()), path.stat()
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    after = checksums(case_of(folder))
    assert {name for name in before if before[name] != after[name]} == {UNET}


def test_what_is_not_read_makes_no_other_weights(folder):
    before = checksums(case_of(folder))
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"in full")
    (folder / "unet" / "notes.txt").write_text("mine")
    path = folder / "scheduler" / "scheduler_config.json"
    form = json.loads(path.read_text())
    path.write_text(json.dumps({**form, "_diffusers_version": "9.9"}))
    assert checksums(case_of(folder)) == before
    path.write_text(json.dumps({**form, "sigma_max": 80.0}))
    assert checksums(case_of(folder)) != before


def test_the_full_variant_is_what_is_read_where_there_are_no_halves(tmp_path):
    found = checksums(case_of(save_tiny(tmp_path, variant=None)))
    assert "unet/diffusion_pytorch_model.safetensors" in found


def test_pickles_are_known_where_they_are_read(folder):
    unet = folder / UNET
    torch.save(load_file(unet), unet.with_name("diffusion_pytorch_model.bin"))
    unet.unlink()
    assert "unet/diffusion_pytorch_model.bin" in checksums(case_of(folder))


@pytest.mark.parametrize(
    ("method", "name", "file"),
    [
        ("lcm:4,weights={}", "student", "student"),
        ("distilled:weights={}", "student", "student"),
        ("semi_structured:tuned=true,weights={}", "tuned", "tuned"),
        ("tiny_vae:weights={}", "tiny decoder", "tuned"),
        ("lcm:4,weights={}+int8_weight_only", "student", "student"),
    ],
)
def test_files_that_a_method_brings_are_known(folder, method, name, file):
    path = folder / f"{file}.safetensors"
    case = case_of(folder, method.format(path))
    found = checksums(case)
    assert found[name] == sha256(path.read_bytes()).hexdigest()
    assert found.keys() - checksums(case_of(folder)).keys() == {name}
    path.unlink()
    with pytest.raises(MissingWeightsError, match=rf"{file}.safetensors cannot be read"):
        checksums(case)


def test_mini_weights_are_known(tmp_path, monkeypatch):
    found = checksums(case_of(None, weights="mini"))
    assert found[UNET] == sha256((MINI / UNET).read_bytes()).hexdigest()
    monkeypatch.setattr(students, "ZOO", tmp_path)
    shipped = tmp_path / students.MINI
    shipped.parent.mkdir()
    shipped.write_bytes(b"low rank")
    found = checksums(case_of(None, "lcm:4", "mini"))
    assert found["student"] == sha256(b"low rank").hexdigest()


def test_untrained_weights_have_no_file():
    case = case_of(None, "lcm:4", "untrained")
    assert checksums(case) == {}
    assert checksums(replace(case, method=parse("semi_structured:tuned=true"))) == {}

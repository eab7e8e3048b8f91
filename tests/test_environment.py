"""The fingerprint is whole and JSON-ready; process-wide state is put back."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from accel import environment
from accel.environment import (
    fingerprint,
    hardware_slug,
    run_identity,
)
from accel.errors import InvalidRequestError


def test_the_import_takes_no_torch():
    code = "import sys, accel.environment, accel.telemetry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fingerprint_of_a_cpu_goes_through_json():
    found = fingerprint("cpu")
    assert json.loads(json.dumps(found)) == found
    assert found["hardware"] == "cpu"
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert "gpu" not in found
    assert found["cpu"]


def test_what_is_not_installed_is_absent(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package-anywhere"))
    versions = fingerprint("cpu")["versions"]
    assert versions["numpy"] == np.__version__
    assert "no-such-package-anywhere" not in versions


def test_the_allocator_is_told_when_it_is_set(monkeypatch):
    for name in environment.ALLOCATOR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert "allocator" not in fingerprint("cpu")
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    assert fingerprint("cpu")["allocator"] == {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}


def test_fingerprint_of_a_gpu(monkeypatch):
    class Properties:
        name, uuid, total_memory, major, minor = "NVIDIA H200", "ab-12", 139 * 2**30, 9, 0

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    monkeypatch.setattr(environment, "driver_version", lambda: None)
    found = fingerprint("cuda:0")
    assert found["hardware"] == "nvidia-h200"
    gpu = {"name": "NVIDIA H200", "uuid": "GPU-ab-12", "memory_mib": 142336, "capability": "9.0"}
    assert found["gpu"] == gpu


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "cuda:x"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(InvalidRequestError, match=rf"{device}.*choose cpu"):
        fingerprint(device)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("NVIDIA H200", "nvidia-h200"),
        ("NVIDIA A100-SXM4-80GB", "nvidia-a100-sxm4-80gb"),
        (" NVIDIA GeForce RTX 4060 Ti ", "nvidia-geforce-rtx-4060-ti"),
    ],
)
def test_hardware_slug(name, slug):
    assert hardware_slug(name) == slug


def test_hardware_without_a_name_is_refused():
    with pytest.raises(InvalidRequestError, match="no letter or digit"):
        hardware_slug(" - ")


def test_run_identities_sort_by_time_and_differ():
    first, second = run_identity(), run_identity()
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}", first["run"])
    assert first["run"] != second["run"]
    assert first["run"][:19] <= second["run"][:19]


def test_the_boot_id_is_absent_where_the_kernel_tells_none(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "BOOT_ID", tmp_path / "boot_id")
    assert "boot" not in run_identity()
    (tmp_path / "boot_id").write_text("3f2a\n")
    assert run_identity()["boot"] == "3f2a"


def test_git_is_told_for_a_checkout_alone(tmp_path):
    assert environment._git(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert environment._git(tmp_path) is None
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "start"], check=True)
    clean = environment._git(tmp_path)
    assert clean is not None
    assert re.fullmatch(r"[0-9a-f]{40}", clean["commit"])
    assert clean["dirty"] is False
    (tmp_path / "accel").mkdir()
    (tmp_path / "accel" / "new.py").write_text("")
    assert environment._git(tmp_path) == clean | {"dirty": True}


def test_only_what_git_tracks_and_new_code_make_a_tree_dirty(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for name in ("baselines/case.json", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "start"], check=True)
    (tmp_path / "baselines" / "case.json").write_text("new")
    (tmp_path / "baselines" / "other.json").write_text("new")
    (tmp_path / "notes.txt").write_text("of nobody's")
    assert environment._git(tmp_path)["dirty"] is False
    (tmp_path / "README.md").write_text("new")
    assert environment._git(tmp_path)["dirty"] is True


def test_this_accel_is_a_tree_and_no_package():
    assert not environment.is_installed()
    assert environment.source() == fingerprint("cpu")["source"]


def test_the_source_is_known_by_its_content(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    first = environment._source(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    assert environment._source(tmp_path) == first
    (tmp_path / "a.py").write_text("x = 2\n")
    assert environment._source(tmp_path) != first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({first, environment._source(tmp_path)}) == 2
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert len({first, environment._source(tmp_path)}) == 2
    assert re.fullmatch("[0-9a-f]{64}", first)

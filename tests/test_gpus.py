"""Which GPUs a process may use, on machines that a fake NVML describes."""

import subprocess
import sys

import pytest

from accel import gpus
from accel.plugin import gpu_count
from tests.fake_nvml import install

A, B, C = "GPU-aa11", "GPU-ab22", "GPU-cc33"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    install(monkeypatch, (A, B, C))


def test_all_are_visible():
    assert gpus.visible() == (A, B, C)
    assert gpu_count() == 3


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("2,0", (C, A)),
        (f" {B} , 0", (B, A)),
        ("GPU-c", (C,)),
        ("MIG-12", ("MIG-12",)),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("1,3,0", (B,)),
        ("1,-1,0", (B,)),
        ("GPU-a,2", ()),
        ("GPU-zz", ()),
        ("0,0", ()),
        (f"0,{A}", ()),
    ],
)
def test_the_environment_chooses_as_it_does_for_cuda(monkeypatch, asked, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
    assert gpus.visible() == found


def test_without_a_driver_there_is_none(monkeypatch):
    install(monkeypatch, None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-12")
    assert gpus.visible() == ()
    assert gpus.taken_by(None) is None


@pytest.mark.parametrize(
    ("device", "gpu"), [(None, C), ("cuda", C), ("cuda:1", A), ("cuda:2", None), ("cpu", None)]
)
def test_what_a_worker_takes(monkeypatch, device, gpu):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert gpus.taken_by(device) == gpu


def test_no_torch_is_imported():
    code = "import sys, accel.gpus as g; g.visible(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

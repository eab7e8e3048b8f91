"""Two processes and one GPU: the second one is told who has it, and death frees it."""

import errno
import os
import re
import stat
import subprocess
import sys

import pytest

from accel import lock
from accel.__main__ import main
from accel.core import Case
from accel.errors import GpuBusyError, InvalidRequestError, OutputError
from accel.launch import Options
from accel.lock import GpuLock, hold
from accel.methods import parse
from accel.models import default_request
from accel.runner import Bench
from accel.runs import RunFolder
from tests.asking import asked
from tests.fake_nvml import GPUS, install
from tests.local_worker import LocalWorker

GPU, OTHER, _ = GPUS

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from accel import lock
lock.FOLDER = Path(sys.argv[1])
file = lock.hold(sys.argv[2])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Locks of this test alone, on a machine that seems to have GPUs."""
    monkeypatch.setattr(lock, "FOLDER", tmp_path)
    install(monkeypatch)
    return tmp_path


@pytest.fixture
def holder(folder):
    """A process that holds the GPU, and has a child of its own."""
    command = [sys.executable, "-c", HOLDER, str(folder), GPU]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_process_is_told_who_holds_the_gpu(holder):
    with pytest.raises(GpuBusyError) as raised:
        hold(GPU)
    held = rf"{GPU} is held by pid {holder.pid}: .*python.* {GPU}; wait for its end, or choose"
    assert re.match(held, str(raised.value))
    hold(OTHER).close()


def test_a_killed_holder_frees_it(holder):
    """Its child lives on for a while, as an orphaned worker does."""
    with pytest.raises(GpuBusyError):
        hold(GPU)
    holder.kill()
    holder.wait()
    with hold(GPU), pytest.raises(GpuBusyError, match=f"pid {os.getpid()}:"):
        hold(GPU)


def test_it_is_free_after_release_and_can_be_taken_twice():
    mine = GpuLock("cuda")
    mine.take()
    mine.take()
    with pytest.raises(GpuBusyError, match=f"pid {os.getpid()}:"):
        GpuLock(None).take()
    mine.release()
    mine.release()
    hold(GPU).close()


def test_a_cpu_is_not_locked(folder):
    GpuLock("cpu").take()
    assert list(folder.iterdir()) == []


def test_a_shorter_name_leaves_nothing_of_the_longer_one(folder):
    (folder / f"accel-{GPU}.lock").write_text("pid 1: " + "long " * 100)
    with hold(GPU), pytest.raises(GpuBusyError) as raised:
        hold(GPU)
    assert "long" not in str(raised.value)


def test_a_drive_that_locks_nothing_is_told(folder, monkeypatch):
    def refuse(*asked):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OutputError, match=r"cannot lock .*: No locks available; choose"):
        hold(GPU)


def test_other_users_may_take_it_whatever_the_umask(folder):
    before = os.umask(0o077)
    try:
        hold(GPU).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / f"accel-{GPU}.lock").stat().st_mode) == 0o666


def test_a_link_in_its_place_is_not_followed(folder):
    (folder / "precious").write_text("kept")
    (folder / f"accel-{GPU}.lock").symlink_to(folder / "precious")
    with pytest.raises(OutputError, match=rf"cannot open .*accel-{GPU}\.lock.*make it a plain"):
        hold(GPU)
    assert (folder / "precious").read_text() == "kept"


def test_a_worker_on_another_gpu_than_the_locked_one():
    mine = GpuLock("cuda")
    mine.take()
    mine.check(GPU)
    mine.check(None)
    with pytest.raises(InvalidRequestError, match=f"runs on {OTHER}, and {GPU} is locked; set"):
        mine.check(OTHER)
    mine.release()
    mine.check(OTHER)


def test_a_bench_starts_no_worker_on_a_busy_gpu(
    holder, tmp_path, tiny_folder, no_worker, clean_tree, capsys
):
    arguments = asked(tiny_folder, tmp_path / "run", "--device", "cuda")
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert re.match(f"accel: GpuBusyError: {GPU} is held by pid {holder.pid}", printed.err)
    assert main(asked(tiny_folder, tmp_path / "b", "--device", "cuda", command="refresh")) == 2
    assert "GpuBusyError" in capsys.readouterr().err
    assert RunFolder(tmp_path / "run").failures() == {}


def test_a_bench_holds_it_until_it_is_closed(tmp_path, tiny_folder, monkeypatch):
    """With the worker on the CPU, for there is no GPU."""
    monkeypatch.setattr(
        "accel.launch.Worker", lambda log, timeout, device, start: LocalWorker(log, timeout, "cpu")
    )
    request = default_request("svd", "mini", frames=4, steps=3)
    case = Case("svd", "pretrained", request, parse("fewer_steps:2"), str(tiny_folder))
    options = Options(pairs=1, device="cuda")
    with Bench(RunFolder(tmp_path / "run"), options, lambda text: None) as bench:
        hold(GPU).close()
        bench.measure(case)
        bench._end_reference()
        with pytest.raises(GpuBusyError):
            hold(GPU)
    hold(GPU).close()

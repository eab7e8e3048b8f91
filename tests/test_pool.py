"""What workers are forked from."""

import subprocess
import sys

import pytest

from accel.pool import PRELOADED, Worker

SPY = """
import importlib, sys, torch
def spy(*arguments):
    sys.exit("CUDA was started")
torch._C._cuda_getDeviceCount = torch.cuda._lazy_init = spy
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def imported(*names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SPY, *names], capture_output=True, text=True, check=False
    )


def test_what_is_imported_before_the_fork_starts_no_cuda():
    """A process forked from one that has started CUDA cannot use it."""
    done = imported(*PRELOADED)
    assert done.returncode == 0, done.stderr


def test_torchao_would_start_it():
    assert "CUDA was started" in imported("torchao").stderr


def test_an_interrupted_question_ends_the_worker(tmp_path, monkeypatch):
    """Its answer would else be taken for that of the next question."""

    class Interrupted:
        def __init__(self, pipe):
            self.send_bytes, self.close = pipe.send_bytes, pipe.close

        def poll(self, timeout):
            raise KeyboardInterrupt

    with Worker(tmp_path / "log", 60.0, "cpu") as worker:
        monkeypatch.setattr(worker, "_pipe", Interrupted(worker._pipe))
        with pytest.raises(KeyboardInterrupt):
            worker.warm()
        assert not worker.alive

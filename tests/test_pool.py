"""What workers are forked from."""

import subprocess
import sys

from accel.pool import PRELOADED

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

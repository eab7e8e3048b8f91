"""Ctrl-C and other signals to the process that measures: workers end with it, records stay."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from accel.__main__ import main
from accel.fetch import cache_folder
from tests.asking import GROUP, asked
from tests.local_worker import LocalWorker
from tests.test_faults import DONE, REFERENCE, SMALL, STRUCK, assert_sound, measured, records

__all__ = ["measured"]
"""A fixture, which pytest takes from here."""

CACHE = cache_folder()
"""Of this machine: pytester moves the home folder."""

PATIENCE = 200
"""Seconds that a moment may take to come."""

Moment = Callable[[Path], bool]


def loading(run: Path) -> bool:
    return bool(list(run.glob("logs/*.log")))


def generating(run: Path) -> bool:
    return bool(list(run.glob(f"frames/{GROUP}/reference*.npy")))


def reporting(run: Path) -> bool:
    return STRUCK in records(run)


def in_session(leader: int) -> list[int]:
    """Processes of the session that `leader` began, zombies excepted."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(session) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


def wait(until: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, f"no {what} in {PATIENCE} s"
        time.sleep(0.005)


def struck(command: list[str], at: Callable[[], bool], number: int, group: bool) -> tuple[int, str]:
    """Exit code and stderr of a process that gets a signal at a moment, alone or with all it began.

    It may be interrupted, even if whoever runs the tests may not (a shell's background job), and
    finds no git: a refresh may not be refused for changes of this tree. No process of it is left.
    """
    command = ["env", "--default-signal=INT", "PATH=/", *command]
    process = subprocess.Popen(
        command, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait(lambda: at() or process.poll() is not None, "moment")
    assert process.poll() is None, process.communicate()
    (os.killpg if group else os.kill)(process.pid, number)
    printed = process.communicate()[1]
    wait(lambda: not in_session(process.pid), "end of all its processes")
    return process.returncode, printed


@pytest.mark.parametrize(
    ("word", "moment", "number", "group", "code", "says"),
    [
        ("refresh", loading, signal.SIGINT, True, 130, "interrupted"),
        ("bench", generating, signal.SIGTERM, False, 143, "terminated"),
        ("bench", generating, signal.SIGKILL, False, -9, ""),
        ("bench", reporting, signal.SIGINT, True, 130, "interrupted"),
    ],
)
def test_a_signal(
    word, moment, number, group, code, says, measured, tiny_folder, tmp_path, monkeypatch
):
    """A killed parent can say nothing, and its workers end nevertheless. No refresh accepts half a
    run."""
    moments = shutil.ignore_patterns("frames", "logs")  # what appears there tells the moment
    run = shutil.copytree(measured, tmp_path / "run", ignore=moments)
    command = asked(tiny_folder, run, *SMALL, "--methods", "fewer_steps:2", "fewer_steps:1")
    before = records(run)
    whole = [sys.executable, "-m", "accel", word, *command[1:]]
    returned, printed = struck(whole, lambda: moment(run), number, group)
    assert not (tmp_path / "baselines").exists()
    assert returned == code, printed
    assert not says or f"accel: {says}; the same command with --out resumes it" in printed
    during = records(run)
    assert during.items() >= before.items()
    assert not (run / "failures.json").exists()
    if says:
        assert_sound(run)
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    assert main(command) == 0
    after = records(run)
    assert after.items() >= during.items()
    assert set(after) == {REFERENCE, DONE, STRUCK}
    assert_sound(run)


STOPPED = """
import os, signal, sys, time
from pathlib import Path
from accel.pool import Worker

if __name__ == "__main__":
    log = Path(sys.argv[1])
    worker = Worker(log, 60.0, "cpu")
    while Path(f"/proc/{worker.pid}/fd/1").readlink() != log:  # it is not at work yet
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGSTOP)
    log.with_name("stopped").touch()
    time.sleep(600)
"""


def test_a_worker_that_is_stopped_ends_with_a_killed_parent(tmp_path):
    """It cannot see the end of its pipe."""
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    command = [sys.executable, str(script), str(tmp_path / "log")]
    code, printed = struck(command, (tmp_path / "stopped").exists, signal.SIGKILL, False)
    assert code == -signal.SIGKILL, printed


GATES = """
    from accel.methods import parse

    SMALL = dict(weights="pretrained", path={path!r}, width=64, height=64, frames=2, steps=3)

    def test_first(gate):
        gate.check(parse("fewer_steps:2"), **SMALL)

    def test_second(gate):
        gate.check(parse("fewer_steps:1"), **SMALL)
"""


def test_interrupted_gates_keep_their_records(pytester, tiny_folder, monkeypatch):
    """pytest's exit code for it is 2, and the next run goes on."""
    monkeypatch.setenv("ACCEL_CACHE", str(CACHE))
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    pytester.makepyfile(GATES.format(path=str(tiny_folder)))
    options = ["--accel-out=kept", "--allow-inconclusive"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]

    def second() -> bool:
        return bool(list(pytester.path.glob(f"kept/cpu-*/logs/*{STRUCK}.log")))

    code, printed = struck(command, second, signal.SIGINT, True)
    assert code == 2, printed
    (run,) = pytester.path.glob("kept/cpu-*")
    before = records(run)
    assert set(before) == {DONE}
    assert_sound(run)
    pytester.runpytest_inprocess(*options).assert_outcomes(passed=2)
    assert records(run)[DONE] == before[DONE]
    assert set(records(run)) == {DONE, STRUCK}

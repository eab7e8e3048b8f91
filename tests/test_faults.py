"""What may befall a run: whole commands, real workers, and harm done to them at a chosen moment.

Each time: the exit code, the reason and the remedy; what was measured before is untouched, nothing
is half written, no worker is left; and the same command measures what is missing, and no more.
"""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accel.__main__ import main
from accel.baselines import read
from accel.methods import modules_of
from accel.pool import Worker
from tests.asking import GROUP, asked
from tests.local_worker import LocalWorker
from tests.planted import Planted

SMALL = ("--size", "64x64", "--frames", "2", "--timeout", "200")
REQUEST = "64x64x2-s3"
REFERENCE, DONE, STRUCK = (
    f"{method}@{REQUEST}" for method in ("reference", "fewer_steps-2", "fewer_steps-1")
)
Arguments = dict[str, Any]
Blow = Callable[[Worker, Arguments], object]


@pytest.fixture(scope="module")
def measured(tiny_folder, tmp_path_factory):
    """A run of two cases; read only."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.launch.Worker", LocalWorker)
        assert main(asked(tiny_folder, folder, *SMALL)) == 0
    return folder


@pytest.fixture
def run(measured, tmp_path):
    """A copy of it, to which a third case is added."""
    return shutil.copytree(measured, tmp_path / "run")


@pytest.fixture
def command(run, tiny_folder):
    return asked(tiny_folder, run, *SMALL, "--methods", "fewer_steps:2", "fewer_steps:1")


@pytest.fixture
def strike(monkeypatch):
    """Deal a blow to the third case's worker, a real one, as it is asked for a verb."""

    def plan(verb: str, blow: Blow) -> None:
        class Struck(Worker):
            def _ask(self, asked, **arguments):
                if asked == verb:
                    blow(self, arguments)
                return super()._ask(asked, **arguments)

        def start(log, *rest):
            return (Struck if STRUCK in log.name else LocalWorker)(log, *rest)

        monkeypatch.setattr("accel.launch.Worker", start)

    return plan


def records(run: Path) -> dict[str, bytes]:
    """Every record, which can be read, by its case."""
    found = {path.stem: path for path in (run / "records" / GROUP).glob("*.json")}
    assert all(read(path).case == case for case, path in found.items())
    return {case: path.read_bytes() for case, path in found.items()}


def assert_sound(run: Path) -> None:
    """Nothing is half written, and no worker is left."""
    for path in run.rglob("*.json"):
        json.loads(path.read_text())
    drafts = ("*.part", ".*.draft", ".writing-*", ".writable")
    assert [path for pattern in drafts for path in run.rglob(pattern)] == []
    assert workers_of(run.parent) == []


def workers_of(folder: Path) -> list[int]:
    """Processes begun here that print into a log below the folder; other tests have theirs."""
    children = [child.pid for child in multiprocessing.active_children()]
    return [pid for pid in children if Path(f"/proc/{pid}/fd/1").readlink().is_relative_to(folder)]


def assert_resumes(command: list[str], run: Path, before: dict[str, bytes], monkeypatch) -> None:
    """The same command measures what is missing, and leaves what was there."""
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    assert main(command) == 0
    after = records(run)
    assert set(after) == {REFERENCE, DONE, STRUCK}
    assert {case: after[case] for case in before} == before
    assert (
        not (run / "failures.json").exists()
        or json.loads((run / "failures.json").read_text()) == {}
    )
    assert_sound(run)


def busy(worker: Worker) -> float:
    """CPU seconds of its process so far."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def kill_at_work(worker: Worker, arguments: Arguments) -> None:
    """SIGKILL, as soon as it has worked on its answer for a while."""
    before = busy(worker)

    def wait() -> None:
        while busy(worker) < before + 0.03:
            time.sleep(0.001)
        os.kill(worker.pid, signal.SIGKILL)

    threading.Thread(target=wait).start()


def stop(worker: Worker, arguments: Arguments) -> None:
    """It hangs, and the time limit is a short one from now on."""
    assert worker.timeout == 200
    worker.timeout = 1
    os.kill(worker.pid, signal.SIGSTOP)


def starve(worker: Worker, arguments: Arguments) -> None:
    """Its method takes more memory than there is."""
    planted = Planted("hungry")
    arguments |= {"method": repr(planted), "modules": modules_of(planted)}


def fill_disk(worker: Worker, arguments: Arguments) -> None:
    """Where its frames go there is no room."""
    Path(arguments["frames"]).with_suffix(f".{worker.pid}.part").symlink_to("/dev/full")


KILLED = "WorkerDiedError: the worker ended with signal 9 during {!r}, as the kernel ends it where"
HUNG = "WorkerTimeoutError: the worker gave no answer to 'generate' in 1 s and was killed; if it"
HUNGRY = "OutOfMemoryError: .*; ask for less: --size"


@pytest.mark.parametrize(
    ("verb", "blow", "reason"),
    [
        ("load", kill_at_work, KILLED.format("load")),
        ("generate", kill_at_work, KILLED.format("generate")),
        ("generate", stop, HUNG),
        ("apply", starve, HUNGRY),
    ],
    ids=["killed loading", "killed generating", "hung", "out of memory"],
)
def test_a_worker_that_fails(verb, blow, reason, strike, command, run, capsys, monkeypatch):
    before = records(run)
    strike(verb, blow)
    assert main(command) == 1
    ((case, why),) = json.loads((run / "failures.json").read_text()).items()
    assert case == STRUCK
    assert re.match(reason, why)
    again = f"accel: the same command with --out {run} measures again what failed"
    assert again in capsys.readouterr().err
    assert f"{STRUCK}: {reason[:15]}" in (run / "table.md").read_text()
    assert records(run) == before
    assert_sound(run)
    assert_resumes(command, run, before, monkeypatch)


# a folder that takes no more


def stopped(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of a run that ends at once."""
    assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("accel: OutputError: ")
    return line


FULL = "No space left on device; make its folder writable, free some space, or choose another"


def test_no_room_for_frames(strike, command, run, capsys, monkeypatch):
    before = records(run)
    strike("generate", fill_disk)
    line = stopped(command, capsys)
    assert f"cannot write {run}/frames/{GROUP}/{STRUCK}.npy: " in line
    assert FULL in line
    assert records(run) == before
    assert_sound(run)
    assert_resumes(command, run, before, monkeypatch)


def test_no_room_for_a_record(command, run, capsys, monkeypatch):
    before = records(run)
    draft = run / "records" / GROUP / f".{os.getpid()}-0.draft"
    draft.symlink_to("/dev/full")
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    assert f"cannot write {run}/records/{GROUP}/{STRUCK}.json: {FULL}" in stopped(command, capsys)
    assert records(run) == before
    assert_sound(run)
    assert_resumes(command, run, before, monkeypatch)


def test_no_room_for_a_failure(strike, command, run, capsys, monkeypatch):
    before = records(run)
    (run / "failures.part").symlink_to("/dev/full")
    strike("apply", starve)
    assert f"cannot write {run}/failures.json: {FULL}" in stopped(command, capsys)
    assert records(run) == before
    assert_sound(run)
    assert_resumes(command, run, before, monkeypatch)


SHORT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000));"
MAIN = "import sys; from accel.__main__ import main; sys.exit(main(sys.argv[1:]))"


def test_no_room_for_the_report(run, tiny_folder):
    """Every file ends at 4000 bytes, in a process of its own."""
    before, sheet = records(run), (run / "contact.png").read_bytes()
    command = asked(tiny_folder, run, *SMALL)
    done = subprocess.run(
        [sys.executable, "-c", SHORT + MAIN, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert re.search(r"OutputError: cannot write .*: File too large; choose another", done.stderr)
    assert records(run) == before
    assert (run / "contact.png").read_bytes() == sheet
    assert_sound(run)
    assert main(command) == 0


def test_a_folder_that_is_deleted(strike, command, run, capsys, monkeypatch):
    strike("generate", lambda worker, arguments: shutil.rmtree(run))
    told = f"{run} was deleted or moved while it was measured into; the same command measures anew"
    assert told in stopped(command, capsys)
    assert not run.exists()
    assert_resumes(command, run, {}, monkeypatch)


def test_a_folder_that_is_moved(strike, command, run, tmp_path, capsys, monkeypatch):
    before, moved = records(run), tmp_path / "moved"
    strike("warm", lambda worker, arguments: run.rename(moved))
    assert "was deleted or moved" in stopped(command, capsys)
    assert not run.exists()
    assert records(moved) == before
    assert_sound(moved)
    moved.rename(run)
    assert_resumes(command, run, before, monkeypatch)


def test_a_second_run_in_the_folder(strike, command, run):
    """It is refused, by whoever measures there already, which goes on undisturbed."""
    told = []

    def second(worker: Worker, arguments: Arguments) -> None:
        other = [sys.executable, "-m", "accel", *command]
        told.append(subprocess.run(other, capture_output=True, text=True, check=False))

    before = records(run)
    strike("generate", second)
    assert main(command) == 0
    (done,) = told
    assert done.returncode == 2
    holder = rf"accel: OutputError: {run} is measured into by pid {os.getpid()}: .*; wait for its"
    assert re.search(holder, done.stderr)
    after = records(run)
    assert set(after) == {REFERENCE, DONE, STRUCK}
    assert {case: after[case] for case in before} == before
    assert_sound(run)

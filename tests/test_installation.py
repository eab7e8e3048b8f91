"""Workers of another accel: of a commit, of the working tree, of a virtual environment."""

import subprocess
import sys
from pathlib import Path

import pytest

from accel.core import Case
from accel.errors import InvalidRequestError, MissingWeightsError, WorkerDiedError
from accel.installation import installation
from accel.methods.reference import Reference
from accel.models import default_request
from accel.pool import PROTOCOL, Worker

STUB = """
import json
def serve(pipe, log, device):
    while True:
        assert json.loads(pipe.recv_bytes()) == {"verb": "warm"}
        pipe.send_bytes(b'{"ok": {"seconds": %s}}')
"""


def git(*arguments):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two commits, whose workers warm up in 1 and 2 seconds; uncommitted it is 3."""
    root = tmp_path / "repository"
    (root / "accel").mkdir(parents=True)
    monkeypatch.chdir(root)
    git("init", "-q")
    (root / "accel" / "__init__.py").touch()
    (root / "accel" / "pool.py").write_text(f"PROTOCOL = {PROTOCOL}")
    for seconds in (1, 2, 3):
        (root / "accel" / "worker.py").write_text(STUB % seconds)
        if seconds < 3:
            git("add", "-A")
            git("commit", "-qm", str(seconds))
    return root


def warm(text, folder):
    """What a worker of that installation says, from a folder of logs."""
    with Worker(
        folder / "log", 60, "cpu", installation(text, folder / "checkouts").start
    ) as worker:
        return worker.warm()


@pytest.mark.parametrize(("text", "seconds"), [("HEAD~1", 1), ("HEAD", 2), (".", 3)])
def test_each_commit_answers_for_itself(repository, tmp_path, text, seconds):
    assert warm(text, tmp_path) == seconds


def test_a_checkout_that_was_cut_off_is_mended(repository, tmp_path):
    sha = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    (tmp_path / "checkouts" / f"{sha}.partial").mkdir(parents=True)
    assert warm("HEAD", tmp_path) == warm("HEAD", tmp_path) == 2
    assert [path.name for path in (tmp_path / "checkouts").iterdir()] == [sha]


def test_a_virtual_environment_runs_the_accel_that_is_installed_in_it(tmp_path):
    found = installation(sys.prefix, tmp_path)
    assert found.python.parent == Path(sys.prefix) / "bin"
    case = Case("svd", "pretrained", default_request("svd", "mini"), Reference(), str(tmp_path))
    with (
        Worker(tmp_path / "log", 120, "cpu", found.start) as worker,
        pytest.raises(MissingWeightsError, match="it lacks feature_extractor"),
    ):
        worker.load(case)


def test_an_accel_without_a_worker_dies_with_its_reason(repository, tmp_path):
    (repository / "accel" / "worker.py").unlink()
    with pytest.raises(WorkerDiedError, match=r"repository has no accel\.worker"):
        warm(".", tmp_path)


def test_an_accel_of_another_protocol_says_so(repository, tmp_path):
    (repository / "accel" / "pool.py").write_text("")
    with pytest.raises(WorkerDiedError, match="speaks protocol 1, and the accel that asks"):
        warm(".", tmp_path)


@pytest.mark.parametrize("text", ["v99", "no/such/folder"])
def test_what_is_neither_is_refused_with_the_choices(repository, tmp_path, text):
    with pytest.raises(InvalidRequestError, match=f"'{text}' is neither a virtual environment"):
        installation(text, tmp_path)


def test_outside_a_repository_git_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InvalidRequestError, match="not a git repository"):
        installation("HEAD", tmp_path)

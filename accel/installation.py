"""Another accel to compare with: a commit of this repository, or another virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from accel.errors import InvalidRequestError
from accel.pool import PROTOCOL

__all__ = ["Installation", "Interpreter", "installation"]

SERVE = """
import sys
from multiprocessing.connection import Connection
from accel import pool, worker
fd, log, device, source, protocol = sys.argv[1:]
if not worker.__file__.startswith(source):
    sys.exit(f"{source} has no accel.worker; found was {worker.__file__}")
if str(own := getattr(pool, "PROTOCOL", 1)) != protocol:
    sys.exit(f"{worker.__file__} speaks protocol {own}, and the accel that asks {protocol}")
worker.serve(Connection(int(fd)), log, device)
"""
"""A worker of any accel that has one; it needs no entry point of its own.

An editable installation would lend a checkout the modules that it lacks.
"""


@dataclass(frozen=True)
class Installation:
    """An interpreter, and the folder that its accel is imported from; None: where it is installed.

    name: what verdicts call it.
    """

    name: str
    python: Path
    source: Path | None = None

    def start(self, log: Path, device: str) -> tuple[Connection, Interpreter]:
        """A worker's process, and our end of its pipe."""
        ours, theirs = Pipe()
        source = "" if self.source is None else str(self.source)
        with theirs, log.open("ab") as output:
            arguments = [str(theirs.fileno()), str(log), device, source, str(PROTOCOL)]
            process = subprocess.Popen(
                [str(self.python), "-c", SERVE, *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": source},
                cwd=log.parent,  # not a folder that has an accel of its own
            )
        return ours, Interpreter(process)


class Interpreter:
    """A subprocess with the few words of multiprocessing's processes that accel.pool uses."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def exitcode(self) -> int | None:
        return self._process.returncode

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def join(self) -> None:
        self._process.wait()


def installation(text: str, checkouts: Path) -> Installation:
    """What `text` names: a virtual environment's folder, or else a commit of the repository here.

    A commit runs in this interpreter, from a copy of its `accel` folder below `checkouts`; its
    uncommitted changes are not in it. "." is the working tree as it is.

    Raises InvalidRequestError for anything else.
    """
    python = Path(text) / "bin" / "python"
    if python.is_file():
        return Installation(text, python.absolute())
    if text == ".":
        return Installation(
            "the working tree",
            Path(sys.executable),
            Path(_git("rev-parse", "--show-toplevel").decode().strip()),
        )
    sha = _git("rev-parse", "--verify", "--quiet", f"{text}^{{commit}}", of=text).decode().strip()
    source = checkouts / sha
    if not source.is_dir():
        _extract(sha, source)
    return Installation(f"{text} ({sha[:10]})", Path(sys.executable), source)


def _extract(sha: str, folder: Path) -> None:
    """Whole or not there: what is cut off leaves a `.partial` folder, and the next one mends it."""
    partial = folder.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=BytesIO(_git("archive", sha, "accel", of=sha))) as archive:
        archive.extractall(partial, filter="data")
    partial.rename(folder)


def _git(*arguments: str, of: str = ".") -> bytes:
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip() or "git knows no such commit"
        raise InvalidRequestError(
            f"{of!r} is neither a virtual environment (it has no bin/python) nor a commit of the "
            f"repository here ({why}); give a folder, a commit, or . for the working tree"
        )
    return done.stdout

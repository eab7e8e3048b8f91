"""What git knows of a baseline: its record at each commit that changed it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from accel.baselines import loads
from accel.core import Record
from accel.errors import BaselineError, InvalidRequestError

__all__ = ["WORKING_TREE", "Point", "check_repository", "history", "is_shallow"]

WORKING_TREE = "working tree"


@dataclass(frozen=True)
class Point:
    """A baseline at one commit (its short name) of a day (ISO), or in the working tree, of none.

    record: None where there is none to be read; problem: why.
    """

    commit: str
    date: str
    record: Record | None
    problem: str = ""


def check_repository(root: Path) -> None:
    """Raises InvalidRequestError if the folder is not inside of a git repository."""
    if not root.is_dir():
        raise InvalidRequestError(f"there is no folder {root}; name it with --baselines")
    try:
        done = _git(root, "rev-parse", "--is-inside-work-tree")
    except FileNotFoundError as error:
        raise InvalidRequestError("git is not installed here, and it keeps the history") from error
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise InvalidRequestError(
            f"{root} is in no git repository ({why}), so that it has no history; give --baselines "
            "a folder that is under version control"
        )


def is_shallow(root: Path) -> bool:
    """Whether the clone lacks older commits, so that histories are cut off."""
    return _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"


def history(path: Path) -> list[Point]:
    """The baseline at each commit that changed it, the oldest first; at last as it is, if changed.

    A file that was removed for a while has a point without a record there. Renamed files are other
    cases. Raises InvalidRequestError as `check_repository` does, or if git cannot tell.
    """
    check_repository(path.parent)
    points = [_point(path, *entry) for entry in reversed(_commits(path))]
    changed = _told(path, "status", "--porcelain", "--", path.name).strip()
    if path.exists() and (changed or not points):
        points.append(_read(WORKING_TREE, "", path.read_bytes()))
    return points


def _commits(path: Path) -> list[tuple[str, str, str]]:
    """Short name, day and status (A, M or D) of each commit that changed the file, newest first."""
    if _git(path.parent, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        return []  # nothing was committed yet
    form = "--format=%x00%h %cs"
    told = _told(path, "log", form, "--name-status", "--no-renames", "--", path.name).decode()
    entries = (entry.split() for entry in told.split("\0") if entry)
    # a merge that is like neither parent has no status
    return [(commit, day, rest[0] if rest else "M") for commit, day, *rest in entries]


def _point(path: Path, commit: str, date: str, status: str) -> Point:
    if status == "D":
        return Point(commit, date, None, "removed")
    return _read(commit, date, _told(path, "show", f"{commit}:./{path.name}"))


def _read(commit: str, date: str, content: bytes) -> Point:
    try:
        return Point(commit, date, loads(content))
    except BaselineError as error:
        return Point(commit, date, None, f"not readable: {error}")


def _told(path: Path, *arguments: str) -> bytes:
    """What git says, in the file's folder."""
    done = _git(path.parent, *arguments)
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise InvalidRequestError(f"git {arguments[0]} of {path} failed: {why}")
    return done.stdout


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)

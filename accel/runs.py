"""The run folder: everything a run leaves, found again when it is resumed.

<folder>/records/<group>/<case id>.json    measured cases
<folder>/frames/<group>/<case id>.npy      float16 [T, H, W, 3], of judged cases
<folder>/frames/<group>/<case id>.<n>.npy  ... of further inputs, n from 1
<folder>/failures.json                     cases that failed, with their errors
<folder>/logs/                             what the workers printed

Several processes may share a folder, each as a `part` of the run: a record stands for itself, but
frames are scored against the reference of the same process, so that each part has its own
`frames-<part>` and `logs-<part>`. Files appear whole, and failures are changed under a lock.
Whoever measures holds its part, so that two runs cannot take each other's frames for their own.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from accel import baselines
from accel.core import Case, Record
from accel.errors import AccelError, BaselineError, OutputError, cannot_write
from accel.identity import same_method
from accel.lock import claim

__all__ = ["RunFolder", "default_folder"]

RESUME = "delete it, and the case is measured again"


def default_folder(group: str) -> Path:
    """`runs/<time>-<group>`: a new folder below the working directory."""
    return Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{group}"


class RunFolder:
    """Opens or creates the folder. Raises OutputError if it cannot be written to.

    part: name of this process among several that share the folder.
    """

    def __init__(self, path: Path, part: str = "") -> None:
        self.path, self.part = path, part
        suffix = f"-{part}" if part else ""
        self._frames, self._logs = f"frames{suffix}", f"logs{suffix}"
        self._lock = path / f"measuring{suffix}.lock"
        self._held: BinaryIO | None = None
        try:
            for name in ("records", self._frames, self._logs):
                (path / name).mkdir(parents=True, exist_ok=True)
            probe = path / ".writable"
            probe.touch()
            probe.unlink(missing_ok=True)  # another process may probe at the same time
        except OSError as error:
            raise OutputError(
                f"cannot write to {path}: {error.strerror or error}; choose another --out"
            ) from error

    def hold(self) -> None:
        """Measure into this part from now on, alone; what a killed run left half is removed.

        Raises OutputError naming the process that measures into it already.
        """
        if self._held is not None:
            return
        try:
            file = self._lock.open("a+b", buffering=0)
        except OSError as error:
            raise cannot_write(self._lock, error) from error
        if holder := claim(file):
            raise OutputError(
                f"{self.path} is measured into by {holder}; wait for its end, or choose another "
                "--out"
            )
        self._held = file
        self._sweep()

    def release(self) -> None:
        """Let others measure into this part; call it when no worker writes into it any more."""
        if self._held is not None:
            if self._is_there(self._held):
                self._sweep()
            self._held.close()
            self._held = None

    def check(self) -> None:
        """Raises OutputError if the folder was deleted or moved since it is held."""
        if self._held is not None and not self._is_there(self._held):
            raise OutputError(
                f"{self.path} was deleted or moved while it was measured into; the same command "
                "measures anew what is no longer there"
            )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Where the folder has vanished, that is the reason of whatever went wrong in the block."""
        try:
            yield
        except (AccelError, OSError):
            self.check()
            raise

    def _is_there(self, lock: BinaryIO) -> bool:
        """Whether the lock that is held still lies in the folder, and no other one."""
        try:
            return os.path.samestat(self._lock.stat(), os.fstat(lock.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _sweep(self) -> None:
        for draft in (self.path / self._frames).rglob("*.part"):
            draft.unlink(missing_ok=True)

    def record(self, case: Case) -> Record | None:
        """What was measured of the case before, or None.

        Raises BaselineError if it cannot be read, or is of another request, method, weights
        folder or cap: ids are short, and two pictures of one file name share theirs.
        """
        path = self._record_path(case)
        if not path.exists():
            return None
        found = baselines.read(path, RESUME)
        kept = {name: found.run.get(name) for name in ("path", "vram_cap")}
        before = {**found.full_request, "method": found.method, **kept}
        method = found.method if same_method(found, case.method) else repr(case.method)
        given = {"path": case.path, "vram_cap": case.vram_cap}
        now_asked = {**asdict(case.request), "method": method, **given}
        for name, now in now_asked.items():
            if before.get(name) != now:
                raise BaselineError(
                    f"{path} was measured with {name} {before.get(name)!r}, not {now!r}; choose "
                    f"another folder, or {RESUME}"
                )
        return found

    def records(self, cases: Sequence[Case]) -> list[Record]:
        """The records that exist, in the order of the cases."""
        return [record for case in cases if (record := self.record(case))]

    def all_records(self) -> list[Record]:
        """Every record, whatever its case. Errors as `record`."""
        found = sorted((self.path / "records").glob("*/*.json"))
        return [baselines.read(path, RESUME) for path in found]

    def write(self, case: Case, record: Record) -> None:
        """Keep a record; the case's earlier failure is forgotten.

        Raises OutputError if it cannot be written, or the folder is no longer there.
        """
        self.check()
        baselines.write_file(record, self._record_path(case))
        if case.id in self.failures():
            with self._changing_failures() as failures:
                failures.pop(case.id, None)

    def frames_path(self, case: Case, index: int = 0) -> Path:
        """Where this part of the run writes a video. index: of the input, from 0.

        Raises OutputError as `check` does.
        """
        self.check()
        name = f"{case.id}.{index}.npy" if index else f"{case.id}.npy"
        path = self.path / self._frames / case.group / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def kept_frames(self, case: Case) -> Path | None:
        """The first input's video's file, whichever part wrote it, or None."""
        return next(iter(sorted(self.path.glob(f"frames*/{case.group}/{case.id}.npy"))), None)

    def frames(self, case: Case, index: int = 0) -> NDArray[np.float32]:
        """The video of a judged case: [T, H, W, 3], nominally in [0, 1], perhaps not finite."""
        video: NDArray[np.float16] = np.load(self.frames_path(case, index), allow_pickle=False)
        return video.astype(np.float32)

    def log(self, case: Case) -> Path:
        return self.path / self._logs / f"{case.group}.{case.id}.log"

    def failures(self) -> dict[str, str]:
        """Case id -> error of every case that failed and was not measured since."""
        path = self.path / "failures.json"
        try:
            return dict(json.loads(path.read_text())) if path.exists() else {}
        except (ValueError, TypeError) as error:
            raise BaselineError(f"{path}: no JSON object: {error}; delete it") from error

    def fail(self, case: Case, error: str) -> None:
        """Keep the error of a case. Raises OutputError if it cannot be written."""
        with self._changing_failures() as failures:
            failures[case.id] = error

    def _record_path(self, case: Case) -> Path:
        return self.path / "records" / case.group / f"{case.id}.json"

    @contextmanager
    def _changing_failures(self) -> Iterator[dict[str, str]]:
        """The failures, to be changed in place; other processes wait until they are written."""
        path = self.path / "failures.json"
        draft = path.with_suffix(".part")
        try:
            with path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                failures = self.failures()
                yield failures
                try:
                    draft.write_text(json.dumps(failures, indent=2, sort_keys=True) + "\n")
                    draft.replace(path)
                finally:
                    draft.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error

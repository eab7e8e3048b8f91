"""The run folder: everything a run leaves, found again when it is resumed.

<folder>/records/<group>/<case id>.json    measured cases
<folder>/frames/<group>/<case id>.npy      float16 [T, H, W, 3], of judged cases
<folder>/frames/<group>/<case id>.<n>.npy  ... of further inputs, n from 1
<folder>/failures.json                     cases that failed, with their errors
<folder>/logs/                             what the workers printed

Several processes may share a folder, each as a `part` of the run: a record stands for itself, but
frames are scored against the reference of the same process, so that each part has its own
`frames-<part>` and `logs-<part>`. Files appear whole, and failures are changed under a lock.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel import baselines
from accel.core import Case, Record
from accel.errors import BaselineError, OutputError
from accel.identity import same_method

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
        """Keep a record; the case's earlier failure is forgotten."""
        baselines.write_file(record, self._record_path(case))
        if case.id in self.failures():
            with self._changing_failures() as failures:
                failures.pop(case.id, None)

    def frames_path(self, case: Case, index: int = 0) -> Path:
        """Where this part of the run writes a video. index: of the input, from 0."""
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
        """Keep the error of a case."""
        with self._changing_failures() as failures:
            failures[case.id] = error

    def _record_path(self, case: Case) -> Path:
        return self.path / "records" / case.group / f"{case.id}.json"

    @contextmanager
    def _changing_failures(self) -> Iterator[dict[str, str]]:
        """The failures, to be changed in place; other processes wait until they are written."""
        with (self.path / "failures.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            failures = self.failures()
            yield failures
            draft = self.path / "failures.part"
            draft.write_text(json.dumps(failures, indent=2, sort_keys=True) + "\n")
            draft.replace(self.path / "failures.json")

"""Two accels on one device, which take turns: what did the change between them do to each case?

The base's case is the reference of the head's, M0's too: an upgrade that slows everything alike is
seen here, where the speed-up over M0 stays what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accel import fresh
from accel.core import Case, Record
from accel.environment import run_identity
from accel.errors import AccelError, GpuBusyError, OutputError
from accel.gate import judge
from accel.installation import Installation
from accel.launch import Launcher, Options, Progress, inputs_of, take_turns
from accel.limits import LIMITS, NEAR
from accel.lock import GpuLock
from accel.recording import record_of
from accel.runs import RunFolder
from accel.side import Side
from accel.turns import Block
from accel.verdict import Verdict

__all__ = ["BaseHead"]

BESIDE = {"psnr", "ssim", "lpips", "tof", "motion_ratio"}
"""Metrics of a video beside another one, which the base has none for: NEAR is claimed instead."""

KEPT = tuple(limit for limit in LIMITS if limit.pattern not in BESIDE)


class BaseHead:
    """Measures cases in both; the records go to `base` and `head` below the folder.

    verdicts: of the cases that were measured. failures: the errors of the others, by case id.
    """

    def __init__(
        self,
        base: Installation,
        head: Installation,
        folder: Path,
        options: Options,
        progress: Progress = print,
    ) -> None:
        lock, pids = GpuLock(options.device), set[int]()
        self.options = options
        self.names = {"base": base.name, "head": head.name}
        self._base, self._head = (
            Launcher(RunFolder(folder / name), options, progress, lock, found.start, pids)
            for name, found in (("base", base), ("head", head))
        )
        self.identity = run_identity()
        self.verdicts: list[Verdict] = []
        self.failures: dict[str, str] = {}

    def run(self, cases: Sequence[Case]) -> None:
        """Measure and judge; a case that fails is kept in `failures`, and the others run on.

        Raises GpuBusyError if another run has the GPU, OutputError if no folder takes records.
        """
        try:
            for case in cases:
                try:
                    with self._head.folder.watched():
                        self.verdicts.append(self.measure(case))
                except (GpuBusyError, OutputError):
                    raise
                except AccelError as error:
                    self.failures[case.id] = f"{type(error).__name__}: {error}"
        finally:
            for launcher in (self._base, self._head):
                launcher.release()

    def measure(self, case: Case) -> Verdict:
        """The verdict on the head's case against the base's. Raises the case's AccelError."""
        asked = inputs_of(case)
        if self.options.fresh:
            both = (fresh.Fresh(launcher, case, asked) for launcher in (self._base, self._head))
            return self._judged(*fresh.take_turns(*both), ())
        base = self._base.side(case, asked)
        with base.worker:
            head = self._head.side(case, asked)
            with head.worker:
                blocks = take_turns((self._base, base), (self._head, head))
        return self._judged(base, head, blocks)

    def _judged(self, base: Side, head: Side, blocks: Sequence[Block]) -> Verdict:
        for side in (base, head):
            side.score(base, self.options.clip)
        before, now = self._record(base, base, ()), self._record(head, base, blocks)
        base.folder.write(base.case, before)
        head.folder.write(head.case, now)
        return judge(now, before, (NEAR,), KEPT, against=f"the base, {self.names['base']}")

    def _record(self, side: Side, base: Side, blocks: Sequence[Block]) -> Record:
        run = {**self.identity, **self.names, "options": self.options.lasting}
        return record_of(side, base, base.samples, blocks, run, self.options.clip)

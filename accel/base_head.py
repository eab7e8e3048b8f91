"""Two accels on one device, which take turns: what did the change between them do to each case?

The base's case is the reference of the head's, M0's too: an upgrade that slows everything alike is
seen here, where the speed-up over M0 stays what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accel import turns
from accel.core import Case, Record
from accel.environment import run_identity
from accel.errors import AccelError, GpuBusyError
from accel.gate import judge
from accel.installation import Installation
from accel.launch import Launcher, Options, Progress, inputs_of
from accel.limits import LIMITS, NEAR
from accel.lock import GpuLock
from accel.recording import record_of
from accel.runs import RunFolder
from accel.side import Side
from accel.verdict import Verdict

__all__ = ["BaseHead"]

BESIDE = {"psnr", "ssim", "lpips", "tof", "motion_ratio"}
"""Metrics of a video beside another one, which the base has none for: NEAR is claimed instead."""

KEPT = tuple(limit for limit in LIMITS if limit.pattern not in BESIDE)


@dataclass
class _Pair:
    """What starts the base's and the head's sides."""

    base: Launcher
    head: Launcher


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
        self._launchers = _Pair(
            *(
                Launcher(RunFolder(folder / name), options, progress, lock, found.start, pids)
                for name, found in (("base", base), ("head", head))
            )
        )
        self.identity = run_identity()
        self.verdicts: list[Verdict] = []
        self.failures: dict[str, str] = {}

    def run(self, cases: Sequence[Case]) -> None:
        """Measure and judge; a case that fails is kept in `failures`, and the others run on.

        Raises GpuBusyError if another run has the GPU.
        """
        try:
            for case in cases:
                try:
                    self.verdicts.append(self.measure(case))
                except GpuBusyError:
                    raise
                except AccelError as error:
                    self.failures[case.id] = f"{type(error).__name__}: {error}"
        finally:
            self._launchers.head.lock.release()

    def measure(self, case: Case) -> Verdict:
        """The verdict on the head's case against the base's. Raises the case's AccelError."""
        asked, launchers = inputs_of(case), self._launchers
        base = launchers.base.side(case, asked)
        with base.worker:
            head = launchers.head.side(case, asked)
            with head.worker:
                blocks = self._take_turns(base, head)
        return self._judged(base, head, blocks)

    def _take_turns(self, base: Side, head: Side) -> list[turns.Block]:
        launchers = ((self._launchers.base, base), (self._launchers.head, head))
        for pair in range(self.options.pairs):
            for launcher, side in launchers if pair % 2 == 0 else launchers[::-1]:
                label = f"{side.case.id}: pair {pair + 1} of {self.options.pairs}"
                launcher.generate(side, label)
        most, pids = self.options.blocks, self._launchers.head.pids
        blocks = turns.measure(base, head, most, pids) if most else []
        for launcher, side in launchers:
            launcher.generate_further(side)
        return blocks

    def _judged(self, base: Side, head: Side, blocks: Sequence[turns.Block]) -> Verdict:
        for side in (base, head):
            side.score(base, self.options.clip)
        before, now = self._record(base, base, ()), self._record(head, base, blocks)
        base.folder.write(base.case, before)
        head.folder.write(head.case, now)
        return judge(now, before, (NEAR,), KEPT, against=f"the base, {self.names['base']}")

    def _record(self, side: Side, base: Side, blocks: Sequence[turns.Block]) -> Record:
        options = self.options
        asked = {"pairs": options.pairs, "blocks": options.blocks, "clip": options.clip}
        run: dict[str, Any] = {**self.identity, **self.names, "options": asked}
        return record_of(side, base, base.samples, blocks, run, options.clip)

"""What the pytest plugin's `gate` fixture does: measure a case once, judge it family by family."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from accel import baselines
from accel.compare import judge_of
from accel.core import Case, Method
from accel.errors import AccelError
from accel.launch import Options
from accel.models import default_request
from accel.runner import Bench
from accel.runs import RunFolder
from accel.verdict import Family, Verdict

__all__ = ["Gate"]

FAILING = ("collapsed", "regressed")
UNDECIDED = ("missing", "incomparable", "inconclusive")


class Gate:
    """Cases are measured into `folder` (one that was measured there is not measured again).

    On a CPU one generation of each side is enough, and one of M0 for all methods: seconds are not
    judged there, and quality, counters and memory do not vary. baselines: folder that accepted
    records lie in. part: as of a RunFolder. cold: measure the cold start of methods that compile,
    too. fresh: on a GPU, a process for each generation, one at a time.

    asked: kind ("cpu" or "gpu"), group and id of every case that was asked for. hardware: kind and
    name of what was measured on.
    """

    def __init__(
        self,
        folder: Path,
        baselines: Path,
        pairs: int = 3,
        blocks: int = 0,
        allow_inconclusive: bool = False,
        part: str = "",
        cold: bool = False,
        fresh: bool = False,
    ) -> None:
        self.folder, self.baselines = RunFolder(folder, part), baselines
        self.pairs, self.blocks, self.cold, self.fresh = pairs, blocks, cold, fresh
        self.failing = FAILING if allow_inconclusive else FAILING + UNDECIDED
        self._benches: dict[tuple[str, str | None], Bench] = {}
        self._verdicts: dict[tuple[str, Case], Verdict | AccelError] = {}
        self.asked: set[tuple[str, str, str]] = set()
        self.hardware: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and free the GPU until the next case is measured."""
        for bench in self._benches.values():
            bench.close()

    def check(
        self,
        method: Method,
        model: str = "svd",
        weights: Any = "mini",
        device: str = "cpu",
        path: str | None = None,
        **request: Any,
    ) -> Verdict:
        """Measure and judge one method; fails the test with every check that does not hold.

        request: changes of the model's default request, such as steps=10.
        """
        case = Case(model, weights, default_request(model, weights, **request), method, path)
        self._fail_unless_good(verdict := self.verdict(case, device), verdict.checks)
        return verdict

    def require(self, case: Case, family: Family, device: str) -> None:
        """Fail the test unless all checks of one family hold; skip it if there are none."""
        verdict = self.verdict(case, device)
        checks = verdict.of(family)
        if not checks:
            pytest.skip(f"{family} is not judged for {case.group} on {verdict.record.hardware}")
        self._fail_unless_good(verdict, checks)

    def verdict(self, case: Case, device: str) -> Verdict:
        """The verdict of a case, measured at most once. Raises the case's AccelError."""
        key = (device, case)
        kind = "cpu" if device == "cpu" else "gpu"
        self.asked.add((kind, case.group, case.id))
        if key not in self._verdicts:
            try:
                self._verdicts[key] = self._judge(case, device)
            except AccelError as error:
                self._verdicts[key] = error
        found = self._verdicts[key]
        if isinstance(found, AccelError):
            raise found
        self.hardware.add((kind, found.record.hardware))
        return found

    def _judge(self, case: Case, device: str) -> Verdict:
        key = device, case.path
        for other in self._benches.keys() - {key}:
            self._benches[other].close()
        if key not in self._benches:
            timed = device != "cpu"
            often = (self.pairs, self.blocks) if timed else (1, 0)
            options = Options(
                *often,
                device=device,
                cold=self.cold,
                timed=timed,
                fresh=self.fresh and timed,
            )
            self._benches[key] = Bench(self._folder(device, case.path), options)
        record = self._benches[key].measure(case)
        baseline = baselines.find(self.baselines, record.hardware, record.group, record.case)
        return judge_of(record, case.method, baseline)

    def _folder(self, device: str, path: str | None) -> RunFolder:
        """Ids do not tell the folder of the weights, so that each has a run folder of its own."""
        name = device
        if path is not None:
            digest = sha256(str(Path(path).resolve()).encode()).hexdigest()
            name = f"{device}-{Path(path).name}-{digest[:8]}"
        return RunFolder(self.folder.path / name, self.folder.part)

    def _fail_unless_good(self, verdict: Verdict, checks: tuple[Any, ...]) -> None:
        bad = [f"{c.status}: {c.message}" for c in checks if c.status in self.failing]
        if bad:
            pytest.fail("\n".join([verdict.case, *dict.fromkeys(bad)]), pytrace=False)

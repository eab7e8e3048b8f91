"""The words of a judgement: a check, its status, and the verdict that joins the checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from accel.core import Record

__all__ = [
    "SEVERITY",
    "Check",
    "Family",
    "Status",
    "Verdict",
    "as_expected",
    "exit_code",
    "worst",
]

Family = Literal["speed", "memory", "quality", "collapse"]
Status = Literal[
    "collapsed", "regressed", "missing", "incomparable", "inconclusive", "improved",
    "as expected", "pass",
]  # fmt: skip

SEVERITY: tuple[Status, ...] = (
    "collapsed", "regressed", "missing", "incomparable", "inconclusive", "improved",
    "as expected", "pass",
)  # fmt: skip
"""Worst first: the worst check is the verdict."""


EXIT_CODES: dict[Status, int] = {
    "collapsed": 1, "regressed": 1,
    "missing": 3, "incomparable": 3, "inconclusive": 3,
    "improved": 0, "as expected": 0, "pass": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One question asked of one metric; message: the metric, its value, its bound and unit.

    beyond: how far the value is beyond its bound, in units of the bound's tolerance; negative
    within it, None where nothing is measured in such units.
    """

    family: Family
    metric: str
    status: Status
    message: str
    beyond: float | None = None


@dataclass(frozen=True)
class Verdict:
    """All checks of one record."""

    record: Record
    checks: tuple[Check, ...]

    @property
    def case(self) -> str:
        """Group and case id, as in `svd-xt.untrained/fewer_steps-15@576x1024x25-s25`."""
        return f"{self.record.group}/{self.record.case}"

    @property
    def status(self) -> Status:
        """The worst status of all checks."""
        return worst(self.checks)

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each check that did not simply pass."""
        return tuple(f"{c.status}: {c.message}" for c in self.checks if c.status != "pass")

    def of(self, name: Family) -> tuple[Check, ...]:
        """The checks of one family; none means that the family is not judged for this case."""
        return tuple(check for check in self.checks if check.family == name)


def worst(checks: Iterable[Check]) -> Status:
    """The status of several checks together; of none it is "missing": nothing was proved."""
    return min((check.status for check in checks), key=SEVERITY.index, default="missing")


def as_expected(
    checks: Sequence[Check], declared: Sequence[Status], must: bool = True
) -> list[Check]:
    """The checks of a method whose quality must, or may, fail in one of the declared ways.

    If it does, each check that says so is "as expected". If it must and does not, the gate is
    blind or the method is better than it says: one more check fails.
    """
    video = [check for check in checks if check.family in ("quality", "collapse")]
    if (found := worst(video)) not in declared:
        if not must:
            return list(checks)
        text = f"quality is {found}; of this method it must be {' or '.join(declared)}"
        return [*checks, Check("collapse", "must_fail", "regressed", text)]
    return [_expected(c) if c in video and EXIT_CODES[c.status] == 1 else c for c in checks]


def _expected(check: Check) -> Check:
    return replace(check, status="as expected", message=f"{check.status}: {check.message}")


def exit_code(verdicts: Iterable[Verdict], allow_inconclusive: bool = False) -> int:
    """0: all good; 1: one is worse than it was; 3: one could not be judged.

    allow_inconclusive: 0 instead of 3. Without any verdict nothing was judged: 3, always.
    """
    codes = {EXIT_CODES[verdict.status] for verdict in verdicts}
    if 1 in codes:
        return 1
    return 3 if not codes or (3 in codes and not allow_inconclusive) else 0

"""What is proved by what was measured: who caught which defect, and the rate of false alarms. Pure.

Nothing is measured here, so that one measurement can be judged again by a gate that lacks a check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from accel.compare import judge_of
from accel.core import Fidelity, Method, Record
from accel.errors import CaseError
from accel.prove.defect import Catch, Defect, Raises
from accel.prove.healthy import Unedited
from accel.verdict import EXIT_CODES, Verdict

__all__ = [
    "Evidence", "Row", "alarms", "exact_interval", "exit_code", "healthy", "posing", "rows",
]  # fmt: skip

FALSE_ALARMS = 0.01
"""Of healthy repeats, the share that may be alarms: one in 20 can still be that, two cannot."""


@dataclass(frozen=True)
class Evidence:
    """What was measured. healthy: the hosts' records, by host. repeats: of Unedited, again.

    planted: of each defect the record, or the error that ended it; none of those that nothing
    here can catch.
    """

    healthy: Mapping[Method, Record]
    planted: Mapping[Defect, Record | CaseError]
    repeats: Sequence[Record] = ()


@dataclass(frozen=True)
class Row:
    """One defect and one check that must catch it.

    caught: "yes", "no", or what a machine needs to show it. beyond: see accel.verdict.Check.
    message: what the check said, or what happened instead.
    """

    defect: str
    check: str
    caught: str
    beyond: float | None
    message: str


def rows(defect: Defect, evidence: Evidence) -> Iterator[Row]:
    """One row for each check that must catch the defect."""
    host = evidence.healthy[defect.host]
    for catch in defect.caught_by:
        if reason := catch.unprovable(host):
            yield Row(defect.name, str(catch), reason, None, "")
        else:
            caught, beyond, message = _found(catch, defect, evidence.planted[defect], host)
            yield Row(defect.name, str(catch), "yes" if caught else "no", beyond, message)


def healthy(evidence: Evidence) -> Iterator[Verdict]:
    """The verdict on each host as every defect poses as it, beside itself: all must pass."""
    for host, record in evidence.healthy.items():
        words = {defect.fidelity for defect in evidence.planted if defect.host == host}
        for fidelity in sorted({host.fidelity, *words}):
            yield posing(record, host, record, fidelity)


def alarms(evidence: Evidence) -> list[Verdict]:
    """The repeats of the healthy case that do not simply pass: each is a false alarm."""
    host = Unedited()
    verdicts = (
        posing(repeat, host, evidence.healthy[host], host.fidelity) for repeat in evidence.repeats
    )
    return [verdict for verdict in verdicts if verdict.status != "pass"]


def exact_interval(events: int, of: int) -> tuple[float, float]:
    """The two-sided 95 % interval (Clopper-Pearson) of a rate, 0 to 1; of: at least 1."""
    from scipy.stats import binomtest

    found = binomtest(events, of).proportion_ci(0.95, "exact")
    return float(found.low), float(found.high)


def exit_code(evidence: Evidence, found: Sequence[Row]) -> int:
    """0 if the healthy cases pass, every check that is asked here caught its defect, and the rate
    of false alarms may be FALSE_ALARMS, else 1.
    """
    sound = all(EXIT_CODES[verdict.status] == 0 for verdict in healthy(evidence))
    if evidence.repeats:
        low, _ = exact_interval(len(alarms(evidence)), len(evidence.repeats))
        sound = sound and low <= FALSE_ALARMS
    caught = [row.caught for row in found]
    return 0 if sound and "no" not in caught and "yes" in caught else 1


def _found(
    catch: Catch | Raises, defect: Defect, outcome: Record | CaseError, host: Record
) -> tuple[bool, float | None, str]:
    """Whether this check objects, how far beyond its bound, and what it says."""
    if isinstance(outcome, CaseError):
        told = isinstance(catch, Raises) and type(outcome) is catch.error
        named = told and catch.says in str(outcome)
        return named, None, f"{type(outcome).__name__}: {outcome}"
    if isinstance(catch, Raises):
        return False, None, "it was measured without an error"
    verdict = posing(outcome, defect.host, host, defect.fidelity)
    for check in verdict.checks:
        if catch.is_of(check):
            return catch.is_met_by(check), check.beyond, f"{check.status}: {check.message}"
    return False, None, "the gate has no such check"


def posing(record: Record, host: Method, baseline: Record, fidelity: Fidelity) -> Verdict:
    """The verdict on a record as if the host had made it, beside the host's own."""
    named = {"case": baseline.case, "method": baseline.method, "fidelity": fidelity}
    return judge_of(replace(record, **named), host, replace(baseline, fidelity=fidelity))  # type: ignore[arg-type]

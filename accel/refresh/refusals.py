"""What must not become a baseline; each question raises RefusedError with the value and the remedy.

Records are asked, not the tree or the machine of today, for they may have been made elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log
from statistics import median
from typing import Any

from accel import environment
from accel.core import Record
from accel.errors import RefusedError
from accel.gate import gated
from accel.identity import changes, incomparable
from accel.limits import shown
from accel.refresh.calibration import Series, series
from accel.telemetry import disturbed
from accel.verdict import Verdict

__all__ = ["check_batch", "check_clean", "check_machine", "check_tree", "provenance"]

APART = 0.05
"""How far a repeat may be from the batch's median, as a share, where the table allows no more."""

STEADY = "find out why and measure anew in another --out"
COMMIT = "commit or stash the changes, and measure anew in another --out"


def check_tree() -> None:
    """Refuse a dirty tree before anything is measured in it."""
    git = environment.checkout()
    if git and git["dirty"]:
        raise RefusedError(
            f"the tree has changes that are not in commit {git['commit'][:12]}; commit or stash "
            "them first: a baseline tells the commit that it was measured at"
        )


def check_clean(record: Record) -> None:
    """Whether the tree was clean where the record was measured; without git, see `provenance`."""
    git = record.fingerprint.get("git")
    if git and git["dirty"]:
        raise RefusedError(
            f"{record.case} was measured in a tree with changes that are not in commit "
            f"{git['commit'][:12]}; {COMMIT}"
        )


def check_machine(record: Record, verdict: Verdict) -> None:
    """Whether the GPU was watched, cool and its own; verdict: the record's, on its blocks."""
    if record.hardware == "cpu":
        return
    sides = (record.samples.get(side, ()) for side in ("candidate", "reference"))
    seen: list[dict[str, Any]] = [s.get("telemetry", {}) for side in sides for s in side]
    found = disturbed(seen)
    if not any("throttle" in turn for turn in seen):
        found = "nothing watched the GPU (NVML told no throttle reasons)"
    for check in verdict.checks:
        if check.status == "inconclusive" and check.metric in ("blocks_rejected", "composition"):
            found = found or check.message
    if found:
        raise RefusedError(
            f"{record.case}: {found}; measure anew in another --out when the machine is cool, and "
            "nobody else is on it"
        )


def check_batch(repeats: Sequence[Record]) -> None:
    """Whether all repeats are of one code and agree in what they count, and within 5 %."""
    first = repeats[0]
    for place, repeat in enumerate(repeats[1:], 2):
        other = incomparable(repeat, first, "repeat 1") or _unlike(first, repeat)
        if other:
            raise RefusedError(f"{first.case}: repeat {place} is another: {other}; {STEADY}")
    for found in series(repeats):
        _check_series(first.case, found)


def provenance(record: Record) -> Record:
    """The record with the commit that measured it.

    One from outside of a git checkout is known by its source: it is accepted by the same accel
    alone, in a clean checkout, which then tells the commit, or as an installed package.
    """
    check_clean(record)
    if record.fingerprint.get("git"):
        return record
    measured, here = record.fingerprint.get("source", "unknown"), environment.source()
    remedy = "accept it with --from in a clean git checkout of the code that measured it"
    start = f"{record.case} was measured outside of git, by accel of source {measured[:12]}"
    if measured != here:
        raise RefusedError(f"{start}, and this is {here[:12]}; {remedy}")
    check_tree()
    git = environment.checkout()
    if git is None and not environment.is_installed():
        raise RefusedError(f"{start}, and this tree is no checkout either; {remedy}")
    return replace(record, fingerprint={**record.fingerprint, "git": git}) if git else record


def _unlike(first: Record, repeat: Record) -> str:
    """What must be equal in one batch and is not."""
    return ", ".join(changes(_alike(first), _alike(repeat)))


def _alike(one: Record) -> dict[str, Any]:
    """Code, software, kind of GPU, way of measuring, and what is counted and never varies."""
    gpu = {f"gpu.{k}": v for k, v in one.fingerprint.get("gpu", {}).items() if k != "uuid"}
    return {
        **gpu,
        **{name: one.fingerprint.get(name) for name in ("git", "source", "versions")},
        "options": one.run.get("options"),
        **{f"counters.{name}": value for name, value in one.counters.items()},
        **{name: one.metrics.get(name) for name in ("sanity", "motion_class")},
        **{f"has {name}": True for name, _ in gated(one, one) if name in one.metrics},
    }


def _check_series(case: str, found: Series) -> None:
    """Refuse a value that is further from the median than 5 % and than the table's tolerance.

    The table has the last word where 5 % are less than a healthy run's own noise: 5 % of an LPIPS
    of 0.0002 are nothing.
    """
    middle = median(found.values)
    limit = found.limit
    share = log(1 + APART) if limit.logarithmic else APART * abs(middle)
    allowed = max(share, limit.tolerance(middle))
    for place, value in enumerate(found.values, 1):
        if abs(limit.moved(middle, value)) > allowed:
            raise RefusedError(
                f"{case}: {found.metric} is {shown(found.metric, value)} in repeat {place}, and "
                f"{shown(found.metric, middle)} in the middle of {len(found.values)}: more than "
                f"{APART:.0%} apart; {STEADY}"
            )

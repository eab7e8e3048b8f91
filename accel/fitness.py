"""Was the machine fit for telling time? Pure.

A hot, slowed or shared GPU makes a run slow or fast whatever the method does. Where blocks of
single calls tell the speed-up they are asked, else the generations that took turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import log

from accel.core import Record
from accel.limits import COMPOSITION, MIN_PAIRS, MOST_REJECTED
from accel.reading import is_timed, missing, number
from accel.telemetry import disturbed
from accel.verdict import Check

__all__ = ["doubted", "judge"]

MACHINE = {"blocks_rejected", "pairs_disturbed"}
"""Metrics of the checks below whose failure is the machine's."""


def judge(record: Record) -> Iterator[Check]:
    """Whether the machine was fit, and whether blocks compose what generations take."""
    if not is_timed(record):
        return
    rejected = number(record.metrics, "blocks_rejected")
    if rejected is None or len(record.samples.get("reference", ())) >= MIN_PAIRS:
        yield from _pairs(record)
    if rejected is None:
        return
    if rejected > MOST_REJECTED:
        reasons = {b["rejected"] for b in record.samples["blocks"]} - {""}
        yield _unfit("blocks_rejected", rejected, "the blocks were rejected", reasons)
        return
    factor = number(record.metrics, "composition")
    if factor is None or factor <= 0:
        yield missing("composition", "this record", record.metrics)
    elif abs(log(factor)) > COMPOSITION:
        text = f"single calls tell a speed-up {factor:.3g} times that of whole generations"
        text += "; measure those: --blocks 0"
        beyond = abs(log(factor)) / COMPOSITION - 1
        yield Check("speed", "composition", "inconclusive", text, beyond)


def doubted(checks: Iterable[Check]) -> list[Check]:
    """The checks, where an unfit machine speaks neither for nor against a speed-up."""
    found = list(checks)
    if not MACHINE & {check.metric for check in found}:
        return found
    return [
        replace(c, status="inconclusive", message=f"{c.message}; not on such a machine")
        if c.metric == "speedup" and c.status in ("regressed", "improved")
        else c
        for c in found
    ]


def _pairs(record: Record) -> Iterator[Check]:
    sides = (record.samples.get(side, ()) for side in ("reference", "candidate"))
    pairs = list(zip(*sides, strict=False))
    reasons = [disturbed(sample.get("telemetry", {}) for sample in pair) for pair in pairs]
    share = sum(map(bool, reasons)) / len(reasons) if reasons else 0.0
    if share > MOST_REJECTED:
        yield _unfit("pairs_disturbed", share, "the pairs were disturbed", {*reasons} - {""})


def _unfit(metric: str, share: float, what: str, reasons: Iterable[str]) -> Check:
    text = f"{share:.0%} of {what}: {'; '.join(sorted(reasons))}"
    return Check("speed", metric, "inconclusive", text, share / MOST_REJECTED - 1)

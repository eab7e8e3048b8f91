"""The gate: one joint verdict over what a method did to time, memory and quality. Pure.

Seven questions, in this order; each check has a family, a metric, a status and a message:

1. collapse: is it still a video, and does it still move as the reference does?
2. claims: does the method keep what it promises without any baseline?
3. gate 0: are similarity to the image and smoothness near the reference of the same run?
4. growth: does what is in use stay as it was, from one generation to the next?
5. machine (accel.fitness): was it fit for timing, and do single calls compose a generation?
6. baseline: is every gated number still what it was when the baseline was accepted?
7. cold start (accel.cold), where it was measured: does a fresh process start as fast as it did?

What is absent or not finite is never a pass. Absolute seconds are never gated: cards of one type
differ by up to 10 %; the log speed-up is, of full-size weights on a GPU. Counters belong to the
family speed: they prove that the acceleration is on. The margins are in accel.limits, claims are
judged in accel.claimed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from math import isnan, log

from accel import cold, fitness
from accel.claimed import binding, keeps
from accel.collapse import frozen_inputs, motion
from accel.core import Claim, Record
from accel.equivalence import differences, equivalent
from accel.identity import changes, incomparable
from accel.limits import (
    GATE_ZERO,
    GROWTH_MIB,
    LIMITS,
    MOTION_RATIO,
    REQUIRED,
    Limit,
    family,
    shown,
    shown_move,
)
from accel.reading import (
    Numbers,
    both,
    broken,
    calibrated,
    interval,
    is_judged,
    is_timed,
    missing,
    number,
    precision,
)
from accel.sequential import answer
from accel.verdict import Check, Family, Status, Verdict, as_expected

__all__ = ["Check", "Verdict", "gated", "is_judged", "is_timed", "judge"]


def judge(
    record: Record,
    baseline: Record | None,
    claims: Iterable[Claim] = (),
    limits: tuple[Limit, ...] = LIMITS,
    against: str = "the baseline",
    must_fail: Sequence[Status] = (),
    may_fail: Sequence[Status] = (),
) -> Verdict:
    """The verdict on a record. against: what messages call `baseline`. The last two: Method's."""
    bound = binding(record, claims)
    checks = [
        *_collapse(record),
        *(keeps(record, claim) for claim in bound),
        *_gate_zero(record, {claim.metric for claim in bound}),
    ]
    able = is_judged(record) and not broken(record.reference)
    declared = (must_fail or may_fail) if able else ()
    checks = as_expected(checks, declared, must=bool(must_fail)) if declared else checks
    checks += (*_growth(record), *fitness.judge(record))
    checks = fitness.doubted([*checks, *_compare(record, baseline, limits, against)])
    known = baseline if baseline and not incomparable(record, baseline, against) else None
    checks += cold.judge(record, known)
    if found := broken(record.metrics) or broken(record.reference):
        checks = [check for check in checks if check.family != "quality"]
        status: Status = "as expected" if "collapsed" in declared else "missing"
        checks.append(Check("quality", "sanity", status, f"quality not judged: {found}"))
    return Verdict(record, tuple(checks))


# 1. collapse


def _collapse(record: Record) -> Iterator[Check]:
    if found := broken(record.metrics):
        yield Check("collapse", "sanity", "collapsed", f"this is no video: {found}")
    elif found := broken(record.reference):
        text = f"the reference is no video, so nothing can be judged by it: {found}"
        yield Check("collapse", "sanity", "collapsed", text)
    elif is_judged(record):
        if "sanity" not in record.metrics:
            text = "sanity was not looked at; a video that nobody looked at passes nothing"
            yield Check("collapse", "sanity", "missing", text)
        yield motion(record.metrics, record.reference, "the reference", "collapse")
        yield from frozen_inputs(record)


# 3. gate 0


def _gate_zero(record: Record, claimed: Container[str]) -> Iterator[Check]:
    """Every judged record, by the margins of its fidelity where it does not claim its own.

    M0 is not compared with itself.
    """
    if not is_judged(record) or record.is_reference:
        return
    loose = record.fidelity == "new_sample"
    for metric, margins in GATE_ZERO.items():
        if metric not in claimed:
            yield _near(metric, record, margins[loose])
    if "motion_ratio" in claimed:
        return
    low, high = MOTION_RATIO[loose]
    value = number(record.metrics, "motion_ratio")
    if value is None:
        yield missing("motion_ratio", "this record", record.metrics)
        return
    status: Status = "pass" if low <= value <= high else "regressed"
    text = f"motion_ratio to the reference is {value:.4g}, allowed: {low} to {high}"
    beyond = max((low - value) / (1 - low), (value - high) / (high - 1))
    yield Check("quality", "motion_ratio", status, text, beyond)


def _near(metric: str, record: Record, margin: float) -> Check:
    """By the value of one image; of more, by the interval of the mean difference over them."""
    if found := differences(metric, record):
        return equivalent(metric, found, margin, "allowed")

    def compare(value: float, old: float) -> Check:
        status: Status = "pass" if abs(value - old) <= margin else "regressed"
        text = f"{metric} is {value:.4g}, {old:.4g} in the reference; allowed: {margin} apart"
        return Check("quality", metric, status, text, abs(value - old) / margin - 1)

    return both(metric, record.metrics, record.reference, "the reference", compare)


# 4. growth


def _growth(record: Record) -> Iterator[Check]:
    """Wherever it was measured: on a CPU only glibc tells it, and older records do not have it."""
    metric = "memory.growth_mib"
    if metric not in {*record.metrics, *record.reference}:
        return
    value = number(record.metrics, metric)
    if value is None:
        yield missing(metric, "this record", record.metrics)
        return
    status: Status = "pass" if value <= GROWTH_MIB else "regressed"
    text = f"memory in use grows by {shown(metric, value)} with each generation"
    text += f", allowed: {shown(metric, GROWTH_MIB)}"
    yield Check("memory", metric, status, text, value / GROWTH_MIB - 1)


# 6. baseline


def _compare(
    record: Record, baseline: Record | None, limits: tuple[Limit, ...], whose: str
) -> Iterator[Check]:
    problem = incomparable(record, baseline, whose)
    if baseline is None or problem:
        status: Status = "incomparable" if baseline else "missing"
        names: tuple[Family, ...] = ("speed", "memory", "quality")
        for name in names if is_judged(record) else names[:2]:
            yield Check(name, "baseline", status, problem)
        return
    versions_of = (r.fingerprint.get("versions", {}) for r in (baseline, record))
    versions = "".join(f"; {change}" for change in changes(*versions_of))
    for metric, limit in gated(record, baseline, limits):
        yield _limit(metric, limit, record.metrics, baseline, whose, versions)
    if "motion_class" in {*record.metrics, *baseline.metrics}:
        yield motion(record.metrics, baseline.metrics, whose, "quality")
    for counter in sorted({*record.counters, *baseline.counters}):
        yield _counter(counter, record.counters, baseline.counters, whose)


def gated(
    record: Record, baseline: Record, limits: tuple[Limit, ...] = LIMITS
) -> Iterator[tuple[str, Limit]]:
    """Every metric that either side has, or must have, with the first limit that covers it."""
    kind, timed = "cpu" if record.hardware == "cpu" else "gpu", is_timed(record)
    compiled = bool(record.counters.get("compiled_graphs"))
    for metric in sorted({*record.metrics, *baseline.metrics, *REQUIRED[kind]}):
        found = next((limit for limit in limits if limit.covers(metric, timed)), None)
        if found:
            yield metric, found.where_compiled() if compiled else found


def _limit(
    metric: str, limit: Limit, now: Numbers, baseline: Record, whose: str, versions: str
) -> Check:
    """By the larger of the table's tolerance and the baseline's own."""
    own = calibrated(baseline, metric)

    def compare(value: float, old: float) -> Check:
        moved = limit.moved(old, value)
        tolerance = max(limit.tolerance(old), own)
        status, lack = _limit_status(metric, limit, now, moved, old, tolerance)
        by = shown_move(metric, limit, moved, signed=True), shown_move(metric, limit, tolerance)
        told = f"{shown(metric, value)}{lack or precision(now, metric)}"
        text = f"{metric} is {told}, was {shown(metric, old)} in {whose}: "
        origin = " (calibrated)" if own > limit.tolerance(old) else ""
        text += f"{by[0]}, allowed {by[1]}{origin}{versions}"
        hint = "; keep it with `accel refresh`" if status == "improved" else ""
        beyond = abs(moved) / tolerance - 1 if tolerance else None
        return Check(family(metric), metric, status, text + hint, beyond)

    return both(metric, now, baseline.metrics, whose, compare)


def _limit_status(
    metric: str, limit: Limit, now: Numbers, moved: float, old: float, tolerance: float
) -> tuple[Status, str]:
    """By how far it moved; a speed-up of many pairs by its whole interval, or its lack."""
    if ends := interval(now, metric):
        if any(map(isnan, ends)):
            return "missing", " (its interval is absent)"
        low, high = (log(end) - log(old) for end in ends)
        return answer(low, high, 0.0, tolerance), ""
    if abs(moved) <= tolerance:
        return "pass", ""
    return "improved" if limit.higher_is_better is (moved > 0) else "regressed", ""


def _counter(name: str, now: Numbers, before: Numbers, whose: str) -> Check:
    def compare(value: float, old: float) -> Check:
        status: Status = "pass" if value == old else "regressed"
        text = f"{name} is {value:.0f}, was {old:.0f} in {whose}: they must be equal"
        return Check("speed", name, status, text)

    check = both(name, now, before, whose, compare)
    return Check("speed", f"counters.{name}", check.status, f"counters.{check.message}")

"""The gate: one joint verdict over what a method did to time, memory and quality. Pure.

Four questions, in this order; each check has a family, a metric, a status and a message:

1. collapse: is it still a video, and does it still move as the reference does?
2. claims: does the method keep what it promises without any baseline?
3. gate 0: are similarity to the image and smoothness near the reference of the same run?
4. baseline: is every gated number still what it was when the baseline was accepted?

What is absent or not finite is never a pass. Absolute seconds are never gated: cards of one type
differ by up to 10 %; the log speed-up is, of full-size weights on a GPU. Counters belong to the
family speed: they prove that the acceleration is on. The margins are in accel.limits.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from math import expm1, inf, isfinite, log
from typing import Any

from accel.collapse import defect, frozen_inputs, motion
from accel.core import Claim, Record
from accel.identity import changes, incomparable
from accel.limits import (
    EXACT,
    GATE_ZERO,
    LIMITS,
    MIN_PAIRS,
    MOTION_RATIO,
    NEAR,
    REQUIRED,
    Limit,
    family,
    shown,
)
from accel.verdict import Check, Family, Status, Verdict, as_expected

__all__ = ["Check", "Verdict", "is_judged", "is_timed", "judge"]

Numbers = Mapping[str, Any]


def judge(
    record: Record,
    baseline: Record | None,
    claims: Iterable[Claim] = (),
    limits: tuple[Limit, ...] = LIMITS,
    against: str = "the baseline",
    must_fail: Sequence[Status] = (),
) -> Verdict:
    """The verdict on a record. against: what messages call `baseline`. must_fail: Method's."""
    own = tuple(claims)
    binding = [claim for claim in (*own, *_implied(record, own)) if _binds(claim, record)]
    checks = [
        *_collapse(record),
        *(_claim(record, claim) for claim in binding),
        *_gate_zero(record, {claim.metric for claim in binding}),
    ]
    declared = must_fail if is_judged(record) and not defect(record.reference) else ()
    checks = as_expected(checks, declared) if declared else checks
    checks += _compare(record, baseline, limits, against)
    if found := defect(record.metrics) or defect(record.reference):
        checks = [check for check in checks if check.family != "quality"]
        status: Status = "as expected" if "collapsed" in declared else "missing"
        checks.append(Check("quality", "sanity", status, f"quality not judged: {found}"))
    return Verdict(record, tuple(checks))


def is_judged(record: Record) -> bool:
    """Whether the record's quality means anything: the same as Case.judged."""
    return _weights(record) != "untrained" and not record.request.get("latents_only")


def is_timed(record: Record) -> bool:
    """Whether the record's time tells of the method: full-size weights on a GPU.

    Mini models wait for the host there: on a machine whose other GPU was busy, too, one method's
    speed-up was 5.4x once and 3.4x twice, while those of the full size agreed to 0.5 %.
    """
    return _weights(record) != "mini" and record.hardware != "cpu"


def _weights(record: Record) -> str:
    return record.group.rpartition(".")[2]


def _number(numbers: Numbers, name: str) -> float | None:
    """A finite number, or None for everything else. A speed-up of 0 or less is none."""
    value = numbers.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return None if name == "speedup" and value <= 0 else float(value)


def _missing(metric: str, holder: str, numbers: Numbers) -> Check:
    found = f"is {numbers[metric]!r}" if metric in numbers else "is absent"
    return Check(family(metric), metric, "missing", f"{metric} {found} in {holder}")


def _both(
    metric: str, now: Numbers, before: Numbers, whose: str, compare: Callable[[float, float], Check]
) -> Check:
    """`compare` of the metric's two numbers; "missing" if one of them is none."""
    value, old = _number(now, metric), _number(before, metric)
    if value is None:
        return _missing(metric, "this record", now)
    if old is None:
        return _missing(metric, whose, before)
    return compare(value, old)


# 1. collapse


def _collapse(record: Record) -> Iterator[Check]:
    if found := defect(record.metrics):
        yield Check("collapse", "sanity", "collapsed", f"this is no video: {found}")
    elif found := defect(record.reference):
        text = f"the reference is no video, so nothing can be judged by it: {found}"
        yield Check("collapse", "sanity", "collapsed", text)
    elif is_judged(record):
        if "sanity" not in record.metrics:
            text = "sanity was not looked at; a video that nobody looked at passes nothing"
            yield Check("collapse", "sanity", "missing", text)
        yield motion(record.metrics, record.reference, "the reference", "collapse")
        yield from frozen_inputs(record)


# 2. claims


def _binds(claim: Claim, record: Record) -> bool:
    """Quality where it is judged; time and memory at full size on a GPU."""
    if family(claim.metric) == "quality":
        return is_judged(record)
    return is_timed(record)


def _implied(record: Record, own: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """What the word of its fidelity says; a `faithful` method may claim another LPIPS itself."""
    if record.fidelity == "new_sample" or record.is_reference:
        return ()
    near = () if NEAR.metric in {claim.metric for claim in own} else (NEAR,)
    return (EXACT,) if record.fidelity == "exact" else near


def _claim(record: Record, claim: Claim) -> Check:
    metric = claim.metric
    before = record.reference if claim.delta else record.metrics

    def compare(value: float, old: float) -> Check:
        value -= old if claim.delta else 0
        whose = " minus the reference's" if claim.delta else ""
        status, interval = _claim_status(record.metrics, claim, value)
        text = f"{metric}{whose} is {shown(metric, value)}{interval}, claimed: {_bounds(claim)}"
        return Check(family(metric), metric, status, text)

    return _both(metric, record.metrics, before, "the reference", compare)


def _claim_status(metrics: Numbers, claim: Claim, value: float) -> tuple[Status, str]:
    """By the value; a speed-up of MIN_PAIRS pairs or more, by its whole interval."""
    low, high, interval = value, value, ""
    if claim.metric == "speedup" and (_number(metrics, "speedup_pairs") or 0) >= MIN_PAIRS:
        ends = _number(metrics, "speedup_low"), _number(metrics, "speedup_high")
        if ends[0] is None or ends[1] is None:
            return "missing", " (its interval is absent)"
        low, high = ends[0], ends[1]
        interval = f" ({low:.4g} to {high:.4g})"
    floor = -inf if claim.at_least is None else claim.at_least
    ceiling = inf if claim.at_most is None else claim.at_most
    if floor <= low and high <= ceiling:
        return "pass", interval
    return "regressed" if high < floor or low > ceiling else "inconclusive", interval


def _bounds(claim: Claim) -> str:
    ends = (("at least", claim.at_least), ("at most", claim.at_most))
    return " and ".join(f"{word} {shown(claim.metric, x)}" for word, x in ends if x is not None)


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
    value = _number(record.metrics, "motion_ratio")
    if value is None:
        yield _missing("motion_ratio", "this record", record.metrics)
        return
    status: Status = "pass" if low <= value <= high else "regressed"
    text = f"motion_ratio to the reference is {value:.4g}, allowed: {low} to {high}"
    yield Check("quality", "motion_ratio", status, text)


def _near(metric: str, record: Record, margin: float) -> Check:
    def compare(value: float, old: float) -> Check:
        status: Status = "pass" if abs(value - old) <= margin else "regressed"
        text = f"{metric} is {value:.4g}, {old:.4g} in the reference; allowed: {margin} apart"
        return Check("quality", metric, status, text)

    return _both(metric, record.metrics, record.reference, "the reference", compare)


# 4. baseline


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
    for metric, limit in _gated(record, baseline, limits):
        yield _limit(metric, limit, record.metrics, baseline.metrics, whose, versions)
    if "motion_class" in {*record.metrics, *baseline.metrics}:
        yield motion(record.metrics, baseline.metrics, whose, "quality")
    for counter in sorted({*record.counters, *baseline.counters}):
        yield _counter(counter, record.counters, baseline.counters, whose)


def _gated(
    record: Record, baseline: Record, limits: tuple[Limit, ...]
) -> Iterator[tuple[str, Limit]]:
    """Every metric that either side has, or must have, with the first limit that covers it."""
    kind, timed = "cpu" if record.hardware == "cpu" else "gpu", is_timed(record)
    for metric in sorted({*record.metrics, *baseline.metrics, *REQUIRED[kind]}):
        found = next((limit for limit in limits if limit.covers(metric, timed)), None)
        if found:
            yield metric, found


def _limit(
    metric: str, limit: Limit, now: Numbers, before: Numbers, whose: str, versions: str
) -> Check:
    def compare(value: float, old: float) -> Check:
        moved = log(value) - log(old) if limit.logarithmic else value - old
        tolerance = max(limit.relative * abs(old), limit.absolute)
        if abs(moved) <= tolerance:
            status: Status = "pass"
        else:
            status = "improved" if limit.higher_is_better is (moved > 0) else "regressed"
        by = _size(metric, limit, moved, signed=True), _size(metric, limit, tolerance)
        text = f"{metric} is {shown(metric, value)}, was {shown(metric, old)} in {whose}: {by[0]}"
        text += f", allowed {by[1]}{versions}"
        hint = "; keep it with `accel refresh`" if status == "improved" else ""
        return Check(family(metric), metric, status, text + hint)

    return _both(metric, now, before, whose, compare)


def _size(metric: str, limit: Limit, size: float, *, signed: bool = False) -> str:
    text = f"{100 * expm1(size):.1f} %" if limit.logarithmic else shown(metric, size)
    return f"+{text}" if signed and size > 0 else text


def _counter(name: str, now: Numbers, before: Numbers, whose: str) -> Check:
    def compare(value: float, old: float) -> Check:
        status: Status = "pass" if value == old else "regressed"
        text = f"{name} is {value:.0f}, was {old:.0f} in {whose}: they must be equal"
        return Check("speed", name, status, text)

    check = _both(name, now, before, whose, compare)
    return Check("speed", f"counters.{name}", check.status, f"counters.{check.message}")

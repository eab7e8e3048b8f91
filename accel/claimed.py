"""What is claimed: which claims bind a record, and whether it keeps them. Pure.

A claim to be within a margin of the reference either way is judged as gate 0 is: of two or more
images by the interval of the mean difference (accel.equivalence).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isnan

from accel.core import Claim, Record
from accel.equivalence import differences, equivalent
from accel.limits import EXACT, NEAR, family, shown
from accel.reading import Numbers, both, interval, is_judged, is_timed, precision
from accel.verdict import Check, Status

__all__ = ["binding", "keeps"]


def binding(record: Record, own: Iterable[Claim]) -> list[Claim]:
    """Those of the method's own claims and of its fidelity's that can be judged here."""
    own = tuple(own)
    return [claim for claim in (*own, *_implied(record, own)) if _binds(claim, record)]


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


def keeps(record: Record, claim: Claim) -> Check:
    """The check of one claim. What it is beyond its bound is told in bounds: 0.1 is 10 % of it."""
    metric = claim.metric
    if (margin := _margin(claim)) and (found := differences(metric, record)):
        return equivalent(metric, found, margin, "claimed")
    before = record.reference if claim.delta else record.metrics

    def compare(value: float, old: float) -> Check:
        value -= old if claim.delta else 0
        whose = " minus the reference's" if claim.delta else ""
        status, lack = _claim_status(record.metrics, claim, value)
        told = f"{shown(metric, value)}{lack or precision(record.metrics, metric)}"
        text = f"{metric}{whose} is {told}, claimed: {_bounds(claim)}"
        return Check(family(metric), metric, status, text, _beyond(claim, value))

    return both(metric, record.metrics, before, "the reference", compare)


def _margin(claim: Claim) -> float | None:
    """How far a quality may be from the reference's, if the claim says it alike either way."""
    floor, ceiling = claim.at_least, claim.at_most
    alike = floor is not None and ceiling is not None and -floor == ceiling > 0
    return ceiling if claim.delta and alike and family(claim.metric) == "quality" else None


def _claim_status(metrics: Numbers, claim: Claim, value: float) -> tuple[Status, str]:
    """By the value; a speed-up of MIN_PAIRS pairs or more, by its whole interval, or its lack."""
    low, high = value, value
    if ends := interval(metrics, claim.metric):
        if any(map(isnan, ends)):
            return "missing", " (its interval is absent)"
        low, high = ends
    floor = -inf if claim.at_least is None else claim.at_least
    ceiling = inf if claim.at_most is None else claim.at_most
    if floor <= low and high <= ceiling:
        return "pass", ""
    return "regressed" if high < floor or low > ceiling else "inconclusive", ""


def _bounds(claim: Claim) -> str:
    if claim.metric == "speedup" and claim.at_least and claim.at_most is None:
        return _times(claim.at_least)
    ends = (("at least", claim.at_least), ("at most", claim.at_most))
    return " and ".join(f"{word} {shown(claim.metric, x)}" for word, x in ends if x is not None)


def _times(floor: float) -> str:
    """A floor of the speed-up in words; one below 1 allows a slowdown."""
    if floor < 1:
        return f"at most {1 / floor:.4g} times slower"
    return f"at least {floor:.4g} times faster"


def _beyond(claim: Claim, value: float) -> float | None:
    """How far `value` is beyond the bound that it is worst by, in sizes of that bound."""
    floor, ceiling = claim.at_least, claim.at_most
    found = [(floor - value) / abs(floor)] if floor else []
    found += [(value - ceiling) / abs(ceiling)] if ceiling else []
    return max(found, default=None)

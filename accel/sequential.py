"""Blocks that cancel drift, when to stop taking them, and what their interval says. Pure.

A block is ABBA: reference, candidate, candidate, reference; the next one is BAAB. A linear drift
of the machine adds the same to both sides of it. After LOOKS blocks it is asked whether the
interval is narrow enough; the chance of an error is split over the looks (Bonferroni), so that
looking thrice does not make it thrice as large. The gate judges the interval that is left at the
end. Numbers are log speed-ups, as in accel.stats: above 0 the candidate is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from accel.errors import InvalidRequestError
from accel.stats import Estimate, estimate

__all__ = ["LOOKS", "Answer", "answer", "block_ratios", "enough", "interval"]

Answer = Literal["regressed", "inconclusive", "improved", "pass"]

LOOKS = (10, 20, 40)
"""Blocks after which the interval is looked at."""

CONFIDENCE = 1 - 0.05 / len(LOOKS)
"""Of an interval at one look, so that all looks together err in 5 % at most."""

NARROW = 0.01
"""Half the width of the interval, as a log ratio, with which the looks end: a third of the gate's
limit on the speed-up."""


def block_ratios(ratios: Sequence[float]) -> list[float]:
    """The mean log ratio of each block: of two pairs that took turns, AB then BA.

    Raises InvalidRequestError for an odd number of pairs.
    """
    if len(ratios) % 2:
        raise InvalidRequestError(f"{len(ratios)} pairs make no whole blocks; measure one more")
    return [(a + b) / 2 for a, b in zip(ratios[::2], ratios[1::2], strict=True)]


def interval(blocks: Sequence[float]) -> Estimate:
    """The log speed-up of at least one block, with the interval of one look among LOOKS."""
    return estimate(blocks, CONFIDENCE)


def enough(blocks: Sequence[float], most: int) -> bool:
    """Whether to stop: after `most` blocks, or at a look whose interval is NARROW."""
    if len(blocks) >= most:
        return True
    if len(blocks) not in LOOKS:
        return False
    found = interval(blocks)
    return (found.high - found.low) / 2 <= NARROW


def answer(low: float, high: float, expected: float, margin: float) -> Answer:
    """Whether a log speed-up lies below, within or above `expected` plus or minus `margin`.

    regressed: the whole interval from `low` to `high` is below. improved: it is above. pass: its
    low end is not below, so that a wide interval passes nothing. inconclusive: anything else.
    """
    if high < expected - margin:
        return "regressed"
    if low < expected - margin:
        return "inconclusive"
    return "improved" if low > expected + margin else "pass"

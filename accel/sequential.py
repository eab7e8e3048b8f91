"""Blocks that cancel drift, and a verdict that looks at growing numbers of them. Pure.

A block is ABBA: reference, candidate, candidate, reference; the next one is BAAB. A linear drift of
the machine adds the same to both sides of it. The verdict looks after LOOKS blocks; the chance of
an error is split over the looks (Bonferroni), so that looking thrice does not make it thrice as
large. Numbers are log speed-ups, as in accel.stats: above 0 the candidate is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from accel.errors import InvalidRequestError
from accel.stats import Estimate, estimate

__all__ = ["LOOKS", "Answer", "Decision", "answer", "block_ratios", "decide"]

Answer = Literal["regressed", "inconclusive", "improved", "pass"]

LOOKS = (10, 20, 40)
"""Blocks after which the verdict looks; after the last one "inconclusive" is final."""


@dataclass(frozen=True)
class Decision:
    """What the blocks so far say, and how many `more` the next look needs (0: none follows)."""

    answer: Answer
    estimate: Estimate
    more: int


def block_ratios(ratios: Sequence[float]) -> list[float]:
    """The mean log ratio of each block: of two pairs that took turns, AB then BA.

    Raises InvalidRequestError for an odd number of pairs.
    """
    if len(ratios) % 2:
        raise InvalidRequestError(f"{len(ratios)} pairs make no whole blocks; measure one more")
    return [(a + b) / 2 for a, b in zip(ratios[::2], ratios[1::2], strict=True)]


def decide(
    blocks: Sequence[float],
    expected: float = 0.0,
    margin: float = 0.0,
    looks: Sequence[int] = LOOKS,
    confidence: float = 0.95,
) -> Decision:
    """Whether the log speed-up lies below, within or above `expected` plus or minus `margin`.

    regressed: the whole interval is below the margin. improved: it is above. pass: its low end is
    not below the margin, so that a wide interval passes nothing. inconclusive: anything else. A
    claim of "at least k times faster" is `expected` ln k with no margin: there, improved keeps it.

    blocks: log speed-ups, at least one; looks are taken at the numbers in `looks` (rising), and
    between two of them the earlier one counts. With fewer than the first, the answer is
    "inconclusive", whatever the blocks say.

    Raises InvalidRequestError for a margin below 0, or no looks.
    """
    if margin < 0 or not isfinite(margin) or not looks:
        raise InvalidRequestError(f"margin {margin}, looks {list(looks)}: give 0 or more, and one")
    taken = max((n for n in looks if n <= len(blocks)), default=0)
    more = next((n - len(blocks) for n in looks if n > len(blocks)), 0)
    found = estimate(blocks[: taken or len(blocks)], 1 - (1 - confidence) / len(looks))
    said = answer(found.low, found.high, expected, margin) if taken else "inconclusive"
    return Decision(said, found, more)


def answer(low: float, high: float, expected: float, margin: float) -> Answer:
    """What an interval from `low` to `high` says: see `decide`."""
    if high < expected - margin:
        return "regressed"
    if low < expected - margin:
        return "inconclusive"
    return "improved" if low > expected + margin else "pass"

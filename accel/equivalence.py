"""Whether a mean over inputs stays within a margin: two one-sided tests. Pure.

The unit is the image: seeds of one image are averaged first, for they are alike. The 90 % interval
of the mean over images, by Student's t, is compared with the margin: inside of it on both sides is
the TOST at 5 %. More inputs are what an interval across the margin asks for, and it says how many.
Source: Schuirmann 1987; Lakens 2017.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import fmean, stdev
from typing import Literal

from accel.core import Record
from accel.errors import InvalidRequestError
from accel.limits import family
from accel.reading import number
from accel.verdict import Check

__all__ = ["Equivalence", "by_image", "differences", "equivalence", "equivalent"]

CONFIDENCE = 0.90
"""Of the interval: 5 % at each end."""

POWER = 10.8
"""(1.645 + 1.645)^2: times (deviation / room)^2, the images that decide in 90 to 95 of 100 cases.
room: what lies between the mean and the margin, or a tenth of the margin where that is less."""


@dataclass(frozen=True)
class Equivalence:
    """The mean over images and its interval; `more` images would decide, if the mean stays."""

    answer: Literal["pass", "regressed", "inconclusive"]
    mean: float
    low: float
    high: float
    images: int
    more: int


def by_image(rows: Iterable[tuple[str, float]]) -> list[float]:
    """The mean of each image's values, in the order in which the images come."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for image, value in rows:
        found[image].append(value)
    return [fmean(values) for values in found.values()]


def equivalence(differences: Sequence[float], margin: float) -> Equivalence:
    """Whether the mean difference lies within plus or minus `margin`; one value for each image.

    regressed: the whole interval lies outside. Raises InvalidRequestError for fewer than two
    images, or a margin that is not above 0.
    """
    from scipy import stats

    count = len(differences)
    if count < 2 or not margin > 0:
        raise InvalidRequestError(f"{count} images, margin {margin}: give two or more, above 0")
    mean, deviation = fmean(differences), stdev(differences)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation / sqrt(count)
    low, high = mean - reach, mean + reach
    if -margin <= low and high <= margin:
        return Equivalence("pass", mean, low, high, count, 0)
    if high < -margin or low > margin:
        return Equivalence("regressed", mean, low, high, count, 0)
    room = max(abs(margin - abs(mean)), margin / 10)
    more = max(1, ceil(POWER * (deviation / room) ** 2) - count)
    return Equivalence("inconclusive", mean, low, high, count, more)


def differences(metric: str, record: Record) -> list[float]:
    """Candidate minus reference, seeds averaged, of each of two or more images; else nothing."""
    rows = record.samples.get("inputs", ())
    values = [[number(row[side], metric) for side in ("scores", "reference")] for row in rows]
    told = [
        (row["digest"] or row["image"], now - before)
        for row, (now, before) in zip(rows, values, strict=True)
        if now is not None and before is not None
    ]
    found = by_image(told) if len(told) == len(rows) else []
    return found if len(found) > 1 else []


def equivalent(metric: str, found: Sequence[float], margin: float, word: str) -> Check:
    """The check that the mean of `found`, one difference for each of two or more images, is within
    plus or minus `margin`, above 0. word: whose margin it is, "allowed" or "claimed".

    Inconclusive where the interval crosses the margin; then it says how many more images may tell.
    Raises InvalidRequestError as `equivalence` does.
    """
    over = equivalence(found, margin)
    text = f"{metric} is {over.mean:+.4g} ({over.low:+.4g} to {over.high:+.4g}) from the "
    text += f"reference's over {over.images} images; {word}: {margin} apart"
    if over.more:
        text += f"; {over.more} more images may tell"
    beyond = max(abs(over.low), abs(over.high)) / margin - 1
    return Check(family(metric), metric, over.answer, text, beyond)

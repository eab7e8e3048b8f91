"""Paired timing: the estimate of a log speed-up, its interval, and what it could have seen.

Pure, and without an array library: a case has tens of pairs, not millions. All numbers are
natural logarithms of (reference seconds / candidate seconds): above 0 the candidate is faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, exp, inf, isfinite, log, sqrt
from random import Random
from statistics import fmean, median, stdev

from accel.errors import InvalidRequestError

__all__ = [
    "Estimate",
    "block_interval",
    "estimate",
    "log_ratios",
    "minimum_detectable_effect",
    "walsh_averages",
]


@dataclass(frozen=True)
class Estimate:
    """A log speed-up: its Hodges-Lehmann `value` and the interval from `low` to `high`.

    coverage: the interval's true two-sided coverage for independent symmetric differences, 0 to
    1; with fewer than 6 pairs no interval covers 0.95, and this says what it does cover.
    detectable: the smallest log ratio that this many pairs of this spread could have told.
    """

    value: float
    low: float
    high: float
    coverage: float
    pairs: int
    detectable: float

    @property
    def speedup(self) -> tuple[float, float, float]:
        """Estimate, low and high end as ratios: 1.25 means 1.25 times faster."""
        return exp(self.value), exp(self.low), exp(self.high)


def log_ratios(pairs: Iterable[tuple[float, float]]) -> list[float]:
    """ln(reference / candidate) of each pair of seconds; above 0 the candidate is faster.

    Raises InvalidRequestError for a time that is not finite and above 0.
    """
    return [_log_seconds(reference) - _log_seconds(candidate) for reference, candidate in pairs]


def walsh_averages(values: Sequence[float]) -> list[float]:
    """Every mean of two of the values, each value with itself included, in rising order."""
    return sorted((a + b) / 2 for i, a in enumerate(values) for b in values[i:])


def estimate(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Hodges-Lehmann estimate and exact signed-rank interval of at least one log ratio.

    The median of the Walsh averages is nearly as sharp as the mean, and outliers move it little.

    The interval lies between two Walsh averages: the narrowest that covers `confidence`, or all
    of them where too few pairs allow no such interval; `coverage` says what it truly covers.

    Raises InvalidRequestError without values, or with one that is not finite.
    Source: Hodges and Lehmann 1963; Hollander and Wolfe, Nonparametric Statistical Methods,
    chapter 3.
    """
    if not values or not all(map(isfinite, values)):
        raise InvalidRequestError(f"log ratios {list(values)}: give at least one, all finite")
    averages = walsh_averages(values)
    cut, coverage = _cut(len(values), confidence)
    return Estimate(
        value=median(averages),
        low=averages[cut],
        high=averages[-1 - cut],
        coverage=coverage,
        pairs=len(values),
        detectable=minimum_detectable_effect(values, coverage),
    )


def minimum_detectable_effect(values: Sequence[float], coverage: float) -> float:
    """The log ratio whose interval of that coverage would leave out 0 in 95 % of such runs.

    Student's quantiles of both, in standard errors, times 1.15: what ranks cost over the mean in
    few pairs (simulated). A single pair has no spread to judge by: infinite.
    """
    from scipy.stats import t

    if len(values) < 2:
        return inf
    ends = sum(float(t.ppf(p, len(values) - 1)) for p in ((1 + coverage) / 2, 0.95))
    return 1.15 * ends * stdev(values) / sqrt(len(values))


def block_interval(
    series: Sequence[float], confidence: float = 0.95, draws: int = 10_000
) -> tuple[float, float]:
    """Low and high end of the mean of a series whose neighbours are alike, as frames of a shot are.

    A circular block bootstrap: means of whole runs of ceil(sqrt(n)) neighbours, drawn with
    replacement, with a fixed seed. It speaks of this series going on, not of others; of short ones
    it is somewhat too narrow. Raises InvalidRequestError for fewer than 8 values.
    Source: Politis and Romano 1992, A Circular Block-Resampling Procedure for Stationary Data.
    """
    count = len(series)
    if count < 8 or not all(map(isfinite, series)):
        raise InvalidRequestError(f"{count} values {list(series)}: give 8 or more, all finite")
    size = ceil(sqrt(count))
    ring = [*series, *series]
    blocks = [fmean(ring[start : start + size]) for start in range(count)]
    random, drawn = Random(0), ceil(count / size)
    means = sorted(fmean(random.choices(blocks, k=drawn)) for _ in range(draws))
    cut = round((1 - confidence) / 2 * draws)
    return means[cut], means[-1 - cut]


def _log_seconds(seconds: float) -> float:
    if not (isfinite(seconds) and seconds > 0):
        raise InvalidRequestError(f"a time of {seconds} s cannot be; measure that pair again")
    return log(seconds)


def _cut(pairs: int, confidence: float) -> tuple[int, float]:
    """How many Walsh averages to leave out at each end, and the coverage that remains."""
    tails = list(accumulate(_rank_sums(pairs)))
    allowed = [w for w, tail in enumerate(tails) if 1 - 2 * tail / 2**pairs >= confidence]
    cut = max(allowed, default=0)
    return cut, 1 - 2 * tails[cut] / 2**pairs


def _rank_sums(pairs: int) -> list[int]:
    """How many of the 2**pairs sign patterns give each signed-rank sum, from 0 upwards."""
    ways = [1]
    for rank in range(1, pairs + 1):
        ways = [a + b for a, b in zip([*ways, *[0] * rank], [*[0] * rank, *ways], strict=True)]
    return ways

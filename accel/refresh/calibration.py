"""Repeats of one case: which of them becomes the baseline, and how wide its limits are. Pure.

A repeat is a whole measurement with fresh workers, so that their spread is that of runs, not that
of the generations within a run. The table of limits is the floor: a calibrated tolerance counts
where it is wider.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, stdev

from accel.core import Record
from accel.gate import gated
from accel.limits import Limit
from accel.reading import calibrated, number

__all__ = [
    "FALSE_ALARMS",
    "Series",
    "Width",
    "calibrate",
    "central",
    "series",
    "tolerance",
    "widths",
]

FALSE_ALARMS = 0.01
"""Of runs that did not change, how many a calibrated tolerance may call regressed at most."""


@dataclass(frozen=True)
class Series:
    """A gated metric in all repeats, in their order. moves: from the first, as `limit` moves."""

    metric: str
    limit: Limit
    values: tuple[float, ...]

    @property
    def moves(self) -> list[float]:
        return [self.limit.moved(self.values[0], value) for value in self.values]

    @property
    def sides(self) -> int:
        """Of the tolerance, whose far end is a regression."""
        return 2 if self.limit.higher_is_better is None else 1


@dataclass(frozen=True)
class Width:
    """A metric's tolerance in the table, in the old baseline and in the new one: never below the
    table's, which is taken at the new value in both."""

    metric: str
    limit: Limit
    table: float
    before: float
    now: float


def series(repeats: Sequence[Record]) -> Iterator[Series]:
    """Every gated metric that all repeats tell."""
    for metric, limit in gated(repeats[0], repeats[0]):
        values = [number(repeat.metrics, metric) for repeat in repeats]
        told = tuple(value for value in values if value is not None)
        if len(told) == len(repeats):
            yield Series(metric, limit, told)


def central(repeats: Sequence[Record]) -> int:
    """Index of the repeat that lies nearest to the mean of all, the first one of equals.

    By its metric that is furthest from its mean, in tolerances of the table. The fastest or the
    first would be as good a sample, but a one-sided or an arbitrary one.
    """
    worst = [0.0] * len(repeats)
    for found in series(repeats):
        unit = found.limit.tolerance(found.values[0]) or 1.0
        mean = fmean(found.moves)
        worst = [max(w, abs(m - mean) / unit) for w, m in zip(worst, found.moves, strict=True)]
    return worst.index(min(worst))


def tolerance(moves: Sequence[float], accepted: float, sides: int = 1) -> float:
    """How far one more run may be from the accepted one: two or more repeats, as a limit moves.

    Student's prediction limit for one more value about the mean of the repeats, beyond which an
    unchanged one is in FALSE_ALARMS of all cases, and the accepted one's distance from that mean.
    sides: 2 if both ends are a regression.
    """
    from scipy.stats import t

    count = len(moves)
    quantile = float(t.ppf(1 - FALSE_ALARMS / sides, count - 1))
    return quantile * sqrt(1 + 1 / count) * stdev(moves) + abs(accepted - fmean(moves))


def calibrate(repeats: Sequence[Record]) -> Record:
    """The repeat that becomes the baseline, with run["calibration"] of all of them.

    repeats: how many there were; spread: the standard deviation and tolerances: how far one more
    run may be, by metric, as its limit moves. One repeat has neither. A limit that has a width of
    its own for what compiles is not calibrated there: whether a repeat found its graphs in
    inductor's cache is no spread, and a first repeat with an empty one would hide any doubling.
    """
    index = central(repeats)
    told: dict[str, object] = {"repeats": len(repeats)}
    if len(repeats) > 1:
        found = list(series(repeats))
        told["spread"] = {s.metric: _short(stdev(s.moves)) for s in found}
        told["tolerances"] = {
            s.metric: _short(tolerance(s.moves, s.moves[index], s.sides))
            for s in found
            if not (s.limit.compiled and repeats[0].counters.get("compiled_graphs"))
        }
    accepted = repeats[index]
    return replace(accepted, run={**accepted.run, "calibration": told})


def widths(new: Record, old: Record | None) -> Iterator[Width]:
    """The tolerance of every gated metric that the new baseline has."""
    for metric, limit in gated(new, new):
        value = number(new.metrics, metric)
        if value is not None:
            table = limit.tolerance(value)
            before, now = (calibrated(r, metric) if r else 0.0 for r in (old, new))
            yield Width(metric, limit, table, max(table, before), max(table, now))


def _short(value: float) -> float:
    """To six digits, as a record's metrics."""
    return float(f"{value:.6g}")

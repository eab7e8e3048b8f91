"""What a reviewer reads of a new baseline: old and new numbers, verdict, limits, reason. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accel.compare import SUMMARY
from accel.core import Record
from accel.limits import shown, shown_move
from accel.refresh.calibration import Width, widths
from accel.verdict import Verdict

__all__ = ["Change", "render"]


@dataclass(frozen=True)
class Change:
    """A calibrated record, the baseline that it replaces, and the verdict on one by the other.

    unreadable: what is wrong with the old baseline's file.
    """

    new: Record
    old: Record | None
    verdict: Verdict
    unreadable: str = ""

    @property
    def looser(self) -> list[str]:
        """Why this needs a reason; empty if it needs none."""
        found = [self.unreadable] if self.unreadable else []
        kinds = (*_WORSE, *_UNTOLD) if self.old else _WORSE
        cold = [one is not None and "cold" in one.samples for one in (self.old, self.new)]
        if self.verdict.status in kinds:
            found += [
                f"{check.status}: {check.message}"
                for check in self.verdict.checks
                if check.status in kinds and (check.metric != "cold.start" or cold[0])
            ]
        if cold == [True, False]:
            found.append("the old baseline has a cold start and this one none; add --cold")
        found += [_limit(width) for width in widths(self.new, self.old) if width.now > width.before]
        return found


_WORSE = ("regressed", "collapsed")
_UNTOLD = ("missing", "inconclusive")
"""What the old baseline told, and the new one does not, is gated no more."""


def render(change: Change) -> Iterator[str]:
    """The lines of one case."""
    new, old = change.new, change.old
    word = f"{change.verdict.status} against the old baseline" if old else "no baseline before"
    yield f"{change.verdict.case}: {change.unreadable or word}"
    yield f"    {'  '.join(_numbers(new, old))}"
    if old:
        yield from (f"    {line}" for line in change.verdict.lines)
    calibration = new.run["calibration"]
    repeats = calibration["repeats"]
    if repeats == 1:
        yield "    not calibrated: one repeat tells no spread, the table's limits hold"
    else:
        yield f"    calibrated over {repeats} repeats"
    changed = [width for width in widths(new, old) if width.now != width.before]
    yield from (f"    {_limit(width)}" for width in changed)
    if reason := calibration.get("reason"):
        yield f"    reason: {reason}"


def _numbers(new: Record, old: Record | None) -> Iterator[str]:
    """`speedup 1.42x -> 1.51x`; what shows the same is told once."""
    for metric in SUMMARY:
        pair = [_shown(metric, one) for one in (old, new) if one is not None]
        texts = [text for text in dict.fromkeys(pair) if text]
        if texts:
            name = metric.removeprefix("memory.").replace(".", " ")
            yield f"{name} {' -> '.join(texts)}"


def _shown(metric: str, record: Record) -> str:
    value = record.metrics.get(metric)
    return "" if value is None else value if isinstance(value, str) else shown(metric, value)


def _limit(width: Width) -> str:
    before, now = (shown_move(width.metric, width.limit, x) for x in (width.before, width.now))
    return f"limit of {width.metric}: {before} -> {now}"

"""How a number is read from a record, and whether it means anything there. Pure.

What is absent or not finite is a check of its own, "missing", and never a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite, nan
from typing import Any

from accel.core import Record
from accel.limits import MIN_PAIRS, family
from accel.verdict import Check

__all__ = [
    "Numbers", "both", "broken", "calibrated", "interval", "is_judged", "is_timed", "missing",
    "number", "precision",
]  # fmt: skip

Numbers = Mapping[str, Any]


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


def broken(numbers: Numbers) -> str:
    """Why this is no video, or nothing; `sanity` is the word of accel.metrics.score."""
    sanity = str(numbers.get("sanity", "ok"))
    return "" if sanity == "ok" else sanity


def number(numbers: Numbers, name: str) -> float | None:
    """A finite number, or None for everything else. A speed-up of 0 or less is none."""
    value = numbers.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return None if name == "speedup" and value <= 0 else float(value)


def interval(numbers: Numbers, metric: str) -> tuple[float, float] | None:
    """The ends of a speed-up that MIN_PAIRS pairs or more tell; None for any other number.

    An end that is absent is not a number (NaN).
    """
    if metric != "speedup" or (number(numbers, "speedup_pairs") or 0) < MIN_PAIRS:
        return None
    low, high = (number(numbers, f"speedup_{end}") or nan for end in ("low", "high"))
    return low, high


def calibrated(baseline: Record, metric: str) -> float:
    """How far a metric may be from this baseline by its own calibration; 0 if it says nothing.

    Whatever is no finite number there says nothing: the table of limits holds.
    """
    found: Any = baseline.run
    for name in ("calibration", "tolerances"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return (number(found, metric) or 0.0) if isinstance(found, Mapping) else 0.0


def precision(numbers: Numbers, metric: str, *, short: bool = False) -> str:
    """How well a speed-up is known: ` [2.28, 2.35], a change of 0.8 % could have been seen`.

    Nothing for any other metric, for M0 beside itself, and where the interval is absent. Fewer than
    MIN_PAIRS pairs are named, for no interval of so few covers 95 %. short: ` [2.28, 2.35] sees
    0.8 %`.
    """
    low, high = (number(numbers, f"{metric}_{end}") for end in ("low", "high"))
    if metric != "speedup" or low is None or high is None or low == high == 1:
        return ""
    count = number(numbers, "speedup_pairs")
    few = f" of {count:.0f} pair{'s' * (count > 1)}" if count and count < MIN_PAIRS else ""
    text = f" [{low:.4g}, {high:.4g}]{few}"
    if (least := number(numbers, "speedup_detectable")) is None:
        return text
    size = f"{float(f'{100 * (least - 1):.2g}'):g} %"
    return text + (f" sees {size}" if short else f", a change of {size} could have been seen")


def missing(metric: str, holder: str, numbers: Numbers) -> Check:
    """The check of a metric that `holder`, whose numbers these are, does not tell."""
    found = f"is {numbers[metric]!r}" if metric in numbers else "is absent"
    return Check(family(metric), metric, "missing", f"{metric} {found} in {holder}")


def both(
    metric: str, now: Numbers, before: Numbers, whose: str, compare: Callable[[float, float], Check]
) -> Check:
    """`compare` of the metric's two numbers; "missing" if one of them is none."""
    value, old = number(now, metric), number(before, metric)
    if value is None:
        return missing(metric, "this record", now)
    if old is None:
        return missing(metric, whose, before)
    return compare(value, old)

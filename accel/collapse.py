"""The gate's first question, of one video or of many: is this a video, and does it move? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from accel.core import Record
from accel.limits import CLASSES, MOTION
from accel.summary import input_name
from accel.verdict import Check, Family, Status

__all__ = ["frozen_inputs", "motion"]

Numbers = Mapping[str, Any]


def motion(now: Numbers, before: Numbers, whose: str, name: Family) -> Check:
    """Whether the motion class, of many inputs the most frequent one, is no worse than before."""
    for holder, numbers in (("this record", now), (whose, before)):
        if numbers.get("motion_class") not in CLASSES:
            found = numbers.get("motion_class", "absent")
            text = f"motion_class is {found} in {holder}, not one of {', '.join(CLASSES)}"
            return Check(name, "motion_class", "missing", text)
    old, new = before["motion_class"], now["motion_class"]
    status = MOTION.get((old, new), "pass")
    start = "the video is frozen: " if status == "collapsed" else ""
    return Check(name, "motion_class", status, f"{start}motion_class is {new}, {old} in {whose}")


def frozen_inputs(record: Record) -> Iterator[Check]:
    """A check that fails if one of many videos stands still where the reference's moves.

    The most frequent class does not tell of it. Jerks and flicker do count by the most frequent
    one: of a single video that word may be the metric's mistake.
    """
    asked, rows = record.metrics.get("inputs", 1), record.samples.get("inputs", ())
    if asked == 1:
        return
    if len(rows) != asked:
        text = f"the record has the scores of {len(rows)} of {asked:.0f} inputs"
        yield Check("collapse", "motion_class.inputs", "missing", text)
        return
    frozen = [input_name(row["image"], row["seed"]) for row in rows if _is_frozen(row)]
    status: Status = "collapsed" if frozen else "pass"
    text = "no video stands still where the reference's moves"
    if frozen:
        more = f", and {len(frozen) - 1} more of {len(rows)} inputs" if frozen[1:] else ""
        text = f"the video is frozen, and the reference's moves: {frozen[0]}{more}"
    yield Check("collapse", "motion_class.inputs", status, text)


def _is_frozen(row: Mapping[str, Any]) -> bool:
    pair = tuple(row[whose].get("motion_class") for whose in ("reference", "scores"))
    return MOTION.get(pair) == "collapsed"

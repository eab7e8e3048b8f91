"""Cold start, judged: what a fresh process waits for, and what another size costs. Pure.

A method that compiles is asked, where `--cold` measured it (accel.cold_start):

1. Does each size it has not seen cost the graphs that the method expects, and one it has seen none?
2. Does a fresh process find its graphs in inductor's cache on disk?
3. Is its start, over the reference's in the same run, what it was in the baseline? On a GPU alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from accel.core import Record
from accel.limits import COLD_RATIO, COLD_SECONDS
from accel.verdict import Check, Status

__all__ = ["judge"]

Cold = Mapping[str, Any]
"""{"seconds": 31.0, "reference": 6.0, "misses": 0, "sizes": [[1088, 576], ...],
"graphs": [1, 1, 0], "expected": [1, 1, 0]}, or {"error": "..."} where it failed."""


def judge(record: Record, baseline: Record | None) -> Iterator[Check]:
    """Nothing where no cold start was measured. baseline: a comparable one, or None."""
    found = record.samples.get("cold")
    if not found:
        return
    if "error" in found:
        text = f"a cold start failed: {found['error']}; the same command measures it again"
        yield Check("speed", "cold.start", "missing", text)
        return
    yield _recompiles(found)
    yield _cache(found)
    if record.hardware != "cpu" and baseline is not None:
        yield _start(found, baseline.samples.get("cold"))


def _recompiles(found: Cold) -> Check:
    sizes = ", ".join(f"{width}x{height}" for width, height in found["sizes"])
    text = f"the sizes {sizes} compiled {found['graphs']} graphs, expected: {found['expected']}"
    status: Status = "pass" if found["graphs"] == found["expected"] else "regressed"
    return Check("speed", "cold.graphs", status, text)


def _cache(found: Cold) -> Check:
    misses = found["misses"]
    status: Status = "pass" if misses == 0 else "regressed"
    text = f"a fresh process compiled {misses} graphs anew that the cache on disk should hold"
    return Check("speed", "cold.misses", status, f"{text}, allowed: 0")


def _start(found: Cold, before: Cold | None) -> Check:
    """By the ratio to the reference's start, for seconds differ between machines."""
    if not before or "error" in before:
        text = "cold.start is absent in the baseline; write it with `accel refresh --cold`"
        return Check("speed", "cold.start", "missing", text)
    ratio, old = (one["seconds"] / one["reference"] for one in (found, before))
    allowed = max(COLD_RATIO * old, COLD_SECONDS / found["reference"])
    status: Status = "pass" if abs(ratio - old) <= allowed else "regressed"
    if ratio < old - allowed:
        status = "improved"
    text = f"cold.start takes {ratio:.3g} times the reference's {found['reference']:.1f} s, was "
    text += f"{old:.3g} in the baseline: {ratio - old:+.2g}, allowed {allowed:.2g}"
    return Check("speed", "cold.start", status, text, abs(ratio - old) / allowed - 1)

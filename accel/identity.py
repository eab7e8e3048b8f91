"""What makes two records records of one thing. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from accel.core import Record

__all__ = ["changes", "incomparable"]


def incomparable(record: Record, baseline: Record | None, whose: str) -> str:
    """Why there is nothing to compare with; empty if there is."""
    if baseline is None:
        return f"no baseline for {record.hardware}; write one with `accel refresh`, then review it"
    found = ", ".join(changes(_identity(baseline), _identity(record)))
    return found and f"not comparable with {whose}: {found}; measure the same, or refresh"


def _identity(record: Record) -> dict[str, Any]:
    """What must be equal for two records to be compared: recipe, hardware, metric networks.

    A picture that was given by path is known by its pixels, a set by its pictures.
    """
    networks = record.fingerprint.get("metrics", {})
    request = record.full_request
    request["image"] = record.fingerprint.get("image") or request.get("image")
    return {
        **{n: getattr(record, n) for n in ("hardware", "group", "case", "method", "fidelity")},
        **{f"request.{name}": value for name, value in request.items()},
        **{f"metrics.{name}": value for name, value in networks.items()},
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs, as in `torch 2.11.0 -> 2.15.0`; equal is what is equal as JSON."""
    for name in sorted({*before, *now}):
        pair = [json.dumps(side.get(name), sort_keys=True) for side in (before, now)]
        if pair[0] != pair[1]:
            yield f"{name} {before.get(name)} -> {now.get(name)}"

"""What makes two records records of one thing. Pure, but that it imports the methods."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from accel.core import Method, Record
from accel.errors import InvalidRequestError
from accel.methods import method_of

__all__ = ["changes", "incomparable", "same_method"]

DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def incomparable(record: Record, baseline: Record | None, whose: str) -> str:
    """Why there is nothing to compare with; empty if there is."""
    if baseline is None:
        return f"no baseline for {record.hardware}; write one with `accel refresh`, then review it"
    then, now = _identity(baseline), _identity(record)
    if same_method(baseline, record):
        then["method"] = now["method"]
    if all("weights" in one.fingerprint for one in (baseline, record)):
        then |= _weights(baseline)
        now |= _weights(record)
    found = ", ".join(changes(then, now))
    return found and f"not comparable with {whose}: {found}; measure the same, or refresh"


def same_method(record: Record, other: Record | Method) -> bool:
    """Whether a record's method is that of another record, or `other` itself, as today's code
    reads it: a field that came later has its default in a text without it.

    A text that does not evaluate any more is equal to itself alone.
    """
    text = other.method if isinstance(other, Record) else repr(other)
    if record.method == text:
        return True
    try:
        return method_of(record) == (method_of(other) if isinstance(other, Record) else other)
    except InvalidRequestError:
        return False


def _weights(record: Record) -> dict[str, Any]:
    return {f"weights.{name}": sha for name, sha in record.fingerprint["weights"].items()}


def _identity(record: Record) -> dict[str, Any]:
    """What must be equal for two records to be compared: recipe, hardware, metric networks.

    The weights come on top where both records tell them; records before them do not.

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
    """What differs, as in `torch 2.11.0 -> 2.15.0`; equal is what is equal as JSON.

    Of a sha256 the first 12 digits are shown.
    """
    for name in sorted({*before, *now}):
        pair = [json.dumps(side.get(name), sort_keys=True) for side in (before, now)]
        if pair[0] != pair[1]:
            yield DIGEST.sub(r"\1…", f"{name} {before.get(name)} -> {now.get(name)}")

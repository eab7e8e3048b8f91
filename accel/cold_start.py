"""Cold start, measured: fresh processes while inductor's cache is warm, and three sizes in one."""

from __future__ import annotations

from typing import Any

from accel.core import Case, Request
from accel.launch import Launcher

__all__ = ["measure"]

STEP = 64
"""Pixels that a size is changed by; every UNet here takes multiples of it."""


def measure(
    launcher: Launcher, case: Case, reference: Case, asked: list[Request]
) -> dict[str, Any]:
    """What accel.cold judges, of a case that was measured before, so that the cache is filled.

    Seconds are those of load, edit and warm-up in a process that has imported torch.
    """
    with (plain := launcher.side(reference, asked)).worker:
        pass
    with (side := launcher.side(case, asked)).worker:
        request = case.request
        sizes = _sizes(request.width, request.height)
        launcher.progress(f"{case.id}: three sizes")
        found = side.worker.sizes(sizes)
    each = side.expected["compiled_graphs"]
    return {
        "seconds": sum(side.preparation.values()),
        "reference": sum(plain.preparation.values()),
        "sizes": sizes,
        "expected": [each, each, 0],
        **found,
    }


def _sizes(width: int, height: int) -> list[list[int]]:
    """Two that a process of width x height has not seen, and that one again."""
    return [[width + STEP, height], [width, height + STEP], [width, height]]

"""`pytest -m gpu -n auto`: one xdist worker on each GPU, all checks of a case on one worker, the
longest cases first. Nothing here imports torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from accel import baselines
from accel.core import Case
from accel.gpus import visible
from accel.verdict import Family

__all__ = ["estimate", "place", "scheduler", "sort", "wants_gpus"]

PIXELS_PER_SECOND = 2e7
"""Of the size of a video times its steps: what svd-xt without any method does on an H200."""

FAMILY = re.compile(rf"\b({'|'.join(get_args(Family))})\b")
"""Where a test's id names the family of checks that it judges."""


def wants_gpus(config: pytest.Config) -> bool:
    """Whether -m asks for the tests that are marked gpu: it says `gpu`, and not `not gpu`."""
    return bool(re.search(r"(?<!\bnot )\bgpu\b", config.getoption("markexpr")))


def place(config: pytest.Config) -> None:
    """Start each xdist worker with a GPU of its own in CUDA_VISIBLE_DEVICES.

    The environment is part of the worker's specification, so that it is there before the worker
    imports anything. Workers that were asked for by --tx are left alone, and so are all where
    there is no GPU at all. A worker that crashes ends the run: xdist would start another, and may
    then wait for ever (seen with 3.8 where few tests were left).

    Raises pytest.UsageError for more workers than GPUs: two on one would measure each other.
    """
    option = config.option
    if hasattr(config, "workerinput") or not getattr(option, "numprocesses", None):
        return
    if not wants_gpus(config) or not (gpus := visible()):
        return
    if (count := len(option.tx)) > len(gpus):
        raise pytest.UsageError(
            f"-n: {count} workers for {len(gpus)} visible GPU(s); at most one measures on each, so "
            "give -n auto"
        )
    option.tx = [f"popen//env:CUDA_VISIBLE_DEVICES={gpu}" for gpu in gpus[:count]]
    option.loadscopereorder = False  # the order of `sort` stays
    option.maxworkerrestart = option.maxworkerrestart or "0"


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out tests whose ids differ by their family alone as one piece, so that a case is
    measured once. xdist's own groups (--dist loadgroup) do nothing with pytest 9.2: its ids can
    no longer be changed, and xdist 3.8 tells groups by changing them (its issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class CaseScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
        def _split_scope(self, nodeid: str) -> str:
            return FAMILY.sub("", nodeid)

    return CaseScheduling(config, log)


def sort(items: list[pytest.Item], root: Path, pairs: int) -> None:
    """The longest cases first, so that no GPU ends with a long one while the others idle.

    A test's case is the accel.core.Case among its parameters; tests without one come last. All
    workers find one order, whatever their GPUs. root: folder of the baselines.
    """
    cases = {item: case for item in items if (case := _case_of(item))}
    seconds = {case: estimate(case, root, pairs) for case in {*cases.values()}}
    items.sort(key=lambda item: -seconds[cases[item]] if item in cases else 0)


def estimate(case: Case, root: Path, pairs: int) -> float:
    """About how many seconds the case takes: by its slowest baseline on a GPU, else by its size."""
    found = root.glob(f"*/{case.group}/{case.id}.json")
    known = [_seconds(path, pairs) for path in found if path.parts[-3] != "cpu"]
    request = case.request
    pixels = request.width * request.height * request.frames * request.steps
    return max(known, default=2 * pairs * pixels / PIXELS_PER_SECOND)


def _seconds(path: Path, pairs: int) -> float:
    """Preparation and the pairs; the reference's own case has no partner."""
    record = baselines.read(path)
    sides = [record.metrics] if record.is_reference else [record.metrics, record.reference]
    each = sum(float(side.get("seconds", 0)) for side in sides)
    return pairs * each + float(record.metrics.get("preparation_seconds", 0))


def _case_of(item: pytest.Item) -> Case | None:
    called = getattr(item, "callspec", None)
    given = called.params.values() if called else ()
    return next((value for value in given if isinstance(value, Case)), None)

"""A GPU that is played: the tiny pipeline on a clock that only its denoiser and sleeping move."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accel.core import Case, Request
from accel.methods.surgery import wrap
from accel.models import default_request
from tests.local_worker import LocalWorker

REQUEST = default_request("svd", "mini", frames=2, steps=2, latents_only=True)

CALL = 0.1
"""Seconds of one denoiser call."""


class PlayedWorker(LocalWorker):
    """It says that it is a GPU's, and tells of its memory one number that never moves."""

    def load(self, case: Case) -> dict[str, Any]:
        def timed(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                time.sleep(CALL)
                return inner(*args, **kwargs)

            return call

        loaded = super().load(case)
        wrap(self.session.pipeline.denoiser, "forward", timed)
        return {**loaded, "fingerprint": {**loaded["fingerprint"], "hardware": "nvidia-h200"}}

    def generate(self, request: Request, frames: Path | None = None) -> dict[str, Any]:
        answer = super().generate(request, frames)
        memory = {"memory": {"peak": {"allocated_mib": 100.0}}, "grown_mib": 0.0}
        return {**answer, "sample": {**answer["sample"], **memory}}


def play(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are played ones, and time is theirs."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr("accel.launch.Worker", PlayedWorker)

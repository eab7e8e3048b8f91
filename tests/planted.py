"""Methods that do harm on purpose: what the gate and the runner must catch."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from accel.core import Counters, Fidelity, Method
from accel.models.svd import Pipeline


@dataclass(frozen=True)
class Planted(Method):
    """kind: one of EDITS (done to the finished video) or ACTIONS (done while applying).

    seed: of the only videos that an edit is done to; None for all.
    """

    kind: str
    seed: int | None = None

    name: ClassVar[str] = "planted"
    source: ClassVar[str] = "tests"
    fidelity: ClassVar[Fidelity] = "faithful"

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"denoiser_calls": 1} if self.kind == "nothing" else {}

    def apply(self, pipeline: Pipeline) -> None:
        if self.kind in EDITS:
            inner, edit = pipeline.generate, EDITS[self.kind]
            pipeline.generate = lambda request: (
                edit(inner(request)) if self.seed in (None, request.seed) else inner(request)
            )
        elif self.kind != "nothing":
            ACTIONS[self.kind]()


def _frozen(video: torch.Tensor) -> torch.Tensor:
    return video[:1].expand_as(video).clone()


EDITS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "black": torch.zeros_like,
    "grey": lambda video: torch.full_like(video, 0.5),
    "nan": lambda video: torch.full_like(video, torch.nan),
    "frozen": _frozen,
}

ACTIONS: dict[str, Callable[[], object]] = {
    "unnoticed": lambda: None,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hungry": lambda: torch.empty(
        1 << 50, dtype=torch.uint8, device="cuda" if torch.cuda.is_available() else "cpu"
    ),
    "hung": lambda: time.sleep(60),
    "broken": lambda: {}["no such key"],
}

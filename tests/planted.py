"""Methods whose worker fails: what the runner must survive. Bad videos are in accel.prove."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from accel.core import Fidelity, Method
from accel.models.svd import Pipeline


@dataclass(frozen=True)
class Planted(Method):
    """kind: one of ACTIONS, done while applying."""

    kind: str

    name: ClassVar[str] = "planted"
    source: ClassVar[str] = "tests"
    fidelity: ClassVar[Fidelity] = "faithful"

    def apply(self, pipeline: Pipeline) -> None:
        ACTIONS[self.kind]()


ACTIONS: dict[str, Callable[[], object]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hungry": lambda: torch.empty(
        1 << 50, dtype=torch.uint8, device="cuda" if torch.cuda.is_available() else "cpu"
    ),
    "hung": lambda: time.sleep(60),
    "broken": lambda: {}["no such key"],
}


@dataclass(frozen=True)
class OneBlack(Method):
    """Makes the videos of one seed black, and no others."""

    seed: int

    name: ClassVar[str] = "one_black"
    source: ClassVar[str] = "tests"
    fidelity: ClassVar[Fidelity] = "faithful"

    def apply(self, pipeline: Pipeline) -> None:
        inner = pipeline.generate
        pipeline.generate = lambda request: inner(request) * (request.seed != self.seed)

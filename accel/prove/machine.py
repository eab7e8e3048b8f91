"""Defects of the machine, and of what single calls can tell: no speed-up may be believed there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from accel.core import Request
from accel.errors import CaseError
from accel.methods.surgery import wrap
from accel.prove.costs import dawdle
from accel.prove.defect import Catch, Defect

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Crowded", "Hidden"]

HIDDEN = 0.5
"""Of a denoiser call's own time."""

OTHER = """
import sys, torch
held = torch.zeros(1, device="cuda")
print("there", flush=True)
sys.stdin.read()
"""
"""A process that has a context on the GPU until whoever started it ends."""


class Crowded(Defect):
    """Another process is on the GPU."""

    name = "crowded"
    fidelity = "exact"
    caught_by = (
        Catch(
            "speed", "blocks_rejected", "of the blocks were rejected", "processes", "inconclusive"
        ),
    )

    def plant(self, pipeline: Pipeline) -> None:
        pipe = subprocess.PIPE
        other = subprocess.Popen([sys.executable, "-c", OTHER], stdin=pipe, stdout=pipe, text=True)
        assert other.stdout is not None
        if not other.stdout.readline():
            raise CaseError("no other process came onto the GPU; the worker's log says why")
        inner = pipeline.generate

        def crowded(request: Request) -> torch.Tensor:
            other.poll()  # who holds it keeps its pipe open, and so keeps it there
            return inner(request)

        pipeline.generate = crowded


class Hidden(Defect):
    """Denoiser calls take half as long again, but only within a whole generation."""

    name = "hidden"
    fidelity = "exact"
    caught_by = (Catch("speed", "composition", "single calls tell", "blocks", "inconclusive"),)

    def plant(self, pipeline: Pipeline) -> None:
        whole = False
        generate = pipeline.generate

        def hidden(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                start = time.perf_counter()
                output = inner(*args, **kwargs)
                if whole:
                    dawdle(start, HIDDEN, pipeline.device)
                return output

            return call

        def generation(request: Request) -> torch.Tensor:
            nonlocal whole
            whole = True
            video = generate(request)
            whole = False
            return video

        wrap(pipeline.denoiser, "forward", hidden)
        pipeline.generate = generation

"""The process in which one case lives: `python -m accel.worker auto|cpu|cuda`.

One JSON request a line on standard input, one answer a line on standard output:

    {"verb": "load", "model": ..., "weights": ..., "path": ..., "request": {...}}
    {"verb": "apply", "method": "FewerSteps(steps=15)", "modules": ["accel.methods.fewer_steps"]}
    {"verb": "warm"}
    {"verb": "generate", "frames": "frames/x.npy" or null}
    {"verb": "close"}

The answer is {"ok": {...}} or {"error": {"type": ..., "message": ..., "traceback": ...}}. Whatever
else the process prints goes to its standard error, which is the worker's log.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accel.core import Case, Request
from accel.environment import fingerprint
from accel.errors import NotSupportedError
from accel.measure import Probe, base_counters
from accel.methods import from_repr
from accel.methods.reference import Reference
from accel.models.sources import load
from accel.models.svd import Pipeline

__all__ = ["main"]

Message = dict[str, Any]


class Session:
    """One pipeline from load to close; each public method is a verb."""

    def __init__(self, device: str) -> None:
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = automatic if device == "auto" else device
        self.pipeline: Pipeline
        self.probe: Probe

    def load(self, model: str, weights: Any, path: str | None, request: Message) -> Message:
        """A fresh pipeline on the device."""
        start = time.perf_counter()
        case = Case(model, weights, Request(**request), Reference(), path)
        self.pipeline = load(case, self.device)
        parameters = sum(p.numel() for p in self.pipeline.denoiser.parameters())
        return {
            "seconds": time.perf_counter() - start,
            "parameters": parameters,
            "fingerprint": fingerprint(self.device),
        }

    def apply(self, method: str, modules: list[str]) -> Message:
        """Edit the pipeline; tells the counters that are expected of it."""
        edit = from_repr(method, modules)
        if reason := edit.refuses(self.pipeline):
            raise NotSupportedError(f"{edit.name} refuses this pipeline: {reason}")
        expected = {**base_counters(self.pipeline), **edit.expected(self.pipeline)}
        start = time.perf_counter()
        edit.apply(self.pipeline)
        if self.device != "cpu":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        self.probe = Probe(self.pipeline)
        return {"seconds": seconds, "expected": expected}

    def warm(self) -> Message:
        """A short generation of the same shapes."""
        return {"seconds": self.probe.warm()}

    def generate(self, frames: str | None) -> Message:
        """One measured generation; writes its frames, float16 [T, H, W, 3], if given a path."""
        sample, video = self.probe.generate()
        if frames is not None:
            _write_frames(video, Path(frames))
        return {"sample": sample, "counters": self.probe.counters()}


def main() -> None:
    """Answer until `close` or the end of the input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    session = Session(sys.argv[1])
    for line in sys.stdin:
        message = json.loads(line)
        verb = message.pop("verb")
        if verb == "close":
            break
        answers.write(json.dumps(_answer(getattr(session, verb), message)) + "\n")


def _answer(verb: Callable[..., Message], message: Message) -> Message:
    """The verb's result, or its error as data: the parent raises it again with its type."""
    try:
        return {"ok": verb(**message)}
    except Exception as error:  # the boundary between two processes; nothing is hidden here
        traceback.print_exc()
        return {"error": {"type": _error_type(error), "message": str(error)}}


def _error_type(error: Exception) -> str:
    out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
    return "OutOfMemoryError" if out_of_memory else type(error).__name__


def _write_frames(video: torch.Tensor, path: Path) -> None:
    """[T, 3, H, W] on any device -> float16 [T, H, W, 3] in a file that is whole or not there."""
    frames = video.permute(0, 2, 3, 1).to("cpu", torch.float16).numpy()
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.save(file, frames)
    temporary.replace(path)


if __name__ == "__main__":
    main()

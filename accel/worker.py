"""The process in which one case lives: it loads, edits and generates on its parent's word.

One JSON request and one JSON answer at a time, over a pipe (accel.pool holds its other end):

    {"verb": "load", "model": ..., "weights": ..., "path": ..., "request": {...}, "vram_cap": null}
    {"verb": "apply", "method": "FewerSteps(steps=15)", "modules": ["accel.methods.fewer_steps"]}
    {"verb": "warm"}
    {"verb": "calls", "stage": "denoise" or null}
    {"verb": "sizes", "sizes": [[1088, 576], [1024, 640]]}
    {"verb": "generate", "image": "coffee", "seed": 0, "frames": "frames/x.npy" or null}

The answer is {"ok": {...}} or {"error": {"type": ..., "message": ...}}. Whatever the process
prints, tracebacks among it, goes to its log.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accel.core import Case, Request
from accel.environment import fingerprint, tf32_state
from accel.errors import NotSupportedError, cannot_write
from accel.measure import Probe, base_counters
from accel.methods import from_repr
from accel.methods.reference import Reference
from accel.models.sources import load
from accel.models.svd import Pipeline
from accel.vram import limit, out_of_memory

__all__ = ["serve"]

Message = dict[str, Any]

CPU_THREADS = 4
"""At most so many of torch's beside a GPU. With a thread on each of 32 cores the preparation of the
image, 0.024 s on an idle host, took 0.1 to 0.4 s while another process used a few of them: every
parallel loop waits for its last thread."""

PARENT_DEATH_SIGNAL = 1
"""Linux's PR_SET_PDEATHSIG."""


class Session:
    """One pipeline from load to close; each public method is a verb."""

    def __init__(self, device: str) -> None:
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = automatic if device == "auto" else device
        self.vram_cap: float | None = None
        self.pipeline: Pipeline
        self.probe: Probe

    def load(
        self, model: str, weights: Any, path: str | None, request: Message, vram_cap: float | None
    ) -> Message:
        """A fresh pipeline on the device; vram_cap: GiB that the process may take of it."""
        if vram_cap is not None:
            limit(self.device, vram_cap)
            self.vram_cap = vram_cap
        if self.device != "cpu":
            torch.set_num_threads(min(CPU_THREADS, torch.get_num_threads()))
        found = fingerprint(self.device)
        start = time.perf_counter()
        case = Case(model, weights, Request(**request), Reference(), path)
        self.pipeline = load(case, self.device)
        return {"seconds": time.perf_counter() - start, "fingerprint": found}

    def apply(self, method: str, modules: list[str]) -> Message:
        """Edit the pipeline; tells the counters that are expected of it, and TF32 as it left it."""
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
        return {"seconds": seconds, "expected": expected, "tf32": tf32_state()}

    def warm(self) -> Message:
        """A short generation of the same shapes."""
        return {"seconds": self.probe.warm()}

    def generate(self, image: str, seed: int, frames: str | None) -> Message:
        """One measured generation; writes its frames, float16 [T, H, W, 3], if given a path."""
        self.pipeline.take(image, seed)
        sample, video = self.probe.generate()
        if frames is not None:
            _write_frames(video, Path(frames))
        del video
        if (grown := self.probe.grown()) is not None:
            sample["grown_mib"] = grown
        return {"sample": sample, "counters": self.probe.counters()}

    def calls(self, stage: str | None) -> Message:
        """One call of each kind that a generation makes, by itself; of one stage, or of all."""
        return {"seconds": self.probe.calls.seconds(stage)}

    def sizes(self, sizes: list[list[int]]) -> Message:
        """Graphs compiled at each width and height in turn; before, those the cache missed."""
        misses = self.probe.cache_misses()
        return {"misses": misses, "graphs": [self.probe.resized(*size) for size in sizes]}


def serve(pipe: Connection, log: str, device: str) -> None:
    """Answer until the parent closes its end; device: "cpu", "cuda" or "auto"."""
    _follow_the_parent()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    session = Session(device)
    with suppress(EOFError):
        while True:
            message = json.loads(pipe.recv_bytes())
            pipe.send_bytes(json.dumps(_answer(session, message.pop("verb"), message)).encode())


def _follow_the_parent() -> None:
    """End when the parent does, in the middle of a generation or stopped, too; Ctrl-C reaches the
    whole group of processes, and the parent alone decides what comes of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _answer(session: Session, verb: str, message: Message) -> Message:
    """The verb's result, or its error as data: the parent raises it again with its type."""
    try:
        return {"ok": getattr(session, verb)(**message)}
    except Exception as error:  # the boundary between two processes; nothing is hidden here
        with suppress(OSError):  # on a full disk; the parent is told anyway
            traceback.print_exc()
        kind, text = _error_type(error), str(error)
        if kind == "OutOfMemoryError":
            text = out_of_memory(session.vram_cap, text)
        return {"error": {"type": kind, "message": text}}


def _error_type(error: Exception) -> str:
    out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
    return "OutOfMemoryError" if out_of_memory else type(error).__name__


def _write_frames(video: torch.Tensor, path: Path) -> None:
    """[T, 3, H, W] on any device -> float16 [T, H, W, 3] in a file that is whole or not there.

    Raises OutputError if it cannot be written: then no case can be measured.
    """
    frames = video.permute(0, 2, 3, 1).to("cpu", torch.float16).numpy()
    temporary = path.with_suffix(f".{os.getpid()}.part")
    try:
        try:
            with temporary.open("wb") as file:
                np.save(file, frames)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error

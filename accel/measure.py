"""What one generation took: synchronised seconds, stages, peak memory per stage, counters.

Runs inside the worker. A sample is the raw measurement of one generation, JSON-ready:

    {"seconds": 17.9, "stages": {"denoise": [0.64, ...], ...},
     "memory": {"denoise": {"allocated_mib": 12311.0, ...}, "peak": {...}},
     "grown_mib": 0.0}

The last one the worker adds, when it has written the frames and let go of them.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from accel.core import Counters
from accel.methods.int8_weight_only import count_int8_linears
from accel.methods.surgery import wrap
from accel.models.svd import Pipeline

__all__ = ["Probe", "Sample", "base_counters"]

Sample = dict[str, Any]
MIB = 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""

GRAPH_CALLS = 3
"""A CUDA graph runs, then records, then replays: a decoder's, one step in each generation."""


def base_counters(pipeline: Pipeline) -> Counters:
    """The counters of an unedited pipeline; a method's `expected` is laid over them."""
    return {
        "denoiser_calls": pipeline.request.steps,
        "int8_linears": 0,
        "compiled_graphs": 0,
        "graph_breaks": 0,
        "recompiles": 0,
    }


class Meter(Protocol):
    """Peak memory since the last reset, by kind, in MiB."""

    def reset(self) -> None: ...
    def read(self) -> dict[str, float]: ...


class CudaMeter:
    """Tensors (allocated) and the allocator's segments (reserved).

    The process as NVML sees it is watched by the parent: segments are not given back between
    stages, so that it has one peak for the whole generation.
    """

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats()

    def read(self) -> dict[str, float]:
        return {
            "allocated_mib": torch.cuda.max_memory_allocated() / MIB,
            "reserved_mib": torch.cuda.max_memory_reserved() / MIB,
        }


class RssMeter:
    """Peak resident set size of the process, from Linux's /proc; elsewhere nothing is read.

    File-backed pages are left out: how many pages of torch's libraries are mapped depends on what
    lies in the page cache, and differed by 170 MiB between a fresh installation and an old one.
    The rest tells what is in use only while malloc gives back what is freed: see
    `freed_is_returned`.
    """

    status = Path("/proc/self/status")
    clear = Path("/proc/self/clear_refs")

    def reset(self) -> None:
        if self.clear.exists():
            self.clear.write_text("5")

    def read(self) -> dict[str, float]:
        if not self.clear.exists():
            return {}
        fields = dict(line.split(":") for line in self.status.read_text().splitlines())
        peak, files = (int(fields[name].split()[0]) for name in ("VmHWM", "RssFile"))
        return {"rss_mib": (peak - files) / 1024}


@contextmanager
def freed_is_returned() -> Iterator[None]:
    """glibc maps every block of 1 MiB or more by itself, so that freeing it shrinks the process.

    Else malloc keeps freed blocks, and the peak of one and the same warm-up of the mini model
    varied by 20 %; so it varies by 1 %, in twice the time. Afterwards malloc keeps what is freed,
    up to 1 GiB, and generations are as fast as before or faster. Another C library is left as it
    is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, MIB)
    mallopt(M_TRIM_THRESHOLD, MIB)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, 32 * MIB)
        mallopt(M_TRIM_THRESHOLD, 1024 * MIB)


class _Mallinfo(ctypes.Structure):
    """What glibc's mallinfo2 returns, in bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def in_use(device: torch.device) -> float | None:
    """MiB that somebody still holds: of torch's allocator on a GPU, of glibc's malloc on a CPU.

    None with another C library, or one before 2.33. Unlike the resident set it does not count
    what malloc keeps for later, so that it is the same after each of two equal generations.
    """
    gc.collect()
    if device.type == "cuda":
        return torch.cuda.memory_allocated() / MIB
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return None
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return float(found.uordblks + found.hblkhd) / MIB


@dataclass
class _Mark:
    """The start and the end of one call of a stage."""

    stage: str
    start: Any
    end: Any = None


class Probe:
    """Wraps the stages of a pipeline and measures its generations.

    Wrap it around the pipeline after the method was applied, so that nothing of the probe is
    compiled. Stages are timed with CUDA events on a GPU, which cost no synchronisation. Memory is
    that of each generation on a GPU, and that of the warm-up, whose shapes are the same, on a CPU.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.cuda = pipeline.device.type == "cuda"
        self.meter: Meter = CudaMeter() if self.cuda else RssMeter()
        self.marks: list[_Mark] = []
        self.metered = False
        self.memory: dict[str, dict[str, float]] = {}
        self.held: float | None = None
        self.graphs_before, self.breaks_before = _graphs(), _breaks()
        self.graphs_when_warm = self.graphs_before
        for owner, attribute, stage in pipeline.stages():
            wrap(owner, attribute, self._staged(stage))

    def warm(self) -> float:
        """Warm up; seconds it took."""
        self._begin(metered=True)
        start = time.perf_counter()
        with nullcontext() if self.cuda else freed_is_returned():
            self.pipeline.warm()
        if self.cuda and _graphs() > self.graphs_before:
            torch.cuda.empty_cache()  # of what compiling left: less where inductor's cache was full
            for _ in range(GRAPH_CALLS - 1):
                self.pipeline.warm()
        self._synchronize()
        self._close_memory("other")
        self.graphs_when_warm = _graphs()
        seconds = time.perf_counter() - start
        self.grown()
        return seconds

    def generate(self) -> tuple[Sample, torch.Tensor]:
        """One measured generation, after the warm-up: its sample, and its frames on the device."""
        self._begin(metered=self.cuda)
        start = time.perf_counter()
        frames = self.pipeline.generate(self.pipeline.request)
        self._synchronize()
        seconds = time.perf_counter() - start
        self._close_memory("other")
        return {"seconds": seconds, "stages": self._seconds(), "memory": self._peaks()}, frames

    def grown(self) -> float | None:
        """MiB in use beyond what was when this was last asked, or after the warm-up.

        Ask when nobody holds the frames any more. None where nothing tells it.
        """
        before, self.held = self.held, in_use(self.pipeline.device)
        return None if before is None or self.held is None else self.held - before

    def counters(self) -> Counters:
        """What was observed in the last generation, under the names of `base_counters`."""
        return {
            "denoiser_calls": sum(mark.stage == "denoise" for mark in self.marks),
            "int8_linears": count_int8_linears(self.pipeline.denoiser),
            "compiled_graphs": self.graphs_when_warm - self.graphs_before,
            "graph_breaks": _breaks() - self.breaks_before,
            "recompiles": _graphs() - self.graphs_when_warm,
            **{name: tally() for name, tally in self.pipeline.tallies.items()},
        }

    def _staged(self, stage: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def wrapper(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                self._close_memory("other")
                mark = _Mark(stage, self._now())
                output = inner(*args, **kwargs)
                mark.end = self._now()
                self.marks.append(mark)
                self._close_memory(stage)
                return output

            return call

        return wrapper

    def _begin(self, *, metered: bool) -> None:
        self.marks, self.metered = [], metered
        if metered:
            self.memory = {}
        self._synchronize()
        self.meter.reset()

    def _now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _synchronize(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def _close_memory(self, stage: str) -> None:
        """The peak since the last call belongs to `stage`."""
        if not self.metered:
            return
        peak, seen = self.meter.read(), self.memory.setdefault(stage, {})
        self.memory[stage] = {kind: max(n, seen.get(kind, 0.0)) for kind, n in peak.items()}
        self.meter.reset()

    def _seconds(self) -> dict[str, list[float]]:
        stages: dict[str, list[float]] = {}
        for mark in self.marks:
            stages.setdefault(mark.stage, []).append(
                mark.start.elapsed_time(mark.end) / 1000 if self.cuda else mark.end - mark.start
            )
        return stages

    def _peaks(self) -> dict[str, dict[str, float]]:
        kinds = {kind for peak in self.memory.values() for kind in peak}
        overall = {k: max(p[k] for p in self.memory.values() if k in p) for k in sorted(kinds)}
        return {**self.memory, "peak": overall}


def _graphs() -> int:
    return int(_compiler_counts("stats").get("unique_graphs", 0))


def _breaks() -> int:
    return sum(_compiler_counts("graph_break").values())


def _compiler_counts(kind: str) -> dict[str, int]:
    """What torch.compile counted; importing it takes a second, and it is there if it was used."""
    utils = sys.modules.get("torch._dynamo.utils")
    return {} if utils is None else utils.counters[kind]

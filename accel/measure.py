"""What one generation took: synchronised seconds, stages, peak memory per stage, counters.

Runs inside the worker. A sample is the raw measurement of one generation, JSON-ready:

    {"seconds": 17.9, "stages": {"denoise": [0.64, ...], ...},
     "calls": {"denoise 2x25x8x72x128": 25, "decode 8x4x72x128": 3, ...}, "between": 0.05,
     "memory": {"denoise": {"allocated_mib": 12311.0, ...}, "peak": {...}},
     "grown_mib": 0.0}

`between` are the seconds outside of the calls that can be made one by one; of `stages` decoding is
one call, of `calls` each chunk is. The last field the worker adds, when it has written the frames
and let go of them.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from accel.calls import Calls, kind_of
from accel.core import Counters
from accel.memory import CudaMeter, Meter, RssMeter, freed_is_returned, in_use
from accel.methods.int8_weight_only import count_int8_linears
from accel.methods.surgery import Wrapper, wrap
from accel.models.svd import Pipeline

__all__ = ["Probe", "Sample", "base_counters"]

Sample = dict[str, Any]
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


@dataclass
class _Mark:
    """The start and the end of one call, of a stage or of a kind."""

    name: str
    start: Any
    end: Any

    @property
    def seconds(self) -> float:
        """To be asked when the device is done."""
        if isinstance(self.start, float):
            return float(self.end - self.start)
        return float(self.start.elapsed_time(self.end) / 1000)


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
        self.calls = Calls(pipeline.device, self._synchronize)
        self.staged: list[_Mark] = []
        self.called: list[_Mark] = []
        self.metered = False
        self.memory: dict[str, dict[str, float]] = {}
        self.held: float | None = None
        self.graphs_before, self.breaks_before = _graphs(), _breaks()
        self.graphs_when_warm = self.graphs_before
        self.misses_before = 0
        self.misses_before = self.cache_misses()
        for owner, attribute, stage in pipeline.calls():
            wrap(owner, attribute, self._kept(stage))
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

    def resized(self, width: int, height: int) -> int:
        """Graphs that a short generation of another size, in pixels, compiles."""
        before = _graphs()
        self.pipeline.resize(width, height)
        self.pipeline.warm()
        return _graphs() - before

    def cache_misses(self) -> int:
        """Graphs that inductor did not find in its cache on disk, or could not look for, so far."""
        if _cache_is_off():
            return _graphs() - self.graphs_before
        counts = _compiler_counts("inductor")
        found = sum(counts.get(f"fxgraph_cache_{how}", 0) for how in ("miss", "bypass"))
        return int(found) - self.misses_before

    def generate(self) -> tuple[Sample, torch.Tensor]:
        """One measured generation, after the warm-up: its sample, and its frames on the device."""
        self._begin(metered=self.cuda)
        start = time.perf_counter()
        frames = self.pipeline.generate(self.pipeline.request)
        self._synchronize()
        seconds = time.perf_counter() - start
        self._close_memory("other")
        stages: dict[str, list[float]] = {}
        for mark in self.staged:
            stages.setdefault(mark.name, []).append(mark.seconds)
        sample = {
            "seconds": seconds,
            "stages": stages,
            "calls": dict(Counter(mark.name for mark in self.called)),
            "between": seconds - sum(mark.seconds for mark in self.called),
            "memory": self._peaks(),
        }
        return sample, frames

    def grown(self) -> float | None:
        """MiB in use beyond what was when this was last asked, or after the warm-up.

        Ask when nobody holds the frames any more. None where nothing tells it.
        """
        before, self.held = self.held, in_use(self.pipeline.device)
        return None if before is None or self.held is None else self.held - before

    def counters(self) -> Counters:
        """What was observed in the last generation, under the names of `base_counters`."""
        return {
            "denoiser_calls": sum(mark.name == "denoise" for mark in self.staged),
            "int8_linears": count_int8_linears(self.pipeline.denoiser),
            "compiled_graphs": self.graphs_when_warm - self.graphs_before,
            "graph_breaks": _breaks() - self.breaks_before,
            "recompiles": _graphs() - self.graphs_when_warm,
            **{name: tally() for name, tally in self.pipeline.tallies.items()},
        }

    def _staged(self, stage: str) -> Wrapper:
        def wrapper(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                self._close_memory("other")
                output = self._timed(self.staged, stage, inner, args, kwargs)
                self._close_memory(stage)
                return output

            return call

        return wrapper

    def _kept(self, stage: str) -> Wrapper:
        def wrapper(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                kind = kind_of(stage, args, kwargs)
                self.calls.keep(kind, inner, args, kwargs)
                return self._timed(self.called, kind, inner, args, kwargs)

            return call

        return wrapper

    def _timed(
        self, marks: list[_Mark], name: str, inner: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        start = self._now()
        output = inner(*args, **kwargs)
        marks.append(_Mark(name, start, self._now()))
        return output

    def _begin(self, *, metered: bool) -> None:
        self.staged, self.called, self.metered = [], [], metered
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

    def _peaks(self) -> dict[str, dict[str, float]]:
        kinds = {kind for peak in self.memory.values() for kind in peak}
        overall = {k: max(p[k] for p in self.memory.values() if k in p) for k in sorted(kinds)}
        return {**self.memory, "peak": overall}


def _cache_is_off() -> bool:
    """Whether inductor, if it was used, keeps no graphs on disk; it counts no misses then."""
    config = sys.modules.get("torch._inductor.config")
    return config is not None and (config.force_disable_caches or not config.fx_graph_cache)


def _graphs() -> int:
    return int(_compiler_counts("stats").get("unique_graphs", 0))


def _breaks() -> int:
    return sum(_compiler_counts("graph_break").values())


def _compiler_counts(kind: str) -> dict[str, int]:
    """What torch.compile counted; importing it takes a second, and it is there if it was used."""
    utils = sys.modules.get("torch._dynamo.utils")
    return {} if utils is None else utils.counters[kind]

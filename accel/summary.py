"""From raw samples to the numbers of a record; pure, and free of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Any

from accel.core import Metrics
from accel.stats import estimate, log_ratios

__all__ = ["cost_metrics", "pair_metrics"]

REDUCE: dict[str, Callable[[list[float]], float]] = {
    "temperature_c": max,
    "sm_clock_mhz": median,
    "energy_j": fmean,
}

Samples = Sequence[dict[str, Any]]


def cost_metrics(samples: Samples, frames: int, preparation: dict[str, float]) -> Metrics:
    """Time, memory and telemetry of one side. Seconds are medians, peaks are maxima.

    samples: at least one, as accel.measure makes them, with "telemetry" added by the runner.
    preparation: seconds by name (apply, warm); loading is reported but is no preparation.
    """
    seconds = median(s["seconds"] for s in samples)
    metrics: Metrics = {
        "seconds": seconds,
        "s_per_frame": seconds / frames,
        "fps": frames / seconds,
        "preparation_seconds": preparation["apply"] + preparation["warm"],
    }
    for stage in samples[0]["stages"]:
        metrics[f"seconds.{stage}"] = median(sum(s["stages"][stage]) for s in samples)
    metrics["seconds.denoise_call"] = median(t for s in samples for t in s["stages"]["denoise"])
    return metrics | _memory(samples) | _telemetry(samples)


def pair_metrics(
    samples: Samples, reference: Samples, cost: Metrics, reference_cost: Metrics
) -> Metrics:
    """What only the pairs tell: the speed-up with its interval, and after how many videos the
    extra preparation is paid back (absent where nothing is saved)."""
    pairs = [(r["seconds"], s["seconds"]) for r, s in zip(reference, samples, strict=True)]
    speedup, low, high = (found := estimate(log_ratios(pairs))).speedup
    metrics: Metrics = {
        "speedup": speedup,
        "speedup_low": low,
        "speedup_high": high,
        "speedup_pairs": found.pairs,
    }
    extra = _difference(cost, reference_cost, "preparation_seconds")
    saved = -_difference(cost, reference_cost, "seconds")
    if saved > 0 and speedup > 1:
        metrics["break_even_videos"] = max(0, math.ceil(extra / saved))
    return metrics


def _memory(samples: Samples) -> Metrics:
    peaks: Metrics = {}
    for sample in samples:
        for stage, kinds in sample["memory"].items():
            for kind, mib in kinds.items():
                key = f"memory.{stage}.{kind}"
                peaks[key] = max(mib, float(peaks.get(key, 0.0)))
        if "process_mib" in sample["telemetry"]:
            key, mib = "memory.peak.process_mib", sample["telemetry"]["process_mib"]
            peaks[key] = max(mib, float(peaks.get(key, 0.0)))
    return peaks


def _telemetry(samples: Samples) -> Metrics:
    """Peak temperature, median clock and mean energy; fields that NVML does not give are absent."""
    found = {k: [s["telemetry"][k] for s in samples if k in s["telemetry"]] for k in REDUCE}
    return {key: float(REDUCE[key](values)) for key, values in found.items() if values}


def _difference(a: Metrics, b: Metrics, key: str) -> float:
    return float(a[key]) - float(b[key])

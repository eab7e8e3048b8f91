"""From raw samples to the numbers of a record; pure, and free of torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from accel.core import Metrics
from accel.stats import Estimate, estimate, log_ratios

__all__ = [
    "cost_metrics", "input_name", "of_inputs", "pair_metrics", "quality_metrics", "speedup_metrics",
]  # fmt: skip

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
    return metrics | _memory(samples) | _growth(samples) | _telemetry(samples)


def pair_metrics(
    samples: Samples, reference: Samples, cost: Metrics, reference_cost: Metrics
) -> Metrics:
    """What only the pairs tell: the speed-up with its interval, and after how many videos the
    extra preparation is paid back (absent where nothing is saved)."""
    pairs = [(r["seconds"], s["seconds"]) for r, s in zip(reference, samples, strict=True)]
    metrics = speedup_metrics(estimate(log_ratios(pairs)))
    extra = _difference(cost, reference_cost, "preparation_seconds")
    saved = -_difference(cost, reference_cost, "seconds")
    if saved > 0 and float(metrics["speedup"]) > 1:
        metrics["break_even_videos"] = max(0, math.ceil(extra / saved))
    return metrics


def speedup_metrics(found: Estimate) -> Metrics:
    """A speed-up, its interval, and the change that it could have told; one pair tells of none."""
    speedup, low, high = found.speedup
    metrics: Metrics = {
        "speedup": speedup,
        "speedup_low": low,
        "speedup_high": high,
        "speedup_pairs": found.pairs,
    }
    if math.isfinite(found.detectable):
        metrics["speedup_detectable"] = math.exp(found.detectable)
    return metrics


def input_name(image: str, seed: int) -> str:
    """What messages call an input: `chelsea, seed 1`. image: a bundled name, or a path."""
    return f"{Path(image).name}, seed {seed}"


def quality_metrics(rows: Sequence[Metrics], names: Sequence[str]) -> Metrics:
    """Quality over all inputs: a mean and its `_sd`, or the most frequent word and its `_share`.

    rows: of each input what accel.metrics.score tells; names: of the inputs. One row is taken as
    it is. What any input lacks is absent, and one video that is none is told in `sanity`, whatever
    the others are.
    """
    if len(rows) < 2:
        return dict(rows[0]) if rows else {}
    metrics: Metrics = {"inputs": len(rows), "sanity": _sanity(rows, names)}
    for name in (key for key in rows[0] if key != "sanity"):
        values = [row[name] for row in rows if name in row]
        if len(values) == len(rows):
            metrics |= _over_inputs(name, values)
    return metrics


def of_inputs(metrics: Metrics, name: str, form: Callable[[float], str]) -> str:
    """What follows a metric's value where there are many inputs: `± 0.031`, `in 75 %`; or nothing.

    form: writes a number of this metric.
    """
    if f"{name}_sd" in metrics:
        return f"± {form(float(metrics[f'{name}_sd']))}"
    share = metrics.get(f"{name}_share")
    return "" if share is None else f"in {float(share):.0%}".replace("%", " %")


def _sanity(rows: Sequence[Metrics], names: Sequence[str]) -> str:
    """The first defect with its input's name, and how many more there are."""
    bad = [f"{n}: {r['sanity']}" for n, r in zip(names, rows, strict=True) if r["sanity"] != "ok"]
    if len(bad) < 2:
        return bad[0] if bad else "ok"
    return f"{bad[0]}, and {len(bad) - 1} more of {len(rows)} inputs"


def _over_inputs(name: str, values: Sequence[float | str]) -> Metrics:
    if isinstance(values[0], str):
        word, count = Counter(values).most_common(1)[0]
        return {name: word, f"{name}_share": count / len(values)}
    numbers = [float(value) for value in values]
    return {name: fmean(numbers), f"{name}_sd": stdev(numbers)}


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


def _growth(samples: Samples) -> Metrics:
    """Least growth per generation: a leak grows with each of them, what is kept once with one."""
    grown = [s["grown_mib"] for s in samples if "grown_mib" in s]
    return {"memory.growth_mib": min(grown)} if grown else {}


def _telemetry(samples: Samples) -> Metrics:
    """Peak temperature, median clock and mean energy; fields that NVML does not give are absent."""
    found = {k: [s["telemetry"][k] for s in samples if k in s["telemetry"]] for k in REDUCE}
    return {key: float(REDUCE[key](values)) for key, values in found.items() if values}


def _difference(a: Metrics, b: Metrics, key: str) -> float:
    return float(a[key]) - float(b[key])

"""What to use: the Pareto front of measured methods, and one of it for a goal.

Three axes: speed-up over the reference, peak memory, and LPIPS to the reference. A method whose
gate failed is never advised, nor one that must fail where nobody judged it; each is named with its
reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log
from pathlib import Path
from typing import Literal, get_args

from accel.baselines import find, read
from accel.compare import judge_of, read_run
from accel.core import Record
from accel.errors import BaselineError, InvalidRequestError, unknown_name
from accel.limits import shown
from accel.methods import method_of
from accel.reading import is_judged
from accel.verdict import Verdict

__all__ = ["GOALS", "Advice", "Bounds", "Candidate", "advise", "front", "judged", "render"]

Goal = Literal["latency", "balance", "memory", "preview"]
GOALS: tuple[Goal, ...] = get_args(Goal)

MEMORY = ("memory.peak.process_mib", "memory.peak.allocated_mib", "memory.peak.rss_mib")
"""The first that a record has: what a card must hold, else what tensors take, else the process."""

LEAST = {"psnr": True, "ssim": True, "clip": True, "lpips": False, "tof": False, "tlpips": False}
"""Metrics that a bound may name: True for at least, False for at most."""

PRICE = 10.0
"""Of LPIPS in `balance`: 0.1 of it is worth a factor of e in speed."""


@dataclass(frozen=True)
class Candidate:
    """One method: speed-up, peak memory in MiB, LPIPS to the reference (None: not judged).

    That axis tells something only where all are judged, see `advise`.
    """

    record: Record
    speedup: float
    memory: float
    lpips: float | None

    @property
    def name(self) -> str:
        return self.record.slug

    @property
    def new_sample(self) -> bool:
        return self.record.fidelity == "new_sample"

    def beats(self, other: Candidate) -> bool:
        """No worse on any axis and better on one. Another sample beats no near one."""
        own, others = self._costs(), other._costs()
        if self.new_sample and not other.new_sample:
            return False
        return own != others and all(a <= b for a, b in zip(own, others, strict=True))

    def _costs(self) -> tuple[float, float, float]:
        return -self.speedup, self.memory, self.lpips if self.lpips is not None else 0.0


@dataclass(frozen=True)
class Bounds:
    """max_vram: GiB of peak memory. quality: metric to its worst allowed value, see LEAST.

    Raises InvalidRequestError for an unknown metric, and for a bound that bounds nothing.
    """

    max_vram: float | None = None
    quality: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if self.max_vram is not None and not 0 < self.max_vram < inf:
            raise InvalidRequestError(
                f"--max-vram {self.max_vram:g}: give GiB, a finite number above 0, or leave it out"
            )
        for metric, bound in (self.quality or {}).items():
            if metric not in LEAST:
                known = ", ".join(LEAST)
                raise InvalidRequestError(f"--min-quality {metric}: give one of {known}")
            if not isfinite(bound):
                text = f"--min-quality {metric}={bound:g}: give a finite number, or leave it out"
                raise InvalidRequestError(text)

    def broken(self, candidate: Candidate, quality: Mapping[str, object]) -> str | None:
        """Which bound the candidate breaks, or None."""
        if self.max_vram is not None and candidate.memory > self.max_vram * 1024:
            return f"takes {shown('memory', candidate.memory)}, over {self.max_vram:g} GiB"
        for metric, bound in (self.quality or {}).items():
            value = quality.get(metric)
            if not isinstance(value, int | float):
                return f"{metric} is not known"
            if value < bound if LEAST[metric] else value > bound:
                word = "below" if LEAST[metric] else "above"
                return f"{metric} is {shown(metric, value)}, {word} {shown(metric, bound)}"
        return None


@dataclass(frozen=True)
class Advice:
    """choice: None if nothing is allowed. left_out: name to reason."""

    choice: Candidate | None
    reason: str
    front: tuple[Candidate, ...]
    left_out: Mapping[str, str]


def judged(folder: Path, baselines: Path, request: str | None = None) -> list[Verdict]:
    """The verdicts of one request's records in a run folder, or in a folder of baselines.

    A method under --vram-cap is no other method, so that its records are left out.
    A record without a baseline is judged by its claims. request: as in a case id, after the @; by
    default that of the most records. Raises BaselineError without records, InvalidRequestError for
    a request that has none.
    """
    records = [r for r in _records(folder) if r.run.get("vram_cap") is None]
    if not records:
        raise BaselineError(f"{folder} holds records under --vram-cap alone; measure without it")
    counts = Counter(record.request_slug for record in records)
    request = request or counts.most_common(1)[0][0]
    if request not in counts:
        raise unknown_name("request", request, counts)
    asked = [record for record in records if record.request_slug == request]
    kept = [find(baselines, r.hardware, r.group, r.case) or r for r in asked]
    return [judge_of(r, method_of(r), b) for r, b in zip(asked, kept, strict=True)]


def _records(folder: Path) -> list[Record]:
    if (folder / "records").is_dir():
        return [*read_run(folder).values()]
    records = [read(path) for path in sorted(folder.glob("*.json"))]
    if not records:
        raise BaselineError(
            f"no records in {folder}; give a run folder, or one like "
            "baselines/nvidia-h200/svd-xt.untrained"
        )
    return records


def render(advice: Advice) -> str:
    """The reason, the front with its numbers, and what was left out."""
    lines = [advice.reason, "", "Pareto front (speed-up, peak memory, LPIPS to the reference):"]
    for one in advice.front:
        distance = "not judged" if one.lpips is None else f"{one.lpips:.4f}"
        chosen = "*" if one is advice.choice else " "
        lines.append(
            f"{chosen} {one.name:32} {one.speedup:6.2f}x {one.memory:8.0f} MiB  {distance}"
        )
    if advice.left_out:
        lines += ["", "left out:", *(f"  {n}: {why}" for n, why in advice.left_out.items())]
    return "\n".join(lines)


def front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that none of the others beats, fastest first."""
    kept = [c for c in candidates if not any(other.beats(c) for other in candidates)]
    return tuple(sorted(kept, key=lambda c: -c.speedup))


def advise(
    verdicts: Iterable[Verdict],
    goal: Goal,
    bounds: Bounds = Bounds(),
    stand_ins: Iterable[Verdict] = (),
) -> Advice:
    """The best method of one request's verdicts for a goal.

    stand_ins: verdicts of the same methods whose quality stands for that of untrained weights;
    where there are some, a method without quality is left out: it would count as a perfect one.
    Raises InvalidRequestError for a goal that needs quality where none is known.
    """
    seen = {verdict.record.slug: verdict for verdict in stand_ins}
    candidates: list[Candidate] = []
    left_out: dict[str, str] = {}
    for verdict in verdicts:
        name = verdict.record.slug
        judges = [verdict, seen[name]] if name in seen else [verdict]
        quality = _quality(judges[-1].record)
        candidate = _candidate(verdict.record, quality)
        if failed := next((v for v in judges if v.status not in ("pass", "improved")), None):
            left_out[name] = f"its gate says {failed.status}: {failed.lines[0]}"
        elif candidate is None:
            left_out[name] = "its record lacks the speed-up or the memory"
        elif ruin := _ruin(verdict.record, judges[-1].record):
            left_out[name] = ruin
        elif seen and candidate.lpips is None:
            left_out[name] = "its quality is not known: --quality holds no judged record of it"
        elif reason := bounds.broken(candidate, quality):
            left_out[name] = reason
        else:
            candidates.append(candidate)
    best = front(candidates)
    choice = _choose(goal, best)
    reason = _reason(goal, choice) if choice else _none(best)
    return Advice(choice, reason, best, left_out)


def _quality(record: Record) -> Mapping[str, object]:
    """The record's metrics; the reference's distances to itself are none."""
    own = {"lpips": 0.0, "tof": 0.0, "ssim": 1.0, "psnr": inf}
    return {**own, **record.metrics} if record.is_reference else record.metrics


def _ruin(record: Record, judge: Record) -> str | None:
    """Why a method that must fail is left out, unless the record that stands for it is judged."""
    if is_judged(judge) or not (ways := method_of(record).must_fail()):
        return None
    return f"it is known to ruin videos ({' or '.join(ways)}), and no quality of it is judged here"


def _candidate(record: Record, quality: Mapping[str, object]) -> Candidate | None:
    memory = next((record.metrics[name] for name in MEMORY if name in record.metrics), None)
    speedup, distance = record.metrics.get("speedup"), quality.get("lpips")
    if not isinstance(speedup, int | float) or not isinstance(memory, int | float):
        return None
    return Candidate(
        record, speedup, memory, float(distance) if isinstance(distance, int | float) else None
    )


def _choose(goal: Goal, candidates: Sequence[Candidate]) -> Candidate | None:
    if goal == "balance" and any(c.lpips is None for c in candidates):
        raise InvalidRequestError(
            "balance weighs quality, which these records lack: untrained weights have none; "
            "name a folder of records with trained weights by --quality"
        )
    scores: dict[Goal, Callable[[Candidate], tuple[float, ...]]] = {
        "latency": lambda c: (c.speedup,),
        "preview": lambda c: (c.speedup,),
        "memory": lambda c: (-c.memory, c.speedup),
        "balance": lambda c: (log(c.speedup) - PRICE * (c.lpips or 0.0),),
    }
    allowed = [c for c in candidates if goal == "preview" or not c.new_sample]
    return max(allowed, key=scores[goal], default=None)


def _none(candidates: Sequence[Candidate]) -> str:
    if not candidates:
        return "no measured method keeps within the bounds and passes its gate"
    names = ", ".join(c.name for c in candidates)
    return f"only methods that make another sample are left ({names}); --goal preview takes them"


def _reason(goal: Goal, choice: Candidate) -> str:
    why = {
        "latency": "the fastest that keeps the reference's sample",
        "preview": "the fastest of all, whatever video it makes",
        "memory": "the least peak memory that keeps the reference's sample",
        "balance": f"the most speed for its loss, at 0.1 LPIPS for a factor of e^{PRICE / 10:g}",
    }[goal]
    distance = "" if choice.lpips is None else f", LPIPS {choice.lpips:.3g}"
    size = shown("memory", choice.memory)
    return f"{choice.name}: {why}: {choice.speedup:.3g}x, {size}{distance}"

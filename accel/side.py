"""One side of a pair, reference or candidate: its worker, and what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from accel.core import Case, Counters, Metrics
from accel.errors import NoEffectError
from accel.metrics import PSNR_CAP
from accel.pool import Worker
from accel.summary import cost_metrics

__all__ = ["Side"]


@dataclass
class Side:
    """One loaded, edited and warm worker, and what was measured of it so far."""

    case: Case
    worker: Worker
    fingerprint: dict[str, Any] = field(default_factory=dict)
    preparation: dict[str, float] = field(default_factory=dict)
    expected: Counters = field(default_factory=dict)
    counters: Counters = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    scores: Metrics | None = None

    @property
    def metrics(self) -> Metrics:
        return cost_metrics(self.samples, self.case.request.frames, self.preparation)

    def check_counters(self) -> None:
        """Raises NoEffectError for an acceleration that is silently off, or on twice."""
        wrong = [
            f"{name} is {self.counters.get(name)}, expected {expected}"
            for name, expected in self.expected.items()
            if self.counters.get(name) != expected
        ]
        if wrong:
            text = f"{self.case.method!r} is not engaged as it should: {'; '.join(wrong)}"
            raise NoEffectError(text)

    def check_difference(self, reference: Side) -> None:
        """Raises NoEffectError for one that changes no counter and no pixel: it may be none."""
        if self is reference or self.scores is None or self.expected != reference.expected:
            return
        if self.scores.get("psnr") == PSNR_CAP:
            raise NoEffectError(
                f"{self.case.method!r} gives the reference's video and changes no counter, so "
                "nothing shows that it is on; let it count what it does in pipeline.tallies, and "
                "tell the count in `expected`"
            )

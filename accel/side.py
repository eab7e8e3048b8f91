"""One side of a pair, reference or candidate: its worker, and what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from accel.core import Case, Counters, Metrics, Request
from accel.errors import NoEffectError
from accel.metrics import PSNR_CAP
from accel.models.images import image_array
from accel.pool import Worker
from accel.runs import RunFolder
from accel.summary import cost_metrics, input_name, quality_metrics

__all__ = ["Side"]


@dataclass
class Side:
    """One loaded, edited and warm worker, and what was measured of it so far.

    inputs: at least one; time and memory are the first one's. folder: takes its videos. videos:
    how many of them were generated. rows: the scores of each input's video, none of a case that is
    not judged.
    """

    case: Case
    worker: Worker
    inputs: list[Request]
    folder: RunFolder
    fingerprint: dict[str, Any] = field(default_factory=dict)
    preparation: dict[str, float] = field(default_factory=dict)
    expected: Counters = field(default_factory=dict)
    counters: Counters = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    videos: int = 0
    rows: list[Metrics] = field(default_factory=list)

    @property
    def gpu(self) -> str | None:
        """UUID of its GPU, if it has one."""
        uuid: str | None = self.fingerprint.get("gpu", {}).get("uuid")
        return uuid

    @property
    def metrics(self) -> Metrics:
        return cost_metrics(self.samples, self.case.request.frames, self.preparation)

    @property
    def scores(self) -> Metrics:
        """Quality over all inputs; {} if not judged."""
        names = [input_name(request.image, request.seed) for request in self.inputs]
        return quality_metrics(self.rows, names)

    def generate(self, index: int) -> dict[str, Any]:
        """The sample of one generation of one input; of a judged one the first keeps its frames.

        Raises NoEffectError as `check_counters` does.
        """
        kept = self.case.judged and index == self.videos
        frames = self.folder.frames_path(self.case, index) if kept else None
        answer = self.worker.generate(self.inputs[index], frames)
        self.videos = max(self.videos, index + 1)
        self.counters = answer["counters"]
        self.check_counters()
        return dict(answer["sample"])

    def score(self, reference: Side, clip: str) -> None:
        """Fill in `rows`: each video by itself and beside the reference's of the same input."""
        if self.case.judged and not self.rows:
            places = range(len(self.inputs))
            self.rows = [self._scores(reference, clip, place) for place in places]

    def _scores(self, reference: Side, clip: str, index: int) -> Metrics:
        import numpy as np

        from accel.metrics import score

        video, beside = (one.folder.frames(one.case, index) for one in (self, reference))
        request = self.inputs[index]
        image = image_array(request.image, request.width, request.height)
        sound = bool(np.isfinite(beside).all()) and self is not reference
        return score(video, image, beside if sound else None, clip)

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
        """Raises NoEffectError for the reference's own videos from a method that cannot give them.

        They come from one that changes no counter and may be off, or from one that is not exact
        and may hand out another's frames. M0 beside itself, under a cap, has to be the same.
        """
        method = self.case.method
        if method == reference.case.method or not self.rows:
            return
        if any(row.get("psnr") != PSNR_CAP for row in self.rows):
            return
        if self.expected == reference.expected:
            raise NoEffectError(
                f"{method!r} gives the reference's video and changes no counter, so "
                "nothing shows that it is on; let it count what it does in pipeline.tallies, and "
                "tell the count in `expected`"
            )
        if method.fidelity != "exact":
            raise NoEffectError(
                f"{method!r} gives the reference's video and calls itself {method.fidelity}: its "
                "edit does not reach the video, or these are not its frames; if they must be "
                "equal, let it say that it is exact"
            )

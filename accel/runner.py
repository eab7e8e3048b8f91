"""The eight stages: case -> load -> apply -> generate -> measure -> score -> compare -> verdict.

`Bench` measures cases: a candidate takes turns with the reference of the same request, each in a
worker of its own; the reference's worker stays for the next candidate. Compare and verdict are
`accel.gate`'s, on the records that come out here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Self

from accel.core import Case, Metrics, Record
from accel.environment import run_identity
from accel.errors import AccelError, InvalidRequestError, MissingWeightsError
from accel.methods import modules_of
from accel.methods.reference import Reference
from accel.models.images import image_digest
from accel.pool import Worker
from accel.runs import RunFolder
from accel.side import Side
from accel.summary import Samples, cost_metrics, pair_metrics
from accel.telemetry import Telemetry

__all__ = ["Bench", "Options", "reference_of"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How cases are measured.

    pairs: generations of each side, at least 1, taking turns. device: "cpu", or None for a GPU
    where there is one. clip: model of the CLIP metric. timeout: seconds for any one answer of a
    worker (a compilation takes minutes). Pairs and clip go into the record.
    """

    pairs: int = 3
    device: str | None = None
    clip: str = "mini"
    timeout: float = 900.0


def reference_of(case: Case) -> Case:
    """The same request with no method: M0."""
    return replace(case, method=Reference())


class Bench:
    """Measures cases into a run folder; a case that has a record there is not measured again."""

    def __init__(
        self, folder: RunFolder, options: Options | None = None, progress: Progress = print
    ) -> None:
        self.folder, self.options, self.progress = folder, options or Options(), progress
        self.identity = run_identity()
        self._reference: Side | None = None
        self._refused: dict[Case, AccelError] = {}
        self._pids: set[int] = set()
        self._paths: set[str | None] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @staticmethod
    def steps(cases: Sequence[Case], folder: RunFolder, options: Options) -> int:
        """How often `progress` is called while the cases are measured."""
        pending = [case for case in cases if folder.record(case) is None]
        candidates = sum(not case.is_reference for case in pending)
        alone = options.pairs if pending and not candidates else 0
        return candidates * (3 + 2 * options.pairs) + alone + 3 * bool(pending)

    def run(self, cases: Sequence[Case]) -> list[Record]:
        """Measure all cases, references last (the pairs have measured them by then).

        A case that fails is kept in the folder's failures, and the others run on.
        """
        for case in sorted(cases, key=lambda case: case.is_reference):
            try:
                self.measure(case)
            except AccelError as error:
                self.folder.fail(case, f"{type(error).__name__}: {error}")
                self.progress(f"{case.id}: failed: {error}")
        return self.folder.records(cases)

    def measure(self, case: Case) -> Record:
        """The record of one case. Raises the case's AccelError.

        All cases take their weights from one folder, for ids do not tell it; a second one is an
        InvalidRequestError.
        """
        self._check_path(case)
        if found := self.folder.record(case):
            self._check_options(case, found)
            return found
        reference = self._resident(reference_of(case))
        try:
            record = self._measure(case, reference)
        except AccelError:
            if not reference.worker.alive:
                self.close()
            raise
        self.folder.write(case, record)
        return record

    def close(self) -> None:
        """End the reference's worker."""
        if self._reference is not None:
            self._reference.worker.close()
            self._reference = None

    def _measure(self, case: Case, reference: Side) -> Record:
        if case.is_reference:
            for done in range(len(reference.samples), self.options.pairs):
                self._generate(reference, f"{case.id}: {done + 1} of {self.options.pairs}")
            return self._record(reference, reference, reference.samples)
        with self._worker(case) as worker:
            side = self._start(case, worker)
            first = len(reference.samples)
            for pair in range(self.options.pairs):
                turns = (reference, side) if pair % 2 == 0 else (side, reference)
                for turn in turns:
                    self._generate(turn, f"{case.id}: pair {pair + 1} of {self.options.pairs}")
        return self._record(side, reference, reference.samples[first:])

    def _resident(self, case: Case) -> Side:
        """The reference's side, started if it is not there yet; what refused once is not asked
        again."""
        if case in self._refused:
            raise self._refused[case]
        if self._reference is not None and self._reference.case != case:
            self.close()
        if self._reference is None:
            worker = self._worker(case)
            try:
                self._reference = self._start(case, worker)
            except BaseException as error:
                worker.close()
                if isinstance(error, InvalidRequestError | MissingWeightsError):
                    self._refused[case] = error
                raise
        return self._reference

    def _worker(self, case: Case) -> Worker:
        worker = Worker(self.folder.log(case), self.options.timeout, self.options.device)
        self._pids.add(worker.pid)
        return worker

    def _start(self, case: Case, worker: Worker) -> Side:
        """Stages load and apply, and the warm-up."""
        side = Side(case, worker)
        self.progress(f"{case.id}: loading {case.model} {case.weights}")
        loaded = worker.load(case)
        side.fingerprint = loaded["fingerprint"]
        applied = worker.apply(case.method)
        side.expected = applied["expected"]
        side.fingerprint["tf32"] = applied["tf32"]
        self.progress(f"{case.id}: warming up")
        warm = worker.warm()
        side.preparation = {"load": loaded["seconds"], "apply": applied["seconds"], "warm": warm}
        return side

    def _generate(self, side: Side, label: str) -> None:
        """One measured generation; the first one of a judged case keeps its frames."""
        self.progress(f"{label} ({side.case.method.slug})")
        first = not side.samples
        frames = self.folder.frames_path(side.case) if side.case.judged and first else None
        gpu = side.fingerprint.get("gpu", {}).get("uuid")
        with Telemetry(gpu, [side.worker.pid], self._pids) as telemetry:
            answer = side.worker.generate(frames)
        side.counters = answer["counters"]
        side.check_counters()
        side.samples.append({**answer["sample"], "telemetry": telemetry.result()})

    def _record(self, side: Side, reference: Side, pairs: Samples) -> Record:
        """Metrics and scores of both sides, and the raw samples behind them."""
        self.progress(f"{side.case.id}: scoring")
        costs = side.metrics
        reference_costs = cost_metrics(pairs, side.case.request.frames, reference.preparation)
        scores, reference_scores = self._score(side), self._score(reference)
        side.check_difference(reference)
        ratio = pair_metrics(side.samples, pairs, costs, reference_costs)
        own = pair_metrics(pairs, pairs, reference_costs, reference_costs)
        return Record(
            case=side.case.id,
            group=side.case.group,
            method=repr(side.case.method),
            request=asdict(side.case.request),
            fidelity=side.case.method.fidelity,
            hardware=side.fingerprint["hardware"],
            metrics={**costs, **ratio, **scores},
            reference={**reference_costs, **own, **reference_scores},
            counters=side.counters,
            samples={
                "candidate": side.samples,
                "reference": [] if side is reference else list(pairs),
                "preparation": side.preparation,
            },
            fingerprint={
                **side.fingerprint,
                "metrics": self._metric_networks(side.case),
                "image": _image_digest(side.case),
            },
            run={
                **self.identity,
                "gpu": side.fingerprint.get("gpu", {}).get("uuid"),
                "modules": modules_of(side.case.method),
                "path": side.case.path,
                "options": self._lasting_options,
            },
        )

    def _check_path(self, case: Case) -> None:
        self._paths.add(case.path)
        if len(self._paths) > 1:
            self._paths.remove(case.path)
            (other,) = self._paths
            raise InvalidRequestError(
                f"{self.folder.path} holds weights of {other}; choose another folder for "
                f"{case.path}"
            )

    @property
    def _lasting_options(self) -> dict[str, Any]:
        """What a record depends on besides its case."""
        return {"pairs": self.options.pairs, "clip": self.options.clip}

    def _check_options(self, case: Case, found: Record) -> None:
        before = found.run.get("options", self._lasting_options)
        if before != self._lasting_options:
            raise InvalidRequestError(
                f"{self.folder.path} was measured with {before}, not {self._lasting_options}; "
                "choose another folder"
            )
        if found.fingerprint.get("image") != _image_digest(case):
            raise InvalidRequestError(
                f"{case.request.image} is another picture than {self.folder.path} was measured "
                "with; choose another folder"
            )

    def _score(self, side: Side) -> Metrics:
        """Quality of a side's video by itself and beside the reference's; {} if not judged."""
        if side.scores is None:
            side.scores = self._scores(side.case) if side.case.judged else {}
        return side.scores

    def _scores(self, case: Case) -> Metrics:
        import numpy as np

        from accel.metrics import score
        from accel.models.images import image_array

        video, reference = self.folder.frames(case), self.folder.frames(reference_of(case))
        request = case.request
        image = image_array(request.image, request.width, request.height)
        sound = bool(np.isfinite(reference).all()) and not case.is_reference
        return score(video, image, reference if sound else None, self.options.clip)

    def _metric_networks(self, case: Case) -> dict[str, str]:
        if not case.judged:
            return {}
        from accel.metrics import fingerprint

        return fingerprint(self.options.clip)


def _image_digest(case: Case) -> str | None:
    return image_digest(case.request.image, case.request.width, case.request.height)

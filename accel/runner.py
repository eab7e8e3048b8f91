"""The eight stages: case -> load -> apply -> generate -> measure -> score -> compare -> verdict.

`Bench` measures cases: a candidate takes turns with the reference of the same request, each in a
worker of its own; the reference's worker stays for the next candidate. Compare and verdict are
`accel.gate`'s, on the records that come out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from accel import cold_start, fresh
from accel.core import Case, Method, Record
from accel.environment import run_identity
from accel.errors import (
    AccelError,
    CaseError,
    GpuBusyError,
    InvalidRequestError,
    MissingWeightsError,
    OutputError,
)
from accel.launch import Launcher, Options, Progress, inputs_of, take_turns
from accel.lock import GpuLock
from accel.methods.reference import Reference
from accel.recording import digest_of, record_of
from accel.resumed import check_hardware, check_weights, hardware_here, is_elsewhere
from accel.runs import RunFolder
from accel.side import Side
from accel.summary import Samples
from accel.turns import Block

__all__ = ["Bench", "reference_of"]

STEPS_OF_A_START = 2
"""Calls of `progress` of a side that starts: it loads and warms up."""

COLD_STEPS = 5
"""Calls of `progress` for a cold start: two sides with two each, and the sizes."""


def reference_of(case: Case) -> Case:
    """The same request with no method and no cap: M0."""
    return replace(case, method=Reference(), vram_cap=None)


def _compiles(method: Method) -> bool:
    return any(part.edits_code for part in getattr(method, "methods", (method,)))


class Bench:
    """Measures cases into a run folder; a case that has a record there is not measured again.

    It holds its GPU and the folder from the first measurement until it is closed.
    """

    def __init__(
        self, folder: RunFolder, options: Options | None = None, progress: Progress = print
    ) -> None:
        self.folder, self.options, self.progress = folder, options or Options(), progress
        self.identity: dict[str, Any] = {**run_identity()}
        lock = GpuLock(self.options.device)
        self._launcher = Launcher(folder, self.options, progress, lock)
        self._reference: Side | None = None
        self._refused: dict[Case, AccelError] = {}
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
        if not pending:
            return 0
        further = len(inputs_of(pending[0])) - 1
        candidates = sum(not case.is_reference for case in pending)
        beside = options.pairs * (1 if options.once else max(1, candidates))
        own, m0 = (options.pairs, beside) if options.fresh else (1, 1)
        each = STEPS_OF_A_START * own + options.pairs + bool(options.blocks) + further + 1
        starts = sum(_compiles(case.method) for case in pending) if options.cold else 0
        reference = STEPS_OF_A_START * m0 + beside + further + 1
        return candidates * each + reference + COLD_STEPS * starts

    def run(self, cases: Sequence[Case]) -> list[Record]:
        """Measure all cases, references last (the pairs have measured them by then).

        A case that fails is kept in the folder's failures, and the others run on. Raises
        GpuBusyError if another run has the GPU, OutputError if the folder takes no more, and
        InvalidRequestError before anything is measured if it was measured with other options.
        """
        for case in cases:
            if found := self.folder.record(case):
                self._check_options(case, found)
        for case in sorted(cases, key=lambda case: case.is_reference):
            try:
                self.measure(case)
            except (GpuBusyError, OutputError):
                raise  # every other case would fail in the same way
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
            if not self._is_outdated(case, found):
                return found
        if refused := self._refused.get(reference_of(case)):
            raise refused
        with self.folder.watched():
            record = self._anew(case) if self.options.fresh else self._beside(case)
            self.folder.write(case, record)
        return record

    def close(self) -> None:
        """End the reference's worker, and let others have the GPU and the folder."""
        self._end_reference()
        self._launcher.release()

    def _end_reference(self) -> None:
        if self._reference is not None:
            self._reference.worker.close()
            self._reference = None

    def _beside(self, case: Case) -> Record:
        """Measured beside the resident reference."""
        reference = self._resident(reference_of(case))
        try:
            return self._measure(case, reference)
        finally:
            if not reference.worker.alive:
                self._end_reference()

    def _anew(self, case: Case) -> Record:
        """Measured by sides that start for each generation; no worker stays."""
        own = reference_of(case)
        check_hardware(self.folder, self.folder.all_records(), hardware_here(self.options.device))
        before = self._reference if self._reference and self._reference.case == own else None
        reference = fresh.Fresh(self._launcher, own, inputs_of(own), before)
        try:
            if case.is_reference:
                side = beside = fresh.alone(reference)
            else:
                candidate = fresh.Fresh(self._launcher, case, reference.asked)
                beside, side = fresh.take_turns(reference, candidate)
        except (InvalidRequestError, MissingWeightsError) as error:
            if reference.side is None:
                self._refused[own] = error
            raise
        finally:  # M0's generations are good for the next candidate, too
            self._reference = reference.side
        pairs = side.samples if case.is_reference else beside.samples[-self.options.pairs :]
        return self._with_cold(self._record(side, beside, pairs), side, own)

    def _measure(self, case: Case, reference: Side) -> Record:
        if case.is_reference:
            for done in range(len(reference.samples), self.options.pairs):
                label = f"{case.id}: {done + 1} of {self.options.pairs}"
                self._launcher.generate(reference, label)
            self._launcher.generate_further(reference)
            return self._record(reference, reference, reference.samples)
        side = self._launcher.side(case, reference.inputs)
        with side.worker:
            blocks = take_turns((self._launcher, reference), (self._launcher, side))
        record = self._record(side, reference, reference.samples[-self.options.pairs :], blocks)
        return self._with_cold(record, side, reference.case)

    def _with_cold(self, record: Record, side: Side, reference: Case) -> Record:
        """The record with the side's cold start, if that is asked for and there is one."""
        if not (self.options.cold and side.expected["compiled_graphs"]):
            return record
        case = side.case
        try:
            found = cold_start.measure(self._launcher, case, reference, side.inputs)
        except CaseError as error:  # what was measured before is good, and the gate names this
            found = {"error": f"{type(error).__name__}: {error}"}
            self.progress(f"{case.id}: the cold start failed: {error}")
        return replace(record, samples={**record.samples, "cold": found})

    def _resident(self, case: Case) -> Side:
        """The reference's side, started if it is not there yet."""
        if self._reference is not None and self._reference.case != case:
            self._end_reference()
        if self._reference is None:
            try:
                self._reference = self._started(case)
            except (InvalidRequestError, MissingWeightsError) as error:
                self._refused[case] = error
                raise
        return self._reference

    def _started(self, case: Case) -> Side:
        """The reference's side, on the hardware of the folder's records."""
        side = self._launcher.side(case, inputs_of(case))
        try:
            records = self.folder.all_records()
            check_hardware(self.folder, records, side.fingerprint["hardware"])
        except AccelError:
            side.worker.close()
            raise
        return side

    def _record(
        self, side: Side, reference: Side, pairs: Samples, blocks: Sequence[Block] = ()
    ) -> Record:
        """Scores both sides' videos, and writes all down."""
        self.progress(f"{side.case.id}: scoring")
        for one in (reference, side):
            one.score(reference, self.options.clip)
        side.check_difference(reference)
        run = {**self.identity, "options": self.options.lasting}
        return record_of(side, reference, pairs, blocks, run, self.options.clip)

    def _check_path(self, case: Case) -> None:
        self._paths.add(case.path)
        if len(self._paths) > 1:
            self._paths.remove(case.path)
            (other,) = self._paths
            raise InvalidRequestError(
                f"{self.folder.path} holds weights of {other}; choose another folder for "
                f"{case.path}"
            )

    def _is_outdated(self, case: Case, found: Record) -> bool:
        """Whether a resumed run has to measure a case again.

        One whose cold start failed; and a reference that was measured on another machine than its
        record, but the parts of a run are on several GPUs by intention.
        """
        if "error" in found.samples.get("cold", {}):
            return True
        side = self._reference
        if side is None or side.case != case or len(side.samples) < self.options.pairs:
            return False
        gpu = found.run.get("gpu") if self.folder.part else side.gpu
        return is_elsewhere(found, self.identity, gpu)

    def _check_options(self, case: Case, found: Record) -> None:
        check_hardware(self.folder, [found], hardware_here(self.options.device))
        check_weights(self.folder, case, found)
        before = {**self.options.lasting, "fresh": False, **found.run.get("options", {})}
        if before != self.options.lasting:
            raise InvalidRequestError(
                f"{self.folder.path} was measured with {before}, not {self.options.lasting}; "
                "choose another folder"
            )
        if self.options.cold and found.counters.get("compiled_graphs"):
            if "cold" not in found.samples:
                raise InvalidRequestError(
                    f"{self.folder.path} was measured without --cold; choose another folder"
                )
        if found.fingerprint.get("image") != digest_of(case):
            raise InvalidRequestError(
                f"{case.request.image} is another picture than {self.folder.path} was measured "
                "with; choose another folder"
            )

"""The planted defects under the new limits: one that they let pass refuses the refresh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accel.cases import case_of
from accel.core import Case, Record
from accel.errors import InvalidRequestError, RefusedError
from accel.launch import Options, Progress
from accel.methods.reference import Reference
from accel.models.images import inputs
from accel.prove.measure import measure, options_on
from accel.prove.proof import Evidence, exit_code, healthy, rows
from accel.refresh.calibration import widths
from accel.resumed import hardware_here
from accel.runner import Bench
from accel.runs import RunFolder

__all__ = ["check", "is_widened", "prove", "unproved"]


def is_widened(record: Record) -> bool:
    """Whether any limit is wider than the table's, which `accel prove` itself is judged by."""
    return any(width.now > width.table for width in widths(record, None))


def prove(records: Sequence[Record], folder: Path, progress: Progress) -> None:
    """Refuse calibrated records under whose limits a planted defect is not caught.

    Measured into `folder`/<group>, once for each request; what lies there is not measured again.
    Raises RefusedError, also where neither the records' hardware nor all that it measured is here.
    """
    found: dict[Case, Evidence] = {}
    for record in records:
        case = _healthy_case(record)
        if case not in found:
            found[case] = _measured(case, record, RunFolder(folder / case.group), progress)
        check(found[case], record)


def check(evidence: Evidence, record: Record) -> None:
    """Raises RefusedError with every defect that is not caught, and the check that missed it."""
    if missed := list(unproved(evidence, record)):
        raise RefusedError(
            f"{record.case}: its calibrated limits let a planted defect pass: {'; '.join(missed)}; "
            "measure anew on a steadier machine, or with more --repeats"
        )


def unproved(evidence: Evidence, record: Record) -> Iterator[str]:
    """What speaks against the proof if every host's limits are as wide as the record's."""
    calibration = record.run["calibration"]
    hosts = {
        host: replace(found, run={**found.run, "calibration": calibration})
        for host, found in evidence.healthy.items()
    }
    under = replace(evidence, healthy=hosts)
    told = [row for defect in under.planted for row in rows(defect, under)]
    if exit_code(under, told):
        yield from (f"{r.defect} by {r.check}: {r.message}" for r in told if r.caught == "no")
        for verdict in healthy(under):
            yield from (f"the healthy {verdict.case} is {line}" for line in verdict.lines)


def _healthy_case(record: Record) -> Case:
    """M0 with the record's first input, whatever the cap: the defects are planted into it."""
    case = case_of(record)
    return replace(case, method=Reference(), request=inputs(case.request)[0], vram_cap=None)


@dataclass(frozen=True)
class _Kept:
    """What a run on other hardware left in a folder."""

    folder: RunFolder

    def measure(self, case: Case) -> Record:
        if found := self.folder.record(case):
            return found
        raise InvalidRequestError(f"{self.folder.path} holds no {case.id}")


def _measured(case: Case, record: Record, folder: RunFolder, progress: Progress) -> Evidence:
    device = "cpu" if record.hardware == "cpu" else "cuda"
    asked = record.run.get("options", {})
    clip, blocks = asked.get("clip", Options.clip), asked.get("blocks", Options.blocks)
    options = options_on(device, 1, blocks, clip, asked.get("fresh", False))
    is_here = hardware_here(device) in (None, record.hardware)
    try:
        with Bench(folder, options, progress) as bench:
            evidence = measure(bench if is_here else _Kept(folder), case, repeats=0)
    except InvalidRequestError as error:
        raise RefusedError(
            f"{record.case}: its limits are wider than the table's, and the planted defects could "
            f"not be shown ({error}); run the same command on {record.hardware} first, and bring "
            f"its run folder"
        ) from error
    for found in evidence.healthy.values():
        mine, theirs = ((r.hardware, r.fingerprint.get("source")) for r in (found, record))
        if mine != theirs:
            raise RefusedError(
                f"{folder.path} has defects of {mine}, and {record.case} is of {theirs}; delete "
                "it, and run the same command with the code and the hardware of the records"
            )
    return evidence

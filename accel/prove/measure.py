"""Measures what a proof needs: healthy cases, the defects that can be shown here, repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from accel.core import Case, Record
from accel.errors import CaseError, NoEffectError
from accel.launch import Options
from accel.prove import DEFECTS
from accel.prove.defect import Defect
from accel.prove.healthy import Unedited
from accel.prove.proof import Evidence
from accel.runs import RunFolder

__all__ = ["Measures", "measure", "options_on"]


class Measures(Protocol):
    """A Bench, or whoever has the records of one."""

    @property
    def folder(self) -> RunFolder: ...

    def measure(self, case: Case) -> Record: ...


def options_on(
    device: str | None,
    gpus: int,
    blocks: int = 0,
    clip: str = Options.clip,
    fresh: bool = False,
    cold: bool = False,
) -> Options:
    """How a proof measures: on a CPU, where time is not judged, one generation tells everything."""
    timed = device != "cpu" and gpus > 0
    often = Options.pairs if timed else 1
    return Options(often, blocks, device, clip, timed=timed, fresh=fresh, cold=cold)


def measure(
    bench: Measures, case: Case, repeats: int, defects: Sequence[Defect] = DEFECTS
) -> Evidence:
    """case: the request and the weights; its method does not count. repeats: of the healthy case.

    Raises the AccelError of a healthy case: without it there is nothing to compare with.
    """
    hosts = dict.fromkeys(defect.host for defect in defects)
    healthy = {host: bench.measure(replace(case, method=host)) for host in hosts}
    shown = [
        defect
        for defect in defects
        if not all(catch.unprovable(healthy[defect.host]) for catch in defect.caught_by)
    ]
    return Evidence(
        healthy=healthy,
        planted={defect: _outcome(bench, replace(case, method=defect)) for defect in shown},
        repeats=[
            bench.measure(replace(case, method=Unedited(number)))
            for number in range(1, repeats + 1)
        ],
    )


def _outcome(bench: Measures, case: Case) -> Record | CaseError:
    """One without an effect is kept in the folder, as records are: it would be so again."""
    start = f"{NoEffectError.__name__}: "
    if (kept := bench.folder.failures().get(case.id, "")).startswith(start):
        return NoEffectError(kept.removeprefix(start))
    try:
        return bench.measure(case)
    except CaseError as error:  # it is what the defect did, and is judged
        if isinstance(error, NoEffectError):
            bench.folder.fail(case, f"{start}{error}")
        return error

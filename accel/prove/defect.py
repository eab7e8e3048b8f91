"""What a planted defect is: a method that went wrong, and the checks that must object to it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from accel.core import Counters, Fidelity, Method, Record, Weights
from accel.errors import CaseError
from accel.prove.healthy import Unedited
from accel.reading import is_judged, is_timed
from accel.verdict import Check, Family, Status

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Catch", "Defect", "Raises"]

Needs = Literal["anything", "trained", "several", "cpu", "gpu", "timed", "blocks", "processes"]

REASONS: dict[Needs, str] = {
    "trained": "needs trained weights",
    "several": "needs trained weights and several inputs (--seeds 2)",
    "cpu": "needs a CPU",
    "gpu": "needs a GPU",
    "timed": "needs a GPU and full-size weights",
    "blocks": "needs a GPU, full-size weights and --blocks",
    "processes": "needs a GPU whose processes NVML lists, full-size weights and --blocks",
}


@dataclass(frozen=True)
class Catch:
    """One check of the gate, as one of its questions asks it.

    says: words of its message that no other question's message has, and * for any between them.
    needs: where the check is asked: on a CPU, on a GPU, where quality or where time is judged, of
    several inputs, where blocks of single calls tell it, and where they see other processes.
    status: what it must say; None: any that fails.
    """

    family: Family
    metric: str
    says: str
    needs: Needs = "trained"
    status: Status | None = None

    def __str__(self) -> str:
        return f"{self.family}: {self.metric} ({self.says})"

    def unprovable(self, healthy: Record) -> str:
        """Why this check is not asked of such a record, or nothing."""
        on_cpu, timed = healthy.hardware == "cpu", is_timed(healthy)
        blocks = timed and "blocks_rejected" in healthy.metrics
        asked: dict[Needs, bool] = {
            "anything": True, "trained": is_judged(healthy), "cpu": on_cpu, "gpu": not on_cpu,
            "several": is_judged(healthy) and healthy.metrics.get("inputs", 1) != 1,
            "timed": timed, "blocks": blocks,
            "processes": blocks and "memory.peak.process_mib" in healthy.metrics,
        }  # fmt: skip
        return "" if asked[self.needs] else REASONS[self.needs]

    def is_of(self, check: Check) -> bool:
        """Whether the check is this one."""
        named = (check.family, check.metric) == (self.family, self.metric)
        return named and fnmatchcase(check.message, f"*{self.says}*")

    def is_met_by(self, check: Check) -> bool:
        """Whether the check, which is this one, objects as it must."""
        return check.status in ((self.status,) if self.status else ("collapsed", "regressed"))


@dataclass(frozen=True)
class Raises:
    """An error that ends the case before there is anything to judge.

    says: words of its message that no other reason's message has.
    """

    error: type[CaseError]
    says: str
    needs: Needs = "anything"

    def __str__(self) -> str:
        return f"{self.error.__name__} ({self.says})"

    def unprovable(self, healthy: Record) -> str:
        """As Catch's."""
        return "" if self.needs == "anything" or is_judged(healthy) else REASONS[self.needs]


@dataclass(frozen=True)
class Defect(Method):
    """A healthy method, its `host`, with something wrong: it poses as the host.

    It is held to the host's claims and to the host's record as its baseline, with the fidelity
    that it says itself. caught_by: every check that must object to it. No defect has fields, so
    that what makes this a dataclass makes each of them one.
    """

    source: ClassVar[str] = "accel prove"
    fidelity: ClassVar[Fidelity] = "faithful"
    host: ClassVar[Method] = Unedited()
    caught_by: ClassVar[tuple[Catch | Raises, ...]]

    def weight_files(self, weights: Weights) -> dict[str, Path]:
        return self.host.weight_files(weights)

    def expected(self, pipeline: Pipeline) -> Counters:
        return self.host.expected(pipeline)

    def apply(self, pipeline: Pipeline) -> None:
        self.host.apply(pipeline)
        self.plant(pipeline)

    @abstractmethod
    def plant(self, pipeline: Pipeline) -> None:
        """Do the harm, after the host's edit."""

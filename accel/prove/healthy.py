"""M0 in the candidate's place: what no check may object to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from accel.core import Counters, Fidelity, Method

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Unedited"]


@dataclass(frozen=True)
class Unedited(Method):
    """The pipeline as it is, said to be a method: a whole gate around nothing, A/A.

    It counts that it was applied, for a method that changes neither a counter nor a pixel is
    refused. repeat: number of the repeat, so that each is a case of its own.
    """

    repeat: int = 0

    name: ClassVar[str] = "unedited"
    source: ClassVar[str] = "accel prove"
    fidelity: ClassVar[Fidelity] = "exact"

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"applied": 1}

    def apply(self, pipeline: Pipeline) -> None:
        pipeline.tallies["applied"] = lambda: 1

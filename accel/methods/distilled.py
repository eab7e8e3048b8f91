"""M4, distilled weights at the ordinary steps: a student's UNet under the teacher's sampler.

What: the weights of a latent-consistency student in place of the UNet's, and nothing else: the
same 25 Euler steps with guidance.
How: the student's tensors are loaded over the UNet's, strictly.
Costs: nothing is saved, neither time nor memory; the video is another one. It is here because the
seed measured it (1.41x there on a card that was out of memory): with the same work there is no
reason for a speed-up, and the table shows that there is none. For speed, see `lcm`.
Source: Wang et al. 2024 (arXiv:2402.00769); Hauryk 2026, M4.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from accel.core import Counters, Fidelity, Method, Weights
from accel.models.students import put_in, refusal, weight_files

if TYPE_CHECKING:
    from accel.models.svd import Pipeline
    from accel.verdict import Status

__all__ = ["Distilled"]


@dataclass(frozen=True)
class Distilled(Method):
    """weights: a student's file."""

    weights: str = ""

    name: ClassVar[str] = "distilled"
    source: ClassVar[str] = "arXiv:2402.00769"
    fidelity: ClassVar[Fidelity] = "new_sample"

    def may_fail(self, weights: Weights) -> tuple[Status, ...]:
        """In a published comparison SVD moved otherwise with them: tSSIM 0.18 apart."""
        return ("regressed",) if weights == "pretrained" else ()

    def weight_files(self, weights: Weights) -> dict[str, Path]:
        return weight_files(self.weights, weights)

    def refuses(self, pipeline: Pipeline) -> str | None:
        return refusal(pipeline, self.weights)

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"student_tensors": len(pipeline.denoiser.state_dict())}

    def apply(self, pipeline: Pipeline) -> None:
        put_in(pipeline, self.weights)

"""M3, fewer steps: the same sampler, asked for fewer denoising steps.

What: `num_inference_steps` falls from the request's 25 to `steps`.
How: the Karras schedule is drawn anew over the same range of sigmas, so each Euler step is longer.
Costs: no memory and no preparation. Detail and motion suffer as steps fall. The last step starts
at sigma 0.002 and changes next to nothing, so that "4 steps" are three useful ones.
Source: Karras et al. 2022 (arXiv:2206.00364), table 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from accel.core import Claim, Counters, Fidelity, Method
from accel.errors import InvalidRequestError

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["FewerSteps"]


@dataclass(frozen=True)
class FewerSteps(Method):
    """steps: denoising steps, at least 1 and fewer than the request's."""

    steps: int

    name: ClassVar[str] = "fewer_steps"
    source: ClassVar[str] = "arXiv:2206.00364"
    fidelity: ClassVar[Fidelity] = "faithful"

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or self.steps < 1:
            raise InvalidRequestError(f"fewer_steps: steps is {self.steps!r}; give 1 or more")

    def claims(self) -> tuple[Claim, ...]:
        return ()

    def refuses(self, pipeline: Pipeline) -> str | None:
        if self.steps < pipeline.request.steps:
            return None
        return f"{self.steps} steps are not fewer than the request's {pipeline.request.steps}"

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"denoiser_calls": self.steps}

    def apply(self, pipeline: Pipeline) -> None:
        pipeline.request = replace(pipeline.request, steps=self.steps)

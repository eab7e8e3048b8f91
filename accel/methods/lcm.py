"""M7, latent consistency: distilled weights that jump to the clean video in 1 to 8 steps.

What: a student of the UNet, trained to predict the end of the teacher's path from any noise level,
and the sampler that goes with it. With `guidance` 1.0 there is no classifier-free guidance, so
each call has half the batch.
How: AnimateLCM-SVD's sampler replaces Euler's. The initial noise is the reference's; the noise of
later steps comes from a generator that the request's seed begins.
Costs: weights of its own, and another video than the teacher's: fine detail and motion suffer.
Source: Wang et al. 2024, AnimateLCM (arXiv:2402.00769); Hauryk 2026, M7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from accel.core import Claim, Counters, Fidelity, Method, Request, Weights
from accel.errors import InvalidRequestError
from accel.methods.fewer_steps import guided_calls, speed
from accel.methods.surgery import wrap
from accel.models.students import put_in, refusal, weight_files

if TYPE_CHECKING:
    from accel.models.lcm import ConsistencyScheduler
    from accel.models.svd import Pipeline

__all__ = ["Lcm"]

GRID = 40
"""Noise levels that AnimateLCM-SVD was trained to start a step from."""

MOST = 8
"""Steps that the student is made for; of 25, the last would begin at a noise level of 4.35."""


@dataclass(frozen=True)
class Lcm(Method):
    """steps: 1 to 8. guidance: at the last frame, from 1.0. weights: a student's file."""

    steps: int = 4
    guidance: float = 1.0
    weights: str = ""

    name: ClassVar[str] = "lcm"
    source: ClassVar[str] = "arXiv:2402.00769"
    fidelity: ClassVar[Fidelity] = "new_sample"
    sets_steps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if type(self.steps) is not int or not 1 <= self.steps <= MOST:
            raise InvalidRequestError(f"lcm: steps is {self.steps!r}; give 1 to {MOST}")
        if not isinstance(self.guidance, int | float) or not 1 <= self.guidance < 100:
            raise InvalidRequestError(f"lcm: guidance is {self.guidance!r}; give 1.0 or more")

    def claims(self, request: Request) -> tuple[Claim, ...]:
        """Speed by the denoiser calls, which are cheaper where guidance falls away."""
        return (speed(request, guided_calls(self.steps, self.guidance)),)

    def weight_files(self, weights: Weights) -> dict[str, Path]:
        return weight_files(self.weights, weights)

    def refuses(self, pipeline: Pipeline) -> str | None:
        return refusal(pipeline, self.weights)

    def expected(self, pipeline: Pipeline) -> Counters:
        tensors = len(pipeline.denoiser.state_dict())
        return {
            "denoiser_calls": self.steps,
            "consistency_steps": self.steps,
            "student_tensors": tensors,
        }

    def requested(self, request: Request) -> Request:
        return replace(
            request, steps=self.steps, min_guidance=1.0, max_guidance=float(self.guidance)
        )

    def apply(self, pipeline: Pipeline) -> None:
        from accel.models.lcm import ConsistencyScheduler

        put_in(pipeline, self.weights)
        config = pipeline.diffusers.scheduler.config
        scheduler = ConsistencyScheduler(GRID, config.sigma_min, config.sigma_max)
        pipeline.diffusers.scheduler = scheduler
        pipeline.request = self.requested(pipeline.request)
        pipeline.tallies["consistency_steps"] = lambda: scheduler.step_index
        wrap(pipeline, "generate", lambda generate: _seeded(scheduler, generate))


def _seeded(
    scheduler: ConsistencyScheduler, generate: Callable[[Request], torch.Tensor]
) -> Callable[[Request], torch.Tensor]:
    """Generations whose later noise begins anew with the request's seed.

    It is drawn from a stream of its own: the seed's first numbers are the initial noise.
    """

    def seeded(request: Request) -> torch.Tensor:
        first = torch.Generator().manual_seed(request.seed)
        own = int(torch.randint(2**62, (), generator=first))
        scheduler.generator = torch.Generator().manual_seed(own)
        return generate(request)

    return seeded

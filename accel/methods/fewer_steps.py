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

from accel.core import Claim, Counters, Fidelity, Method, Request, Weights
from accel.errors import InvalidRequestError

if TYPE_CHECKING:
    from accel.models.svd import Pipeline
    from accel.verdict import Status

__all__ = ["OVERHEAD", "UNGUIDED", "FewerSteps", "guided_calls", "nearness", "speed"]


OVERHEAD = 3.3
"""What surrounds the denoising, in denoising steps: 2.1 s of 18.0 s on an H200 at 576x1024."""

UNGUIDED = 0.55
"""What a denoiser call without guidance takes, in guided calls: 0.347 of 0.636 s on an H200."""

NEARNESS: tuple[tuple[int, dict[str, float], float, float], ...] = (
    (15, {"clip": 0.05, "tssim": 0.05, "tlpips": 0.03}, 0.05, 1.25),
    (8, {"clip": 0.10, "tssim": 0.10, "tlpips": 0.05}, 0.12, 1.4),
    (1, {"clip": 0.40, "tssim": 0.30, "tlpips": 0.12}, 0.35, 2.0),
)
"""From so many steps: margins either way, ceiling of LPIPS to the reference, motion factor.

Fewer than 8 steps are declared to be a preview: they keep the scene and little of its detail.
"""


@dataclass(frozen=True)
class FewerSteps(Method):
    """steps: denoising steps, at least 1 and fewer than the request's."""

    steps: int

    name: ClassVar[str] = "fewer_steps"
    source: ClassVar[str] = "arXiv:2206.00364"
    fidelity: ClassVar[Fidelity] = "faithful"
    sets_steps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 1:
            raise InvalidRequestError(f"fewer_steps: steps is {self.steps!r}; give 1 or more")

    def claims(self, request: Request) -> tuple[Claim, ...]:
        """Speed by the request's steps; nearness to the reference by the step count."""
        calls = guided_calls(self.steps, request.max_guidance)
        return (speed(request, calls), *nearness(self.steps))

    def may_fail(self, weights: Weights) -> tuple[Status, ...]:
        """In a published comparison SVD stood still at 4 steps (Hauryk 2026, M3); mini moves."""
        return ("collapsed",) if weights == "pretrained" and self.steps <= 4 else ()

    def unfit(self, request: Request) -> str | None:
        if self.steps < request.steps:
            return None
        return f"{self.steps} steps are not fewer than the request's {request.steps}"

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"denoiser_calls": self.steps}

    def requested(self, request: Request) -> Request:
        return replace(request, steps=self.steps)

    def apply(self, pipeline: Pipeline) -> None:
        pipeline.request = self.requested(pipeline.request)


def guided_calls(calls: float, max_guidance: float) -> float:
    """How many guided denoiser calls take as long; max_guidance of 1 guides none of them."""
    return calls if max_guidance > 1 else UNGUIDED * calls


def speed(request: Request, calls: float) -> Claim:
    """The claim of a method whose denoising takes as long as so many guided calls."""
    own = guided_calls(request.steps, request.max_guidance)
    return Claim("speedup", at_least=0.9 * (own + OVERHEAD) / (calls + OVERHEAD))


def nearness(steps: int) -> tuple[Claim, ...]:
    """How near to the reference so many steps of its own sampler are, at least 1."""
    _, near, ceiling, motion = next(row for row in NEARNESS if steps >= row[0])
    return (
        *(Claim(m, at_least=-by, at_most=by, delta=True) for m, by in near.items()),
        Claim("lpips", at_most=ceiling),
        Claim("motion_ratio", at_least=1 / motion, at_most=motion),
    )

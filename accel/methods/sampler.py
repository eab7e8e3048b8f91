"""Other samplers on SVD's noise levels: the same network and noise, another path between them.

What: `kind="ays"` is Euler on the schedule of Align Your Steps, `kind="heun"` Heun's second-order
method, `kind="dpmpp"` DPM++ 2M; the latter two keep the pipeline's own Karras sigmas.
How: the pipeline's scheduler is replaced by one of diffusers' others, see accel.models.samplers.
Costs: no memory and no preparation. A second-order method is the better one where steps are small:
with fewer than 15 from sigma 700 to 0.002 it ruins the video and is refused, and with 15 it is no
nearer than Euler's 10. Heun calls the denoiser 2 steps - 1 times, so that its 15 steps save nothing
beside a reference of 25.
Measured: LPIPS to the converged path on mini svd is 0.005 after 25 Euler steps, 0.024 after 10 and
0.099 after 4; 0.008 after 10 of Align Your Steps; 0.154, 0.034 and 0.002 after 10, 15 and 24 of
DPM++; 0.229, 0.096 and 0.022 after 10, 12 and 15 of Heun.
Source: Sabour et al. 2024 (arXiv:2404.14507); Karras et al. 2022 (arXiv:2206.00364), algorithm 1;
Lu et al. 2022 (arXiv:2211.01095), algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, cast, get_args

from accel.core import Claim, Counters, Fidelity, Method, Request
from accel.errors import InvalidRequestError, NoEffectError, unknown_name
from accel.methods.fewer_steps import guided_calls, nearness, speed

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Kind", "Sampler"]

Kind = Literal["ays", "heun", "dpmpp"]

NEEDED = {
    "scheduler": "EulerDiscreteScheduler",
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
}
"""SVD's own schedule, which the others are fitted to."""

LEAST = {"ays": 1, "heun": 15, "dpmpp": 15}
"""From so many steps the video is near; 10 of Heun or DPM++ are farther off than 4 of Euler."""


@dataclass(frozen=True)
class Sampler(Method):
    """kind: "ays", "heun" or "dpmpp". steps: in place of the request's; None is 10 of ays, else 15.

    Its name leaves out the steps that None stands for.
    """

    kind: Kind
    steps: int = cast(int, None)

    name: ClassVar[str] = "sampler"
    source: ClassVar[str] = "arXiv:2404.14507; arXiv:2206.00364; arXiv:2211.01095"
    fidelity: ClassVar[Fidelity] = "faithful"
    sets_steps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise unknown_name("sampler", str(self.kind), get_args(Kind))
        if self.steps is None:
            object.__setattr__(self, "steps", self._usual)
        if type(self.steps) is not int or self.steps < 1:
            raise InvalidRequestError(f"sampler: steps is {self.steps!r}; give 1 or more")

    @property
    def _usual(self) -> int:
        return max(10, LEAST[self.kind])

    @property
    def slug(self) -> str:
        steps = "" if self.steps == self._usual else f"-steps_{self.steps}"
        return f"{self.name}-{self.kind}{steps}"

    @property
    def calls(self) -> int:
        """How often the denoiser is called."""
        return 2 * self.steps - 1 if self.kind == "heun" else self.steps

    def claims(self, request: Request) -> tuple[Claim, ...]:
        """Speed by the denoiser calls; a second-order method is as near as half as many steps."""
        alike = self.steps if self.kind == "ays" else (self.steps + 1) // 2
        return (speed(request, guided_calls(self.calls, request.max_guidance)), *nearness(alike))

    def unfit(self, request: Request) -> str | None:
        if self.calls < request.steps:
            return None
        return (
            f"{self.steps} steps take {self.calls} denoiser calls, no fewer than the request's "
            f"{request.steps}; give fewer steps, or the request more"
        )

    def refuses(self, pipeline: Pipeline) -> str | None:
        scheduler = pipeline.diffusers.scheduler
        found = {**scheduler.config, "scheduler": type(scheduler).__name__}
        for key, needed in NEEDED.items():
            if found.get(key) != needed:
                return f"{key} is {found.get(key)!r} in this pipeline; SVD's is {needed!r}"
        if self.steps < (least := LEAST[self.kind]):
            return (
                f"sampler:{self.kind} with {self.steps} steps ruins the video on this sigma range; "
                f"give at least {least}, or ays"
            )
        return self.unfit(pipeline.request)

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"denoiser_calls": self.calls, "sampler_calls": self.calls}

    def requested(self, request: Request) -> Request:
        return replace(request, steps=self.steps)

    def apply(self, pipeline: Pipeline) -> None:
        from accel.models.samplers import SAMPLERS

        if "sampler_calls" in pipeline.tallies:
            raise NoEffectError("the pipeline has another sampler already; applied twice?")
        scheduler = SAMPLERS[self.kind](pipeline.diffusers.scheduler.config)
        pipeline.diffusers.scheduler = scheduler
        pipeline.request = self.requested(pipeline.request)
        pipeline.tallies["sampler_calls"] = lambda: scheduler.step_index

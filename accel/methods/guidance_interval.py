"""Guidance interval: classifier-free guidance on the middle steps, the others without it.

What: guidance pushes the video away from what the UNet would make without the image, and takes a
second half of the batch for it. On the steps outside of the interval only the conditional half goes
through the UNet, and its prediction is the result, exactly.
How: hooks around the UNet's call take the conditional half of its input, and hand its output back
for both halves. The paper gives the interval in sigma; here it is in shares of the steps, for the
best sigmas differ from model to model, while the share says what is saved. Step k of n, counted
from 0, is guided if (k + 0.5) / n lies in [start, stop).
Costs: no memory, and none is saved: the guided calls have the peak. What guidance does early (to
the scene and its motion) or late (to detail) is lost. Compiled, it is two graphs instead of one.
Source: Kynkäänniemi et al. 2024 (arXiv:2404.07724).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from accel.core import Claim, Counters, Fidelity, Method, Request
from accel.errors import InvalidRequestError, NoEffectError
from accel.methods.fewer_steps import UNGUIDED, nearness, speed

if TYPE_CHECKING:
    from torch import nn

    from accel.models.svd import Pipeline

__all__ = ["GuidanceInterval", "Halves"]


@dataclass(frozen=True)
class GuidanceInterval(Method):
    """start, stop: shares of the steps, 0 <= start < stop <= 1, between which they are guided."""

    start: float = 0.25
    stop: float = 0.75

    name: ClassVar[str] = "guidance_interval"
    source: ClassVar[str] = "arXiv:2404.07724"
    fidelity: ClassVar[Fidelity] = "faithful"
    counts_steps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("start", "stop"):
            share = getattr(self, name)
            if type(share) not in (int, float) or not 0 <= share <= 1:
                raise InvalidRequestError(
                    f"guidance_interval: {name} is {share!r}; give a share of the steps in [0, 1]"
                )
            object.__setattr__(self, name, float(share))
        if self.start >= self.stop:
            raise InvalidRequestError(
                f"guidance_interval: start {self.start} is not below stop {self.stop}; "
                "to guide no step at all, ask for max_guidance 1"
            )

    def guided(self, steps: int) -> list[bool]:
        """Of each of so many steps, whether it is guided."""
        return [self.start <= (k + 0.5) / steps < self.stop for k in range(steps)]

    def claims(self, request: Request) -> tuple[Claim, ...]:
        """Speed by the guided steps; as near to the reference as 15 steps of its sampler.

        Beside a reference without guidance it only stands in a chain, and costs nothing there.
        """
        if request.max_guidance <= 1:
            return (Claim("speedup", at_least=1.0), *nearness(15))
        guided = sum(self.guided(request.steps))
        calls = guided + UNGUIDED * (request.steps - guided)
        return (speed(request, calls), *nearness(15))

    def unfit(self, request: Request) -> str | None:
        if request.max_guidance <= 1:
            return f"max_guidance {request.max_guidance} guides no step; ask for more than 1"
        guided = sum(self.guided(request.steps))
        if 0 < guided < request.steps:
            return None
        return (
            f"between {self.start} and {self.stop} lie {guided} of the request's {request.steps} "
            "steps; choose an interval with some of them, but not all"
        )

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"unguided_steps": self.guided(pipeline.request.steps).count(False)}

    def foresee(self, pipeline: Pipeline) -> None:
        pipeline.denoiser_shapes = 2

    def apply(self, pipeline: Pipeline) -> None:
        if "unguided_steps" in pipeline.tallies:
            raise NoEffectError("the pipeline has a guidance interval already; applied twice?")
        self.foresee(pipeline)
        halves = Halves(pipeline, self)
        pipeline.denoiser.register_forward_pre_hook(halves.narrow, with_kwargs=True)
        pipeline.denoiser.register_forward_hook(halves.widen)
        pipeline.tallies["unguided_steps"] = lambda: len(halves.unguided)
        steps = range(1, pipeline.request.steps + 1)
        both = (n for n in steps if 0 < sum(self.guided(n)) < n)
        pipeline.warm_steps = max(pipeline.warm_steps, next(both, 1))


class Halves:
    """Hooks of a denoiser whose batch is [unconditional, conditional], on the unguided steps.

    unguided: the steps of the last generation that went without guidance. Which step it is, the
    scheduler tells, and that is a number on the CPU: nothing waits for the GPU.
    """

    def __init__(self, pipeline: Pipeline, method: GuidanceInterval) -> None:
        self.pipeline, self.method = pipeline, method
        self.unguided: set[int] = set()

    def narrow(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """The conditional half of every input that has two."""
        step = self._step()
        if step == 0:
            self.unguided.clear()
        if self._guided(step):
            return None
        self.unguided.add(step)
        return tuple(map(_half, args)), {name: _half(value) for name, value in kwargs.items()}

    def widen(
        self, module: nn.Module, args: tuple[Any, ...], output: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...] | None:
        """The conditional prediction for both halves, so that guidance has nothing to add."""
        if self._guided(self._step()):
            return None
        return tuple(torch.cat([half, half]) for half in output)

    def _step(self) -> int:
        """Of a second-order sampler, both calls at one sigma are one step."""
        scheduler = self.pipeline.diffusers.scheduler
        return int(-(-scheduler.step_index // scheduler.order))

    def _guided(self, step: int) -> bool:
        return self.method.guided(self.pipeline.diffusers.scheduler.num_inference_steps)[step]


def _half(value: Any) -> Any:
    return value.chunk(2)[1] if isinstance(value, torch.Tensor) and value.ndim else value

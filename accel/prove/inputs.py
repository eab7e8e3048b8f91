"""Defects of what goes in, and of the network: the video is one, but not the one asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from accel.core import Counters, Request
from accel.methods.int8_weight_only import Int8Linear, Int8WeightOnly
from accel.methods.semi_structured import SemiStructured
from accel.methods.surgery import wrap
from accel.models.images import load_image
from accel.prove.defect import Catch, Defect

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = [
    "Cached",
    "FewerThanSaid",
    "LostBias",
    "LostMotion",
    "Untuned",
    "WrongImage",
    "WrongSeed",
]

REUSED = 5
"""The denoiser works in one of so many steps; the others take its last output."""


def _both(metric: str) -> tuple[Catch, ...]:
    return (
        Catch("quality", metric, "; allowed: "),
        Catch("quality", metric, "in the baseline"),
    )


class WrongSeed(Defect):
    """Another noise than the request's, in a method that calls itself exact."""

    name = "wrong_seed"
    fidelity = "exact"
    caught_by = (
        Catch("quality", "psnr", "claimed: at least 50 dB"),
        Catch("quality", "psnr", "in the baseline"),
        Catch("quality", "ssim", "in the baseline"),
    )

    def plant(self, pipeline: Pipeline) -> None:
        inner = pipeline.noise
        pipeline.noise = lambda request: inner(replace(request, seed=request.seed + 1))


class WrongImage(Defect):
    """Another photograph than the request's."""

    name = "wrong_image"
    caught_by = _both("clip")

    def plant(self, pipeline: Pipeline) -> None:
        inner = pipeline.generate

        def mistaken(request: Request) -> Any:
            other = "chelsea" if request.image != "chelsea" else "coffee"
            pipeline.image = load_image(other, request.width, request.height)
            return inner(request)

        pipeline.generate = mistaken


class LostMotion(Defect):
    """The motion bucket does not arrive: the least motion, whatever was asked for."""

    name = "lost_motion"
    caught_by = (
        Catch("quality", "motion_ratio", "to the reference is"),
        Catch("quality", "motion_ratio", "in the baseline"),
        Catch("quality", "motion_amount", "in the baseline"),
    )

    def plant(self, pipeline: Pipeline) -> None:
        inner = pipeline.generate
        pipeline.generate = lambda request: inner(replace(request, motion_bucket=1))


class FewerThanSaid(Defect):
    """Steps are left out, and `expected` was changed with them: only the baseline knows."""

    name = "fewer_than_said"
    caught_by = (Catch("speed", "counters.denoiser_calls", "in the baseline", "anything"),)

    def requested(self, request: Request) -> Request:
        return replace(request, steps=max(1, request.steps * 3 // 5))

    def expected(self, pipeline: Pipeline) -> Counters:
        steps = self.requested(pipeline.request).steps
        return {**super().expected(pipeline), "denoiser_calls": steps}

    def plant(self, pipeline: Pipeline) -> None:
        pipeline.request = self.requested(pipeline.request)


class Cached(Defect):
    """The denoiser's output is used again in four of five steps.

    The cache is inside of the call, so that the counters do not see it.
    """

    name = "cached"
    caught_by = (
        Catch("quality", "lpips", "claimed: at most 0.05"),
        Catch("quality", "lpips", "in the baseline"),
    )

    def plant(self, pipeline: Pipeline) -> None:
        calls, last = 0, None

        def cached(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls, last
                if calls % REUSED == 0:
                    last = inner(*args, **kwargs)
                calls += 1
                return last

            return call

        def from_start(request: Request) -> Any:
            nonlocal calls
            calls = 0
            return generate(request)

        wrap(pipeline.denoiser, "forward", cached)
        generate, pipeline.generate = pipeline.generate, from_start


class Untuned(Defect):
    """2:4 sparse weights that were not tuned, and that do not declare to fail."""

    name = "untuned"
    caught_by = (Catch("quality", "lpips", "claimed: at most 0.05"),)

    def plant(self, pipeline: Pipeline) -> None:
        SemiStructured().apply(pipeline)


class LostBias(Defect):
    """int8 Linears without the bias of those that they replace."""

    name = "lost_bias"
    host = Int8WeightOnly()
    caught_by = (Catch("quality", "lpips", "claimed: at most 0.02"),)

    def plant(self, pipeline: Pipeline) -> None:
        for module in pipeline.denoiser.modules():
            if isinstance(module, Int8Linear):
                module.bias = None

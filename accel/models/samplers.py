"""Other samplers for SVD: diffusers' own schedulers, fitted to its v-prediction and timesteps.

All solve the same ODE from the same noise, from sigma 700 down to 0.002 and then to 0, and ask the
UNet at timesteps 0.25 ln(sigma). Two things are wrapped around diffusers' classes: Heun's has the
timesteps of discrete models alone, and none but Euler's keeps float32 within a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import (
    EDMDPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
)
from diffusers.schedulers import AysSchedules

from accel.methods.surgery import wrap

__all__ = ["SAMPLERS", "ays_sigmas"]


def ays_sigmas(steps: int, sigma_min: float = 0.002) -> list[float]:
    """Align Your Steps' schedule for SVD: steps + 1 falling sigmas, the last of them 0.

    Its authors publish ten steps and interpolate them log-linearly for other counts. Their last
    sigma is sigma_min; diffusers' table has 0 in its place, where the pipeline ends as well.
    Source: Sabour et al. 2024 (arXiv:2404.14507), appendix B.
    """
    knots = [*AysSchedules["StableDiffusionVideoSigmas"][:-1], sigma_min]
    places = np.linspace(0, len(knots) - 1, steps + 1)
    sigmas = np.exp(np.interp(places, range(len(knots)), np.log(knots)))
    return [*sigmas[:-1].tolist(), 0.0]


def ays(config: Any) -> Any:
    """Euler, a first-order method, on the sigmas of Align Your Steps."""
    scheduler = EulerDiscreteScheduler.from_config(config)
    wrap(
        scheduler,
        "set_timesteps",
        lambda inner: lambda steps, device=None: inner(sigmas=ays_sigmas(steps), device=device),
    )
    return scheduler


def heun(config: Any) -> Any:
    """Heun's second-order method on the Karras sigmas: each step but the last takes two calls."""
    scheduler = HeunDiscreteScheduler.from_config(config)

    def continuous(inner: Callable[..., None]) -> Callable[..., None]:
        def set_timesteps(steps: int, device: torch.device | str | None = None) -> None:
            inner(steps, device)
            scheduler.timesteps = (0.25 * scheduler.sigmas[:-1].log()).to(device)

        return set_timesteps

    wrap(scheduler, "set_timesteps", continuous)
    wrap(scheduler, "step", _in_float32)
    return scheduler


def dpmpp(config: Any) -> Any:
    """DPM++ 2M, a second-order multistep method, on the Karras sigmas: one call a step."""
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=config.sigma_min,
        sigma_max=config.sigma_max,
        sigma_data=1.0,
        prediction_type=config.prediction_type,
    )
    wrap(scheduler, "step", _in_float32)
    return scheduler


SAMPLERS: dict[str, Callable[[Any], Any]] = {"ays": ays, "heun": heun, "dpmpp": dpmpp}
"""kind -> what makes its scheduler from the config of SVD's EulerDiscreteScheduler."""


def _in_float32(step: Callable[..., Any]) -> Callable[..., Any]:
    """The arithmetic of a step in float32, its result in the dtype of the UNet's output.

    In float16 alone, the rounding errors on Gaussian data were 1.3 to 2.6 times as large.
    """

    def call(output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor) -> Any:
        found = step(output.float(), timestep, sample.float())
        found.prev_sample = found.prev_sample.to(output.dtype)
        return found

    return call

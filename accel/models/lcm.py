"""The sampler of AnimateLCM-SVD: multistep consistency sampling on SVD's noise levels.

Source: Wang et al. 2024 (arXiv:2402.00769) and the sampler released with AnimateLCM-SVD-xt. It is
neither diffusers' CMStochasticIterativeScheduler, which scales its timesteps by 1000 and ends at
sigma_min, nor its LCMScheduler, which knows discrete timesteps alone.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerOutput

from accel.errors import InvalidRequestError

__all__ = ["ConsistencyScheduler", "consistency_sigmas"]


def consistency_sigmas(
    steps: int, grid: int = 40, low: float = 0.002, high: float = 700.0, rho: float = 7.0
) -> torch.Tensor:
    """Noise levels of 1 to `grid` steps, float64 [steps + 1]; the last is 0.

    Every (grid // steps)-th of `grid` Karras levels from `high` down to `low`: 4 steps start at
    700, 128.56, 13.678 and 0.4969. Raises InvalidRequestError for another number of steps.
    """
    if not 1 <= steps <= grid:
        raise InvalidRequestError(f"{steps} consistency steps: give 1 to {grid}")
    ramp = torch.arange(steps, dtype=torch.float64) * (grid // steps) / (grid - 1)
    ends = high ** (1 / rho), low ** (1 / rho)
    levels = (ends[0] + ramp * (ends[1] - ends[0])) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


class ConsistencyScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """Each step predicts the clean latents and noises them anew, to the next level.

    x0 = x / (s^2 + 1) - v * s / sqrt(s^2 + 1) for the v prediction at level s, then
    x = x0 + s_next * z with fresh normal z; the last step returns x0. z comes from `generator`
    (also an attribute, for a pipeline that passes none), on the generator's device.
    """

    order = 1

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = 40,
        sigma_min: float = 0.002,
        sigma_max: float = 700.0,
        rho: float = 7.0,
    ) -> None:
        self.generator: torch.Generator | None = None
        self.set_timesteps(1)

    @property
    def init_noise_sigma(self) -> float:
        """Standard deviation of the first sample, whose data have 1."""
        return float((self.config.sigma_max**2 + 1) ** 0.5)

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None
    ) -> None:
        """Begin a generation of so many steps; timesteps are ln(sigma) / 4."""
        config = self.config
        self.levels: list[float] = consistency_sigmas(
            num_inference_steps,
            config.num_train_timesteps,
            config.sigma_min,
            config.sigma_max,
            config.rho,
        ).tolist()
        times = torch.tensor(self.levels[:-1], dtype=torch.float64).log() / 4
        self.timesteps = times.float().to(device)
        self.num_inference_steps, self.step_index = num_inference_steps, 0

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor:
        """The sample at unit variance, for the network."""
        norm: float = (self.levels[self.step_index] ** 2 + 1) ** 0.5
        return sample / norm

    def step(
        self,
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[torch.Tensor]:
        """The sample at the next level, in the model output's dtype."""
        level, following = self.levels[self.step_index], self.levels[self.step_index + 1]
        norm = level**2 + 1
        value = sample.float() / norm - model_output.float() * (level / norm**0.5)
        if following:
            value = value + following * self._noise(value, generator or self.generator)
        self.step_index += 1
        value = value.to(model_output.dtype)
        return SchedulerOutput(prev_sample=value) if return_dict else (value,)

    def _noise(self, like: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        device = generator.device if generator else like.device
        return torch.randn(like.shape, generator=generator, device=device).to(like.device)

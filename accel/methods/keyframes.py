"""M6, key frames and interpolation: every n-th frame is generated, RIFE makes those between.

What: of 25 frames 7, 9 or 13 are generated (every 4th, 3rd or 2nd), so the UNet and the decoder
have a fraction of the work; RIFE fills in the rest at a tiny share of the cost.
How: the key frames take their own rows of the reference's noise. They span the same seconds: fps,
which conditions the model, is divided by the spacing, while the motion bucket, motion per unit of
time, stays. `respan=False` keeps the fps too, as a naive user would: then the clip plays slower.
Costs: motion between key frames is what RIFE makes of it; what appears and goes in between is
lost. It is another video than the reference, not a near one.
Source: Huang et al., ECCV 2022 (arXiv:2011.06294); Hauryk 2026, M6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from accel.core import Claim, Counters, Fidelity, Method, Request
from accel.errors import InvalidRequestError, NoEffectError
from accel.methods.surgery import wrap
from accel.models.rife import Rife, load_rife

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Interpolator", "Keyframes"]

SPEEDUP = {7: 2.7, 9: 2.2, 13: 1.6}
"""Claimed for 25 frames by key frames."""


class Interpolator:
    """Fills in frames between key frames; `made` counts those of the last call."""

    def __init__(self, net: Rife, spacing: int) -> None:
        self.net, self.spacing, self.made = net, spacing, 0

    def fill(self, keys: torch.Tensor) -> torch.Tensor:
        """Key frames [k, 3, h, w] in [0, 1] -> [(k - 1) * spacing + 1, 3, h, w]."""
        count, *shape = keys.shape
        frames = keys.new_empty((count - 1) * self.spacing + 1, *shape)
        frames[:: self.spacing] = keys
        for i in range(1, self.spacing):
            between = self.net(keys[:-1], keys[1:], i / self.spacing)
            frames[i :: self.spacing] = between.clamp(0, 1).to(keys.dtype)
        self.made = len(frames) - count
        return frames


@dataclass(frozen=True)
class Keyframes(Method):
    """keys: frames that are generated, at least 2. respan: fps follows their spacing."""

    keys: int = 7
    respan: bool = True

    name: ClassVar[str] = "keyframes"
    source: ClassVar[str] = "arXiv:2011.06294"
    fidelity: ClassVar[Fidelity] = "new_sample"

    def __post_init__(self) -> None:
        if type(self.keys) is not int or self.keys < 2:
            raise InvalidRequestError(f"keyframes: keys is {self.keys!r}; give 2 or more")

    def claims(self, request: Request) -> tuple[Claim, ...]:
        floor = SPEEDUP.get(self.keys) if request.frames == 25 else None
        return (Claim("speedup", at_least=floor),) if floor else ()

    def unfit(self, request: Request) -> str | None:
        frames = request.frames
        if request.latents_only:
            return "latents cannot be interpolated; ask for frames"
        if self.keys < frames and (frames - 1) % (self.keys - 1) == 0:
            return None
        layouts = [n + 1 for n in range(1, frames - 1) if (frames - 1) % n == 0]
        return f"{self.keys} key frames do not divide {frames} frames evenly; choose of {layouts}"

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"interpolated_frames": pipeline.request.frames - self.keys}

    def requested(self, request: Request) -> Request:
        spacing = self._spacing(request)
        fps = request.fps / spacing if self.respan else request.fps
        return replace(request, frames=self.keys, fps=fps)

    def apply(self, pipeline: Pipeline) -> None:
        if "interpolated_frames" in pipeline.tallies:
            raise NoEffectError("the pipeline interpolates already; applied twice?")
        frames, spacing = pipeline.request.frames, self._spacing(pipeline.request)
        interpolator = Interpolator(load_rife(pipeline.device, pipeline.diffusers.dtype), spacing)
        pipeline.request = self.requested(pipeline.request)
        wrap(pipeline, "noise", lambda noise: _rows(noise, frames, spacing))
        pipeline.added_stages.append((interpolator, "fill", "interpolate"))
        pipeline.tallies["interpolated_frames"] = lambda: interpolator.made
        wrap(
            pipeline,
            "generate",
            lambda generate: lambda request: interpolator.fill(generate(request)),
        )

    def _spacing(self, request: Request) -> int:
        return (request.frames - 1) // (self.keys - 1)


def _rows(
    noise: Callable[[Request], torch.Tensor], frames: int, spacing: int
) -> Callable[[Request], torch.Tensor]:
    """The key frames' rows of the noise for all frames."""
    return lambda request: noise(replace(request, frames=frames))[:, ::spacing]

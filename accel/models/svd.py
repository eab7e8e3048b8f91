"""Stable Video Diffusion as accel sees it: a diffusers pipeline with three edit points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch

from accel.core import Request, Weights
from accel.models.images import load_image
from accel.models.layout import check_size

if TYPE_CHECKING:
    from diffusers import StableVideoDiffusionPipeline

__all__ = ["Pipeline"]

WARM_STEPS = {"cuda": 4, "cpu": 1}
"""Denoiser calls of a warm-up: a CUDA graph runs, records and replays, then is steady."""


class Pipeline:
    """A loaded model with its three edit points.

    denoiser: the UNet, whose weights methods edit in place. request: data, replaced.
    generate: `request -> frames`, a float tensor [frames, 3, height, width] in [0, 1] (or
    latents [frames, channels, height / 8, width / 8]); methods may wrap it, wraps nest.
    weights: pretrained, mini or untrained, as in its case.

    noise: `request -> [1, frames, channels, h, w]`; methods may wrap it, too. added_stages: owner,
    attribute and name of calls that a method adds. tallies: counters that a method keeps, by name.
    denoiser_shapes: how many shapes the denoiser's input has; compiled, each is a graph of its own.
    warm_steps: most steps of a warm-up; a method that adds a shape raises it until all are shown.
    """

    def __init__(
        self,
        diffusers: StableVideoDiffusionPipeline,
        request: Request,
        weights: Weights = "pretrained",
    ) -> None:
        self.diffusers = diffusers
        self.request = request
        self.weights = weights
        self.image = load_image(request.image, request.width, request.height)
        self.generate: Callable[[Request], torch.Tensor] = self._generate
        self.noise: Callable[[Request], torch.Tensor] = self._noise
        self.added_stages: list[tuple[Any, str, str]] = []
        self.tallies: dict[str, Callable[[], int]] = {}
        self.denoiser_shapes = 1
        self.warm_steps = WARM_STEPS[self.device.type]
        diffusers.set_progress_bar_config(disable=True)
        self._check_size(request)

    @property
    def denoiser(self) -> torch.nn.Module:
        return cast(torch.nn.Module, self.diffusers.unet)

    @property
    def device(self) -> torch.device:
        return cast(torch.device, self.diffusers.device)

    def take(self, image: str, seed: int) -> None:
        """Turn to another picture and seed; the rest of the request stays, and all shapes do."""
        if image != self.request.image:
            self.image = load_image(image, *self.image.size)
        self.request = replace(self.request, image=image, seed=seed)

    def resize(self, width: int, height: int) -> None:
        """Turn to another size, in pixels. Raises InvalidRequestError if the UNet refuses it."""
        self.request = replace(self.request, width=width, height=height)
        self._check_size(self.request)
        self.image = load_image(self.request.image, width, height)

    def warm(self) -> torch.Tensor:
        """The same shapes as a generation in a few steps, so that nothing is first at work."""
        steps = min(self.request.steps, self.warm_steps)
        return self.generate(replace(self.request, steps=steps))

    def stages(self) -> list[tuple[Any, str, str]]:
        """Owner, attribute and stage name of each call that is measured by itself."""
        return [
            (self.diffusers, "_encode_image", "encode_image"),
            (self.diffusers, "_encode_vae_image", "encode_vae"),
            (self.denoiser, "forward", "denoise"),
            (self.diffusers, "decode_latents", "decode"),
            *self.added_stages,
        ]

    def calls(self) -> list[tuple[Any, str, str]]:
        """The same of each call that can be made by itself: of decoding it is that of a chunk."""
        chunk = (self.diffusers.vae, "decode", "decode")
        return [chunk if call[-1] == "decode" else call for call in self.stages()]

    def _generate(self, request: Request) -> torch.Tensor:
        frames = self.diffusers(
            self.image,
            height=request.height,
            width=request.width,
            num_frames=request.frames,
            num_inference_steps=request.steps,
            min_guidance_scale=request.min_guidance,
            max_guidance_scale=request.max_guidance,
            fps=request.fps,
            motion_bucket_id=request.motion_bucket,
            noise_aug_strength=request.noise_aug_strength,
            decode_chunk_size=request.decode_chunk_size,
            generator=torch.Generator("cpu").manual_seed(request.seed),
            latents=self.noise(request),
            output_type="latent" if request.latents_only else "pt",
        ).frames
        return cast(torch.Tensor, frames[0])

    def _noise(self, request: Request) -> torch.Tensor:
        """Standard normal [1, frames, channels, h, w], drawn on the CPU: equal on every device."""
        scale = self.diffusers.vae_scale_factor
        size = (request.height // scale, request.width // scale)
        shape = (1, request.frames, self.diffusers.vae.config.latent_channels, *size)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        return torch.randn(shape, generator=generator).to(self.diffusers.dtype)

    def _check_size(self, request: Request) -> None:
        """Every downsampling of the UNet halves the latents, so that they must stay whole."""
        levels = len(self.diffusers.unet.config.block_out_channels) - 1
        check_size(request, self.diffusers.vae_scale_factor * 2**levels)

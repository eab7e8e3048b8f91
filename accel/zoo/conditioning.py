"""What the UNet is told, exactly as StableVideoDiffusionPipeline (diffusers 0.42) tells it.

Also the objective: x = z + sigma * eps, the input x / sqrt(sigma^2 + 1), the time 1/4 ln sigma,
the target v = (eps - sigma * z) / sqrt(sigma^2 + 1); MSE, one sigma per clip.
"""

import math
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from accel.zoo import clip

DROP = 0.1  # share of clips without CLIP alone, without the image alone, and without both
SIGMA_RANGE = (0.002, 700.0)
LOG_SIGMA = (2.0, 1.8)
"""Mean and deviation of ln sigma in most draws.

SVD's are 0.7 and 1.6. There is no guessing in this world: the video follows from frame 0. A network
trained with those had the same error of x0, a third of what copying frame 0 has, at every sigma
from 30 to 700, and ever less below: it is the clip without any hint of it that it must learn.
"""
WIDE_SHARE = 0.15  # of the draws are uniform in ln sigma over the sampler's whole range
LOG_AUGMENTATION = (-3.0, 0.5)  # mean and deviation of ln noise_aug_strength


@dataclass(frozen=True)
class Conditions:
    """Of n clips; the image latents are not scaled by scaling_factor."""

    embedding: Tensor  # [n, 1, D] CLIP image embedding of the clean first frame
    image: Tensor  # [n, C, h, w] mode of the noised first frame's latents
    ids: Tensor  # [n, 3] fps - 1, motion bucket, noise augmentation


@torch.no_grad()
def condition(
    vae: AutoencoderKLTemporalDecoder,
    encoder: CLIPVisionModelWithProjection,
    first: Tensor,
    bucket: Tensor,
    fps: Tensor,
) -> Conditions:
    """Conditions of first frames [n, 3, H, W] in [0, 1], with random noise augmentation."""
    mean, deviation = LOG_AUGMENTATION
    strength = (mean + deviation * torch.randn(len(first), device=first.device)).exp()
    noised = first * 2 - 1 + strength.reshape(-1, 1, 1, 1) * torch.randn_like(first)
    return Conditions(
        embedding=encoder(clip.pixels(first)).image_embeds[:, None],
        image=vae.encode(noised).latent_dist.mode(),
        ids=torch.stack([fps - 1, bucket, strength], 1),
    )


def drop(conditions: Conditions) -> Conditions:
    """Zero conditions at random: CLIP alone, both, the image alone, DROP each."""
    draw = torch.rand(len(conditions.ids), device=conditions.ids.device).reshape(-1, 1, 1)
    keep_embedding = (draw >= 2 * DROP).to(conditions.embedding.dtype)
    keep_image = ((draw < DROP) | (draw >= 3 * DROP)).to(conditions.image.dtype)
    return Conditions(
        embedding=conditions.embedding * keep_embedding,
        image=conditions.image * keep_image[..., None],
        ids=conditions.ids,
    )


def draw_sigma(n: int, device: torch.device) -> Tensor:
    """Noise levels [n]: log-normal, a share of them log-uniform over the sampler's range."""
    low, high = (math.log(bound) for bound in SIGMA_RANGE)
    normal = LOG_SIGMA[0] + LOG_SIGMA[1] * torch.randn(n, device=device)
    wide = low + (high - low) * torch.rand(n, device=device)
    log_sigma = torch.where(torch.rand(n, device=device) < WIDE_SHARE, wide, normal)
    return log_sigma.clamp(low, high).exp()


def noised(
    latents: Tensor, sigma: Tensor, seen: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Network input, time [n] and v target of scaled latents [n, T, C, h, w].

    seen: what the noise is added to in place of the latents; they follow from the target even so.
    """
    level = sigma.reshape(-1, 1, 1, 1, 1)
    norm = (level.square() + 1).sqrt()
    eps = torch.randn_like(latents)
    target = (eps - level * latents) / norm
    if seen is None:
        seen = latents
    else:
        target = target + (seen - latents) / (level * norm)
    return (seen + level * eps) / norm, sigma.log() / 4, target


def denoised(sample: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
    """The latents that a prediction of v means, of a network input, all [n, T, C, h, w]."""
    level = sigma.reshape(-1, 1, 1, 1, 1)
    return (sample - level * v) / (level.square() + 1).sqrt()

"""Train the mini VAE of Stable Video Diffusion: images first, then clips of 8 frames.

    python -m accel.zoo.train_vae --minutes 4.5

Loss: L1 + multi-scale gradient L1 + LPIPS (`accel fetch` first) + a little KL. Half of the latents
are moved and scaled before they are decoded, and compared with the picture moved and scaled alike:
so a sprite that moves by part of a latent cell is to change its latents smoothly, and to leave the
UNet less to learn (Kouzelis et al. 2025, arXiv:2502.09509). Afterwards each latent channel is
scaled to unit RMS, exactly (quant_conv and the decoder's conv_in take the factors), and the
configuration's scaling_factor is 1 / std of the latents.

With --warm the decoder alone is trained: the latents, and so a UNet that knows them, stay.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor, nn

from accel.metrics import lpips_net
from accel.zoo import samples, world
from accel.zoo.ring import Ring
from accel.zoo.training import WEIGHTS, Plan, Training, autocast, parse, scene_seeds

CHANNELS = (32, 64, 64, 96)
LATENT_CHANNELS = 8
CLIP_FRAMES = 8  # as the pipeline's decode_chunk_size
IMAGE_SHARE = 0.7  # of the budget: single frames before clips
CAPACITY = 2048  # clips
GRADIENT_WEIGHT = 0.5
PERCEPTUAL_WEIGHT = 0.5
KL_WEIGHT = 1e-4
SHIFT = 0.125  # of half the picture's side, either way: one latent cell
LOG_SCALE = 0.25


def build_vae() -> AutoencoderKLTemporalDecoder:
    """A mini VAE with random parameters: 8x smaller latents of 8 channels.

    The taps of its temporal convolutions on earlier and later frames start at zero: what is
    learned on single frames holds, unchanged, for the first clip.
    """
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        sample_size=128,
        force_upcast=True,
    )
    with torch.no_grad():
        for module in vae.modules():
            if isinstance(module, nn.Conv3d) and module.kernel_size[0] == 3:
                module.weight[:, :, ::2] = 0
    return vae


def _gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.diff(dim=-1), images.diff(dim=-2)


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 + gradient L1 at three scales, of images [n, 3, H, W]."""
    loss = F.l1_loss(output, target)
    for scale in range(3):
        own, true = _gradients(output), _gradients(target)
        step = sum(F.l1_loss(a, b) for a, b in zip(own, true, strict=True))
        loss = loss + GRADIENT_WEIGHT * step / 3
        if scale < 2:
            output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
    return loss


def finite_gradient(images: Tensor) -> Tensor:
    """The images, whose gradient is 0 where it is not finite.

    LPIPS divides features by their norm: where all are zero, its gradient is NaN.
    """
    copy = images.clone()
    copy.register_hook(lambda gradient: gradient.nan_to_num(0.0, 0.0, 0.0))
    return copy


def moves(n: int, device: torch.device) -> Tensor:
    """n random shifts and scalings, as affine matrices [n, 2, 3] for `moved`."""
    scale = (LOG_SCALE * (2 * torch.rand(n, 1, 1, device=device) - 1)).exp()
    shift = SHIFT * (2 * torch.rand(n, 2, 1, device=device) - 1)
    return torch.cat([scale * torch.eye(2, device=device), shift], 2)


def moved(images: Tensor, matrices: Tensor) -> Tensor:
    """Images or latents [n, C, h, w], resampled by [n, 2, 3]; beyond the edge they are mirrored."""
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, "bicubic", "reflection", align_corners=False)


def fill(ring: Ring, clips: int, seed: int, device: torch.device) -> None:
    """Add clips of consecutive frames, uint8 [n, CLIP_FRAMES, 3, H, W]."""
    start = seed // 1000 % 7
    scenes = world.sample_scenes(clips, seed, frames=14, device=device)
    video = world.render(scenes, range(start, start + CLIP_FRAMES)).video
    ring.add(video=(video * 255).round().byte())


def draw(ring: Ring, frames: int, images: bool) -> Tensor:
    """A batch [frames, 3, H, W] in [-1, 1]: single frames, or whole clips one after another."""
    if images:
        video = ring.rows["video"]
        clip = torch.randint(min(ring.count, ring.capacity), (frames,), device=video.device)
        when = torch.randint(CLIP_FRAMES, (frames,), device=video.device)
        batch = video[clip, when]
    else:
        batch = ring.draw(max(1, frames // CLIP_FRAMES))["video"].flatten(0, 1)
    return batch.float() / 127.5 - 1


@torch.no_grad()
def normalise(vae: AutoencoderKLTemporalDecoder, images: Tensor) -> float:
    """Scale every latent channel to unit RMS on images [n, 3, H, W]; returns scaling_factor."""
    latents = vae.encode(images).latent_dist.mode()
    rms = latents.square().mean((0, 2, 3)).sqrt()
    z = vae.config.latent_channels
    vae.quant_conv.weight[:z] /= rms.reshape(-1, 1, 1, 1)
    vae.quant_conv.bias[:z] /= rms
    vae.quant_conv.bias[z:] -= 2 * rms.log()
    vae.decoder.conv_in.weight *= rms.reshape(1, -1, 1, 1)
    factor = 1 / float(vae.encode(images).latent_dist.mode().std())
    vae.register_to_config(scaling_factor=factor)
    return factor


def decoded(decoder: Callable[..., Tensor], latents: Tensor) -> Tensor:
    """Clips of latents [n, T, C, h, w] -> frames [n * T, 3, H, W] in [-1, 1]."""
    n, frames = latents.shape[:2]
    only = latents.new_zeros(n, frames)
    return decoder(latents.flatten(0, 1), image_only_indicator=only, num_frames=frames)


def reconstructed(vae: AutoencoderKLTemporalDecoder, decoder: nn.Module, clip: Tensor) -> Tensor:
    """Frames [T, 3, H, W] in [0, 1], encoded, and decoded 8 frames at a time: the same shape.

    decoder: the VAE's own, or another one of its latents.
    """
    parts = vae.encode(clip * 2 - 1).latent_dist.mode().split(CLIP_FRAMES)
    frames = torch.cat([decoded(decoder, part[None]) for part in parts])
    return ((frames + 1) / 2).clamp(0, 1)


def decibels(output: Tensor, target: Tensor) -> float:
    """PSNR of images in [0, 1]."""
    return -10 * math.log10(float((output - target).square().mean()) + 1e-10)


@torch.no_grad()
def psnr(vae: AutoencoderKLTemporalDecoder, device: torch.device, clips: int = 32) -> float:
    """Mean PSNR (dB) of held-out clips of 14 frames, decoded 8 frames at a time, in fp32."""
    video = world.sample(clips, 998_000_000, frames=14, device=device).video
    values = [decibels(reconstructed(vae, vae.decoder, clip), clip) for clip in video]
    return sum(values) / len(values)


def forwards(
    vae: AutoencoderKLTemporalDecoder, compiled: bool, frozen: bool
) -> Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """(frames, num_frames) to reconstruction, its target, mean and log variance in fp32.

    frozen: no gradient reaches the encoder.

    The second half of the clips is moved, each by a matrix of its own. Single frames run compiled;
    the short clip stage is not worth a second compilation.
    """

    def forward(frames: Tensor, num_frames: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, variance = vae.quant_conv(vae.encoder(frames)).float().chunk(2, dim=1)
        variance = variance.clamp(-30, 20)
        if frozen:
            mean, variance = mean.detach(), variance.detach()
        latents = mean + (variance / 2).exp() * torch.randn_like(mean)
        clips = len(frames) // num_frames
        still = clips // 2 * num_frames
        matrices = moves(clips - clips // 2, frames.device).repeat_interleave(num_frames, 0)
        latents = torch.cat([latents[:still], moved(latents[still:], matrices)])
        target = torch.cat([frames[:still], moved(frames[still:], matrices).clamp(-1, 1)])
        only = torch.zeros(len(frames) // num_frames, num_frames, device=frames.device)
        output = vae.decoder(latents, image_only_indicator=only, num_frames=num_frames)
        return output.float(), target, mean, variance

    quick = torch.compile(forward, dynamic=False) if compiled else forward
    return lambda frames, count: (quick if count == 1 else forward)(frames, count)


def export(vae: AutoencoderKLTemporalDecoder, plan: Plan, ring: Ring, frozen: bool) -> None:
    """Normalise the latents unless they are frozen, report, and write the weights in fp16."""
    if not frozen:
        normalise(vae, draw(ring, min(256, 8 * ring.count), images=True))
    factor = vae.config.scaling_factor
    quality = psnr(vae, plan.device, 32 if plan.device.type == "cuda" else 1)
    print(f"vae: scaling_factor {factor:.4f}, held-out PSNR {quality:.2f} dB", flush=True)
    vae.half().save_pretrained(plan.out / "svd" / "vae", variant="fp16")


def main() -> None:
    plan = parse("Train the mini VAE.", WEIGHTS, minutes=4.5, batch=128)
    torch.manual_seed(plan.seed)
    vae = build_vae()
    if plan.warm:
        folder = plan.out / "svd" / "vae"
        vae = AutoencoderKLTemporalDecoder.from_pretrained(
            folder, variant="fp16", dtype=torch.float32
        )
    training = Training("vae", vae.to(plan.device), plan, peak=1e-3)
    ring = Ring(CAPACITY if plan.device.type == "cuda" else 16)
    seeds = scene_seeds(plan, training.step)
    for _ in range(4 if plan.device.type == "cuda" else 1):
        fill(ring, max(1, plan.batch // 4), next(seeds), plan.device)
    forward = forwards(vae, plan.compile, training.warm)
    perceptual = lpips_net.network().to(plan.device)

    def loss_of(share: float) -> Tensor:
        if training.step % 4 == 0:
            fill(ring, max(1, plan.batch // 4), next(seeds), plan.device)
        images = share < IMAGE_SHARE
        frames = draw(ring, plan.batch, images)
        with autocast(plan.device):
            output, target, mean, variance = forward(frames, 1 if images else CLIP_FRAMES)
            distance: Tensor = perceptual(finite_gradient(output), target).mean()
        kl = 0.5 * (mean.square() + variance.exp() - 1 - variance).mean()
        loss: Tensor = reconstruction_loss(output, target) + PERCEPTUAL_WEIGHT * distance
        return loss + KL_WEIGHT * kl

    coder = partial(reconstructed, vae, vae.decoder)
    training.run(loss_of, samples.reconstructions(coder, plan.device))
    if plan.ranks.first:
        with training.averaged():
            export(vae, plan, ring, training.warm)


if __name__ == "__main__":
    main()

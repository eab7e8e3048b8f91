"""Distil the temporal decoder of the mini VAE into a tiny one.

    python -m accel.zoo.train_tiny_vae --minutes 5

Needs the VAE in --out and LPIPS (`accel fetch`). The goal is what the VAE's own decoder makes of
encoded clips, not the clips: the method `tiny_vae` is held to M0. Half of the clips' latents are
moved as `train_vae` moves them, for those that a UNet makes lie between encoded ones. A batch is
clips of four frames: what is known of the frame before each has to be learned, too.
"""

from functools import partial

import torch
from diffusers import AutoencoderKLTemporalDecoder
from safetensors.torch import save_file
from torch import Tensor

from accel.metrics import lpips_net
from accel.models.students import fingerprint
from accel.models.tiny_decoder import MINI, TinyDecoder
from accel.zoo import samples, world
from accel.zoo.ring import Ring
from accel.zoo.train_vae import (
    decibels,
    decoded,
    finite_gradient,
    moved,
    moves,
    reconstructed,
    reconstruction_loss,
)
from accel.zoo.training import WEIGHTS, Plan, Training, parse, scene_seeds

WIDTH = 24  # 0.5 MB in fp16
CHUNK_FRAMES = 8  # of the VAE: the pipeline's decode_chunk_size
CLIP_FRAMES = 4  # of a chunk, in a batch: neighbours tell little new, and steps are what counts
CAPACITY = 256  # chunks
REFRESH = 16  # steps between additions, which cost more than a step
HELD_OUT = 16  # clips that the report is of
PERCEPTUAL_WEIGHT = 1.0  # twice that of `train_vae`: the method is held to an LPIPS


def build(vae: AutoencoderKLTemporalDecoder) -> TinyDecoder:
    """A tiny decoder with random parameters for the latents of that VAE."""
    config = vae.config
    return TinyDecoder(WIDTH, config.latent_channels, config.scaling_factor)


@torch.no_grad()
def fill(ring: Ring, vae: AutoencoderKLTemporalDecoder, clips: int, seed: int) -> None:
    """Add chunks: latents [n, CHUNK_FRAMES, C, h, w], and what the VAE makes of them, as uint8."""
    start = seed // 1000 % 7
    scenes = world.sample_scenes(clips, seed, frames=14, device=vae.device)
    video = world.render(scenes, range(start, start + CHUNK_FRAMES)).video
    latents = vae.encode(video.flatten(0, 1) * 2 - 1).latent_dist.mode()
    if seed // 7000 % 2:  # of two chunks that start alike, one
        latents = moved(latents, moves(clips, vae.device).repeat_interleave(CHUNK_FRAMES, 0))
    frames = vae.decode(latents, num_frames=CHUNK_FRAMES).sample
    pixels = ((frames.clamp(-1, 1) + 1) * 127.5).round().byte()
    shape = (clips, CHUNK_FRAMES)
    ring.add(latents=latents.unflatten(0, shape), frames=pixels.unflatten(0, shape))


def draw(ring: Ring, clips: int) -> tuple[Tensor, Tensor]:
    """Clips at random: latents [n, CLIP_FRAMES, C, h, w], frames [n * CLIP_FRAMES, 3, H, W]."""
    rows = ring.draw(clips)
    start = int(torch.randint(CHUNK_FRAMES - CLIP_FRAMES + 1, ()))
    latents, frames = (rows[k][:, start : start + CLIP_FRAMES] for k in ("latents", "frames"))
    return latents, frames.flatten(0, 1).float() / 127.5 - 1


@torch.no_grad()
def quality(
    vae: AutoencoderKLTemporalDecoder, network: TinyDecoder, clips: int
) -> dict[str, float]:
    """Means over held-out clips of 14 frames, decoded 8 and then 6 frames at a time, in fp32.

    PSNR (dB) of the tiny decoder to the VAE's own ("teacher") and of both to the clip ("truth",
    "teacher to truth"), and LPIPS to the VAE's own ("lpips").
    """
    perceptual = lpips_net.network().to(vae.device)
    rows: list[tuple[float, ...]] = []
    for clip in world.sample(clips, 998_000_000, frames=14, device=vae.device).video:
        full, tiny = (reconstructed(vae, decoder, clip) for decoder in (vae.decoder, network))
        distance = float(perceptual(tiny * 2 - 1, full * 2 - 1).mean())
        rows.append((decibels(tiny, full), decibels(tiny, clip), decibels(full, clip), distance))
    names = ("teacher", "truth", "teacher to truth", "lpips")
    return {name: sum(x) / clips for name, x in zip(names, zip(*rows, strict=True), strict=True)}


def export(vae: AutoencoderKLTemporalDecoder, network: TinyDecoder, plan: Plan) -> None:
    """Report, and write the weights in fp16."""
    found = quality(vae, network, HELD_OUT)
    print("tiny_vae: " + ", ".join(f"{name} {x:.4g}" for name, x in found.items()), flush=True)
    tensors = {name: value.half().cpu() for name, value in network.state_dict().items()}
    (plan.out / MINI).parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, plan.out / MINI, {"base": fingerprint(plan.out / "svd" / "vae")})


def main() -> None:
    plan = parse("Distil the mini VAE's decoder.", WEIGHTS, minutes=5, batch=16)
    torch.manual_seed(plan.seed)
    folder = plan.out / "svd" / "vae"
    vae = AutoencoderKLTemporalDecoder.from_pretrained(
        folder, variant="fp16", dtype=torch.float32
    ).to(plan.device)
    network = build(vae)
    training = Training("tiny_vae", network.to(plan.device), plan, peak=1.5e-3, decay=0.995)
    ring = Ring(CAPACITY)
    seeds = scene_seeds(plan, training.step)
    chunk = max(1, plan.batch // 2)
    for _ in range(8):
        fill(ring, vae, chunk, next(seeds))
    quick = torch.compile(network, dynamic=False) if plan.compile else network
    perceptual = lpips_net.network().to(plan.device)

    def loss_of(share: float) -> Tensor:
        if training.step % REFRESH == 0:
            fill(ring, vae, chunk, next(seeds))
        latents, target = draw(ring, plan.batch)
        with torch.autocast(plan.device.type, torch.bfloat16):  # half the time of a CPU, too
            output = decoded(quick, latents).float()
            distance: Tensor = perceptual(finite_gradient(output), target).mean()
        loss: Tensor = reconstruction_loss(output, target) + PERCEPTUAL_WEIGHT * distance
        return loss

    coder = partial(reconstructed, vae, network)
    training.run(loss_of, samples.reconstructions(coder, plan.device))
    if plan.ranks.first:
        with training.averaged():
            export(vae, network, plan)


if __name__ == "__main__":
    main()

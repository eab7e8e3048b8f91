"""Train the mini VAE's decoder further, on what the UNet makes, too.

    python -m accel.zoo.train_decoder --minutes 5

Needs the whole pipeline in --out and LPIPS (`accel fetch`). The encoder stays, and with it every
latent: so the UNet, and what was distilled from it, fit as before. Half of a batch are latents that
the guided UNet generates from the first frame of a clip, and what is to be decoded from them is
the clip: in this world it follows from that frame. So the decoder mends what the UNet tears. The
other half are encoded clips, every second time moved as `train_vae` moves them. The loss is that
of `train_vae`, with LPIPS weighed more.
"""

from itertools import pairwise

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from accel.metrics import lpips_net
from accel.models.lcm import consistency_sigmas
from accel.zoo import train_vae, world
from accel.zoo.conditioning import condition
from accel.zoo.train_lcm import solved
from accel.zoo.training import WEIGHTS, Plan, Ring, Training, parse, scene_seeds

FRAMES = 14
STEPS = 25  # of the sampler
CHUNK_FRAMES = 8  # as the pipeline's decode_chunk_size
PERCEPTUAL_WEIGHT = 1.0  # twice that of `train_vae`
CAPACITY = 1024  # clips
REFRESH = 16  # steps between additions, of a batch of clips


class Studio:
    """Generates clips with the pipeline in the plan's --out, and keeps them beside the truth."""

    def __init__(self, plan: Plan) -> None:
        folder = plan.out / "svd"
        kind = {"variant": "fp16", "dtype": torch.float32}
        self.device = plan.device
        self.vae = AutoencoderKLTemporalDecoder.from_pretrained(folder / "vae", **kind)
        self.encoder = CLIPVisionModelWithProjection.from_pretrained(
            folder / "image_encoder", **kind
        )
        self.unet = UNetSpatioTemporalConditionModel.from_pretrained(folder / "unet", **kind)
        for model in (self.vae, self.encoder, self.unet):
            model.to(plan.device)
        self.ring = Ring(CAPACITY if plan.device.type == "cuda" else 64)

    @torch.no_grad()
    def add(self, clips: int, seed: int) -> None:
        """Latents [n, FRAMES, C, h, w] that the VAE decodes, and the true frames as uint8."""
        true = world.sample(clips, seed, FRAMES, device=self.device)
        given = condition(self.vae, self.encoder, true.video[:, 0], true.bucket, true.fps)
        levels = consistency_sigmas(STEPS, grid=STEPS).float().to(self.device)
        noise = torch.randn(clips, FRAMES, *given.image.shape[1:], device=self.device)
        x = levels[0] * noise
        with torch.autocast(self.device.type, torch.bfloat16):
            for level, after in pairwise(levels):
                x = solved(self.unet, x, level.expand(clips), after.expand(clips), given)
        self.ring.add(
            latents=(x / self.vae.config.scaling_factor).half(),
            frames=(true.video * 255).round().byte(),
        )

    @torch.no_grad()
    def draw(self, clips: int, move: bool) -> tuple[Tensor, Tensor]:
        """Latents [n, CHUNK_FRAMES, C, h, w] and frames [n, CHUNK_FRAMES, 3, H, W] in [-1, 1].

        Half of them generated, half encoded; `move`: and moved. Each from the clip's beginning or
        end.
        """
        rows = self.ring.draw(clips)
        start = int(torch.randint(2, ())) * (FRAMES - CHUNK_FRAMES)
        latents, frames = (rows[k][:, start:][:, :CHUNK_FRAMES].float() for k in rows)
        frames = frames / 127.5 - 1
        half = clips // 2
        target = frames[half:].flatten(0, 1)
        encoded = self.vae.encode(target).latent_dist.mode()
        if move:
            matrices = train_vae.moves(clips - half, self.device)
            matrices = matrices.repeat_interleave(CHUNK_FRAMES, 0)
            encoded = train_vae.moved(encoded, matrices)
            target = train_vae.moved(target, matrices).clamp(-1, 1)
        shape = (clips - half, CHUNK_FRAMES)
        return (
            torch.cat([latents[:half], encoded.unflatten(0, shape)]),
            torch.cat([frames[:half], target.unflatten(0, shape)]),
        )


def main() -> None:
    plan = parse("Train the mini VAE's decoder further.", WEIGHTS, minutes=5, batch=16)
    torch.manual_seed(plan.seed)
    studio = Studio(plan)
    vae = studio.vae
    training = Training("decoder", vae.decoder, plan, peak=3e-4, decay=0.995)
    seeds = scene_seeds(plan, training.step)
    for _ in range(8):
        studio.add(plan.batch, next(seeds))
    print("decoder: clips generated", flush=True)
    quick = torch.compile(vae.decoder, dynamic=False) if plan.compile else vae.decoder
    perceptual = lpips_net.network().to(plan.device)

    def loss_of(share: float) -> Tensor:
        if training.step % REFRESH == REFRESH - 1:
            studio.add(plan.batch, next(seeds))
        latents, frames = studio.draw(plan.batch, move=training.step % 2 == 1)
        only = torch.zeros(latents.shape[:2], device=plan.device)
        target = frames.flatten(0, 1)
        with torch.autocast(plan.device.type, torch.bfloat16):
            output = quick(latents.flatten(0, 1), only, num_frames=CHUNK_FRAMES).float()
            distance: Tensor = perceptual(train_vae.finite_gradient(output), target).mean()
        return train_vae.reconstruction_loss(output, target) + PERCEPTUAL_WEIGHT * distance

    training.run(loss_of)
    if plan.ranks.first:
        with training.averaged():
            quality = train_vae.psnr(vae, plan.device, 32 if plan.device.type == "cuda" else 1)
            print(f"decoder: held-out PSNR {quality:.2f} dB", flush=True)
            vae.half().save_pretrained(plan.out / "svd" / "vae", variant="fp16")


if __name__ == "__main__":
    main()

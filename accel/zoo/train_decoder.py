"""Train the mini VAE's decoder further, towards the clips as LPIPS sees them.

    python -m accel.zoo.train_decoder --minutes 4

Needs the VAE in --out and LPIPS (`accel fetch`). The encoder stays, and with it every latent: so
the UNet, and what was distilled from it, fit as before. Starts from the decoder in --out. The loss
is that of `train_vae` with LPIPS weighed more; half of the latents are moved, as there.
"""

import torch
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor

from accel.metrics import lpips_net
from accel.zoo import train_vae
from accel.zoo.training import WEIGHTS, Ring, Training, autocast, parse, scene_seeds

PERCEPTUAL_WEIGHT = 2.0  # four times that of `train_vae`
REFRESH = 4  # steps between additions of clips


def main() -> None:
    plan = parse("Train the mini VAE's decoder further.", WEIGHTS, minutes=4, batch=64)
    torch.manual_seed(plan.seed)
    folder = plan.out / "svd" / "vae"
    vae = AutoencoderKLTemporalDecoder.from_pretrained(
        folder, variant="fp16", dtype=torch.float32
    ).to(plan.device)
    training = Training("decoder", vae.decoder, plan, peak=5e-4)
    ring = Ring(train_vae.CAPACITY if plan.device.type == "cuda" else 16)
    seeds = scene_seeds(plan, training.step)
    chunk = max(1, plan.batch // 4)
    for _ in range(4):
        train_vae.fill(ring, chunk, next(seeds), plan.device)
    quick = torch.compile(vae.decoder, dynamic=False) if plan.compile else vae.decoder
    perceptual = lpips_net.network().to(plan.device)

    def loss_of(share: float) -> Tensor:
        if training.step % REFRESH == 0:
            train_vae.fill(ring, chunk, next(seeds), plan.device)
        frames, count = train_vae.draw(ring, plan.batch, images=False), train_vae.CLIP_FRAMES
        with torch.no_grad():
            encoded = vae.encode(frames).latent_dist.mode()
            latents, target = train_vae.half_moved(encoded, frames, count)
        only = torch.zeros(len(frames) // count, count, device=plan.device)
        with autocast(plan.device):
            output = quick(latents, image_only_indicator=only, num_frames=count).float()
            distance: Tensor = perceptual(train_vae.finite_gradient(output), target).mean()
        return train_vae.reconstruction_loss(output, target) + PERCEPTUAL_WEIGHT * distance

    training.run(loss_of)
    if plan.ranks.first:
        with training.averaged():
            quality = train_vae.psnr(vae, plan.device, 32 if plan.device.type == "cuda" else 1)
            print(f"decoder: held-out PSNR {quality:.2f} dB", flush=True)
            vae.half().save_pretrained(folder, variant="fp16")


if __name__ == "__main__":
    main()

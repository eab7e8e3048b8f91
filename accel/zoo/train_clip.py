"""Train the mini CLIP on frames of the world and their captions (InfoNCE).

    python -m accel.zoo.train_clip --minutes 1.5

Writes weights/clip (open_clip's layout) and weights/svd/image_encoder (the same vision tower for
the pipeline), and fails if the two differ. It makes no pictures: beside its log there is a loss
curve, but no sample sheet.
"""

import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from torch import Tensor

from accel.zoo import clip, world
from accel.zoo.ring import Ring
from accel.zoo.training import WEIGHTS, Plan, Training, autocast, parse, scene_seeds

CAPACITY = 16384
REFRESH = 6  # steps between additions to the frames, which cost more than a step
HELD_OUT = 256  # frames, among whose captions a trained model finds each one's own
TOLERANCE = 1e-4  # largest difference of the two layouts' embeddings, fp32


def fill(ring: Ring, n: int, seed: int, device: torch.device) -> None:
    """Add n frames of random scenes, as uint8, with their tokens."""
    clips = world.sample(n, seed, frames=1, device=device)
    frames = (clips.video[:, 0] * 255).round().byte()
    tokenizer = clip.WordTokenizer()
    ring.add(frames=frames, tokens=tokenizer(clips.captions).to(device))


def info_nce(model: CLIP, frames: Tensor, tokens: Tensor) -> Tensor:
    """Symmetric InfoNCE of frames [n, 3, H, W] uint8; equal captions are no negatives."""
    images = model.encode_image(clip.pixels(frames.float() / 255), normalize=True).float()
    texts = model.encode_text(tokens, normalize=True).float()
    logits = model.logit_scale.exp().clamp(max=100) * images @ texts.T
    same = (tokens[:, None] == tokens[None]).all(-1)
    same.fill_diagonal_(False)
    logits = logits.masked_fill(same, -1e4)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def accuracy(model: CLIP, device: torch.device, n: int) -> float:
    """Share of held-out frames whose own caption is the nearest of those of n scenes."""
    ring = Ring(n)
    fill(ring, n, 999_000_000, device)
    images = model.encode_image(clip.pixels(ring.rows["frames"].float() / 255), normalize=True)
    texts = model.encode_text(ring.rows["tokens"], normalize=True)
    nearest = (images @ texts.T).argmax(1)
    right = (ring.rows["tokens"][nearest] == ring.rows["tokens"]).all(1)
    return float(right.float().mean())


def export(model: CLIP, plan: Plan) -> None:
    """Write both layouts in fp16 and check that they agree."""
    clip.save_clip(model, plan.out / "clip")
    saved = clip.load_clip(plan.out / "clip")
    encoder = clip.image_encoder(saved)
    frames = clip.pixels(world.sample(4, 1, frames=1).video[:, 0])
    with torch.no_grad():
        difference = (saved.encode_image(frames) - encoder(frames).image_embeds).abs().max()
    if not difference < TOLERANCE:
        raise AssertionError(f"the converted vision tower differs by {float(difference):.2e}")
    encoder.half().save_pretrained(plan.out / "svd" / "image_encoder", variant="fp16")
    print(f"clip: converted vision tower differs by {float(difference):.1e}", flush=True)


def main() -> None:
    plan = parse("Train the mini CLIP.", WEIGHTS, minutes=1.5, batch=512)
    torch.manual_seed(plan.seed)
    model = clip.load_clip(plan.out / "clip") if plan.warm else clip.build_clip()
    training = Training("clip", model.to(plan.device), plan, peak=1e-3)
    ring = Ring(CAPACITY)
    seeds = scene_seeds(plan, training.step)
    fill(ring, 4 * plan.batch, next(seeds), plan.device)

    def loss_of(share: float) -> Tensor:
        if training.step % REFRESH == 0:
            fill(ring, max(1, plan.batch // 4), next(seeds), plan.device)
        rows = ring.draw(plan.batch)
        with autocast(plan.device):
            return info_nce(model, rows["frames"], rows["tokens"])

    training.run(loss_of)
    if not plan.ranks.first:
        return
    with training.averaged(), torch.no_grad():
        found = accuracy(model, plan.device, HELD_OUT)
        print(f"clip: held-out accuracy 1 of {HELD_OUT}: {found:.3f}", flush=True)
        export(model, plan)


if __name__ == "__main__":
    main()

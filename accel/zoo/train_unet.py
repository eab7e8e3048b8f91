"""Train the mini UNet of Stable Video Diffusion on a bank of encoded clips.

    python -m accel.zoo.train_unet --minutes 8

Needs the VAE and the image encoder in --out. The bank lives on the device and is renewed while
training runs. A batch holds clips of one length; only batches of 14 frames, the most frequent
length, run compiled (as CUDA graphs), because each further length would cost a compilation of its
own. The others wait for their kernels' launches, several times as long: they are few, and their
batches larger at no cost. Muon trains what is a matrix, AdamW all else and both ends.

A sampler hands the network its own last guess, guided, under less noise. A network that has only
seen the truth there takes the guess's errors for the picture, and adds to them (exposure bias: Ning
et al. 2023, arXiv:2301.11706). So every second step noises the network's guess; what it is to
predict remains the truth.
"""

from collections.abc import Callable, Iterator
from itertools import cycle

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from accel.zoo import assemble, samples, world
from accel.zoo.conditioning import Conditions, condition, denoised, draw_sigma, drop, noised
from accel.zoo.muon import matrices
from accel.zoo.ring import Ring
from accel.zoo.train_vae import LATENT_CHANNELS
from accel.zoo.training import WEIGHTS, Plan, Training, autocast, parse, scene_seeds

CHANNELS = (64, 64, 96)
HEADS = (2, 2, 3)
BLOCKS = ("CrossAttn", "CrossAttn", "")  # of each level: with transformers, or without
LENGTHS = {14: 0.94, 25: 0.02, 7: 0.02, 9: 0.01, 13: 0.01}  # frames: share of the batches
COMPILED = 14
LARGER = 3  # times, a batch of another length
LARGEST = 65_535 // 16**2  # clips: CUDA's attention takes so many sequences, here one for each cell
CAPACITY = 32768  # clips of 14 frames; fewer of the other lengths, by share
REFRESH = 80  # batches between additions to the bank, which cost ten steps
CHUNK = 128  # clips per addition
FIRST_FILL = 64  # additions before the first step

PEAK = 1e-3  # learning rate
EMPHASIS = 3.0  # on what moves: a tenth of the cells, which held a third of the loss
GUESSED = (0.7, 1.0)  # mean and deviation of ln sigma where the network's guess is noised
LEAST = 0.3  # sigma there: below it the target would be the guess's error, times any factor
ABOVE = (0.3, 3.0)  # by how much ln sigma was larger at the guess
GUIDANCE = (1.0, 3.0)  # of its last frame; the first frame has 1
ENDS = ("conv_in", "conv_out", "time_embedding", "add_embedding")  # which AdamW trains

Network = Callable[..., tuple[Tensor]]


def build_unet() -> UNetSpatioTemporalConditionModel:
    """A mini UNet with random parameters, for 16 x 16 latents."""
    return UNetSpatioTemporalConditionModel(
        sample_size=16,
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=tuple(f"{kind}DownBlockSpatioTemporal" for kind in BLOCKS),
        up_block_types=tuple(f"{kind}UpBlockSpatioTemporal" for kind in reversed(BLOCKS)),
        block_out_channels=CHANNELS,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
        layers_per_block=1,
        cross_attention_dim=128,
        num_attention_heads=HEADS,
        num_frames=14,
    )


class Bank:
    """Encoded clips of several lengths with their conditions, on the device."""

    def __init__(self, plan: Plan) -> None:
        encoders = plan.out / "svd"
        self.plan = plan
        self.vae = AutoencoderKLTemporalDecoder.from_pretrained(
            encoders / "vae", variant="fp16", dtype=torch.float32
        ).to(plan.device)
        self.encoder = CLIPVisionModelWithProjection.from_pretrained(
            encoders / "image_encoder", variant="fp16", dtype=torch.float32
        ).to(plan.device)
        gpu = plan.device.type == "cuda"
        capacity = CAPACITY if gpu else 64
        self.chunk = CHUNK if gpu else 2
        self.rings = {
            length: Ring(max(round(capacity * share / LENGTHS[COMPILED]), self.chunk))
            for length, share in LENGTHS.items()
        }

    @torch.no_grad()
    def add(self, length: int, seed: int) -> None:
        """Render and encode one chunk of clips of that length."""
        clips = world.sample(self.chunk, seed, length, device=self.plan.device)
        with autocast(self.plan.device):
            given = condition(self.vae, self.encoder, clips.video[:, 0], clips.bucket, clips.fps)
            latents = torch.cat(
                [
                    self.vae.encode(video).latent_dist.mode()
                    for video in (clips.video * 2 - 1).flatten(0, 1).split(512)
                ]
            ).unflatten(0, (-1, length))
        self.rings[length].add(
            latents=(latents * self.vae.config.scaling_factor).half(),
            embedding=given.embedding.half(),
            image=given.image.half(),
            ids=given.ids.float(),
        )

    def draw(self, length: int) -> tuple[Tensor, Conditions]:
        """A batch of scaled latents [n, T, C, h, w] and its conditions, in fp32."""
        times = 1.0 if length == COMPILED else LARGER * COMPILED / length
        rows = self.rings[length].draw(min(max(1, round(self.plan.batch * times)), LARGEST))
        given = Conditions(rows["embedding"].float(), rows["image"].float(), rows["ids"])
        return rows["latents"].float(), given


def prediction(unet: Network, sample: Tensor, time: Tensor, given: Conditions) -> Tensor:
    """v in fp32 that the network predicts for an input [n, T, C, h, w] and times [n]."""
    image = given.image[:, None].expand(-1, sample.shape[1], -1, -1, -1)
    stacked = torch.cat([sample, image], 2)
    return unet(stacked, time, given.embedding, given.ids, return_dict=False)[0].float()


def emphasis(latents: Tensor) -> Tensor:
    """How much each cell of scaled latents [n, T, C, h, w] counts, [n, T, 1, h, w], 1 on average.

    One that is as in frame 0 counts least, one that is not up to 1 + EMPHASIS times as much. As the
    video follows from the conditions, so do these weights: the best prediction stays what it was.
    """
    change = (latents - latents[:, :1]).square().mean(2, keepdim=True)
    weight = 1 + EMPHASIS * change / (1 + change)
    return weight / weight.mean((1, 2, 3, 4), keepdim=True)


def clean(network: Network, x: Tensor, sigma: Tensor, given: Conditions) -> Tensor:
    """Clean latents that the network predicts from x [n, T, C, h, w] at noise levels [n]."""
    sample = x / (sigma.reshape(-1, 1, 1, 1, 1).square() + 1).sqrt()
    return denoised(sample, prediction(network, sample, sigma.log() / 4, given), sigma)


def guided(
    network: Network, x: Tensor, sigma: Tensor, given: Conditions, ends: tuple[Tensor, Tensor]
) -> Tensor:
    """As `clean`, with guidance that is linear in the frames; ends: of the first and last, [n]."""
    nothing = Conditions(
        torch.zeros_like(given.embedding), torch.zeros_like(given.image), given.ids
    )
    with_it, without = (clean(network, x, sigma, own) for own in (given, nothing))
    ramp = torch.linspace(0, 1, x.shape[1], device=x.device)
    scale = torch.lerp(ends[0][:, None], ends[1][:, None], ramp)
    return torch.lerp(without, with_it, scale[..., None, None, None])


@torch.no_grad()
def guess(network: Network, latents: Tensor, given: Conditions) -> tuple[Tensor, Tensor]:
    """What a sampler would have at noise levels [n] of the latents; and these levels."""
    n, device = len(latents), latents.device
    sigma = (GUESSED[0] + GUESSED[1] * torch.randn(n, device=device)).exp().clamp(min=LEAST)
    before = sigma * torch.empty(n, device=device).uniform_(*ABOVE).exp()
    x = latents + before.reshape(-1, 1, 1, 1, 1) * torch.randn_like(latents)
    last = torch.empty(n, device=device).uniform_(*GUIDANCE)
    return guided(network, x, before, given, (torch.ones_like(last), last)), sigma


def v_loss(
    network: Network, latents: Tensor, given: Conditions, sigma: Tensor, seen: Tensor | None = None
) -> Tensor:
    """MSE of the v prediction for scaled latents [n, T, C, h, w], with emphasis.

    seen: as `noised` takes it.
    """
    sample, time, target = noised(latents, sigma, seen)
    error = (prediction(network, sample, time, given) - target).square()
    return (emphasis(latents) * error).mean()


def lengths(count: int, seed: int) -> list[int]:
    """`count` random clip lengths, by their shares."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.tensor(list(LENGTHS.values()))
    names = list(LENGTHS)
    return [names[i] for i in torch.multinomial(table, count, True, generator=generator).tolist()]


def fill(bank: Bank, seeds: Iterator[int]) -> None:
    """Fill the bank for the first step: by share, at least one chunk of each length."""
    total = FIRST_FILL if bank.plan.device.type == "cuda" else 1
    for length, share in LENGTHS.items():
        for _ in range(max(1, round(total * share))):
            bank.add(length, next(seeds))


class Feed:
    """Batches for a training from the plan's bank, which it fills and renews."""

    def __init__(self, plan: Plan, training: Training) -> None:
        self.bank = Bank(plan)
        self.seeds = scene_seeds(plan, training.step)
        self.queue = cycle(lengths(4096, plan.seed + training.step))
        self.drawn = 0
        fill(self.bank, self.seeds)

    def draw(self) -> tuple[bool, Tensor, Conditions]:
        """Whether the next batch is of the compiled length, its latents and its conditions."""
        length = next(self.queue)
        self.drawn += 1
        if self.drawn % REFRESH == 0:
            self.bank.add(length, next(self.seeds))
        return length == COMPILED, *self.bank.draw(length)


def load_unet(plan: Plan) -> UNetSpatioTemporalConditionModel:
    """A random UNet, or with --warm the one in --out, in fp32."""
    if not plan.warm:
        return build_unet()
    return UNetSpatioTemporalConditionModel.from_pretrained(
        plan.out / "svd" / "unet", variant="fp16", dtype=torch.float32
    )


def main() -> None:
    plan = parse("Train the mini UNet.", WEIGHTS, minutes=8, batch=32)
    torch.manual_seed(plan.seed)
    unet = load_unet(plan).to(plan.device)
    training = Training("unet", unet, plan, PEAK, decay=0.9995, matrices=matrices(unet, ENDS))
    feed = Feed(plan, training)
    print("unet: bank filled", flush=True)
    quick = torch.compile(unet, dynamic=False, mode="reduce-overhead") if plan.compile else unet

    def loss_of(share: float) -> Tensor:
        compiled, latents, given = feed.draw()
        network = quick if compiled else unet
        seen: Tensor | None = None
        with autocast(plan.device):
            if training.step % 2:
                seen, sigma = guess(network, latents, given)
            else:
                sigma = draw_sigma(len(latents), plan.device)
            return v_loss(network, latents, drop(given), sigma, seen)

    training.run(loss_of, samples.generations(unet, feed.bank.vae, feed.bank.encoder))
    if not plan.ranks.first:
        return
    with training.averaged():
        unet.half().save_pretrained(plan.out / "svd" / "unet", variant="fp16")
    assemble.assemble(plan.out)


if __name__ == "__main__":
    main()

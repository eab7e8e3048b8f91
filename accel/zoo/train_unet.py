"""Train the mini UNet of Stable Video Diffusion on a bank of encoded clips.

    python -m accel.zoo.train_unet --minutes 8

Needs the VAE and the image encoder in --out. The bank lives on the device and is renewed while
training runs. A batch holds clips of one length; only batches of 14 frames, the most frequent
length, run compiled (as CUDA graphs), because each further length would cost a compilation of its
own. The others wait for their kernels' launches, several times as long: they are few, and their
batches larger at no cost. Muon trains what is a matrix, AdamW all else and both ends.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from accel.zoo import assemble, samples, world
from accel.zoo.conditioning import Conditions, condition, draw_sigma, drop, noised
from accel.zoo.muon import matrices
from accel.zoo.ring import Ring
from accel.zoo.train_vae import LATENT_CHANNELS
from accel.zoo.training import WEIGHTS, Plan, Training, autocast, parse, scene_seeds

CHANNELS = (64, 64, 96)
HEADS = (2, 2, 3)
BLOCKS = ("CrossAttn", "CrossAttn", "")  # of each level: with transformers, or without
LENGTHS = {14: 0.94, 25: 0.02, 7: 0.02, 9: 0.01, 13: 0.01}  # frames: share of the steps
COMPILED = 14
LARGER = 3  # times, a batch of another length
CAPACITY = 32768  # clips of 14 frames; fewer of the other lengths, by share
REFRESH = 80  # steps between additions to the bank, which cost ten steps
CHUNK = 128  # clips per addition
FIRST_FILL = 64  # additions before the first step

PEAK = 1e-3  # learning rate
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
        rows = self.rings[length].draw(max(1, round(self.plan.batch * times)))
        given = Conditions(rows["embedding"].float(), rows["image"].float(), rows["ids"])
        return rows["latents"].float(), given


def prediction(unet: Network, sample: Tensor, time: Tensor, given: Conditions) -> Tensor:
    """v in fp32 that the network predicts for an input [n, T, C, h, w] and times [n]."""
    image = given.image[:, None].expand(-1, sample.shape[1], -1, -1, -1)
    stacked = torch.cat([sample, image], 2)
    return unet(stacked, time, given.embedding, given.ids, return_dict=False)[0].float()


def v_loss(unet: Network, latents: Tensor, given: Conditions, sigma: Tensor) -> Tensor:
    """MSE of the v prediction for scaled latents [n, T, C, h, w]."""
    sample, time, target = noised(latents, sigma)
    return F.mse_loss(prediction(unet, sample, time, given), target)


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
        self.training, self.bank = training, Bank(plan)
        self.seeds = scene_seeds(plan, training.step)
        self.queue = lengths(4096, plan.seed + training.step)
        fill(self.bank, self.seeds)

    def draw(self) -> tuple[bool, Tensor, Conditions]:
        """Whether the next batch is of the compiled length, its latents and its conditions."""
        step = self.training.step
        length = self.queue[step % len(self.queue)]
        if step % REFRESH == REFRESH - 1:
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
        with autocast(plan.device):
            network = quick if compiled else unet
            return v_loss(network, latents, drop(given), draw_sigma(len(latents), plan.device))

    training.run(loss_of, samples.generations(unet, feed.bank.vae, feed.bank.encoder))
    if not plan.ranks.first:
        return
    with training.averaged():
        unet.half().save_pretrained(plan.out / "svd" / "unet", variant="fp16")
    assemble.assemble(plan.out)


if __name__ == "__main__":
    main()

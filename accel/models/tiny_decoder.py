"""A tiny temporal decoder in the place of the VAE's: where its weights come from, and how it works.

TAESDV (github.com/madebyollin/taesdv) is one of width 64 for Stable Diffusion's latents; the mini
model's is narrower. It reads scaled latents, about standard normal, and makes pictures in [0, 1],
where diffusers hands its decoder unscaled ones and takes [-1, 1]: forward converts both.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from accel.core import Weights
from accel.errors import IntegrityError, MissingWeightsError, NoEffectError
from accel.models.students import ZOO, fingerprint

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["MINI", "TinyDecoder", "put_in", "refusal", "weight_files"]

MINI = Path("tiny_vae") / "decoder.safetensors"
"""The mini model's tiny decoder, in the folder of the zoo's weights."""

WIDTH = 64
"""Channels of TAESDV."""

SCALE = 8
"""Pixels by side for one latent."""

BLOCKS = (3, 3, 3, 1)
"""Memory blocks at 1/8, 1/4, 1/2 and the whole of the picture's size."""

HOW = (
    "get taesdv.pth from github.com/madebyollin/taesdv, put it anywhere, and say weights=FILE "
    "(.pth or .safetensors)"
)
DISTIL = "distil one with `python -m accel.zoo.train_tiny_vae`"


class MemoryBlock(nn.Module):
    """A residual block that sees each frame beside its own input at the frame before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(2 * width, width),
            nn.ReLU(inplace=True),
            _conv(width, width),
            nn.ReLU(inplace=True),
            _conv(width, width),
        )

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """x [clips * num_frames, width, h, w]; the first frame of a clip has zeros before it."""
        clips = x.unflatten(0, (-1, num_frames))
        seen = torch.cat([clips, F.pad(clips[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))], 2)
        return F.relu(self.conv(seen.flatten(0, 1)) + x)


class Squash(nn.Module):
    """Latents beyond about 3 are drawn in, smoothly."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


class TinyDecoder(nn.Module):
    """The decoder of an AutoencoderKLTemporalDecoder, in small: convolutions of one width.

    scaling_factor: the VAE's. Tensors are named as in TAESDV's file.
    """

    def __init__(self, width: int, latent_channels: int, scaling_factor: float) -> None:
        super().__init__()
        self.scaling_factor = scaling_factor
        layers = [Squash(), _conv(latent_channels, width), nn.ReLU(inplace=True)]
        for count in BLOCKS[:-1]:
            layers += [MemoryBlock(width) for _ in range(count)]
            layers += [nn.Upsample(scale_factor=2), _conv(width, width, bias=False)]
        layers += [MemoryBlock(width) for _ in range(BLOCKS[-1])]
        self.decoder = nn.Sequential(*layers, _conv(width, 3))

    def forward(self, sample: Tensor, image_only_indicator: Tensor, num_frames: int = 1) -> Tensor:
        """Unscaled latents [clips * num_frames, C, h, w] -> [clips * num_frames, 3, 8h, 8w].

        Pictures are in [-1, 1], not clamped. A clip's first frame knows nothing of what was decoded
        before it. image_only_indicator: diffusers passes it; it is ignored.
        """
        x = sample * self.scaling_factor
        for layer in self.decoder:
            x = layer(x, num_frames) if isinstance(layer, MemoryBlock) else layer(x)
        return 2 * x - 1


def _conv(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def weight_files(given: str, weights: Weights) -> dict[str, Path]:
    """The file that `put_in` reads, if it reads one. given: the method's own."""
    if given or weights == "mini":
        return {"tiny decoder": Path(given) if given else ZOO / MINI}
    return {}


def refusal(pipeline: Pipeline, weights: str) -> str | None:
    """Why no tiny decoder can be put into this pipeline, or None."""
    scale = pipeline.diffusers.vae_scale_factor
    if scale != SCALE:
        return f"a tiny decoder makes pictures {SCALE} times its latents' size, this VAE's {scale}"
    if weights or pipeline.weights == "untrained":
        return None
    if pipeline.weights == "pretrained":
        return f"these weights hold no tiny decoder: {HOW}"
    return None if (ZOO / MINI).is_file() else f"mini has no tiny decoder yet: {DISTIL}"


def put_in(pipeline: Pipeline, weights: str) -> TinyDecoder:
    """Replace the VAE's decoder by a tiny one, and return that; the encoder stays.

    weights: a file in TAESDV's layout, of any width. Without one, mini takes the decoder that is
    shipped, and untrained pipelines one of TAESDV's width with seeded random parameters: time and
    memory do not depend on the values.

    Raises MissingWeightsError without a file, IntegrityError for a file of something else,
    NoEffectError if a tiny decoder is in already.
    """
    vae = pipeline.diffusers.vae
    if isinstance(vae.decoder, TinyDecoder):
        raise NoEffectError("the VAE's decoder is a tiny one already; applied twice?")
    channels, factor = vae.config.latent_channels, vae.config.scaling_factor
    if weights or pipeline.weights == "pretrained":
        decoder = load(Path(weights), channels, factor)
    elif pipeline.weights == "mini":
        decoder = _mini(channels, factor, ZOO)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            decoder = TinyDecoder(WIDTH, channels, factor)
    vae.decoder = decoder.to(pipeline.device, vae.dtype).eval().requires_grad_(False)
    return decoder


def load(path: Path, latent_channels: int, scaling_factor: float) -> TinyDecoder:
    """The decoder in a .pth or .safetensors file, in float32; an encoder beside it is left out.

    Raises MissingWeightsError without the file, IntegrityError if it holds anything else than all
    tensors of one decoder for so many latent channels.
    """
    if not path.is_file():
        raise MissingWeightsError(f"a tiny decoder: there is no file {path}; {HOW}")
    tensors = {n: v for n, v in _read(path).items() if not n.startswith("encoder.")}
    first = tensors.get("decoder.1.weight")
    if first is None or first.ndim != 4:
        found = ", ".join(sorted(tensors)[:3]) or "nothing"
        raise IntegrityError(f"{path} holds no tiny decoder, but {found}; {HOW}")
    width, channels = first.shape[:2]
    if channels != latent_channels:
        raise IntegrityError(
            f"{path} decodes latents of {channels} channels, and this VAE's have {latent_channels};"
            f" {HOW}"
        )
    with torch.device("meta"):
        decoder = TinyDecoder(width, latent_channels, scaling_factor)
    try:
        decoder.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        text = str(error).partition("\n\t")[2] or str(error)
        raise IntegrityError(f"{path} holds no whole tiny decoder: {text[:300]}; {HOW}") from error
    return decoder.float()


def _read(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by name; nothing in a .pth is run."""
    try:
        if path.suffix != ".pth":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        raise IntegrityError(f"{path} cannot be read: {str(error)[:300]}; {HOW}") from error
    if not (isinstance(found, dict) and all(isinstance(v, Tensor) for v in found.values())):
        raise IntegrityError(f"{path} holds no tensors by name; {HOW}")
    return found


def _mini(latent_channels: int, scaling_factor: float, zoo: Path) -> TinyDecoder:
    """The decoder that was distilled from the mini VAE, of exactly that VAE."""
    path = zoo / MINI
    if not path.is_file():
        raise MissingWeightsError(f"{path} is missing; {DISTIL}")
    with safe_open(path, "pt") as file:
        base = (file.metadata() or {}).get("base")
    if base != fingerprint(zoo / "svd" / "vae"):
        raise IntegrityError(f"{path} was distilled from another VAE; {DISTIL}")
    return load(path, latent_channels, scaling_factor)

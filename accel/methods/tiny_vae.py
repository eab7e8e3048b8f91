"""A tiny decoder: the VAE's temporal decoder gives way to one of a seventeenth of the work.

What: latents become frames in a small convolutional network that was trained to make what the
VAE's own decoder makes. The encoder, and with it all that the UNet sees, stays.
How: TAESDV for SVD (`tiny_vae:weights=taesdv.pth`; MIT; our own implementation), 1.6 million
parameters beside 63.6; one for mini is distilled by `python -m accel.zoo.train_tiny_vae`. Frames
are decoded in the request's chunks, as without it; a chunk knows nothing of the one before it.
Costs: fine detail. After 25 steps decoding is 2.1 s of 18.0 s on an H200, so that little time is
saved; after 4 it is nearly half of what is left. Memory peaks in the decoder, and falls most.
Measured: with random parameters, on an H200, 25 frames of 576x1024 take 0.094 s, not 2.092 s, and
the decoder's peak is 5,304 MiB lower. Not yet measured: TAESDV's own file, and so its quality.
Source: Bohan 2024, TAESDV (github.com/madebyollin/taesdv).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from accel.core import Claim, Counters, Fidelity, Method, Request, Weights
from accel.methods.fewer_steps import OVERHEAD, guided_calls
from accel.methods.surgery import wrap
from accel.models.tiny_decoder import put_in, refusal, weight_files

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["TinyVae"]

SAVED_MIB_PER_PIXEL = 2500 / (8 * 576 * 1024)
"""Of a chunk of frames, claimed. M0 takes some 9,000 MiB for 8 frames beyond the weights; TAESDV
holds five maps of 64 channels at once, 2,900 MiB in fp16. Both by arithmetic; measured, it is
5,304 MiB less than M0."""

NEARNESS = 0.10
"""Of LPIPS to the reference, claimed: what small decoders lose is fine detail, which LPIPS weighs.

Less than 8 to 14 steps may be off by (0.12). Similarity to the image, smoothness and motion do not
hang on such detail: there the margins are those of every faithful method.
"""


class _Decodes:
    """Counts decodes whose every frame came out of one module: 1 after a generation, else 0."""

    def __init__(self, decoder: torch.nn.Module) -> None:
        self.whole = self._frames = 0
        decoder.register_forward_hook(self._count)

    def _count(self, _: torch.nn.Module, inputs: Any, frames: torch.Tensor) -> None:
        self._frames += len(frames)

    def counted(self, decode: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """decode_latents, [1, 3, frames, height, width]."""

        def call(*args: Any, **kwargs: Any) -> torch.Tensor:
            self._frames = self.whole = 0
            video = decode(*args, **kwargs)
            self.whole = int(self._frames == video.shape[2])
            return video

        return call


@dataclass(frozen=True)
class TinyVae(Method):
    """weights: a file in TAESDV's layout, .pth or .safetensors; none for mini and untrained."""

    weights: str = ""

    name: ClassVar[str] = "tiny_vae"
    source: ClassVar[str] = "github.com/madebyollin/taesdv"
    fidelity: ClassVar[Fidelity] = "faithful"

    def claims(self, request: Request) -> tuple[Claim, ...]:
        """Half of what surrounds the denoising, memory by the pixels of a chunk, and nearness."""
        chunk = min(request.decode_chunk_size, request.frames)
        saved = SAVED_MIB_PER_PIXEL * chunk * request.height * request.width
        steps = guided_calls(request.steps, request.max_guidance)
        return (
            Claim("speedup", at_least=(steps + OVERHEAD) / (steps + OVERHEAD / 2)),
            Claim("memory.decode.allocated_mib", at_most=-saved, delta=True),
            Claim("lpips", at_most=NEARNESS),
        )

    def weight_files(self, weights: Weights) -> dict[str, Path]:
        return weight_files(self.weights, weights)

    def refuses(self, pipeline: Pipeline) -> str | None:
        if pipeline.request.latents_only:
            return "latents are asked for, and nothing is decoded; ask for frames"
        return refusal(pipeline, self.weights)

    def expected(self, pipeline: Pipeline) -> Counters:
        return {"tiny_decodes": 1}

    def apply(self, pipeline: Pipeline) -> None:
        decodes = _Decodes(put_in(pipeline, self.weights))
        wrap(pipeline.diffusers, "decode_latents", decodes.counted)
        pipeline.tallies["tiny_decodes"] = lambda: decodes.whole

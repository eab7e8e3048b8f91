"""Clips that no training has seen, and what the mini SVD makes of their first frames."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import StableVideoDiffusionPipeline as Pipeline
from PIL import Image

from accel.models import default_request
from accel.zoo import world
from accel.zoo.backgrounds import PATTERNS, held_out_photographs
from accel.zoo.scenes import STORIES
from accel.zoo.training import WEIGHTS

SEED = 997_000_000
GUIDANCE = default_request("svd", "mini").max_guidance

Video = npt.NDArray[np.float32]  # [T, H, W, 3] in [0, 1]


def load(weights: Path = WEIGHTS, device: str | torch.device = "cpu") -> Pipeline:
    """The mini pipeline in fp32, silent."""
    pipeline = Pipeline.from_pretrained(weights / "svd", variant="fp16", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def held_out(
    n: int, frames: int = 14, seed: int = SEED, bucket: float | None = None
) -> world.Clips:
    """n clips, their stories in turn, every second one over a bundled photograph.

    bucket: the motion bucket of all clips, at 7 fps; else random ones.
    """
    scenes = world.sample_scenes(
        n,
        seed,
        frames,
        backgrounds=[
            "photograph" if i % 2 else list(PATTERNS)[i % len(PATTERNS)] for i in range(n)
        ],
        photographs=held_out_photographs(),
        stories=[STORIES[i // 2 % len(STORIES)] for i in range(n)],
        tempo=None if bucket is None else (bucket, 7.0),
    )
    return world.render(scenes, frames)


def videos(clips: world.Clips) -> list[Video]:
    """The clips as the metrics take them."""
    return list(clips.video.permute(0, 1, 3, 4, 2).numpy())


def generate(
    pipeline: Pipeline,
    first: Video,
    bucket: float,
    fps: float,
    steps: int = 25,
    frames: int = 14,
    guidance: float = GUIDANCE,
) -> Video:
    """One clip from its first frame [H, W, 3] in [0, 1], seed 0; guidance: of the last frame."""
    output: Any = pipeline(
        Image.fromarray((first * 255).round().astype(np.uint8)),
        height=first.shape[0],
        width=first.shape[1],
        num_frames=frames,
        num_inference_steps=steps,
        max_guidance_scale=guidance,
        fps=fps,
        motion_bucket_id=bucket,
        decode_chunk_size=8,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    )
    return np.asarray(output.frames[0], np.float32)


def generated(
    pipeline: Pipeline, clips: world.Clips, steps: int = 25, guidance: float = GUIDANCE
) -> list[Video]:
    """Each clip from its own condition."""
    return [
        generate(pipeline, true[0], float(bucket), float(fps), steps, len(true), guidance)
        for true, bucket, fps in zip(videos(clips), clips.bucket, clips.fps, strict=True)
    ]

"""A sheet of samples of the mini SVD beside the truth, and the numbers behind it.

    python -m accel.zoo.sheet --out sheet.png

Scenes are held out (seed, and the bundled photographs). Truth above, model below.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image

from accel.metrics.motion import motion_amount
from accel.zoo import world
from accel.zoo.backgrounds import held_out_photographs
from accel.zoo.scenes import STORIES
from accel.zoo.train_vae import psnr as vae_psnr
from accel.zoo.training import WEIGHTS

SEED = 997_000_000
SHOWN = (0, 4, 8, 13)
FRAMES = 14
STEPS = (15, 10, 4)  # compared with 25
Video = npt.NDArray[np.float32]  # [T, H, W, 3] in [0, 1]


def held_out_clips(n: int, seed: int = SEED) -> world.Clips:
    """n clips, their stories in turn, every second one over a bundled photograph."""
    stories = [STORIES[i % len(STORIES)] for i in range(n)]
    names = ["photograph" if i % 2 else "tiles" for i in range(n)]
    scenes = world.sample_scenes(
        n, seed, FRAMES, backgrounds=names, photographs=held_out_photographs(), stories=stories
    )
    return world.render(scenes, FRAMES)


def generate(
    pipeline: StableVideoDiffusionPipeline, first: Video, bucket: float, fps: float, steps: int
) -> Video:
    """One clip from its first frame [H, W, 3] in [0, 1], seed 0."""
    image = Image.fromarray((first * 255).round().astype(np.uint8))
    height, width = first.shape[:2]
    output: Any = pipeline(
        image,
        height=height,
        width=width,
        num_frames=FRAMES,
        num_inference_steps=steps,
        fps=fps,
        motion_bucket_id=bucket,
        decode_chunk_size=8,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    )
    return np.asarray(output.frames[0], np.float32)


def psnr(a: Video, b: Video) -> float:
    """PSNR in dB of values in [0, 1]."""
    return float(-10 * np.log10(np.square(a - b, dtype=np.float64).mean() + 1e-10))


def judge(truth: Video, videos: dict[int, Video], asked: float) -> dict[str, float]:
    """The numbers of one clip; `asked` is the motion amount that the bucket stands for."""
    full = videos[25]
    numbers = {
        "first_frame_db": psnr(full[0], truth[0]),
        "truth_db": psnr(full, truth),
        "repeat_first_db": psnr(np.repeat(truth[:1], len(truth), 0), truth),
        "truth_l1": float(np.abs(full - truth).mean()),
        "asked_px": asked,
        "truth_px": motion_amount(truth),
        "model_px": motion_amount(full),
    }
    return numbers | {f"steps_{s}_db": psnr(videos[s], full) for s in videos if s != 25}


def _row(video: Video) -> npt.NDArray[np.uint8]:
    shown = np.concatenate([video[t] for t in SHOWN], axis=1)
    return np.asarray((shown * 255).round(), np.uint8)


def sheet(pairs: list[tuple[Video, Video]]) -> Image.Image:
    """Four cells a row: truth above, model below."""
    cells = [np.concatenate([_row(truth), _row(own)]) for truth, own in pairs]
    cells = [np.pad(cell, ((0, 6), (0, 6), (0, 0)), constant_values=255) for cell in cells]
    columns = 2
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    width = rows[0].shape[1]
    rows = [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0))) for r in rows]
    return Image.fromarray(np.concatenate(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description="Samples of the mini SVD beside the truth.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--steps", type=int, nargs="*", default=STEPS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    pipeline = StableVideoDiffusionPipeline.from_pretrained(
        options.weights / "svd", variant="fp16", dtype=torch.float32
    ).to(options.device)
    pipeline.set_progress_bar_config(disable=True)
    clips = held_out_clips(options.clips)
    asked = world.bucket_to_amount(clips.bucket, clips.fps)
    rows, pairs = [], []
    for i, frames in enumerate(clips.video.permute(0, 1, 3, 4, 2).numpy()):
        bucket, fps = float(clips.bucket[i]), float(clips.fps[i])
        videos = {s: generate(pipeline, frames[0], bucket, fps, s) for s in (25, *options.steps)}
        rows.append(judge(frames, videos, float(asked[i])))
        pairs.append((frames, videos[25]))
        shown = {name: round(value, 3) for name, value in rows[-1].items()}
        print(json.dumps({"caption": clips.captions[i], **shown}), flush=True)
    mean = {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}
    mean["vae_db"] = round(vae_psnr(pipeline.vae, torch.device(options.device), 8), 3)
    print(json.dumps({"mean_of": len(rows), **mean}), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(pairs).save(options.out)


if __name__ == "__main__":
    main()

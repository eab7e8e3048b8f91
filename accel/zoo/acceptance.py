"""What the mini SVD must show on held-out scenes, measured; the sheet is its picture.

    python -m accel.zoo.acceptance --clips 64

Every number has its bound in BOUNDS. The exit code is 1 if one is missed. What methods make of
the models is measured by accel.zoo.truth.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import StableVideoDiffusionPipeline as Pipeline
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

from accel.errors import InvalidRequestError
from accel.limits import MIN_PAIRS
from accel.memory import freed_is_returned
from accel.methods.int8_weight_only import Int8Linear
from accel.methods.surgery import replace_linears
from accel.metrics.fidelity import lpips
from accel.metrics.motion import Motion
from accel.metrics.motion import motion as measure_motion
from accel.report.pictures import to_uint8
from accel.stats import estimate
from accel.zoo import train_clip, train_unet, train_vae, world
from accel.zoo.clip import load_clip
from accel.zoo.held_out import Video, generated, held_out, load, videos
from accel.zoo.training import WEIGHTS

BOUNDS: dict[str, tuple[float, float]] = {
    "motion_spearman": (0.8, inf),
    "static_at_bucket_1": (0.9, inf),
    "static_at_bucket_127": (-inf, 0.05),
    "more_without_verdict_than_truth": (-inf, 1e-6),
    "vae_db_patterns": (30.0, inf),
    "vae_db_photographs": (24.0, inf),
    "first_frame_db_below_vae": (-inf, 3.0),
    "lpips_below_first_frame_repeated": (0.0, inf),
    "lpips_below_random_weights": (0.1, inf),
    "lpips_below_shuffled": (0.05, inf),
    "zero_shot_accuracy": (0.9, inf),
    "low_end_int8_to_15": (0.0, inf),
    "low_end_15_to_10": (0.0, inf),
    "low_end_10_to_4": (0.0, inf),
    "cpu_seconds": (-inf, 6.0),
}
"""Between which each number lies; a number that is its bound is outside."""

Numbers = dict[str, float]


def obedience(pipeline: Pipeline, n: int, frames: int = 14, steps: int = 25) -> Numbers:
    """Rank correlation of the motion that was asked for, by bucket and fps, and that there is."""
    clips = held_out(n, frames)
    asked = world.bucket_to_amount(clips.bucket, clips.fps).numpy()
    amounts = [measure_motion(video).amount for video in generated(pipeline, clips, steps)]
    return {"motion_spearman": float(spearmanr(asked, amounts).statistic)}


def stillness(pipeline: Pipeline, n: int, frames: int = 14, steps: int = 25) -> Numbers:
    """Stills on request, and movement on request."""
    still, still_truth = _classes(pipeline, held_out(n, frames, bucket=1), steps)
    lively, lively_truth = _classes(pipeline, held_out(n, frames, bucket=127), steps)
    return {
        "static_at_bucket_1": _share(still, "static"),
        "static_at_bucket_127": _share(lively, "static"),
        "more_without_verdict_than_truth": (
            _unclear(still + lively) - _unclear(still_truth + lively_truth)
        ),
    }


def _classes(pipeline: Pipeline, clips: world.Clips, steps: int) -> tuple[list[str], list[str]]:
    """Motion classes of the generated clips and of the true ones."""
    own, truth = (
        [measure_motion(video) for video in which]
        for which in (generated(pipeline, clips, steps), videos(clips))
    )
    return _kinds(own), _kinds(truth)


def _kinds(found: list[Motion]) -> list[str]:
    return [one.kind for one in found]


def _share(kinds: list[str], kind: str) -> float:
    """Of those that got a verdict; NaN if none did."""
    clear = [own for own in kinds if own != "low-texture"]
    return clear.count(kind) / len(clear) if clear else nan


def _unclear(kinds: list[str]) -> float:
    return kinds.count("low-texture") / len(kinds)


@torch.no_grad()
def reconstruction(pipeline: Pipeline, n: int) -> Numbers:
    """PSNR of the VAE in dB: of procedural scenes, of frames of held-out photographs, and of
    pictures that were moved by up to a cell after encoding (see train_vae).
    """
    clips = held_out(2 * n, frames=8)
    values = [_vae_db(pipeline, clip) for clip in clips.video]
    torch.manual_seed(0)
    matrices = train_vae.moves(2 * n, torch.device("cpu"))[:, None].expand(-1, 8, -1, -1)
    pairs = zip(clips.video, matrices, strict=True)
    return {
        "vae_db_patterns": float(np.mean(values[0::2])),
        "vae_db_photographs": float(np.mean(values[1::2])),
        "vae_db_moved": float(np.mean([_vae_db(pipeline, *pair) for pair in pairs])),
    }


def _vae_db(pipeline: Pipeline, frames: Tensor, matrices: Tensor | None = None) -> float:
    """Mean PSNR of frames [T, 3, H, W] in [0, 1]; matrices [T, 2, 3]: moved between the coders."""
    pixels = frames.to(pipeline.vae.device) * 2 - 1
    latents = pipeline.vae.encode(pixels).latent_dist.mode()
    if matrices is not None:
        latents = train_vae.moved(latents, matrices.to(latents.device))
        frames = train_vae.moved(frames, matrices).clamp(0, 1)
    decoded = (pipeline.vae.decode(latents, num_frames=len(latents)).sample + 1) / 2
    return _db(decoded.clamp(0, 1).cpu().numpy(), frames.numpy())


def _db(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(-10 * np.log10(np.square(a.astype(np.float64) - b).mean() + 1e-10))


@torch.no_grad()
def truth(pipeline: Pipeline, n: int, frames: int = 14, steps: int = 25) -> Numbers:
    """LPIPS to the true clip beside three stand-ins: how much worse each of them is."""
    clips = held_out(n, frames, bucket=127)
    true = videos(clips)
    own = generated(pipeline, clips, steps)
    torch.manual_seed(0)
    random = copy.copy(pipeline)
    random.unet = train_unet.build_unet().to(pipeline.device)
    stand_ins = {
        "lpips_below_first_frame_repeated": [np.repeat(v[:1], len(v), 0) for v in true],
        "lpips_below_random_weights": generated(random, clips, steps),
        "lpips_below_shuffled": own[-1:] + own[:-1],  # each from the condition of its neighbour
    }
    ours = _lpips(own, true)
    vae = np.mean([_vae_db(pipeline, clip[:1]) for clip in clips.video])
    first = np.mean([_db(a[0], b[0]) for a, b in zip(own, true, strict=True)])
    return {
        "lpips_to_truth": ours,
        **{name: _lpips(found, true) - ours for name, found in stand_ins.items()},
        "first_frame_db_below_vae": float(vae - first),
    }


def _lpips(found: list[Video], true: list[Video]) -> float:
    return float(np.mean([lpips(a, b) for a, b in zip(found, true, strict=True)]))


def order(pipeline: Pipeline, n: int, frames: int = 14) -> Numbers:
    """LPIPS to 25 steps, paired by input: each method's mean, and the low end of each difference.

    The intervals cover 95 % (signed ranks): above 0 the order is no accident. n: MIN_PAIRS or more,
    which an InvalidRequestError says of fewer.
    """
    if n < MIN_PAIRS:
        raise InvalidRequestError(f"--clips is {n}; an interval needs at least {MIN_PAIRS}")
    clips = held_out(n, frames, bucket=127)
    reference = generated(pipeline, clips)
    int8 = copy.copy(pipeline)
    int8.unet = copy.deepcopy(pipeline.unet)
    replace_linears(int8.unet, Int8Linear)
    found = {"int8": generated(int8, clips)}
    found |= {str(steps): generated(pipeline, clips, steps) for steps in (15, 10, 4)}
    distances = {
        name: [lpips(a, b) for a, b in zip(own, reference, strict=True)]
        for name, own in found.items()
    }
    numbers = {f"lpips_{name}": float(np.mean(values)) for name, values in distances.items()}
    for near, far in pairwise(distances):
        pairs = zip(distances[near], distances[far], strict=True)
        numbers[f"low_end_{near}_to_{far}"] = estimate([b - a for a, b in pairs]).low
    return numbers


def speed(pipeline: Pipeline, steps: int = 25, rounds: int = 3) -> Numbers:
    """Seconds that so many guided steps of 14 frames take on two threads: whole runs of the
    pipeline but its decoder, the fastest of several, with malloc as in accel's workers.

    A GPU is not asked.
    """
    if pipeline.device.type != "cpu":
        return {}
    image = Image.fromarray(to_uint8(videos(held_out(1, 1))[0][0]))
    call = partial(pipeline, image, 128, 128, 14, output_type="latent")
    threads, taken = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        with freed_is_returned():
            call(num_inference_steps=1)
        for _ in range(rounds):
            began = time.perf_counter()
            call(num_inference_steps=steps)
            taken.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return {"cpu_seconds": min(taken)}


@torch.no_grad()
def zero_shot(weights: Path, device: torch.device, n: int = 64) -> Numbers:
    """Share of held-out frames whose own caption is the nearest of n."""
    model = load_clip(weights / "clip").to(device)
    return {"zero_shot_accuracy": train_clip.accuracy(model, device, n)}


def missed(numbers: Numbers) -> dict[str, float]:
    """The numbers outside their bounds; one that is not finite is outside."""
    return {
        name: numbers[name]
        for name, (least, most) in BOUNDS.items()
        if name in numbers and not least < numbers[name] < most
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the mini models against their bounds.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--clips", type=int, default=32, help="of each measurement")
    parser.add_argument("--frames", type=int, default=14)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    pipeline = load(options.weights, options.device)
    n, frames = options.clips, options.frames
    measurements: list[Callable[[], Numbers]] = [
        lambda: speed(pipeline),
        lambda: zero_shot(options.weights, torch.device(options.device)),
        lambda: reconstruction(pipeline, n),
        lambda: truth(pipeline, n, frames),
        lambda: obedience(pipeline, n, frames),
        lambda: stillness(pipeline, n, frames),
        lambda: order(pipeline, n, frames),
    ]
    numbers: Numbers = {}
    for measurement in measurements:
        found = measurement()
        print(json.dumps({name: round(value, 4) for name, value in found.items()}), flush=True)
        numbers |= found
    bad = missed(numbers)
    print(json.dumps({"missed": sorted(bad)}))
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())

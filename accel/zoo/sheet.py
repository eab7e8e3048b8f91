"""A sheet of samples of the mini SVD beside the truth: frames 1, 5, 9 and 14 of held-out clips.

    python -m accel.zoo.sheet --out sheet.png

Truth above, model below. Scenes are held out (seed, and the bundled photographs).
"""

import argparse
from pathlib import Path

import torch

from accel.zoo.held_out import GUIDANCE, generated, held_out, load, videos
from accel.zoo.samples import sheet
from accel.zoo.training import WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description="Samples of the mini SVD beside the truth.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=GUIDANCE, help="of the last frame")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    clips = held_out(options.clips)
    pipeline = load(options.weights, options.device)
    own = generated(pipeline, clips, guidance=options.guidance)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(list(zip(videos(clips), own, strict=True))).save(options.out, optimize=True)
    print(*clips.captions, f"wrote {options.out}", sep="\n")


if __name__ == "__main__":
    main()

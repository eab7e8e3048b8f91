"""A sheet of samples of the mini SVD beside the truth: frames 1, 5, 9 and 14 of held-out clips.

    python -m accel.zoo.sheet --out sheet.png

Truth above, model below. Scenes are held out (seed, and the bundled photographs).
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from accel.zoo.acceptance import Video, generated, held_out, load, videos
from accel.zoo.training import WEIGHTS

SHOWN = (0, 4, 8, 13)
COLUMNS, GAP = 2, 6


def sheet(pairs: list[tuple[Video, Video]]) -> Image.Image:
    """Two clips a row, truth above, model below."""
    cells = [np.concatenate([_row(truth), _row(own)]) for truth, own in pairs]
    cells = [np.pad(cell, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for cell in cells]
    rows = [np.concatenate(cells[i : i + COLUMNS], 1) for i in range(0, len(cells), COLUMNS)]
    width = rows[0].shape[1]
    rows = [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0))) for r in rows]
    return Image.fromarray(np.concatenate(rows))


def _row(video: Video) -> npt.NDArray[np.uint8]:
    shown = np.concatenate([video[t] for t in SHOWN], axis=1)
    return np.asarray((shown * 255).round(), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Samples of the mini SVD beside the truth.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    clips = held_out(options.clips)
    own = generated(load(options.weights, options.device), clips)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(list(zip(videos(clips), own, strict=True))).save(options.out, optimize=True)
    print(*clips.captions, f"wrote {options.out}", sep="\n")


if __name__ == "__main__":
    main()

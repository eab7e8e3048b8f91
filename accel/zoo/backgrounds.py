"""Backgrounds of the synthetic world: procedural patterns and photographs, batched on a device.

A background is a canvas of twice the view's resolution, [n, 3, 2 * size, 2 * size] in [0, 1]. The
renderer mirrors it beyond its edges, so frame 0 shows all that a camera will ever see.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import skimage
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from accel.zoo.dice import Dice

# CC0 or public domain by scikit-image's own docstrings, and inside its wheel (no download).
SCIKIT_IMAGE_FILES = ("brick.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "retina.jpg")
HELD_OUT_NAMES = ("astronaut", "chelsea", "coffee", "rocket")
PHOTOS = Path(__file__).parent / "photos"
LONGEST_SIDE = 640
LEAVES = 80
SMALLEST_LEAF, LARGEST_LEAF = 0.04, 0.5  # half lengths, in units of the view


def _read(path: Path) -> Tensor:
    """An RGB photograph, [3, H, W] in [0, 1], longest side at most 640 px."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


@cache
def training_photographs() -> tuple[Tensor, ...]:
    """The photographs that the mini models are trained on, each [3, H, W] in [0, 1]."""
    folder = Path(skimage.__file__).parent / "data"
    bundled = sorted((PHOTOS / "training").glob("*.jpg"))
    return tuple(_read(path) for path in (*bundled, *(folder / n for n in SCIKIT_IMAGE_FILES)))


@cache
def held_out_photographs() -> tuple[Tensor, ...]:
    """Four bundled photographs, never trained on, in the order of `HELD_OUT_NAMES`."""
    return tuple(_read(PHOTOS / f"{name}.jpg") for name in HELD_OUT_NAMES)


def _grid(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixel centres x and y, each [1, side, side], in units of the view (0 to 1)."""
    axis = (torch.arange(side, device=device) + 0.5) / side
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x[None], y[None]


def _colours(dice: Dice, n: int, count: int) -> Tensor:
    """`count` colours for each of n canvases, [n, count, 3, 1, 1], spread in brightness."""
    colours = dice.uniform(0.05, 0.95, n, count, 3, 1, 1)
    ramp = torch.linspace(-0.2, 0.2, count, device=dice.device).reshape(1, count, 1, 1, 1)
    sign = dice.integers(2, n, 1, 1, 1, 1) * 2 - 1
    return (colours + sign * ramp).clamp(0.02, 0.98)


def _blend(colours: Tensor, weight: Tensor) -> Tensor:
    """Mix two colours by a weight map [n, side, side] in [0, 1]."""
    return torch.lerp(colours[:, 0], colours[:, 1], weight[:, None])


def _along(dice: Dice, n: int, side: int) -> tuple[Tensor, Tensor]:
    """Coordinates along and across a random direction, each [n, side, side]."""
    angle = dice.uniform(0, math.pi, n, 1, 1)
    x, y = _grid(side, dice.device)
    return x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()


def _gradient(dice: Dice, n: int, side: int) -> Tensor:
    along, _ = _along(dice, n, side)
    low, high = along.amin((1, 2), keepdim=True), along.amax((1, 2), keepdim=True)
    return _blend(_colours(dice, n, 2), (along - low) / (high - low))


def _clouds(dice: Dice, n: int, side: int) -> Tensor:
    """Value noise of four octaves (fBm), mapped to two colours."""
    total = torch.zeros(n, 1, side, side, device=dice.device)
    for octave in range(4):
        cells = dice.uniform(-1, 1, n, 1, 3 * 2**octave, 3 * 2**octave)
        layer = F.interpolate(cells, size=side, mode="bicubic", align_corners=False)
        total += layer * 0.5**octave
    return _blend(_colours(dice, n, 2), torch.sigmoid(3 * total[:, 0]))


def _wave(phase: Tensor) -> Tensor:
    """A square wave of period 1 with soft edges, in [0, 1]."""
    return torch.sigmoid(8 * torch.sin(2 * math.pi * phase))


def _stripes(dice: Dice, n: int, side: int) -> Tensor:
    along, _ = _along(dice, n, side)
    phase = along * dice.uniform(2.5, 7, n, 1, 1) + dice.uniform(0, 1, n, 1, 1)
    return _blend(_colours(dice, n, 2), _wave(phase))


def _checks(dice: Dice, n: int, side: int) -> Tensor:
    along, across = _along(dice, n, side)
    count = dice.uniform(1.5, 4, n, 1, 1)
    a = 2 * _wave(along * count + dice.uniform(0, 1, n, 1, 1)) - 1
    b = 2 * _wave(across * count + dice.uniform(0, 1, n, 1, 1)) - 1
    return _blend(_colours(dice, n, 2), (a * b + 1) / 2)


def _tiles(dice: Dice, n: int, side: int) -> Tensor:
    """Voronoi cells of 12 sites, each of its own brightness, shaded towards the rim."""
    sites = dice.uniform(0, 1, n, 12, 2)
    x, y = _grid(side, dice.device)
    dx = x[:, None] - sites[:, :, 0, None, None]
    dy = y[:, None] - sites[:, :, 1, None, None]
    distance, nearest = (dx.square() + dy.square()).min(1)
    level = dice.uniform(0, 1, n, 12).gather(1, nearest.flatten(1)).reshape(n, side, side)
    shade = 1 - 2 * distance.clamp(max=0.15)
    return _blend(_colours(dice, n, 2), level) * shade[:, None]


def _leaves(dice: Dice, n: int, side: int) -> Tensor:
    """Dead leaves: ellipses and boxes of all sizes on top of each other, shaded and grained.

    Occlusion and a power law of sizes give the statistics of natural images (Lee, Mumford and
    Huang, IJCV 2001), of which there are too few free ones to train on.
    """
    x, y = _grid(side, dice.device)
    palette = dice.uniform(0.2, 0.8, n, 4, 1, 1, 1) + dice.uniform(-0.2, 0.2, n, 4, 3, 1, 1)
    canvas = palette[:, 0].expand(-1, -1, side, side)
    cells = dice.uniform(-1, 1, n, 1, side // 4, side // 4)
    grain = F.interpolate(cells, size=side, mode="bilinear", align_corners=False)
    few, many = LARGEST_LEAF**-2, SMALLEST_LEAF**-2
    for _ in range(LEAVES):
        reach = (few + dice.uniform(0, 1, n, 1, 1) * (many - few)).rsqrt()
        centre, angle = dice.uniform(-0.1, 1.1, n, 2, 1, 1), dice.uniform(0, math.pi, n, 1, 1)
        dx, dy = x - centre[:, 0], y - centre[:, 1]
        along = (dx * angle.cos() + dy * angle.sin()) / (reach * dice.uniform(0.6, 2, n, 1, 1))
        across = (dy * angle.cos() - dx * angle.sin()) / reach
        roundness = torch.where(dice.uniform(0, 1, n, 1, 1) < 0.5, 2.0, 8.0)
        distance = along.abs().pow(roundness) + across.abs().pow(roundness)
        cover = ((1 - distance) * reach * side / roundness).clamp(0, 1)[:, None]
        pick = dice.integers(4, n).reshape(n, 1, 1, 1, 1).expand(-1, -1, 3, -1, -1)
        colour = palette.gather(1, pick)[:, 0] + dice.uniform(-0.12, 0.12, n, 3, 1, 1)
        shade = dice.uniform(-0.25, 0.25, n, 1, 1) * along.clamp(-1, 1)
        rough = dice.uniform(0, 0.2, n, 1, 1, 1) * grain
        canvas = torch.lerp(canvas, colour + shade[:, None] + rough, cover)
    return canvas


def _crop(dice: Dice, photo: Tensor, side: int) -> Tensor:
    """A random square crop of a photograph, flipped at random, [3, side, side]."""
    height, width = photo.shape[1:]
    edge = int(min(height, width) * float(dice.uniform(0.4, 1, 1)))
    top = int(dice.integers(height - edge + 1, 1))
    left = int(dice.integers(width - edge + 1, 1))
    crop = photo[:, top : top + edge, left : left + edge].to(dice.device)
    crop = crop.flip(2) if int(dice.integers(2, 1)) else crop
    return F.interpolate(crop[None], size=(side, side), mode="bilinear", antialias=True)[0]


def _photographs(dice: Dice, n: int, side: int, photos: Sequence[Tensor]) -> Tensor:
    """Random crops; a tint is mixed in, because some training photographs are grey."""
    picks = [photos[i] for i in dice.integers(len(photos), n).tolist()]
    crops = torch.stack([_crop(dice, photo, side) for photo in picks])
    tint = dice.uniform(0.55, 1, n, 3, 1, 1)
    gain = dice.uniform(0.9, 1.3, n, 1, 1, 1)
    return crops * tint * gain


PATTERNS: dict[str, Callable[[Dice, int, int], Tensor]] = {
    "gradient": _gradient,
    "clouds": _clouds,
    "stripes": _stripes,
    "checks": _checks,
    "tiles": _tiles,
    "leaves": _leaves,
}
BACKGROUNDS = (*PATTERNS, "photograph")
WEIGHTS = (0.07, 0.10, 0.07, 0.07, 0.09, 0.20, 0.40)


def paint(dice: Dice, names: Sequence[str], size: int, photos: Sequence[Tensor]) -> Tensor:
    """Canvases for the named backgrounds, [n, 3, 2 * size, 2 * size] in [0, 1]."""
    side = 2 * size
    canvas = torch.empty(len(names), 3, side, side, device=dice.device)
    for name in BACKGROUNDS:
        rows = [i for i, own in enumerate(names) if own == name]
        if not rows:
            continue
        if name == "photograph":
            painted = _photographs(dice, len(rows), side, photos)
        else:
            painted = PATTERNS[name](dice, len(rows), side)
        canvas[torch.tensor(rows, device=dice.device)] = painted
    return canvas.clamp_(0, 1)

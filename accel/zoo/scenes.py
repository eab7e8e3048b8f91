"""Scenes of the synthetic world: every clip follows from frame 0, motion bucket and fps.

Story, readable in frame 0:
- fly: one or two polygons fly along their noses over a still background and stay in the frame.
  A nose points to one of the eight compass directions.
- follow: a white box surrounds a sprite; the camera follows it, so the background streams past.
- zoom in, zoom out: a white ring, a white cross in the middle.
- pan: nothing but a background (a plain photograph, say); the camera pans to the right.
- every tenth clip has bucket 1 and stands still.

Speed: `amount` (px per frame at 128 px) = bucket / 255 * 2 * 7 / fps; bucket 127 at 7 fps is 1 px.
Beyond the edges of frame 0 the background is its mirror image. Pixels x, y: x right, y down.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from accel.zoo import sprites
from accel.zoo.backgrounds import BACKGROUNDS, WEIGHTS, paint, training_photographs
from accel.zoo.dice import Dice

STORIES = ("fly", "fly two", "follow", "zoom in", "zoom out", "pan")
STORY_WEIGHTS = (0.20, 0.24, 0.26, 0.07, 0.11, 0.12)  # the more, the harder to learn
PICTURE_SHARE = {"follow": 0.8}  # of the sprites, others are polygons; only these fly
STATIC_SHARE = 0.1
FPS_RANGE = (1.25, 12.0)
TRAVEL = 16.0  # px at 128: the farthest that anything moves in one clip
SLOWEST = 8  # the smallest bucket of a moving clip, where the travel allows it
PIXELS_PER_FRAME = 2.0  # amount at bucket 255 and 7 fps


def bucket_to_amount(bucket: Tensor, fps: Tensor) -> Tensor:
    """Speed in px per frame at 128 px; bucket 1 is a still."""
    amount = bucket / 255 * PIXELS_PER_FRAME * 7 / fps
    return torch.where(bucket <= 1, torch.zeros_like(amount), amount)


@dataclass(frozen=True)
class Scenes:
    """n scenes; positions in px of frame 0, velocities in px per frame, [n, 2 sprites, ...]."""

    size: int
    story: tuple[str, ...]
    canvas: Tensor  # [n, 3, 2 * size, 2 * size] in [0, 1], cues painted in
    kind: Tensor  # [n, 2] index into sprites.SPRITES
    present: Tensor  # [n, 2] 0 or 1
    centre: Tensor  # [n, 2, 2]
    heading: Tensor  # [n, 2, 2] unit vectors
    radius: Tensor  # [n, 2]
    colour: Tensor  # [n, 2, 3]
    velocity: Tensor  # [n, 2, 2] of the sprites in the image
    boxed: Tensor  # [n] 1 where the camera follows the first sprite
    pan: Tensor  # [n, 2] of the camera
    zoom: Tensor  # [n] log magnification per frame
    bucket: Tensor  # [n] 1 to 255, whole numbers
    fps: Tensor  # [n]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class _Cast:
    """The sprites of n scenes before they move."""

    kind: Tensor
    present: Tensor
    heading: Tensor
    radius: Tensor
    colour_index: Tensor
    colour: Tensor


def _radius_for_share(kind: Tensor, share: Tensor, size: int) -> Tensor:
    """The radius at which a sprite covers `share` of the frame."""
    areas = torch.tensor([sprites.unit_area(name) for name in sprites.SPRITES])
    return (share * size * size / areas.to(kind.device)[kind]).sqrt()


def _mask(story: Sequence[str], values: dict[str, float], device: torch.device) -> Tensor:
    """One number per scene, looked up by its story (0 where absent): [n]."""
    return torch.tensor([values.get(s, 0.0) for s in story], device=device)


def _cast(dice: Dice, story: Sequence[str], size: int) -> _Cast:
    n = len(story)
    count = _mask(story, {"fly": 1, "fly two": 2, "follow": 1}, dice.device)[:, None]
    present = (torch.arange(2, device=dice.device)[None] < count).float()
    polygon, picture = (dice.integers(len(k), n, 2) for k in (sprites.POLYGONS, sprites.PICTURES))
    drawn = dice.uniform(0, 1, n, 2) < _mask(story, PICTURE_SHARE, dice.device)[:, None]
    kind = torch.where(drawn, len(sprites.POLYGONS) + picture, polygon)
    share = torch.where(count == 2, 0.05, 0.08) + dice.uniform(0, 0.01, n, 2)
    radius = _radius_for_share(kind, share, size)
    angle = math.pi / 4 * dice.integers(8, n, 2)
    index = dice.integers(len(sprites.COLOURS), n, 2)
    table = torch.tensor(list(sprites.COLOURS.values())).to(dice.device)
    colour = (table[index] + dice.uniform(-0.07, 0.07, n, 2, 3)).clamp(0, 1)
    heading = torch.stack([angle.cos(), angle.sin()], -1).round(decimals=6)  # 0, not -4e-8
    return _Cast(kind, present, heading, radius, index, colour)


def _tempo(dice: Dice, n: int, frames: int) -> tuple[Tensor, Tensor]:
    """Motion buckets and fps, so that no travel exceeds TRAVEL; half of the clips have 7 fps."""
    low, high = (math.log(bound) for bound in FPS_RANGE)
    fps = torch.where(dice.uniform(0, 1, n) < 0.5, 7.0, dice.uniform(low, high, n).exp())
    limit = TRAVEL / max(frames - 1, 1)  # px per frame
    fastest = (255 * limit * fps / 7 / PIXELS_PER_FRAME).floor().clamp(2, 255)
    slowest = fastest.clamp(max=SLOWEST)
    bucket = (slowest + dice.uniform(0, 1, n) * (fastest - slowest)).round()
    still = dice.uniform(0, 1, n) < STATIC_SHARE
    return torch.where(still, torch.ones_like(bucket), bucket), fps


def _place(dice: Dice, cast: _Cast, travel: Tensor, margin: Tensor, size: int) -> Tensor:
    """Start positions [n, 2, 2]: paths inside the frame, the best separated of 16 draws."""
    n = len(travel)
    step = cast.heading * travel[:, None, None]
    room = (size / 2 - margin[..., None] - step.abs() / 2).clamp(min=0)
    draws = dice.uniform(-1, 1, 16, n, 2, 2) * room + size / 2 - step / 2
    times = torch.linspace(0, 1, 9, device=dice.device).reshape(-1, 1, 1, 1, 1)
    paths = draws[None] + times * step
    gap = (paths[..., 0, :] - paths[..., 1, :]).norm(dim=-1).amin(0)
    best = gap.argmax(0)
    return draws[best, torch.arange(n, device=dice.device)]


def _zoom_rate(sign: Tensor, amount: Tensor, size: int) -> Tensor:
    """Log magnification per frame at which the fastest 5 % of pixels move by `amount` px.

    `sign` is 1 for zoom in, -1 for zoom out, 0 for no zoom.
    """
    axis = torch.arange(size, device=amount.device) + 0.5 - size / 2
    distance = (axis[:, None].square() + axis[None].square()).sqrt().flatten()
    reach = distance.topk(round(0.05 * size * size)).values.mean()
    return torch.log1p(sign * amount / reach)


def _paint_cues(canvas: Tensor, story: Sequence[str]) -> Tensor:
    """A white ring (zoom in) or cross (zoom out) with a black rim in the middle."""
    side = canvas.shape[-1]
    axis = ((torch.arange(side, device=canvas.device) + 0.5) / side - 0.5) * 128
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    ring = ((x.square() + y.square()).sqrt() - 15).abs() - 3
    x, y = x.abs(), y.abs()
    arms = torch.minimum(torch.maximum(x - 17, y - 3), torch.maximum(x - 3, y - 17))
    for name, distance in (("zoom in", ring), ("zoom out", arms)):
        rows = torch.tensor([s == name for s in story], device=canvas.device).reshape(-1, 1, 1, 1)
        rim = (2.0 - distance).clamp(0, 1) * rows
        fill = (0.5 - distance).clamp(0, 1) * rows
        canvas = canvas * (1 - rim) + fill
    return canvas


def _captions(story: Sequence[str], names: Sequence[str], cast: _Cast) -> tuple[str, ...]:
    """What frame 0 shows, in words from a small closed vocabulary."""
    colours, kinds = list(sprites.COLOURS), sprites.SPRITES
    index, kind, heading = cast.colour_index.tolist(), cast.kind.tolist(), cast.heading.cpu()

    def who(i: int, j: int) -> str:
        facing, name = sprites.compass(heading[i, j]), kinds[kind[i][j]]
        if name in sprites.POLYGONS:
            name = f"{colours[index[i][j]]} {name}"
        article = "an" if name[0] in "aeo" else "a"
        return f"{article} {name} facing {facing}"

    def caption(i: int) -> str:
        match story[i]:
            case "fly":
                return f"{who(i, 0)} over {names[i]}"
            case "fly two":
                return f"{who(i, 0)} and {who(i, 1)} over {names[i]}"
            case "follow":
                return f"{who(i, 0)} in a box over {names[i]}"
            case "zoom in":
                return f"a ring on {names[i]}"
            case "zoom out":
                return f"a cross on {names[i]}"
            case _:
                return f"nothing but {names[i]}"

    return tuple(caption(i) for i in range(len(story)))


def sample_scenes(
    n: int,
    seed: int,
    frames: int = 14,
    size: int = 128,
    device: str | torch.device = "cpu",
    backgrounds: Sequence[str] | None = None,
    photographs: Sequence[Tensor] | None = None,
    stories: Sequence[str] | None = None,
    tempo: tuple[float, float] | None = None,
) -> Scenes:
    """Draw n scenes whose motion stays in bounds for `frames` frames.

    `backgrounds` and `stories` (one per scene) replace the random ones; `photographs` ([3, H, W]
    in [0, 1]) replace the training photographs; `tempo` is one motion bucket and fps for all.
    """
    dice = Dice.seeded(seed, device)
    story = stories or [STORIES[i] for i in dice.choices(STORY_WEIGHTS, n)]
    names = backgrounds or [BACKGROUNDS[i] for i in dice.choices(WEIGHTS, n)]
    cast = _cast(dice, story, size)
    bucket, fps = _tempo(dice, n, frames)
    if tempo is not None:
        bucket, fps = (torch.full_like(bucket, value) for value in tempo)
    amount = bucket_to_amount(bucket, fps) * size / 128
    flies = _mask(story, {"fly": 1, "fly two": 1}, dice.device)
    boxed = _mask(story, {"follow": 1}, dice.device)
    right = _mask(story, {"pan": 1}, dice.device)
    aim = cast.heading[:, 0] * boxed[:, None] + F.pad(right[:, None], (0, 1))
    margin = cast.radius * (1 + 0.15 * boxed[:, None]) + 2
    canvas = paint(dice, names, size, photographs or training_photographs())
    return Scenes(
        size=size,
        story=tuple(story),
        canvas=_paint_cues(canvas, story),
        kind=cast.kind,
        present=cast.present,
        centre=_place(dice, cast, flies * amount * (frames - 1), margin, size),
        heading=cast.heading,
        radius=cast.radius,
        colour=cast.colour,
        velocity=cast.heading * (flies * amount)[:, None, None],
        boxed=boxed,
        pan=aim * amount[:, None],
        zoom=_zoom_rate(_mask(story, {"zoom in": 1, "zoom out": -1}, dice.device), amount, size),
        bucket=bucket,
        fps=fps,
        captions=_captions(story, names, cast),
    )

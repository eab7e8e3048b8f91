"""Sprites with a visible heading: polygons by their distance map, and pictures (emoji).

Polygons turn with their heading. Pictures do too, but never stand on their head: one that goes to
the left is the mirror image of one that goes to the right.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

# Vertices of the half with y >= 0, nose (heading) at +x; mirrored, then scaled into the unit disc.
_HALVES: dict[str, tuple[tuple[float, float], ...]] = {
    "dart": ((1.0, 0.0), (-0.8, 0.7), (-0.4, 0.0)),
    "arrow": ((1.0, 0.0), (0.1, 0.85), (0.1, 0.4), (-0.9, 0.4)),
    "fish": ((1.0, 0.0), (0.7, 0.36), (0.2, 0.5), (-0.45, 0.2), (-0.95, 0.6), (-0.75, 0.0)),
    "rocket": ((1.0, 0.0), (0.55, 0.36), (-0.4, 0.36), (-0.9, 0.75), (-0.75, 0.2)),
    "drop": ((1.0, 0.0), (0.2, 0.42), (-0.3, 0.55), (-0.7, 0.4), (-0.87, 0.0)),
}
POLYGONS = tuple(_HALVES)
# In the order of emoji.webp, 8 in a row, 64 px each, all of them facing left.
PICTURES = (
    "automobile", "bus", "fire engine", "ambulance", "taxi", "delivery truck", "tractor",
    "locomotive", "scooter", "helicopter", "blue fish", "striped fish", "blowfish", "shark",
    "whale", "duck", "swan", "bird", "turtle", "snail", "rabbit", "dog", "cat", "horse", "cow",
    "pig", "sheep", "elephant", "leopard", "tiger", "hedgehog", "chick",
)  # fmt: skip
SPRITES = (*POLYGONS, *PICTURES)
ATLAS = Path(__file__).parent / "emoji.webp"
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.12, 0.12),
    "orange": (0.98, 0.55, 0.08),
    "yellow": (0.96, 0.90, 0.15),
    "green": (0.15, 0.72, 0.20),
    "cyan": (0.10, 0.82, 0.85),
    "blue": (0.15, 0.25, 0.92),
    "purple": (0.55, 0.15, 0.80),
    "pink": (0.98, 0.50, 0.75),
}
REACH = 1.2  # the distance map covers [-REACH, REACH] in units of the sprite's radius
_CELLS = 128
_HALF_SIDE = math.sqrt(0.5)  # of a picture, in radii: its corners lie on the unit circle


def _polygon(name: str) -> Tensor:
    """Closed outline in the unit disc, [V, 2]."""
    half = _HALVES[name]
    mirrored = [(x, -y) for x, y in reversed(half) if y > 0]
    points = torch.tensor([*half, *mirrored])
    longest: Tensor = points.norm(dim=1).max()
    return points / longest


def unit_area(name: str) -> float:
    """Area of a sprite of radius 1: by the shoelace formula, or by a picture's coverage."""
    if name in PICTURES:
        coverage = pictures(torch.device("cpu"))[PICTURES.index(name), 3].mean()
        return float(coverage) * (2 * _HALF_SIDE) ** 2
    p = _polygon(name).double()
    q = p.roll(-1, 0)
    return abs(float((p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1]).sum())) / 2


def _distance(points: Tensor, polygon: Tensor) -> Tensor:
    """Signed distance of points [M, 2] to a polygon [V, 2]: negative inside."""
    a, b = polygon[None], polygon.roll(-1, 0)[None]
    edge, offset = b - a, points[:, None] - a
    share = ((offset * edge).sum(-1) / edge.square().sum(-1)).clamp(0, 1)
    nearest = (offset - edge * share[..., None]).norm(dim=-1).amin(1)
    above = (a[..., 1] > points[:, None, 1]) != (b[..., 1] > points[:, None, 1])
    rise = torch.where(edge[..., 1] == 0, torch.ones_like(edge[..., 1]), edge[..., 1])
    crossing = a[..., 0] + offset[..., 1] * edge[..., 0] / rise
    inside = (above & (points[:, None, 0] < crossing)).sum(1) % 2 == 1
    return torch.where(inside, -nearest, nearest)


@cache
def pictures(device: torch.device) -> Tensor:
    """All pictures with their nose to the right, [len(PICTURES), 4, 32, 32] in [0, 1].

    RGB times alpha, then alpha. Half of the atlas's resolution: about what a sprite has in a
    frame of 128 px.
    """
    atlas = torch.from_numpy(np.array(Image.open(ATLAS).convert("RGBA"))).float() / 255
    tiles = atlas.unflatten(0, (-1, 64)).unflatten(2, (-1, 64)).permute(0, 2, 4, 1, 3).flatten(0, 1)
    colour, alpha = tiles[:, :3], tiles[:, 3:]
    return F.avg_pool2d(torch.cat([colour * alpha, alpha], 1).flip(-1), 2).to(device)


@cache
def distance_maps(device: torch.device) -> Tensor:
    """Signed distance maps of all polygons, [len(POLYGONS), 1, 128, 128], in radii."""
    axis = ((torch.arange(_CELLS) + 0.5) / _CELLS * 2 - 1) * REACH
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y], -1).reshape(-1, 2)
    maps = [_distance(points, _polygon(name)).reshape(1, _CELLS, _CELLS) for name in POLYGONS]
    return torch.stack(maps).to(device)


def local(offset: Tensor, heading: Tensor, radius: Tensor) -> Tensor:
    """Offsets from the centre [..., 2] (px) in the sprite's own axes, in radii."""
    along = (offset * heading).sum(-1)
    across = offset[..., 1] * heading[..., 0] - offset[..., 0] * heading[..., 1]
    return torch.stack([along, across], -1) / radius


def signed_distance(kind: Tensor, points: Tensor) -> Tensor:
    """Distance in radii of local points [n, P, Q, 2] to the polygons kind [n]: [n, P, Q]."""
    maps = distance_maps(points.device)[kind]
    return F.grid_sample(
        maps, points / REACH, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]


def picture(kind: Tensor, points: Tensor, heading: Tensor) -> tuple[Tensor, Tensor]:
    """Colour [n, 3, P, Q] and coverage [n, P, Q] of the pictures kind [n], whose first is 0.

    points: local, [n, P, Q, 2]. heading: [n, 2].
    """
    upright = torch.where(heading[:, 0] < 0, -1.0, 1.0).reshape(-1, 1, 1)
    place = torch.stack([points[..., 0], points[..., 1] * upright], -1) / _HALF_SIDE
    seen = F.grid_sample(pictures(points.device)[kind], place, align_corners=False)
    colour, alpha = seen[:, :3], seen[:, 3]
    return colour / alpha[:, None].clamp(min=1e-3), alpha


def compass(heading: Tensor) -> str:
    """The nearest of eight directions, in words (y points down), of a vector [2]."""
    names = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
    angle = math.atan2(float(heading[1]), float(heading[0]))
    return names[round(angle / (math.pi / 4)) % 8]

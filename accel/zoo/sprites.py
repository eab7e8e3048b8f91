"""Sprites: polygons with a visible heading, drawn by a signed distance map (antialiased)."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

# Vertices of the half with y >= 0, nose (heading) at +x; mirrored, then scaled into the unit disc.
_HALVES: dict[str, tuple[tuple[float, float], ...]] = {
    "dart": ((1.0, 0.0), (-0.8, 0.7), (-0.4, 0.0)),
    "arrow": ((1.0, 0.0), (0.1, 0.85), (0.1, 0.4), (-0.9, 0.4)),
    "fish": ((1.0, 0.0), (0.7, 0.36), (0.2, 0.5), (-0.45, 0.2), (-0.95, 0.6), (-0.75, 0.0)),
    "rocket": ((1.0, 0.0), (0.55, 0.36), (-0.4, 0.36), (-0.9, 0.75), (-0.75, 0.2)),
    "drop": ((1.0, 0.0), (0.2, 0.42), (-0.3, 0.55), (-0.7, 0.4), (-0.87, 0.0)),
}
SPRITES = tuple(_HALVES)
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


def _polygon(name: str) -> Tensor:
    """Closed outline in the unit disc, [V, 2]."""
    half = _HALVES[name]
    mirrored = [(x, -y) for x, y in reversed(half) if y > 0]
    points = torch.tensor([*half, *mirrored])
    longest: Tensor = points.norm(dim=1).max()
    return points / longest


def unit_area(name: str) -> float:
    """Area of a sprite of radius 1 (shoelace formula)."""
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
def distance_maps(device: torch.device) -> Tensor:
    """Signed distance maps of all sprites, [len(SPRITES), 1, 128, 128], in radii."""
    axis = ((torch.arange(_CELLS) + 0.5) / _CELLS * 2 - 1) * REACH
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y], -1).reshape(-1, 2)
    maps = [_distance(points, _polygon(name)).reshape(1, _CELLS, _CELLS) for name in SPRITES]
    return torch.stack(maps).to(device)


def local(offset: Tensor, heading: Tensor, radius: Tensor) -> Tensor:
    """Offsets from the centre [..., 2] (px) in the sprite's own axes, in radii."""
    along = (offset * heading).sum(-1)
    across = offset[..., 1] * heading[..., 0] - offset[..., 0] * heading[..., 1]
    return torch.stack([along, across], -1) / radius


def signed_distance(kind: Tensor, points: Tensor) -> Tensor:
    """Distance in radii of local points [n, P, Q, 2] to the sprites kind [n]: [n, P, Q]."""
    maps = distance_maps(points.device)[kind]
    return F.grid_sample(
        maps, points / REACH, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]


def compass(heading: Tensor) -> str:
    """The nearest of eight directions, in words (y points down), of a vector [2]."""
    names = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
    angle = math.atan2(float(heading[1]), float(heading[0]))
    return names[round(angle / (math.pi / 4)) % 8]

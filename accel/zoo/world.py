"""The renderer of the synthetic world: scenes (scenes.py) to video, exact flow and camera.

Batched torch, on a CPU or a GPU; a seed gives the same clips on both, up to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from accel.zoo import sprites
from accel.zoo.scenes import Scenes, bucket_to_amount, sample_scenes

__all__ = ["Clips", "bucket_to_amount", "exact_amount", "render", "sample", "sample_scenes"]

CHUNK = 64  # scenes rendered at a time: bounds the memory


@dataclass(frozen=True)
class Clips:
    """Rendered scenes with their truth."""

    video: Tensor  # [n, T, 3, H, W] in [0, 1]
    flow: Tensor  # [n, T-1, 2, H, W] px, frame t to t+1, at the pixels of frame t
    camera: Tensor  # [n, T, 3] offset x and y in px, magnification
    bucket: Tensor  # [n]
    fps: Tensor  # [n]
    captions: tuple[str, ...]


def exact_amount(flow: Tensor) -> Tensor:
    """Motion amount of exact flow [n, T-1, 2, H, W]: [n], px per frame (no rescaling).

    Mean of the fastest 5 % of pixels per pair, then the 75th percentile over the pairs.
    """
    speed: Tensor = flow.norm(dim=2).flatten(2)
    fastest = speed.topk(max(1, round(0.05 * speed.shape[2])), dim=2).values.mean(2)
    amount: Tensor = fastest.quantile(0.75, dim=1)
    return amount


def _pixels(size: int, device: torch.device) -> Tensor:
    """Pixel centres [H, W, 2] as x, y in px."""
    axis = torch.arange(size, device=device) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1)


def _per_clip(values: Tensor) -> Tensor:
    """[n, T, ...] to [n, T, 1, 1, ...], to broadcast over pixels."""
    return values[:, :, None, None]


def _camera(scenes: Scenes, times: Tensor) -> Tensor:
    """Offset (px) and magnification of the camera at the given frames, [n, T, 3]."""
    offset = scenes.pan[:, None] * times[None, :, None]
    scale = (scenes.zoom[:, None] * times[None]).exp()
    return torch.cat([offset, scale[..., None]], -1)


def _background(scenes: Scenes, camera: Tensor, pixels: Tensor) -> Tensor:
    """What the camera sees of the canvas, mirrored beyond its edges: [n, T, 3, H, W]."""
    n, frames = camera.shape[:2]
    half = scenes.size / 2
    grid = (pixels - half) / _per_clip(camera[..., 2:]) + _per_clip(camera[..., :2])
    grid = (grid / half).reshape(n, frames * scenes.size, scenes.size, 2)
    seen = F.grid_sample(
        scenes.canvas, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return seen.reshape(n, 3, frames, scenes.size, scenes.size).transpose(1, 2)


def _layer(scenes: Scenes, which: int, times: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Colour [n, T, 3, H, W] and coverage [n, T, 1, H, W] of one sprite."""
    n, size = len(scenes.radius), scenes.size
    moved = scenes.velocity[:, which, None] * times[None, :, None]
    offset = pixels - _per_clip(scenes.centre[:, which, None] + moved)
    radius = scenes.radius[:, which].reshape(n, 1, 1, 1, 1)
    place = sprites.local(offset, scenes.heading[:, which].reshape(n, 1, 1, 1, 2), radius)
    flat = place.reshape(n, -1, size, 2)
    kind = scenes.kind[:, which]
    colour, cover = _polygon(scenes, which, place, radius)
    is_picture = kind >= len(sprites.POLYGONS)
    if is_picture.any():
        number = (kind - len(sprites.POLYGONS)).clamp(min=0)
        seen, alpha = sprites.picture(number, flat, scenes.heading[:, which])
        seen = seen.unflatten(2, (-1, size)).transpose(1, 2)
        rows = is_picture.reshape(n, 1, 1, 1)
        colour = torch.where(rows[..., None], seen, colour)
        cover = torch.where(rows, alpha.unflatten(1, (-1, size)), cover)
    return colour, (cover * scenes.present[:, which].reshape(n, 1, 1, 1))[:, :, None]


def _polygon(scenes: Scenes, which: int, place: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Colour [n, T, 3, H, W] and coverage [n, T, H, W] at local places [n, T, H, W, 2]."""
    n, size = len(place), scenes.size
    kind = scenes.kind[:, which].clamp(max=len(sprites.POLYGONS) - 1)
    flat = place.reshape(n, -1, size, 2)
    distance = sprites.signed_distance(kind, flat).reshape(n, -1, size, size) * radius[..., 0]  # px
    rim = (distance / (size / 128) + 2.5).clamp(0, 1)  # 1 within two px of the outline
    nose = ((place[..., 0] - 0.35) * 8).clamp(0, 1)
    body = scenes.colour[:, which].reshape(n, 1, 3, 1, 1)
    colour = torch.lerp(body, (body * 0.4 + 0.6), nose[:, :, None]) * (1 - 0.85 * rim[:, :, None])
    return colour, (0.5 - distance).clamp(0, 1)


def _box(scenes: Scenes, pixels: Tensor) -> Tensor:
    """Coverage of the white box around a followed sprite, [n, 1, 1, H, W]."""
    offset = (pixels - scenes.centre[:, 0, None, None]).abs().amax(-1)
    reach = scenes.radius[:, 0, None, None] * 1.1
    unit = scenes.size / 128
    cover = (0.5 - ((offset - reach).abs() / unit - 1.5)).clamp(0, 1)
    return (cover * scenes.boxed[:, None, None])[:, None, None]


def _flow(scenes: Scenes, times: Tensor, pixels: Tensor, covers: Sequence[Tensor]) -> Tensor:
    """Exact flow [n, T-1, 2, H, W]: the camera's, overridden by the topmost sprite."""
    rate = _per_clip(torch.expm1(scenes.zoom[:, None] * times.diff()[None])[..., None])
    shift = _per_clip(scenes.pan[:, None] * times.diff()[None, :, None])
    scale = _per_clip(_camera(scenes, times)[:, 1:, 2:])
    flow = (pixels - scenes.size / 2) * rate - shift * scale
    for which, cover in enumerate(covers):
        own = _per_clip(scenes.velocity[:, which, None] * times.diff()[None, :, None])
        flow = torch.where(cover[:, :-1, 0, ..., None] > 0.5, own, flow)
    return flow.permute(0, 1, 4, 2, 3)


def _render(scenes: Scenes, times: Tensor) -> Clips:
    pixels = _pixels(scenes.size, scenes.canvas.device)
    camera = _camera(scenes, times)
    video = _background(scenes, camera, pixels)
    box = _box(scenes, pixels)
    covers = []
    for which in range(2):
        colour, cover = _layer(scenes, which, times, pixels)
        video = torch.lerp(video, colour, cover)
        covers.append(cover)
    video = torch.lerp(video, torch.ones_like(video), box)
    covers[0] = torch.maximum(covers[0], box)
    flow = _flow(scenes, times, pixels, covers)
    return Clips(video, flow, camera, scenes.bucket, scenes.fps, scenes.captions)


def render(scenes: Scenes, frames: int | Sequence[int]) -> Clips:
    """Render frames 0 .. frames-1, or the frames whose numbers are listed."""
    numbers = range(frames) if isinstance(frames, int) else frames
    return _render(scenes, torch.tensor(list(numbers), device=scenes.canvas.device).float())


def sample(
    n: int, seed: int, frames: int = 14, size: int = 128, device: str | torch.device = "cpu"
) -> Clips:
    """n random clips; the same seed and number of frames give the same clips."""
    parts = [
        render(sample_scenes(min(CHUNK, n - at), seed + at, frames, size, device), frames)
        for at in range(0, n, CHUNK)
    ]
    return Clips(
        video=torch.cat([part.video for part in parts]),
        flow=torch.cat([part.flow for part in parts]),
        camera=torch.cat([part.camera for part in parts]),
        bucket=torch.cat([part.bucket for part in parts]),
        fps=torch.cat([part.fps for part in parts]),
        captions=tuple(caption for part in parts for caption in part.captions),
    )

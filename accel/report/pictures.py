"""Frames as one picture: a row per method with its first, middle and last frame.

Drawn with Pillow alone and without metadata, so that the same frames give the same PNG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = [
    "FAINT",
    "INK",
    "MAGENTA",
    "MARGIN",
    "PAPER",
    "Strip",
    "caption",
    "captioned",
    "contact_sheet",
    "open_picture",
    "to_uint8",
]

MAGENTA = (255, 0, 255)
"""The colour of a pixel that is no number: nothing in a sound video looks like it."""

WIDEST, NARROWEST = 320, 128
MARGIN, GAP, LINE = 16, 6, 20
INK, FAINT, PAPER = (24, 24, 27), (113, 113, 122), (255, 255, 255)


@dataclass(frozen=True)
class Strip:
    """One row. video: [T, H, W, 3] in [0, 1]."""

    label: str
    caption: str
    video: NDArray[Any]


def to_uint8(video: NDArray[Any]) -> NDArray[np.uint8]:
    """[..., 3] floats in [0, 1] as bytes. Values outside are clipped; NaN and ±inf turn MAGENTA.

    A pixel is magenta if any one of its channels is not finite.
    """
    video = np.asarray(video, dtype=np.float32)
    broken = ~np.isfinite(video).all(axis=-1)
    scaled = np.clip(np.where(broken[..., None], 0, video), 0, 1) * 255
    pixels: NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    pixels[broken] = MAGENTA
    return pixels


def caption(metrics: Mapping[str, float | str]) -> str:
    """What a row says of its video, such as `1.27x · CLIP 0.977 · PSNR 38.2 dB`.

    The infinite PSNR of M0 to itself is not said.
    """
    known = {key for key, value in metrics.items() if value != math.inf}
    forms = {"speedup": "{:.2f}x", "clip": "CLIP {:.3f}", "psnr": "PSNR {:.1f} dB"}
    parts = [form.format(metrics[key]) for key, form in forms.items() if key in known]
    sanity = str(metrics.get("sanity", "ok"))
    return " · ".join(parts if sanity == "ok" else [*parts, sanity])


def contact_sheet(
    strips: Sequence[Strip], image: Image.Image | None = None, title: str = "", note: str = ""
) -> Image.Image:
    """An RGB picture of all strips, with the input image at the top. note: what is said of it.

    Frames longer than 320 pixels are scaled down to it; frames narrower than 128 are doubled with
    nearest neighbours while they have room, so that the pixels of a mini model stay visible.
    """
    rows = [_row(strip) for strip in strips]
    if image is not None:
        rows.insert(0, captioned("Input", note, [_scaled(image.convert("RGB"))], [""]))
    if title:
        rows.insert(0, captioned(title, "", [], []))
    width = max((row.width for row in rows), default=0) + 2 * MARGIN
    height = sum(row.height + MARGIN for row in rows) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    top = MARGIN
    for row in rows:
        sheet.paste(row, (MARGIN, top))
        top += row.height + MARGIN
    return sheet


def _row(strip: Strip) -> Image.Image:
    count = len(strip.video)
    places = [0, count // 2, count - 1]
    frames = [_scaled(Image.fromarray(to_uint8(strip.video[place]))) for place in places]
    names = [f"frame {place + 1} of {count}" for place in places]
    return captioned(strip.label, strip.caption, frames, names)


def captioned(
    label: str, note: str, frames: Sequence[Image.Image], names: Sequence[str]
) -> Image.Image:
    """An RGB picture: label and note above, frames side by side, each with its name below."""
    large, small = ImageFont.load_default(size=15), ImageFont.load_default(size=12)
    above = LINE * 2 if note else LINE + 4
    tall = max((frame.height for frame in frames), default=0)
    below = LINE if any(names) else 0
    strip_width = sum(frame.width + GAP for frame in frames)
    text_width = max(large.getlength(label), small.getlength(note))
    size = (max(strip_width, int(text_width) + 1), above + tall + below)
    row = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(row)
    draw.text((0, 0), label, INK, large)
    draw.text((0, LINE), note, FAINT, small)
    left = 0
    for frame, name in zip(frames, names, strict=True):
        row.paste(frame, (left, above))
        draw.text((left, above + tall + 2), name, FAINT, small)
        left += frame.width + GAP
    return row


def _scaled(frame: Image.Image) -> Image.Image:
    longest = max(frame.size)
    if longest > WIDEST:
        width, height = (max(1, round(side * WIDEST / longest)) for side in frame.size)
        return frame.resize((width, height), Image.Resampling.LANCZOS)
    while frame.width < NARROWEST and frame.height * 2 <= WIDEST:
        frame = frame.resize((frame.width * 2, frame.height * 2), Image.Resampling.NEAREST)
    return frame


def open_picture(source: Path | Image.Image | NDArray[Any]) -> Image.Image:
    """An image file, a Pillow image, or [H, W, 3] floats in [0, 1], as a Pillow image."""
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, Path):
        with Image.open(source) as image:
            return image.convert("RGB")
    return Image.fromarray(to_uint8(source))

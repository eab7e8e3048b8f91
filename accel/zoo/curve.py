"""The loss curve of a training, drawn from its log with Pillow alone."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from accel.report.pictures import FAINT, INK, PAPER

__all__ = ["curve", "read_log", "write"]

SIZE = (1280, 720)
LEFT, TOP, RIGHT, BOTTOM = 110, 130, 40, 90  # margins of the plot, px
GRID, LINE = (228, 228, 231), (37, 99, 235)
DECADE = 10  # a loss that fell by more than this factor is drawn on a logarithmic scale

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """Values from low to high along the pixels from `first` to `last`."""

    low: float
    high: float
    first: int
    last: int
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (
            math.log(x) if self.logarithmic else x for x in (self.low, self.high, value)
        )
        return self.first + (value - low) / (high - low) * (self.last - self.first)

    def ticks(self, most: int) -> list[float]:
        """Round values in the range, `most` or fewer: powers of ten, with 2 and 5 if they fit."""
        if not self.logarithmic:
            step = _round_step((self.high - self.low) / most)
            numbers = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
            return [number * step for number in numbers]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        fine = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
        inside = [value for value in fine if self.low <= value <= self.high]
        if len(inside) <= most:
            return inside
        return [value for value in fine[::3] if self.low <= value <= self.high]


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is no less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))


def read_log(path: Path) -> list[Row]:
    """The rows of a training's log, over all resumed runs, each step once.

    A run that was interrupted goes on from its last save, so that its steps after it are done
    again: what was logged of them before is left out. So is a line that a killed run left
    unfinished. No file, no rows.
    """
    rows: list[Row] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        began = row.get("resumed_at", row["step"] - 1)
        last = rows[-1] if rows else row
        if last.get("resumed_at") != began or last["step"] >= row["step"]:
            while rows and rows[-1]["step"] > began:
                rows.pop()
        rows.append(row)
    return rows


def curve(rows: Sequence[Row], title: str) -> Image.Image:
    """The loss (y) at each step (x) of one or more rows, which `read_log` returned."""
    steps, losses = [row["step"] for row in rows], [row["loss"] for row in rows]
    x = Axis(0, max(steps), LEFT, SIZE[0] - RIGHT)
    y = _loss_axis(losses)
    image = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(image)
    _grid(draw, x, y)
    resumed = sorted({row.get("resumed_at", 0) for row in rows} - {0})
    for step in resumed:
        draw.line([(x.place(step), TOP), (x.place(step), SIZE[1] - BOTTOM)], FAINT)
    points = [(x.place(step), y.place(loss)) for step, loss in zip(steps, losses, strict=True)]
    draw.line(points, LINE, 3, joint="curve")
    for point in (points[0], points[-1]):
        draw.circle(point, 5, LINE)
    _words(draw, rows[-1], title, min(losses), len(resumed))
    scale = ", logarithmic scale" if y.logarithmic else ""
    note = f"Loss, mean of the steps since the last report{scale}"
    draw.text((LEFT, TOP - 12), note, FAINT, ImageFont.load_default(18), anchor="ls")
    return image


def _loss_axis(losses: Sequence[float]) -> Axis:
    """With some room above and below; of losses that are all equal, too."""
    low, high = min(losses), max(losses)
    bottom, top = SIZE[1] - BOTTOM, TOP
    if 0 < low < high / DECADE:
        return Axis(low / 1.1, high * 1.1, bottom, top, logarithmic=True)
    room = 0.05 * (high - low) or abs(high) / 2 or 1.0
    return Axis(low - room, high + room, bottom, top)


def _grid(draw: ImageDraw.ImageDraw, x: Axis, y: Axis) -> None:
    """Lines at round values with their numbers, and the name of the x axis."""
    font = ImageFont.load_default(18)
    for value in x.ticks(10):
        at = x.place(value)
        if value == int(value):
            draw.line([(at, y.first), (at, y.last)], GRID)
            draw.text((at, y.first + 10), f"{value:,.0f}", INK, font, anchor="ma")
    for value in y.ticks(10):
        at = y.place(value)
        draw.line([(x.first, at), (x.last, at)], GRID)
        draw.text((x.first - 12, at), f"{value:.4g}", INK, font, anchor="rm")
    draw.line([(x.first, y.last), (x.first, y.first), (x.last, y.first)], INK, 2)
    draw.text(((x.first + x.last) / 2, SIZE[1] - 20), "Training steps", FAINT, font, anchor="ms")


def _words(draw: ImageDraw.ImageDraw, last: Row, title: str, lowest: float, resumed: int) -> None:
    """The title, and below it where the training stands."""
    parts = [
        f"step {last['step']:,}",
        f"{last['minutes']:g} minutes",
        f"{last['share']:.0%} of the budget",
        f"loss {last['loss']:.4g}, lowest {lowest:.4g}",
    ]
    if resumed:
        parts.append(f"resumed at the grey line{'s' * (resumed > 1)}")
    draw.text((LEFT, 22), title, INK, ImageFont.load_default(28))
    draw.text((LEFT, 62), " · ".join(parts), FAINT, ImageFont.load_default(18))


def write(image: Image.Image, path: Path) -> None:
    """Save a PNG; an interruption leaves the old file. Raises OSError as a full disk does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    image.save(partial, "PNG")
    partial.replace(path)

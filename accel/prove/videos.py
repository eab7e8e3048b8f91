"""Defects of the finished video: what comes out is no video, or not in its order."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch

from accel.core import Request
from accel.prove.defect import Catch, Defect, Raises

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Black", "Flicker", "Frozen", "Grey", "NotFinite", "OneStill", "Shuffled", "Tinted"]

GRAIN = 3 / 255
"""Of each pixel, at most: more than a frozen video has, and no motion."""


def _no_video(kind: str) -> tuple[Catch | Raises, ...]:
    return (Catch("collapse", "sanity", f"this is no video: *{kind}: "),)


def _restless(metric: str) -> tuple[Catch, ...]:
    return (
        Catch("quality", metric, "; allowed: "),
        Catch("quality", metric, "in the baseline"),
    )


class Video(Defect):
    """An edit of the frames [T, 3, H, W] that the host made."""

    def plant(self, pipeline: Pipeline) -> None:
        inner = pipeline.generate
        pipeline.generate = lambda request: self.edited(inner(request))

    @abstractmethod
    def edited(self, video: torch.Tensor) -> torch.Tensor:
        """The bad video, of the same shape."""


class Black(Video):
    """Every frame black, as after an overflow that a safety net turned to zero."""

    name = "black"
    caught_by = _no_video("black")

    def edited(self, video: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(video)


class Grey(Video):
    """Every frame grey, as of latents that are zero."""

    name = "grey"
    caught_by = _no_video("grey")

    def edited(self, video: torch.Tensor) -> torch.Tensor:
        return torch.full_like(video, 0.5)


class Tinted(Video):
    """Every frame one colour, neither black nor grey."""

    name = "tinted"
    caught_by = _no_video("flat")

    def edited(self, video: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(video) + video.new_tensor((0.1, 0.6, 0.3)).view(3, 1, 1)


class NotFinite(Video):
    """One NaN in the last frame: the least there can be."""

    name = "nan"
    caught_by = _no_video("nan")

    def edited(self, video: torch.Tensor) -> torch.Tensor:
        video = video.clone()
        video[-1, 0, 0, 0] = torch.nan
        return video


class Frozen(Video):
    """The first frame, all the time: perfectly smooth."""

    name = "frozen"
    caught_by = _no_video("frozen")

    def edited(self, video: torch.Tensor) -> torch.Tensor:
        return video[:1].expand_as(video).clone()


class OneStill(Defect):
    """Of several inputs the second, fifth, ... stand still, but for grain.

    They are so few that the most frequent class is that of the others.
    """

    name = "one_still"
    caught_by = (Catch("collapse", "motion_class.inputs", "the video is frozen, and", "several"),)

    def plant(self, pipeline: Pipeline) -> None:
        inner = pipeline.generate
        seen: list[tuple[str, int]] = []

        def generate(request: Request) -> torch.Tensor:
            video, own = inner(request), (request.image, request.seed)
            if own not in seen:
                seen.append(own)
            if seen.index(own) % 3 != 1:
                return video
            dice = torch.Generator().manual_seed(0)
            grain = GRAIN * torch.rand(video.shape, generator=dice)
            return video[:1] * (1 - GRAIN) + grain.to(video)

        pipeline.generate = generate


class Shuffled(Video):
    """The right frames in a wrong order."""

    name = "shuffled"
    caught_by = (
        Catch("collapse", "motion_class", "in the reference"),
        Catch("quality", "motion_class", "in the baseline"),
        Catch("quality", "tof", "in the baseline"),
    )

    def edited(self, video: torch.Tensor) -> torch.Tensor:
        order = torch.randperm(len(video), generator=torch.Generator().manual_seed(0))
        return video[order.to(video.device)]


class Flicker(Video):
    """Every other frame darker by two fifths."""

    name = "flicker"
    caught_by = (*_restless("tssim"), *_restless("tlpips"))

    def edited(self, video: torch.Tensor) -> torch.Tensor:
        video = video.clone()
        video[1::2] *= 0.6
        return video

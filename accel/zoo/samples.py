"""Sample sheets: what a model makes of held-out clips beside the truth, also while it is trained.

A sheet of a training is a function of its title that draws one: clips and pipeline are made before
the training begins, so that nothing is missing once it runs. Networks are used as they are when it
is called, uncompiled and in fp32.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    SchedulerMixin,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from PIL import Image, ImageOps
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from accel.report.pictures import MARGIN, PAPER, captioned, to_uint8
from accel.zoo import assemble
from accel.zoo.held_out import GUIDANCE, Video, generated, held_out, videos
from accel.zoo.training import Sheet

__all__ = ["generations", "reconstructions", "sheet"]

SHOWN = (0, 4, 8, 13)  # frames
COLUMNS, GAP = 2, 6
CLIPS, STEPS = 4, 10  # few: a training waits for them


def sheet(pairs: Sequence[tuple[Video, Video]], title: str = "") -> Image.Image:
    """Two clips a row, truth above, model below; with a title, it and a legend over them."""
    cells = [np.concatenate([_row(truth), _row(own)]) for truth, own in pairs]
    cells = [np.pad(cell, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for cell in cells]
    rows = [np.concatenate(cells[i : i + COLUMNS], 1) for i in range(0, len(cells), COLUMNS)]
    width = rows[0].shape[1]
    rows = [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    image = Image.fromarray(np.concatenate(rows))
    if not title:
        return image
    legend = f"Truth above, model below; frames {', '.join(str(t + 1) for t in SHOWN)}"
    return ImageOps.expand(captioned(title, legend, [image], [""]), MARGIN, PAPER)


def _row(video: Video) -> npt.NDArray[np.uint8]:
    return np.concatenate([to_uint8(video[t]) for t in SHOWN], axis=1)


def generations(
    unet: UNetSpatioTemporalConditionModel,
    vae: AutoencoderKLTemporalDecoder,
    encoder: CLIPVisionModelWithProjection,
    scheduler: SchedulerMixin | None = None,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> Sheet:
    """Sheets of held-out clips that the UNet generates from their first frames.

    scheduler: SVD's own unless given. guidance: of the last frame.
    """
    pipeline = StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=encoder,
        unet=unet,
        scheduler=scheduler or assemble.scheduler(),
        feature_extractor=assemble.extractor(),
    )
    pipeline.set_progress_bar_config(disable=True)
    clips = held_out(CLIPS, SHOWN[-1] + 1)
    truth = videos(clips)

    def draw(title: str) -> Image.Image:
        own = generated(pipeline, clips, steps, guidance)
        return sheet(list(zip(truth, own, strict=True)), title)

    return draw


def reconstructions(coder: Callable[[Tensor], Tensor], device: torch.device) -> Sheet:
    """Sheets of held-out clips that were encoded and decoded.

    coder: frames [T, 3, H, W] in [0, 1] on the device to the same frames as they come back.
    """
    clips = held_out(CLIPS, SHOWN[-1] + 1)
    truth = videos(clips)

    def draw(title: str) -> Image.Image:
        frames = [coder(clip.to(device)).permute(0, 2, 3, 1).cpu() for clip in clips.video]
        own = [clip.float().numpy() for clip in frames]
        return sheet(list(zip(truth, own, strict=True)), title)

    return draw

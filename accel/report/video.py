"""Frames as an MP4 that every browser plays: H.264, yuv420p, even sizes, index at the front."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from accel.errors import InvalidRequestError
from accel.report.pictures import to_uint8

__all__ = ["write_video"]

QUALITY = {"crf": "16", "preset": "fast"}
"""x264: about visually lossless. A picture to look at; metrics are scored on the raw frames."""

BT709 = 1
"""The number of BT.709 in the H.264 standard's tables of matrices, primaries and transfers."""


def write_video(path: Path, video: NDArray[Any], fps: float) -> None:
    """Write `video`, [T, H, W, 3] in [0, 1], to `path`.

    An odd height or width is made even by repeating the last row or column; pixels that are not
    finite are magenta, as in `pictures.to_uint8`. Raises InvalidRequestError for another shape,
    or without frames; OSError if `path` cannot be written.
    """
    if video.ndim != 4 or video.shape[-1] != 3 or not video.size:
        raise InvalidRequestError(
            f"a video of shape {video.shape} cannot be written; give at least one frame as "
            "[frames, height, width, 3]"
        )
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=QUALITY)
        _prepare(stream, video.shape[1], video.shape[2])
        for frame in video:
            container.mux(stream.encode(_frame(frame)))
        container.mux(stream.encode())


def _prepare(stream: VideoStream, height: int, width: int) -> None:
    """Tag the colours, too: a player that has to guess them gets them wrong."""
    stream.height, stream.width = height + height % 2, width + width % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709


def _frame(frame: NDArray[Any]) -> av.VideoFrame:
    height, width = frame.shape[:2]
    pixels = np.pad(to_uint8(frame), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)

"""How much a video moves, and whether it moves well: amount and quality, measured apart.

Optical flow (DIS, preset MEDIUM) between adjacent frames, trusted where the frame has texture
and forward and backward flow agree. From it:

    amount     strength of the fastest 5 % of the pixels                        px/frame
    explained  share of the frame difference that is left after motion          1 = not motion
    jerk       change of the flow along its own path, relative to the flow      0 = uniform
    stall      share of the pairs of frames that hardly move in a clip that does
    cover      share of the pixels with trusted flow
    change     mean difference of adjacent blurred frames                       [0, 1]

and one word: static, smooth, jerky, flicker or low-texture (no verdict).

The thresholds were calibrated on synthetic clips of 128x128 and 14 frames. Every video is
therefore resampled to a short side of 128 pixels first: that scales every pixel threshold by
min(H, W) / 128, and texture and blur with it. `amount` and `tof` are in pixels of that size;
`amount_px` is in pixels of the video itself.

Sources: Kroeger et al., ECCV 2016 (DIS); Chu et al., TOG 2020 (tOF); own calibration.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from accel.metrics import Array

__all__ = [
    "FINGERPRINT",
    "Motion",
    "MotionClass",
    "motion",
    "motion_amount",
    "motion_amount_px",
    "motion_class",
    "motion_ratio",
    "tof",
]

MotionClass = Literal["static", "smooth", "jerky", "flicker", "low-texture"]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SIDE = 128
FINGERPRINT = {"flow": "DIS MEDIUM", "size": f"short side {SIDE} px", "blur": "sigma 1"}
RATIO_FLOOR = 0.1
"""px/frame at 128 px: the median error of the flow on translations of up to 4 px."""

_BORDER = 3
_FASTEST = 0.05
_TEXTURE = 1e-4


@dataclass(frozen=True)
class Motion:
    """The motion of one video; see the module for each number. scale: min(H, W) / 128."""

    amount: float
    explained: float
    jerk: float
    stall: float
    cover: float
    change: float
    scale: float

    @property
    def amount_px(self) -> float:
        """The amount in px/frame of the video's own size."""
        return self.amount * self.scale

    @property
    def kind(self) -> MotionClass:
        """The rule, in its order."""
        if self.cover < 0.08 and self.amount < 0.5:
            return "low-texture"
        if self.amount < 0.2:
            return "flicker" if self.change > 0.012 else "static"
        if self.explained > 0.8:
            return "flicker"
        return "jerky" if self.jerk > 0.6 or self.stall > 0.25 else "smooth"


@dataclass(frozen=True)
class _Pair:
    """Two adjacent frames: forward flow [h, w, 2], where it is trusted, amount, differences."""

    flow: Floats
    trusted: Mask
    amount: float
    change: float
    left: float


def motion(video: Array) -> Motion:
    """The motion of a video [T >= 2, H, W, 3] in [0, 1]. Deterministic: one OpenCV thread."""
    with _one_thread():
        frames = _grey_frames(video)
        pairs = [_pair(a, b) for a, b in pairwise(frames)]
        jerk = _jerk(pairs)
    amounts = np.array([pair.amount for pair in pairs])
    amount = float(np.percentile(amounts, 75))
    left = [(pair.left + 1e-3) / (pair.change + 1e-3) for pair in pairs]
    return Motion(
        amount=amount,
        explained=float(np.percentile(left, 25)),
        jerk=jerk,
        stall=float(np.mean(amounts < 0.25 * amount)),
        cover=float(np.mean([pair.trusted.mean() for pair in pairs])),
        change=float(np.mean([pair.change for pair in pairs])),
        scale=min(video.shape[1:3]) / SIDE,
    )


def motion_amount(video: Array) -> float:
    """Amount of motion of a video [T, H, W, 3], in px/frame at a short side of 128 px."""
    return motion(video).amount


def motion_amount_px(video: Array) -> float:
    """Amount of motion of a video [T, H, W, 3], in px/frame of the video itself."""
    return motion(video).amount_px


def motion_class(video: Array) -> MotionClass:
    """static, smooth, jerky, flicker, or low-texture when there is too little to follow."""
    return motion(video).kind


def motion_ratio(video: Array, reference: Array) -> float:
    """Amount of the video over amount of the reference; 1 is as much motion as before.

    Both amounts count at least RATIO_FLOOR, the noise of the flow: two static videos have the
    ratio 1, and it is always finite.
    """
    own, expected = motion(video).amount, motion(reference).amount
    return max(own, RATIO_FLOOR) / max(expected, RATIO_FLOOR)


def tof(video: Array, reference: Array) -> float:
    """Mean length of the difference of the two videos' flows, px/frame at 128 px; 0 is equal.

    video, reference: [T, H, W, 3]. Over all pixels and pairs of adjacent frames.
    """
    with _one_thread():
        own, expected = _grey_frames(video), _grey_frames(reference)
        differences = [
            np.linalg.norm(_flow(own[t], own[t + 1]) - _flow(expected[t], expected[t + 1]), axis=-1)
            for t in range(len(own) - 1)
        ]
    return float(np.mean(differences, dtype=np.float64))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One OpenCV thread, then the caller's number again.

    DIS works in parallel stripes. Results were equal with 1 to 8 threads when this was written,
    but OpenCV does not promise it.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _grey_frames(video: Array) -> list[Floats]:
    """Grey frames in [0, 1] with a short side of 128 px, blurred with sigma 1."""
    height, width = video.shape[1:3]
    scale = SIDE / min(height, width)
    size = round(width * scale), round(height * scale)
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    frames = []
    for frame in video:
        grey = cv2.cvtColor(np.ascontiguousarray(frame, np.float32), cv2.COLOR_RGB2GRAY)
        if scale != 1:
            grey = cv2.resize(grey, size, interpolation=mode)
        frames.append(np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), np.float32))
    return frames


def _flow(first: Floats, second: Floats) -> Floats:
    """[h, w, 2] flow from first to second, in pixels (x, y)."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    a, b = (np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8) for frame in (first, second))
    # An array in place of None would be taken as the first guess of the flow.
    flow = estimator.calc(a, b, None)  # type: ignore[call-overload]
    return np.asarray(flow, np.float32)


def _pair(first: Floats, second: Floats) -> _Pair:
    forward, backward = _flow(first, second), _flow(second, first)
    length = np.linalg.norm(forward, axis=-1)
    loop = np.linalg.norm(forward + _follow(backward, forward), axis=-1)
    trusted = _inside(first.shape) & (cv2.cornerMinEigenVal(first, 7) > _TEXTURE)
    trusted &= loop < 0.5 + 0.1 * length
    warped = _follow(second, forward)
    return _Pair(
        flow=forward,
        trusted=trusted,
        amount=_amount(length, trusted),
        change=float(np.abs(first - second).mean()),
        left=float(np.abs(first - warped).mean()),
    )


def _inside(shape: tuple[int, ...]) -> Mask:
    inside = np.zeros(shape, np.bool_)
    inside[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    return inside


def _amount(length: Floats, trusted: Mask) -> float:
    """Sum of the largest trusted lengths, up to 5 % of the pixels, over 5 % of the pixels."""
    count = max(1, round(_FASTEST * length.size))
    return float(np.sort(length[trusted])[-count:].sum() / count)


def _follow(values: Floats, flow: Floats) -> Floats:
    """`values` [h, w] or [h, w, 2], read where `flow` points to (bilinear)."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return np.asarray(
        cv2.remap(
            values,
            columns + flow[..., 0],
            rows + flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def _jerk(pairs: list[_Pair]) -> float:
    """Median change of the flow along its path, over the median flow; 0 with too few frames."""
    changes, lengths = [], []
    for now, later in pairwise(pairs):
        length = np.linalg.norm(now.flow, axis=-1)
        if not now.trusted.any():
            continue
        moving = now.trusted & (length >= np.median(length[now.trusted]))
        change = np.linalg.norm(_follow(later.flow, now.flow) - now.flow, axis=-1)
        changes.append(float(change[moving].mean()))
        lengths.append(float(length[moving].mean()))
    return float(np.median(changes) / (np.median(lengths) + 0.05)) if changes else 0.0

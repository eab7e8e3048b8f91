"""Is it a video at all? Finite values, frames with content, and movement where there was some.

Averages hide these failures, or reward them: black frames have a frame-to-frame SSIM of 1 and a
frame-to-frame LPIPS of 0, and a frozen video is perfectly smooth. So this check comes first.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from accel.errors import InvalidRequestError
from accel.metrics import Array

__all__ = ["Defect", "check_arrays", "defect"]

# Spatial standard deviation of a frame, the largest of its three channels, below which the frame
# shows nothing. 0.01 is 2.5 of 255 grey levels. The flattest of scikit-image's sample photographs,
# the grey surface of the moon, has 0.052, and the nearly black night sky of the Hubble field 0.11.
FLAT_STD = 0.01
# A flat frame is called black below this mean: 5 of 255 grey levels, invisible on a screen.
BLACK_MEAN = 0.02
# Largest change of any pixel against the first frame below which a video stands still: one 8-bit
# step, the smallest change that rounding to 8 bits is sure to keep.
FROZEN_CHANGE = 1 / 255
# The reference moves if some pixel changes by four 8-bit steps. Between the two limits lies the
# grain of a nearly static clip, which an acceleration may lose.
MOVING_CHANGE = 4 / 255
# AlexNet (LPIPS) needs 31 pixels, the window of SSIM 11.
MIN_SIDE = 32


@dataclass(frozen=True)
class Defect:
    """Why a video is no result. kind: its word; message: measured value and threshold."""

    kind: Literal["nan", "black", "grey", "flat", "frozen"]
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def check_arrays(video: Array, image: Array | None = None, reference: Array | None = None) -> None:
    """Raise InvalidRequestError, naming the value, unless the arrays can be scored.

    video: float [T >= 2, H >= 32, W >= 32, 3]. image: float [H, W, 3], finite. reference: as the
    video, same shape, finite.
    """
    if video.ndim != 4 or video.shape[-1] != 3 or video.dtype.kind != "f":
        raise InvalidRequestError(
            f"a video is float [frames, height, width, 3] in [0, 1], not {_form(video)}"
        )
    if video.shape[0] < 2 or min(video.shape[1:3]) < MIN_SIDE:
        raise InvalidRequestError(
            f"a video of {_form(video)} cannot be scored: it takes at least 2 frames of "
            f"{MIN_SIDE}x{MIN_SIDE}"
        )
    if image is not None:
        _check_image(image)
    if reference is not None:
        _check_reference(video, reference)


def _check_image(image: Array) -> None:
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype.kind != "f":
        raise InvalidRequestError(
            f"the input image is float [height, width, 3] in [0, 1], not {_form(image)}"
        )
    if not np.isfinite(image).all():
        raise InvalidRequestError("the input image has values that are not finite; use another one")


def _check_reference(video: Array, reference: Array) -> None:
    if reference.shape != video.shape or reference.dtype.kind != "f":
        raise InvalidRequestError(
            f"the reference is {_form(reference)}, the video {_form(video)}: generate both from "
            "the same request"
        )
    if found := _not_finite(reference):
        raise InvalidRequestError(
            f"the reference itself is broken ({found}): nothing can be compared with it"
        )


def _form(array: Array) -> str:
    return f"{array.dtype} {list(array.shape)}"


def defect(video: Array, reference: Array | None = None) -> Defect | None:
    """The first defect found, in the order nan, black | grey | flat, frozen; None if healthy.

    video, reference: [T, H, W, 3]. A single frame without content is a defect, unless the same
    frame of the reference has none either. Frozen needs a reference that moves: a clip may be
    static (its motion class says so), and without a reference nobody can tell.
    """
    if found := _not_finite(video):
        return found
    if found := _no_content(video, reference):
        return found
    return _frozen(video, reference) if reference is not None else None


def _not_finite(video: Array) -> Defect | None:
    bad = [int(frame.size - np.isfinite(frame).sum()) for frame in video]
    if not any(bad):
        return None
    first = next(index for index, count in enumerate(bad) if count)
    frames = sum(count > 0 for count in bad)
    return Defect(
        "nan",
        f"{sum(bad)} of {video.size} values are not finite, in {frames} of {len(video)} frames, "
        f"the first in frame {first}",
    )


def _no_content(video: Array, reference: Array | None) -> Defect | None:
    empty = _deviations(video) < FLAT_STD
    if reference is not None:
        empty &= _deviations(reference) >= FLAT_STD
    if not empty.any():
        return None
    first = int(np.argmax(empty))
    frame = np.clip(video[first], 0, 1)
    colour = frame.mean((0, 1), dtype=np.float64)
    kind = _colour_word(colour)
    red, green, blue = colour
    limit = f" (black: below {BLACK_MEAN})" if kind == "black" else ""
    return Defect(
        kind,
        f"{int(empty.sum())} of {len(video)} frames show nothing, the first is frame {first}: "
        f"mean colour ({red:.3f}, {green:.3f}, {blue:.3f}){limit}, spatial deviation "
        f"{_deviations(frame[None])[0]:.4f}, below {FLAT_STD}",
    )


def _deviations(video: Array) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """[T] spatial standard deviation of each frame, of the channel that varies most."""
    frames = (np.clip(frame, 0, 1).std((0, 1), dtype=np.float64).max() for frame in video)
    return np.fromiter(frames, np.float64, len(video))


def _colour_word(
    colour: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Literal["black", "grey", "flat"]:
    if colour.mean() < BLACK_MEAN:
        return "black"
    return "grey" if np.ptp(colour) < 2 / 255 else "flat"


def _frozen(video: Array, reference: Array) -> Defect | None:
    change, expected = _change(video), _change(reference)
    if change >= FROZEN_CHANGE or expected < MOVING_CHANGE:
        return None
    return Defect(
        "frozen",
        f"no pixel of the {len(video)} frames differs from the first frame by more than "
        f"{change:.5f} (below {FROZEN_CHANGE:.5f}), while the reference changes by {expected:.3f} "
        f"(from {MOVING_CHANGE:.3f} on it moves)",
    )


def _change(video: Array) -> float:
    """Largest difference of any value to the first frame; frame by frame, to keep memory low."""
    first = np.clip(video[0], 0, 1)
    return max(float(np.abs(np.clip(frame, 0, 1) - first).max()) for frame in video[1:])

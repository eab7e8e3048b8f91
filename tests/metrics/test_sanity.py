"""Every planted defect is named; healthy and truly static videos pass."""

import numpy as np
import pytest

from accel.errors import InvalidRequestError
from accel.metrics import Array
from accel.metrics.sanity import check_arrays, defect


def _solid(video: Array, *colour: float) -> Array:
    return np.broadcast_to(np.array(colour, np.float32), video.shape).copy()


def test_a_healthy_video_passes(video: Array, near: Array) -> None:
    assert defect(video) is None
    assert defect(near, video) is None


def test_a_dark_video_with_content_passes(video: Array) -> None:
    assert defect(video * 0.1) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(video: Array, value: float) -> None:
    broken = video.copy()
    broken[4, :2, 0, 0] = value
    broken[9, 0, 0, 2] = value
    found = defect(broken, video)
    assert found is not None
    assert found.kind == "nan"
    assert found.message == (
        f"3 of {video.size} values are not finite, in 2 of 14 frames, the first in frame 4"
    )


@pytest.mark.parametrize(
    ("colour", "kind", "named"),
    [
        ((0.0, 0.0, 0.0), "black", "(0.000, 0.000, 0.000)"),
        ((0.5, 0.5, 0.5), "grey", "(0.500, 0.500, 0.500)"),
        ((1.0, 1.0, 1.0), "grey", "(1.000, 1.000, 1.000)"),
        ((0.8, 0.1, 0.2), "flat", "(0.800, 0.100, 0.200)"),
        ((-3.0, -3.0, -3.0), "black", "(0.000, 0.000, 0.000)"),
    ],
)
def test_frames_of_one_colour(
    video: Array, colour: tuple[float, ...], kind: str, named: str
) -> None:
    found = defect(_solid(video, *colour), video)
    assert found is not None
    assert found.kind == kind
    assert f"mean colour {named}" in found.message
    assert "14 of 14 frames" in found.message
    assert "0.01" in found.message


def test_grey_with_a_ripple_is_still_grey(video: Array) -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.005, video.shape).astype(np.float32)
    found = defect(noise)
    assert found is not None
    assert found.kind == "grey"


def test_one_black_frame_is_a_defect_unless_the_reference_has_it_too(video: Array) -> None:
    gap = video.copy()
    gap[6] = 0
    found = defect(gap, video)
    assert found is not None
    assert found.kind == "black"
    assert "1 of 14 frames show nothing, the first is frame 6" in found.message
    assert defect(gap, gap) is None


def test_a_frozen_video_beside_a_moving_reference(video: Array) -> None:
    noise = np.random.default_rng(0).uniform(0, 0.8 / 255, video.shape)
    frozen = (video[:1] + noise).astype(np.float32)
    found = defect(frozen, video)
    assert found is not None
    assert found.kind == "frozen"
    assert "below 0.00392" in found.message


def test_a_static_clip_is_allowed_to_be_static(video: Array) -> None:
    static = np.repeat(video[:1], len(video), axis=0)
    assert defect(static, static) is None
    assert defect(static) is None


def test_a_slow_video_is_not_frozen(video: Array) -> None:
    slow = video[:1] + (video - video[:1]) * 0.05
    assert defect(slow, video) is None


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((14, 64, 64), r"float32 \[14, 64, 64\]"),
        ((14, 3, 64, 64), r"not float32 \[14, 3, 64, 64\]"),
        ((1, 64, 64, 3), "at least 2 frames"),
        ((14, 16, 64, 3), "32x32"),
    ],
)
def test_arrays_of_a_wrong_shape_are_refused(shape: tuple[int, ...], named: str) -> None:
    with pytest.raises(InvalidRequestError, match=named):
        check_arrays(np.zeros(shape, np.float32))


def test_bytes_are_refused(video: Array) -> None:
    with pytest.raises(InvalidRequestError, match="uint8"):
        check_arrays((video * 255).astype(np.uint8))  # type: ignore[arg-type]


def test_a_broken_image_or_reference_is_refused(video: Array) -> None:
    broken = video.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(InvalidRequestError, match="input image has values"):
        check_arrays(video, broken[0])
    with pytest.raises(InvalidRequestError, match=r"reference itself is broken \(nan: 3 of"):
        check_arrays(video, video[0], broken)

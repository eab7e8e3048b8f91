"""Motion: known speeds, the classes, and the controls that must not pass as smooth."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from accel.metrics import Array
from accel.metrics.motion import (
    Motion,
    motion,
    motion_amount,
    motion_amount_px,
    motion_class,
    motion_ratio,
    tof,
)

Pan = Callable[..., Array]


def _noise(video: Array, deviation: float) -> Array:
    noise = np.random.default_rng(2).normal(0, deviation, video.shape)
    return np.clip(video + noise, 0, 1).astype(np.float32)


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.5, 2.4, 4.0])
def test_a_pan_is_smooth_and_has_its_speed(pan: Pan, speed: float) -> None:
    found = motion(pan(speed))
    assert found.kind == "smooth"
    assert found.amount == pytest.approx(speed, rel=0.1, abs=0.15)
    assert found.explained < 0.4


def test_the_amount_grows_with_the_speed(pan: Pan) -> None:
    amounts = [motion_amount(pan(speed)) for speed in (0, 0.25, 0.5, 1, 2, 4)]
    assert amounts == sorted(amounts)
    assert amounts[0] == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_classes(pan: Pan, seed: int) -> None:
    static, moving = pan(0, seed), pan(1.5, seed)
    order = np.random.default_rng(seed).permutation(len(moving))
    exposure = 1 + np.random.default_rng(seed).normal(0, 0.15, (14, 1, 1, 1))
    dissolve = np.linspace(0, 1, 14)[:, None, None, None]
    expected = {
        "static": ("static", static),
        "static with noise": ("static", _noise(static, 4 / 255)),
        "moving with noise": ("smooth", _noise(moving, 2 / 255)),
        "shuffled": ("jerky", moving[order]),
        "stutter": ("jerky", moving[np.arange(14) // 3 * 3]),
        "exposure": ("flicker", np.clip(static * exposure, 0, 1)),
        "dissolve": ("flicker", static * (1 - dissolve) + pan(0, seed + 10) * dissolve),
        "flat": ("low-texture", np.full_like(static, 0.5)),
        "frozen": ("static", np.repeat(moving[5:6], 14, axis=0)),
    }
    found = {name: motion_class(video.astype(np.float32)) for name, (_, video) in expected.items()}
    assert found == {name: kind for name, (kind, _) in expected.items()}


def test_white_noise_is_not_smooth(video: Array) -> None:
    noise = np.random.default_rng(0).random(video.shape, np.float32)
    found = motion(noise)
    assert found.kind in ("flicker", "jerky")
    # It has texture everywhere, but forward and backward flow disagree.
    assert found.cover < 0.4


SMOOTH = Motion(amount=1, explained=0.2, jerk=0.1, stall=0, cover=0.5, change=0.01, scale=1)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "smooth"),
        ({"cover": 0.079, "amount": 0.49}, "low-texture"),
        ({"cover": 0.079, "amount": 0.51}, "smooth"),
        ({"amount": 0.19}, "static"),
        ({"amount": 0.19, "change": 0.013}, "flicker"),
        ({"explained": 0.81}, "flicker"),
        ({"jerk": 0.61}, "jerky"),
        ({"stall": 0.26}, "jerky"),
        ({"explained": 0.8, "jerk": 0.6, "stall": 0.25}, "smooth"),
    ],
)
def test_the_rule(changes: dict[str, float], kind: str) -> None:
    assert replace(SMOOTH, **changes).kind == kind


def test_a_large_video_is_measured_at_its_own_scale(pan: Pan) -> None:
    moving = pan(1.5)
    large = np.stack([cv2.resize(frame, (384, 384)) for frame in moving])
    found = motion(large)
    assert found.kind == "smooth"
    assert found.scale == 3
    assert motion_amount(large) == pytest.approx(motion_amount(moving), rel=0.05)
    assert motion_amount_px(large) == 3 * found.amount


def test_a_small_video_is_measured_at_its_own_scale(pan: Pan) -> None:
    # Enlarged twice, the soft texture is trusted on few pixels only: a wider tolerance.
    small = motion(pan(1.0, side=64))
    assert small.kind == "smooth"
    assert small.amount_px == pytest.approx(1.0, rel=0.25)


def test_the_ratio_compares_the_amounts(pan: Pan) -> None:
    assert motion_ratio(pan(1.0), pan(2.0)) == pytest.approx(0.5, rel=0.1)
    assert motion_ratio(pan(2.0), pan(1.0)) == pytest.approx(2.0, rel=0.1)
    assert motion_ratio(pan(1.5), pan(1.5)) == 1


def test_the_ratio_is_finite_for_static_videos(pan: Pan) -> None:
    assert motion_ratio(pan(0), pan(0)) == 1
    assert motion_ratio(pan(0), pan(1.5)) < 0.1
    assert motion_ratio(pan(1.5), pan(0)) > 10


def test_tof_is_the_difference_of_the_flows(pan: Pan, video: Array) -> None:
    assert tof(video, video) == 0
    assert tof(pan(1.0), pan(2.0)) == pytest.approx(1.0, rel=0.15)
    frozen = np.repeat(video[:1], 14, axis=0)
    assert tof(frozen, video) == pytest.approx(1.5, rel=0.15)


def test_two_frames_are_enough(video: Array) -> None:
    assert motion(video[:2]).kind == "smooth"


def test_threads_change_nothing_and_are_left_alone(video: Array) -> None:
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            found.append((motion(video), tof(video, video[::-1])))
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    assert found[0] == found[1] == found[2]

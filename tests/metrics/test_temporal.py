"""tSSIM and tLPIPS against calculations of their own."""

import numpy as np
import pytest
from scipy.signal import convolve2d

from accel.metrics import Array
from accel.metrics.lpips_net import distances
from accel.metrics.temporal import frame_ssim, tlpips, tssim


def wang_ssim(first: Array, second: Array) -> float:
    """SSIM as in the paper: an explicit 11x11 Gaussian window, valid positions only."""
    ramp = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(ramp, ramp) / np.outer(ramp, ramp).sum()

    def local_mean(values: np.ndarray) -> np.ndarray:
        return convolve2d(values, window, mode="valid")

    channels = []
    for channel in range(3):
        x, y = (np.float64(frame[..., channel]) for frame in (first, second))
        mx, my = local_mean(x), local_mean(y)
        vx, vy = local_mean(x * x) - mx**2, local_mean(y * y) - my**2
        covariance = local_mean(x * y) - mx * my
        luminance = (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2)
        structure = (2 * covariance + 0.03**2) / (vx + vy + 0.03**2)
        channels.append((luminance * structure).mean())
    return float(np.mean(channels))


def test_ssim_is_the_formula_of_the_paper(video: Array, near: Array) -> None:
    assert frame_ssim(video[0], near[0]) == pytest.approx(wang_ssim(video[0], near[0]), abs=1e-9)
    assert frame_ssim(video[0], video[9]) == pytest.approx(wang_ssim(video[0], video[9]), abs=1e-9)


def test_tssim_is_the_mean_over_adjacent_frames(near: Array) -> None:
    expected = np.mean([wang_ssim(near[t], near[t + 1]) for t in range(13)])
    assert tssim(near) == pytest.approx(expected, abs=1e-9)


def test_tlpips_is_the_mean_over_adjacent_frames(near: Array, alexnet: object) -> None:
    expected = np.mean([distances(near[t : t + 1], near[t + 1 : t + 2])[0] for t in range(13)])
    assert tlpips(near) == pytest.approx(expected, rel=1e-4)


def test_both_reward_a_frozen_video(video: Array, alexnet: object) -> None:
    frozen = np.repeat(video[:1], 4, axis=0)
    assert tssim(frozen) == 1.0
    assert tlpips(frozen) == 0.0
    assert tssim(video) < 0.95
    assert tlpips(video) > 0.005

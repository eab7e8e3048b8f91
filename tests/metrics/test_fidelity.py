"""PSNR, SSIM and LPIPS to the reference."""

import math

import numpy as np
import pytest

from accel.metrics import Array
from accel.metrics.fidelity import PSNR_CAP, lpips, psnr, ssim
from accel.metrics.lpips_net import distances
from accel.metrics.temporal import frame_ssim


def test_psnr_of_a_known_error() -> None:
    reference = np.full((2, 32, 32, 3), 0.5, np.float32)
    assert psnr(reference + np.float32(0.1), reference) == pytest.approx(20.0, abs=1e-4)
    assert psnr(reference - np.float32(0.01), reference) == pytest.approx(40.0, abs=1e-4)


def test_psnr_pools_the_error_of_all_frames() -> None:
    reference = np.zeros((4, 32, 32, 3), np.float32)
    video = reference.copy()
    video[2] = 0.2
    assert psnr(video, reference) == pytest.approx(10 * math.log10(4 / 0.04), abs=1e-4)


def test_psnr_of_identical_videos_is_the_cap(video: Array) -> None:
    assert psnr(video, video) == PSNR_CAP == 100.0
    assert psnr(video, video + np.float32(1e-6)) == PSNR_CAP


def test_psnr_falls_with_the_noise(video: Array) -> None:
    noise = np.random.default_rng(0).normal(size=video.shape)
    values = [psnr((video + s * noise).astype(np.float32), video) for s in (0.01, 0.02, 0.04)]
    assert values == pytest.approx([40.0, 33.98, 27.96], abs=0.02)


def test_ssim_is_the_mean_over_the_frames(video: Array, near: Array) -> None:
    expected = np.mean([frame_ssim(near[t], video[t]) for t in range(14)])
    assert ssim(near, video) == pytest.approx(expected, abs=1e-12)
    assert ssim(video, video) == 1.0
    assert ssim(near, video) < 0.99


def test_lpips_is_the_mean_over_the_frames(video: Array, near: Array, alexnet: object) -> None:
    expected = np.mean([distances(near[t : t + 1], video[t : t + 1])[0] for t in range(14)])
    assert lpips(near, video) == pytest.approx(expected, rel=1e-4)
    assert lpips(video, video) == 0.0

"""Distance to the reference, frame by frame: PSNR, SSIM, LPIPS.

They mean something where the candidate keeps the reference's noise and trajectory (fidelity
`exact` and `faithful`); another good sample of the same request is far from the reference.
"""

import math

import numpy as np

from accel.metrics import PSNR_CAP, Array
from accel.metrics.lpips_net import distances
from accel.metrics.temporal import frame_ssim

__all__ = ["lpips", "psnr", "ssim"]


def psnr(video: Array, reference: Array) -> float:
    """Peak signal-to-noise ratio in dB for the range [0, 1], at most PSNR_CAP.

    video, reference: [T, H, W, 3]. From the mean square error of the whole video, which is one
    signal: the mean of the frames' values would let identical frames hide a broken one.
    """
    pairs = zip(video, reference, strict=True)
    errors = [np.square(a.astype(np.float64) - b).mean() for a, b in pairs]
    error = float(np.mean(errors))
    return min(PSNR_CAP, -10 * math.log10(error)) if error > 0 else PSNR_CAP


def ssim(video: Array, reference: Array) -> float:
    """Mean over the frames of SSIM to the reference, both [T, H, W, 3]; 1 is identical."""
    return float(np.mean([frame_ssim(a, b) for a, b in zip(video, reference, strict=True)]))


def lpips(video: Array, reference: Array) -> float:
    """Mean over the frames of LPIPS to the reference, both [T, H, W, 3]; 0 is identical.

    Raises MissingWeightsError when AlexNet was not fetched.
    """
    return float(distances(video, reference).mean())

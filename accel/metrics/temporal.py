"""Similarity of successive frames: tSSIM and tLPIPS. Neither has a good direction.

A frozen video scores best on both (1 and 0), and so do black frames; a healthy candidate scores
as its reference does. They are therefore gated two-sided, and read beside the motion metrics.
The definition (mean over pairs of adjacent frames) is common, the names are no standard.
SSIM: Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004. LPIPS: Zhang et al., CVPR 2018.
"""

from itertools import pairwise

import numpy as np
from skimage.metrics import structural_similarity

from accel.metrics import Array
from accel.metrics.lpips_net import distances

__all__ = ["SSIM_FINGERPRINT", "frame_ssim", "tlpips", "tssim"]

SSIM_FINGERPRINT = {"window": "gaussian 11x11, sigma 1.5", "range": "[0, 1]", "colour": "RGB mean"}


def frame_ssim(first: Array, second: Array) -> float:
    """SSIM of two frames [H, W, 3] in [0, 1]: Wang's window and weights, mean of the channels.

    scikit-image's own default is another window (7x7 uniform, sample covariance). In float64:
    the variances are differences of nearly equal numbers.
    """
    value = structural_similarity(  # type: ignore[no-untyped-call]
        first.astype(np.float64),
        second.astype(np.float64),
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def tssim(video: Array) -> float:
    """Mean SSIM of adjacent frames of a video [T, H, W, 3]; 1 is frozen."""
    return float(np.mean([frame_ssim(a, b) for a, b in pairwise(video)]))


def tlpips(video: Array) -> float:
    """Mean LPIPS of adjacent frames of a video [T, H, W, 3]; 0 is frozen.

    Raises MissingWeightsError when AlexNet was not fetched.
    """
    return float(distances(video[:-1], video[1:]).mean())

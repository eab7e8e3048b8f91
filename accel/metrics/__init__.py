"""The metrics of a video, by name. Importing this module imports neither torch nor OpenCV.

A video is float32 [T, H, W, 3], RGB, nominal range [0, 1], T >= 2; it may hold NaN or inf. The
input image is float32 [H, W, 3] in [0, 1]. Everything is computed on the CPU in the order of
METRICS, so that a score does not depend on the accelerator under test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["METRICS", "PSNR_CAP", "Array", "Metric", "fingerprint", "score"]

Array = npt.NDArray[np.float32]

PSNR_CAP = 100.0
"""dB: identical videos would be infinite, which JSON cannot hold and an average cannot use. A root
mean square error of 1e-5, a four-hundredth of an 8-bit step, is called identical."""


@dataclass(frozen=True)
class Metric:
    """One metric: where its function is, and how to read its number.

    target: "module:function". needs: what the function takes: "video" (video), "image" (video,
    image) or "reference" (video, reference). higher_is_better: None when both directions are
    suspicious (frame-to-frame similarity and motion have no good direction) or for a word.
    """

    name: str
    target: str
    unit: str
    higher_is_better: bool | None
    needs: Literal["video", "image", "reference"]

    def function(self) -> Callable[..., float | str]:
        """The function itself; imports its module."""
        module, name = self.target.split(":")
        function: Callable[..., float | str] = getattr(import_module(module), name)
        return function


_PX = "px/frame at 128 px"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("clip", "accel.metrics.clip:clip", "cosine", True, "image"),
        Metric("tssim", "accel.metrics.temporal:tssim", "SSIM", None, "video"),
        Metric("tlpips", "accel.metrics.temporal:tlpips", "LPIPS", None, "video"),
        Metric("psnr", "accel.metrics.fidelity:psnr", "dB", True, "reference"),
        Metric("ssim", "accel.metrics.fidelity:ssim", "SSIM", True, "reference"),
        Metric("lpips", "accel.metrics.fidelity:lpips", "LPIPS", False, "reference"),
        Metric("tof", "accel.metrics.motion:tof", _PX, False, "reference"),
        Metric("motion_amount", "accel.metrics.motion:motion_amount", _PX, None, "video"),
        Metric(
            "motion_amount_px", "accel.metrics.motion:motion_amount_px", "px/frame", None, "video"
        ),
        Metric("motion_ratio", "accel.metrics.motion:motion_ratio", "ratio", None, "reference"),
        Metric("motion_class", "accel.metrics.motion:motion_class", "class", None, "video"),
    )
}


def score(
    video: Array, image: Array, reference: Array | None = None, clip_model: str = "mini"
) -> dict[str, float | str]:
    """Every metric that the arguments allow, sanity first; ready for JSON.

    video, reference: [T, H, W, 3], the same shape. image: [H, W, 3], any size. clip_model: see
    accel.metrics.clip.load. Values outside [0, 1] are clipped before measuring, as they are when
    frames are written.

    "sanity" is "ok" or the defect and its measured value. A video with values that are not finite
    gets no other score: a missing score is never a pass. A black, flat or frozen one is scored,
    to show what the other metrics make of it.

    Raises InvalidRequestError for arrays that cannot be scored (among them a reference that is
    not finite), MissingWeightsError and UnknownNameError from the metric networks.
    """
    from accel.metrics.sanity import check_arrays, defect

    check_arrays(video, image, reference)
    found = defect(video, reference)
    scores: dict[str, float | str] = {"sanity": str(found) if found else "ok"}
    if found and found.kind == "nan":
        return scores
    video = np.clip(video, 0, 1)
    others = {"video": (), "image": (image,), "reference": ()}
    if reference is not None:
        others["reference"] = (np.clip(reference, 0, 1),)
    for metric in METRICS.values():
        if metric.needs == "reference" and reference is None:
            continue
        options = {"model": clip_model} if metric.name == "clip" else {}
        scores[metric.name] = metric.function()(video, *others[metric.needs], **options)
    return scores


def fingerprint(clip_model: str = "mini") -> dict[str, str]:
    """What the numbers were measured with: networks, weights, ranges, windows; for records.

    A weights value is the sha256 of the parameters in memory, so it does not change with the
    file that they came from. Loads the networks; raises as `score` does.
    """
    from accel.metrics import clip, lpips_net, motion, temporal

    return {
        **{f"clip.{key}": value for key, value in clip.fingerprint(clip_model).items()},
        **{f"lpips.{key}": value for key, value in lpips_net.fingerprint().items()},
        **{f"ssim.{key}": value for key, value in temporal.SSIM_FINGERPRINT.items()},
        **{f"motion.{key}": value for key, value in motion.FINGERPRINT.items()},
    }

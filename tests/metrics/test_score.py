"""The registry, `score` and `fingerprint`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accel.errors import InvalidRequestError
from accel.metrics import METRICS, Array, fingerprint, score

pytestmark = pytest.mark.usefixtures("alexnet")


def test_the_registry_imports_no_torch_and_no_opencv() -> None:
    code = "import sys, accel.metrics; print({'torch', 'cv2', 'skimage'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_its_name_and_its_function(name: str) -> None:
    assert METRICS[name].name == name
    assert callable(METRICS[name].function())


def test_a_video_with_its_reference_gets_every_score(
    near: Array, video: Array, tiny_clip: str
) -> None:
    scores = score(near, video[0], video, tiny_clip)
    assert list(scores) == ["sanity", *METRICS]
    assert scores["sanity"] == "ok"
    assert all(isinstance(value, str) or np.isfinite(value) for value in scores.values())
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_without_reference_the_paired_scores_are_left_out(video: Array, tiny_clip: str) -> None:
    scores = score(video, video[0], clip_model=tiny_clip)
    paired = {name for name, metric in METRICS.items() if metric.needs == "reference"}
    assert set(scores) == {"sanity"} | METRICS.keys() - paired


def test_two_equal_videos_have_the_best_scores(video: Array, tiny_clip: str) -> None:
    scores = score(video, video[0], video, tiny_clip)
    assert (scores["psnr"], scores["ssim"], scores["lpips"]) == (100.0, 1.0, 0.0)
    assert (scores["tof"], scores["motion_ratio"]) == (0.0, 1.0)


def test_a_video_that_is_not_finite_gets_no_other_score(video: Array, tiny_clip: str) -> None:
    broken = video.copy()
    broken[3, 5, 7, 1] = np.nan
    scores = score(broken, video[0], video, tiny_clip)
    assert list(scores) == ["sanity"]
    assert str(scores["sanity"]).startswith("nan: 1 of ")


def test_a_frozen_video_is_named_and_still_scored(video: Array, tiny_clip: str) -> None:
    scores = score(np.repeat(video[:1], len(video), axis=0), video[0], video, tiny_clip)
    assert str(scores["sanity"]).startswith("frozen: ")
    # What a gate on smoothness alone would call perfect.
    assert (scores["tssim"], scores["tlpips"]) == (1.0, 0.0)
    assert scores["motion_class"] == "static"
    assert float(scores["motion_ratio"]) < 0.1


def test_values_outside_the_range_are_clipped(video: Array, tiny_clip: str) -> None:
    stretched = video * 1.5 - 0.2
    expected = score(np.clip(stretched, 0, 1), video[0], clip_model=tiny_clip)
    assert score(stretched, video[0], clip_model=tiny_clip) == expected


def test_a_reference_of_another_shape_is_refused(video: Array, tiny_clip: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"\[13, 128, 128, 3\]"):
        score(video, video[0], video[:-1], tiny_clip)


def test_the_fingerprint_names_networks_weights_ranges_and_windows(tiny_clip: str) -> None:
    found = fingerprint(tiny_clip)
    assert found["lpips.network"] == "alex v0.1"
    assert found["lpips.range"] == "[-1, 1]"
    assert len(found["clip.weights"]) == len(found["lpips.weights"]) == 64
    assert found["ssim.window"] == "gaussian 11x11, sigma 1.5"
    assert found["motion.flow"] == "DIS MEDIUM"
    assert fingerprint(tiny_clip) == found

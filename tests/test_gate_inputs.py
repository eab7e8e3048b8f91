"""Gate 0 over many inputs: the interval of the mean difference, with images as its unit."""

import pytest

from accel.gate import judge
from tests.examples import QUALITY, failing, line_of, record

IMAGES = ("cat", "cup", "dog", "sea")


def over(clips, seeds=1, **changes):
    """A record whose CLIP similarity differs from the reference's by `clips`, image by image."""
    rows = [
        {
            "image": image,
            "digest": None,
            "seed": seed,
            "scores": {**QUALITY, "clip": 0.97 + difference},
            "reference": dict(QUALITY),
        }
        for image, difference in zip(IMAGES, clips, strict=True)
        for seed in range(seeds)
    ]
    return record({"inputs": len(rows)}, samples={"inputs": rows}, **changes)


@pytest.mark.parametrize(
    ("clips", "status"),
    [
        ((0.001, -0.001, 0.002, 0.0), None),
        ((0.05, 0.051, 0.049, 0.05), "regressed"),
        ((0.0, 0.04, 0.0, 0.03), "inconclusive"),
    ],
)
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_over_the_images(clips, status, seeds):
    found = over(clips, seeds)
    assert failing(judge(found, found)) == ({"clip": status} if status else {})


def test_an_interval_across_the_margin_says_how_many_images_more():
    found = over((0.0, 0.04, 0.0, 0.03))
    assert line_of(judge(found, found), "clip") == (
        "clip is +0.0175 (-0.006758 to +0.04176) from the reference's over 4 images; allowed: 0.02 "
        "apart; 731 more images may tell"
    )


def test_seeds_of_one_image_are_no_images():
    """One picture, four seeds: the mean is judged, for there is no spread over images."""
    found = over((0.001, 0.0, 0.0, 0.0))
    one = [{**row, "image": "cat", "seed": n} for n, row in enumerate(found.samples["inputs"])]
    verdict = judge(record({"inputs": 4}, samples={"inputs": one}), None)
    assert line_of(verdict, "clip") == "clip is 0.97, 0.97 in the reference; allowed: 0.02 apart"

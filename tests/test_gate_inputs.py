"""Gate 0 and claims over many inputs: the interval of the mean difference over the images."""

import pytest

from accel.core import Claim
from accel.gate import judge
from accel.methods import parse
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


@pytest.mark.parametrize("method", ["fewer_steps:15", "sampler:dpmpp,30", "guidance_interval"])
@pytest.mark.parametrize(
    ("clips", "status"),
    [
        ((0.03, 0.031, 0.029, 0.03), None),
        ((0.08, 0.081, 0.079, 0.08), "regressed"),
        ((0.0, 0.09, 0.0, 0.06), "inconclusive"),
    ],
)
def test_a_methods_own_margin_is_judged_by_the_interval_too(method, clips, status):
    """They claim 0.05; the mean of the last, 0.0375, is within it."""
    found = over(clips)
    claims = parse(method).claims(found.asked)
    told = [check for check in judge(found, found, claims).checks if check.metric == "clip"]
    assert told[0].status == (status or "pass")
    assert "over 4 images; claimed: 0.05 apart" in told[0].message
    assert ("more images may tell" in told[0].message) is (status == "inconclusive")
    assert not any("allowed: 0.02 apart" in check.message for check in told)


@pytest.mark.parametrize(
    "claim",
    [
        Claim("clip", at_least=-0.05, delta=True),
        Claim("clip", at_least=-0.1, at_most=0.05, delta=True),
        Claim("clip", at_least=0.5, at_most=1.0),
    ],
)
def test_a_bound_that_is_no_margin_is_judged_by_the_mean(claim):
    assert "images" not in line_of(judge(over((0.0, 0.09, 0.0, 0.06)), None, (claim,)), "clip")

"""The bounds that the mini models are held to, and the scenes that they are measured on."""

from math import isfinite, isnan, nan

import pytest
import torch

from accel.errors import InvalidRequestError
from accel.zoo import acceptance
from accel.zoo.acceptance import BOUNDS, _share, missed, order
from accel.zoo.held_out import held_out, load
from accel.zoo.scenes import STORIES
from accel.zoo.training import WEIGHTS

NEARLY = {
    name: least + 1e-9 if isfinite(least) else most - 1e-9 for name, (least, most) in BOUNDS.items()
}


def test_numbers_within_their_bounds_are_not_missed():
    assert missed(NEARLY | {"lpips_to_truth": 9.0}) == {}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_number_at_its_bound_is_missed(name):
    (bound,) = filter(isfinite, BOUNDS[name])
    for value in (bound, nan):
        assert list(missed(NEARLY | {name: value})) == [name]


def test_clips_that_nobody_could_judge_are_no_share():
    assert isnan(_share(["low-texture"] * 3, "static"))
    assert _share(["low-texture", "static", "smooth"], "static") == 0.5


def test_too_few_clips_have_no_interval():
    with pytest.raises(InvalidRequestError, match="--clips is 5; an interval needs at least 6"):
        order(None, 5)


def test_speed_is_that_of_all_steps_on_a_cpu(pipeline):
    threads = torch.get_num_threads()
    many, few = (acceptance.speed(pipeline, steps)["cpu_seconds"] for steps in (8, 1))
    assert many > 2 * few > 0
    assert torch.get_num_threads() == threads


def test_every_story_lies_over_a_pattern_and_over_a_photograph():
    clips = held_out(2 * len(STORIES), frames=2, bucket=127)
    assert sum("photograph" in caption for caption in clips.captions) == len(STORIES)
    assert set(clips.bucket.tolist()) == {127.0}
    assert set(clips.fps.tolist()) == {7.0}


@pytest.fixture(scope="module")
def pipeline():
    return load()


@pytest.mark.parametrize(
    "measure",
    [
        lambda pipeline: acceptance.zero_shot(WEIGHTS, torch.device("cpu")),
        lambda pipeline: acceptance.reconstruction(pipeline, 3),
        lambda pipeline: acceptance.truth(pipeline, 6, frames=7, steps=10),
        lambda pipeline: acceptance.order(pipeline, 6, frames=3),
        lambda pipeline: acceptance.obedience(pipeline, 8, steps=5),
        lambda pipeline: acceptance.stillness(pipeline, 2),
    ],
    ids=["zero_shot", "reconstruction", "truth", "order", "obedience", "stillness"],
)
def test_the_shipped_models(pipeline, measure):
    """By few clips, most of them short: the command takes 32 whole ones.

    The first frame repeated is no stand-in for a short clip, in which little moves.
    """
    numbers = measure(pipeline)
    assert set(missed(numbers)) <= {"lpips_below_first_frame_repeated"}

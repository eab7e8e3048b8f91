"""The bounds that the mini models are held to, and the scenes that they are measured on."""

import pytest

from accel.zoo.acceptance import BOUNDS, held_out, missed
from accel.zoo.scenes import STORIES

MIDDLE = {name: (least + most) / 2 for name, (least, most) in BOUNDS.items()}


def test_numbers_within_their_bounds_are_not_missed():
    assert missed(MIDDLE | {"lpips_to_truth": 9.0}) == {}


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("value", [-100.0, 100.0, float("nan")])
def test_a_number_outside_is_missed(name, value):
    assert list(missed(MIDDLE | {name: value})) == [name]


def test_every_story_lies_over_a_pattern_and_over_a_photograph():
    clips = held_out(2 * len(STORIES), frames=2, bucket=127)
    assert sum("photograph" in caption for caption in clips.captions) == len(STORIES)
    assert set(clips.bucket.tolist()) == {127.0}
    assert set(clips.fps.tolist()) == {7.0}

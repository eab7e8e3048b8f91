"""How well a speed-up is known, in words."""

import pytest

from accel.reading import precision

KNOWN = {
    "speedup": 2.31, "speedup_low": 2.28, "speedup_high": 2.35, "speedup_pairs": 10,
    "speedup_detectable": 1.0081,
}  # fmt: skip
SEEN = "a change of 0.81 % could have been seen"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, f" [2.28, 2.35], {SEEN}"),
        ({"speedup_pairs": 3}, f" [2.28, 2.35] of 3 pairs, {SEEN}"),
        ({"speedup_pairs": 1, "speedup_detectable": None}, " [2.28, 2.35] of 1 pair"),
        ({"speedup_detectable": 2.204}, " [2.28, 2.35], a change of 120 % could have been seen"),
        ({"speedup_low": None}, ""),
        ({"speedup_low": 1.0, "speedup_high": 1.0}, ""),
    ],
)
def test_the_interval_and_the_change_that_could_be_seen(changes, text):
    assert precision({**KNOWN, **changes}, "speedup") == text


def test_in_a_line_of_many_numbers_it_is_short():
    assert precision(KNOWN, "speedup", short=True) == " [2.28, 2.35] sees 0.81 %"


def test_no_other_metric_has_one():
    assert precision({"lpips": 0.1, "lpips_low": 0.0, "lpips_high": 0.2}, "lpips") == ""

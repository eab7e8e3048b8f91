import numpy as np
import pytest
from scipy import stats as scipy_stats

from accel.equivalence import by_image, equivalence
from accel.errors import InvalidRequestError


def answers(mean, deviation, images, runs=400, margin=0.02):
    rng = np.random.default_rng(0)
    found = [equivalence(rng.normal(mean, deviation, images).tolist(), margin) for _ in range(runs)]
    return [one.answer for one in found]


@pytest.mark.parametrize(
    ("differences", "answer"),
    [
        ([0.001, -0.001, 0.0, 0.002], "pass"),
        ([0.05, 0.051, 0.049, 0.052], "regressed"),
        ([-0.05, -0.051, -0.049, -0.052], "regressed"),
        ([0.018, 0.024, 0.015, 0.021], "inconclusive"),
    ],
)
def test_the_interval_and_the_margin(differences, answer):
    assert equivalence(differences, 0.02).answer == answer


def test_the_interval_is_students():
    values = np.random.default_rng(1).normal(0.01, 0.02, 9)
    found = equivalence(values.tolist(), 0.02)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.90)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(values.mean())


def test_it_is_the_two_one_sided_tests():
    """Inside the margin exactly where both reject at 5 %."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        values = rng.normal(rng.normal(0, 0.01), 0.02, 12)
        p = [
            scipy_stats.ttest_1samp(values, side, alternative=tail).pvalue
            for side, tail in ((-0.02, "greater"), (0.02, "less"))
        ]
        assert (equivalence(values.tolist(), 0.02).answer == "pass") == (max(p) < 0.05)


def test_at_the_margin_it_hardly_ever_passes_or_alarms():
    found = answers(0.02, 0.01, 16)
    assert found.count("pass") / len(found) <= 0.07
    assert found.count("regressed") / len(found) <= 0.07


def test_as_many_images_as_it_asks_for_are_enough():
    """With no difference: 90 % power, after it was inconclusive with 8."""
    asked = 8 + equivalence([0.03, -0.03, 0.02, -0.02, 0.03, -0.03, 0.02, -0.02], 0.01).more
    found = answers(0.0, 0.0272, asked, margin=0.01)
    assert found.count("pass") / len(found) >= 0.87


def test_seeds_of_one_image_are_averaged():
    rows = [("cat", 0.1), ("cup", 0.5), ("cat", 0.3), ("cup", 0.7)]
    assert by_image(rows) == pytest.approx([0.2, 0.6])


@pytest.mark.parametrize(("differences", "margin"), [([0.1], 0.02), ([], 0.02), ([0, 0], 0)])
def test_what_cannot_be_told(differences, margin):
    with pytest.raises(InvalidRequestError, match="give two or more"):
        equivalence(differences, margin)

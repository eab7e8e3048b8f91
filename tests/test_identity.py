"""What makes two records records of one thing: sets of pictures, and fields that came later."""

from dataclasses import replace

from accel.identity import incomparable
from tests.examples import record


def test_a_baseline_from_before_there_were_seeds_is_comparable():
    old = record()
    request = {name: value for name, value in old.request.items() if name != "seeds"}
    assert incomparable(record(), replace(old, request=request), "the baseline") == ""


def test_several_seeds_are_another_recipe():
    several = replace(record(), request={**record().request, "seeds": 4})
    assert "request.seeds 1 -> 4" in incomparable(several, record(), "the baseline")


def test_another_set_of_pictures_is_another_recipe():
    ours, theirs = (record(fingerprint={"image": digest}) for digest in ("a", "b"))
    assert "request.image b -> a" in incomparable(ours, theirs, "the baseline")

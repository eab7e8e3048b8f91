"""What makes two records of one thing: pictures, weights, and fields that came later."""

from dataclasses import dataclass, replace

import pytest

from accel.identity import incomparable, same_method
from accel.methods import parse
from tests.examples import record
from tests.planted import Planted


@dataclass(frozen=True)
class Grown(Planted):
    """A method that had one field when its baseline was written, and got another."""

    strict: bool = False


def named(text: str):
    return record(method=text, run={"modules": ["tests.test_identity"]})


def test_a_field_with_a_default_leaves_old_baselines_comparable():
    old, new = named("Grown(kind='late')"), named(repr(Grown("late")))
    assert old.method != new.method
    assert incomparable(new, old, "the baseline") == ""
    other = incomparable(named(repr(Grown("late", strict=True))), old, "the baseline")
    assert "method Grown(kind='late') -> Grown(kind='late', strict=True)" in other


def test_equal_values_are_equal_however_they_are_written():
    long = "Chain(methods=(Lcm(steps=4, guidance=1), TorchCompile()))"
    old, new = (record(method=text) for text in (long, repr(parse("lcm+torch_compile"))))
    assert old.method != new.method
    assert incomparable(new, old, "the baseline") == ""


@pytest.mark.parametrize("text", ["Gone(steps=15)", "FewerSteps(stride=2)", "FewerSteps(", ""])
def test_a_text_that_does_not_evaluate_is_equal_to_itself_alone(text):
    old = record(method=text)
    assert incomparable(replace(old), old, "the baseline") == ""
    assert f"method {text} -> FewerSteps(steps=15)" in incomparable(record(), old, "the baseline")


def test_a_record_is_of_a_method():
    assert same_method(record(), parse("fewer_steps:15"))
    assert not same_method(record(), parse("fewer_steps:14"))
    assert not same_method(record(method="Gone()"), parse("fewer_steps:15"))


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

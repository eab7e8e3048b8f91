"""Of many videos one that stands still is found, by name."""

import pytest

from accel.collapse import frozen_inputs
from accel.gate import judge
from accel.reading import broken
from tests.examples import failing, record


def row(seed, now, before="smooth", image="chelsea"):
    return {
        "image": image,
        "seed": seed,
        "scores": {"motion_class": now},
        "reference": {"motion_class": before},
    }


def of(*rows, count=None):
    return record({"inputs": len(rows) if count is None else count}, samples={"inputs": rows})


def test_one_frozen_video_of_many_collapses_and_is_named():
    found = of(row(0, "smooth"), row(1, "static"), row(2, "smooth"))
    (check,) = frozen_inputs(found)
    assert (check.family, check.status) == ("collapse", "collapsed")
    assert check.message == "the video is frozen, and the reference's moves: chelsea, seed 1"
    assert judge(found, None).status == "collapsed"


def test_several_are_counted():
    (check,) = frozen_inputs(of(row(0, "static"), row(1, "smooth"), row(2, "static")))
    assert check.message.endswith("chelsea, seed 0, and 1 more of 3 inputs")


@pytest.mark.parametrize("before", ["static", "flicker", "low-texture"])
def test_a_reference_that_does_not_move_freezes_nothing(before):
    (check,) = frozen_inputs(of(row(0, "smooth"), row(1, "static", before)))
    assert check.status == "pass"


def test_rows_that_are_not_there_were_not_looked_at():
    (check,) = frozen_inputs(of(row(0, "smooth"), count=32))
    assert (check.status, check.message) == (
        "missing", "the record has the scores of 1 of 32 inputs",
    )  # fmt: skip


def test_one_input_is_judged_by_its_own_class_alone():
    assert not list(frozen_inputs(record()))
    assert "motion_class.inputs" not in failing(judge(record(), None))


def test_a_defect_is_the_word_of_sanity():
    assert broken({"sanity": "ok"}) == broken({}) == ""
    assert broken({"sanity": "chelsea, seed 1: black"}) == "chelsea, seed 1: black"

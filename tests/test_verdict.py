import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.verdict import EXIT_CODES, SEVERITY, Check, Verdict, as_expected, exit_code, worst
from tests.examples import record

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=50)
RECORD = record()


def test_every_status_is_known_to_the_exit_code():
    assert set(SEVERITY) == set(EXIT_CODES)


@repeatable
@given(st.lists(st.sampled_from(SEVERITY), min_size=1))
def test_the_worst_status_wins(statuses):
    checks = tuple(Check("speed", "speedup", status, "") for status in statuses)
    verdict = Verdict(RECORD, checks)
    assert verdict.status == next(status for status in SEVERITY if status in statuses)
    assert worst(checks[::-1]) == verdict.status


@pytest.mark.parametrize(
    ("statuses", "code", "allowed"),
    [
        (("pass", "improved"), 0, 0),
        (("pass", "as expected"), 0, 0),
        (("pass", "inconclusive"), 3, 0),
        (("incomparable",), 3, 0),
        (("missing", "regressed"), 1, 1),
        (("collapsed",), 1, 1),
        ((), 3, 3),
    ],
)
def test_exit_codes(statuses, code, allowed):
    verdicts = [Verdict(RECORD, (Check("speed", "x", status, ""),)) for status in statuses]
    assert exit_code(verdicts) == code
    assert exit_code(verdicts, allow_inconclusive=True) == allowed


def test_a_verdict_without_checks_is_missing():
    assert Verdict(RECORD, ()).status == "missing"


@repeatable
@given(
    st.lists(st.sampled_from(SEVERITY), min_size=1),
    st.lists(st.sampled_from(SEVERITY)),
    st.sampled_from([("regressed",), ("collapsed",), ("collapsed", "regressed")]),
)
def test_what_must_fail_fails_as_declared_or_not_at_all(video, other, must_fail):
    checks = [Check("quality", "clip", status, "x") for status in video]
    others = [Check("speed", "speedup", status, "x") for status in other]
    found = as_expected([*checks, *others], must_fail)
    assert [check for check in found if check.family == "speed"] == others
    of_video = worst(check for check in found if check.family != "speed")
    if worst(checks) in must_fail:
        assert of_video not in ("collapsed", "regressed")
        assert "as expected" in {check.status for check in found}
    else:
        assert found[-1].message == (
            f"quality is {worst(checks)}; of this method it must be {' or '.join(must_fail)}"
        )
        assert of_video in ("collapsed", "regressed")

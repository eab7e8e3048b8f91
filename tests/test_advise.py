"""Which method is advised: the front, the goals, the bounds, and what is left out and why."""

from dataclasses import replace
from pathlib import Path

import pytest

from accel.__main__ import main
from accel.advise import GOALS, Bounds, advise, front, judged, render
from accel.core import Claim
from accel.errors import BaselineError, InvalidRequestError, UnknownNameError
from accel.gate import judge
from tests.examples import record

BASELINES = Path(__file__).parent.parent / "baselines"
H200 = BASELINES / "nvidia-h200"


def verdict(name, speedup, process, lpips, fidelity="faithful", **metrics):
    """The verdict of a healthy method with these numbers, by itself."""
    numbers = {"speedup": speedup, "memory.peak.process_mib": process, "lpips": lpips, **metrics}
    own = replace(record(numbers, fidelity=fidelity), case=f"{name}@128x128x14-s25")
    return judge(own, own, (Claim("lpips", at_most=1.0),))


SLOW = verdict("slow", 1.1, 900.0, 0.001)
SMALL = verdict("small", 1.0, 400.0, 0.002)
QUICK = verdict("quick", 3.0, 1000.0, 0.15)
MIDDLE = verdict("middle", 2.0, 1000.0, 0.02)
OTHER = verdict("other", 9.0, 1000.0, 0.3, fidelity="new_sample")
BEATEN = verdict("beaten", 1.05, 950.0, 0.01)
ALL = (SLOW, SMALL, QUICK, MIDDLE, OTHER, BEATEN)


@pytest.mark.parametrize(
    ("goal", "name"),
    [("latency", "quick"), ("preview", "other"), ("memory", "small"), ("balance", "middle")],
)
def test_each_goal_has_its_own_choice(goal, name):
    advice = advise(ALL, goal)
    assert advice.choice.name == name
    assert advice.reason.startswith(f"{name}: ")


def test_the_front_holds_what_nothing_beats_fastest_first():
    advice = advise(ALL, "latency")
    assert [one.name for one in advice.front] == ["other", "quick", "middle", "slow", "small"]


def test_equal_methods_are_both_on_the_front():
    twin = verdict("twin", 1.1, 900.0, 0.001)
    assert {one.name for one in advise([SLOW, twin], "memory").front} == {"slow", "twin"}
    assert front([]) == ()


@pytest.mark.parametrize("goal", GOALS)
def test_a_method_whose_gate_failed_is_never_advised(goal):
    broken = verdict("broken", 99.0, 1.0, 0.0, motion_class="static", sanity="black: mean 0.001")
    advice = advise([SLOW, broken], goal)
    assert advice.choice.name == "slow"
    assert advice.left_out["broken"].startswith("its gate says collapsed: collapsed: this is no")


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        (Bounds(max_vram=0.5), "takes 1000 MiB, over 0.5 GiB"),
        (Bounds(quality={"lpips": 0.1}), "lpips is 0.15, above 0.1"),
        (Bounds(quality={"psnr": 60.0}), "psnr is 48.5 dB, below 60 dB"),
    ],
)
def test_a_bound_that_is_broken_is_named(bounds, reason):
    assert advise([QUICK], "latency", bounds).left_out == {"quick": reason}


def test_nothing_left_is_said():
    advice = advise(ALL, "latency", Bounds(max_vram=0.1))
    assert advice.choice is None
    assert "no measured method" in render(advice)


def test_other_samples_alone_are_said_to_be_for_a_preview():
    advice = advise([OTHER], "latency")
    assert advice.choice is None
    assert [one.name for one in advice.front] == ["other"]
    assert "another sample are left (other); --goal preview takes them" in advice.reason


def test_the_reference_keeps_every_bound_of_distance():
    own = replace(
        record({"lpips": None, "psnr": None, "speedup": 1.0}), case="reference@128x128x14-s25"
    )
    advice = advise([judge(own, own)], "balance", Bounds(quality={"lpips": 0.0, "psnr": 99.0}))
    assert advice.choice.name == "reference"


def test_an_unknown_metric_is_refused():
    with pytest.raises(InvalidRequestError, match="--min-quality fvd: give one of psnr"):
        Bounds(quality={"fvd": 1.0})


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--max-vram", "nan"], "--max-vram nan: give GiB, a finite number above 0"),
        (["--max-vram", "0"], "--max-vram 0: give GiB"),
        (["--min-quality", "lpips=nan"], "--min-quality lpips=nan: give a finite number"),
        (["--min-quality", "psnr=inf"], "--min-quality psnr=inf: give a finite number"),
    ],
)
def test_a_bound_that_bounds_nothing_is_refused(words, error, capsys):
    assert main(["advise", str(H200 / "svd.mini"), "--goal", "latency", *words]) == 2
    assert error in capsys.readouterr().err


def test_bounds_that_are_given_apart_all_hold(monkeypatch, capsys):
    monkeypatch.chdir(BASELINES.parent)
    words = ["--min-quality", "lpips=0", "--min-quality", "psnr=30", "ssim=0.5"]
    main(["advise", str(H200 / "svd.mini"), "--goal", "latency", *words])
    assert "fewer_steps-15: lpips is" in capsys.readouterr().out


def test_untrained_weights_take_their_quality_from_others():
    found = judged(H200 / "svd-xt.untrained", BASELINES)
    with pytest.raises(InvalidRequestError, match="by --quality"):
        advise(found, "balance")
    advice = advise(found, "balance", stand_ins=judged(H200 / "svd.mini", BASELINES))
    assert advice.choice.lpips is not None


def test_where_others_are_judged_a_method_that_is_not_cannot_win():
    untrained = [
        replace(record({"speedup": times, "lpips": None}, group="svd.untrained"), case=f"{name}@x")
        for name, times in (("good", 2.0), ("unknown", 9.0))
    ]
    found = [judge(one, one) for one in untrained]
    assert advise(found, "latency").choice.name == "unknown"
    advice = advise(found, "balance", stand_ins=[verdict("good", 1.0, 10.0, 0.01)])
    assert [one.name for one in advice.front] == ["good"]
    assert advice.left_out["unknown"].startswith("its quality is not known: --quality holds no")


def test_a_failed_gate_of_the_stand_in_counts():
    own = replace(record(group="svd.untrained"), case="quick@576x1024x25-s25")
    found = judge(own, own)
    assert advise([found], "latency").choice.name == "quick"
    broken = verdict("quick", 1.0, 10.0, 0.0, sanity="grey: std 0.002")
    advice = advise([found], "latency", stand_ins=[broken])
    assert advice.choice is None
    assert "grey" in advice.left_out["quick"]


def test_a_known_ruin_that_nobody_judged_is_left_out():
    ruin = replace(
        record(group="svd.untrained"),
        case="semi_structured@576x1024x25-s25",
        method="SemiStructured()",
    )
    advice = advise([judge(ruin, ruin)], "memory")
    assert advice.choice is None
    assert "known to ruin videos (collapsed or regressed)" in render(advice)
    stand_in = verdict("semi_structured", 1.0, 10.0, 0.01)
    assert advise([judge(ruin, ruin)], "memory", stand_ins=[stand_in]).choice is not None


def test_one_request_at_a_time():
    folder = H200 / "svd-xt.untrained"
    most, few = judged(folder, BASELINES), judged(folder, BASELINES, "576x1024x25-s4")
    assert {v.record.case.partition("@")[2] for v in most} == {"576x1024x25-s25"}
    assert {v.record.case.partition("@")[2] for v in few} == {"576x1024x25-s4"}
    with pytest.raises(UnknownNameError, match="did you mean '576x1024x25-s4'"):
        judged(folder, BASELINES, "576x1024x25-s24")


def test_a_folder_without_records(tmp_path):
    with pytest.raises(BaselineError, match="give a run folder, or one like baselines/"):
        judged(tmp_path, BASELINES)


def test_the_command(capsys, monkeypatch):
    monkeypatch.chdir(BASELINES.parent)
    folder = str(H200 / "svd-xt.untrained")
    assert main(["advise", folder, "--goal", "latency"]) == 0
    assert "Pareto front" in capsys.readouterr().out
    assert main(["advise", folder, "--goal", "memory", "--max-vram", "1"]) == 1
    assert "over 1 GiB" in capsys.readouterr().out


@pytest.mark.parametrize("bound", ["lpips", "lpips=low"])
def test_a_bound_that_is_no_number_is_a_bad_argument(bound, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["advise", ".", "--goal", "latency", "--min-quality", bound])
    assert stop.value.code == 2
    assert f"{bound!r} is not METRIC=VALUE, as lpips=0.05" in capsys.readouterr().err

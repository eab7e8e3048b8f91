import pytest

from accel.baselines import location, write, write_file
from accel.compare import compare_runs, compare_to_baselines, exit_code, read_run, render
from accel.core import Claim
from accel.errors import BaselineError
from tests.examples import QUALITY, FewerSteps, record

BLACK = {**dict.fromkeys(QUALITY), "sanity": "black: mean 0.001, below 0.02"}


class Claiming(FewerSteps):
    def claims(self, request):
        return (Claim("psnr", at_least=40),)


def method_of(record):
    assert record.method == "FewerSteps(steps=15)"
    return Claiming()


def run_of(folder, *records):
    """A run folder with these records."""
    for one in records:
        write_file(one, location(folder, "records", one.group, one.case))
    return folder


def named(case, metrics=None, **changes):
    return record(metrics, case=f"{case}@128x128x14-s15", **changes)


def test_a_run_against_its_baselines(tmp_path):
    root = tmp_path / "baselines"
    write(record(), root)
    run = run_of(tmp_path / "run", record())
    verdicts = compare_to_baselines(run, root, method_of)
    assert [verdict.status for verdict in verdicts] == ["pass"]
    assert "claimed: at least 40 dB" in verdicts[0].checks[1].message
    assert exit_code(verdicts) == 0


def test_a_broken_promise_counts_without_any_baseline(tmp_path):
    run = run_of(tmp_path / "run", record({"psnr": 30.0}))
    verdicts = compare_to_baselines(run, tmp_path / "baselines", method_of)
    assert (verdicts[0].status, exit_code(verdicts)) == ("regressed", 1)


def test_a_missing_baseline_is_no_success(tmp_path):
    run = run_of(tmp_path / "run", record())
    verdicts = compare_to_baselines(run, tmp_path / "baselines", method_of)
    assert (verdicts[0].status, exit_code(verdicts)) == ("missing", 3)


def test_the_baseline_of_another_gpu_is_not_taken(tmp_path):
    write(record(hardware="nvidia-h100"), tmp_path)
    run = run_of(tmp_path / "run", record())
    assert compare_to_baselines(run, tmp_path, method_of)[0].status == "missing"


def test_a_record_in_the_place_of_another_is_incomparable(tmp_path):
    other = record(hardware="nvidia-h100")
    write_file(other, location(tmp_path, "nvidia-h200", other.group, other.case))
    run = run_of(tmp_path / "run", record())
    assert compare_to_baselines(run, tmp_path, method_of)[0].status == "incomparable"


def test_two_runs_case_by_case(tmp_path):
    old = run_of(tmp_path / "old", named("same"), named("slower"), named("gone"))
    new = run_of(tmp_path / "new", named("same"), named("slower", {"speedup": 1.0}), named("new"))
    verdicts = compare_runs(old, new, method_of)
    assert {v.record.case.partition("@")[0]: v.status for v in verdicts} == {
        "gone": "missing",
        "new": "missing",
        "same": "pass",
        "slower": "regressed",
    }
    assert [v.lines for v in verdicts if "@" in v.case and v.status == "missing"] == [
        (f"missing: no such case in {new}",),
        (f"missing: no such case in {old}",),
    ]


@pytest.mark.parametrize("make", [lambda f: None, lambda f: (f / "records").mkdir(parents=True)])
def test_an_empty_folder_is_an_error(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(BaselineError, match=r"no records in .*run/records; give the folder"):
        read_run(tmp_path / "run")


def test_a_broken_record_says_to_run_the_case_again(tmp_path):
    run = run_of(tmp_path, record())
    (run / "records" / "half.json").write_text('{"case": "fe')
    with pytest.raises(BaselineError, match=r"half\.json: not JSON .* run its case again"):
        read_run(run)


def test_one_case_twice_is_an_error(tmp_path):
    run = run_of(tmp_path, record())
    write_file(record(), run / "records" / "copy.json")
    with pytest.raises(BaselineError, match="is there twice"):
        read_run(run)


@pytest.fixture
def verdicts(tmp_path):
    old = [named(name) for name in ("black", "frozen", "lost", "recount", "same", "slow", "win")]
    new = [
        named("black", BLACK),
        named("frozen", {"motion_class": "static", "motion_ratio": 0.01, "motion_amount": 0.01}),
        named("lost", {"lpips": None, "clip": None}),
        named("recount", counters={"denoiser_calls": 25, "graph_breaks": 0}),
        named("same"),
        named("slow", {"speedup": 1.1, "memory.denoise.allocated_mib": 400.0}),
        named("win", {"speedup": 2.0}),
    ]
    return compare_runs(run_of(tmp_path / "old", *old), run_of(tmp_path / "new", *new), method_of)


def test_the_report(verdicts, snapshot):
    assert render(verdicts) == snapshot


def test_the_verbose_report_shows_every_check(verdicts, snapshot):
    same = [verdict for verdict in verdicts if verdict.status == "pass"]
    assert render(same, verbose=True) == snapshot


def test_the_report_joins_what_several_families_miss(tmp_path, snapshot):
    run = run_of(tmp_path / "run", record())
    assert render(compare_to_baselines(run, tmp_path / "none", method_of)) == snapshot


def test_the_report_of_nothing():
    assert render([]) == "0 cases: none judged"


def test_many_inputs_show_mean_and_spread(tmp_path):
    many = {"inputs": 32, "lpips_sd": 0.004, "motion_class_share": 0.75}
    run = run_of(tmp_path / "run", record(many))
    text = render(compare_to_baselines(run, tmp_path, method_of))
    assert "lpips 0.01 ± 0.004" in text
    assert "motion_class smooth in 75 %" in text

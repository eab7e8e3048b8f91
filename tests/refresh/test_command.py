"""`accel refresh` from the command line to the files, of runs that are made up."""

from dataclasses import replace

import pytest

from accel.__main__ import main
from accel.baselines import find, read, write_file
from accel.limits import LIMITS
from accel.prove.costs import Slower
from accel.prove.proof import Evidence
from accel.refresh import proof
from tests.asking import CASE, GROUP, REFERENCE, committed, record_path
from tests.examples import changed, record

REPEAT = "repeat-2"


@pytest.fixture
def run(tmp_path):
    """A finished run of two equal repeats, made up, of a clean tree."""
    for folder in (tmp_path / "run", tmp_path / "run" / REPEAT):
        write_file(healthy(), record_path(folder))
    return committed(tmp_path / "run")


def healthy():
    """Of a GPU that was watched; its time is judged."""
    samples = {"candidate": [{"telemetry": {"throttle": []}}], "reference": []}
    found = record(case=CASE, group=GROUP, method="FewerSteps(steps=2)", samples=samples)
    return replace(found, request={**found.request, "frames": 7, "steps": 3})


def edit(folder, **metrics):
    """Replace some metrics of a repeat."""
    found = read(record_path(folder))
    write_file(replace(found, metrics=changed(found.metrics, metrics)), record_path(folder))


def refresh(run, *more):
    where = ["--from", str(run), "--baselines", str(run.parent / "accepted")]
    return main(["refresh", "svd", *where, *more])


def refused(run, capsys, *more):
    """The refusal of a run; nothing is written."""
    before = {path: path.read_bytes() for path in run.parent.glob("accepted/**/*.json")}
    capsys.readouterr()
    assert refresh(run, *more) == 2
    line = capsys.readouterr().err
    assert line.startswith("accel: RefusedError: ")
    assert line.count("\n") == 1
    after = {path: path.read_bytes() for path in run.parent.glob("accepted/**/*.json")}
    assert after == before
    return line


def accepted(run):
    return find(run.parent / "accepted", "nvidia-h200", GROUP, CASE)


def test_repeats_are_those_of_the_run(run, capsys):
    assert refresh(run, "--repeats", "2") == 2
    assert "leave out --repeats" in capsys.readouterr().err


# accepted


def test_a_first_baseline_and_the_same_again(run, capsys):
    assert refresh(run) == 0
    printed = capsys.readouterr().out
    assert f"{GROUP}/{CASE}: no baseline before\n" in printed
    assert "    calibrated over 2 repeats\n" in printed
    assert "planted defects: not run, for no limit is wider than those of" in printed
    assert printed.count("wrote ") == 1
    assert refresh(run) == 0
    printed = capsys.readouterr().out
    assert f"{GROUP}/{CASE}: pass against the old baseline\n    speedup 1.5x  peak" in printed


def test_one_repeat_is_not_calibrated(run, capsys):
    for path in (run / REPEAT).rglob("*.json"):
        path.unlink()
    (run / REPEAT / "records" / GROUP).rmdir()
    (run / REPEAT / "records").rmdir()
    (run / REPEAT).rmdir()
    assert refresh(run) == 0
    assert "not calibrated: one repeat tells no spread" in capsys.readouterr().out
    assert accepted(run).run["calibration"] == {"repeats": 1}


# refused


def test_a_dirty_record(run, capsys):
    found = read(record_path(run / REPEAT))
    git = {"commit": "d" * 40, "dirty": True}
    dirty = replace(found, fingerprint={**found.fingerprint, "git": git})
    write_file(dirty, record_path(run / REPEAT))
    assert "changes that are not in commit dddddddddddd; commit or stash" in refused(run, capsys)


@pytest.mark.parametrize(
    ("telemetry", "message"),
    [
        ({"throttle": ["software_thermal"]}, "slowed down: software_thermal"),
        ({"throttle": [], "foreign_processes": 1.0}, "1 foreign processes were on the GPU"),
    ],
)
def test_a_hot_or_shared_gpu(run, capsys, telemetry, message):
    found = read(record_path(run / REPEAT))
    samples = {**found.samples, "candidate": [{"telemetry": telemetry}]}
    write_file(replace(found, samples=samples), record_path(run / REPEAT))
    assert message in refused(run, capsys)


def test_an_incoherent_batch(run, capsys):
    edit(run / REPEAT, **{"memory.peak.allocated_mib": 400.0})
    assert "peak.allocated_mib is 300 MiB in repeat 1, and 350 MiB" in refused(run, capsys)


def test_a_repeat_without_a_case(run, capsys):
    other = replace(read(record_path(run / REPEAT)), case=REFERENCE)
    record_path(run / REPEAT).unlink()
    write_file(other, record_path(run / REPEAT, REFERENCE))
    assert f"has no record of {GROUP}/{CASE}; end the run" in refused(run, capsys)


@pytest.mark.parametrize("of", ["", REPEAT])
def test_a_run_that_ended_before_its_last_repeat_is_no_smaller_one(of, run, capsys):
    found = read(record_path(run / of))
    write_file(replace(found, run={**found.run, "repeats": 3}), record_path(run / of))
    assert "run has 2 of 3 repeats; end the run with its own `accel" in refused(run, capsys)


def test_a_case_of_a_later_repeat_alone_is_not_passed_over(run, capsys):
    other = replace(healthy(), case=REFERENCE)
    write_file(other, record_path(run / REPEAT).with_stem(REFERENCE))
    assert f"run has no record of {GROUP}/{REFERENCE}; end the run" in refused(run, capsys)


def test_a_failed_cold_start_is_no_baseline(run, capsys):
    found = read(record_path(run / REPEAT))
    failed = {**found.samples, "cold": {"error": "OutOfMemoryError: none left"}}
    write_file(replace(found, samples=failed), record_path(run / REPEAT))
    assert refresh(run) == 1
    assert (
        "no baseline: a cold start failed: OutOfMemoryError: none left" in capsys.readouterr().err
    )


def test_a_worse_baseline_needs_a_reason(run, capsys):
    assert refresh(run) == 0
    for folder in (run, run / REPEAT):
        edit(folder, speedup=1.4)
    line = refused(run, capsys)
    assert f"looser than before: {CASE}: regressed: speedup is 1.4x [" in line
    assert ", was 1.5x in the old" in line
    assert "accept it with --reason TEXT" in line
    assert refresh(run, "--reason", "another allocator") == 0
    assert "    reason: another allocator\n" in capsys.readouterr().out
    assert accepted(run).metrics["speedup"] == 1.4
    assert accepted(run).run["calibration"]["reason"] == "another allocator"
    assert refresh(run) == 0
    assert "reason" not in accepted(run).run["calibration"], "nothing is looser any more"


def evidence(run, slowdown):
    """Of one defect, which takes so much longer."""
    host = replace(read(record_path(run)), fidelity="exact", case=REFERENCE)
    host = replace(host, metrics={**host.metrics, "psnr": 100.0})
    slow = {**host.metrics, "speedup": 1.5 / slowdown}
    return Evidence({Slower.host: host}, {Slower(): replace(host, metrics=slow)})


@pytest.fixture
def spread(run, monkeypatch):
    """Speed-ups whose spread tells of a tolerance above the table's, and defects of 5 % or 20 %."""

    def prepare(slowdown):
        edit(run / REPEAT, speedup=1.503)
        found = evidence(run, slowdown)
        monkeypatch.setattr(proof, "measure", lambda bench, case, repeats: found)

    return prepare


def test_a_wider_limit_needs_a_reason_and_keeps_it(run, spread, capsys):
    spread(slowdown=1.2)
    assert "limit of speedup: 3.0 % -> " in refused(run, capsys)
    assert refresh(run, "--reason", "a noisy host") == 0
    printed = capsys.readouterr().out
    assert "planted defects: all are caught under the limits of 1 case(s)" in printed
    assert accepted(run).run["calibration"]["tolerances"]["speedup"] > LIMITS[0].absolute
    assert refresh(run) == 0, "the same limit again is not looser"
    assert accepted(run).run["calibration"]["reason"] == "a noisy host"
    assert main(["compare", str(run / REPEAT), "--baselines", str(run.parent / "accepted")]) == 0


def test_a_limit_that_lets_a_defect_pass(run, spread, capsys):
    """5 % of sleep; a reason does not help."""
    spread(slowdown=1.05)
    line = refused(run, capsys, "--reason", "a noisy host")
    assert "let a planted defect pass: slower by speed: speedup (in the baseline)" in line
    assert "(calibrated)" in line


def test_what_cannot_be_written_is_told_before_the_first_is(run, monkeypatch, capsys):
    other = replace(read(record_path(run)), case="zzz@128x128x7-s3")
    for folder in (run, run / REPEAT):
        write_file(replace(other, case=other.case), record_path(folder, other.case))

    def cannot(found):
        if found.case == other.case:
            raise OSError("no room")

    monkeypatch.setattr("accel.baselines.dumps", cannot)
    assert refresh(run) == 4
    assert accepted(run) is None

"""`accel refresh` from the command line to the files, with workers in this process."""

import json
from dataclasses import replace

import pytest

from accel.__main__ import main
from accel.baselines import find, read, write_file
from accel.limits import LIMITS
from accel.prove.costs import Slower
from accel.prove.proof import Evidence
from accel.refresh import proof
from tests.asking import CASE, GROUP, REFERENCE, asked, committed, record_path
from tests.examples import changed, record
from tests.local_worker import LocalWorker

REPEAT = "repeat-2"


@pytest.fixture(scope="module")
def finished(tiny_folder, tmp_path_factory):
    """Two repeats, and the baselines that they became; read only.

    The workers share the test's process, so that their memory is made up.
    """
    folder = tmp_path_factory.mktemp("refreshed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.memory.RssMeter.read", lambda meter: {"rss_mib": 500.0})
        patch.setattr("accel.measure.in_use", lambda device: 400.0)
        patch.setattr("accel.launch.Worker", LocalWorker)
        patch.setattr("accel.environment.checkout", lambda: None)
        patch.setattr("accel.environment.is_installed", lambda: True)
        words = asked(tiny_folder, folder / "run", "--repeats", "2", command="refresh")
        assert main(words) == 0
    return folder


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


# measured


def test_each_repeat_is_a_run_folder(finished):
    for folder in (finished / "run", finished / "run" / REPEAT):
        assert {p.stem for p in folder.glob(f"records/{GROUP}/*")} == {CASE, REFERENCE}
    runs = [read(record_path(folder)).run["run"] for folder in finished.glob("run")]
    assert len({*runs, read(record_path(finished / "run" / REPEAT)).run["run"]}) == 2


def test_the_baseline_has_its_spread_and_its_provenance(finished):
    found = find(finished / "baselines", "cpu", GROUP, CASE)
    calibration = found.run["calibration"]
    assert calibration["repeats"] == found.run["repeats"] == 2
    assert "memory.peak.rss_mib" in calibration["tolerances"]
    assert calibration["tolerances"]["lpips"] == 0, "equal seeds give equal videos"
    assert "speedup" not in calibration["tolerances"], "time is not judged on a CPU"
    assert found.run["command"].startswith("accel refresh svd --weights pretrained --path tiny")
    assert found.run["accepted"]["command"] == found.run["command"]
    assert found.run["accepted"]["date"].startswith(found.run["run"][:4])
    assert len(found.fingerprint["source"]) == 64
    assert str(finished.parent) not in json.dumps(found.run)


def test_what_was_measured_is_not_measured_again(finished, tiny_folder, no_worker, monkeypatch):
    monkeypatch.setattr("accel.environment.checkout", lambda: None)
    monkeypatch.setattr("accel.environment.is_installed", lambda: True)
    words = asked(tiny_folder, finished / "run", "--repeats", "2", command="refresh")
    assert main(words) == 0
    assert main(["compare", str(finished / "run"), "--baselines", str(finished / "baselines")]) == 0


def test_a_copy_without_git_measures_and_a_checkout_accepts(
    finished, tiny_folder, no_worker, monkeypatch, tmp_path, capsys
):
    other = ["--baselines", str(tmp_path / "accepted")]
    words = asked(tiny_folder, finished / "run", "--repeats", "2", command="refresh")
    monkeypatch.setattr("accel.environment.checkout", lambda: None)
    assert main([*words, *other]) == 2
    assert "this tree is no checkout either; accept it with --from" in capsys.readouterr().err
    assert not (tmp_path / "accepted").exists()
    commit = {"commit": "c" * 40, "dirty": False}
    monkeypatch.setattr("accel.environment.checkout", lambda: commit)
    assert main(["refresh", "svd", "--from", str(finished / "run"), *other]) == 0
    assert find(tmp_path / "accepted", "cpu", GROUP, CASE).fingerprint["git"] == commit


def test_a_dirty_tree_measures_nothing(tiny_folder, tmp_path, no_worker, monkeypatch, capsys):
    dirty = {"commit": "c" * 40, "dirty": True}
    monkeypatch.setattr("accel.environment.checkout", lambda: dirty)
    assert main(asked(tiny_folder, tmp_path / "run", command="refresh")) == 2
    assert "commit or stash them first" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--repeats", "0"), "--repeats is 0; it must be at least 1"),
        (("--reason", " "), "--reason is empty; say why"),
    ],
)
def test_a_bad_value(tiny_folder, tmp_path, no_worker, clean_tree, capsys, words, message):
    assert main(asked(tiny_folder, tmp_path / "run", *words, command="refresh")) == 2
    assert message in capsys.readouterr().err


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
    assert "limit of speedup: 4.1 % -> " in refused(run, capsys)
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

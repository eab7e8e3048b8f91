"""`accel refresh` measures repeats into run folders, with workers in this process."""

import json

import pytest

from accel.__main__ import main
from accel.baselines import find, read
from tests.asking import CASE, GROUP, REFERENCE, asked, record_path
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

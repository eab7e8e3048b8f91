"""The table of a baseline's history: what changed, by how much, and why."""

from dataclasses import replace

import pytest

from accel import baselines
from accel.__main__ import main
from accel.core import Case
from accel.errors import InvalidRequestError
from accel.history import Point
from accel.methods import parse
from accel.models import default_request
from accel.report.tables import ABSENT
from accel.report.trend import chosen, trend
from tests.examples import on_cpu, record
from tests.test_history import commit, git


def row(table, index):
    """A row's cells by their headings."""
    return dict(zip(table.headings, table.rows[index], strict=True))


def point(commit, found, problem=""):
    return Point(commit, "2026-01-01", found, problem)


def test_a_cell_shows_the_change_to_the_row_before():
    changed = record({"speedup": 1.62, "clip": 0.97, "lpips": 0.0205, "motion_class": "jerky"})
    torch = replace(changed, fingerprint={"versions": {"torch": "2.15.0"}})
    table = trend("title", [point("a1", record()), point("b2", torch)])
    assert table.title == "title"
    assert row(table, 0)["Speed-up vs M0, x"] == "1.50"
    assert row(table, 1) == {
        "Commit": "b2",
        "Date": "2026-01-01",
        "Speed-up vs M0, x": "1.62 (+0.12)",
        "Peak VRAM allocated, MiB": "300",
        "CLIP similarity": "0.970",
        "tSSIM": "0.720",
        "tLPIPS": "0.160",
        "LPIPS to M0": "0.0205 (+0.0105)",
        "Motion class": "jerky (was smooth)",
        "torch": "2.15.0",
    }


def test_a_row_that_cannot_be_read_says_so_and_is_passed_over():
    points = [point("a1", record()), point("b2", None, "not readable: schema 0 found")]
    table = trend("", [*points, point("c3", record({"clip": 0.95}))])
    assert row(table, 1)["Note"] == "not readable: schema 0 found"
    assert set(table.rows[1][2:-1]) == {ABSENT}
    assert row(table, 2)["CLIP similarity"] == "0.950 (-0.020)"


def test_a_metric_that_came_or_went_has_no_change():
    table = trend("", [point("a1", record({"lpips": None})), point("b2", record())])
    assert [row(table, i)["LPIPS to M0"] for i in (0, 1)] == [ABSENT, "0.0100"]
    cpu = trend("", [point("a1", on_cpu())])
    assert "Peak RSS, MiB" in cpu.headings
    assert "Peak VRAM allocated, MiB" not in cpu.headings


def test_the_reason_of_a_calibration_is_the_note():
    why = record(run={"calibration": {"reason": "looser:\na new  driver"}})
    assert row(trend("", [point("a1", why)]), 0)["Note"] == "looser: a new driver"
    for other in ({}, None, "text", {"reason": ""}):
        silent = record(run={"calibration": other}, fingerprint={"versions": other})
        assert {"Note", "torch"}.isdisjoint(trend("", [point("a1", silent)]).headings)


def test_the_reference_is_as_fast_as_itself():
    own = record({"speedup": 1.03}, case="reference@128x128x14-s15")
    assert row(trend("", [point("a1", own)]), 0)["Speed-up vs M0, x"] == "1.00"


def test_a_shallow_clone_says_so():
    assert trend("", [], shallow=True).notes
    assert trend("", []).notes == ()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Baselines of two models and devices, in a repository that is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    git(tmp_path, "init", "-q")
    root = tmp_path / "baselines"
    for model, hardware in (("svd", "cpu"), ("svd", "nvidia-h200"), ("svd-xt", "nvidia-h200")):
        baselines.write(made(model, "fewer_steps:15", hardware), root)
    baselines.write(made("svd", "int8_weight_only", "cpu"), root)
    commit(tmp_path, 1)
    return root


def made(model, text, hardware, **metrics):
    case = Case(model, "mini", default_request(model, "mini"), parse(text))
    found = record(metrics, case=case.id, group=case.group, hardware=hardware)
    return replace(found, method=repr(case.method), request=vars(case.request))


@pytest.mark.parametrize(
    ("asked", "count"),
    [("", 4), ("svd", 3), ("svd-xt", 1), ("int8", 1), ("cpu/*fewer", 1), ("h200", 2), ("@128", 4)],
)
def test_a_model_or_a_pattern_chooses(root, asked, count):
    assert len(chosen(root, asked)) == count


def test_a_choice_of_nothing_is_an_error(root):
    with pytest.raises(InvalidRequestError, match=r"goes by 'x9'.*such as cpu/svd.mini/fewer_st"):
        chosen(root, "x9")


def test_the_command_prints_a_table_each_and_the_orphans(root, capsys):
    path = baselines.write(made("svd", "fewer_steps:15", "cpu", clip=0.9), root)
    baselines.write(replace(baselines.read(path), method="Gone()", case="gone@1x1x1-s1"), root)
    assert main(["report", "--trend", "fewer_steps"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("2026-01-01") == 3
    assert "cpu/svd.mini/fewer_steps-15@128x128x14-s25\n" in printed
    assert "working tree" in printed
    assert "0.900 (-0.070)" in printed
    assert "orphan baseline baselines/cpu/svd.mini/gone@1x1x1-s1.json: unknown method" in printed
    assert main(["report", "--trend", "svd-xt", "--markdown"]) == 0
    assert "| Commit  |       Date | Speed-up vs M0, x |" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["a", "--trend"], ["a", "--markdown"]])
def test_a_run_folder_or_a_trend(root, words, capsys):
    assert main(["report", *words]) == 2
    assert "give a run folder, or --trend" in capsys.readouterr().err


def test_a_folder_outside_of_a_repository(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert main(["report", "--trend", "--baselines", str(tmp_path)]) == 2
    assert "is in no git repository" in capsys.readouterr().err

"""The report of a run: all of its files, each whole or not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accel.errors import BaselineError, InvalidRequestError, OutputError
from accel.report.bundle import write_report
from accel.report.pictures import contact_sheet
from tests.report.test_tables import FAILURES, RECORDS, VERDICTS
from tests.report.videos import moving_disc


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_table_contact_sheet_and_videos_are_written(tmp_path):
    np.save(tmp_path / "frames.npy", moving_disc())
    run = tmp_path / "run"
    frames = {RECORDS[0].case: moving_disc(), RECORDS[1].case: tmp_path / "frames.npy"}
    paths = write_report(run, RECORDS, frames, moving_disc()[0], VERDICTS, FAILURES)
    videos = [f"videos/{RECORDS[i].case}.mp4" for i in (0, 1)]
    assert [str(path.relative_to(run)) for path in paths] == ["table.md", "contact.png", *videos]
    assert names(run) == sorted(["table.md", "contact.png", *videos])
    assert "improved" in (run / "table.md").read_text(encoding="utf-8")


def test_without_frames_there_is_the_table_alone(tmp_path):
    write_report(tmp_path, RECORDS, {})
    assert names(tmp_path) == ["table.md"]


def test_what_fails_leaves_the_old_file_and_no_debris(tmp_path):
    case = RECORDS[0].case
    write_report(tmp_path, RECORDS[:1], {case: moving_disc()})
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with pytest.raises(InvalidRequestError):
        write_report(tmp_path, RECORDS[:1], {case: np.zeros((0, 8, 8, 3))})
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


@pytest.mark.parametrize("kept", [0, 60, 1000])
def test_torn_frames_are_named_with_the_remedy(tmp_path, kept):
    path = tmp_path / "frames.npy"
    np.save(path, moving_disc())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BaselineError, match=r"frames\.npy holds no whole video: .*; delete it and"):
        write_report(tmp_path / "run", RECORDS[:1], {RECORDS[0].case: path})


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.table\.md.*another output folder"):
        write_report(tmp_path / "file", RECORDS, {})


def test_of_many_inputs_the_sheet_says_which_it_shows(tmp_path, monkeypatch):
    rows = [{"image": name, "seed": 3} for name in ("chelsea", "rocket")]
    notes = []

    def sheet(strips, picture, title, note):
        notes.append(note)
        return contact_sheet(strips, picture, title, note)

    monkeypatch.setattr("accel.report.bundle.contact_sheet", sheet)
    for count in (1, 2):
        records = [replace(RECORDS[0], samples={"inputs": rows[:count]})]
        write_report(tmp_path, records, {records[0].case: moving_disc()}, moving_disc()[0])
    assert notes == [
        "", "chelsea, seed 3: the first of 2 inputs; the scores are means over all",
    ]  # fmt: skip

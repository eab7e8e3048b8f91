"""Baselines that nothing compares with any more are named, each with why."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from accel.__main__ import main
from accel.baselines import location, write, write_file
from accel.orphans import lines, of, orphans, unasked
from tests.examples import record

ROOT = Path(__file__).parent.parent / "baselines"


def test_the_committed_baselines_are_no_orphans():
    assert len([*ROOT.rglob("*.json")]) > 20
    assert orphans(ROOT) == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"method": "Gone(steps=15)"}, "unknown method class 'Gone'"),
        ({"method": "FewerSteps(stride=2)"}, "the fields are: steps"),
        ({"method": "FewerSteps(steps=14)"}, "makes the case fewer_steps-14@128x128x14-s15 now"),
        ({"group": "sd15.mini"}, "unknown model 'sd15'"),
        ({"group": "svd.distilled"}, "unknown weights 'distilled'"),
        ({"request": {**record().request, "seed": 3}}, "makes the case .*-s15-seed3 now"),
        ({"request": {**record().request, "prompt": "a cat"}}, "is of another accel: .*prompt"),
        ({"run": {"vram_cap": 16}}, "makes the case fewer_steps-15-vram_cap16@"),
        ({"run": {"modules": ["gone"]}}, "module 'gone', which cannot be imported here"),
    ],
)
def test_what_today_s_code_cannot_make_is_an_orphan(tmp_path, changes, why):
    path = write(replace(record(), **changes), tmp_path)
    ((found, told),) = orphans(tmp_path).items()
    assert found == path
    assert re.search(why, told), told
    assert told.endswith("; refresh it, or remove it")
    assert lines({found: told}, "orphan") == [f"orphan baseline {path}: {told}"]


def test_a_record_in_another_s_place_is_an_orphan(tmp_path):
    good, other = write(record(), tmp_path), replace(record(), hardware="nvidia-h100")
    place = location(tmp_path, "nvidia-h200", other.group, "copy")
    write_file(other, place)
    told = "its record belongs in nvidia-h100/svd.pretrained/fewer_steps-15@128x128x14-s15.json"
    assert orphans(tmp_path) == {place: f"{told}; move or remove it"}
    good.unlink()
    place.rename(good)
    assert [*orphans(tmp_path)] == [good]


def test_a_file_that_cannot_be_read_is_among_them(tmp_path):
    path = write(record(), tmp_path)
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 0'))
    why = "schema 0 found, 1 expected; write it anew with `accel refresh`, or remove it"
    assert orphans(tmp_path) == {path: why}


def test_a_capped_case_is_no_orphan():
    capped = record(case="fewer_steps-15-vram_cap16@128x128x14-s15", run={"vram_cap": 16})
    assert of(capped) == ""


def test_no_folder_has_no_orphans(tmp_path):
    assert orphans(tmp_path / "none") == {}


def test_what_no_test_asked_for(tmp_path):
    kept, other = record(), replace(record(), case="reference@128x128x14-s15")
    for one in (kept, other, replace(other, hardware="cpu"), replace(kept, group="svd.mini")):
        write(one, tmp_path)
    found = unasked(tmp_path, "nvidia-h200", {(kept.group, kept.case)})
    assert [str(path.relative_to(tmp_path / "nvidia-h200")) for path in found] == [
        "svd.mini/fewer_steps-15@128x128x14-s15.json",
        "svd.pretrained/reference@128x128x14-s15.json",
    ]
    assert lines(found, "unused")[0].endswith("s15.json: no gate test asked for it")


def test_compare_names_them(tmp_path, capsys):
    run, root = tmp_path / "run", tmp_path / "accepted"
    write_file(record(), location(run, "records", "svd.pretrained", record().case))
    write(record(), root)
    asked = ["compare", str(run), "--baselines", str(root)]
    assert main(asked) == 0
    assert "orphan" not in capsys.readouterr().out
    path = write(replace(record(), method="Gone()", case="gone@128x128x14-s15"), root)
    assert main(asked) == 0, "they are told, and are no verdict"
    assert f"orphan baseline {path}: unknown method class 'Gone'" in capsys.readouterr().out
    form = json.loads(path.read_text())
    path.write_text(json.dumps({**form, "schema": 9}))
    assert main(asked) == 0
    assert "schema 9 found, 1 expected" in capsys.readouterr().out

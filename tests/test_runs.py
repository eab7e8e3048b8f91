"""The run folder: what was kept is found again, and what is broken names its remedy."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import numpy as np
import pytest

from accel.core import Case
from accel.errors import BaselineError, OutputError
from accel.methods import parse
from accel.methods.reference import Reference
from accel.models import default_request
from accel.runs import RunFolder, default_folder
from tests.examples import record

REQUEST = default_request("svd", "mini", steps=15)
CASE = Case("svd", "mini", REQUEST, parse("fewer_steps:10"))


def record_of(case):
    return record(
        case=case.id,
        group=case.group,
        method=repr(case.method),
        request=asdict(case.request),
    )


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_round_trip(folder):
    assert folder.record(CASE) is None
    folder.write(CASE, record_of(CASE))
    assert RunFolder(folder.path).record(CASE) == record_of(CASE)


def test_records_come_in_the_order_of_the_cases(folder):
    reference = replace(CASE, method=Reference())
    for case in (CASE, reference):
        folder.write(case, record_of(case))
    missing = replace(CASE, method=parse("fewer_steps:4"))
    found = folder.records([reference, missing, CASE])
    assert [one.case for one in found] == [reference.id, CASE.id]


def test_frames_are_read_as_they_were_written(folder):
    video = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float16)
    np.save(folder.frames_path(CASE), video)
    found = folder.frames(CASE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, video.astype(np.float32))


def test_frames_that_pickle_are_refused(folder):
    np.save(folder.frames_path(CASE), np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        folder.frames(CASE)


def test_groups_do_not_mix(folder):
    other = replace(CASE, model="svd-xt")
    folder.write(CASE, record_of(CASE))
    assert folder.record(other) is None
    assert folder.frames_path(other) != folder.frames_path(CASE)
    assert folder.log(other) != folder.log(CASE)


def test_a_failure_is_kept_until_the_case_is_measured(folder):
    other = replace(CASE, method=Reference())
    folder.fail(CASE, "first")
    folder.fail(CASE, "OutOfMemoryError: é")
    folder.fail(other, "")
    assert RunFolder(folder.path).failures() == {CASE.id: "OutOfMemoryError: é", other.id: ""}
    folder.write(CASE, record_of(CASE))
    assert folder.failures() == {other.id: ""}
    folder.write(other, record_of(other))
    assert folder.failures() == {}


def test_failures_of_many_processes_are_all_kept(tmp_path):
    """Threads stand for processes: each opens the lock for itself."""
    cases = [replace(CASE, request=replace(REQUEST, seed=seed)) for seed in range(40)]
    parts = [RunFolder(tmp_path, f"gw{i}") for i in range(8)]

    def fail(i):
        parts[i % 8].fail(cases[i], f"error {i}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fail, range(40)))
    assert RunFolder(tmp_path).failures() == {c.id: f"error {i}" for i, c in enumerate(cases)}


def test_parts_share_records_and_failures_and_keep_their_own_frames(tmp_path):
    parts = [RunFolder(tmp_path, name) for name in ("gw0", "gw1")]
    whole, video = RunFolder(tmp_path), np.zeros((2, 8, 8, 3), np.float16)
    assert whole.kept_frames(CASE) is None
    np.save(parts[1].frames_path(CASE), video + 1)
    assert whole.kept_frames(CASE) == parts[1].frames_path(CASE)
    np.save(parts[0].frames_path(CASE), video)
    assert [part.frames(CASE).max() for part in parts] == [0, 1]
    assert parts[0].log(CASE) != parts[1].log(CASE)
    parts[0].fail(CASE, "first")
    parts[1].write(CASE, record_of(CASE))
    assert parts[0].record(CASE) == whole.record(CASE) == record_of(CASE)
    assert whole.failures() == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 0}'])
def test_a_corrupt_record_says_to_delete_it(folder, content):
    folder.write(CASE, record_of(CASE))
    (path := folder._record_path(CASE)).write_text(content)
    with pytest.raises(BaselineError, match=r"\.json: .*delete it, and the case is measured again"):
        folder.record(CASE)
    path.unlink()
    assert folder.record(CASE) is None


@pytest.mark.parametrize("content", ["{", "", "[1]"])
def test_corrupt_failures_say_to_delete_them(folder, content):
    (folder.path / "failures.json").write_text(content)
    with pytest.raises(BaselineError, match=r"failures\.json.*delete it"):
        folder.failures()


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (replace(CASE, request=replace(REQUEST, image="b/coffee")), "image 'coffee', not 'b/coff"),
        (replace(CASE, method=parse("fewer_steps:11")), r"method 'FewerSteps\(steps=10\)', not"),
    ],
)
def test_the_record_of_another_case_is_not_taken(folder, case, message):
    folder.write(CASE, record_of(CASE))
    folder._record_path(CASE).rename(folder._record_path(case))
    with pytest.raises(BaselineError, match=f"was measured with {message}"):
        folder.record(case)


def test_a_record_from_before_a_field_of_its_method_is_taken(folder):
    case = replace(CASE, method=parse("semi_structured:feed_forward"))
    old = replace(record_of(case), method="SemiStructured(layers='feed_forward')")
    folder.write(case, old)
    assert folder.record(case) == old


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match=r"cannot write to .*; choose another --out"):
            RunFolder(path)
    assert (tmp_path / "file").read_text() == ""


def test_a_folder_is_opened_twice_and_left_clean(folder):
    again = RunFolder(folder.path)
    assert sorted(path.name for path in again.path.iterdir()) == ["frames", "logs", "records"]


def test_who_measures_holds_the_folder_alone_and_removes_what_was_left_half(folder):
    half = folder.frames_path(CASE).with_suffix(".1.part")
    half.touch()
    other, part = RunFolder(folder.path), RunFolder(folder.path, "gw0")
    folder.hold()
    folder.hold()
    part.hold()
    assert not half.exists()
    with pytest.raises(OutputError, match=rf"is measured into by pid {os.getpid()}: .*; wait for"):
        other.hold()
    half.touch()
    folder.release()
    assert not half.exists()
    other.hold()
    part.release()
    other.release()


def test_a_folder_that_another_took_the_place_of(folder):
    folder.hold()
    folder.path.rename(folder.path.with_name("moved"))
    other = RunFolder(folder.path)
    other.hold()
    (half := other.frames_path(CASE).with_suffix(".1.part")).touch()
    with pytest.raises(OutputError, match="was deleted or moved while it was measured into"):
        folder.write(CASE, record_of(CASE))
    assert other.record(CASE) is None
    folder.release()
    assert half.exists()
    other.release()


def test_the_default_folder_is_new_and_names_its_group():
    assert default_folder("svd.mini").match("runs/*-svd.mini")


def test_every_input_has_frames_of_its_own(folder):
    assert folder.frames_path(CASE) == folder.frames_path(CASE, 0)
    videos = np.random.default_rng(0).random((3, 2, 8, 8, 3)).astype(np.float16)
    for index, video in enumerate(videos):
        np.save(folder.frames_path(CASE, index), video)
    for index, video in enumerate(videos):
        np.testing.assert_array_equal(folder.frames(CASE, index), video.astype(np.float32))


def test_a_record_from_before_there_were_seeds_is_of_one(folder):
    old = record_of(CASE)
    del old.request["seeds"]
    folder.write(CASE, old)
    assert folder.record(CASE) == old
    assert old.full_request == asdict(CASE.request)

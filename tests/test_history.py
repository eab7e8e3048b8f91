"""What git tells of a baseline, from a repository that the test makes."""

import subprocess

import pytest

from accel import baselines
from accel.errors import InvalidRequestError
from accel.history import check_repository, history, is_shallow
from tests.examples import record


def git(folder, *arguments):
    settings = ("user.name=t", "user.email=t@example.org", "protocol.file.allow=always")
    given = [word for setting in settings for word in ("-c", setting)]
    command = ["git", "-C", str(folder), *given, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder, day):
    """Everything, on a day of January 2026; returns the short name."""
    git(folder, "add", "-A")
    date = f"2026-01-{day:02}T12:00:00+00:00"
    env = {"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        git(folder, "commit", "-qm", f"day {day}")
    return git(folder, "rev-parse", "--short", "HEAD")


@pytest.fixture
def root(tmp_path):
    """The baselines folder of an empty repository."""
    git(tmp_path, "init", "-q")
    (tmp_path / "baselines").mkdir()
    return tmp_path / "baselines"


def test_each_commit_that_changed_it_is_a_point(root):
    path = baselines.write(record({"clip": 0.9}), root)
    first = commit(root, 1)
    (root.parent / "notes.txt").write_text("not of the baseline")
    commit(root, 2)
    baselines.write(record({"clip": 0.8}), root)
    second = commit(root, 3)
    found = history(path)
    assert [(p.commit, p.date, p.problem) for p in found] == [
        (first, "2026-01-01", ""),
        (second, "2026-01-03", ""),
    ]
    assert [p.record for p in found] == [record({"clip": 0.9}), record({"clip": 0.8})]


def test_a_merge_that_is_like_neither_side_is_a_point(root):
    path = baselines.write(record({"clip": 0.9}), root)
    commit(root, 1)
    git(root, "checkout", "-q", "-b", "side")
    baselines.write(record({"clip": 0.8}), root)
    side = commit(root, 2)
    git(root, "checkout", "-q", "-")
    baselines.write(record({"clip": 0.7}), root)
    commit(root, 3)
    git(root, "merge", "-q", "--no-commit", "-s", "ours", side)
    baselines.write(record({"clip": 0.6}), root)
    merged = commit(root, 4)
    assert (history(path)[-1].commit, history(path)[-1].record) == (merged, record({"clip": 0.6}))


def test_the_working_tree_is_the_last_point_if_it_differs(root):
    path = baselines.write(record({"clip": 0.9}), root)
    assert [p.commit for p in history(path)] == ["working tree"], "there is no commit at all"
    commit(root, 1)
    assert len(history(path)) == 1
    for staged in (False, True):
        baselines.write(record({"clip": 0.7}), root)
        if staged:
            git(root, "add", "-A")
        *_, last = history(path)
        assert (last.commit, last.date, last.record) == ("working tree", "", record({"clip": 0.7}))


def test_a_file_that_git_does_not_know_or_ignores_is_there(root):
    (root.parent / ".gitignore").write_text("baselines/cpu\n")
    commit(root, 1)
    for hardware in ("cpu", "nvidia-h200"):
        path = baselines.write(record(hardware=hardware), root)
        assert [p.commit for p in history(path)] == ["working tree"]


def test_what_cannot_be_read_is_named_and_does_not_hide_the_rest(root):
    path = baselines.write(record(), root)
    text = path.read_text()
    contents = [text.replace('"schema": 1', '"schema": 0'), text[:99], "\udcff", None, text]
    for day, content in enumerate(contents, 1):
        path.unlink(missing_ok=True)
        (root / "day").write_text(str(day))
        if content is not None:
            path.write_text(content, errors="surrogateescape")
        commit(root, day)
    path.write_text("[]")
    found = history(path)
    assert [p.record is None for p in found] == [True, True, True, True, False, True]
    starts = ["schema 0 found, 1 expected", "not JSON at line ", "not JSON: 'utf-8' codec"]
    for point, start in zip(found, starts, strict=False):
        assert point.problem.startswith(f"not readable: {start}")
    assert found[3].problem == "removed"
    assert found[-1].problem == "not readable: holds a list, not a record"


def test_a_shallow_clone_is_one(root, tmp_path):
    path = baselines.write(record(), root)
    commit(root, 1)
    baselines.write(record({"clip": 0.8}), root)
    commit(root, 2)
    assert not is_shallow(root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", tmp_path.as_uri(), str(clone))
    assert is_shallow(clone / "baselines")
    assert len(history(clone / path.relative_to(root.parent))) == 1


def test_a_folder_without_a_history_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InvalidRequestError, match=r"is in no git repository .*--baselines"):
        check_repository(tmp_path)
    with pytest.raises(InvalidRequestError, match=r"there is no folder .*none; name it"):
        check_repository(tmp_path / "none")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InvalidRequestError, match="git is not installed here"):
        check_repository(tmp_path)


def test_a_git_that_fails_is_an_error(root):
    path = baselines.write(record(), root)
    commit(root, 1)
    for packed in (root.parent / ".git" / "objects").glob("??/*"):
        packed.chmod(0o644)
        packed.write_bytes(b"broken")
    with pytest.raises(InvalidRequestError, match=r"git log of .*json failed: "):
        history(path)

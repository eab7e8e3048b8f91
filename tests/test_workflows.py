"""The GitHub workflows: valid, pinned, with few rights, and no more than calls of ci/ scripts."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.test_gates import AT_4

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {path.stem: yaml.load(path.read_text(), yaml.BaseLoader) for path in FILES}
JOBS = {
    f"{name}.{job}": (flow, body)
    for name, flow in WORKFLOWS.items()
    for job, body in flow["jobs"].items()
}
SCRIPTS = sorted((ROOT / "ci").iterdir())
SAME_REPOSITORY = (
    "github.event_name != 'pull_request' || "
    "github.event.pull_request.head.repo.full_name == github.repository"
)


def steps(key):
    return [step for _, body in JOBS.values() for step in body["steps"] if key in step]


def test_there_is_one_for_each_purpose():
    assert list(WORKFLOWS) == ["cpu", "gpu", "nightly", "refresh"]


def test_they_follow_githubs_schema():
    command = [sys.executable, "-m", "check_jsonschema"]
    schema = ["--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, *schema, *FILES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_githubs_own_and_pinned():
    for step in steps("uses"):
        assert re.fullmatch(r"actions/(checkout|upload-artifact)@[0-9a-f]{40}", step["uses"])
    for path in FILES:
        for line in path.read_text().splitlines():
            assert "uses:" not in line or re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)


def test_they_only_call_scripts_that_are_there():
    for step in steps("run"):
        script = ROOT / step["run"].split()[0]
        assert script in SCRIPTS
        assert "\n" not in step["run"]
        assert "${{" not in step["run"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_run(script):
    assert os.access(script, os.X_OK)
    subprocess.run(["sh", "-n", script], check=True)


def test_one_job_alone_may_write_and_it_runs_nothing_that_was_measured():
    assert all(flow["permissions"] == {"contents": "read"} for flow in WORKFLOWS.values())
    (name, body), *others = [(name, b) for name, (_, b) in JOBS.items() if "permissions" in b]
    assert others == []
    assert name == "refresh.propose"
    assert [step["run"] for step in body["steps"] if "run" in step] == ["ci/propose"]
    rights = {"actions": "read", "contents": "write", "pull-requests": "write"}
    assert body["permissions"] == rights
    assert list(WORKFLOWS["refresh"]["on"]) == ["workflow_dispatch"]


def test_there_are_no_secrets_and_the_token_is_not_left_behind():
    assert not any("secrets" in path.read_text() for path in FILES)
    for step in steps("uses"):
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": "false"}


LONG = ("nightly.gates", "refresh.measure")


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_and_no_fork_reaches_our_machines(name):
    flow, body = JOBS[name]
    assert 0 < int(body["timeout-minutes"]) <= (360 if name in LONG else 180)
    assert "concurrency" in flow
    assert "pull_request_target" not in flow["on"]
    own = body["runs-on"] == ["self-hosted", "gpu"]
    assert own or body["runs-on"] == "ubuntu-24.04"
    if own and "pull_request" in flow["on"]:
        assert " ".join(body["if"].split()) == SAME_REPOSITORY


@pytest.fixture
def run(tmp_path):
    """A folder of gates with the mini models' records, whose baselines they are."""
    records = tmp_path / "gates" / "cpu" / "records" / "svd.mini"
    shutil.copytree(ROOT / "baselines" / "cpu" / "svd.mini", records)
    return tmp_path / "gates"


def test_the_summary_has_table_and_verdicts(run, tmp_path):
    summary = tmp_path / "summary.md"
    environment = {
        **os.environ,
        "BIN": str(Path(sys.executable).parent),
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    subprocess.run([ROOT / "ci" / "summary", run], check=True, env=environment)
    text = summary.read_text()
    assert text.startswith("## cpu\n**svd.mini")
    assert re.search(r"^\| Verdict ", text, re.MULTILINE)
    assert re.search(r"^8 cases: .*pass", text, re.MULTILINE)


GH = """#!/bin/sh
echo "$*" >>"$CALLS"
if [ "$1 $2" = "run download" ]; then cp "$NEW" baselines/; fi
"""


@pytest.fixture
def propose(tmp_path, monkeypatch):
    """Runs ci/propose in a clone of a repository, with a gh that only notes its calls."""

    def git(*words):
        subprocess.run(["git", *words], check=True, cwd=tmp_path / "clone", capture_output=True)

    clone = tmp_path / "clone"
    for folder in (clone / "ci", clone / "baselines", tmp_path / "bin"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "ci" / "propose", clone / "ci")
    (clone / "baselines" / "case.json").write_text("old")
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "origin"], check=True)
    git("init", "--quiet")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-m", "first")
    git("remote", "add", "origin", str(tmp_path / "origin"))
    (tmp_path / "bin" / "gh").write_text(GH)
    (tmp_path / "bin" / "gh").chmod(0o755)
    given = {"RUN_ID": "7", "RUN_ATTEMPT": "1", "REF_NAME": "main", "SERVER_URL": "https://host"}
    for name, value in {**given, "REPOSITORY": "a/b"}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("NEW", str(tmp_path / "case.json"))

    def run(measured):
        (tmp_path / "case.json").write_text(measured)
        subprocess.run([clone / "ci" / "propose"], check=True, capture_output=True)
        shown = ["git", "-C", tmp_path / "origin", "show", "refresh-7-1:baselines/case.json"]
        pushed = subprocess.run(shown, capture_output=True, text=True).stdout
        return pushed, (tmp_path / "calls").read_text()

    return run


def test_changed_baselines_are_proposed(propose):
    pushed, calls = propose("new")
    assert pushed == "new"
    assert calls.splitlines() == [
        "run download 7 --name baselines --dir baselines",
        "auth setup-git",
        "pr create --base main --head refresh-7-1 --title Refresh the baselines "
        "--body Measured by https://host/a/b/actions/runs/7",
    ]


def test_equal_baselines_are_not(propose):
    pushed, calls = propose("old")
    assert pushed == ""
    assert "pr create" not in calls


@pytest.mark.parametrize(("reason", "asked"), [("", []), ("two words", ["--reason", "two words"])])
def test_a_reason_reaches_each_refresh(tmp_path, reason, asked):
    calls = tmp_path / "calls"
    (tmp_path / "accel").write_text(f'#!/bin/sh\nfor w in "$@"; do echo "$w"; done >>{calls}\n')
    (tmp_path / "accel").chmod(0o755)
    given = {**os.environ, "BIN": str(tmp_path), "REASON": reason}
    subprocess.run([ROOT / "ci" / "refresh", "--repeats", "2"], check=True, env=given)
    rest = ["--cold", *asked, "--repeats", "2"]
    mini, untrained = (
        ["refresh", m, "--weights", w] for m, w in (("svd", "mini"), ("svd-xt", "untrained"))
    )
    at_4 = ["--steps", "4", "--methods", "reference", *AT_4]
    assert calls.read_text().splitlines() == [
        *mini, *rest, *untrained, *rest, *untrained, *at_4, *rest,
    ]  # fmt: skip


@pytest.mark.parametrize("failing", ["--accel-cold", "--accel-fresh", "none"])
def test_a_night_measures_residents_then_fresh_ones_and_keeps_a_failure(tmp_path, failing):
    calls, out = tmp_path / "calls", tmp_path / "gates"
    (tmp_path / "python").write_text(
        f'#!/bin/sh\necho "$*" >>{calls}\ncase "$*" in *{failing}*) exit 1;; esac\n'
    )
    (tmp_path / "python").chmod(0o755)
    given = {**os.environ, "BIN": str(tmp_path), "OUT": f"{out}/"}
    done = subprocess.run([ROOT / "ci" / "nightly", "--maxfail", "1"], env=given)
    assert done.returncode == (failing != "none")
    residents, fresh = calls.read_text().splitlines()
    for call, folder in ((residents, out), (fresh, f"{out}-fresh")):
        assert f"--accel-out {folder} " in call
        assert f"--junitxml {folder}/junit.xml " in call
        assert "--maxfail 1" in call
    assert "-m gpu --accel-pairs 10 --accel-cold" in residents
    assert "--accel-fresh" not in residents
    assert fresh.endswith("--accel-fresh --accel-pairs 6 --accel-blocks 0")

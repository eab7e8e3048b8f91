"""The command line from the outside: one real run, then what may go wrong before and after it."""

import re
import shutil
from pathlib import Path

import av
import pytest
from PIL import Image

from accel.__main__ import main
from accel.baselines import read, write_file
from accel.commands import _read_run
from accel.launch import Launcher
from accel.methods import METHODS
from tests.asking import CASE, GROUP, REFERENCE, asked, committed, record_path
from tests.examples import changed
from tests.local_worker import LocalWorker


def edit_record(run: Path, metrics: dict[str, object]) -> None:
    """Replace some metrics of the candidate's record."""
    path = record_path(run)
    found = read(path)
    found.metrics.update(changed(found.metrics, metrics))
    write_file(found, path)


@pytest.fixture(scope="module")
def finished(tiny_folder, tmp_path_factory):
    """One run through the real workers; read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main(asked(tiny_folder, folder)) == 0
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run, to be changed."""
    return committed(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def local(monkeypatch):
    """Workers in this process, and the planted methods by name."""
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    monkeypatch.setitem(METHODS, "planted", ("tests.planted:Planted", "harm on purpose"))


# a run from end to end


def test_a_run_leaves_records_table_sheet_and_videos(finished):
    assert {path.stem for path in finished.glob(f"records/{GROUP}/*.json")} == {CASE, REFERENCE}
    table = (finished / "table.md").read_text()
    assert re.search(r"\| Metric +\| +M0 \| +M3 fewer_steps-2 \|", table)
    assert re.search(r"\| Verdict +\| missing \| +missing \|", table)
    with Image.open(finished / "contact.png") as sheet:
        assert min(sheet.size) > 128
    assert not list(finished.rglob("*.part"))
    assert not list(finished.rglob(".writing-*"))


@pytest.mark.parametrize("case", [CASE, REFERENCE])
def test_the_videos_can_be_read(finished, case):
    with av.open(str(finished / "videos" / f"{case}.mp4")) as video:
        assert video.streams.video[0].codec_context.name == "h264"
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert [frame.shape for frame in frames] == [(128, 128, 3)] * 7


def test_the_same_command_measures_nothing_again(run, tiny_folder, no_worker, capsys):
    before = record_path(run).read_bytes()
    (run / "table.md").unlink()
    assert main(asked(tiny_folder, run)) == 0
    assert record_path(run).read_bytes() == before
    assert (run / "table.md").exists()
    assert f"run folder: {run}" in capsys.readouterr().out.replace("\n", "")


def test_a_run_goes_on_with_what_it_has(run, tiny_folder, local):
    record_path(run).unlink()
    before = record_path(run, REFERENCE).read_bytes()
    assert main(asked(tiny_folder, run)) == 0
    assert read(record_path(run)).method == "FewerSteps(steps=2)"
    assert record_path(run, REFERENCE).read_bytes() == before


def test_a_case_that_fails_is_told_and_the_others_run_on(tmp_path, tiny_folder, local, capsys):
    methods = ("--methods", "planted:broken", "fewer_steps:2")
    assert main(asked(tiny_folder, tmp_path / "run", *methods)) == 1
    assert record_path(tmp_path / "run").exists()
    table = (tmp_path / "run" / "table.md").read_text()
    note = "planted-broken@128x128x7-s3: CaseError: KeyError: 'no such key'"
    assert note in table
    assert main(asked(tiny_folder, tmp_path / "run")) == 0, "an old failure is not this run's"
    assert note not in (tmp_path / "run" / "table.md").read_text()


def test_a_run_of_failures_alone_says_why(run, tiny_folder, local, monkeypatch, capsys):
    def dead(self, case):
        raise MemoryError("no [/room] here")

    monkeypatch.setattr("accel.worker.Session.load", dead)
    shutil.rmtree(run / "records" / GROUP)
    assert main(asked(tiny_folder, run)) == 1
    assert f"accel: {CASE} failed: " in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_go_on(run, tiny_folder, local, monkeypatch, capsys):
    def interrupted(self, side, label):
        raise KeyboardInterrupt

    record_path(run).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Launcher, "generate", interrupted)
        assert main(asked(tiny_folder, run)) == 130
    assert "the same command with --out resumes it" in capsys.readouterr().err
    assert record_path(run, REFERENCE).exists()


def test_the_default_methods_are_those_that_fit(monkeypatch, tmp_path, tiny_folder):
    seen = []
    monkeypatch.setattr("accel.commands._measure", lambda cases, *rest: seen.extend(cases) or [])
    arguments = asked(tiny_folder, tmp_path / "run", "--steps", "12")
    assert main(arguments[: arguments.index("--methods")] + arguments[-2:]) == 0
    slugs = [case.method.slug for case in seen]
    assert slugs == ["reference", "int8_weight_only", "fewer_steps-10", "fewer_steps-4"]


def test_a_run_of_many_inputs(run, tiny_folder, local, tmp_path, capsys):
    """In a folder that holds a run of one input, too; and the same command measures nothing."""
    many = (*("--images", "bundled"), *("--seeds", "2"), *("--size", "64x64"))
    case = "fewer_steps-2@64x64x2-s3-imagebundled-seeds2"
    arguments = asked(tiny_folder, run, *many, "--frames", "2")
    assert main(arguments) == 0
    found = read(record_path(run, case))
    assert [row["seed"] for row in found.samples["inputs"]] == [0, 1] * 8
    assert len({row["image"] for row in found.samples["inputs"]}) == 8
    text = (run / "table.md").read_text()
    assert re.search(r"\| Inputs +\| +16 \| +16 \|", text)
    assert re.search(r"\| LPIPS to M0 .*\| +\d\.\d+ ± \d\.\d+ \|", text)
    before = record_path(run, case).read_bytes()
    assert main(arguments) == 0
    assert record_path(run, case).read_bytes() == before
    assert main(["report", str(run)]) == 0


# baselines and exit codes


def test_refresh_and_compare(run, tmp_path, capsys):
    baselines = ["--baselines", str(tmp_path / "accepted")]
    assert main(["compare", str(run), *baselines]) == 3
    assert "missing" in capsys.readouterr().out
    assert main(["compare", str(run), "--allow-inconclusive", *baselines]) == 0
    assert main(["refresh", "svd", "--from", str(run), *baselines]) == 0
    written = sorted((tmp_path / "accepted").rglob("*.json"))
    assert [path.stem for path in written] == [CASE, REFERENCE]
    capsys.readouterr()
    assert main(["compare", str(run), *baselines]) == 0
    assert capsys.readouterr().out.endswith("2 cases: 2 pass\n")
    edit_record(run, {"clip": -0.9})
    assert main(["compare", str(run), *baselines]) == 1
    assert re.search(r"regressed +quality: clip is -0.9", capsys.readouterr().out)


def test_refresh_measures_what_is_missing(run, tiny_folder, no_worker, clean_tree, tmp_path):
    assert main(asked(tiny_folder, run, "--repeats", "1", command="refresh")) == 0
    assert len(list((tmp_path / "baselines").rglob("*.json"))) == 2
    assert main(asked(tiny_folder, run)) == 0
    assert re.search(r"\| Verdict +\| +pass \| +pass \|", (run / "table.md").read_text())


def test_refresh_keeps_what_was_measured_beside_a_failure(
    run, tiny_folder, local, clean_tree, capsys
):
    methods = ("--repeats", "1", "--methods", "fewer_steps:2", "planted:broken")
    assert main(asked(tiny_folder, run, *methods, command="refresh")) == 1
    printed = capsys.readouterr()
    assert printed.out.count("wrote ") == 2
    assert "planted-broken@128x128x7-s3 failed: CaseError" in printed.err


def test_a_failed_case_is_no_pass(run, tiny_folder, local, tmp_path, capsys):
    methods = ("--methods", "fewer_steps:2", "planted:broken")
    assert main(asked(tiny_folder, run, *methods)) == 1
    accepted = ["--baselines", str(tmp_path / "accepted")]
    assert main(["refresh", "svd", "--from", str(run), *accepted]) == 1
    assert main(["compare", str(run), *accepted]) == 1
    printed = capsys.readouterr()
    assert "2 cases: 2 pass" in printed.out
    assert printed.err.count("planted-broken@128x128x7-s3 failed: CaseError") == 2
    assert main(["report", str(run)]) == 0
    assert "planted-broken" in (run / "table.md").read_text()


def test_refresh_from_a_run_takes_no_request(run, capsys):
    asked_for = ["--steps", "3", "--methods", "reference", "--vram-cap", "8"]
    assert main(["refresh", "svd", "--from", str(run), *asked_for]) == 2
    assert "leave out --methods, --vram-cap, --steps" in capsys.readouterr().err


def test_a_defect_has_an_exit_code_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr("accel.commands.photo_names", lambda: 1 / 0)
    assert main(["list"]) == 4
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_refresh_from_a_run_of_another_model(run, tmp_path, capsys):
    assert main(["refresh", "svd-xt", "--from", str(run)]) == 2
    assert "holds records of svd.pretrained, not of svd-xt" in capsys.readouterr().err


def test_two_runs(finished, run, capsys):
    assert main(["compare", str(finished), str(run)]) == 0
    edit_record(run, {"lpips": 0.9})
    assert main(["compare", str(finished), str(run)]) == 1
    record_path(run, REFERENCE).unlink()
    edit_record(run, {"lpips": read(record_path(finished)).metrics["lpips"]})
    assert main(["compare", str(finished), str(run)]) == 3
    assert "no such case in" in capsys.readouterr().out


def test_report_writes_it_anew(run, capsys):
    shutil.rmtree(run / "videos")
    (run / "frames" / GROUP / f"{CASE}.npy").unlink()
    assert main(["report", str(run)]) == 0
    assert [path.stem for path in (run / "videos").iterdir()] == [REFERENCE]
    assert "M3" in capsys.readouterr().out


def test_a_report_keeps_the_order_of_the_methods(tmp_path):
    folder = tmp_path / "records" / "svd.mini"
    root = Path(__file__).parent.parent
    shutil.copytree(root / "baselines" / "cpu" / "svd.mini", folder)
    found = [record.case.partition("@")[0] for record in _read_run(tmp_path)]
    assert found == [
        "reference", "int8_weight_only", "fewer_steps-15", "fewer_steps-10", "fewer_steps-4",
        "semi_structured-tuned", "semi_structured", "lcm",
    ]  # fmt: skip

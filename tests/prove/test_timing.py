"""How often the verdict on time is right: of a GPU that is played, and on one."""

import re
from dataclasses import replace

import pytest
from rich.console import Console

from accel.__main__ import main
from accel.baselines import write_file
from accel.core import Case
from accel.errors import InvalidRequestError
from accel.launch import Launcher, Options
from accel.limits import Limit
from accel.lock import GpuLock
from accel.methods.reference import Reference
from accel.prove.costs import Slower
from accel.prove.timing import HOST, RIGHT, judged, measure, show, told
from accel.runs import RunFolder
from tests.prove.played import CALL, REQUEST, PlayedWorker, play


@pytest.fixture(scope="module")
def records(tmp_path_factory, tiny_folder):
    """Three repeats of each, of two pairs and two blocks."""
    launcher = Launcher(
        RunFolder(tmp_path_factory.mktemp("timing")),
        Options(pairs=2, blocks=2, device="cpu"),
        lambda text: None,
        GpuLock("cpu"),
    )
    case, started = Case("svd", "pretrained", REQUEST, Reference(), str(tiny_folder)), []
    with pytest.MonkeyPatch.context() as patch:
        play(patch)
        patch.setattr(
            "accel.launch.Worker", lambda *given: started.append(given) or PlayedWorker(*given)
        )
        found = gathered(measure(launcher, case, repeats=3))
        assert len(started) == 1 + len(RIGHT)  # all stay over the repeats
        assert gathered(measure(launcher, case, repeats=3)) == found
        gathered(measure(launcher, case, repeats=1))
        assert len(started) == 1 + len(RIGHT)  # nothing is measured again
    launcher.release()
    return found


def gathered(measured):
    found = {method: [] for method in RIGHT}
    for method, record in measured:
        found[method].append(record)
    return found


def test_no_change_passes_and_five_percent_of_sleep_is_regressed(records, capsys):
    verdicts = judged(records)
    for method, (_, right) in RIGHT.items():
        assert [verdict.status for verdict in verdicts[method]] == [right] * 3
    lines = [told(m, n, v) for m, found in verdicts.items() for n, v in enumerate(found, 1)]
    assert show(verdicts, Console()) == 0
    printed = "\n".join([*lines, capsys.readouterr().out])
    # up to rounding: then the two pairs do not differ, or by 1e-13 %
    assert re.search(r"A/A 1: pass: speedup is 1x.*, was 1x in the baseline: [+-]?0.0 %", printed)
    assert "5 % of sleep 3: regressed: speedup is 0.9524x [0.9524, 0.9524] of 2 pairs" in printed
    assert "A/A: 3 of 3 are pass; the rate is 29.2 to 100.0 % (95 %)" in printed
    assert "5 % of sleep: 3 of 3 are regressed; the rate is 29.2 to 100.0 % (95 %)" in printed


def test_every_repeat_stands_for_itself(records):
    for method, found in records.items():
        samples = [record.samples[side] for record in found for side in ("candidate", "reference")]
        assert [len(pair) for pair in samples] == [2] * 6
        assert all(len(record.samples["blocks"]) == 2 for record in found)
        seconds = 2 * CALL * (1.05 if method == Slower() else 1)
        assert [r.metrics["seconds"] for r in found] == pytest.approx([seconds] * 3)


def test_without_the_limit_of_the_speedup_no_sleep_is_seen(records, monkeypatch):
    covers = Limit.covers
    monkeypatch.setattr(
        Limit, "covers", lambda self, *asked: not self.timed and covers(self, *asked)
    )
    verdicts = judged(records)
    assert [verdict.status for verdict in verdicts[Slower()]] == ["pass"] * 3
    assert show(verdicts, Console()) == 1


def test_a_wrong_verdict_fails(records, capsys):
    swapped = judged(records) | {Slower(): judged(records)[HOST]}
    assert show(swapped, Console()) == 1
    assert (
        "5 % of sleep: 0 of 3 are regressed; the rate is 0.0 to 70.8 %" in capsys.readouterr().out
    )


@pytest.mark.parametrize("asked", [("--device", "cpu"), ("--weights", "mini")])
def test_where_time_is_not_judged_it_is_refused(asked, tmp_path, no_worker, capsys):
    assert main(["prove", "--timing", "--out", str(tmp_path), *asked]) == 2
    assert "time is judged of full-size weights on a GPU alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--path", "x"), "--path x goes with --weights pretrained, not with mini"),
        (("--device", "cuda"), "--device cuda: NVML finds no GPU here"),
    ],
)
def test_what_prove_would_ignore_is_refused(asked, message, tmp_path, no_worker, capsys):
    assert main(["prove", "--out", str(tmp_path), *asked]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--images", "bundled"), "--images bundled: --timing is of one; give it by --image\n"),
        (("--cold",), "--timing compiles nothing; leave out --cold\n"),
        (("--seeds", "2"), "leave out --seeds\n"),
        (("--decode-chunk-size", "2"), "leave out --decode-chunk-size\n"),
    ],
)
def test_what_timing_would_ignore_is_refused(
    asked, message, tmp_path, no_worker, capsys, monkeypatch
):
    monkeypatch.setattr("accel.prove.timing.gpu_count", lambda: 1)
    assert main(["prove", "--timing", "--out", str(tmp_path), *asked]) == 2
    assert message in capsys.readouterr().err


def test_repeats_of_another_request_are_refused(records, tmp_path, tiny_folder):
    launcher = Launcher(RunFolder(tmp_path), Options(), lambda text: None, GpuLock("cpu"))
    case = Case("svd", "pretrained", REQUEST, Reference(), str(tiny_folder))
    path = tmp_path / "repeats" / case.group / f"{replace(case, method=HOST).id}.1.json"
    write_file(records[HOST][0], path)
    with pytest.raises(InvalidRequestError, match=r"\.1\.json was measured with .*another --out"):
        gathered(measure(launcher, case, repeats=1))


@pytest.mark.gpu
@pytest.mark.prove
def test_on_a_gpu_twenty_of_twenty(gate, tmp_path):
    gate.close()  # a gate that was judged before holds the GPU
    assert main(["prove", "--timing", "--out", str(tmp_path)]) == 0

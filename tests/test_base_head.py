"""Two accels in turns: the same case in both, judged against each other."""

from dataclasses import replace

import pytest
import torch

from accel.__main__ import main
from accel.base_head import BaseHead
from accel.core import Case
from accel.installation import Installation
from accel.launch import Options
from accel.methods import parse
from accel.models import default_request
from tests.asking import asked
from tests.local_worker import LocalWorker

OPTIONS = Options(pairs=2, device="cpu", timeout=120)


class Two(LocalWorker):
    """The base as it is; the head with a fault, if its name tells one."""

    def __init__(self, log, timeout, device, start):
        super().__init__(log, timeout, device)
        self.fault = start.__self__.name

    def generate(self, request, frames=None):
        if self.fault == "crashes":
            raise MemoryError
        inner = self.session.pipeline.generate
        if self.fault == "black":
            self.session.pipeline.generate = lambda request: torch.zeros_like(inner(request))
        try:
            return super().generate(request, frames)
        finally:
            self.session.pipeline.generate = inner

    def apply(self, method):
        found = super().apply(method)
        if self.fault == "steps":
            found["expected"]["denoiser_calls"] = 3
        return found


@pytest.fixture
def compare(tiny_folder, tmp_path, monkeypatch):
    """Verdicts and failures of M0 and two steps, by case id's method, with a head of that name."""
    monkeypatch.setattr("accel.launch.Worker", Two)
    request = default_request("svd", "mini", frames=4, steps=3)
    cases = [
        Case("svd", "pretrained", request, parse(text), str(tiny_folder))
        for text in ("reference", "fewer_steps:2")
    ]

    def run(name, options=OPTIONS):
        found = BaseHead(
            *(Installation(one, tmp_path) for one in ("main", name)),
            tmp_path / "run",
            options,
            lambda text: None,
        )
        found.run(cases)
        return found

    return run


@pytest.mark.parametrize("fresh", [False, True])
def test_the_same_accel_twice_passes(compare, tmp_path, fresh):
    found = compare("feature", replace(OPTIONS, fresh=fresh))
    assert len(found.verdicts) == 2
    assert found.failures == {}
    for verdict in found.verdicts:
        # One process plays both workers, so that its memory tells nothing.
        others = [check for check in verdict.checks if check.family != "memory"]
        assert {check.status for check in others} == {"pass"}
        assert {check.metric for check in others} >= {"counters.denoiser_calls", "lpips", "clip"}
        record = verdict.record
        assert record.metrics["lpips"] == pytest.approx(0, abs=1e-6)
        assert record.metrics["speedup_pairs"] == 2
        assert (record.run["base"], record.run["head"]) == ("main", "feature")
    groups = [path.parent.parent.parent.name for path in tmp_path.glob("run/*/records/*/*.json")]
    assert sorted(groups) == ["base", "base", "head", "head"]


def test_a_head_that_ruins_the_video_is_told_against_the_base(compare):
    found = compare("black")
    assert [verdict.status for verdict in found.verdicts] == ["collapsed", "collapsed"]
    assert "this is no video: black" in found.verdicts[0].lines[0]


def test_a_case_that_fails_is_kept_with_its_error_and_the_others_run_on(compare):
    found = compare("steps")
    assert [verdict.record.method for verdict in found.verdicts] == ["Reference()"]
    (error,) = found.failures.values()
    assert error.startswith("NoEffectError: FewerSteps(steps=2) is not engaged")


def test_the_command_tells_the_verdicts(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("accel.launch.Worker", Two)
    monkeypatch.setattr(
        "accel.commands.installation", lambda text, checkouts: Installation(text, tmp_path)
    )
    asking = asked(tiny_folder, tmp_path / "run", "--base", "main", "--head", "black")
    place = asking.index("--baselines")
    assert main(["compare", *asking[1:place], *asking[place + 2 :]]) == 1
    assert "collapse: this is no video: black" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("svd --base main", "--base and --head go together, with one MODEL"),
        ("svd other --base main --head .", "--base and --head go together, with one MODEL"),
        ("runs/x --steps 3", "without --base and --head nothing is measured; leave out --steps"),
        ("svd --base a --head . --baselines b", "with the base; leave out --baselines"),
        ("runs/x runs/y --baselines b", "compared with each other; leave out --baselines"),
        ("svd --base v99 --head .", "'v99' is neither a virtual environment"),
    ],
)
def test_what_cannot_be_compared(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments.split()]) == 2
    assert message in capsys.readouterr().err

"""Gates over several GPUs: projects that pytest-xdist runs on GPUs that a fake NVML finds."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from accel import plugin, spread
from accel.baselines import write
from accel.core import Case
from accel.errors import BaselineError
from accel.methods import parse
from accel.models import default_request
from tests.examples import record
from tests.fake_nvml import GPUS, install

CONFTEST = """
    import accel.gpus
    accel.gpus._installed = lambda: {gpus!r}
"""

PROJECT = """
    import json, os, sys, time
    from pathlib import Path
    import pytest
    from accel.core import Case, Request
    from tests.examples import FewerSteps

    HERE = Path(__file__).parent

    def cases():
        method = FewerSteps()
        return [Case("svd", "untrained", Request(steps=n), method) for n in (1, 5, 2, 4, 3, 6)]

    def note(name):
        worker, gpu = os.environ["PYTEST_XDIST_WORKER"], os.environ["CUDA_VISIBLE_DEVICES"]
        with (HERE / f"seen-{worker}").open("a") as file:
            print(json.dumps([gpu, name]), file=file)

    @pytest.mark.gpu
    def test_other():
        note("other")

    @pytest.mark.gpu
    @pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
    @pytest.mark.parametrize("family", ["speed", "memory", "quality"])
    def test_gate(case, family):
        assert "torch" not in sys.modules
        note(case.request.steps)
        time.sleep(0.03)

    def test_on_a_cpu():
        note("cpu")
"""

CRASHING = """
    import os
    import pytest

    @pytest.mark.gpu
    @pytest.mark.parametrize("number", range(4))
    def test_it(number):
        if os.environ["PYTEST_XDIST_WORKER"] == "gw1":
            os._exit(1)
"""

UNTRAINED = Case("svd", "untrained", default_request("svd", "untrained"), parse("fewer_steps:15"))


@pytest.fixture
def project(pytester, monkeypatch):
    """A project whose tests note where they ran, on a machine with two GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    pytester.makeconftest(CONFTEST.format(gpus=GPUS[:2]))
    pytester.makepyfile(PROJECT)
    return pytester


def seen(project):
    """Worker -> what its tests noted, in their order."""
    return {
        path.name.removeprefix("seen-"): [
            json.loads(line) for line in path.read_text().split("\n")[:-1]
        ]
        for path in sorted(project.path.glob("seen-*"))
    }


def test_each_worker_has_a_gpu_and_whole_cases_the_longest_first(project):
    project.runpytest_subprocess("-m", "gpu", "-n", "auto").assert_outcomes(passed=19)
    found = seen(project)
    assert [{gpu for gpu, _ in notes} for notes in found.values()] == [{GPUS[0]}, {GPUS[1]}]
    orders = [[steps for _, steps in notes if steps != "other"] for notes in found.values()]
    for order in orders:
        assert order == sorted(order, reverse=True)
        assert all(order.count(steps) == 3 for steps in order)
    assert sorted(step for order in orders for step in order) == sorted([*range(1, 7)] * 3)
    assert {order[0] for order in orders} == {6, 5}
    assert any(notes[-1][1] == "other" for notes in found.values())


@pytest.mark.parametrize("outer", ["1", GPUS[1], "GPU-ab", "1,7"])
def test_gpus_that_are_hidden_get_no_worker(project, monkeypatch, outer):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", outer)
    project.runpytest_subprocess("-m", "gpu", "-n", "auto").assert_outcomes(passed=19)
    assert {worker: {gpu for gpu, _ in notes} for worker, notes in seen(project).items()} == {
        "gw0": {GPUS[1]}
    }


def test_more_workers_than_gpus_are_refused_before_any_test(project):
    result = project.runpytest_subprocess("-m", "gpu", "-n", "3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: -n: 3 workers for 2 visible GPU(s); at most one*"])
    assert seen(project) == {}


def test_a_crashed_worker_ends_the_run(project):
    project.makepyfile(CRASHING)
    result = project.runpytest_subprocess("-m", "gpu", "-n", "2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*worker 'gw1' crashed*", "*worker restarting disabled*"])


def test_other_runs_are_as_they_were(project, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    project.runpytest_subprocess("-n", "1", "-m", "not gpu").assert_outcomes(passed=1)
    assert seen(project) == {"gw0": [["0,1", "cpu"]]}


def test_without_a_gpu_its_tests_are_skipped(project):
    project.makeconftest(CONFTEST.format(gpus=()))
    project.runpytest_subprocess("-m", "gpu", "-n", "auto").assert_outcomes(skipped=19)


def config(**options):
    defaults = {"markexpr": "gpu", "numprocesses": 2, "tx": ["popen"] * 2, "dist": "load"}
    defaults |= {"loadscopereorder": True, "maxworkerrestart": None}
    option = SimpleNamespace(**{**defaults, **options})
    return SimpleNamespace(option=option, getoption=lambda name: getattr(option, name))


@pytest.mark.parametrize(
    ("expression", "wants"),
    [
        ("gpu", True),
        ("gpu and not slow", True),
        ("slow and (gpu)", True),
        ("", False),
        ("not gpu", False),
        ("gpus", False),
        ("cannot gpu", True),
    ],
)
def test_who_asks_for_gpus(monkeypatch, expression, wants):
    install(monkeypatch)
    asked = config(markexpr=expression)
    assert spread.wants_gpus(asked) == wants
    assert plugin.pytest_xdist_auto_num_workers(asked) == (len(GPUS) if wants else None)
    spread.place(asked)
    assert asked.option.loadscopereorder != wants
    assert (asked.option.tx == ["popen"] * 2) == (not wants)


@pytest.mark.parametrize(
    "options",
    [{"numprocesses": None, "tx": ["ssh=host"]}, {"numprocesses": 0, "tx": []}],
)
def test_workers_of_tx_and_none_are_left_alone(monkeypatch, options):
    install(monkeypatch)
    spread.place(asked := config(**options))
    assert vars(asked.option) == vars(config(**options).option)


def test_another_distribution_is_kept(monkeypatch):
    install(monkeypatch)
    spread.place(asked := config(dist="loadfile"))
    assert plugin.pytest_xdist_make_scheduler(asked, None) is None
    assert asked.option.tx == [f"popen//env:CUDA_VISIBLE_DEVICES={gpu}" for gpu in GPUS[:2]]


def accepted(root, hardware, method="fewer_steps:15", **metrics):
    """The baseline of a case of UNTRAINED's request."""
    case = Case(UNTRAINED.model, UNTRAINED.weights, UNTRAINED.request, parse(method))
    found = record(metrics, case=case.id, group=case.group, hardware=hardware)
    found.reference["seconds"] = 20.0
    return write(found, root)


def test_an_estimate_is_that_of_the_slowest_gpu(tmp_path):
    request = UNTRAINED.request
    pixels = request.width * request.height * request.frames * request.steps
    assert spread.estimate(UNTRAINED, tmp_path, pairs=2) == pytest.approx(4 * pixels / 2e7)
    accepted(tmp_path, "cpu", seconds=500.0)
    assert spread.estimate(UNTRAINED, tmp_path, pairs=2) == pytest.approx(4 * pixels / 2e7)
    accepted(tmp_path, "nvidia-h200", seconds=10.0, preparation_seconds=7.0)
    assert spread.estimate(UNTRAINED, tmp_path, pairs=2) == 67
    accepted(tmp_path, "nvidia-l4", seconds=30.0, preparation_seconds=5.0)
    assert spread.estimate(UNTRAINED, tmp_path, pairs=2) == 105


def test_the_reference_is_measured_alone(tmp_path):
    accepted(tmp_path, "nvidia-h200", "reference", seconds=20.0, preparation_seconds=1.0)
    case = Case(UNTRAINED.model, UNTRAINED.weights, UNTRAINED.request, parse("reference"))
    assert spread.estimate(case, tmp_path, pairs=3) == 61


def test_a_broken_baseline_is_no_estimate(tmp_path):
    path = accepted(tmp_path, "nvidia-h200")
    path.write_text("{")
    with pytest.raises(BaselineError, match=re.escape(str(path))):
        spread.estimate(UNTRAINED, tmp_path, pairs=3)

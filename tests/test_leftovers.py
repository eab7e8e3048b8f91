"""The end of a pytest run names the baselines that no gate asked for, if all gates were asked."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

import accel.gates
from accel import plugin
from accel.baselines import write
from accel.core import Case
from accel.methods import method_of, parse
from accel.models import default_request
from tests.examples import record

JUDGED = """
    import accel.gates, accel.gpus
    from tests.test_leftovers import judged
    accel.gates.Gate._judge = judged
    accel.gpus._installed = lambda: ("GPU-aa11", "GPU-bb22")
"""

PROJECT = """
    import pytest
    from tests.test_leftovers import case_of

    each = pytest.mark.parametrize("text", ["fewer_steps:10", "reference"])

    @each
    def test_cpu(gate, text):
        gate.verdict(case_of(text), "cpu")

    @pytest.mark.gpu
    @each
    def test_gpu(gate, text):
        assert gate.verdict(case_of(text), "cuda").record.hardware == "nvidia-h200"

    def test_other():
        assert True
"""
FIRST = "test_it.py::test_gpu[fewer_steps:10]"


def case_of(text):
    return Case("svd", "mini", default_request("svd", "mini"), parse(text))


def record_of(text, hardware):
    case = case_of(text)
    found = record(case=case.id, group=case.group, hardware=hardware, method=repr(case.method))
    return replace(found, request=asdict(case.request))


def judged(self, case, device):
    """Stands for measuring."""
    found = record(case=case.id, hardware="cpu" if device == "cpu" else "nvidia-h200")
    return accel.gates.Verdict(found, ())


@pytest.fixture(scope="module", autouse=True)
def _methods():
    """Imported before pytester is there, which forgets what is imported in its time."""
    method_of(record())


@pytest.fixture
def project(pytester, monkeypatch):
    """Gates of two cases on each device, beside the baselines of three, and an orphan."""
    monkeypatch.setattr("accel.gates.Gate._judge", judged)
    monkeypatch.setattr(plugin, "gpu_count", lambda: 1)
    pytester.makepyfile(test_it=PROJECT)
    root = pytester.path / "baselines"
    for hardware in ("cpu", "nvidia-h200", "nvidia-h100"):
        for text in ("reference", "fewer_steps:10", "fewer_steps:4"):
            write(record_of(text, hardware), root)
    write(replace(record_of("reference", "cpu"), case="gone@128x128x14-s25", method="Gone()"), root)
    return pytester


def told(result):
    """hardware/case of the baselines in the summary, by what they are called."""
    found = {"orphan": set(), "unused": set()}
    for line in result.outlines:
        word, _, rest = line.partition(" baseline ")
        if rest:
            path = Path(rest.partition(": ")[0])
            found[word].add(f"{path.parts[-3]} {path.stem.partition('@')[0]}")
    return found


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        ((), {"cpu fewer_steps-4", "nvidia-h200 fewer_steps-4"}),
        ((".",), {"cpu fewer_steps-4", "nvidia-h200 fewer_steps-4"}),
        (("-m", "gpu"), {"nvidia-h200 fewer_steps-4"}),
        (("-m", "not gpu"), {"cpu fewer_steps-4"}),
        (("-m", "gpu", "-k", "test_gpu"), set()),
        (("test_it.py",), set()),
        (("--deselect", FIRST), {"cpu fewer_steps-4"}),
        (("--ignore", "other.py"), set()),
    ],
)
def test_unused_is_what_no_gate_asked_for(project, arguments, unused):
    result = project.runpytest_inprocess(*arguments)
    assert result.ret == 0
    assert told(result) == {"orphan": {"cpu gone"}, "unused": unused}


def test_a_run_that_stops_early_names_nothing_unused(project):
    source = (project.path / "test_it.py").read_text()
    (project.path / "test_it.py").write_text(source.replace('== "nvidia-h200"', '== "other"'))
    result = project.runpytest_inprocess("-x")
    assert result.ret == 1
    assert told(result)["unused"] == {"cpu fewer_steps-4"}
    result = project.runpytest_inprocess()
    assert "nvidia-h200 fewer_steps-4" in told(result)["unused"], "a failure has asked"


def test_gates_that_were_skipped_have_not_asked(project, monkeypatch):
    monkeypatch.setattr(plugin, "gpu_count", lambda: 0)
    assert told(project.runpytest_inprocess())["unused"] == {"cpu fewer_steps-4"}


def test_a_run_without_gates_says_nothing(project):
    result = project.runpytest_inprocess("-k", "other")
    result.assert_outcomes(passed=1, deselected=4)
    assert "baselines" not in result.stdout.str()


def test_testpaths_are_all_paths(project):
    project.makeini("[pytest]\ntestpaths = mine")
    project.mkdir("mine")
    (project.path / "test_it.py").rename(project.path / "mine" / "test_it.py")
    for arguments in ((), ("mine",), (str(project.path),)):
        assert told(project.runpytest_inprocess("-m", "gpu", *arguments))["unused"]
    assert not told(project.runpytest_inprocess("-m", "gpu", "mine/test_it.py"))["unused"]


def test_workers_ask_together(project, monkeypatch):
    """Each of two workers asks for one of the two cases."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    project.makeconftest(JUDGED)
    result = project.runpytest_subprocess("-m", "gpu", "-n", "2", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines_random(["*gw0*PASSED*", "*gw1*PASSED*"])
    assert told(result) == {"orphan": {"cpu gone"}, "unused": {"nvidia-h200 fewer_steps-4"}}

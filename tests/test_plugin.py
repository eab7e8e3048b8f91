"""The pytest plugin, in projects of its own: markers, options, and the gate fixture."""

import shutil
import subprocess
import sys

import pytest

from accel import metrics, plugin
from accel.fetch import cache_folder
from tests.local_worker import LocalWorker

CACHE = cache_folder()
"""Of this machine: pytester moves the home folder."""

GATED = """
    from accel.methods import parse
    from accel.prove.costs import Off
    from accel.prove.videos import Black

    SMALL = dict(weights="pretrained", path={path!r}, width=128, height=128, frames=7, steps=3)

    def test_good(gate):
        verdict = gate.check(parse("fewer_steps:2"), **SMALL)
        assert verdict.record.counters["denoiser_calls"] == 2

    def test_black(gate):
        gate.check(Black(), **SMALL)

    def test_nothing(gate):
        gate.check(Off(), **SMALL)
"""


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(plugin, "gpu_count", lambda: 0)


@pytest.fixture
def project(pytester):
    """A project with one test that needs a GPU."""
    pytester.makepyfile("import pytest\n\n@pytest.mark.gpu\ndef test_it():\n    assert True\n")
    return pytester


def test_without_a_gpu_its_tests_are_skipped_with_the_reason(project, no_gpu):
    result = project.runpytest_inprocess("-rs", "--strict-markers")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*SKIPPED*needs an NVIDIA GPU, and NVML finds none*"])


def test_a_required_gpu_is_no_reason_to_skip(project, no_gpu):
    result = project.runpytest_inprocess("--require-gpu")
    result.assert_outcomes(errors=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*--require-gpu: test_it needs an NVIDIA GPU*"])


def test_with_a_gpu_its_tests_run(project, monkeypatch):
    monkeypatch.setattr(plugin, "gpu_count", lambda: 1)
    project.runpytest_inprocess("--require-gpu", "-m", "gpu").assert_outcomes(passed=1)


def test_strict_markers_know_gpu(pytester):
    result = pytester.runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.gpu: needs an NVIDIA GPU*"])
    pytester.makepyfile("import pytest\n\n@pytest.mark.gpo\ndef test_it():\n    pass\n")
    pytester.runpytest_inprocess("--strict-markers").assert_outcomes(errors=1)


def test_the_help_names_the_options(pytester):
    result = pytester.runpytest_inprocess("--help")
    options = ("--require-gpu", "--allow-inconclusive", "--accel-out", "--accel-baselines")
    result.stdout.fnmatch_lines_random(
        [f"*{option}*" for option in (*options, "--accel-pairs", "--accel-blocks", "--accel-cold")]
    )


def test_starting_pytest_imports_no_torch(tmp_path):
    """In a process of its own; neither does a test whose module has a gpu marker."""
    (tmp_path / "test_it.py").write_text(
        "import sys, pytest\n\n"
        "def test_modules():\n"
        "    assert 'accel.plugin' in sys.modules\n"
        "    assert not {'torch', 'diffusers', 'numpy'} & set(sys.modules)\n\n"
        "@pytest.mark.gpu\n"
        "def test_gpu():\n"
        "    assert True\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def gated(pytester, tiny_folder, monkeypatch):
    """A project with gates; the networks are imported before, as pytester forgets its imports."""
    monkeypatch.setenv("ACCEL_CACHE", str(CACHE))
    metrics.fingerprint()
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    pytester.makepyfile(GATED.format(path=str(tiny_folder)))
    return pytester


def test_the_gate_fixture(gated):
    """Without baselines; the same records with --allow-inconclusive, and beside baselines."""
    strict = gated.runpytest_inprocess("--accel-out=kept")
    strict.assert_outcomes(failed=3)
    strict.stdout.fnmatch_lines(
        [
            "svd.pretrained/fewer_steps-2@128x128x7-s3",
            "missing: no baseline for cpu; write one with `accel refresh`, then review it",
            "svd.pretrained/black@128x128x7-s3",
            "collapsed: this is no video: black*",
            "*NoEffectError: *int8_linears is 0, expected *",
        ]
    )
    (records,) = (gated.path / "kept").glob("cpu-*/records/svd.pretrained")
    before = {path.stem: path.read_bytes() for path in records.glob("*.json")}
    assert set(before) == {"fewer_steps-2@128x128x7-s3", "black@128x128x7-s3"}
    kept = ("--accel-out=kept", "-k", "good or black")
    allowing = gated.runpytest_inprocess(*kept, "--allow-inconclusive")
    allowing.assert_outcomes(passed=1, failed=1, deselected=1)
    allowing.stdout.fnmatch_lines(["collapsed: this is no video: black*"])
    assert {path.stem: path.read_bytes() for path in records.glob("*.json")} == before
    shutil.copytree(records.parent, gated.path / "accepted" / "cpu")
    beside = gated.runpytest_inprocess(*kept, "--accel-baselines=accepted")
    beside.assert_outcomes(passed=1, failed=1, deselected=1)


SHARED = """
    def test_it(gate):
        folder = gate._folder("cpu", None)
        (folder.path / f"seen-{folder.part}").touch()

    test_again = test_it
"""


@pytest.mark.parametrize("out", [(), ("--accel-out=kept",)])
def test_workers_share_the_run_folder(pytester, out):
    """As parts of it, so that each has its frames and all have one another's records."""
    pytester.makepyfile(SHARED)
    pytester.runpytest_subprocess(*out, "--basetemp=base", "-n", "2").assert_outcomes(passed=2)
    (run,) = (pytester.path / "kept" if out else pytester.path / "base").glob("**/cpu")
    assert {path.name for path in run.glob("*-*")} == {
        f"{name}-{part}" for name in ("frames", "logs", "seen") for part in ("gw0", "gw1")
    }


def test_a_run_without_workers_is_no_part(pytester):
    pytester.makepyfile(SHARED)
    pytester.runpytest_inprocess("--accel-out=kept").assert_outcomes(passed=2)
    found = {path.name for path in (pytester.path / "kept" / "cpu").iterdir()}
    assert found == {"frames", "logs", "records", "seen-"}

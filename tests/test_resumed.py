"""A run that goes on elsewhere: on other hardware, another machine, with other weights."""

import shutil
import sys
from dataclasses import replace

import pytest

from accel.core import Case
from accel.errors import InvalidRequestError
from accel.identity import incomparable
from accel.launch import Options
from accel.methods import parse
from accel.models import default_request
from accel.resumed import check_hardware, hardware_here
from accel.runner import Bench, reference_of
from accel.runs import RunFolder
from tests import fake_nvml
from tests.examples import record
from tests.local_worker import LocalWorker

ON_CPU = Options(pairs=1, device="cpu")
REQUEST = default_request("svd", "mini", frames=2, steps=2, width=64, height=64)


@pytest.fixture(scope="module")
def began(tiny_folder, tmp_path_factory):
    """Weights, and a finished run of one method and its reference; read only."""
    base = tmp_path_factory.mktemp("began")
    weights = shutil.copytree(tiny_folder, base / "weights")
    case = Case("svd", "pretrained", REQUEST, parse("fewer_steps:1"), str(weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.launch.Worker", LocalWorker)
        run(base / "run", case)
    return base / "run", case


@pytest.fixture
def begun(began, tmp_path, monkeypatch):
    """A copy of the run, to be changed and resumed."""
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    return RunFolder(shutil.copytree(began[0], tmp_path / "run")), began[1]


def run(path, case):
    with Bench(RunFolder(path), ON_CPU, lambda text: None) as bench:
        return bench.run([case, reference_of(case)])


def put(folder, case, **changes):
    """Change what a record tells of its run."""
    found = folder.record(case)
    folder.write(case, replace(found, run={**found.run, **changes}))


def run_ids(folder, case):
    return [one.run["run"] for one in folder.records([case, reference_of(case)])]


def test_the_hardware_here(monkeypatch):
    fake_nvml.install(monkeypatch)
    assert hardware_here("cpu") == "cpu"
    assert hardware_here(None) == hardware_here("cuda:1") == "nvidia-h200"
    fake_nvml.install(monkeypatch, None)
    assert hardware_here(None) == "cpu"


def test_a_gpu_without_a_name_is_left_to_the_worker(monkeypatch):
    def silent(handle):
        raise fake_nvml.NVMLError

    fake_nvml.install(monkeypatch)
    monkeypatch.setattr(sys.modules["pynvml"], "nvmlDeviceGetName", silent)
    assert hardware_here(None) is None


@pytest.mark.parametrize(
    ("before", "here", "remedy"),
    [
        ("nvidia-h100", "nvidia-h200", "choose another --out for nvidia-h200$"),
        ("cpu", "nvidia-h200", "choose another --out for nvidia-h200, or --device cpu"),
        ("nvidia-h100", "cpu", "choose another --out for cpu, or --device cuda"),
    ],
)
def test_records_of_other_hardware_are_refused(tmp_path, before, here, remedy):
    folder, records = RunFolder(tmp_path), [record(hardware=here), record(hardware=before)]
    with pytest.raises(InvalidRequestError, match=rf"was measured on {before}; {remedy}"):
        check_hardware(folder, records, here)
    check_hardware(folder, records[:1], here)
    check_hardware(folder, records, None)


def test_a_case_of_another_gpu_is_not_taken(begun, no_worker, monkeypatch):
    folder, case = begun
    found = replace(folder.record(case), hardware="nvidia-h100")
    folder.write(case, found)
    fake_nvml.install(monkeypatch)
    bench = Bench(folder, Options(pairs=1), lambda text: None)
    with pytest.raises(InvalidRequestError, match=r"measured on nvidia-h100; .* for nvidia-h200"):
        bench.measure(case)


def test_a_worker_that_finds_itself_on_other_hardware_measures_nothing(begun):
    """NVML tells only of the cases that are asked for again; the reference's worker of all."""
    folder, case = begun
    folder.write(case, replace(folder.record(case), hardware="nvidia-h100"))
    other = replace(case, request=replace(REQUEST, steps=3))
    with (
        Bench(folder, ON_CPU, lambda text: None) as bench,
        pytest.raises(InvalidRequestError, match=r"measured on nvidia-h100; .* for cpu"),
    ):
        bench.measure(other)
    assert bench._reference is None
    assert folder.record(other) is None


@pytest.mark.parametrize("elsewhere", [{"boot": "another"}, {"gpu": "GPU-another"}])
def test_a_run_that_goes_on_elsewhere_measures_its_reference_again(begun, elsewhere):
    folder, case = begun
    for one in (case, reference_of(case)):
        put(folder, one, **elsewhere)
    before = run_ids(folder, case)
    run(folder.path, case)
    assert run_ids(folder, case) == before, "nothing was left to be measured"
    folder._record_path(case).unlink()
    run(folder.path, case)
    after = run_ids(folder, case)
    assert after[0] == after[1]
    assert after[0] not in before


def test_on_the_same_machine_the_reference_stays(begun):
    folder, case = begun
    before = run_ids(folder, case)
    folder._record_path(case).unlink()
    run(folder.path, case)
    after = run_ids(folder, case)
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_parts_of_a_run_share_a_reference_of_any_of_their_gpus(begun):
    folder, case = begun
    put(folder, reference_of(case), gpu="GPU-of-another-worker")
    folder._record_path(case).unlink()
    before = folder.record(reference_of(case))
    with Bench(RunFolder(folder.path, "gw1"), ON_CPU, lambda text: None) as bench:
        bench.run([case, reference_of(case)])
    assert folder.record(reference_of(case)) == before


def test_other_weights_in_the_same_place_are_told(begun, tmp_path, tiny_folder):
    """On resuming, and between two runs; a record that does not tell its weights is compared."""
    weights = shutil.copytree(tiny_folder, tmp_path / "weights")
    folder, case = RunFolder(tmp_path / "old"), replace(begun[1], path=str(weights))
    old, _ = run(folder.path, case)
    run(folder.path, case)
    path = next(weights.glob("vae/*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with (
        Bench(folder, ON_CPU, lambda text: None) as bench,
        pytest.raises(InvalidRequestError, match=r"other weights: vae/.*safetensors [0-9a-f]{12}…"),
    ):
        bench.measure(case)
    new, _ = run(tmp_path / "new", case)
    assert "weights.vae/" in incomparable(new, old, "the baseline")
    silent = {name: told for name, told in old.fingerprint.items() if name != "weights"}
    assert incomparable(new, replace(old, fingerprint=silent), "the baseline") == ""

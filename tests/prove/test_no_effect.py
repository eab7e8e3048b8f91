"""The checks that end a case before there is a record: taken out, their defects pass unseen."""

import pytest

from accel.core import Case
from accel.errors import CaseError
from accel.launch import Options
from accel.methods import int8_weight_only
from accel.models import default_request
from accel.prove.costs import Copied, Idle, Off, Twice
from accel.prove.proof import Evidence, rows
from accel.runner import Bench
from accel.runs import RunFolder
from accel.side import Side
from tests.local_worker import LocalWorker


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr("accel.launch.Worker", LocalWorker)
    options = Options(pairs=1, device="cpu")
    with Bench(RunFolder(tmp_path), options, lambda text: None) as bench:
        yield bench


def caught(bench, defect, folder):
    """Whether its own check catches the defect on the tiny pipeline."""
    request = default_request("svd", "mini", frames=4, steps=2)

    def outcome(method):
        try:
            return bench.measure(Case("svd", "pretrained", request, method, str(folder)))
        except CaseError as error:
            return error

    healthy, planted = outcome(defect.host), outcome(defect)
    (row,) = rows(defect, Evidence({defect.host: healthy}, {defect: planted}))
    return row.caught


def replaced(root, make):
    """replace_linears, without its question whether there was any."""
    for parent in list(root.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ == "Linear":
                setattr(parent, name, make(child))


@pytest.mark.parametrize(
    ("defect", "owner", "check", "without"),
    [
        (Off(), Side, "check_counters", lambda self: None),
        (Idle(), Side, "check_difference", lambda self, reference: None),
        (Copied(), Side, "check_difference", lambda self, reference: None),
        (Twice(), int8_weight_only, "replace_linears", replaced),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "name", ""),
)
def test_with_and_without_its_check(bench, tiny_folder, monkeypatch, defect, owner, check, without):
    assert caught(bench, defect, tiny_folder) == "yes"
    monkeypatch.setattr(owner, check, without)
    assert caught(bench, defect, tiny_folder) == "no"

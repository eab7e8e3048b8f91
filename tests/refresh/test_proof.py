"""A calibrated limit that lets a planted defect pass; on records that are made up."""

from dataclasses import replace

import pytest

from accel.errors import InvalidRequestError, NoEffectError, RefusedError
from accel.prove.costs import Slower
from accel.prove.healthy import Unedited
from accel.prove.inputs import LostMotion
from accel.prove.measure import _outcome
from accel.prove.proof import Evidence
from accel.refresh import proof
from accel.refresh.proof import check, is_widened, prove, unproved
from tests.examples import record
from tests.prove.test_proof import of


def wide(**tolerances):
    return record(
        run={"calibration": {"repeats": 3, "tolerances": tolerances}, "modules": []},
        method="Reference()",
        case="reference@128x128x14-s15",
    )


def slower():
    return of(Slower(), {"speedup": 1.5 / 1.05})


def test_a_limit_that_still_catches_it():
    assert list(unproved(slower(), wide(speedup=0.045))) == []
    check(slower(), wide(speedup=0.045))


def test_a_limit_that_lets_a_defect_pass_is_refused():
    """5 % of sleep, under a limit of 5.1 %."""
    with pytest.raises(RefusedError) as caught:
        check(slower(), wide(speedup=0.05))
    assert "limits let a planted defect pass: slower by speed: speedup (in the" in str(caught.value)
    assert "-4.8 %, allowed 5.1 % (calibrated)" in str(caught.value)


def test_each_check_of_a_defect_counts():
    moved = {"motion_ratio": 0.4, "motion_amount": 0.5, "psnr": 30.0}
    evidence = of(LostMotion(), moved)
    assert list(unproved(evidence, wide())) == []
    (line,) = unproved(evidence, wide(motion_amount=0.8))
    assert line.startswith("lost_motion by quality: motion_amount (in the baseline): pass: ")


def test_a_host_that_is_not_healthy_proves_nothing():
    evidence = slower()
    ill = replace(evidence.healthy[Unedited()], reference={"sanity": "black: 14 frames"})
    found = list(unproved(Evidence({Unedited(): ill}, evidence.planted), wide()))
    assert any(line.startswith("the healthy svd.pretrained/") for line in found)


def test_what_has_to_be_proved():
    assert not is_widened(wide(speedup=0.03, clip=0.001))
    assert is_widened(wide(speedup=0.041))
    assert not is_widened(record(run={"calibration": {"repeats": 1}}))


@pytest.fixture
def proved(monkeypatch):
    """Stands for the measuring of defects; the cases that it was asked for."""
    asked = []

    def measured(bench, case, repeats):
        asked.append(case)
        assert repeats == 0
        return slower()

    monkeypatch.setattr(proof, "measure", measured)
    return asked


def test_it_is_measured_once_for_each_request(proved, tmp_path):
    one = wide(speedup=0.045)
    other = replace(one, request={**one.request, "steps": 4}, case="reference@128x128x14-s4")
    prove([one, replace(one, method="FewerSteps(steps=2)"), other], tmp_path, print)
    assert [case.id for case in proved] == ["reference@128x128x14-s15", "reference@128x128x14-s4"]
    assert (tmp_path / "svd.pretrained").is_dir()
    with pytest.raises(RefusedError, match="slower by speed"):
        prove([wide(speedup=0.06)], tmp_path, print)


@pytest.mark.parametrize("change", [{"hardware": "cpu"}, {"fingerprint": {"source": "other"}}])
def test_defects_of_another_machine_or_code_are_refused(proved, tmp_path, change):
    found = replace(wide(speedup=0.045), **change)
    with pytest.raises(RefusedError, match=r"has defects of .*; delete it, and run"):
        prove([found], tmp_path, print)


def test_without_the_hardware_it_says_where_to_prove(monkeypatch, tmp_path):
    def absent(*asked, **more):
        raise InvalidRequestError("device 'cuda' is not here")

    monkeypatch.setattr(proof, "measure", absent)
    with pytest.raises(RefusedError, match=r"run the same command on nvidia-h200 first"):
        prove([wide(speedup=0.045)], tmp_path, print)


def test_without_the_hardware_what_it_left_in_the_folder_is_read(monkeypatch, tmp_path):
    def measured(bench, case, repeats):
        with pytest.raises(InvalidRequestError, match=f"svd.pretrained holds no {case.id}"):
            bench.measure(case)
        bench.folder.write(case, wide())
        assert bench.measure(case).hardware == "nvidia-h200"
        return slower()

    monkeypatch.setattr(proof, "measure", measured)
    prove([wide(speedup=0.045)], tmp_path, print)


class Failing:
    """Stands for a Bench whose case is refused, and for its folder."""

    def __init__(self):
        self.folder, self.kept, self.asked = self, {}, 0

    def failures(self):
        return self.kept

    def fail(self, case, text):
        self.kept[case.id] = text

    def measure(self, case):
        self.asked += 1
        raise NoEffectError("applied twice")


def test_a_defect_without_effect_is_not_measured_again():
    from accel.cases import case_of

    bench, case = Failing(), case_of(wide())
    for _ in range(2):
        outcome = _outcome(bench, case)
        assert (type(outcome), str(outcome)) == (NoEffectError, "applied twice")
    assert bench.asked == 1

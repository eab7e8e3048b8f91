"""`accel prove` without the measuring: what it prints of a gate that catches nothing, its codes."""

from dataclasses import replace

import pytest

from accel.__main__ import main
from accel.prove import DEFECTS, command
from accel.prove.proof import Evidence
from tests.examples import record


def blind(bench, case, repeats, defects):
    """Every defect left the record as it was."""
    assert (case.request.steps, bench.options.device) == (4, "cpu")
    host = replace(record({"lpips": 0.0, "psnr": 100.0}), fidelity="exact")
    hosts = {defect.host: host for defect in defects}
    return Evidence(hosts, dict.fromkeys(defects, host), [host] * repeats)


def asked(tmp_path, *more):
    return main(["prove", "--device", "cpu", "--steps", "4", "--out", str(tmp_path), *more])


def test_a_gate_that_catches_nothing_fails_the_proof(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "measure", blind)
    assert asked(tmp_path, "--repeats", "5") == 1
    printed = capsys.readouterr().out
    assert "not caught: off by NoEffectError (int8_linears is 0, expected): it was " in printed
    assert "not caught: slower by speed: speedup (in the baseline): pass: speedup is" in printed
    assert "checks: 0 caught, " in printed
    assert "4 cannot be shown here" in printed
    assert printed.endswith("A/A: 0 false alarms in 5 repeats; the rate is 0.0 to 52.2 % (95 %)\n")


def test_cold_adds_the_defects_of_a_cold_start(tmp_path, monkeypatch):
    def planted(bench, case, repeats, defects):
        assert bench.options.cold == (defects != DEFECTS)
        told.append([defect.name for defect in defects if defect not in DEFECTS])
        return blind(bench, case, repeats, defects)

    told: list[list[str]] = []
    monkeypatch.setattr(command, "measure", planted)
    assert asked(tmp_path) == asked(tmp_path, "--cold") == 1
    assert told == [[], ["recompiling", "forgetful", "sluggish"]]


@pytest.mark.parametrize(("option", "given", "least"), [("repeats", 0, 1), ("blocks", -1, 0)])
def test_too_few_are_refused_before_anything(tmp_path, no_worker, capsys, option, given, least):
    assert asked(tmp_path, f"--{option}", str(given)) == 2
    assert f"--{option} is {given}; it must be at least {least}" in capsys.readouterr().err

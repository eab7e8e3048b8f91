"""Records that must not become baselines, each by its own reason."""

from dataclasses import replace

import pytest

from accel import environment
from accel.errors import RefusedError
from accel.gate import judge
from accel.refresh.refusals import (
    check_batch,
    check_clean,
    check_machine,
    check_tree,
    provenance,
)
from tests.asking import COMMIT
from tests.examples import on_cpu, record

DIRTY = {**COMMIT, "dirty": True}
COOL = {"throttle": ["power_cap"], "foreign_processes": 0.0}


def here(monkeypatch, git, source="s" * 64, installed=False):
    monkeypatch.setattr(environment, "checkout", lambda: git)
    monkeypatch.setattr(environment, "source", lambda: source)
    monkeypatch.setattr(environment, "is_installed", lambda: installed)


def of(git=None, source="s" * 64):
    return record(fingerprint={"source": source, **({"git": git} if git else {})})


# the tree


def test_a_dirty_tree_is_refused_before_anything_is_measured(monkeypatch):
    here(monkeypatch, DIRTY)
    with pytest.raises(RefusedError, match=r"not in commit cccccccccccc; commit or stash"):
        check_tree()
    here(monkeypatch, COMMIT)
    check_tree()
    here(monkeypatch, None)
    check_tree()


def test_a_record_of_a_dirty_tree_is_refused_wherever_it_is_accepted(monkeypatch):
    here(monkeypatch, COMMIT)
    with pytest.raises(RefusedError, match=r"was measured in a tree with changes"):
        check_clean(of(DIRTY))
    with pytest.raises(RefusedError, match=r"was measured in a tree with changes"):
        provenance(of(DIRTY))
    check_clean(of(COMMIT))


def test_a_record_of_a_clean_tree_is_accepted_in_another(monkeypatch):
    here(monkeypatch, DIRTY, source="other")
    assert provenance(of(COMMIT)).fingerprint["git"] == COMMIT


def test_a_record_without_git_gets_the_commit_of_the_same_code(monkeypatch):
    here(monkeypatch, COMMIT)
    assert provenance(of()).fingerprint["git"] == COMMIT


@pytest.mark.parametrize(
    ("git", "source", "message"),
    [
        (COMMIT, "t" * 64, "by accel of source ssssssssssss, and this is tttttttttttt; accept it"),
        (DIRTY, "s" * 64, "the tree has changes that are not in commit cccccccccccc"),
        (None, "s" * 64, "and this tree is no checkout either; accept it with --from"),
    ],
)
def test_a_record_without_git_is_refused(monkeypatch, git, source, message):
    here(monkeypatch, git, source)
    with pytest.raises(RefusedError, match=message):
        provenance(of())


def test_an_installed_accel_is_known_by_its_source(monkeypatch):
    here(monkeypatch, None, installed=True)
    assert provenance(of()) == of()


# the machine


def seen(*telemetry, metrics=None, **changes):
    samples = {"candidate": [{"telemetry": t} for t in telemetry], "reference": [], "blocks": []}
    return record(metrics, samples={**samples, **changes})


def check(found):
    check_machine(found, judge(found, None))


@pytest.mark.parametrize(
    ("telemetry", "message"),
    [
        ({"throttle": ["hardware_thermal"]}, "the GPU was slowed down: hardware_thermal"),
        ({"throttle": ["power_brake", "power_cap"]}, "the GPU was slowed down: power_brake"),
        ({**COOL, "foreign_processes": 2.0}, "2 foreign processes were on the GPU"),
        ({}, "nothing watched the GPU"),
    ],
)
@pytest.mark.parametrize("side", ["candidate", "reference"])
def test_a_hot_shared_or_unwatched_gpu(telemetry, message, side):
    other = COOL if telemetry else {}
    samples = {"candidate": [{"telemetry": other}], "reference": [{"telemetry": other}]}
    found = record(samples={**samples, side: [{"telemetry": telemetry}]})
    with pytest.raises(RefusedError, match=rf"{message}.*measure anew"):
        check(found)


def test_a_gpu_at_its_power_cap_is_healthy():
    check(seen(COOL, COOL))
    check(seen({"throttle": []}))


def test_nobody_watches_a_cpu():
    found = on_cpu(samples={"candidate": [{"telemetry": {}}]})
    check(found)


def test_too_many_rejected_blocks():
    blocks = [{"rejected": "the GPU was slowed down: power_brake"}] * 2 + [{"rejected": ""}]
    found = seen(COOL, metrics={"blocks_rejected": 2 / 3}, blocks=blocks)
    with pytest.raises(RefusedError, match="67% of the blocks were rejected"):
        check(found)


def test_blocks_that_do_not_compose_a_generation():
    with pytest.raises(RefusedError, match=r"a speed-up 1.2 times that of whole generations"):
        check(seen(COOL, metrics={"blocks_rejected": 0.0, "composition": 1.2}))


# the batch


@pytest.mark.parametrize(
    ("metric", "values", "message"),
    [
        ("speedup", (1.5, 1.5, 1.6), "speedup is 1.6x in repeat 3, and 1.5x in the middle of 3"),
        ("memory.peak.allocated_mib", (300, 320, 300), "is 320 MiB in repeat 2, and 300 MiB"),
        ("lpips", (0.20, 0.20, 0.23), "lpips is 0.23 in repeat 3, and 0.2 in the middle"),
        ("psnr", (48.5, 45.0, 48.5), "psnr is 45 dB in repeat 2"),
    ],
)
def test_a_repeat_that_is_far_from_the_others(metric, values, message):
    with pytest.raises(RefusedError, match=rf"{message}.*: more than 5% apart; find out why"):
        check_batch([record({metric: value}) for value in values])


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("speedup", (1.5, 1.5, 1.57)),
        ("lpips", (0.0002, 0.0003, 0.0002)),
        ("memory.peak.reserved_mib", (390, 390, 430)),
        ("seconds", (1.0, 2.0, 3.0)),
    ],
)
def test_a_repeat_that_the_table_would_allow(metric, values):
    """5 % of nearly nothing is nothing; seconds are not gated."""
    check_batch([record({metric: value}) for value in values])


def test_the_speed_of_mini_models_is_not_judged():
    check_batch([record({"speedup": s}, group="svd.mini") for s in (1.5, 3.0)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counters": {"denoiser_calls": 14, "graph_breaks": 0}}, "denoiser_calls 15 -> 14"),
        ({"metrics": {**record().metrics, "motion_class": "jerky"}}, "smooth -> jerky"),
        ({"hardware": "cpu"}, "hardware nvidia-h200 -> cpu"),
        ({"run": {"options": {"pairs": 10}}}, "options None -> {'pairs': 10}"),
        ({"fingerprint": {**record().fingerprint, "git": COMMIT}}, "git None -> {'commit': 'ccc"),
        ({"fingerprint": {**record().fingerprint, "versions": {}}}, "versions {'torch': '2.11.0'}"),
    ],
)
def test_a_repeat_of_something_else(change, message):
    with pytest.raises(RefusedError, match=rf"repeat 2 is another: .*{message}"):
        check_batch([record(), replace(record(), **change)])


def test_a_repeat_that_lacks_a_metric():
    with pytest.raises(RefusedError, match=r"has clip True -> None; find out why"):
        check_batch([record(), record({"clip": None})])


def test_one_repeat_agrees_with_itself():
    check_batch([record()])


def test_another_gpu_of_the_same_kind_is_a_repeat():
    gpus = [{"name": "NVIDIA H200", "uuid": uuid, "driver": "570"} for uuid in "ab"]
    check_batch([record(fingerprint={"gpu": gpu}) for gpu in gpus])

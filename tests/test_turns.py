"""Blocks of single calls: their order, when they end, and which do not count."""

import random
from math import exp, log

import pytest

from accel import turns
from accel.turns import accepted, block_metrics, composed, measure, rejection, too_many

SAMPLE = {
    "seconds": 3.0,
    "calls": {"denoise 2": 10, "decode 7": 1},
    "between": 0.5,
}


class Played:
    """Stands for a Side and its worker: calls take what `noise` says, times `factor`."""

    gpu = None
    pid = 1

    def __init__(self, name, order, factor=1.0, noise=None):
        self.name, self.order, self.factor = name, order, factor
        self.noise = noise or (lambda turn: 1.0)
        self.samples, self.worker = [SAMPLE], self

    def calls(self, stage):
        self.order.append(self.name)
        factor = self.factor * self.noise(len(self.order))
        decode = {} if stage == "denoise" else {"decode 7": 0.5 * factor}
        return {"denoise 2": 0.2 * factor, **decode}


def played(most, factor=0.5, noise=None):
    order = []
    sides = Played("A", order, 1.0, noise), Played("B", order, factor, noise)
    return measure(*sides, most, [1]), "".join(order)


def block(reference=1.0, candidate=1.0, rejected=""):
    return {"reference": [reference] * 2, "candidate": [candidate] * 2, "rejected": rejected}


def test_the_sides_take_turns():
    blocks, order = played(2)
    assert order == "ABBABAAB"
    assert [block["rejected"] for block in blocks] == ["", ""]
    assert [len(block["telemetry"]) for block in blocks] == [4, 4]


def test_calls_compose_a_generation():
    """10 x 0.2 + 0.5, and 0.5 between the stages, which stays as it is."""
    (block,), _ = played(1)
    assert block["reference"] == pytest.approx([3.0, 3.0])
    assert block["candidate"] == pytest.approx([1.75, 1.75])
    assert accepted([block]) == pytest.approx([log(3 / 1.75)])


def test_the_fewest_seconds_between_the_calls_count():
    """A generation that the host held up between them must not slow every block."""
    sides = Played("A", []), Played("B", [])
    sides[1].samples = [{**SAMPLE, "between": seconds} for seconds in (0.8, 0.5, 0.7)]
    (block,) = measure(*sides, 1, [1])
    assert block["candidate"] == pytest.approx(block["reference"])


def test_what_is_not_denoising_is_timed_once_by_each_side_in_each_block():
    """Turns 1 and 4 of the first block are the reference's, 2 and 3 of the second."""
    noise = {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.5, 5: 1.0, 6: 2.0, 7: 3.0, 8: 1.0}
    blocks, _ = played(2, 1.0, noise.__getitem__)
    assert blocks[0]["reference"] == pytest.approx([0.5 + 2.0 + 0.5, 0.5 + 1.0 + 0.5])
    assert blocks[1]["reference"] == pytest.approx([0.5 + 4.0 + 1.0, 0.5 + 6.0 + 1.0])


class Noisy(Played):
    """Each call by itself is up to 1 % off or so, and decoding is the better part."""

    def __init__(self, dice):
        super().__init__("A", [])
        self.dice = dice
        self.samples = [{**SAMPLE, "calls": {"denoise 2": 4, "decode 7": 1}, "between": 0.1}]

    def calls(self, stage):
        decode = {} if stage else {"decode 7": 2.0 * exp(self.dice.gauss(0, 0.01))}
        return {"denoise 2": 0.6 * exp(self.dice.gauss(0, 0.01)), **decode}


def test_the_interval_covers_what_is_timed_once_too():
    """98.3 % at each look: of 300 runs without a difference 5 should exclude 0, and 13 may."""
    dice = random.Random(0)
    ends = [
        block_metrics(measure(Noisy(dice), Noisy(dice), 10, [1]), (1.0, 1.0)) for _ in range(300)
    ]
    missed = sum(not found["speedup_low"] <= 1 <= found["speedup_high"] for found in ends)
    assert missed <= 13


def test_a_quiet_machine_needs_one_look():
    assert len(played(40)[0]) == 10


def test_a_noisy_one_is_looked_at_again_and_no_more_than_asked():
    def noise(turn):
        return exp(0.2 * (-1) ** (turn // 2))

    assert len(played(40, noise=noise)[0]) == 40
    assert len(played(25, noise=noise)[0]) == 25


def test_rejected_blocks_are_replaced_until_they_are_too_many(monkeypatch):
    reasons = iter(["hot", "", "", "", "hot", *[""] * 7])
    monkeypatch.setattr(turns, "rejection", lambda *watched: next(reasons))
    blocks, _ = played(10)
    assert (len(blocks), len(accepted(blocks))) == (12, 10)
    monkeypatch.setattr(turns, "rejection", lambda *watched: "hot")
    blocks, _ = played(10)
    assert (len(blocks), too_many(blocks)) == (10, True)


@pytest.mark.parametrize(("bad", "many"), [(2, False), (3, True)])
def test_more_than_a_quarter_rejected_is_too_many(bad, many):
    blocks = [block(rejected="hot")] * bad + [block()] * (10 - bad)
    assert too_many(blocks) is many
    assert not too_many(blocks[:9])


COOL = {"sm_clock_mhz": 1980.0, "throttle": [], "foreign_processes": 0.0}


@pytest.mark.parametrize(("slow", "reason"), [(["power_cap"], ""), ([], "the sides ran at")])
def test_it_is_the_slower_side_that_has_to_be_capped(slow, reason):
    sides = (
        [{**COOL, "throttle": ["power_cap"]}] * 2,
        [{"sm_clock_mhz": 1200, "throttle": slow}] * 2,
    )
    assert rejection(*sides)[:16] == rejection(*reversed(sides))[:16] == reason


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({}, ""),
        ({"throttle": ["hardware_thermal"]}, "the GPU was slowed down: hardware_thermal"),
        ({"foreign_processes": 2.0}, "2 foreign processes were on the GPU"),
        ({"ecc_errors": 1.0}, "1 ECC errors that could not be corrected"),
        ({"sm_clock_mhz": 1945.0}, ""),
        ({"sm_clock_mhz": 1800.0}, "the sides ran at different clocks: 1800 and 1980 MHz"),
        ({"sm_clock_mhz": 1800.0, "throttle": ["power_cap"]}, ""),
        ({"throttle": ["power_cap", "power_brake"]}, "the GPU was slowed down: power_brake"),
    ],
)
def test_what_rejects_a_block(turn, reason):
    assert rejection([COOL, COOL], [{**COOL, **turn}] * 2) == reason


def test_a_machine_that_tells_nothing_rejects_nothing():
    assert rejection([{}, {}], [{}, {}]) == ""


def test_blocks_tell_the_speedup():
    blocks = [block(2.0, 1.0), block(2.2, 1.0), block(9.9, 1.0, "hot"), *[block(2.1, 1.0)] * 8]
    found = block_metrics(blocks, whole=(21.0, 10.0))
    assert found["speedup"] == pytest.approx(2.1)
    assert (found["speedup_low"], found["speedup_high"]) == pytest.approx((2.05, 2.15), abs=0.06)
    assert found["speedup_pairs"] == 10
    assert found["blocks_rejected"] == pytest.approx(1 / 11)
    assert found["composition"] == pytest.approx(1.0)
    assert 1 < found["speedup_detectable"] < 1.1


def test_without_a_block_that_counts_there_is_no_speedup():
    assert block_metrics([block(rejected="hot")], (1.0, 1.0)) == {"blocks_rejected": 1.0}


def test_what_was_never_timed_is_an_error():
    with pytest.raises(KeyError, match="interpolate"):
        composed({"interpolate 7": 1}, {}, between=0)

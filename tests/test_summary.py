"""Samples to numbers: medians, peaks, break-even, and what was not measured stays absent."""

from math import ceil
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from accel.summary import cost_metrics, input_name, of_inputs, pair_metrics, quality_metrics

SECONDS = st.floats(0.01, 1000)
MIB = st.floats(1, 1e6)
PREPARATION = {"load": 100.0, "apply": 2.0, "warm": 3.0}


def sample(seconds=1.0, memory=None, denoise=(0.2, 0.4), **telemetry):
    stages = {"encode_image": [0.1], "denoise": list(denoise), "decode": [0.1, 0.1]}
    return {
        "seconds": seconds,
        "stages": stages,
        "memory": memory or {"denoise": {"rss_mib": 10.0}, "peak": {"rss_mib": 10.0}},
        "telemetry": telemetry,
    }


def cost(seconds, preparation):
    return {"seconds": seconds, "preparation_seconds": preparation}


@given(st.lists(SECONDS, min_size=1, max_size=9), st.integers(1, 25))
def test_seconds_are_medians(seconds, frames):
    found = cost_metrics([sample(s) for s in seconds], frames, PREPARATION)
    assert found["seconds"] == median(seconds)
    assert found["s_per_frame"] * frames == pytest.approx(found["seconds"])
    assert found["fps"] * found["s_per_frame"] == pytest.approx(1)


def test_loading_is_no_preparation():
    assert cost_metrics([sample()], 7, PREPARATION)["preparation_seconds"] == 5.0


def test_stages_are_sums_of_their_calls_and_a_call_is_by_itself():
    samples = [sample(denoise=times) for times in ((1.0, 2.0), (3.0, 9.0), (2.0, 2.0))]
    found = cost_metrics(samples, 7, PREPARATION)
    assert found["seconds.denoise"] == 4.0
    assert found["seconds.denoise_call"] == 2.0
    assert found["seconds.decode"] == pytest.approx(0.2)


@given(st.lists(st.tuples(MIB, MIB), min_size=1, max_size=9))
def test_memory_is_the_largest_of_all_samples(peaks):
    samples = [sample(memory={"denoise": {"a_mib": d}, "peak": {"a_mib": p}}) for d, p in peaks]
    found = cost_metrics(samples, 7, PREPARATION)
    assert found["memory.denoise.a_mib"] == max(d for d, _ in peaks)
    assert found["memory.peak.a_mib"] == max(p for _, p in peaks)


def test_telemetry():
    samples = [
        sample(temperature_c=60, sm_clock_mhz=1000, energy_j=10.0, process_mib=700.0),
        sample(temperature_c=70, sm_clock_mhz=1200, energy_j=20.0, process_mib=500.0),
        sample(temperature_c=65, sm_clock_mhz=1900, energy_j=60.0),
    ]
    found = cost_metrics(samples, 7, PREPARATION)
    assert found["temperature_c"] == 70
    assert found["sm_clock_mhz"] == 1200
    assert found["energy_j"] == 30
    assert found["memory.peak.process_mib"] == 700


def test_what_nvml_does_not_tell_is_absent():
    found = cost_metrics([sample(), sample()], 7, PREPARATION)
    unknown = {"temperature_c", "sm_clock_mhz", "energy_j", "memory.peak.process_mib"}
    assert not unknown & set(found)
    assert all(isinstance(value, int | float) for value in found.values())


def test_the_speed_up_of_one_pair():
    found = pair_metrics([sample(2.0)], [sample(3.0)], cost(2.0, 0.0), cost(3.0, 0.0))
    assert found == {
        "speedup": pytest.approx(1.5),
        "speedup_low": pytest.approx(1.5),
        "speedup_high": pytest.approx(1.5),
        "speedup_pairs": 1,
        "break_even_videos": 0,
    }


def test_two_pairs_tell_what_change_they_could_have_seen():
    pairs = [sample(2.0), sample(2.0)], [sample(3.0), sample(3.3)]
    found = pair_metrics(*pairs, cost(2.0, 0.0), cost(3.15, 0.0))
    ends = student.ppf(0.75, 1) + student.ppf(0.95, 1)  # both pairs cover half
    assert found["speedup_detectable"] == pytest.approx(1.1 ** (1.15 * ends / 2))


@given(SECONDS, SECONDS, st.floats(-100, 1000))
def test_break_even(reference, candidate, extra):
    """The first number of videos at which preparation and generation take no longer."""
    sides = [sample(candidate)], [sample(reference)]
    found = pair_metrics(*sides, cost(candidate, 100 + extra), cost(reference, 100.0))
    if found["speedup"] <= 1:  # a difference in the last digit is no speed-up either
        assert candidate >= reference * (1 - 1e-9)
        assert "break_even_videos" not in found
        return
    videos, saved = found["break_even_videos"], reference - candidate
    assert videos == max(0, ceil((100 + extra - 100) / saved))
    assert videos * saved >= extra - 1e-6 * abs(extra) - 1e-6
    assert videos == 0 or (videos - 1) * saved < extra + 1e-6 * abs(extra) + 1e-6


def test_a_gain_that_the_pairs_deny_has_no_break_even():
    """The reference's median holds samples of other pairs, too."""
    found = pair_metrics([sample(2.0)], [sample(1.9)], cost(2.0, 5.0), cost(2.5, 0.0))
    assert found["speedup"] < 1
    assert "break_even_videos" not in found


def test_sides_of_different_length_are_a_mistake():
    with pytest.raises(ValueError, match="zip"):
        pair_metrics([sample()], [], cost(1.0, 0.0), cost(1.0, 0.0))


# many inputs


def scores(lpips=0.1, sanity="ok", motion="smooth"):
    return {"sanity": sanity, "lpips": lpips, "motion_class": motion}


NAMES = ("chelsea, seed 0", "chelsea, seed 1", "rocket, seed 0")


def test_one_input_is_taken_as_it_is():
    assert quality_metrics([scores()], NAMES[:1]) == scores()
    assert quality_metrics([], []) == {}


def test_many_inputs_are_mean_spread_and_the_most_frequent_word():
    rows = [scores(0.1), scores(0.2, motion="static"), scores(0.3)]
    assert quality_metrics(rows, NAMES) == {
        "inputs": 3,
        "sanity": "ok",
        "lpips": pytest.approx(0.2),
        "lpips_sd": pytest.approx(0.1),
        "motion_class": "smooth",
        "motion_class_share": pytest.approx(2 / 3),
    }


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_video_that_is_none_is_told_and_takes_its_scores_along(place):
    rows = [scores(), scores(), scores()]
    rows[place] = {"sanity": "nan (1.00 of the values)"}
    found = quality_metrics(rows, NAMES)
    assert found == {"inputs": 3, "sanity": f"{NAMES[place]}: nan (1.00 of the values)"}


def test_further_defects_are_counted():
    rows = [scores(), scores(sanity="black"), scores(sanity="frozen")]
    assert quality_metrics(rows, NAMES)["sanity"] == (
        "chelsea, seed 1: black, and 1 more of 3 inputs"
    )


def test_an_input_goes_by_its_file_name():
    assert input_name("somewhere/cup.png", 3) == "cup.png, seed 3"


def test_what_follows_a_value_of_many_inputs():
    metrics = {"lpips": 0.2, "lpips_sd": 0.014, "motion_class_share": 0.75}
    assert of_inputs(metrics, "lpips", "{:.2f}".format) == "± 0.01"
    assert of_inputs(metrics, "motion_class", str) == "in 75 %"
    assert of_inputs(metrics, "clip", str) == ""


def test_growth_is_the_least_of_all_generations():
    """What is kept once, as by a cache, is no leak."""
    samples = [{**sample(), "grown_mib": grown} for grown in (12.0, 0.25, 3.0)]
    assert cost_metrics(samples, 7, PREPARATION)["memory.growth_mib"] == 0.25
    assert "memory.growth_mib" not in cost_metrics([sample()], 7, PREPARATION)

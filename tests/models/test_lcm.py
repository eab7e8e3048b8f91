"""The consistency sampler against its formula, and against a denoiser that knows the answer."""

from math import log, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import InvalidRequestError
from accel.models.lcm import ConsistencyScheduler, consistency_sigmas


@pytest.mark.parametrize(
    ("steps", "levels"),
    [
        (1, [700]),
        (2, [700, 13.678]),
        (4, [700, 128.56, 13.678, 0.4969]),
        (8, [700, 315.7, 128.56, 45.85, 13.678, 3.167, 0.4969, 0.03975]),
    ],
)
def test_the_published_noise_levels(steps, levels):
    found = consistency_sigmas(steps)
    assert found[:-1].tolist() == pytest.approx(levels, rel=1e-3)
    assert found[-1] == 0


@given(st.integers(1, 40))
def test_levels_fall_from_the_highest_to_zero(steps):
    levels = consistency_sigmas(steps)
    assert len(levels) == steps + 1
    assert levels[0] == pytest.approx(700)
    assert (levels.diff() < 0).all()


@pytest.mark.parametrize("steps", [0, 41, -1])
def test_other_numbers_of_steps_are_refused(steps):
    with pytest.raises(InvalidRequestError, match=f"{steps} consistency steps: give 1 to 40"):
        consistency_sigmas(steps)


def test_timesteps_and_scales_are_those_of_svd():
    scheduler = ConsistencyScheduler()
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == pytest.approx(
        [log(s) / 4 for s in consistency_sigmas(4)[:-1].tolist()], abs=1e-6
    )
    assert scheduler.init_noise_sigma == pytest.approx(sqrt(700**2 + 1))
    sample = torch.ones(3)
    assert torch.allclose(scheduler.scale_model_input(sample), sample / sqrt(700**2 + 1))


def sampled(steps, clean, noise, generator=None):
    """A generation whose denoiser answers with the exact v of `clean`; its samples."""
    scheduler = ConsistencyScheduler()
    scheduler.set_timesteps(steps)
    sample = noise * scheduler.init_noise_sigma
    samples = []
    for time in scheduler.timesteps:
        level = scheduler.levels[scheduler.step_index]
        norm = sqrt(level**2 + 1)
        v = (sample / norm**2 - clean) * norm / level
        sample = scheduler.step(v, time, sample, generator=generator).prev_sample
        samples.append(sample)
    assert scheduler.step_index == steps
    return samples


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 40])
def test_a_perfect_denoiser_ends_at_the_clean_sample(steps):
    torch.manual_seed(0)
    clean = torch.randn(2, 3, 4, 4, dtype=torch.float64).float()
    found = sampled(steps, clean, torch.randn_like(clean))[-1]
    assert torch.allclose(found, clean, atol=1e-3)


def test_between_steps_the_clean_sample_is_noised_to_the_next_level():
    torch.manual_seed(0)
    clean = torch.zeros(200, 200)
    first = sampled(2, clean, torch.randn_like(clean))[0]
    assert float(first.std()) == pytest.approx(13.678, rel=0.02)


def test_the_generator_decides_the_noise():
    clean, noise = torch.zeros(4, 4), torch.ones(4, 4)

    def first(seed):
        return sampled(4, clean, noise, torch.Generator().manual_seed(seed))[0]

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))


def test_halves_stay_halves_and_finite():
    scheduler = ConsistencyScheduler()
    scheduler.set_timesteps(2)
    sample = (torch.randn(64) * 700).half()
    (found,) = scheduler.step(torch.randn(64).half(), None, sample, return_dict=False)
    assert found.dtype == torch.float16
    assert found.isfinite().all()

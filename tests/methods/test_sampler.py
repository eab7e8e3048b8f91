"""Other samplers: their schedules, their orders of convergence, and that nothing else changes."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from diffusers.schedulers import AysSchedules
from hypothesis import given
from hypothesis import strategies as st

from accel.core import Case
from accel.errors import InvalidRequestError
from accel.methods import from_repr, parse
from accel.methods.sampler import Kind, Sampler
from accel.models import default_request, samplers
from accel.models.samplers import SAMPLERS, ays_sigmas
from accel.models.sources import SCHEDULER, load

PUBLISHED = AysSchedules["StableDiffusionVideoSigmas"]
EULER = EulerDiscreteScheduler(**SCHEDULER)
MEAN, SPREAD = 0.7, 0.5
"""Of the Gaussian data that a perfect denoiser is known for."""


def tiny(folder, text, **changes):
    request = default_request("svd", "mini", width=64, height=64, frames=2, **changes)
    return load(Case("svd", "pretrained", request, parse(text), str(folder)), "cpu")


def sampled(scheduler, steps, noise):
    """The path that a scheduler takes with the perfect denoiser, asked as SVD's UNet is."""
    scheduler.set_timesteps(steps, device="cpu")
    sample = noise * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        sigma = torch.exp(4 * time.double())
        scale = (sigma**2 + 1).sqrt()
        noisy = scheduler.scale_model_input(sample, time).double() * scale
        clean = (SPREAD**2 * noisy + sigma**2 * MEAN) / (SPREAD**2 + sigma**2)
        velocity = (noisy / scale**2 - clean) * scale / sigma
        sample = scheduler.step(velocity.to(noise.dtype), time, sample).prev_sample
    return sample


def errors(scheduler, counts, noise):
    """How far each path ends from where the exact one does."""
    start = noise.double() * (700**2 + 1) ** 0.5
    exact = MEAN + (start - MEAN) * SPREAD / (SPREAD**2 + 700**2) ** 0.5
    ends = [sampled(scheduler, steps, noise).double() for steps in counts]
    return [float((end - exact).abs().max()) for end in ends]


def test_ten_steps_are_the_published_ones():
    assert ays_sigmas(10) == pytest.approx(PUBLISHED)


@given(st.integers(1, 60))
def test_a_schedule_falls_from_the_models_largest_sigma_to_zero(steps):
    sigmas = ays_sigmas(steps)
    assert len(sigmas) == steps + 1
    assert (sigmas[0], sigmas[-1]) == (pytest.approx(700), 0)
    assert all(before > after for before, after in pairwise(sigmas))


def test_other_step_counts_are_interpolated_log_linearly():
    knots = np.array([*PUBLISHED[:-1], 0.002])
    twice = ays_sigmas(20)
    assert twice[:-1:2] == pytest.approx(knots[:-1])
    assert twice[1::2] == pytest.approx(np.sqrt(knots[:-1] * knots[1:]))


def test_every_kind_has_a_sampler():
    assert set(SAMPLERS) == set(get_args(Kind))


@pytest.mark.parametrize("kind", ["heun", "dpmpp"])
def test_second_order_methods_keep_the_pipelines_sigmas(kind):
    scheduler = SAMPLERS[kind](EULER.config)
    scheduler.set_timesteps(8)
    EULER.set_timesteps(8)
    assert torch.allclose(scheduler.sigmas.unique(), EULER.sigmas.unique(), rtol=1e-5)


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_all_start_from_the_references_noise_and_ask_at_its_times(kind, steps):
    scheduler = SAMPLERS[kind](EULER.config)
    for other in (scheduler, EULER):
        other.set_timesteps(steps, device="cpu")
    assert float(scheduler.init_noise_sigma) == pytest.approx(float(EULER.init_noise_sigma))
    assert len(scheduler.timesteps) == Sampler(kind, steps).calls
    asked = 0.25 * scheduler.sigmas[: len(scheduler.timesteps)].log()
    assert torch.allclose(scheduler.timesteps, asked, atol=1e-5)


@pytest.mark.parametrize(("kind", "order"), [("euler", 1), ("heun", 2), ("dpmpp", 2)])
def test_the_error_falls_with_the_order_of_the_method(kind, order):
    """Twice the steps, half the error for Euler and a quarter for the others."""
    scheduler = EULER if kind == "euler" else SAMPLERS[kind](EULER.config)
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)
    found = errors(scheduler, (40, 80, 160), noise)
    ratios = [before / after for before, after in pairwise(found)]
    assert ratios == pytest.approx([2**order] * 2, rel=0.2)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_halves_round_little_more_than_they_do_in_the_pipelines_sampler(kind):
    noise = torch.randn(10_000, generator=torch.Generator().manual_seed(0)).half()
    scheduler = SAMPLERS[kind](EULER.config)

    def rounding(scheduler):
        ends = [sampled(scheduler, 25, noise.to(dtype)) for dtype in (noise.dtype, torch.double)]
        assert ends[0].dtype == torch.half
        return float((ends[0] - ends[1]).square().mean().sqrt())

    assert rounding(scheduler) < 1.6 * rounding(EULER)


def test_on_eulers_sigmas_the_video_is_the_pipelines_own(tiny_folder, monkeypatch):
    pipeline, plain = (tiny(tiny_folder, "reference", steps=5) for _ in range(2))
    Sampler("ays", 4).apply(pipeline)
    EULER.set_timesteps(4)
    monkeypatch.setattr(samplers, "ays_sigmas", lambda steps: EULER.sigmas.tolist())
    expected = plain.generate(replace(plain.request, steps=4))
    assert torch.equal(pipeline.generate(pipeline.request), expected)


def test_dpmpp_of_first_order_is_the_pipelines_euler(tiny_folder):
    pipeline, plain = (tiny(tiny_folder, "reference", steps=5) for _ in range(2))
    Sampler("dpmpp", 4).apply(pipeline)
    pipeline.diffusers.scheduler.register_to_config(solver_order=1)
    expected = plain.generate(replace(plain.request, steps=4))
    assert torch.allclose(pipeline.generate(pipeline.request), expected, atol=1e-4)


def test_in_the_pipeline_too_they_converge_to_one_video(tiny_folder):
    """Image, guidance, a UNet that is no Gaussian's: half the step, a half or a third the error."""

    def latents(kind, steps):
        pipeline = tiny(tiny_folder, "reference", steps=200, latents_only=True)
        if kind != "euler":
            Sampler(kind, steps).apply(pipeline)
        return pipeline.generate(replace(pipeline.request, steps=steps))

    fine = latents("dpmpp", 60)
    gained = {}
    for kind in ("euler", "heun", "dpmpp"):
        far = [float((latents(kind, steps) - fine).norm()) for steps in (15, 30)]
        gained[kind] = far[0] / far[1]
    assert 1.3 < gained["euler"] < 3
    assert min(gained["heun"], gained["dpmpp"]) > 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampler", "missing 1 required positional argument: 'kind'; the fields are: kind, steps"),
        ("sampler:huen", "unknown sampler 'huen'; did you mean 'heun'"),
        ("sampler:ays,0", "sampler: steps is 0; give 1 or more"),
        ("sampler:ays,2.5", "sampler: steps is 2.5; give 1 or more"),
        ("sampler:ays+fewer_steps:4", "sampler and fewer_steps both set the number of steps"),
        ("fewer_steps:4+sampler:ays", "fewer_steps and sampler both set the number of steps"),
    ],
)
def test_a_bad_sampler_names_the_remedy(text, message):
    with pytest.raises(InvalidRequestError, match=message):
        parse(text)


def test_what_saves_no_call_is_refused(tiny_folder):
    pipeline = tiny(tiny_folder, "reference", steps=31)
    assert Sampler("heun", 15).refuses(pipeline) is None
    expected = (
        "16 steps take 31 denoiser calls, no fewer than the request's 31; "
        "give fewer steps, or the request more"
    )
    assert Sampler("heun", 16).refuses(pipeline) == expected
    assert "no fewer" in Sampler("dpmpp", 31).refuses(pipeline)


@pytest.mark.parametrize("kind", ["heun", "dpmpp"])
def test_a_second_order_method_of_few_steps_is_refused(tiny_folder, kind):
    pipeline = tiny(tiny_folder, "reference", steps=31)
    expected = (
        f"sampler:{kind} with 14 steps ruins the video on this sigma range; "
        "give at least 15, or ays"
    )
    assert Sampler(kind, 14).refuses(pipeline) == expected
    assert Sampler(kind).refuses(pipeline) is None
    assert Sampler("ays", 1).refuses(pipeline) is None


def test_on_mini_fifteen_steps_of_second_order_are_near_and_ten_are_not():
    """Relative distance of the latents to a fine solution, of 24 steps of DPM++.

    Its 15 steps are 0.09 from it, Euler's 4 are 0.39, and its 10, which are refused, 0.52.
    """

    def latents(kind, steps):
        size = {"width": 64, "height": 64, "frames": 7}
        request = default_request("svd", "mini", steps=steps, latents_only=True, **size)
        pipeline = load(Case("svd", "mini", request, parse("reference")), "cpu")
        if kind != "euler":
            Sampler(kind, steps).apply(pipeline)
        return pipeline.generate(pipeline.request)

    fine = latents("dpmpp", 24)
    ways = [("dpmpp", 15), ("euler", 4), ("dpmpp", 10)]
    near, euler, refused = (float((latents(*w) - fine).norm() / fine.norm()) for w in ways)
    assert 2 * near < euler < refused


@pytest.mark.parametrize(
    ("text", "steps", "slug"),
    [
        ("sampler:ays", 10, "sampler-ays"),
        ("sampler:ays,10", 10, "sampler-ays"),
        ("sampler:ays,15", 15, "sampler-ays-steps_15"),
        ("sampler:heun", 15, "sampler-heun"),
        ("sampler:dpmpp", 15, "sampler-dpmpp"),
        ("sampler:dpmpp,steps=20", 20, "sampler-dpmpp-steps_20"),
    ],
)
def test_each_kind_has_its_usual_steps_which_go_unnamed(text, steps, slug):
    method = parse(text)
    assert (method.steps, method.slug) == (steps, slug)
    assert from_repr(repr(method)) == method


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sigma_max": 80.0}, "sigma_max is 80.0 in this pipeline; SVD's is 700.0"),
        ({"timestep_type": "discrete"}, "timestep_type is 'discrete' in this pipeline"),
    ],
)
def test_another_models_schedule_is_refused(changes, reason):
    scheduler = EulerDiscreteScheduler(**{**SCHEDULER, **changes})
    pipeline = SimpleNamespace(diffusers=SimpleNamespace(scheduler=scheduler))
    assert reason in Sampler("ays").refuses(pipeline)


def test_another_scheduler_is_refused(tiny_folder):
    pipeline = tiny(tiny_folder, "reference", steps=25)
    Sampler("heun").apply(pipeline)
    assert "scheduler is 'HeunDiscreteScheduler'" in Sampler("ays").refuses(pipeline)


def test_claims_go_by_the_calls_and_by_the_order():
    request = default_request("svd-xt", "untrained")
    claims = {
        kind: {claim.metric: claim for claim in Sampler(kind).claims(request)} for kind in SAMPLERS
    }
    euler = {
        n: {claim.metric: claim for claim in parse(f"fewer_steps:{n}").claims(request)}
        for n in (8, 10, 15)
    }
    assert claims["ays"] == euler[10]
    assert claims["dpmpp"] == {**euler[8], "speedup": euler[15]["speedup"]}
    assert claims["heun"]["speedup"].at_least == pytest.approx(0.9 * 28.3 / 32.3)
    assert claims["heun"]["lpips"].at_most == euler[8]["lpips"].at_most == 0.12

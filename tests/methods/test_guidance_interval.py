"""Guidance on some steps only: which ones, what the others give, and what is compiled for it."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from accel.core import Case
from accel.errors import InvalidRequestError
from accel.measure import Probe, base_counters
from accel.methods import parse
from accel.methods.guidance_interval import GuidanceInterval
from accel.methods.surgery import wrap
from accel.models import default_request
from accel.models.sources import load

SHARES = st.floats(0, 1)


def tiny(folder, **changes):
    size = {"width": 64, "height": 64, "frames": 2}
    request = default_request("svd", "mini", **{**size, "steps": 5, **changes})
    return load(Case("svd", "pretrained", request, parse("reference"), str(folder)), "cpu")


def batches(pipeline):
    """The batch of each denoiser call from now on."""
    seen = []

    def recording(forward):
        def call(sample, *args, **kwargs):
            seen.append(len(sample))
            return forward(sample, *args, **kwargs)

        return call

    wrap(pipeline.denoiser, "forward", recording)
    return seen


def generated(pipeline, text):
    """Counters, what was foreseen of them, and the video of a method or a chain."""
    method, before = parse(text), pipeline.request
    expected = base_counters(pipeline) | method.expected(pipeline)
    assert (pipeline.request, pipeline.denoiser_shapes) == (before, 1)
    method.apply(pipeline)
    probe = Probe(pipeline)
    probe.warm()
    _, video = probe.generate()
    return probe.counters(), expected, video


@given(SHARES, SHARES, st.integers(1, 60))
def test_guided_steps_are_a_run_as_long_as_its_share(one, other, steps):
    if one == other:
        return
    guided = GuidanceInterval(min(one, other), max(one, other)).guided(steps)
    assert len(guided) == steps
    assert sum(a != b for a, b in zip([False, *guided], [*guided, False], strict=True)) in (0, 2)
    assert sum(guided) == pytest.approx(abs(one - other) * steps, abs=1)


def test_the_default_is_the_middle_half():
    assert GuidanceInterval().guided(4) == [False, True, True, False]
    assert sum(GuidanceInterval().guided(25)) == 13


def test_unguided_steps_take_half_a_batch(tiny_folder):
    pipeline = tiny(tiny_folder)
    GuidanceInterval().apply(pipeline)
    seen = batches(pipeline)
    pipeline.generate(pipeline.request)
    assert seen == [1, 2, 2, 2, 1]
    assert pipeline.tallies["unguided_steps"]() == 2
    pipeline.generate(replace(pipeline.request, steps=2))
    assert seen[5:] == [2, 1]
    assert pipeline.tallies["unguided_steps"]() == 1


def test_with_every_step_guided_the_video_is_the_references(tiny_folder):
    pipeline, plain = tiny(tiny_folder), tiny(tiny_folder)
    GuidanceInterval(0, 1).apply(pipeline)
    assert torch.equal(pipeline.generate(pipeline.request), plain.generate(plain.request))


def test_with_no_step_guided_the_video_is_that_without_guidance(tiny_folder):
    """The pipeline's own way to it has a batch of one from the start."""
    pipeline, plain = tiny(tiny_folder), tiny(tiny_folder, max_guidance=1.0)
    GuidanceInterval(0.98, 1).apply(pipeline)
    assert torch.equal(pipeline.generate(pipeline.request), plain.generate(plain.request))


def test_the_hooks_read_no_number_from_the_device(tiny_folder):
    """`.item()` in every step would make the CPU wait for the GPU in every step."""

    class NoReading(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            assert func is not torch.ops.aten._local_scalar_dense.default
            return func(*args, **(kwargs or {}))

    pipeline = tiny(tiny_folder)
    GuidanceInterval().apply(pipeline)

    pipeline.denoiser.forward = lambda sample, time, added_time_ids: (sample[:, :, :4],)
    scheduler = pipeline.diffusers.scheduler
    scheduler.set_timesteps(5)
    scheduler.scale_model_input(torch.zeros(1), scheduler.timesteps[0])
    sample, time = torch.rand(2, 2, 8, 4, 4), scheduler.timesteps[0]
    with NoReading():
        (output,) = pipeline.denoiser(sample, time, added_time_ids=torch.zeros(2, 3))
    assert torch.equal(output, torch.stack([sample[1], sample[1]])[:, :, :4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("guidance_interval:-0.1", r"start is -0.1; give a share of the steps in \[0, 1\]"),
        ("guidance_interval:stop=25", r"stop is 25; give a share of the steps in \[0, 1\]"),
        ("guidance_interval:true", "start is True; give a share"),
        ("guidance_interval:half", "start is 'half'; give a share"),
        ("guidance_interval:0.5,0.5", "start 0.5 is not below stop 0.5; .* ask for max_guidance 1"),
        (
            "guidance_interval+fewer_steps:3",
            "fewer_steps cannot follow guidance_interval, .* put fewer_steps first",
        ),
        ("guidance_interval+sampler:ays", "put sampler first"),
        ("torch_compile+guidance_interval", "put torch_compile last"),
    ],
)
def test_a_bad_interval_names_the_remedy(text, message):
    with pytest.raises(InvalidRequestError, match=message):
        parse(text)


def test_nan_is_no_share():
    with pytest.raises(InvalidRequestError, match="start is nan"):
        GuidanceInterval(float("nan"))


def test_one_interval_has_one_name():
    assert GuidanceInterval(0, 1).slug == GuidanceInterval(0.0, 1.0).slug


def test_what_has_no_effect_is_refused(tiny_folder):
    pipeline = tiny(tiny_folder)
    assert GuidanceInterval().refuses(pipeline) is None
    expected = (
        "between 0.98 and 1.0 lie 0 of the request's 5 steps; "
        "choose an interval with some of them, but not all"
    )
    assert GuidanceInterval(0.98, 1).refuses(pipeline) == expected
    assert "lie 5 of the request's 5 steps" in GuidanceInterval(0, 1).refuses(pipeline)
    pipeline.request = replace(pipeline.request, max_guidance=1.0)
    expected = "max_guidance 1.0 guides no step; ask for more than 1"
    assert GuidanceInterval().refuses(pipeline) == expected


@pytest.mark.parametrize(
    ("sampler", "unguided"), [("fewer_steps:4", 2), ("sampler:ays,4", 2), ("sampler:heun", 8)]
)
def test_a_chain_counts_the_steps_of_its_sampler(tiny_folder, sampler, unguided):
    counters, expected, _ = generated(tiny(tiny_folder, steps=31), f"{sampler}+guidance_interval")
    assert counters == expected
    assert expected["unguided_steps"] == unguided


def test_compiled_it_is_two_graphs_and_the_same_video(shallow_folder):
    """Both shapes of the UNet's input are compiled in the warm-up, however far the interval is."""
    torch.compiler.reset()
    text = "guidance_interval:0.75,1"
    _, _, plain = generated(tiny(shallow_folder), text)
    compiled = f"{text}+torch_compile:backend=aot_eager"
    counters, expected, video = generated(tiny(shallow_folder), compiled)
    assert counters == expected
    assert (expected["compiled_graphs"], expected["recompiles"]) == (2, 0)
    assert torch.allclose(video, plain, atol=1e-4)


def test_both_calls_of_a_second_order_step_are_alike(tiny_folder):
    pipeline = tiny(tiny_folder, steps=31)
    parse("sampler:heun+guidance_interval:0.05,0.95").apply(pipeline)
    seen = batches(pipeline)
    pipeline.generate(pipeline.request)
    assert seen == [1] + 26 * [2] + [1, 1]
    assert pipeline.tallies["unguided_steps"]() == 2


def test_claims_go_by_the_guided_steps():
    (speed, *near) = GuidanceInterval().claims(default_request("svd-xt", "untrained"))
    assert speed.at_least == pytest.approx(0.9 * 28.3 / (13 + 0.55 * 12 + 3.3))
    assert {claim.metric for claim in near} == {"clip", "tssim", "tlpips", "lpips", "motion_ratio"}

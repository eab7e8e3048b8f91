"""M7 and M4: a student's weights, strictly loaded; a sampler of its own; half the batch."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from accel.core import Case
from accel.errors import (
    IntegrityError,
    InvalidRequestError,
    MissingWeightsError,
    NoEffectError,
    NotSupportedError,
)
from accel.methods import parse
from accel.methods.distilled import Distilled
from accel.methods.lcm import Lcm
from accel.models import default_request
from accel.models.sources import load
from accel.models.svd import Pipeline


def tiny(folder, method, **changes):
    request = default_request("svd", "mini", frames=7, steps=3, **changes)
    return load(Case("svd", "pretrained", request, method, str(folder)), "cpu")


@pytest.fixture
def student(tiny_folder):
    return str(tiny_folder / "student.safetensors")


@pytest.mark.parametrize("method", [Lcm, Distilled])
def test_the_students_tensors_are_in(tiny_folder, student, method):
    pipeline = tiny(tiny_folder, method(weights=student))
    method(weights=student).apply(pipeline)
    held = pipeline.denoiser.state_dict()
    assert all(torch.equal(held[name], value) for name, value in load_file(student).items())
    assert pipeline.tallies["student_tensors"]() == len(held)


def test_without_guidance_a_call_has_half_the_batch(tiny_folder, student):
    seen = []
    for guidance in (1.0, 1.5):
        pipeline = tiny(tiny_folder, method := Lcm(2, guidance, student))
        method.apply(pipeline)
        pipeline.denoiser.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
        pipeline.generate(pipeline.request)
        assert pipeline.tallies["consistency_steps"]() == 2
    assert seen == [1, 1, 2, 2]


def test_the_seed_decides_all_noise_and_the_later_noise_is_not_the_first(tiny_folder, student):
    pipeline = tiny(tiny_folder, method := Lcm(3, weights=student))
    method.apply(pipeline)
    request = pipeline.request
    drawn = []
    plain = type(pipeline.diffusers.scheduler)._noise

    def noise(self, like, generator):
        drawn.append(plain(self, like, generator))
        return drawn[-1]

    pipeline.diffusers.scheduler._noise = noise.__get__(pipeline.diffusers.scheduler)
    first = pipeline.generate(request)
    assert torch.equal(first, pipeline.generate(request))
    assert not torch.equal(first, pipeline.generate(replace(request, seed=1)))
    assert len(drawn) == 6
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], pipeline.noise(request), atol=0.1)


def test_an_untrained_pipeline_needs_no_file(tiny_folder):
    trained = tiny(tiny_folder, Lcm())
    untrained = Pipeline(trained.diffusers, trained.request, "untrained")
    before = {name: value.clone() for name, value in untrained.denoiser.state_dict().items()}
    assert Lcm().refuses(untrained) is None
    Lcm().apply(untrained)
    held = untrained.denoiser.state_dict()
    assert all(torch.equal(held[name], -value) for name, value in before.items())


@pytest.mark.parametrize("method", [Lcm(), Distilled()])
def test_trained_weights_need_a_file_and_say_which(tiny_folder, method):
    pipeline = tiny(tiny_folder, method)
    assert "wangfuyun/AnimateLCM-SVD-xt" in method.refuses(pipeline)
    with pytest.raises(MissingWeightsError, match=r"AnimateLCM-SVD-xt\.safetensors"):
        method.apply(pipeline)


def test_a_file_that_is_not_there(tiny_folder):
    with pytest.raises(MissingWeightsError, match=r"nowhere\.safetensors"):
        Lcm(weights="nowhere.safetensors").apply(tiny(tiny_folder, Lcm()))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda tensors: tensors.pop("conv_in.bias"), "conv_in.bias"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "extra"),
        (lambda tensors: tensors.update({"conv_in.bias": torch.zeros(1)}), "conv_in.bias"),
    ],
    ids=["missing", "unknown", "of another shape"],
)
def test_a_student_of_another_network_is_refused(tiny_folder, student, tmp_path, spoil, named):
    tensors = load_file(student)
    spoil(tensors)
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(IntegrityError, match=named):
        Lcm(weights=str(tmp_path / "other.safetensors")).apply(tiny(tiny_folder, Lcm()))


def test_the_unets_own_weights_are_no_students(tiny_folder, tmp_path):
    pipeline = tiny(tiny_folder, Distilled())
    save_file(pipeline.denoiser.state_dict(), tmp_path / "own.safetensors")
    with pytest.raises(NoEffectError, match="the UNet's own weights"):
        Distilled(str(tmp_path / "own.safetensors")).apply(pipeline)


def test_a_file_that_is_no_safetensors(tiny_folder, tmp_path):
    (tmp_path / "page.safetensors").write_text("<html>sign in</html>")
    with pytest.raises(IntegrityError, match=r"page\.safetensors does not hold the tensors"):
        Lcm(weights=str(tmp_path / "page.safetensors")).apply(tiny(tiny_folder, Lcm()))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lcm:0", "steps is 0; give 1 to 8"),
        ("lcm:9", "steps is 9; give 1 to 8"),
        ("lcm:4,0.5", "guidance is 0.5"),
    ],
)
def test_bad_fields(text, named):
    with pytest.raises(InvalidRequestError, match=named):
        parse(text)


@pytest.mark.parametrize("other", ["int8_weight_only", "semi_structured"])
def test_the_student_comes_before_what_changes_its_weights(tiny_folder, student, other):
    chain = parse(f"{other}+lcm:weights={student}")
    with pytest.raises(NotSupportedError, match=f"put {other} after it"):
        chain.apply(tiny(tiny_folder, chain))
    chain = parse(f"lcm:weights={student}+{other}")
    chain.apply(tiny(tiny_folder, chain))


def test_with_key_frames_and_compiled(tiny_folder, student):
    chain = parse(f"lcm:2,weights={student}+keyframes:4+torch_compile:backend=aot_eager")
    pipeline = tiny(tiny_folder, chain)
    expected = chain.expected(pipeline)
    chain.apply(pipeline)
    assert pipeline.generate(pipeline.request).shape == (7, 3, 128, 128)
    assert pipeline.tallies["consistency_steps"]() == expected["consistency_steps"] == 2
    assert pipeline.tallies["interpolated_frames"]() == expected["interpolated_frames"] == 3


def test_four_unguided_steps_are_claimed_4_6_times_as_fast():
    (claim,) = Lcm().claims(default_request("svd-xt", "untrained"))
    assert claim.metric == "speedup"
    assert claim.at_least == pytest.approx(0.9 * 28.3 / (4 * 0.55 + 3.3))


def test_beside_an_unguided_reference_guided_steps_claim_less():
    request = default_request("svd-xt", "untrained", max_guidance=1.0)
    for text, steps in (("lcm:4,2.0", 4), ("lcm:4", 0.55 * 4), ("fewer_steps:4", 0.55 * 4)):
        claim = next(c for c in parse(text).claims(request) if c.metric == "speedup")
        assert claim.at_least == pytest.approx(0.9 * (25 * 0.55 + 3.3) / (steps + 3.3)), text


def test_guided_steps_may_be_thinned_out(tiny_folder, student):
    chain = parse(f"lcm:4,2.0,weights={student}+guidance_interval")
    pipeline = tiny(tiny_folder, chain)
    chain.apply(pipeline)
    pipeline.generate(pipeline.request)
    assert pipeline.tallies["unguided_steps"]() == chain.expected(pipeline)["unguided_steps"] == 2

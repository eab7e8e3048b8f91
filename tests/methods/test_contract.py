"""Every registered method keeps the contract, on a pipeline of toy width."""

from dataclasses import fields, replace
from typing import get_args

import pytest
import torch

from accel.core import Case, Fidelity
from accel.errors import NoEffectError
from accel.measure import Probe, base_counters
from accel.methods import METHODS, method_class, parse
from accel.models import default_request
from accel.models.sources import load

CONFIGURED = {
    "reference": "reference",
    "int8_weight_only": "int8_weight_only",
    "int8_weight_only torchao": "int8_weight_only:torchao",
    "torch_compile": "torch_compile:backend=aot_eager,decoder=true",
    "fewer_steps": "fewer_steps:3",
    "distilled": "distilled:weights={student}",
    "sampler ays": "sampler:ays,3",
    "sampler heun": "sampler:heun",
    "sampler dpmpp": "sampler:dpmpp",
    "guidance_interval": "guidance_interval",
    "semi_structured": "semi_structured",
    "semi_structured feed_forward": "semi_structured:feed_forward",
    "semi_structured tuned": "semi_structured:tuned=true,weights={tuned}",
    "keyframes": "keyframes:4",
    "lcm": "lcm:3,weights={student}",
    "tiny_vae": "tiny_vae:weights={decoder}",
}


def fewest(text):
    """Steps of a request that are enough: Heun's fifteen take 29 calls, DPM++'s fifteen 15."""
    return 31 if "heun" in text else 16 if "dpmpp" in text else 5


def tiny_case(folder, text, **changes):
    changes = {"width": 64, "height": 64, "frames": 7, "steps": fewest(text), **changes}
    request = default_request("svd", "mini", **changes)
    files = {name: folder / f"{name}.safetensors" for name in ("student", "tuned", "decoder")}
    method = parse(text.format(**files))
    return Case("svd", "pretrained", request, method, str(folder))


def test_every_registered_method_is_configured_here():
    assert {text.split()[0] for text in CONFIGURED} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_classes_are_frozen_and_described(name):
    cls = method_class(name)
    assert cls.name == name
    assert cls.source
    assert cls.fidelity in get_args(Fidelity)
    assert cls.__dataclass_params__.frozen
    assert [f.name for f in fields(cls)] == list(cls.__dataclass_fields__)[: len(fields(cls))]


@pytest.mark.parametrize("text", CONFIGURED.values(), ids=list(CONFIGURED))
def test_engages_and_keeps_the_video_sound(tiny_folder, text):
    case = tiny_case(tiny_folder, text)
    pipeline = load(case, "cpu")
    plain = load(case, "cpu")
    expected = base_counters(pipeline) | case.method.expected(pipeline)
    case.method.apply(pipeline)
    probe = Probe(pipeline)
    probe.warm()
    sample, video = probe.generate()
    assert probe.counters() == expected
    assert video.shape == (7, 3, 64, 64)
    assert video.isfinite().all()
    assert len(sample["stages"]["denoise"]) == expected["denoiser_calls"]
    added = {stage for _, _, stage in pipeline.added_stages}
    assert set(sample["stages"]) == {"encode_image", "encode_vae", "denoise", "decode"} | added
    if case.method.fidelity == "exact":
        assert torch.allclose(video, plain.generate(plain.request), atol=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "int8_weight_only",
        "int8_weight_only:torchao",
        "torch_compile",
        "distilled:weights={student}",
        "lcm:weights={student}",
        "sampler:ays,3",
        "sampler:heun",
        "guidance_interval",
        "semi_structured",
        "semi_structured:tuned=true,weights={tuned}",
        "keyframes:4",
        "tiny_vae:weights={decoder}",
    ],
)
def test_applied_twice_is_refused(tiny_folder, text):
    case = tiny_case(tiny_folder, text)
    pipeline = load(case, "cpu")
    case.method.apply(pipeline)
    with pytest.raises(NoEffectError, match="twice"):
        case.method.apply(pipeline)


@pytest.mark.parametrize("backend", ["module", "torchao"])
def test_a_chain_engages_all_its_parts(shallow_folder, backend):
    text = f"fewer_steps:3+int8_weight_only:{backend}+torch_compile:backend=aot_eager"
    case = tiny_case(shallow_folder, text)
    pipeline = load(case, "cpu")
    expected = base_counters(pipeline) | case.method.expected(pipeline)
    case.method.apply(pipeline)
    probe = Probe(pipeline)
    probe.warm()
    probe.generate()
    assert probe.counters() == expected
    assert expected["denoiser_calls"] == 3
    assert expected["int8_linears"] > 0
    assert expected["compiled_graphs"] == 1


def test_a_chain_expects_what_its_earlier_parts_leave(tiny_folder):
    """Key frames change how many chunks the decoder compiles for."""
    text = "keyframes:4+torch_compile:backend=aot_eager,decoder=true"
    case = tiny_case(tiny_folder, text, decode_chunk_size=5)
    pipeline = load(case, "cpu")
    assert case.method.methods[1].expected(pipeline)["compiled_graphs"] == 3
    assert case.method.expected(pipeline)["compiled_graphs"] == 2
    assert pipeline.request.frames == 7


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        ("lcm:4,2.0,weights={student}+guidance_interval", {"max_guidance": 1.0}, None),
        ("lcm:4,1.0,weights={student}+guidance_interval", {}, "max_guidance 1.0 guides no step"),
        ("fewer_steps:10+guidance_interval:0.24,0.26", {"steps": 25}, None),
        ("fewer_steps:3+guidance_interval:0.8,1", {}, None),
        ("fewer_steps:2+guidance_interval:0.8,1", {}, "lie 0 of the request's 2 steps"),
    ],
)
def test_a_chain_asks_each_part_about_what_the_earlier_ones_leave(
    tiny_folder, text, changes, reason
):
    case = tiny_case(tiny_folder, text, **changes)
    pipeline = load(case, "cpu")
    found = case.method.refuses(pipeline)
    assert found is None if reason is None else reason in found
    assert pipeline.request == case.request
    if reason is None:
        case.method.apply(pipeline)


def test_fewer_steps_refuses_more_steps(tiny_folder):
    pipeline = load(tiny_case(tiny_folder, "fewer_steps:9"), "cpu")
    assert "not fewer" in parse("fewer_steps:9").refuses(pipeline)


def test_noise_is_the_same_for_the_same_seed_only(tiny_folder):
    pipeline = load(tiny_case(tiny_folder, "reference"), "cpu")
    request = pipeline.request
    first, again = pipeline.generate(request), pipeline.generate(request)
    other = pipeline.generate(replace(request, seed=1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)

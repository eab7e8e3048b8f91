import re
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accel
from accel.chain import Chain
from accel.core import Case, Request
from accel.errors import InvalidRequestError, UnknownNameError
from accel.methods import METHODS, from_repr, parse
from accel.methods.fewer_steps import FewerSteps
from accel.methods.guidance_interval import GuidanceInterval
from accel.methods.int8_weight_only import Int8WeightOnly
from accel.methods.reference import Reference
from accel.methods.sampler import Kind, Sampler
from accel.methods.torch_compile import TorchCompile
from accel.models import default_request
from accel.report.tables import NUMBERS


def test_all_is_sorted_and_importable():
    assert accel.__all__ == sorted(accel.__all__)
    assert all(getattr(accel, name) is not None for name in accel.__all__)


@pytest.mark.parametrize(
    "statement", ["import accel.plugin", "import accel.__main__, accel.commands, accel.runner"]
)
def test_starting_imports_no_torch(statement):
    code = f"{statement}; import sys; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 100}, r"width 100 .* multiple of 8 up to 8192; try 96 or 104"),
        ({"width": 8200}, r"width 8200 .* try 8184 or 8192"),
        ({"height": 0}, r"height 0 .* try 8 or 16"),
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"frames": 0}, "frames is 0"),
        ({"seeds": 0}, "seeds is 0; it must be at least 1"),
        ({"seed": 2**63 - 1, "seeds": 2}, "seed 9223372036854775808 is outside"),
        ({"motion_bucket": 300}, "motion_bucket 300 is outside 1 to 255"),
        ({"fps": 0}, "fps is 0"),
        ({"min_guidance": 4.0}, r"min_guidance 4.0 is above max_guidance 3.0"),
    ],
)
def test_bad_requests_name_the_value(changes, message):
    with pytest.raises(InvalidRequestError, match=message):
        Request(**changes)


def test_case_ids_are_what_the_design_says():
    request = default_request("svd-xt", "untrained")
    case = Case("svd-xt", "untrained", request, FewerSteps(15))
    assert case.id == "fewer_steps-15@576x1024x25-s25"
    assert case.group == "svd-xt.untrained"
    seeded = replace(case, request=replace(request, seed=3), method=TorchCompile(decoder=True))
    assert seeded.id == "torch_compile-decoder@576x1024x25-s25-seed3"
    many = replace(case, request=replace(request, image="my/photos/", seeds=4))
    assert many.id == "fewer_steps-15@576x1024x25-s25-imagephotos-seeds4"


STEPS = st.builds(FewerSteps, steps=st.integers(1, 50))
INT8 = st.builds(Int8WeightOnly, backend=st.sampled_from(["module", "torchao"]))
COMPILED = st.builds(TorchCompile, decoder=st.booleans())
SAMPLERS = st.builds(Sampler, st.sampled_from(get_args(Kind)), st.integers(1, 50))
INTERVALS = st.builds(GuidanceInterval, st.floats(0, 0.5, exclude_max=True), st.floats(0.5, 1))
CHAINS = st.builds(Chain, st.tuples(STEPS, INT8, COMPILED))


@given(st.one_of(st.just(Reference()), STEPS, INT8, COMPILED, SAMPLERS, INTERVALS, CHAINS))
def test_repr_evaluates_back(method):
    assert from_repr(repr(method)) == method


@given(CHAINS, CHAINS)
def test_different_methods_have_different_slugs(one, other):
    assert (one == other) == (one.slug == other.slug)


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("reference", Reference()),
        ("fewer_steps:15", FewerSteps(15)),
        ("fewer_steps:steps=4", FewerSteps(4)),
        ("int8_weight_only:backend=torchao", Int8WeightOnly("torchao")),
        ("torch_compile:decoder=true", TorchCompile(decoder=True)),
        ("torch_compile:mode=max-autotune", TorchCompile("max-autotune")),
        ("sampler:heun,5", Sampler("heun", 5)),
        ("guidance_interval:0,stop=0.5", GuidanceInterval(0.0, 0.5)),
        ("fewer_steps:10+torch_compile", Chain((FewerSteps(10), TorchCompile()))),
    ],
)
def test_methods_parse_from_the_command_line(text, method):
    assert parse(text) == method


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fewer_step", "unknown method 'fewer_step'; did you mean 'fewer_steps'?"),
        ("xyz", "choose from: distilled, fewer_steps, guidance_interval, int8_weight_only"),
        ("fewer_steps:0", "steps is 0; give 1 or more"),
        ("fewer_steps", "missing 1 required positional argument: 'steps'; the fields are: steps"),
        ("fewer_steps:size=3", "unexpected keyword argument 'size'; the fields are: steps"),
        ("int8_weight_only:tochao", "unknown int8 backend 'tochao'; did you mean 'torchao'?"),
        ("torch_compile+int8_weight_only", "int8_weight_only cannot follow torch_compile"),
        ("fewer_steps:4+fewer_steps:10", "two or more different methods"),
    ],
)
def test_bad_methods_name_the_remedy(text, message):
    with pytest.raises(InvalidRequestError, match=message.replace("?", r"\?")):
        parse(text)


@pytest.mark.parametrize("text", ["__import__('os')", "FewerSteps(steps=open('x'))", "1 +"])
def test_only_methods_are_evaluated(text):
    with pytest.raises(InvalidRequestError):
        from_repr(text)


def test_unknown_models_and_weights_name_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'svd-xt'"):
        default_request("svd_xt", "mini")
    with pytest.raises(UnknownNameError, match="did you mean 'mini'"):
        default_request("svd", "mimi")


def test_every_method_has_its_card():
    for name, (target, summary) in METHODS.items():
        module = __import__(target.partition(":")[0], fromlist=["x"])
        assert "Source:" in module.__doc__
        assert "Costs:" in module.__doc__
        number = f"{NUMBERS[name]}: " if name in NUMBERS else ""
        assert re.match(r"(M\d: )?", summary)[0] == number


def test_a_chain_claims_the_gains_of_all_and_the_quality_of_the_loosest():
    request = default_request("svd", "mini")
    int8, steps, compiled, keys = (
        parse(text) for text in ("int8_weight_only", "fewer_steps:10", "torch_compile", "keyframes")
    )

    def claims(*methods):
        return {(c.metric, c.delta): c for c in Chain(methods).claims(request)}

    alone = {(c.metric, c.delta): c for c in steps.claims(request)}
    both = claims(steps, compiled)
    assert both["speedup", False].at_least == alone["speedup", False].at_least > 1.25
    assert both["lpips", False].at_most == alone["lpips", False].at_most
    assert claims(int8, steps)["lpips", False].at_most == alone["lpips", False].at_most
    assert claims(int8, compiled)["lpips", False].at_most == 0.02
    assert ("memory.denoise.allocated_mib", True) in claims(int8, compiled)
    assert ("lpips", False) not in claims(int8, keys)
    fidelities = [Chain(pair).fidelity for pair in ((int8, compiled), (steps, keys))]
    assert fidelities == ["faithful", "new_sample"]


@pytest.mark.parametrize(
    ("text", "floor"),
    [
        ("fewer_steps:4+torch_compile", 0.9 * 28.3 / 7.3),
        ("fewer_steps:4+int8_weight_only", 0.9 * 28.3 / 7.3 / 1.05),
        ("int8_weight_only+fewer_steps:24", 0.9 * 28.3 / 27.3 / 1.05),
        ("fewer_steps:4+int8_weight_only:torchao", None),
        ("semi_structured+torch_compile", None),
        ("keyframes+torch_compile", 2.7),
    ],
)
def test_a_chain_claims_the_best_speed_less_what_the_others_cost(text, floor):
    claims = parse(text).claims(default_request("svd-xt", "untrained"))
    found = [claim.at_least for claim in claims if claim.metric == "speedup"]
    assert found == ([] if floor is None else [pytest.approx(floor)])


def test_two_fields_of_one_value_have_two_slugs():
    slugs = {TorchCompile("default").slug, TorchCompile(backend="default").slug}
    assert slugs == {"torch_compile-default", "torch_compile-backend_default"}


def test_a_long_picture_name_makes_no_long_file_name():
    request = default_request("svd", "mini", image="a" * 300 + ".jpg")
    assert len(Case("svd", "mini", request, parse("reference")).id) < 150

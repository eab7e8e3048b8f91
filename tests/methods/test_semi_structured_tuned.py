"""M5 with tuned weights: they are the file's, for the UNet that they were tuned for alone."""

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
from accel.methods.semi_structured import SemiStructured
from accel.models import default_request, tuned, two_of_four
from accel.models.sources import load
from accel.models.students import fingerprint
from accel.models.svd import Pipeline
from tests.methods.test_contract import tiny_case
from tests.tiny import save_two_of_four, tiny_pipeline

TUNED = SemiStructured(tuned=True)


@pytest.fixture
def pipeline(tiny_folder):
    return load(tiny_case(tiny_folder, "reference"), "cpu")


def of(pipeline, weights):
    return Pipeline(pipeline.diffusers, pipeline.request, weights)


def method(path):
    return SemiStructured(tuned=True, weights=str(path))


def test_the_files_weights_are_in(pipeline, tiny_folder):
    own = method(tiny_folder / "tuned.safetensors")
    linears = two_of_four.linears(pipeline.denoiser)
    dense = {name: linear.weight.detach().clone() for name, linear in linears.items()}
    expected = own.expected(pipeline)
    own.apply(pipeline)
    packed = load_file(own.weights)
    for name, linear in linears.items():
        weight = two_of_four.unpack(packed[f"{name}.values"], packed[f"{name}.positions"])
        assert torch.equal(linear.weight, weight.float())
        assert torch.equal(linear.weight != 0, two_of_four.mask(dense[name]) & (dense[name] != 0))
    found = {name: pipeline.tallies[name]() for name in expected}
    assert found == expected
    assert expected["tuned_linears"] == expected["sparse_linears"] == len(linears)


def test_mini_takes_the_shipped_file(pipeline, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tuned, "ZOO", tmp_path)
    mini = of(pipeline, "mini")
    assert "python -m accel.zoo.train_sparse" in TUNED.refuses(mini)
    with pytest.raises(MissingWeightsError, match=r"no file .*two_of_four\.safetensors"):
        TUNED.apply(mini)
    path = tmp_path / tuned.MINI
    path.parent.mkdir()
    path.write_bytes((tiny_folder / "tuned.safetensors").read_bytes())
    assert TUNED.refuses(mini) is None
    TUNED.apply(mini)
    assert mini.tallies["tuned_linears"]() == mini.tallies["sparse_linears"]() > 0


def test_what_is_shipped_fits_the_shipped_unet():
    request = default_request("svd", "mini")
    mini = load(Case("svd", "mini", request, TUNED), "cpu")
    TUNED.apply(mini)
    assert mini.tallies["tuned_linears"]() == mini.tallies["sparse_linears"]()


def test_untrained_weights_are_pruned_and_nothing_more(pipeline):
    untrained = of(pipeline, "untrained")
    dense = {n: m.weight.clone() for n, m in two_of_four.linears(untrained.denoiser).items()}
    assert TUNED.refuses(untrained) is None
    assert TUNED.expected(untrained)["tuned_linears"] == 0
    TUNED.apply(untrained)
    assert untrained.tallies["tuned_linears"]() == 0
    for name, linear in two_of_four.linears(untrained.denoiser).items():
        assert torch.equal(linear.weight, dense[name] * two_of_four.mask(dense[name]))


def test_untrained_weights_take_no_file(pipeline):
    assert "leave it out" in method("any.safetensors").refuses(of(pipeline, "untrained"))


def test_pretrained_weights_need_a_file(pipeline):
    assert "weights=FILE" in TUNED.refuses(pipeline)
    assert method("any.safetensors").refuses(pipeline) is None
    with pytest.raises(MissingWeightsError, match=r"no file nowhere\.safetensors"):
        method("nowhere.safetensors").apply(pipeline)


@pytest.mark.parametrize("base", ["0" * 64, None])
def test_weights_that_were_tuned_for_another_unet_are_refused(
    pipeline, tiny_folder, tmp_path, base
):
    packed, path = load_file(tiny_folder / "tuned.safetensors"), tmp_path / "other.safetensors"
    save_file(packed, path, base and {"base": base})
    with pytest.raises(IntegrityError, match=r"other\.safetensors was tuned for another UNet"):
        method(path).apply(pipeline)


def test_a_file_that_is_no_safetensors(pipeline, tmp_path):
    (tmp_path / "page.safetensors").write_text("<html>sign in</html>")
    with pytest.raises(IntegrityError, match=r"page\.safetensors holds no 2:4 weights"):
        method(tmp_path / "page.safetensors").apply(pipeline)


def test_weights_that_were_only_pruned_are_no_tuned_ones(pipeline, tiny_folder, tmp_path):
    unet = tiny_pipeline().unet.half()
    path = tmp_path / "pruned.safetensors"
    save_two_of_four(unet, path, fingerprint(tiny_folder / "unet"), scale=1)
    with pytest.raises(NoEffectError, match="pruned and not tuned"):
        method(path).apply(pipeline)


def test_a_tuned_method_does_not_declare_that_it_must_fail():
    assert TUNED.must_fail() == ()
    assert parse("fewer_steps:10+semi_structured:tuned=true").must_fail() == ()
    assert TUNED.slug == "semi_structured-tuned"


@pytest.mark.parametrize("tuned_first", [True, False])
def test_a_student_is_not_what_the_weights_were_tuned_for(tiny_folder, tuned_first):
    parts = ["semi_structured:tuned=true,weights={tuned}", "lcm:4,weights={student}"]
    case = tiny_case(tiny_folder, "+".join(parts if tuned_first else parts[::-1]))
    with pytest.raises(NotSupportedError, match=r"tuned for M0's UNet.*leave one of the two out"):
        case.method.apply(load(case, "cpu"))


def test_with_fewer_steps(tiny_folder):
    text = "fewer_steps:2+semi_structured:tuned=true,weights={tuned}"
    case = tiny_case(tiny_folder, text)
    pipeline = load(case, "cpu")
    expected = case.method.expected(pipeline)
    case.method.apply(pipeline)
    assert pipeline.generate(pipeline.request).isfinite().all()
    assert pipeline.tallies["tuned_linears"]() == expected["tuned_linears"] > 0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("semi_structured:feed_forward,tuned=true", "not with feed_forward alone"),
        ("semi_structured:weights=some.safetensors", "which tuned=true alone reads"),
        ("semi_structured:tuned=no", "tuned is 'no'; give true or false"),
    ],
)
def test_bad_fields(text, named):
    with pytest.raises(InvalidRequestError, match=named):
        parse(text)

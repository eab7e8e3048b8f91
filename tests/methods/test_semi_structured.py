import pytest
import torch
from torch import nn
from torch.sparse import SparseSemiStructuredTensor, SparseSemiStructuredTensorCUSPARSELT

from accel.errors import InvalidRequestError, NotSupportedError
from accel.gate import judge
from accel.methods import parse
from accel.methods.semi_structured import (
    HALVES,
    MULTIPLE,
    SemiStructured,
    SparseLinear,
    fits_cusparselt,
    is_two_of_four,
)
from accel.models import two_of_four
from accel.models.sources import load, untrained_unet
from tests.examples import record
from tests.methods.test_contract import tiny_case


def pruned(weight):
    return weight * two_of_four.mask(weight)


def test_what_the_mask_leaves_is_two_of_four():
    weight = torch.randn(5, 16)
    assert not is_two_of_four(weight)
    assert is_two_of_four(pruned(weight))


def test_dense_weights_and_odd_widths_are_not_two_of_four():
    assert not is_two_of_four(torch.ones(2, 8))
    assert not is_two_of_four(torch.zeros(2, 6))


def test_a_linear_whose_input_is_no_multiple_of_four_stays_as_it_is(tiny_folder):
    pipeline = load(tiny_case(tiny_folder, "semi_structured"), "cpu")
    pipeline.denoiser.extra = nn.Linear(6, 8)
    before = pipeline.denoiser.extra.weight.clone()
    linears = sum(type(m) is nn.Linear for m in pipeline.denoiser.modules())
    method = SemiStructured()
    expected = method.expected(pipeline)
    method.apply(pipeline)
    assert expected == {"sparse_linears": linears - 1, "compressed_linears": 0}
    assert torch.equal(pipeline.denoiser.extra.weight, before)
    assert pipeline.tallies["sparse_linears"]() == linears - 1


@pytest.mark.parametrize(("layers", "count"), [("all", 464), ("feed_forward", 96)])
def test_the_linears_of_the_full_size_unet_and_all_their_shapes_fit(layers, count):
    with torch.device("meta"):
        unet = untrained_unet().half()
    roots = SemiStructured(layers)._roots(unet)
    linears = [m for root in roots for m in root.modules() if type(m) is nn.Linear]
    assert len(linears) == len(set(linears)) == count
    assert all(fits_cusparselt(*m.weight.shape, m.weight.dtype) for m in linears)


def test_the_shapes_that_fit_are_those_that_torch_takes():
    limits = SparseSemiStructuredTensorCUSPARSELT._DTYPE_SHAPE_CONSTRAINTS
    for dtype in HALVES:
        assert (limits[dtype].sparse_min_rows, limits[dtype].sparse_min_cols) == (MULTIPLE,) * 2
    assert torch.float32 not in limits
    assert fits_cusparselt(16, 48, torch.bfloat16)
    assert not fits_cusparselt(16, 24, torch.float16)
    assert not fits_cusparselt(8, 16, torch.float16)
    assert not fits_cusparselt(16, 16, torch.float32)


def test_feed_forward_leaves_the_other_linears_dense(tiny_folder):
    pipeline = load(tiny_case(tiny_folder, "reference"), "cpu")
    method = SemiStructured("feed_forward")
    expected = method.expected(pipeline)
    method.apply(pipeline)
    sparse = {n for n, p in pipeline.denoiser.named_parameters() if p.ndim == 2 and _sparse(p)}
    assert len(sparse) == expected["sparse_linears"] > 0
    assert all(".ff." in name or ".ff_in." in name for name in sparse)


def _sparse(parameter):
    return is_two_of_four(parameter.detach())


@pytest.mark.parametrize("text", ["all", "feed_forward"])
@pytest.mark.parametrize("backend", ["module", "torchao"])
@pytest.mark.parametrize("sparse_first", [True, False])
def test_int8_weights_and_sparse_weights_do_not_go_together(
    tiny_folder, text, backend, sparse_first
):
    parts = [f"semi_structured:{text}", f"int8_weight_only:{backend}"]
    case = tiny_case(tiny_folder, "+".join(parts if sparse_first else parts[::-1]))
    with pytest.raises(NotSupportedError, match="choose one of the two"):
        case.method.apply(load(case, "cpu"))


@pytest.mark.parametrize(
    ("metrics", "status"),
    [
        ({"lpips": 0.29, "clip": 0.43, "motion_class": "flicker"}, "as expected"),
        ({"lpips": 0.11}, "as expected"),
        ({"lpips": 0.03}, "regressed"),
    ],
)
def test_a_video_far_from_the_reference_is_as_expected_and_a_near_one_is_not(metrics, status):
    """The first two as measured on the mini model: of a lively scene, and of a quiet one."""
    method, found = SemiStructured(), record(metrics)
    verdict = judge(found, found, method.claims(found.asked), must_fail=method.must_fail())
    assert verdict.status == status


def test_it_is_declared_to_fail():
    assert parse("semi_structured").must_fail() == ("collapsed", "regressed")
    assert parse("fewer_steps:10").must_fail() == ()


@pytest.mark.parametrize(
    ("other", "must"),
    [
        ("fewer_steps:15", True),
        ("guidance_interval", True),
        ("fewer_steps:10", False),
        ("sampler:dpmpp", False),
        ("tiny_vae", False),
        ("keyframes", False),
    ],
)
def test_in_a_chain_it_must_fail_where_no_bound_is_loosened_and_may_elsewhere(other, must):
    chain, ruin = parse(f"{other}+semi_structured"), ("collapsed", "regressed")
    found = chain.must_fail(), chain.may_fail("mini")
    assert found == ((ruin, ()) if must else ((), ruin))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("fewer_steps:4+semi_structured:feed_forward", "pass"),
        ("fewer_steps:15+semi_structured:feed_forward", "as expected"),
        ("semi_structured:feed_forward+torch_compile", "as expected"),
    ],
)
def test_a_ruin_within_its_partners_margins_passes(text, status):
    """LPIPS as measured on the mini model, of the first."""
    method, found = parse(text), record({"lpips": 0.173})
    declared = {"must_fail": method.must_fail(), "may_fail": method.may_fail("mini")}
    assert judge(found, found, method.claims(found.asked), **declared).status == status


def test_an_unknown_set_of_layers_is_refused():
    with pytest.raises(InvalidRequestError, match="did you mean 'feed_forward'"):
        parse("semi_structured:feedforward")


@pytest.fixture
def sparse_on_cpu(monkeypatch):
    """torch's sparse tensors with the kernels' part done densely: their dispatch is real.

    What a kernel is given must be 2-D with its rows one after the other. What it gives is laid out
    by columns.
    """
    cls = SparseSemiStructuredTensorCUSPARSELT

    def product(self, dense, *, bias=None, should_transpose_dense=False, **_):
        assert should_transpose_dense
        assert dense.ndim == 2
        assert dense.is_contiguous()
        return nn.functional.linear(dense, self.packed, bias).t().contiguous().t()

    monkeypatch.setattr(cls, "_validate_device_dim_dtype_shape", lambda weight: None)
    monkeypatch.setattr(torch, "_cslt_compress", torch.clone)
    monkeypatch.setattr(cls, "_mm", product)


@pytest.mark.filterwarnings("ignore:The PyTorch API of SparseSemiStructuredTensor")
@pytest.mark.usefixtures("sparse_on_cpu")
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("bias", [True, False])
def test_a_compressed_linear_takes_inputs_of_any_shape_and_strides(context, bias):
    linear = nn.Linear(32, 48, bias=bias)
    with torch.no_grad():
        linear.weight.copy_(pruned(linear.weight))
    sparse = SparseLinear(linear)
    assert isinstance(sparse.weight, SparseSemiStructuredTensor)
    assert next(sparse.parameters()) is sparse.weight
    assert is_two_of_four(sparse.weight)
    one_row = torch.randn(1, 1, 32).expand(5, 3, 32)
    turned = torch.randn(2, 32, 7).transpose(1, 2)
    with context():
        for x in (torch.randn(32), torch.randn(3, 32), torch.randn(2, 3, 32), one_row, turned):
            assert torch.allclose(sparse(x), linear(x), atol=1e-6)
            assert sparse(x).is_contiguous()  # or attention takes no kernel that saves memory

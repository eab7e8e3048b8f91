import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchao.quantization import Int8WeightOnlyConfig, quantize_

from accel.methods.int8_weight_only import Int8Linear, count_int8_linears
from accel.methods.surgery import replace_linears
from accel.models.sources import untrained_unet


def linear(rows, columns, bias=True, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(columns, rows, bias=bias)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 48), st.integers(1, 48), st.booleans(), st.integers(0, 99))
def test_rounding_error_is_at_most_half_a_step(rows, columns, bias, seed):
    original = linear(rows, columns, bias, seed)
    quantised = Int8Linear(original)
    restored = quantised.weight.float() * quantised.scale
    step = original.weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((restored - original.weight).abs() <= step * 0.5001 + 1e-9).all()
    assert quantised.weight.dtype is torch.int8


def test_the_bias_is_kept():
    original = linear(8, 16)
    x = torch.zeros(2, 16)
    assert torch.equal(Int8Linear(original)(x), original(x))


def test_a_row_of_zeros_stays_zero():
    original = linear(4, 8, bias=False)
    with torch.no_grad():
        original.weight[1] = 0
    output = Int8Linear(original)(torch.ones(1, 8))
    assert output[0, 1] == 0
    assert output.isfinite().all()


def test_agrees_with_torchao():
    original, x = linear(64, 128), torch.randn(16, 128)
    exact, ours = original(x), Int8Linear(original)(x)
    model = nn.Sequential(linear(64, 128))
    quantize_(model, Int8WeightOnlyConfig(set_inductor_config=False, version=2))
    assert (ours - exact).norm() / exact.norm() < 0.006
    assert (ours - model(x)).norm() / exact.norm() < 0.006
    assert count_int8_linears(model) == 1


def test_large_fp16_activations_overflow_in_torchao_and_not_here():
    """torchao multiplies the activations by raw int8 values and scales the product afterwards."""
    torch.manual_seed(0)
    x = (torch.randn(8, 1280) * 100).half()
    original = linear(64, 1280).half()
    model = nn.Sequential(linear(64, 1280).half())
    quantize_(model, Int8WeightOnlyConfig(set_inductor_config=False, version=2))
    assert Int8Linear(original)(x).isfinite().all()
    assert not model(x).isfinite().all()


def test_all_464_linears_of_the_full_size_unet_and_what_they_save():
    with torch.device("meta"):
        unet = untrained_unet().half()
    weights = sum(m.weight.numel() for m in unet.modules() if isinstance(m, nn.Linear))
    assert weights / 2**20 == pytest.approx(787.7, abs=0.5)
    assert replace_linears(unet, nn.Identity) == 464

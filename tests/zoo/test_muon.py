"""Muon beside torch's own, what it trains, and that it continues where it was."""

import copy

import pytest
import torch
from torch import nn

from accel.zoo.muon import Muon, matrices, optimisers, orthogonal
from accel.zoo.train_unet import ENDS, build_unet


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 16, 40), (2, 40, 16), (1, 64, 576)])
def test_singular_values_become_alike_and_directions_stay(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    before = torch.randn(shape)
    u, values, v = torch.linalg.svd(before, full_matrices=False)
    after = orthogonal(before)
    kept = u.mT @ after @ v.mT
    found = kept.diagonal(dim1=1, dim2=2)
    off = kept - torch.diag_embed(found)
    assert found[values > 0.05 * values.amax(1, keepdim=True)].min() > 0.6
    assert found.max() < 1.3
    assert off.abs().max() < 1e-3


def test_a_matrix_of_zeros_stays_one_beside_others() -> None:
    batch = torch.stack([torch.zeros(4, 6), torch.ones(4, 6)])
    assert orthogonal(batch)[0].abs().max() == 0
    assert orthogonal(batch)[1].abs().max() > 0.1


def test_it_steps_as_torch_s_own_does_where_that_can() -> None:
    torch.manual_seed(0)
    own = [nn.Parameter(torch.randn(6, 9)), nn.Parameter(torch.randn(9, 6))]
    theirs = [nn.Parameter(p.detach().clone()) for p in own]
    ours = Muon(own, 0.01, weight_decay=0.1)
    reference = torch.optim.Muon(theirs, 0.01, 0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for a, b in zip(own, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        ours.step()
        reference.step()
    for a, b in zip(own, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=5e-4, rtol=0)  # theirs iterates in bf16


def test_a_convolution_is_a_matrix_of_its_outputs() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(4, 3, 3, 1))
    flat = nn.Parameter(kernel.detach().flatten(1))
    kernel.grad = torch.randn_like(kernel)
    flat.grad = kernel.grad.flatten(1).clone()
    for parameter in (kernel, flat):
        Muon([parameter], 0.1, weight_decay=0.01).step()
    torch.testing.assert_close(kernel.flatten(1), flat)


def test_what_has_no_gradient_is_left_alone() -> None:
    idle, busy = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    busy.grad = torch.ones(2, 2)
    Muon([idle, busy], 0.1, weight_decay=0.1).step()
    assert torch.equal(idle, torch.ones(2, 2))
    assert not torch.equal(busy, torch.ones(2, 2))


def test_a_loaded_state_goes_on_alike() -> None:
    torch.manual_seed(0)
    one, other = (nn.Parameter(torch.ones(3, 3)) for _ in range(2))
    first, second = (Muon([p], 0.1, weight_decay=0) for p in (one, other))
    one.grad = torch.randn(3, 3)
    first.step()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    with torch.no_grad():
        other.copy_(one)
    one.grad = torch.randn(3, 3)
    other.grad = one.grad.clone()
    first.step()
    second.step()
    assert torch.equal(one, other)


def test_muon_trains_the_matrices_inside_and_adamw_all_others() -> None:
    unet = build_unet()
    inner = matrices(unet, ENDS)
    ends = {id(p) for name, p in unet.named_parameters() if name.startswith(ENDS)}
    assert len(ends) > 8
    assert all(p.ndim >= 2 and id(p) not in ends for p in inner)
    adam, muon = optimisers(list(unet.parameters()), inner, 1e-3)
    trained = [p for o in (adam, muon) for group in o.param_groups for p in group["params"]]
    assert sorted(map(id, trained)) == sorted(map(id, unet.parameters()))
    assert sum(p.numel() for p in inner) > 0.95 * sum(p.numel() for p in unet.parameters())
    assert [type(o) for o in optimisers(inner, [], 1e-3)] == [torch.optim.AdamW]

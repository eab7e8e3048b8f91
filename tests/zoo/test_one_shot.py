"""SparseGPT for 2:4: what it keeps, what it makes up for, and by whose inputs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accel.models import two_of_four
from accel.zoo import one_shot


def error(weight, other, rows):
    return (rows @ (weight - other).mT).square().sum().item()


def mixed(count, width, seed=0):
    """Inputs that depend on each other and differ in size."""
    dice = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, width, generator=dice)
    return rows @ torch.randn(width, width, generator=dice)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 40), st.integers(0, 9))
def test_the_result_is_2_4_and_finite_whatever_the_inputs_span(rows, groups, count, seed):
    weight = torch.randn(rows, 4 * groups, generator=torch.Generator().manual_seed(seed))
    inputs = mixed(count, 4 * groups, seed)
    found = one_shot.pruned(weight, inputs.mT @ inputs)
    assert found.isfinite().all()
    assert (found.dtype, found.shape) == (weight.dtype, weight.shape)
    assert not found[~two_of_four.mask(found)].any()


def test_inputs_that_tell_nothing_leave_what_magnitude_does():
    weight = torch.randn(6, 16)
    expected = weight * two_of_four.mask(weight)
    assert torch.equal(one_shot.pruned(weight, 5 * torch.eye(16)), expected)


def test_what_an_input_repeats_is_dropped_and_made_up_for():
    first = torch.randn(50, 2)
    rows = torch.cat([first, 1e-3 * torch.randn(50, 4), first], 1)
    weight = torch.tensor([[3.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.5, -0.5]])
    found = one_shot.pruned(weight, rows.mT @ rows)
    magnitude = weight * two_of_four.mask(weight)
    assert error(weight, found, rows) < 1e-3 * error(weight, magnitude, rows)


def test_outputs_stay_nearer_than_by_magnitude_or_by_magnitude_times_input():
    rows, weight = mixed(400, 32), torch.randn(24, 32)
    found = one_shot.pruned(weight, rows.mT @ rows)
    magnitude = two_of_four.mask(weight)
    wanda = two_of_four.mask(weight * rows.norm(dim=0))
    for mask in (magnitude, wanda):
        assert error(weight, found, rows) < 0.75 * error(weight, weight * mask, rows)
    kept = two_of_four.mask(found)
    assert error(weight, weight * kept, rows) > error(weight, found, rows)


def test_a_width_of_no_whole_groups_is_an_error():
    with pytest.raises(RuntimeError):
        one_shot.pruned(torch.ones(1, 6), torch.eye(6))


def network():
    torch.manual_seed(0)
    return nn.ModuleDict({"used": nn.Linear(8, 4), "odd": nn.Linear(4, 3), "idle": nn.Linear(8, 8)})


def test_each_linear_is_pruned_by_the_inputs_that_reach_it():
    own, dense = network(), network()
    rows = [mixed(7, 8, 1), mixed(5, 8, 2).unflatten(0, (5, 1))]
    found = one_shot.grams(own, lambda: [own["odd"](own["used"](each)) for each in rows])
    assert set(found) == {"used", "odd"}
    flat = torch.cat([rows[0], rows[1].flatten(0, 1)])
    torch.testing.assert_close(found["used"], flat.mT @ flat)
    one_shot.prune(own, found)
    expected = one_shot.pruned(dense["used"].weight, found["used"])
    assert torch.equal(own["used"].weight, expected)
    assert torch.equal(own["used"].bias, dense["used"].bias)
    idle = dense["idle"].weight
    assert torch.equal(own["idle"].weight, idle * two_of_four.mask(idle))


def test_a_network_is_left_as_it_was_when_a_call_fails():
    own = network()

    def run():
        own["used"](torch.ones(1, 8))
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        one_shot.grams(own, run)
    assert not any(module._forward_pre_hooks for module in own.modules())

"""2:4 weights: masked, trained under the mask, packed without loss, put into another copy."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from accel.errors import IntegrityError
from accel.models import two_of_four

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 4))
WEIGHTS = SIZES.flatmap(
    lambda size: arrays("float32", (size[0], 4 * size[1]), elements=st.floats(-4, 4, width=16))
).map(torch.from_numpy)


def pruned(weight):
    return weight * two_of_four.mask(weight)


def test_the_two_largest_of_each_four_along_the_input_stay():
    weight = torch.tensor([[1.0, -3.0, 2.0, 0.5, 0.0, 0.1, -0.2, 0.3], [5, 6, 7, -8, 1, 2, 0, 0]])
    expected = [[0, -3, 2, 0, 0, 0, -0.2, 0.3], [0, 0, 7, -8, 1, 2, 0, 0]]
    assert torch.equal(pruned(weight), torch.tensor(expected))


def test_of_equal_magnitudes_the_first_stay():
    weight = torch.tensor([[1.0, -1.0, 1.0, 1.0, 0.0, 2.0, -2.0, 2.0]])
    assert torch.equal(pruned(weight), torch.tensor([[1.0, -1, 0, 0, 0, 2, -2, 0]]))


@settings(deadline=None, max_examples=100)
@given(WEIGHTS)
def test_two_of_four_stay_the_largest_and_again_the_same(weight):
    mask, once = two_of_four.mask(weight), pruned(weight)
    kept, groups = mask.unflatten(1, (-1, 4)), weight.abs().unflatten(1, (-1, 4))
    assert (kept.sum(-1) == 2).all()
    smallest_kept = groups.masked_fill(~kept, torch.inf).amin(-1)
    largest_lost = groups.masked_fill(kept, 0).amax(-1)
    assert (smallest_kept >= largest_lost).all()
    assert torch.equal(once[mask], weight[mask])
    assert not once[~mask].any()
    assert torch.equal(pruned(once), once)


def test_two_groups_share_a_byte_and_an_odd_one_has_its_own():
    values, positions = two_of_four.pack(torch.tensor([[0.0, 5, 0, 6, 7, 8, 0, 0, 0, 0, 9, 1]]))
    assert torch.equal(values, torch.tensor([[5, 6, 7, 8, 9, 1]], dtype=torch.float16))
    assert positions.tolist() == [0b0100_1101, 0b0000_1110]


@settings(deadline=None, max_examples=100)
@given(WEIGHTS)
def test_packing_loses_nothing(weight):
    weight = pruned(weight)
    values, positions = two_of_four.pack(weight)
    assert values.dtype == torch.float16
    assert values.shape == (len(weight), weight.shape[1] // 2)
    assert positions.dtype == torch.uint8
    assert len(positions) == -(-weight.numel() // 8)
    assert torch.equal(two_of_four.unpack(values, positions).float(), weight)


@settings(deadline=None, max_examples=100)
@given(SIZES, st.data())
def test_any_two_places_of_four_can_be_packed(size, data):
    rows, groups = size
    places = st.permutations(range(4)).map(lambda order: order[:2])
    chosen = data.draw(st.lists(places, min_size=rows * groups, max_size=rows * groups))
    weight = torch.zeros(rows * groups, 4)
    weight.scatter_(1, torch.tensor(chosen), torch.randn(rows * groups, 2).half().float() + 8)
    packed = two_of_four.pack(weight.view(rows, -1))
    unpacked = two_of_four.unpack(*packed)
    assert torch.equal(unpacked, weight.view(rows, -1).half())
    assert all(map(torch.equal, two_of_four.pack(unpacked), packed))


def test_a_dense_weight_is_not_packed():
    with pytest.raises(IntegrityError, match="not 2:4"):
        two_of_four.pack(torch.ones(2, 8))


@pytest.mark.parametrize("byte", [0b0100_0101, 0b0100_0001, 0b0001_0100], ids=bin)
def test_positions_that_do_not_rise_or_stand_for_no_group_are_refused(byte):
    """Of one group, in the low half of its byte: twice the same, falling, and one too many."""
    values = torch.ones(1, 2, dtype=torch.float16)
    with pytest.raises(IntegrityError, match="two rising indices"):
        two_of_four.unpack(values, torch.tensor([byte], dtype=torch.uint8))


@pytest.mark.parametrize(
    ("values", "positions", "named"),
    [
        (torch.ones(1, 4), torch.zeros(1, dtype=torch.uint8), "these are not"),
        (torch.ones(1, 4).half(), torch.zeros(1), "these are not"),
        (torch.ones(1, 3).half(), torch.zeros(1, dtype=torch.uint8), "these are not"),
        (torch.ones(1, 4).half(), torch.zeros(2, dtype=torch.uint8), "do not have 2 positions"),
    ],
)
def test_values_and_positions_of_another_kind_or_size_are_refused(values, positions, named):
    with pytest.raises(IntegrityError, match=named):
        two_of_four.unpack(values, positions)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(8, 12), nn.Conv2d(3, 4, 3), nn.Linear(12, 6, bias=False), nn.Linear(6, 8)
    )


def tuned():
    """A network after three rough steps with weight decay, and the average of all of them."""
    own = network()
    two_of_four.make_trainable(own)
    parameters = [p for p in own.parameters() if p.requires_grad]
    average = [p.detach().clone() for p in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        sum((own[i].weight - own[i].weight.detach() * 3).square().sum() for i in (0, 2)).backward()
        own[0].bias.sum().backward()
        optimiser.step()
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 0.5)
    return own, parameters, average


def test_only_linears_of_whole_groups_of_four_are_trained():
    own = network()
    two_of_four.make_trainable(own)
    trained = {name for name, p in own.named_parameters() if p.requires_grad}
    weights = {f"{i}.parametrizations.weight.original" for i in (0, 2)}
    assert trained == {*weights, "0.bias"}


def test_what_is_2_4_already_keeps_its_weights_and_is_trained_under_their_mask():
    own = network()
    with torch.no_grad():
        for i in (0, 2):
            own[i].weight *= ~two_of_four.mask(own[i].weight)  # not what pruning would leave
    before = {i: own[i].weight.clone() for i in (0, 2)}
    two_of_four.make_trainable(own)
    for i, weight in before.items():
        assert torch.equal(own[i].weight, weight)
        assert torch.equal(own[i].parametrizations.weight[0].mask, weight != 0)


def test_the_mask_holds_after_every_step_and_of_the_average():
    own, parameters, average = tuned()
    masks = {i: two_of_four.mask(network()[i].weight) for i in (0, 2)}
    for _ in range(2):
        for i, mask in masks.items():
            assert not own[i].weight[~mask].any()
            assert not torch.equal(own[i].weight, network()[i].weight * mask)
        with torch.no_grad():
            torch._foreach_copy_(parameters, average)


def test_what_was_trained_can_be_put_into_the_untouched_network():
    own, *_ = tuned()
    other = network()
    assert two_of_four.put_in(other, two_of_four.tensors(own)) == 2
    assert torch.equal(other[0].weight, own[0].weight.half().float())
    assert torch.equal(other[2].weight, own[2].weight.half().float())
    assert torch.equal(other[0].bias, own[0].bias.half().float())
    assert not torch.equal(other[0].bias, network()[0].bias)
    for i in (1, 3):
        assert torch.equal(other[i].weight, network()[i].weight)


def test_weights_that_were_only_pruned_are_counted_as_the_networks_own():
    own = network().half()
    two_of_four.make_trainable(own)
    assert two_of_four.put_in(network().half(), two_of_four.tensors(own)) == 0


@pytest.mark.parametrize("name", ["0.values", "0.bias", "2.positions"])
def test_weights_of_other_layers_are_refused_and_named(name):
    packed = two_of_four.tensors(tuned()[0])
    del packed[name]
    with pytest.raises(IntegrityError, match=f"of another network: it differs in .*{name}"):
        two_of_four.put_in(network(), packed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("0.bias", torch.zeros(1).half()),
        ("0.bias", torch.zeros(12)),
        ("2.values", torch.zeros(12, 3).half()),
    ],
)
def test_weights_of_another_shape_are_refused_and_named(name, value):
    packed = two_of_four.tensors(tuned()[0]) | {name: value}
    if name == "2.values":
        turned = pruned(torch.randn(12, 8))
        packed["2.values"], packed["2.positions"] = two_of_four.pack(turned)
    with pytest.raises(IntegrityError, match=f"{name[0]} has another shape"):
        two_of_four.put_in(network(), packed)

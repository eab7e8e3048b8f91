"""Low-rank changes: trained beside frozen weights, kept as pairs, put into another copy."""

import pytest
import torch
from torch import nn

from accel.errors import IntegrityError
from accel.models import low_rank


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Conv2d(8, 4, 3), nn.Conv3d(4, 3, (3, 1, 1)))


def changed(rank=2):
    """A network whose changes were given values, and those."""
    own = network()
    low_rank.make_trainable(own, rank)
    with torch.no_grad():
        for parameter in own.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    return own, low_rank.tensors(own)


def weights(own):
    return [layer.weight.detach().clone() for layer in own]


def test_at_first_nothing_is_changed():
    own = network()
    before = weights(own)
    low_rank.make_trainable(own, 2)
    assert all(map(torch.equal, weights(own), before))


def test_only_the_changes_are_trained():
    own, changes = changed()
    trained = {name for name, p in own.named_parameters() if p.requires_grad}
    assert len(trained) == len(changes) == 6
    sum(layer.weight.sum() for layer in own).backward()
    assert all(p.grad is not None for p in own.parameters() if p.requires_grad)


def test_what_was_trained_can_be_put_into_the_untouched_network():
    own, changes = changed()
    other = network()
    low_rank.add(other, changes)
    for a, b in zip(weights(own), weights(other), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_rank_is_that_of_the_change():
    own, _ = changed(rank=2)
    difference = own[0].weight.detach() - network()[0].weight.detach()
    assert torch.linalg.matrix_rank(difference) == 2


@pytest.mark.parametrize("name", ["0.up", "2.down"])
def test_changes_of_other_layers_are_refused(name):
    _, changes = changed()
    del changes[name]
    with pytest.raises(IntegrityError, match="of another network"):
        low_rank.add(network(), changes)


def test_changes_of_another_shape_are_refused_and_named():
    _, changes = changed()
    changes["1.down"] = torch.zeros(2, 5)
    with pytest.raises(IntegrityError, match="1 has another shape"):
        low_rank.add(network(), changes)

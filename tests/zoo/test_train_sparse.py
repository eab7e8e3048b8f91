"""Tuning under the 2:4 mask: it holds at every step, and the sparse UNet comes nearer."""

import copy

import pytest
import torch

from accel.errors import IntegrityError
from accel.models import two_of_four
from accel.zoo.conditioning import Conditions
from accel.zoo.ranks import ALONE
from accel.zoo.train_sparse import check, distance
from accel.zoo.training import Plan, Training
from tests.tiny import tiny_pipeline


@pytest.fixture
def dense():
    return tiny_pipeline().unet


def pruned(dense):
    student = copy.deepcopy(dense)
    two_of_four.make_trainable(student)
    return student


def test_tuning_brings_the_sparse_unet_nearer_and_never_leaves_the_mask(dense, tmp_path):
    student = pruned(dense)
    plan = Plan(0, 12, tmp_path, tmp_path, torch.device("cpu"), 2, False, False, 0, ALONE)
    training = Training("sparse", student, plan, peak=2e-2)
    latents = torch.randn(2, 2, 4, 8, 8)
    given = Conditions(torch.randn(2, 1, 32), torch.randn(2, 4, 8, 8), torch.ones(2, 3))
    losses = []

    masks = {n: two_of_four.mask(m.weight) for n, m in two_of_four.linears(student).items()}

    def hold():
        return all(
            not layer.weight[~masks[name]].any()
            for name, layer in two_of_four.linears(student).items()
        )

    def loss_of(share):
        assert hold()
        torch.manual_seed(0)
        loss = distance((student, dense), latents, given, torch.tensor([0.5, 2.0]))
        losses.append(loss.item())
        return loss

    training.run(loss_of)
    check(student, dense)
    assert losses[-1] < 0.9 * losses[0]
    with training.averaged():
        assert hold()
        assert two_of_four.put_in(copy.deepcopy(dense), two_of_four.tensors(student))


def test_the_distance_of_a_network_to_itself_is_zero(dense):
    latents, sigma = torch.randn(1, 2, 4, 8, 8), torch.tensor([1.0])
    given = Conditions(torch.randn(1, 1, 32), torch.randn(1, 4, 8, 8), torch.ones(1, 3))
    assert distance((dense, dense), latents, given, sigma).item() == 0
    assert distance((pruned(dense), dense), latents, given, sigma).item() > 0


def test_the_distance_is_seen_from_the_guess_it_is_given(dense):
    latents, sigma = torch.randn(1, 2, 4, 8, 8), torch.tensor([1.0])
    given = Conditions(torch.randn(1, 1, 32), torch.randn(1, 4, 8, 8), torch.ones(1, 3))
    found = []
    for seen in (None, latents, torch.zeros_like(latents)):
        torch.manual_seed(0)
        found.append(distance((pruned(dense), dense), latents, given, sigma, seen).item())
    assert found[0] == found[1] != found[2]


def test_a_state_of_another_unet_is_refused(dense):
    with pytest.raises(IntegrityError, match=r"remove sparse\.pt"):
        check(pruned(tiny_pipeline(seed=1).unet), dense)

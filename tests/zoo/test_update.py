"""One update does the same eagerly, and as a CUDA graph, which a GPU replays."""

import copy

import pytest
import torch
from torch import Tensor, nn

from accel.zoo.muon import optimisers
from accel.zoo.update import WARM_UP, Update


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 8), nn.Linear(8, 2))


def update_of(model: nn.Module) -> Update:
    """Muon trains the matrix inside, AdamW all else."""
    own = list(model.parameters())
    average = [p.detach().clone() for p in own]
    return Update(own, average, optimisers(own, [own[2]], 0.1))


def step(model: nn.Module, update: Update, inputs: Tensor, rate: float = 0.1) -> None:
    model(inputs).square().sum().backward()
    update(rate, 0.25)


def test_it_clips_steps_and_averages() -> None:
    model = network()
    update, plain = update_of(model), copy.deepcopy(model)
    own = list(plain.parameters())
    average = [p.detach().clone() for p in own]
    plainly = optimisers(own, [own[2]], 0.1)
    inputs = torch.full((3, 4), 9.0)
    for rate in (0.1, 0.05):
        step(model, update, inputs, rate)
        plain(inputs).square().sum().backward()
        assert nn.utils.clip_grad_norm_(own, 1.0) > 1
        for optimiser in plainly:
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
            optimiser.zero_grad()
        average = [0.75 * a + 0.25 * p.detach() for a, p in zip(average, own, strict=True)]
    torch.testing.assert_close(list(model.parameters()), own)
    torch.testing.assert_close(list(update.average), average)
    assert all(p.grad is None for p in model.parameters())


def test_what_has_no_gradient_stays() -> None:
    model = network()
    before = model[0].weight.detach().clone()
    update = update_of(model)
    model[0].requires_grad_(False)
    step(model, update, torch.ones(3, 4))
    assert torch.equal(model[0].weight, before)


@pytest.mark.gpu
def test_a_gpu_replays_what_it_does_eagerly(monkeypatch) -> None:
    """With a second graph, for other gradients, in the middle."""
    replayed, eager = network().cuda(), network().cuda()
    graphs, plainly = update_of(replayed), update_of(eager)
    monkeypatch.setattr(plainly, "_captured", lambda: None)
    for turn in range(4 * WARM_UP):
        inputs = torch.randn(
            3, 4, device="cuda", generator=torch.Generator("cuda").manual_seed(turn)
        )
        for model, update in ((replayed, graphs), (eager, plainly)):
            model[0].requires_grad_(turn < 2 * WARM_UP)
            step(model, update, inputs, 0.1 / (1 + turn))
        assert (graphs.graph is None) == (turn % (2 * WARM_UP) < WARM_UP)
        torch.testing.assert_close(list(replayed.parameters()), list(eager.parameters()))
        torch.testing.assert_close(list(graphs.average), list(plainly.average))
    assert plainly.graph is None

"""What the trainings of the mini SVD minimise, told by networks that know the answer."""

from types import SimpleNamespace

import pytest
import torch

from accel.zoo import train_lcm, train_unet, train_vae
from accel.zoo.conditioning import Conditions, denoised, draw_sigma, noised


class Oracle:
    """Answers with the exact v, for it knows the clean latents."""

    def __init__(self, latents: torch.Tensor) -> None:
        self.latents = latents

    def __call__(self, sample, time, embedding, ids, return_dict) -> tuple[torch.Tensor]:
        level = (4 * time).exp().reshape(-1, 1, 1, 1, 1)
        norm = (level.square() + 1).sqrt()
        x = sample[:, :, : self.latents.shape[2]] * norm
        return ((x / norm.square() - self.latents) * norm / level,)


def conditions(n: int) -> Conditions:
    return Conditions(torch.ones(n, 1, 4), torch.ones(n, 8, 4, 4), torch.ones(n, 3))


def test_a_teacher_that_knows_the_answer_leads_straight_to_it() -> None:
    torch.manual_seed(0)
    latents, eps = torch.randn(3, 2, 8, 4, 4), torch.randn(3, 2, 8, 4, 4)
    sigma, after = torch.tensor([2.0, 0.5, 10.0]), torch.tensor([1.0, 0.0, 9.0])
    high, low = (level.reshape(-1, 1, 1, 1, 1) for level in (sigma, after))
    x = latents + high * eps
    later = train_lcm.solved(Oracle(latents), x, sigma, after, conditions(3))
    assert torch.allclose(later, latents + low * eps, atol=1e-4)


def test_a_student_that_knows_the_answer_has_no_loss() -> None:
    torch.manual_seed(0)
    latents = torch.randn(64, 1, 8, 4, 4)
    oracle = Oracle(latents)
    nets = train_lcm.Nets(oracle, oracle, oracle)
    assert float(train_lcm.consistency_loss(nets, latents, conditions(64))) < 1e-3
    wrong = train_lcm.Nets(Oracle(latents + 0.1), oracle, oracle)
    assert float(train_lcm.consistency_loss(wrong, latents, conditions(64))) > 0.03


def test_a_student_learns_guidance_that_rises_from_the_first_frame_to_the_last() -> None:
    first, last = train_lcm.ends(100, torch.device("cpu"))
    assert 1 <= float(first.min()) <= float(first.max()) <= 1.5
    assert 2 <= float(last.min()) <= float(last.max()) <= 3


@pytest.mark.parametrize("error", [None, 0.3])
def test_v_target_recovers_the_clean_latents(error: float | None) -> None:
    torch.manual_seed(0)
    latents = torch.randn(4, 2, 3, 4, 4)
    seen = latents + error * torch.randn_like(latents) if error else None
    sigma = draw_sigma(4, torch.device("cpu"))
    sample, time, target = noised(latents, sigma, seen)
    level = (4 * time).exp().reshape(-1, 1, 1, 1, 1)
    norm = (level.square() + 1).sqrt()
    # D(x) = c_skip x + c_out F, with x = sample * norm: mini-zoo notes, EDM with sigma_data 1.
    clean = sample * norm / norm.square() - level / norm * target
    assert torch.allclose(clean, latents, atol=1e-4)
    assert torch.allclose(denoised(sample, target, sigma), latents, atol=1e-4)


def test_a_guess_is_the_networks_and_guided_the_more_the_later_the_frame() -> None:
    """By a network that is 0.5 off with its conditions, and 1 off without: up to -0.5 guided."""
    torch.manual_seed(0)
    latents = torch.randn(512, 3, 8, 4, 4)
    levels = []

    def network(sample, time, embedding, *rest, **options) -> tuple[torch.Tensor]:
        levels.append((4 * time).exp())
        error = 0.5 if embedding.any() else 1.0
        return Oracle(latents + error)(sample, time, embedding, *rest, **options)

    seen, sigma = train_unet.guess(network, latents, conditions(512))
    assert (sigma >= train_unet.LEAST).all()
    assert torch.equal(*levels)
    assert (levels[0] > 1.3 * sigma).all()
    error = (seen - latents).mean((2, 3, 4))
    assert torch.allclose(error[:, 0], torch.tensor(0.5), atol=1e-2)
    assert -0.5 <= float(error[:, 2].min()) < -0.4
    assert 0.4 < float(error[:, 2].max()) <= 0.5
    assert torch.allclose(error.mean(0), torch.tensor([0.5, 0.25, 0.0]), atol=0.05)


def test_a_network_that_mends_its_guess_has_no_loss() -> None:
    torch.manual_seed(0)
    latents, sigma = torch.randn(64, 2, 8, 4, 4), torch.full((64,), 0.5)
    network, given = Oracle(latents), conditions(64)
    assert float(train_unet.v_loss(network, latents, given, sigma, latents + 0.3)) < 1e-8
    assert float(train_unet.v_loss(Oracle(latents + 0.3), latents, given, sigma)) > 0.1


def test_moving_a_picture_by_one_cell_moves_it_by_eight_pixels() -> None:
    picture = torch.rand(1, 3, 128, 128)
    right = torch.tensor([[[1.0, 0.0, -train_vae.SHIFT], [0.0, 1.0, 0.0]]])
    found = train_vae.moved(picture, right)
    assert torch.allclose(found[..., 8:], picture[..., :-8], atol=1e-5)


def test_random_moves_stay_within_a_cell_and_a_quarter_in_log_scale() -> None:
    torch.manual_seed(0)
    matrices = train_vae.moves(1000, torch.device("cpu"))
    assert matrices[:, :, 2].abs().amax() <= train_vae.SHIFT
    assert (matrices[:, 0, 1] == 0).all()
    assert torch.equal(matrices[:, 0, 0], matrices[:, 1, 1])
    assert matrices[:, 0, 0].log().abs().amax() <= train_vae.LOG_SCALE + 1e-6


def test_what_moves_counts_more_and_a_still_clip_counts_alike_everywhere() -> None:
    torch.manual_seed(0)
    latents = torch.randn(2, 1, 8, 4, 4).repeat(1, 3, 1, 1, 1)
    latents[0, 1:, :, 0, 0] += 10.0
    weight = train_unet.emphasis(latents)
    assert weight.shape == (2, 3, 1, 4, 4)
    assert torch.allclose(weight.mean((1, 2, 3, 4)), torch.ones(2))
    assert torch.equal(weight[1], torch.ones(3, 1, 4, 4))
    assert float(weight[0, 2, 0, 0, 0] / weight[0, 2, 0, 1, 1]) == pytest.approx(
        1 + train_unet.EMPHASIS, rel=0.02
    )


def test_batches_of_other_lengths_are_larger_but_not_too_large_for_the_gpu() -> None:
    asked = []
    row = {
        "embedding": torch.ones(1),
        "image": torch.ones(1),
        "ids": None,
        "latents": torch.ones(1),
    }
    bank = train_unet.Bank.__new__(train_unet.Bank)
    bank.plan = SimpleNamespace(batch=64)
    bank.rings = {n: SimpleNamespace(draw=lambda k: asked.append(k) or row) for n in (14, 25, 7)}
    for length in bank.rings:
        bank.draw(length)
    assert asked == [64, 108, 255]

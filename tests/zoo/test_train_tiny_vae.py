"""Distilling a tiny decoder: from what the VAE's own decoder makes, towards it."""

import pytest
import torch

from accel.zoo import train_tiny_vae
from accel.zoo.ranks import ALONE
from accel.zoo.ring import Ring
from accel.zoo.train_tiny_vae import build, draw, fill, quality
from accel.zoo.train_vae import decoded
from accel.zoo.training import Plan, Training
from tests.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def vae():
    return tiny_pipeline().vae.requires_grad_(False)


@pytest.fixture
def ring(vae, monkeypatch):
    """One moved chunk of 3 frames and one that is not."""
    monkeypatch.setattr(train_tiny_vae, "CHUNK_FRAMES", 3)
    monkeypatch.setattr(train_tiny_vae, "CLIP_FRAMES", 2)
    found = Ring(2)
    for seed in (7_000, 14_000):
        fill(found, vae, 1, seed)
    return found


def test_the_goal_is_what_the_vae_makes_of_the_latents(vae, ring):
    for latents, frames in zip(*ring.rows.values(), strict=True):
        made = vae.decode(latents, num_frames=3).sample.clamp(-1, 1)
        assert (made - (frames.float() / 127.5 - 1)).abs().max() <= 1.01 / 255


def test_clips_are_neighbours_of_one_chunk(ring):
    torch.manual_seed(0)
    chunks = [(row, at) for row in range(2) for at in range(2)]
    seen = set()
    for _ in range(20):
        latents, frames = draw(ring, 1)
        assert frames.shape == (2, 3, 128, 128)
        seen |= {
            (row, at)
            for row, at in chunks
            if torch.equal(latents[0], ring.rows["latents"][row, at : at + 2])
        }
    assert seen == set(chunks)


def test_a_few_steps_bring_it_nearer_to_the_vae(vae, ring, tmp_path):
    torch.manual_seed(0)
    network = build(vae)
    plan = Plan(0, 12, tmp_path, tmp_path, torch.device("cpu"), 1, False, False, 0, ALONE)
    training = Training("tiny_vae", network, plan, peak=5e-2)  # which is reached after 100 steps
    latents, frames = ring.rows["latents"][:1], ring.rows["frames"][0].float() / 127.5 - 1
    losses = []

    def loss_of(share):
        losses.append((decoded(network, latents) - frames).abs().mean())
        return losses[-1]

    training.run(loss_of)
    assert losses[-1] < 0.5 * losses[0]


def test_the_vaes_own_decoder_has_no_distance_to_itself(vae):
    own = quality(vae, vae.decoder, clips=1)
    assert own["teacher"] == pytest.approx(100)
    assert own["lpips"] == 0
    assert own["truth"] == own["teacher to truth"]
    torch.manual_seed(0)
    worse = quality(vae, build(vae), clips=1)
    assert worse["teacher"] < 30
    assert worse["lpips"] > 0.01
    assert worse["teacher to truth"] == own["truth"]

"""tiny_vae: the tiny decoder decodes all, the encoder stays, weights are found or refused."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from accel.errors import IntegrityError, MissingWeightsError, NoEffectError
from accel.methods.fewer_steps import nearness
from accel.methods.tiny_vae import TinyVae
from accel.models import tiny_decoder
from accel.models.sources import load
from accel.models.students import fingerprint
from accel.models.svd import Pipeline
from accel.models.tiny_decoder import MINI, TinyDecoder
from tests.methods.test_contract import tiny_case


@pytest.fixture
def pipeline(tiny_folder):
    return load(tiny_case(tiny_folder, "reference"), "cpu")


@pytest.fixture
def method(tiny_folder):
    return TinyVae(str(tiny_folder / "decoder.safetensors"))


def fewer_steps(steps):
    """What so many steps claim of LPIPS."""
    return next(claim for claim in nearness(steps) if claim.metric == "lpips")


def of(pipeline, weights):
    return Pipeline(pipeline.diffusers, pipeline.request, weights)


def test_frames_are_those_of_the_file_in_the_range_that_diffusers_takes(pipeline, method):
    method.apply(pipeline)
    decoder = TinyDecoder(8, 4, scaling_factor=1.0)
    decoder.load_state_dict(load_file(method.weights))
    latents = torch.randn(1, 7, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = pipeline.diffusers.decode_latents(latents, 7, 4)[0].transpose(0, 1)
        chunks = [decoder(x, torch.zeros(1, len(x)), len(x)) for x in latents[0].split(4)]
    assert torch.allclose(found, torch.cat(chunks), atol=1e-5)
    assert pipeline.tallies["tiny_decodes"]() == 1


def test_the_image_is_encoded_as_before(pipeline, method):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = pipeline.diffusers.vae.encode(image).latent_dist.mode()
    method.apply(pipeline)
    assert torch.equal(pipeline.diffusers.vae.encode(image).latent_dist.mode(), before)


def test_a_decoder_that_was_put_back_is_seen(pipeline, method):
    own = pipeline.diffusers.vae.decoder
    method.apply(pipeline)
    pipeline.generate(replace(pipeline.request, steps=1))
    assert pipeline.tallies["tiny_decodes"]() == 1
    pipeline.diffusers.vae.decoder = own
    pipeline.generate(replace(pipeline.request, steps=1))
    assert pipeline.tallies["tiny_decodes"]() == 0


def test_an_untrained_pipeline_gets_a_seeded_one_of_taesdvs_width(pipeline):
    networks = []
    for _ in range(2):
        untrained = of(pipeline, "untrained")
        assert TinyVae().refuses(untrained) is None
        state = torch.random.get_rng_state()
        own, untrained.diffusers.vae.decoder = untrained.diffusers.vae.decoder, None
        TinyVae().apply(untrained)
        assert torch.equal(torch.random.get_rng_state(), state)
        networks.append(untrained.diffusers.vae.decoder.state_dict())
        untrained.diffusers.vae.decoder = own
    assert networks[0]["decoder.1.weight"].shape == (64, 4, 3, 3)
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])


def test_trained_weights_need_a_file_and_say_which(pipeline):
    assert "get taesdv.pth from github.com/madebyollin/taesdv" in TinyVae().refuses(pipeline)
    with pytest.raises(MissingWeightsError, match=r"taesdv\.pth"):
        TinyVae().apply(pipeline)


def test_mini_takes_the_file_that_was_distilled_from_its_vae(
    pipeline, tiny_folder, method, tmp_path, monkeypatch
):
    monkeypatch.setattr(tiny_decoder, "ZOO", tmp_path)
    mini = of(pipeline, "mini")
    assert "python -m accel.zoo.train_tiny_vae" in TinyVae().refuses(mini)
    with pytest.raises(MissingWeightsError, match=r"decoder\.safetensors is missing"):
        TinyVae().apply(mini)
    (tmp_path / "svd").mkdir()
    (tmp_path / "svd" / "vae").symlink_to(tiny_folder / "vae")
    (tmp_path / MINI).parent.mkdir()
    save_file(load_file(method.weights), tmp_path / MINI, {"base": "another"})
    with pytest.raises(IntegrityError, match="distilled from another VAE"):
        TinyVae().apply(mini)
    own = {"base": fingerprint(tiny_folder / "vae")}
    save_file(load_file(method.weights), tmp_path / MINI, own)
    assert TinyVae().refuses(mini) is None
    TinyVae().apply(mini)
    assert isinstance(mini.diffusers.vae.decoder, TinyDecoder)
    with pytest.raises(NoEffectError, match="twice"):
        TinyVae().apply(mini)


def test_what_has_nothing_to_decode_or_another_scale_is_refused(pipeline, method, monkeypatch):
    assert method.refuses(pipeline) is None
    request = pipeline.request
    pipeline.request = replace(request, latents_only=True)
    assert "nothing is decoded" in method.refuses(pipeline)
    pipeline.request = request
    monkeypatch.setattr(pipeline.diffusers, "vae_scale_factor", 4)
    assert "8 times its latents' size, this VAE's 4" in method.refuses(pipeline)


def test_claimed_memory_follows_the_pixels_of_a_chunk(pipeline, method):
    full = replace(pipeline.request, width=1024, height=576, frames=25, steps=25)
    speed, memory, near = method.claims(full)
    assert memory.at_most == pytest.approx(-2500)
    assert 1.05 < speed.at_least < 1.07
    assert near.at_most < fewer_steps(8).at_most, "nearer than 8 steps must be"
    small = method.claims(replace(full, width=512, frames=4))[1]
    assert small.at_most == pytest.approx(-625)
    assert method.claims(replace(full, steps=4))[0].at_least > 1.25

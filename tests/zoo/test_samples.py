"""Pictures of a training that runs: they are there, and the training does not notice."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from accel.zoo import samples, train_vae, training
from accel.zoo.curve import read_log
from accel.zoo.held_out import generated, held_out
from accel.zoo.ranks import ALONE, Ranks
from accel.zoo.training import Plan, Training
from tests.tiny import tiny_pipeline

CPU = torch.device("cpu")


def toy(folder, steps, ranks=ALONE):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
    plan = Plan(1, steps, folder, folder, CPU, 1, False, False, 0, ranks)
    return Training("toy", model, plan, peak=0.1)


def run(training, sheet=None):
    training.run(lambda share: training.model(torch.randn(2, 4)).square().sum(), sheet)
    return torch.cat([p.detach().flatten() for p in (*training.parameters, *training.average)])


@pytest.fixture
def at_every_step(monkeypatch):
    monkeypatch.setattr(training, "PICTURE_SECONDS", 0.0)
    monkeypatch.setattr(training, "PICTURE_SHARE", float("inf"))


def test_samples_do_not_change_the_training(tmp_path, at_every_step):
    plain = run(toy(tmp_path / "plain", 6))
    titles = []
    watched = toy(tmp_path / "watched", 6)

    def sheet(title):
        titles.append(title)
        assert not watched.model.training
        pairs = zip(watched.parameters, watched.average, strict=True)
        assert all(torch.equal(own, mean) for own, mean in pairs)
        assert not watched.model(torch.randn(1, 4)).requires_grad
        return Image.new("RGB", (4, 4))

    assert torch.equal(run(watched, sheet), plain)
    assert titles == [f"toy at step {n}" for n in (1, 2, 3, 4, 5, 6)]
    assert watched.model.training


def test_the_curve_spans_resumed_runs(tmp_path):
    run(toy(tmp_path, 2))
    assert (tmp_path / "toy.png").exists()
    (tmp_path / "toy.png").unlink()
    run(toy(tmp_path, 5))
    rows = read_log(tmp_path / "toy.jsonl")
    assert [(row["step"], row["resumed_at"]) for row in rows] == [(2, 0), (5, 2)]
    assert (tmp_path / "toy.png").exists()


def test_a_training_goes_on_when_a_sheet_has_no_room(tmp_path, at_every_step, capsys):
    def sheet(title):
        raise torch.OutOfMemoryError("full")

    assert torch.equal(run(toy(tmp_path / "full", 3), sheet), run(toy(tmp_path / "plain", 3)))
    assert "toy at step 3: no new pictures: full" in capsys.readouterr().out


def test_the_first_rank_alone_draws(tmp_path):
    assert toy(tmp_path, 1, Ranks(1, 2))._show(lambda title: pytest.fail("drawn")) == 0
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small(monkeypatch):
    """One clip of three frames."""
    torch.set_num_threads(1)
    monkeypatch.setattr(samples, "CLIPS", 1)
    monkeypatch.setattr(samples, "SHOWN", (0, 2))


def truth_and_own(image):
    """The two rows of a sheet of one clip, below its title and legend."""
    pixels = np.asarray(image)
    bottom = len(pixels) - samples.MARGIN - samples.GAP
    left = samples.MARGIN
    rows = pixels[bottom - 256 : bottom, left : left + 256]
    return rows[:128], rows[128:]


def test_a_sheet_of_generated_clips(small):
    parts = tiny_pipeline()
    draw = samples.generations(parts.unet, parts.vae, parts.image_encoder, steps=2)
    torch.manual_seed(0)
    image = draw("unet at step 1")
    truth, own = truth_and_own(image)
    assert truth.std() > 5
    assert np.abs(truth.astype(int) - own).mean() > 5


@pytest.mark.parametrize(("asked", "used"), [({}, 3.0), ({"guidance": 1.5}, 1.5)])
def test_clips_are_generated_with_the_guidance_asked_for(asked, used):
    seen = []

    def pipeline(image, *, max_guidance_scale, **rest):
        seen.append(max_guidance_scale)
        return SimpleNamespace(frames=[np.zeros((2, 128, 128, 3))])

    generated(pipeline, held_out(2, 2), 1, **asked)
    assert seen == [used, used]


@torch.no_grad()
def test_a_sheet_of_reconstructions_shows_what_comes_back(small):
    truth, own = truth_and_own(samples.reconstructions(lambda clip: clip, CPU)("same"))
    assert np.array_equal(truth, own)
    vae = tiny_pipeline().vae
    coder = partial(train_vae.reconstructed, vae, vae.decoder)
    truth, own = truth_and_own(samples.reconstructions(coder, CPU)("vae at step 1"))
    assert np.abs(truth.astype(int) - own).mean() > 5


def test_a_number_that_is_none_is_magenta_and_an_odd_clip_has_paper_beside_it():
    video = np.full((14, 8, 8, 3), 0.5, np.float32)
    image = samples.sheet([(video, np.full_like(video, np.nan))] * 3)
    width = 4 * 8 + samples.GAP
    assert image.size == (2 * width, 2 * (16 + samples.GAP))
    assert image.getpixel((0, 0)) == (128, 128, 128)
    assert image.getpixel((0, 8)) == (255, 0, 255)
    assert image.getpixel((width, 16 + samples.GAP)) == (255, 255, 255)

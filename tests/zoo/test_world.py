"""The synthetic world keeps its promises: exact flow, one bucket one speed, nothing leaves."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from accel.metrics.motion import motion
from accel.models.images import photo_names
from accel.zoo import sprites, world
from accel.zoo.backgrounds import (
    BACKGROUNDS,
    HELD_OUT_NAMES,
    PHOTOS,
    SCIKIT_IMAGE_FILES,
    held_out_photographs,
)
from accel.zoo.clip import CONTEXT, VOCABULARY, WordTokenizer
from accel.zoo.scenes import STORIES, bucket_to_amount

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def clips() -> world.Clips:
    """Thirty-two clips of seven frames."""
    return world.sample(32, seed=11, frames=7)


def follow(frames: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Read frames [n, 3, H, W] where flow [n, 2, H, W] points to."""
    size = frames.shape[-1]
    axis = torch.arange(size) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y], -1) + flow.permute(0, 2, 3, 1)
    return F.grid_sample(frames, grid / size * 2 - 1, align_corners=False, padding_mode="border")


def test_flow_leads_each_frame_to_the_next(clips: world.Clips) -> None:
    video, flow = clips.video, clips.flow
    warped = follow(video[:, 1:].flatten(0, 1), flow.flatten(0, 1))
    error = (warped - video[:, :-1].flatten(0, 1)).abs().mean(1)
    error = error.unflatten(0, flow.shape[:2])[..., 12:-12, 12:-12].flatten(1)
    # Occlusions, rims and resampling leave a few pixels; half of them fit closely in every clip.
    assert error.median(1).values.max() < 0.02
    assert error.quantile(0.9, dim=1).max() < 0.1
    still = (video[:, 1:] - video[:, :-1]).abs().mean(2)[..., 12:-12, 12:-12].flatten(1)
    moving = bucket_to_amount(clips.bucket, clips.fps) > 1
    assert error[moving].mean() < 0.4 * still[moving].mean()


def test_bucket_is_the_amount_of_the_exact_flow(clips: world.Clips) -> None:
    own = bucket_to_amount(clips.bucket, clips.fps)
    assert torch.allclose(world.exact_amount(clips.flow), own, rtol=0.03, atol=1e-3)
    scenes = world.sample_scenes(32, seed=5, frames=25)
    clips = world.render(scenes, range(0, 25, 8))
    expected = 8 * bucket_to_amount(clips.bucket, clips.fps)
    zooms = scenes.zoom != 0  # rendered at every eighth frame: their flow compounds
    amount = world.exact_amount(clips.flow)
    assert torch.allclose(amount[~zooms], expected[~zooms], rtol=0.03, atol=1e-3)


def test_same_seed_gives_the_same_clips(clips: world.Clips) -> None:
    again = world.sample(32, seed=11, frames=7)
    assert torch.equal(again.video, clips.video)
    assert again.captions == clips.captions
    assert not torch.equal(world.sample(32, seed=12, frames=7).video, clips.video)


def test_static_clips_are_static(clips: world.Clips) -> None:
    still = clips.bucket == 1
    assert 0 < still.sum() < 16
    assert torch.equal(clips.video[still][:, 1:], clips.video[still][:, :-1])
    moving = (clips.video[~still][:, -1] - clips.video[~still][:, 0]).abs().flatten(1)
    assert moving.amax(1).min() > 0


@pytest.mark.parametrize("frames", [7, 14, 25])
def test_sprites_stay_inside(frames: int) -> None:
    scenes = world.sample_scenes(128, seed=3, frames=frames)
    there = scenes.present > 0
    for t in (0, frames - 1):
        centre = scenes.centre + t * scenes.velocity
        assert (centre - scenes.radius[..., None])[there].min() > 0
        assert (centre + scenes.radius[..., None])[there].max() < scenes.size


def test_first_frames_do_not_depend_on_the_number_of_frames() -> None:
    scenes = world.sample_scenes(6, seed=9, frames=25, stories=STORIES)
    long, short = world.render(scenes, 9), world.render(scenes, 4)
    assert torch.equal(long.video[:, :4], short.video)
    assert torch.equal(long.flow[:, :3], short.flow)


def test_half_speed_at_twice_the_frames_is_the_same_motion() -> None:
    scenes = world.sample_scenes(6, seed=9, frames=13, stories=STORIES)
    every = world.render(scenes, range(13))
    second = world.render(scenes, range(0, 13, 2))
    assert torch.equal(every.video[:, ::2], second.video)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 255), st.floats(1.25, 12))
def test_speed_is_linear_in_bucket_and_frame_interval(bucket: int, fps: float) -> None:
    amount = bucket_to_amount(torch.tensor(float(bucket)), torch.tensor(fps))
    assert float(amount) == pytest.approx(bucket / 255 * 14 / fps, rel=1e-5)


def test_bucket_127_is_one_pixel_at_seven_fps() -> None:
    assert float(bucket_to_amount(torch.tensor(127.0), torch.tensor(7.0))) == pytest.approx(1, 0.01)


def test_bundled_photographs_are_not_trained_on() -> None:
    assert len(held_out_photographs()) == 4
    trained = {*SCIKIT_IMAGE_FILES, *(path.name for path in (PHOTOS / "training").iterdir())}
    assert set(HELD_OUT_NAMES) < set(photo_names())
    assert not {name.split(".")[0] for name in trained} & set(photo_names())


def nearest_colour(colour: torch.Tensor) -> str:
    """The word for an RGB colour [3]."""
    distance = {name: (torch.tensor(rgb) - colour).norm() for name, rgb in sprites.COLOURS.items()}
    return min(distance, key=lambda name: float(distance[name]))


def test_the_caption_tells_the_scene() -> None:
    names = [BACKGROUNDS[i % len(BACKGROUNDS)] for i in range(24)]
    stories = [STORIES[i % len(STORIES)] for i in range(24)]
    scenes = world.sample_scenes(24, seed=8, frames=14, backgrounds=names, stories=stories)
    for i, caption in enumerate(scenes.captions):
        what, _, background = caption.replace("nothing but ", "nothing on ").rpartition(" o")
        assert background.split()[-1] == names[i]
        told = [part.removesuffix(" in a box") for part in what.split(" and ") if "facing" in part]
        assert len(told) == int(scenes.present[i].sum())
        for j, words in enumerate(told):
            who, _, where = words.partition(" facing ")
            kind = sprites.SPRITES[int(scenes.kind[i, j])]
            painted = kind in sprites.POLYGONS
            named = f"{nearest_colour(scenes.colour[i, j])} {kind}" if painted else kind
            assert who.split(" ", 1)[1] == named
            assert where == sprites.compass(scenes.heading[i, j])
        assert ("in a box" in caption) == bool(scenes.boxed[i])
        zoom = float(scenes.zoom[i]) if scenes.bucket[i] > 1 else 0
        assert ("a ring" in caption) >= (zoom > 0)
        assert ("a cross" in caption) >= (zoom < 0)


def test_the_measured_motion_obeys_the_bucket() -> None:
    """By the metric that judges generated videos, which knows nothing of the scene."""
    clips = world.sample(48, seed=21, frames=7)
    found = [motion(video) for video in clips.video.permute(0, 1, 3, 4, 2).numpy()]
    clear = [i for i, one in enumerate(found) if one.kind != "low-texture"]
    assert len(clear) > 32
    asked = bucket_to_amount(clips.bucket, clips.fps)[clear]
    assert spearmanr(asked, [found[i].amount for i in clear]).statistic > 0.8
    assert all(found[i].kind == "static" for i in clear if clips.bucket[i] == 1)


def test_a_picture_looks_where_it_goes_and_never_stands_on_its_head() -> None:
    axis = (torch.arange(32) + 0.5) / 16 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    offset = torch.stack([x, y], -1)[None]
    kind = torch.tensor([sprites.PICTURES.index("bus")])
    views = []
    for heading in (torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]])):
        points = sprites.local(offset, heading.reshape(1, 1, 1, 2), torch.ones(1, 1, 1))
        views.append(sprites.picture(kind, points, heading)[0])
    assert torch.allclose(views[0], views[1].flip(-1), atol=1e-5)
    assert not torch.allclose(views[0], views[0].flip(-2), atol=0.1)


def test_captions_are_in_the_vocabulary() -> None:
    captions = world.sample(64, seed=2, frames=1).captions
    tokens = WordTokenizer()(captions)
    assert tokens.shape == (64, CONTEXT)
    assert tokens.amax() == len(VOCABULARY) - 1

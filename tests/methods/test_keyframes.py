"""M6: which frames are generated, from which noise, and what is put between them."""

from dataclasses import replace

import pytest
import torch

from accel.core import Case
from accel.errors import InvalidRequestError
from accel.methods.keyframes import Interpolator, Keyframes
from accel.models import default_request
from accel.models.sources import load


def tiny(folder, method, **changes):
    request = default_request("svd", "mini", frames=7, steps=2, **changes)
    return load(Case("svd", "pretrained", request, method, str(folder)), "cpu")


class Blend(torch.nn.Module):
    """In RIFE's place: the mean of both, weighted by time."""

    def forward(self, first, second, time):
        return torch.lerp(first, second, time)


@pytest.mark.parametrize("spacing", [2, 3, 4])
def test_frames_between_are_at_equal_times(spacing):
    keys = torch.linspace(0, 1, 4).reshape(4, 1, 1, 1).expand(4, 3, 8, 8)
    interpolator = Interpolator(Blend(), spacing)
    frames = interpolator.fill(keys)
    assert torch.allclose(frames[:, 0, 0, 0], torch.linspace(0, 1, 3 * spacing + 1))
    assert interpolator.made == len(frames) - 4
    assert torch.equal(frames[::spacing], keys)


def test_key_frames_take_their_rows_of_the_references_noise(tiny_folder):
    method = Keyframes(4)
    pipeline, plain = tiny(tiny_folder, method), tiny(tiny_folder, method)
    method.apply(pipeline)
    noise = pipeline.noise(pipeline.request)
    assert torch.equal(noise, plain.noise(plain.request)[:, ::2])
    frames = pipeline.generate(pipeline.request)
    assert frames.shape == (7, 3, 128, 128)


@pytest.mark.parametrize(("respan", "fps"), [(True, 3.5), (False, 7)])
def test_key_frames_span_the_same_seconds_unless_told_otherwise(tiny_folder, respan, fps):
    method = Keyframes(4, respan)
    pipeline = tiny(tiny_folder, method)
    method.apply(pipeline)
    assert (pipeline.request.frames, pipeline.request.fps) == (4, fps)
    assert pipeline.request.motion_bucket == 127


def test_layouts_that_do_not_fit_are_refused_with_those_that_do(tiny_folder):
    pipeline = tiny(tiny_folder, Keyframes(4))
    assert Keyframes(4).refuses(pipeline) is None
    expected = "5 key frames do not divide 7 frames evenly; choose of [2, 3, 4]"
    assert Keyframes(5).refuses(pipeline) == expected
    assert "do not divide" in Keyframes(7).refuses(pipeline)
    pipeline.request = replace(pipeline.request, frames=25)
    assert "[2, 3, 4, 5, 7, 9, 13]" in Keyframes(6).refuses(pipeline)
    pipeline.request = replace(pipeline.request, latents_only=True)
    assert "latents" in Keyframes(7).refuses(pipeline)


@pytest.mark.parametrize("keys", [1, 0, 7.0, "7", True])
def test_a_bad_number_of_key_frames(keys):
    with pytest.raises(InvalidRequestError, match="give 2 or more"):
        Keyframes(keys)

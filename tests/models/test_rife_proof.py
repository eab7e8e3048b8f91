"""The proof itself on a clip that is made here, and its number where the real clip was fetched."""

from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

from accel.errors import MissingWeightsError
from accel.fetch import path_of
from accel.models import rife_proof
from accel.models.images import image_array
from accel.models.rife import Rife, load_rife
from accel.models.rife_proof import busiest, measure, moving, read_video, shots
from accel.report.video import write_video


def panned(name: str, step: int, frames: int) -> torch.Tensor:
    """A window of 128x128 that moves over a photograph by `step` px a frame."""
    wide = torch.from_numpy(np.asarray(image_array(name, 256, 128), np.float32)).permute(2, 0, 1)
    return torch.stack([wide[..., step * i : step * i + 128] for i in range(frames)])


@pytest.fixture(scope="module")
def net() -> Rife:
    return load_rife()


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    """Slow, fast, and still; 19, 17 and 21 frames."""
    still = panned("coffee", 0, 21)
    return torch.cat([panned("astronaut", 1, 19), panned("chelsea", 5, 17), still])


def test_shots_end_at_cuts_and_not_at_motion(clip):
    assert shots(clip) == [range(0, 19), range(19, 36), range(36, 57)]


def test_a_flash_is_no_cut_of_its_own_length(clip):
    flash = clip[:19].clone()
    flash[9] = 1 - flash[9]
    assert shots(flash) == [range(0, 19)]


def test_the_busiest_shot_is_the_one_with_the_most_motion(clip):
    assert busiest(clip, shots(clip)) == range(19, 36)


def test_the_moving_region_is_where_the_neighbours_differ():
    before = torch.zeros(3, 8, 8)
    after = before.clone()
    after[1, 2, 3], after[0, 5, 5] = 0.06, 0.04
    assert moving(before, after).nonzero().tolist() == [[2, 3]]


def test_a_pan_is_far_above_blending(net, clip):
    result = measure(net, clip, range(19, 36))
    assert len(result.middles) == 8
    low, high = result.interval
    assert 3 < low <= fmean(result.gains) <= high
    assert f"{fmean(result.gains):+.2f} [{low:+.2f}, {high:+.2f}]" in str(result)


def test_a_network_that_blends_gains_nothing(clip):
    result = measure(lambda a, b, time: torch.lerp(a, b, time), clip, range(19, 36))
    assert result.gains == [0.0] * 8
    assert result.interval == (0.0, 0.0)


@pytest.mark.parametrize("shot", [range(36, 57), range(19, 35)])
def test_what_is_still_or_short_is_not_judged(net, clip, shot):
    assert measure(net, clip, shot) is None


def test_a_video_file_is_read_whole(tmp_path, clip):
    path = tmp_path / "clip.mp4"
    write_video(path, clip[:19].permute(0, 2, 3, 1).numpy(), 25)
    frames = read_video(path)
    assert frames.shape == (19, 3, 128, 128)
    assert (frames - clip[:19]).abs().mean() < 0.02


@pytest.mark.parametrize("step", [5, 0.0])
def test_the_command_tells_by_its_exit_code(tmp_path, clip, monkeypatch, capsys, step):
    path = tmp_path / "clip.mp4"
    write_video(path, clip[19:36].permute(0, 2, 3, 1).numpy(), 25)
    monkeypatch.setattr(rife_proof, "path_of", lambda name: path)
    if not step:
        monkeypatch.setattr(rife_proof, "load_rife", lambda: lambda a, b, time: (a + b) / 2)
    assert rife_proof.main() == (0 if step else 1)
    assert ("at least 3 dB" if step else "less than 3 dB") in capsys.readouterr().out


@pytest.fixture(scope="module")
def bikes() -> Path:
    try:
        return path_of("bikes")
    except MissingWeightsError as error:
        pytest.skip(str(error))


def test_on_real_video_it_is_3_db_above_blending(net, bikes):
    frames = read_video(bikes)
    found = shots(frames)
    assert [shot.start for shot in found] == [0, 30, 76, 137, 187, 242]
    result = measure(net, frames, busiest(frames, found))
    assert result.interval[0] > 3

"""MP4 files: what is read back is what was written, in a form that browsers play."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from accel.errors import InvalidRequestError
from accel.report.pictures import to_uint8
from accel.report.video import write_video
from tests.report.videos import moving_disc


def read_video(path):
    with av.open(path) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def psnr(a, b):
    return -10 * np.log10(np.mean(((a.astype(np.float64) - b) / 255) ** 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_frames_come_back(tmp_path, dtype):
    video = moving_disc(frames=14).astype(dtype)
    write_video(tmp_path / "a.mp4", video, fps=7)
    back = read_video(tmp_path / "a.mp4")
    assert back.shape == video.shape
    assert psnr(to_uint8(video), back) > 30
    assert np.abs(back.mean(axis=(0, 1, 2)) - to_uint8(video).mean(axis=(0, 1, 2))).max() < 1.5


def test_browsers_play_it(tmp_path):
    write_video(tmp_path / "a.mp4", moving_disc(), fps=12.5)
    with av.open(tmp_path / "a.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(25, 2)
        assert stream.codec_context.colorspace == 1
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_are_made_even(tmp_path):
    video = moving_disc(frames=3, height=37, width=51, radius=0)
    write_video(tmp_path / "a.mp4", video, fps=7)
    back = read_video(tmp_path / "a.mp4")
    assert back.shape == (3, 38, 52, 3)
    assert psnr(to_uint8(video), back[:, :37, :51]) > 30


def test_frames_that_are_not_numbers_are_magenta(tmp_path):
    write_video(tmp_path / "a.mp4", np.full((2, 16, 16, 3), np.nan), fps=7)
    assert np.abs(read_video(tmp_path / "a.mp4").astype(int) - (255, 0, 255)).max() < 6


def test_the_same_frames_give_the_same_file(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, moving_disc(), fps=7)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (8, 8, 3), (2, 8, 8, 4)])
def test_another_shape_is_refused(tmp_path, shape):
    with pytest.raises(InvalidRequestError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", np.zeros(shape), fps=7)

"""Contact sheets: every strip is there, broken pixels are seen, the bytes never change."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from accel.report.pictures import (
    INK,
    MAGENTA,
    Strip,
    caption,
    contact_sheet,
    open_picture,
    to_uint8,
)
from tests.report.videos import moving_disc


def shows(sheet, picture):
    """Whether `picture` stands somewhere in `sheet`, pixel by pixel."""
    sheet, picture = np.asarray(sheet), np.asarray(picture)
    height, width = picture.shape[:2]
    corners = np.argwhere((sheet == picture[0, 0]).all(axis=-1))
    return any(
        np.array_equal(sheet[top : top + height, left : left + width], picture)
        for top, left in corners
    )


def test_bytes_are_rounded_and_clipped():
    pixels = np.array([[[0.0, 0.5, 1.0], [-1.0, 2.0, 0.2]]], dtype=np.float16)
    assert to_uint8(pixels).tolist() == [[[0, 128, 255], [0, 255, 51]]]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_is_magenta(broken):
    pixels = np.full((2, 2, 3), 0.5, dtype=np.float32)
    pixels[1, 0, 2] = broken
    shown = to_uint8(pixels)
    assert tuple(shown[1, 0]) == MAGENTA
    assert (shown == MAGENTA).all(axis=-1).sum() == 1


def test_first_middle_and_last_frame_are_shown_with_the_input():
    video = moving_disc(frames=9)
    image = Image.fromarray(to_uint8(moving_disc(frames=1, speed=0, radius=25)[0]))
    sheet = contact_sheet([Strip("M0", "", video)], image)
    assert all(shows(sheet, to_uint8(video[place])) for place in (0, 4, 8))
    assert not shows(sheet, to_uint8(video[1]))
    assert shows(sheet, image)


def test_the_label_is_drawn_in_ink():
    blank = contact_sheet([Strip("", "", moving_disc())])
    named = contact_sheet([Strip("M3 fewer_steps-15", "1.66x", moving_disc())])
    assert (np.asarray(named) == INK).all(axis=-1).sum() > 50
    assert not (np.asarray(blank) == INK).all(axis=-1).any()


def test_small_frames_are_doubled_and_large_ones_scaled_down():
    tiny = moving_disc(height=24, width=40)
    doubled = to_uint8(tiny[0]).repeat(4, axis=0).repeat(4, axis=1)
    assert shows(contact_sheet([Strip("", "", tiny)]), doubled)
    large = contact_sheet([Strip("", "", moving_disc(frames=2, height=576, width=1024))])
    assert 3 * 320 < large.width < 3 * 320 + 60


def test_a_sliver_does_not_make_a_tower():
    assert contact_sheet([], Image.new("RGB", (1, 5000))).height < 400


def test_one_frame_and_no_strip_at_all_work():
    assert contact_sheet([Strip("M0", "", moving_disc(frames=1))]).width > 3 * 128
    assert contact_sheet([]).size == (32, 16)


def test_the_same_frames_give_the_same_png():
    def png():
        stream = io.BytesIO()
        contact_sheet([Strip("M0", "1.00x", moving_disc())], title="svd").save(stream, "PNG")
        return stream.getvalue()

    assert png() == png()


def test_caption_says_what_is_known():
    known = {"speedup": 1.266, "clip": 0.977, "psnr": 38.21, "seconds": 3.0}
    assert caption(known) == "1.27x · CLIP 0.977 · PSNR 38.2 dB"
    assert caption({"clip": 0.5, "sanity": "black"}) == "CLIP 0.500 · black"
    assert caption({"speedup": 1.0, "psnr": float("inf")}) == "1.00x"
    assert caption({}) == ""


def test_a_picture_comes_from_a_file_an_image_or_an_array(tmp_path):
    frame = moving_disc(frames=1)[0]
    image = Image.fromarray(to_uint8(frame))
    image.save(tmp_path / "input.png")
    assert open_picture(image) is image
    assert open_picture(frame) == open_picture(tmp_path / "input.png") == image


def test_a_note_is_drawn_beside_the_input():
    image = Image.new("RGB", (64, 64), "teal")
    plain, noted = (contact_sheet([], image, "", note) for note in ("", "the first of 2 inputs"))
    assert plain.tobytes() != noted.tobytes()

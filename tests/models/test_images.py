import numpy as np
import pytest
from PIL import Image

from accel.core import Request
from accel.errors import InvalidRequestError, UnknownNameError
from accel.models.images import (
    PHOTOS,
    image_array,
    image_digest,
    inputs,
    load_image,
    photo_names,
    pictures,
)

NAMES = ["astronaut", "camera", "chelsea", "china", "coffee", "flower", "hopper", "rocket"]


def test_eight_photographs_are_bundled_and_licensed():
    assert photo_names() == NAMES
    licences = (PHOTOS / "LICENSES.md").read_text()
    assert all(f"| {name}.jpg |" in licences for name in NAMES)
    assert "Copyright (c) Microsoft Corporation" in licences
    assert "this permission notice shall be included in all copies" in licences


@pytest.mark.parametrize("name", NAMES)
def test_photographs_cover_the_size(name):
    pixels = image_array(name, 1024, 576)
    assert pixels.shape == (576, 1024, 3)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < 0.1 < 0.8 < pixels.max() <= 1


def test_an_image_is_cropped_and_not_stretched(tmp_path):
    picture = Image.new("RGB", (400, 100), "red")
    picture.paste("blue", (0, 0, 100, 100))
    picture.save(tmp_path / "wide.png")
    assert np.asarray(load_image(str(tmp_path / "wide.png"), 64, 64))[:, :, 2].max() == 0


def test_not_an_image(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir")
    with pytest.raises(InvalidRequestError, match=r"letter\.txt is not an image; give a JPEG"):
        load_image(str(path), 64, 64)


def test_a_torn_image(tmp_path):
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), "uint8")).save(whole)
    torn = tmp_path / "torn.png"
    torn.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(InvalidRequestError, match=r"torn\.png cannot be read as an image"):
        load_image(str(torn), 64, 64)


def test_one_pixel_is_too_small(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(InvalidRequestError, match=r"dot\.png is 1x1 pixels; .* at least 32x32"):
        load_image(str(tmp_path / "dot.png"), 64, 64)


@pytest.mark.parametrize(
    ("kind", "name"), [("uint16", "deep.png"), ("int32", "deep.tiff"), ("float32", "deep.tiff")]
)
def test_deep_grey_values_are_refused_and_not_cut_off(tmp_path, kind, name):
    Image.fromarray(np.ones((64, 64), kind)).save(tmp_path / name)
    with pytest.raises(InvalidRequestError, match=r"more than 8 bits .*; save it as 8-bit RGB"):
        load_image(str(tmp_path / name), 64, 64)


def test_eight_bits_of_grey_are_a_picture(tmp_path):
    Image.new("L", (64, 64), 128).save(tmp_path / "grey.png")
    assert set(image_array(str(tmp_path / "grey.png"), 64, 64).flat) == {np.float32(128 / 255)}


def test_names_that_are_near_and_paths_that_are_not_there(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'rocket'"):
        load_image("rockett", 64, 64)
    with pytest.raises(InvalidRequestError, match=r"nothing\.png' does not exist"):
        load_image(str(tmp_path / "nothing.png"), 64, 64)


# sets


@pytest.fixture
def folder(tmp_path):
    """Two pictures, and what is none."""
    for name in ("b.PNG", "a.jpg"):
        Image.new("RGB", (64, 64), "teal").save(tmp_path / name)
    (tmp_path / "notes.md").write_text("no picture")
    (tmp_path / "more").mkdir()
    return tmp_path


def test_a_folder_stands_for_its_pictures(folder):
    assert pictures(str(folder)) == [str(folder / "a.jpg"), str(folder / "b.PNG")]


def test_bundled_stands_for_all_photographs():
    assert pictures("bundled") == NAMES


@pytest.mark.parametrize("image", ["coffee", "picture.png"])
def test_anything_else_stands_for_itself(image):
    assert pictures(image) == [image]


def test_a_folder_without_pictures_says_what_to_put_there(folder):
    with pytest.raises(InvalidRequestError, match=r"more holds no picture; put JPEG, PNG or WebP"):
        pictures(str(folder / "more"))


def test_inputs_come_image_by_image(folder):
    found = inputs(Request(image=str(folder), seed=5, seeds=2, steps=3))
    names = [(one.image.rsplit("/", 1)[1], one.seed) for one in found]
    assert names == [("a.jpg", 5), ("a.jpg", 6), ("b.PNG", 5), ("b.PNG", 6)]
    assert {(one.seeds, one.steps) for one in found} == {(1, 3)}


def test_a_request_of_one_input_is_its_own_input():
    assert inputs(Request(seed=3)) == [Request(seed=3)]


def test_a_set_is_known_by_its_pictures(folder):
    before = image_digest(str(folder), 64, 64)
    assert image_digest("coffee", 64, 64) is None
    assert before == image_digest(str(folder), 64, 64)
    Image.new("RGB", (64, 64), "red").save(folder / "b.PNG")
    changed = image_digest(str(folder), 64, 64)
    (folder / "b.PNG").unlink()
    assert len({before, changed, image_digest(str(folder), 64, 64)}) == 3


def test_the_bundled_set_is_another_when_it_grows(monkeypatch):
    before = image_digest("bundled", 64, 64)
    monkeypatch.setattr("accel.models.images.photo_names", lambda: NAMES[:-1])
    assert image_digest("bundled", 64, 64) not in (None, before)

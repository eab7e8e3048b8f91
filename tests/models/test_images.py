import numpy as np
import pytest
from PIL import Image

from accel.errors import InvalidRequestError, UnknownNameError
from accel.models.images import PHOTOS, image_array, load_image, photo_names

NAMES = ["astronaut", "camera", "chelsea", "china", "coffee", "flower", "hopper", "rocket"]


def test_eight_photographs_are_bundled_and_licensed():
    assert photo_names() == NAMES
    licences = (PHOTOS / "LICENSES.md").read_text()
    assert all(f"| {name}.jpg |" in licences for name in NAMES)


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


def test_names_that_are_near_and_paths_that_are_not_there(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'rocket'"):
        load_image("rockett", 64, 64)
    with pytest.raises(InvalidRequestError, match=r"nothing\.png' does not exist"):
        load_image(str(tmp_path / "nothing.png"), 64, 64)

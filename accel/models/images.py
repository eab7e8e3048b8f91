"""The input photograph: eight bundled ones by name, any other by path."""

from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from accel.errors import InvalidRequestError, unknown_name

__all__ = ["PHOTOS", "image_array", "image_digest", "load_image", "photo_names"]

PHOTOS = Path(__file__).parent.parent / "zoo" / "photos"
SMALLEST = 32
"""Pixels: a shorter side than this holds no picture to animate."""


def photo_names() -> list[str]:
    """Names of the bundled photographs, sorted."""
    return sorted(path.stem for path in PHOTOS.glob("*.jpg"))


def load_image(image: str, width: int, height: int) -> Image.Image:
    """The photograph as RGB, scaled and centre-cropped to cover width x height pixels.

    image: a bundled name or a path. Raises InvalidRequestError when it is neither, is no image,
    or is smaller than 32 pixels.
    """
    bundled = PHOTOS / f"{image}.jpg"
    path = bundled if bundled.is_file() else Path(image)
    if not path.is_file():
        if path.suffix or path.parent != Path():
            raise InvalidRequestError(f"image {image!r} does not exist; give a path to a picture")
        raise unknown_name("photograph", image, photo_names())
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except UnidentifiedImageError as error:
        raise InvalidRequestError(f"{path} is not an image; give a JPEG, PNG or WebP") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidRequestError(f"{path} cannot be read as an image: {error}") from error
    if min(picture.size) < SMALLEST:
        raise InvalidRequestError(
            f"{path} is {picture.width}x{picture.height} pixels; "
            f"give an image of at least {SMALLEST}x{SMALLEST}"
        )
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)


def image_digest(image: str, width: int, height: int) -> str | None:
    """sha256 of the pixels of a picture that is given by path; None for a bundled name."""
    if (PHOTOS / f"{image}.jpg").is_file():
        return None
    return sha256(load_image(image, width, height).tobytes()).hexdigest()


def image_array(image: str, width: int, height: int) -> NDArray[np.float32]:
    """`load_image` as [height, width, 3] in [0, 1]."""
    pixels = np.asarray(load_image(image, width, height), dtype=np.float32)
    return pixels / np.float32(255)

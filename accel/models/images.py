"""The input photographs: eight bundled ones by name, any other by path, and sets of them."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from accel.core import Request
from accel.errors import InvalidRequestError, unknown_name

__all__ = [
    "BUNDLED", "PHOTOS", "image_array", "image_digest", "inputs", "load_image", "photo_names",
    "pictures",
]  # fmt: skip

PHOTOS = Path(__file__).parent.parent / "zoo" / "photos"
SMALLEST = 32
"""Pixels: a shorter side than this holds no picture to animate."""

BUNDLED = "bundled"
"""The set of all bundled photographs."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Of the pictures in a folder, in either case; what else lies there is left alone."""


def photo_names() -> list[str]:
    """Names of the bundled photographs, sorted."""
    return sorted(path.stem for path in PHOTOS.glob("*.jpg"))


def pictures(image: str) -> list[str]:
    """The pictures of a set, "bundled" or a folder, by name; of anything else itself.

    Raises InvalidRequestError for a folder without pictures; those below it do not count.
    """
    if image == BUNDLED:
        return photo_names()
    if not (folder := _path(image)).is_dir():
        return [image]
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if found := sorted(map(str, files)):
        return found
    raise InvalidRequestError(f"{image} holds no picture; put JPEG, PNG or WebP files there")


def inputs(request: Request) -> list[Request]:
    """A request of one picture and seed for each that `request` asks for, image by image."""
    return [
        replace(request, image=image, seed=request.seed + offset, seeds=1)
        for image in pictures(request.image)
        for offset in range(request.seeds)
    ]


def load_image(image: str, width: int, height: int) -> Image.Image:
    """The photograph as RGB, scaled and centre-cropped to cover width x height pixels.

    image: a bundled name or a path. Raises InvalidRequestError when it is neither, is no image,
    has more than 8 bits to a grey value, or is smaller than 32 pixels.
    """
    path = _path(image)
    if not path.is_file():
        if path.suffix or path.parent != Path():
            raise InvalidRequestError(f"image {image!r} does not exist; give a path to a picture")
        raise unknown_name("photograph", image, photo_names())
    try:
        with Image.open(path) as opened:
            _check_depth(path, opened.mode)
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
    """sha256 of the pixels of a picture that is given by path; None for a bundled name.

    Of a set it is that of its pictures' digests and bundled names, so that a set that grew, as the
    bundled one may, is another.
    """
    if image in photo_names():
        return None
    if (found := pictures(image)) != [image]:
        parts = [image_digest(one, width, height) or one for one in found]
        return sha256("\n".join(parts).encode()).hexdigest()
    return sha256(load_image(image, width, height).tobytes()).hexdigest()


def image_array(image: str, width: int, height: int) -> NDArray[np.float32]:
    """`load_image` as [height, width, 3] in [0, 1]."""
    pixels = np.asarray(load_image(image, width, height), dtype=np.float32)
    return pixels / np.float32(255)


def _check_depth(path: Path, mode: str) -> None:
    """Pillow cuts deeper values at 255 instead of scaling them: the picture would be white."""
    if mode == "F" or mode.startswith("I"):
        raise InvalidRequestError(
            f"{path} has grey values of more than 8 bits (mode {mode}); save it as 8-bit RGB"
        )


def _path(image: str) -> Path:
    """Where a picture or a folder of pictures is, if there is one."""
    if not image:
        raise InvalidRequestError("the image has no name; give a bundled photograph or a path")
    path = PHOTOS / f"{image}.jpg" if image in photo_names() else Path(image)
    try:
        path.is_file()
    except OSError as error:
        raise InvalidRequestError(
            f"image {image!r} cannot be opened: {error.strerror}; give another path"
        ) from error
    return path

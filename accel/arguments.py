"""Options of the command line that several commands share."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from accel.errors import InvalidRequestError
from accel.models import WEIGHTS

__all__ = ["folder", "measured", "refuse", "requested", "settle", "typed"]

DEFAULTS = {
    "weights": "mini", "pairs": 3, "blocks": 0, "clip": "mini", "timeout": 900.0, "cold": False,
    "fresh": False,
}  # fmt: skip
"""The parser leaves them at None, as every other option, so that it shows what was asked for."""

FOLDERS = re.compile(r"(?<![^=:,+])/(?:[^/=,+]+/)*(?=[^/])")
"""Of an absolute path, all but its last name; it is a word of its own, or follows one of `=:,+`."""


def settle(options: argparse.Namespace) -> None:
    """Fill in DEFAULTS where nothing was asked for."""
    for name, value in DEFAULTS.items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)


def refuse(options: argparse.Namespace, names: Iterable[str], why: str) -> None:
    """Raises InvalidRequestError that names the options which were given and would be ignored."""
    if given := [name for name in names if vars(options).get(name) is not None]:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InvalidRequestError(f"{why}; leave out {words}")


def folder(text: str) -> Path:
    """A folder of the command line; an empty name would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give a folder")
    return Path(text)


def _clip(text: str) -> str:
    if text.startswith("mini:"):
        raise argparse.ArgumentTypeError(f"{text!r}: mini has no other weights; give mini alone")
    return text


def measured(command: argparse.ArgumentParser) -> None:
    """The options of a command that measures: what, how, and of which request."""
    command.add_argument(
        "--weights",
        help=" | ".join(WEIGHTS) + "; mini ships with accel, untrained is the full-size "
        "configuration for time and memory (default: mini)",
    )
    command.add_argument("--path", help="folder of pretrained weights in the diffusers layout")
    command.add_argument(
        "--methods", nargs="+", metavar="METHOD", help="which methods (default: all that run here)"
    )
    for option, which in (("student", "distilled and lcm"), ("tiny-decoder", "tiny_vae")):
        command.add_argument(
            f"--{option}",
            metavar="FILE",
            help=f"weights of {which}, where they are not shipped; without --methods",
        )
    command.add_argument(
        "--out",
        type=folder,
        help="run folder for records, frames, table and videos; one that exists is resumed "
        "(default: a new one below runs/)",
    )
    command.add_argument("--pairs", type=int, help="generations of each side (default: 3)")
    command.add_argument(
        "--blocks",
        type=int,
        metavar="N",
        help="then time single calls, in up to N blocks of turns, for a sharper speed-up",
    )
    command.add_argument(
        "--fresh",
        action="store_true",
        default=None,
        help="a new process for each generation, one at a time: where both sides do not fit onto "
        "the GPU together, and for what differs between two starts of one code",
    )
    command.add_argument(
        "--vram-cap",
        type=float,
        metavar="GIB",
        help="most GPU memory that torch may take for a method, M0 too, as on a card of 8, 16 or "
        "24 GiB; the reference has no cap (default: none)",
    )
    command.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="seconds that any one answer of a worker may take, a compilation among them; then it "
        "counts as hung (default: 900)",
    )
    command.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    command.add_argument(
        "--clip",
        type=_clip,
        metavar="MODEL:WEIGHTS",
        help="model of the CLIP metric: mini, or one of open_clip, as in "
        "ViT-B-32:laion2b_s34b_b79k (default: mini)",
    )
    requested(command)


def requested(command: argparse.ArgumentParser) -> None:
    """The options of the request."""
    group = command.add_argument_group("request (defaults: the model's own)")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--image", help="bundled photograph by name, or path of a picture")
    which.add_argument(
        "--images",
        dest="image",
        metavar="DIR",
        help="many inputs: a folder of pictures, or `bundled` for all bundled photographs; time "
        "and memory are the first one's, quality is mean and spread over all",
    )
    group.add_argument("--size", metavar="WxH", help="pixels, multiples of 8, as in 1024x576")
    for field, kind, meaning in (
        ("frames", int, "frames of the video"),
        ("steps", int, "denoising steps"),
        ("seed", int, "seed of the noise"),
        ("seeds", int, "seeds for each image, from --seed upwards (default: 1)"),
        ("fps", float, "frames per second, a conditioning of the model"),
        ("motion_bucket", int, "amount of motion, 1 to 255"),
        ("min_guidance", float, "guidance at the first frame"),
        ("max_guidance", float, "guidance at the last frame; 1.0 switches it off"),
        ("decode_chunk_size", int, "frames decoded at a time"),
    ):
        group.add_argument(f"--{field.replace('_', '-')}", type=kind, help=meaning)


def typed(words: Sequence[str]) -> str:
    """The command as it was typed, for a record; of absolute paths the last name alone is kept."""
    return shlex.join(["accel", *(FOLDERS.sub("", word) for word in words)])

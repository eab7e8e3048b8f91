"""Synthetic videos with known motion, and a tiny CLIP in the layout of the one that ships."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from accel.fetch import path_of
from accel.metrics import Array

FRAMES, SIDE = 14, 128

TINY_CLIP = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {
            "image_size": 64,
            "layers": 2,
            "width": 64,
            "head_width": 32,
            "patch_size": 16,
        },
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"size": 64, "interpolation": "bicubic", "resize_mode": "squash"},
}


def texture(seed: int = 0, side: int = 420) -> Array:
    """A picture [side, side, 3] in [0, 1] with detail at several sizes."""
    noise = np.random.default_rng(seed).normal(size=(side, side, 3)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), 2.0 * k) * k for k in (1, 2, 4)]
    picture = np.sum(layers, axis=0)
    return np.asarray((picture - picture.min()) / np.ptp(picture), np.float32)


def pan_over(picture: Array, speed: float, frames: int = FRAMES, side: int = SIDE) -> Array:
    """A camera that moves over the picture at `speed` px/frame: [frames, side, side, 3]."""
    views = []
    for index in range(frames):
        x, y = 140 - speed * index * math.cos(0.4), 140 - speed * index * math.sin(0.4)
        centre = x + (side - 1) / 2, y + (side - 1) / 2
        views.append(cv2.getRectSubPix(picture, (side, side), centre))
    return np.clip(np.stack(views), 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def pan() -> Callable[..., Array]:
    """pan(speed, seed=0): a pan of known speed."""

    def make(speed: float, seed: int = 0, side: int = SIDE) -> Array:
        return pan_over(texture(seed), speed, side=side)

    return make


@pytest.fixture(scope="session")
def video(pan: Callable[..., Array]) -> Array:
    """A healthy video."""
    made = pan(1.5)
    made.flags.writeable = False
    return made


@pytest.fixture(scope="session")
def near(video: Array) -> Array:
    """The healthy video with a little noise: what an acceleration might make of it."""
    noise = np.random.default_rng(1).normal(0, 0.02, video.shape)
    return np.clip(video + noise, 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def alexnet() -> Path:
    """The fetched AlexNet; its absence is an error of the set-up (`accel fetch`), not a skip."""
    return path_of("lpips-alexnet")


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a CLIP of random parameters, as a value for `clip_model`."""
    folder = tmp_path_factory.mktemp("clip")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CLIP(**TINY_CLIP["model_cfg"])
    (folder / "open_clip_config.json").write_text(json.dumps(TINY_CLIP))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return str(folder)

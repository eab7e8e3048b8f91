"""The registered models. Listing them imports no torch; `sources.load` makes a pipeline."""

from dataclasses import dataclass, replace
from typing import Any, get_args

from accel.core import Request, Weights
from accel.errors import unknown_name

__all__ = ["MODELS", "WEIGHTS", "Model", "default_request", "get_model"]

WEIGHTS: tuple[str, ...] = get_args(Weights)


@dataclass(frozen=True)
class Model:
    """A family of pipelines: its hub repository at a pinned revision, and its clip length."""

    name: str
    summary: str
    hub: str
    revision: str
    frames: int
    fps: float = 7


MODELS = {
    "svd": Model(
        "svd",
        "Stable Video Diffusion, image to 14 frames",
        "stabilityai/stable-video-diffusion-img2vid",
        "9cf024d5bfa8f56622af86c884f26a52f6676f2e",
        frames=14,
    ),
    "svd-xt": Model(
        "svd-xt",
        "Stable Video Diffusion XT, image to 25 frames",
        "stabilityai/stable-video-diffusion-img2vid-xt",
        "9e43909513c6714f1bc78bcb44d96e733cd242aa",
        frames=25,
    ),
}


def get_model(name: str) -> Model:
    """The model of that name; UnknownNameError names the nearest one."""
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    return MODELS[name]


def default_request(model: str, weights: str, **changes: Any) -> Request:
    """The request that a model is measured with: 576x1024, or 128x128 for mini weights."""
    if weights not in WEIGHTS:
        raise unknown_name("weights", weights, WEIGHTS)
    spec = get_model(model)
    size = {"width": 128, "height": 128} if weights == "mini" else {}
    return replace(Request(frames=spec.frames, fps=spec.fps), **{**size, **changes})

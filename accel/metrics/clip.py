"""CLIP similarity: does every frame still show the input image?

The cosine of the L2-normalised image embeddings of each frame and of the input image, averaged
over the frames. It sees content, not collapse: black frames and noise can score like a picture
(the sanity check is for those).

Frames and image are resized straight to the square that the model wants (bicubic, antialiased).
The usual centre crop would drop 44 % of a 1024x576 frame; the distortion is the same on both
sides and cancels in the comparison.

Sources: Radford et al., ICML 2021; implementation open_clip. Values of different models cannot be
compared: the model is part of `fingerprint`.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch.nn import functional as F

from accel.errors import MissingWeightsError, UnknownNameError, unknown_name
from accel.metrics import Array
from accel.metrics.lpips_net import state_sha256

__all__ = ["MINI", "clip", "embeddings", "fingerprint", "load"]

MINI = Path(__file__).parents[1] / "zoo" / "weights" / "clip"
"""Folder of the small trained CLIP that ships with accel, in open_clip's own layout."""

_CONFIG, _WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_BATCH = 16


@lru_cache(maxsize=2)
def load(model: str = "mini") -> torch.nn.Module:
    """The CLIP model on the CPU in float32, in evaluation mode.

    model: "mini"; or "ARCHITECTURE:WEIGHTS" with an architecture of open_clip and either one of
    its tags (downloaded by open_clip) or the path of a file, "ViT-B-32:laion2b_s34b_b79k" or
    "ViT-B-32:/path/to/file.safetensors"; or the path of a folder in open_clip's layout.

    Raises UnknownNameError with the nearest name, or MissingWeightsError.
    """
    if model == "mini":
        return _from_folder(MINI)
    if Path(model).is_dir():
        return _from_folder(Path(model))
    architecture, colon, weights = model.partition(":")
    if architecture not in open_clip.list_models():
        raise unknown_name("CLIP model", architecture, ["mini", *open_clip.list_models()])
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if not colon:
        raise UnknownNameError(
            f"the CLIP model {model!r} names no weights; write {architecture}:TAG or "
            f"{architecture}:/path/to/file.safetensors (tags: {', '.join(tags) or 'none'})"
        )
    if weights not in tags and not Path(weights).is_file():
        raise _no_such_weights(architecture, weights, tags)
    return _from_weights(architecture, weights)


def _from_weights(architecture: str, weights: str) -> torch.nn.Module:
    try:
        return _build(architecture, pretrained=weights)
    except RuntimeError as error:
        if not str(error).startswith("Failed to download"):
            raise
        raise MissingWeightsError(
            f"open_clip could not download the CLIP weights {weights!r} ({error}); get the file "
            f"on another machine and write {architecture}:/path/to/file.safetensors"
        ) from error


def _no_such_weights(architecture: str, weights: str, tags: list[str]) -> Exception:
    if "/" in weights or weights.endswith(".safetensors"):
        return MissingWeightsError(f"the CLIP weights {weights!r} are not a file; check the path")
    return unknown_name(f"weights of {architecture}", weights, tags)


def _from_folder(folder: Path) -> torch.nn.Module:
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise MissingWeightsError(
                f"the CLIP folder {folder} has no {name}; restore it, or choose an open_clip "
                "model (ARCHITECTURE:TAG)"
            )
    return _build(f"local-dir:{folder}")


def _build(name: str, **options: Any) -> torch.nn.Module:
    # open_clip draws random parameters before it loads the real ones: keep the caller's state.
    with torch.random.fork_rng(devices=[]):
        built: torch.nn.Module = open_clip.create_model(name, require_pretrained=True, **options)
    return built.eval().requires_grad_(False)


def clip(video: Array, image: Array, model: str = "mini") -> float:
    """Mean cosine, -1 to 1, of the frames [T, H, W, 3] and the image [H, W, 3], both in [0, 1].

    Raises what `load` raises.
    """
    network = load(model)
    cosines = embeddings(network, video) @ embeddings(network, image[None])[0]
    return float(cosines.mean(dtype=torch.float64))


def embeddings(network: torch.nn.Module, frames: Array) -> torch.Tensor:
    """[N, D] image embeddings of unit length of frames [N, H, W, 3] in [0, 1]."""
    prepare = _preparation(network)
    encode: Callable[..., torch.Tensor] = network.encode_image  # type: ignore[assignment]
    with torch.inference_mode():
        batches = (frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH))
        return torch.cat([encode(prepare(batch), normalize=True) for batch in batches])


def _preparation(network: torch.nn.Module) -> Callable[[Array], torch.Tensor]:
    """[N, H, W, 3] frames in [0, 1] to what the model takes: its size, mean and deviation."""
    visual: Any = network.visual
    height, width = open_clip.transform.to_2tuple(visual.image_size)
    mean = torch.tensor(visual.image_mean).view(3, 1, 1)
    deviation = torch.tensor(visual.image_std).view(3, 1, 1)

    def prepare(frames: Array) -> torch.Tensor:
        pixels = torch.from_numpy(np.array(frames, np.float32)).permute(0, 3, 1, 2)
        sized = F.interpolate(pixels, (height, width), mode="bicubic", antialias=True)
        return (sized.clamp(0, 1) - mean) / deviation

    return prepare


def fingerprint(model: str = "mini") -> dict[str, str]:
    """Name, sha256 of the parameters, size and range of the CLIP model."""
    network = load(model)
    visual: Any = network.visual
    name = Path(model).name if Path(model).is_dir() else model.partition(":")[0]
    return {
        "network": name,
        "weights": state_sha256(network),
        "size": "{}x{}".format(*visual.image_size),
        "range": f"[0, 1], mean {visual.image_mean}, deviation {visual.image_std}",
    }

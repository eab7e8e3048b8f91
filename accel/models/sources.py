"""Where a pipeline's parameters come from: pretrained, mini or untrained; one loader for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from huggingface_hub import errors as hub_errors
from huggingface_hub import snapshot_download
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from accel.core import Case
from accel.errors import IntegrityError, MissingWeightsError
from accel.models import Model, get_model
from accel.models.layout import MINI, fault
from accel.models.svd import Pipeline

__all__ = [
    "MINI", "UNET_PARAMETERS", "load", "pretrained_folder", "untrained_unet", "weight_files",
]  # fmt: skip

UNET_PARAMETERS = 1_524_623_082
HUB_FILES = ["*.json", "*.fp16.safetensors"]
PARTS = ("feature_extractor", "image_encoder", "scheduler", "unet", "vae")

UNET = {"sample_size": 96, "num_attention_heads": (5, 10, 20, 20)}
"""diffusers' own defaults are the full-size UNet, but for the heads of its third level."""
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 768,
}
CLIP = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 1024,
    "hidden_act": "gelu",
}
SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "timestep_spacing": "leading",
    "steps_offset": 1,
}


def load(case: Case, device: str) -> Pipeline:
    """A fresh, unedited pipeline for the case on `device` ("cpu" or "cuda").

    Raises MissingWeightsError with what to get, where from and where to put it.
    """
    dtype = getattr(torch, case.request.dtype or ("float32" if device == "cpu" else "float16"))
    model = get_model(case.model)
    sources: dict[str, Callable[[], StableVideoDiffusionPipeline]] = {
        "mini": lambda: _from_folder(MINI, dtype),
        "untrained": lambda: _untrained(model, dtype, device),
        "pretrained": lambda: _from_folder(pretrained_folder(model, case.path), dtype),
    }
    return Pipeline(sources[case.weights]().to(device, dtype), case.request, case.weights)


def pretrained_folder(model: Model, path: str | None = None) -> Path:
    """The local folder of pretrained weights: `path`, or the hub's cache at the pinned revision.

    Downloads what is missing if it can. Raises MissingWeightsError if it cannot.
    """
    if path is not None:
        return Path(path)
    try:
        folder = snapshot_download(model.hub, revision=model.revision, allow_patterns=HUB_FILES)
    except (hub_errors.HfHubHTTPError, hub_errors.LocalEntryNotFoundError, OSError) as error:
        raise MissingWeightsError(
            f"{model.name}: the pretrained weights are not on this machine and cannot be "
            f"downloaded ({type(error).__name__}).\n"
            f"  get:   {', '.join(HUB_FILES)} of {model.hub} at revision {model.revision}\n"
            f"         (accept its licence on the hub, then `hf auth login`)\n"
            f"  put:   anywhere, in the diffusers layout, and say --path FOLDER"
        ) from error
    return Path(folder)


def weight_files(case: Case) -> dict[str, Path]:
    """The files of weights and configurations that `load` reads, by part and name.

    Errors as `pretrained_folder`.
    """
    if case.weights == "untrained":
        return {}
    mini = case.weights == "mini"
    folder = MINI if mini else pretrained_folder(get_model(case.model), case.path)
    variant = _variant(folder)
    files = [path for part in PARTS for path in _read_of(folder / part, variant)]
    return {path.relative_to(folder).as_posix(): path for path in files}


def _read_of(part: Path, variant: str | None) -> list[Path]:
    """What diffusers reads of one part's folder: pickles only where there is no safetensors."""
    for ending in ("safetensors", "bin"):
        found = sorted(part.glob(f"*.{ending}"))
        halves = [path for path in found if f".{variant}" in path.name]
        full = [path for path in found if ".fp16" not in path.name]
        if found:
            return [*sorted(part.glob("*config.json")), *(halves or full or found)]
    return sorted(part.glob("*config.json"))


def _variant(folder: Path) -> str | None:
    return "fp16" if list(folder.glob("unet/*.fp16*.safetensors")) else None


def _from_folder(folder: Path, dtype: torch.dtype) -> StableVideoDiffusionPipeline:
    """A pipeline in the diffusers layout, fp16 variant if the folder has one, sharded or not."""
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if not (folder / "model_index.json").is_file() or missing:
        raise MissingWeightsError(
            f"{folder} is no Stable Video Diffusion folder in the diffusers layout: it lacks "
            f"{', '.join(missing) or 'model_index.json'}; save one with save_pretrained"
        )
    remedy = "copy the folder there again, or save one with save_pretrained"
    if wrong := fault(folder):
        raise MissingWeightsError(f"{folder} cannot be loaded: {wrong}; {remedy}")
    try:
        pipeline: Any = StableVideoDiffusionPipeline.from_pretrained(
            folder, variant=_variant(folder), dtype=dtype, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise MissingWeightsError(f"{folder} cannot be loaded: {error}; {remedy}") from error
    return pipeline


def untrained_unet() -> UNetSpatioTemporalConditionModel:
    """The full-size UNet, on torch's current default device and dtype.

    Raises IntegrityError if diffusers makes another network of its defaults than it did.
    """
    unet = UNetSpatioTemporalConditionModel(**UNET)
    found = sum(parameter.numel() for parameter in unet.parameters())
    if found != UNET_PARAMETERS:
        raise IntegrityError(
            f"the full-size UNet has {found:,} parameters, not {UNET_PARAMETERS:,}: this version "
            "of diffusers builds another one; install the version in pyproject.toml"
        )
    return unet


def _untrained(model: Model, dtype: torch.dtype, device: str) -> StableVideoDiffusionPipeline:
    """The exact full-size configuration with seeded random parameters, made on the device."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            unet = untrained_unet()
            vae = AutoencoderKLTemporalDecoder(**VAE)
            clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP))
    finally:
        torch.set_default_dtype(before)
    unet.register_to_config(num_frames=model.frames)
    return StableVideoDiffusionPipeline(
        vae=vae.eval(),
        image_encoder=clip.eval(),
        unet=unet.eval(),
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        feature_extractor=CLIPImageProcessor(size=224, crop_size=224),
    )

"""Whether a folder holds a whole pipeline in the diffusers layout, told before it is loaded.

The loaders would name another part, or advise about the internet. Imports no torch.
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

__all__ = ["WEIGHTY", "fault"]

WEIGHTY = ("image_encoder", "unet", "vae")
"""The parts of a pipeline that have weights."""

CONFIGS = (
    "model_index.json", "feature_extractor/preprocessor_config.json", "image_encoder/config.json",
    "scheduler/scheduler_config.json", "unet/config.json", "vae/config.json",
)  # fmt: skip


def fault(folder: Path) -> str | None:
    """What is wrong with the first file that is missing or broken; None of a whole folder.

    Of weights the headers alone are read.
    """
    for name in CONFIGS:
        if wrong := _config_fault(folder / name):
            return f"{name} {wrong}"
    for part in WEIGHTY:
        files = sorted((folder / part).glob("*.safetensors"))
        if not files and not any((folder / part).glob("*.bin")):
            return f"{part} has no weights (*.safetensors)"
        for path in files:
            if wrong := _weights_fault(path):
                return f"{part}/{path.name} {wrong}"
    return None


def _config_fault(path: Path) -> str | None:
    if not path.is_file():
        return "is missing"
    try:
        form = json.loads(path.read_bytes())
    except ValueError as error:
        return f"is not JSON ({error})"
    return None if isinstance(form, dict) else f"holds a {type(form).__name__}, not an object"


def _weights_fault(path: Path) -> str | None:
    try:
        with safe_open(path, "np"):
            return None
    except (OSError, SafetensorError) as error:
        return f"cannot be read ({error})"

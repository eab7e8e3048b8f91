"""What the folder of a pipeline in the diffusers layout tells before it is loaded.

Of a broken one the loaders would name another part, or advise about the internet. Imports no torch.
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from accel.core import Request
from accel.errors import InvalidRequestError

__all__ = ["MINI", "WEIGHTY", "check_size", "fault", "multiple_of"]

MINI = Path(__file__).parent.parent / "zoo" / "weights" / "svd"

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


def multiple_of(folder: Path) -> int:
    """Pixels: every downsampling of the VAE and the UNet halves, and sizes must stay whole."""
    configs = (folder / part / "config.json" for part in ("vae", "unet"))
    levels = [len(json.loads(path.read_bytes())["block_out_channels"]) for path in configs]
    return int(2 ** sum(count - 1 for count in levels))


def check_size(request: Request, multiple: int) -> None:
    """Raises InvalidRequestError for a width or height that is no multiple of so many pixels."""
    for name in ("width", "height"):
        size = getattr(request, name)
        if size % multiple:
            low = max(multiple, size // multiple * multiple)
            raise InvalidRequestError(
                f"{name} {size} is not a multiple of {multiple}, which this UNet needs; "
                f"try {low} or {low + multiple}"
            )


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

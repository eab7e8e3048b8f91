"""The LPIPS network (AlexNet, v0.1), built without any download.

The five linear heads lie in the pip package `lpips`; the AlexNet convolutions come from
`accel fetch`. Their source reproduces the example distances of the LPIPS authors, and carries
the same heads. Source: Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018.
"""

import hashlib
import warnings
from functools import lru_cache
from pathlib import Path

import lpips
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from accel.fetch import path_of
from accel.metrics import Array

__all__ = ["distances", "fingerprint", "network", "state_sha256"]

# Pixels per batch: bounds the activations to some hundred MB without changing any result.
_BATCH_PIXELS = 4 * 576 * 1024
_SLICES = {0: "slice1.0", 3: "slice2.3", 6: "slice3.6", 8: "slice4.8", 10: "slice5.10"}


@lru_cache(maxsize=1)
def network() -> torch.nn.Module:
    """The network on the CPU in float32, in evaluation mode; input range [-1, 1].

    Raises MissingWeightsError (run `accel fetch`) or IntegrityError.
    """
    tensors = _heads() | _convolutions()
    # Built without memory or random numbers: the caller's random state stays as it is. The
    # package still calls torchvision with arguments that torchvision warns about.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        built: torch.nn.Module = lpips.LPIPS(
            net="alex", version="0.1", pretrained=False, pnet_rand=True, verbose=False
        )
    built.load_state_dict(tensors, strict=False, assign=True)
    missing = [name for name, parameter in built.named_parameters() if parameter.is_meta]
    assert not missing, missing
    return built.eval().requires_grad_(False)


def _heads() -> dict[str, torch.Tensor]:
    path = Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth"
    heads: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    # The network names each head twice: as an attribute and in a list.
    return heads | {name.replace("lin", "lins.", 1): value for name, value in heads.items()}


def _convolutions() -> dict[str, torch.Tensor]:
    stored = load_file(path_of("lpips-alexnet"))
    return {
        f"net.{name}.{kind}": stored[f"features.{position}.{kind}"]
        for position, name in _SLICES.items()
        for kind in ("weight", "bias")
    }


def distances(first: Array, second: Array) -> npt.NDArray[np.float64]:
    """[T] LPIPS of the frames of two videos [T, H, W, 3] in [0, 1]; 0 is identical."""
    net = network()
    batch = max(1, _BATCH_PIXELS // (first.shape[1] * first.shape[2]))
    values = []
    with torch.inference_mode():
        for start in range(0, len(first), batch):
            window = slice(start, start + batch)
            values.append(net(_input(first[window]), _input(second[window])).flatten())
    return torch.cat(values).numpy().astype(np.float64)


def _input(frames: Array) -> torch.Tensor:
    """[N, 3, H, W] in [-1, 1], as the network wants it."""
    return torch.from_numpy(np.array(frames, np.float32)).permute(0, 3, 1, 2) * 2 - 1


def fingerprint() -> dict[str, str]:
    """Network, sha256 of its parameters, input range."""
    return {"network": "alex v0.1", "weights": state_sha256(network()), "range": "[-1, 1]"}


def state_sha256(module: torch.nn.Module) -> str:
    """sha256 over name, shape and float32 bytes of every parameter and buffer, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

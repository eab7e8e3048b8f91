"""What `accel bench` and `accel refresh` measure where nobody names methods. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

__all__ = ["CHAINS", "FILES", "REMEDY", "TABLE_1", "standard", "unshipped"]

QUICK = ("reference", "int8_weight_only", "fewer_steps:15", "fewer_steps:10", "fewer_steps:4")
"""M0, M1 and M3: what runs anywhere, in minutes."""

TABLE_1 = (
    "reference", "int8_weight_only", "torch_compile",
    "fewer_steps:15", "fewer_steps:10", "fewer_steps:4", "distilled", "semi_structured",
    "keyframes:7", "keyframes:9", "keyframes:13", "lcm:4", "sampler:ays", "guidance_interval",
    "tiny_vae",
)  # fmt: skip
"""M0 to M7 of Hauryk 2026, Table 1, and the methods beyond it; for 25 frames."""

COMPILED = "torch_compile:decoder=true"
CHAINS = (
    f"keyframes:7+{COMPILED}", f"lcm:4+{COMPILED}", "lcm:4+keyframes:7",
    f"lcm:4+keyframes:7+{COMPILED}", "lcm:4+tiny_vae",
)  # fmt: skip
"""The fastest combinations of them."""

FILED = ("distilled", "lcm", "tiny_vae")
"""Methods that want a file with pretrained weights; the mini models have theirs."""

FILES = {"distilled": "student", "lcm": "student", "tiny_vae": "tiny_decoder"}
"""The option that names such a method's file."""

REMEDY = (
    "get their files, and name them: --student AnimateLCM-SVD-xt.safetensors "
    "--tiny-decoder taesdv.pth"
)
"""How to measure what is FILED all the same."""


def standard(
    model: str, weights: str, on_gpu: bool, files: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """Methods by text: Table 1 and the chains of svd-xt, a quick choice of other models.

    Compilation is left to GPUs, and what is FILED to those who have the file. files: by option.
    """
    return tuple(t for t in _chosen(model, on_gpu, files) if not _is_filed(t, weights))


def unshipped(
    model: str, weights: str, on_gpu: bool, files: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """What `standard` leaves out because its weights are FILED."""
    return tuple(t for t in _chosen(model, on_gpu, files) if _is_filed(t, weights))


def _with_file(part: str, files: Mapping[str, str]) -> str:
    if (file := files.get(FILES.get(part.partition(":")[0], ""))) is None:
        return part
    return f"{part}{',' if ':' in part else ':'}weights={file}"


def _chosen(model: str, on_gpu: bool, files: Mapping[str, str]) -> Iterator[str]:
    """What there is for the model on that device, each part with its file, if there is one."""
    found = (*TABLE_1, *CHAINS) if model == "svd-xt" else (*QUICK, "torch_compile")
    for text in found:
        if on_gpu or "torch_compile" not in text:
            yield "+".join(_with_file(part, files) for part in text.split("+"))


def _is_filed(text: str, weights: str) -> bool:
    """Whether a part lacks a file."""
    parts = (part for part in text.split("+") if "weights=" not in part)
    return weights == "pretrained" and any(part.startswith(FILED) for part in parts)

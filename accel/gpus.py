"""Which NVIDIA GPUs a process may use, by NVML alone: no torch is imported, no CUDA is started."""

from __future__ import annotations

import os

__all__ = ["name_of", "taken_by", "visible"]


def visible() -> tuple[str, ...]:
    """UUIDs ("GPU-..." or "MIG-...") of the GPUs that CUDA will show, in its order.

    CUDA_VISIBLE_DEVICES is read as CUDA reads it: indices or UUIDs, which may be cut short; the
    first one that is none ends the list, and a GPU that is named twice empties it. () without a
    driver. Indices are NVML's; in a machine of different GPUs CUDA's are the same with
    CUDA_DEVICE_ORDER=PCI_BUS_ID alone.
    """
    found, asked = _installed(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None or not found:
        return found
    chosen: list[str] = []
    for word in asked.split(","):
        if (uuid := _named(word.strip(), found)) is None:
            break
        chosen.append(uuid)
    return tuple(chosen) if len({*chosen}) == len(chosen) else ()


def taken_by(device: str | None) -> str | None:
    """The UUID of the GPU that a worker on `device` takes ("cpu", "cuda", "cuda:1"; None: a GPU
    where there is one), or None if it takes none."""
    if device == "cpu":
        return None
    index, found = int((device or "").partition(":")[2] or 0), visible()
    return found[index] if index < len(found) else None


def name_of(gpu: str) -> str | None:
    """The name ("NVIDIA H200") of a GPU that `visible` lists, or None if NVML does not tell it."""
    import pynvml

    try:
        return str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByUUID(gpu)))
    except pynvml.NVMLError:
        return None


def _named(word: str, found: tuple[str, ...]) -> str | None:
    """The UUID that a word of CUDA_VISIBLE_DEVICES means; a part of a GPU (MIG) is not listed."""
    if word.isdecimal():
        return found[int(word)] if int(word) < len(found) else None
    if word.startswith("MIG-"):
        return word
    matching = [uuid for uuid in found if word.startswith("GPU-") and uuid.startswith(word)]
    return matching[0] if len(matching) == 1 else None


def _installed() -> tuple[str, ...]:
    import pynvml

    try:
        pynvml.nvmlInit()
        count = int(pynvml.nvmlDeviceGetCount())
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        return tuple(str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles)
    except pynvml.NVMLError:
        return ()

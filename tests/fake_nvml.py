"""NVML with GPUs that are not there, for what runs in the test's own process."""

import sys
from types import SimpleNamespace

import pytest

GPUS = ("GPU-aa11", "GPU-ab22", "GPU-cc33")


class NVMLError(Exception):
    pass


def install(monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...] | None = GPUS) -> None:
    """Let NVML find `gpus`; None: let it find no driver. No GPU is hidden by the environment."""

    def start() -> None:
        if gpus is None:
            raise NVMLError

    found = gpus or ()
    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=start,
        nvmlDeviceGetCount=lambda: len(found),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: found[handle],
        nvmlDeviceGetHandleByUUID=found.index,
        nvmlDeviceGetName=lambda handle: "NVIDIA H200",
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

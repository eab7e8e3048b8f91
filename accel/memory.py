"""Memory of this process: its peak since a reset, and what is in use now."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

__all__ = ["MIB", "CudaMeter", "Meter", "RssMeter", "freed_is_returned", "in_use"]

MIB = 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""


class Meter(Protocol):
    """Peak memory since the last reset, by kind, in MiB."""

    def reset(self) -> None: ...
    def read(self) -> dict[str, float]: ...


class CudaMeter:
    """Tensors (allocated) and the allocator's segments (reserved).

    The process as NVML sees it is watched by the parent: segments are not given back between
    stages, so that it has one peak for the whole generation.
    """

    def reset(self) -> None:
        torch.cuda.reset_peak_memory_stats()

    def read(self) -> dict[str, float]:
        return {
            "allocated_mib": torch.cuda.max_memory_allocated() / MIB,
            "reserved_mib": torch.cuda.max_memory_reserved() / MIB,
        }


class RssMeter:
    """Peak resident set size of the process, from Linux's /proc; elsewhere nothing is read.

    File-backed pages are left out: how many pages of torch's libraries are mapped depends on what
    lies in the page cache, and differed by 170 MiB between a fresh installation and an old one.
    The rest tells what is in use only while malloc gives back what is freed: see
    `freed_is_returned`.
    """

    status = Path("/proc/self/status")
    clear = Path("/proc/self/clear_refs")

    def reset(self) -> None:
        if self.clear.exists():
            self.clear.write_text("5")

    def read(self) -> dict[str, float]:
        if not self.clear.exists():
            return {}
        fields = dict(line.split(":") for line in self.status.read_text().splitlines())
        peak, files = (int(fields[name].split()[0]) for name in ("VmHWM", "RssFile"))
        return {"rss_mib": (peak - files) / 1024}


@contextmanager
def freed_is_returned() -> Iterator[None]:
    """glibc maps every block of 1 MiB or more by itself, so that freeing it shrinks the process.

    Else malloc keeps freed blocks, and the peak of one and the same warm-up of the mini model
    varied by 20 %; so it varies by 1 %, in twice the time. Afterwards malloc keeps what is freed,
    up to 1 GiB, and generations are as fast as before or faster. Another C library is left as it
    is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, MIB)
    mallopt(M_TRIM_THRESHOLD, MIB)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, 32 * MIB)
        mallopt(M_TRIM_THRESHOLD, 1024 * MIB)


class _Mallinfo(ctypes.Structure):
    """What glibc's mallinfo2 returns, in bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def in_use(device: torch.device) -> float | None:
    """MiB that somebody still holds: of torch's allocator on a GPU, of glibc's malloc on a CPU.

    None with another C library, or one before 2.33. It is the same after each of two equal
    generations, because it counts neither what malloc keeps for later nor, on a GPU, what a block
    has beyond the bytes asked for: up to 1 MiB, by which blocks the allocator had at hand. Where
    the allocator does not tell what was asked for (cudaMallocAsync), blocks are counted.
    """
    gc.collect()
    if device.type == "cuda":
        stats = torch.cuda.memory_stats(device)
        asked, given = (stats[f"{kind}_bytes.all.current"] for kind in ("requested", "allocated"))
        return float(asked or given) / MIB
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return None
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return float(found.uordblks + found.hblkhd) / MIB

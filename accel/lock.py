"""One run at a time per GPU: two that share one would measure each other.

Each GPU has a file, `/tmp/accel-<UUID>.lock`, and the run that measures holds it with flock: the
kernel frees it when the process ends, however it ends, and no stale file has to be cleaned up.
The folder is /tmp, and neither TMPDIR nor the cache nor $XDG_RUNTIME_DIR: those are each user's
own, and a lock is worth something only if all users of a machine meet at it. The file is opened
without following links, is writable for everyone, and is never removed. Containers with a /tmp
of their own do not see each other's locks; telemetry counts foreign processes where NVML can.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from accel import gpus
from accel.errors import GpuBusyError, InvalidRequestError, OutputError

__all__ = ["GpuLock", "claim", "hold"]

FOLDER = Path("/tmp")


class GpuLock:
    """The lock of the GPU that workers on `device` take; on a CPU there is nothing to lock."""

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._held: tuple[str, BinaryIO] | None = None

    def take(self) -> None:
        """Hold the GPU from now on, if it is not held yet. Errors as `hold`."""
        if self._held is None and (gpu := gpus.taken_by(self._device)):
            self._held = gpu, hold(gpu)

    def check(self, gpu: str | None) -> None:
        """Raises InvalidRequestError if a worker found itself on another GPU than the locked one:
        CUDA orders different GPUs by speed, and NVML by their place."""
        if self._held and gpu and gpu != (held := self._held[0]) and held.startswith("GPU-"):
            raise InvalidRequestError(
                f"the worker runs on {gpu}, and {held} is locked; set CUDA_VISIBLE_DEVICES={held}, "
                "or CUDA_DEVICE_ORDER=PCI_BUS_ID"
            )

    def release(self) -> None:
        """Let others measure there."""
        if self._held is not None:
            self._held[1].close()
            self._held = None


def hold(gpu: str) -> BinaryIO:
    """Hold a GPU, by its UUID, until the returned file is closed or this process ends.

    Raises GpuBusyError naming the process that holds it, OutputError if the file cannot be opened.
    """
    file = _open(FOLDER / f"accel-{gpu}.lock")
    if holder := claim(file):
        raise GpuBusyError(
            f"{gpu} is held by {holder}; wait for its end, or choose another GPU with "
            "CUDA_VISIBLE_DEVICES"
        )
    return file


def claim(file: BinaryIO) -> str:
    """Lock an open file until it is closed, and write this process's name into it.

    Or else close it, and tell the process that has it. file: for reading and writing, unbuffered.
    Raises OutputError where nothing can be locked, as on some network drives.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = "".join(filter(str.isprintable, file.read(500).decode(errors="replace")))
        file.close()
        return holder or "another run"
    except OSError as error:
        file.close()
        raise OutputError(
            f"cannot lock {file.name}: {error.strerror}; choose a folder on another file system"
        ) from error
    file.truncate(0)
    with suppress(OSError):  # a full disk takes no name, and the lock holds without one
        file.write(f"pid {os.getpid()}: {shlex.join(sys.orig_argv)}".encode())
    return ""


def _open(path: Path) -> BinaryIO:
    """Open for reading and writing. Linux may refuse O_CREAT of what another user made in /tmp,
    so that a file that is there is opened without it."""
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(descriptor, 0o666)  # whatever the umask
        except FileExistsError:
            descriptor = os.open(path, flags)
    except OSError as error:
        raise OutputError(
            f"cannot open {path}, the lock of a GPU: {error.strerror}; make it a plain file that "
            "every user may read and write"
        ) from error
    return os.fdopen(descriptor, "r+b", buffering=0)

"""Where a record was made, and the process-wide state that a measurement depends on.

Importing this module imports no torch: `accel list` and the pytest plugin start without it.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from secrets import token_hex
from typing import Any

from accel.errors import InvalidRequestError
from accel.telemetry import driver_version, nvml_uuid

__all__ = [
    "checkout",
    "fingerprint",
    "hardware_slug",
    "is_installed",
    "run_identity",
    "source",
    "tf32_state",
]

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "torchao",
    "open_clip_torch",
    "lpips",
    "scikit-image",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
)
ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
PACKAGE = Path(__file__).resolve().parent
SOURCES = {".py", ".json", ".safetensors"}
"""Endings of code, and of the mini models."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
CPU_INFO = Path("/proc/cpuinfo")


def fingerprint(device: str) -> dict[str, Any]:
    """Hardware and software that a record on `device` ("cpu", "cuda" or "cuda:1") belongs to.

    JSON-ready. What cannot be known is absent: `gpu` on a CPU, a package that is not installed,
    `git` outside a checkout of accel. Raises InvalidRequestError for a device that is not there.
    """
    import torch

    gpu = _gpu(device)
    found: dict[str, Any] = {
        "hardware": hardware_slug(gpu["name"]) if gpu else "cpu",
        "gpu": gpu,
        "cpu": _cpu_model(),
        "cpu_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": _versions(),
        "allocator": {name: os.environ[name] for name in ALLOCATOR_VARIABLES if name in os.environ},
        "tf32": tf32_state(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "git": checkout(),
        "source": source(),
    }
    return {key: value for key, value in found.items() if value not in (None, {})}


def checkout() -> dict[str, Any] | None:
    """`commit` of this accel, and whether the tree is `dirty`; None outside of a git checkout.

    Dirty are changes of anything that git tracks but the baselines, and new files in the package.
    """
    return _git(PACKAGE.parent)


def is_installed() -> bool:
    """Whether this accel is an installed package, whose version tells its code, and no tree."""
    return not (PACKAGE.parent / "pyproject.toml").exists()


def source() -> str:
    """sha256 of this accel's code and mini weights: what was run, where git tells nothing."""
    return _source(PACKAGE)


def hardware_slug(name: str) -> str:
    """A GPU's name as a folder name: "NVIDIA A100-SXM4-80GB" is `nvidia-a100-sxm4-80gb`.

    Raises InvalidRequestError for a name without a letter or digit.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise InvalidRequestError(f"hardware name {name!r} has no letter or digit; pass its name")
    return slug


def run_identity() -> dict[str, str]:
    """`run`: sorts by time (UTC) and is unique; `boot`: the kernel's boot id, where it tells one.

    Two runs of one boot share a machine in one state; a run resumed on another boot does not.
    """
    now = datetime.now(UTC)
    identity = {"run": f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{token_hex(3)}"}
    if BOOT_ID.exists():
        identity["boot"] = BOOT_ID.read_text(encoding="ascii").strip()
    return identity


def tf32_state() -> dict[str, str]:
    """`matmul`, `conv` and `rnn`: "tf32", "ieee", or "none" where nobody has set anything."""
    return {name: str(setting.fp32_precision) for name, setting in _tf32_settings().items()}


def _tf32_settings() -> dict[str, Any]:
    from torch import backends

    cudnn: Any = backends.cudnn
    return {"matmul": backends.cuda.matmul, "conv": cudnn.conv, "rnn": cudnn.rnn}


def _gpu(device: str) -> dict[str, Any]:
    """Name, uuid, memory in MiB, capability ("9.0") and driver; empty on a CPU."""
    import torch

    if device == "cpu":
        return {}
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise InvalidRequestError(f"device {device!r} is unknown; choose cpu, cuda or cuda:N")
    index, count = int(device.partition(":")[2] or 0), torch.cuda.device_count()
    if index >= count:
        raise InvalidRequestError(
            f"device {device!r} is not here: torch sees {count} CUDA devices; choose cpu, or "
            "install a torch for CUDA and a driver"
        )
    properties = torch.cuda.get_device_properties(index)
    found = {
        "name": properties.name,
        "uuid": nvml_uuid(str(properties.uuid)),
        "memory_mib": properties.total_memory // 2**20,
        "capability": f"{properties.major}.{properties.minor}",
        "driver": driver_version(),
    }
    return {key: value for key, value in found.items() if value is not None}


def _cpu_model() -> str:
    """The name that Linux gives the CPU, or else its architecture."""
    text = CPU_INFO.read_text(encoding="utf-8") if CPU_INFO.exists() else ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    import torch

    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    cudnn: Any = torch.backends.cudnn
    native = {"cuda": torch.version.cuda, "cudnn": cudnn.version() if torch.version.cuda else None}
    return found | {key: str(value) for key, value in native.items() if value is not None}


def _source(package: Path) -> str:
    """sha256 over the names and contents of all files that decide what is measured."""
    digest = sha256()
    for path in sorted(p for p in package.rglob("*") if p.suffix in SOURCES):
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _git(root: Path) -> dict[str, Any] | None:
    """As `checkout`, if `root` itself is one."""
    if not (root / ".git").exists():
        return None
    commit, status = (
        _git_output(root, *words)
        for words in (
            ("rev-parse", "HEAD"),
            ("status", "--porcelain", "--", ".", ":(exclude)baselines"),
        )
    )
    if not commit or status is None:
        return None
    lines = status.splitlines()
    dirty = any(not line.startswith("??") or line.startswith("?? accel/") for line in lines)
    return {"commit": commit, "dirty": dirty}


def _git_output(root: Path, *words: str) -> str | None:
    """What git prints, or None without git or without a commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=30
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

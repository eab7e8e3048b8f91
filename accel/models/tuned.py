"""2:4 weights that were tuned under their mask: where they come from, and how they are put in.

The file of the mini model is made by `python -m accel.zoo.train_sparse`. It belongs to one UNet,
whose fingerprint it carries.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from accel.core import Weights
from accel.errors import IntegrityError, MissingWeightsError, NoEffectError
from accel.models import two_of_four
from accel.models.students import ZOO, fingerprint

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["MINI", "put_in", "read", "refusal", "weight_files"]

MINI = Path("sparse") / "two_of_four.safetensors"
"""The mini model's tuned 2:4 weights, in the folder of the zoo's weights."""

HOW = "`python -m accel.zoo.train_sparse` makes the mini model's"


def weight_files(given: str, weights: Weights) -> dict[str, Path]:
    """The file that `put_in` reads, if it reads one. given: the method's own."""
    if given or weights == "mini":
        return {"tuned": Path(given) if given else ZOO / MINI}
    return {}


def refusal(pipeline: Pipeline, weights: str) -> str | None:
    """Why no tuned 2:4 weights can be put into this pipeline, or None."""
    if "student_tensors" in pipeline.tallies:
        return (
            "2:4 weights are tuned for M0's UNet, and this one holds a student's; leave one of "
            "the two out, or say tuned=false"
        )
    if pipeline.weights == "untrained":
        return "weights=FILE is for trained pipelines; leave it out" if weights else None
    if weights:
        return None
    if pipeline.weights == "pretrained":
        return (
            "nobody publishes tuned 2:4 weights of SVD; pass your own with weights=FILE, packed as "
            "accel/models/two_of_four.py says"
        )
    return None if (ZOO / MINI).is_file() else f"mini has no tuned 2:4 weights yet: {HOW}"


def put_in(pipeline: Pipeline, weights: str) -> int:
    """Put tuned 2:4 weights into the UNet, and return into how many Linears.

    weights: a file as `two_of_four.tensors` makes it, with the UNet's `fingerprint` as "base" in
    its metadata. Without one, mini takes the file that is shipped, and untrained pipelines none:
    time and memory do not depend on the values.

    Raises MissingWeightsError without a file, IntegrityError for a file of another UNet,
    NoEffectError if the file holds what pruning leaves.
    """
    if pipeline.weights == "untrained":
        return 0
    path = Path(weights) if weights else ZOO / MINI
    packed = read(path, Path(pipeline.diffusers.unet.config["_name_or_path"]))
    if not two_of_four.put_in(pipeline.denoiser, packed):
        raise NoEffectError(f"{path} holds the UNet's own weights, pruned and not tuned; {HOW}")
    return len(two_of_four.linears(pipeline.denoiser))


def read(path: Path, unet: Path) -> dict[str, Tensor]:
    """The packed weights of a file, which were tuned for the UNet in that folder.

    Raises MissingWeightsError without the file, IntegrityError for one of another UNet or kind.
    """
    if not path.is_file():
        raise MissingWeightsError(f"tuned 2:4 weights: there is no file {path}; {HOW}")
    try:
        with safe_open(path, "pt") as file:
            base = (file.metadata() or {}).get("base")
        packed = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(f"{path} holds no 2:4 weights: {error}; {HOW}") from error
    if base != fingerprint(unet):
        raise IntegrityError(f"{path} was tuned for another UNet; {HOW}")
    return packed

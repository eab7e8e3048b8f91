"""Distilled weights for the UNet: where they come from, and how they are put in.

AnimateLCM-SVD-xt is one safetensors file of all the UNet's tensors, under diffusers' names. The
mini model's student is shipped as low-rank changes of its UNet.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from accel.core import Weights
from accel.errors import IntegrityError, MissingWeightsError, NoEffectError
from accel.methods.int8_weight_only import count_int8_linears
from accel.models import low_rank

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["MINI", "fingerprint", "put_in", "refusal", "weight_files"]

ZOO = Path(__file__).parent.parent / "zoo" / "weights"
MINI = Path("lcm") / "low_rank.safetensors"
"""The mini model's student, in the folder of the zoo's weights."""

HOW = (
    "get AnimateLCM-SVD-xt.safetensors (6.1 GB, fp32) from wangfuyun/AnimateLCM-SVD-xt on the hub, "
    "put it anywhere, and say weights=FILE"
)


def fingerprint(folder: Path) -> str:
    """sha256 of the weights of a UNet in the diffusers layout, hexadecimal."""
    digest = sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def weight_files(given: str, weights: Weights) -> dict[str, Path]:
    """The file that `put_in` reads, if it reads one. given: the method's own."""
    if given or weights == "mini":
        return {"student": Path(given) if given else ZOO / MINI}
    return {}


def refusal(pipeline: Pipeline, weights: str) -> str | None:
    """Why no student can be put into this pipeline, or None."""
    if count_int8_linears(pipeline.denoiser):
        return "the UNet's weights are int8 already; put int8_weight_only after it"
    if "tuned_linears" in pipeline.tallies:
        return "the UNet's weights are 2:4 ones tuned for M0's UNet; leave one of the two out"
    if "sparse_linears" in pipeline.tallies:
        return "the UNet's weights are 2:4 sparse already; put semi_structured after it"
    if "student_tensors" in pipeline.tallies:
        return "the UNet holds a student's weights already; leave one of the two out"
    if weights or pipeline.weights == "untrained":
        return None
    if pipeline.weights == "pretrained":
        return f"these weights are no student's: {HOW}"
    return None if (ZOO / MINI).is_file() else f"mini has no student yet: {_how_to_distil()}"


def put_in(pipeline: Pipeline, weights: str) -> None:
    """Replace the UNet's parameters by a student's, and tally them as `student_tensors`.

    weights: a safetensors file with exactly the UNet's tensors, in any floating-point type. Without
    one, mini takes the student that is shipped, and untrained pipelines their own parameters with
    the signs turned: another random network, for time and memory do not depend on the values.

    Raises MissingWeightsError without a file, IntegrityError for a file of another network,
    NoEffectError if a student is in already, or the file holds what the UNet has.
    """
    if "student_tensors" in pipeline.tallies:
        raise NoEffectError("the pipeline holds a student's weights already; applied twice?")
    network = pipeline.denoiser
    if weights or pipeline.weights == "pretrained":
        _load(network, weights)
    elif pipeline.weights == "mini":
        _add_mini(network)
    else:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.neg_()
    count = len(network.state_dict())  # now: int8 weights that come after it bring their scales
    pipeline.tallies["student_tensors"] = lambda: count


def _load(network: nn.Module, weights: str) -> None:
    if not Path(weights).is_file():
        raise MissingWeightsError(f"distilled weights: {weights or 'no file given'}; {HOW}")
    held = network.state_dict()
    try:
        tensors = load_file(weights)
        if all(n in held and torch.equal(v.to(held[n]), held[n]) for n, v in tensors.items()):
            raise NoEffectError(f"{weights} holds the UNet's own weights; {HOW}")
        network.load_state_dict(tensors, strict=True)
    except (RuntimeError, SafetensorError) as error:
        text = str(error).partition("\n\t")[2] or str(error)
        raise IntegrityError(
            f"{weights} does not hold the tensors of this UNet: {text[:300]}; {HOW}"
        ) from error


def _add_mini(network: nn.Module, zoo: Path = ZOO) -> None:
    path = zoo / MINI
    if not path.is_file():
        raise MissingWeightsError(f"{path} is missing; {_how_to_distil()}")
    with safe_open(path, "pt") as file:
        base = (file.metadata() or {}).get("base")
    if base != fingerprint(zoo / "svd" / "unet"):
        raise IntegrityError(f"{path} was distilled from another UNet; {_how_to_distil()}")
    low_rank.add(network, load_file(path))


def _how_to_distil() -> str:
    return "distil one with `python -m accel.zoo.train_lcm`"

"""Distilled weights for the UNet: where they come from, and how they are put in.

AnimateLCM-SVD-xt is one safetensors file of all the UNet's tensors, under diffusers' names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from accel.errors import IntegrityError, MissingWeightsError, NoEffectError
from accel.methods.int8_weight_only import count_int8_linears

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["put_in", "refusal"]

HOW = (
    "get AnimateLCM-SVD-xt.safetensors (6.1 GB, fp32) from wangfuyun/AnimateLCM-SVD-xt on the hub, "
    "put it anywhere, and say weights=FILE"
)


def refusal(pipeline: Pipeline, weights: str) -> str | None:
    """Why no student can be put into this pipeline, or None."""
    if count_int8_linears(pipeline.denoiser):
        return "the UNet's weights are int8 already; put int8_weight_only after it"
    if weights or not pipeline.trained:
        return None
    return f"these weights are no student's: {HOW}"


def put_in(pipeline: Pipeline, weights: str) -> None:
    """Replace the UNet's parameters by a student's, and tally them as `student_tensors`.

    weights: a safetensors file with exactly the UNet's tensors, in any floating-point type.
    Untrained pipelines take none: theirs are the UNet's own with their signs turned, another random
    network of the same size, for time and memory do not depend on the values.

    Raises MissingWeightsError without a file, IntegrityError for a file of another network,
    NoEffectError if a student is in already.
    """
    if "student_tensors" in pipeline.tallies:
        raise NoEffectError("the pipeline holds a student's weights already; applied twice?")
    network = pipeline.denoiser
    if not weights and not pipeline.trained:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.neg_()
    else:
        _load(network, weights)
    pipeline.tallies["student_tensors"] = lambda: len(network.state_dict())


def _load(network: nn.Module, weights: str) -> None:
    if not Path(weights).is_file():
        raise MissingWeightsError(f"distilled weights: {weights or 'no file given'}; {HOW}")
    try:
        network.load_state_dict(load_file(weights), strict=True)
    except (RuntimeError, SafetensorError) as error:
        text = str(error).partition("\n\t")[2] or str(error)
        raise IntegrityError(
            f"{weights} does not hold the tensors of this UNet: {text[:300]}; {HOW}"
        ) from error

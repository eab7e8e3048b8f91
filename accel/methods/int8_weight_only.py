"""M1, int8 weight-only: the weights of every Linear of the UNet as int8, one scale per row.

What: 8-bit weights, activations as before. 826 million of SVD's 1,525 million UNet parameters are
Linear weights, so about 788 MiB of fp16 weights go.
How: scale = max |row| / 127, rounded to nearest; each forward pass turns the weight back into the
activations' dtype. backend="module" is a plain module of ours (int8 and scale as buffers);
backend="torchao" is torchao's Int8WeightOnlyConfig, which keeps a tensor subclass.
Costs: a dequantised copy of one weight at a time; no arithmetic is saved, so no speed is to be
expected from it alone. The torchao backend multiplies by the scale AFTER the product of the fp16
activations with the raw int8 values, which overflows fp16 where activations are large; ours scales
the weight first. torchao's own default also switches inductor to an exhaustive coordinate-descent
search for the whole process, under which torch.compile of svd-xt was not done after 6 minutes; here
it stays off, and the first two denoiser calls, compiled, took 157 s on an H200.
Measured: a denoiser call of svd-xt on an H200 takes 0.632 s in fp16, 0.629 s with the module and
0.863 s with torchao, so the module is the default.
Source: torchao 0.18 quantize_; Hauryk 2026, M1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from torch import nn
from torch.nn import functional as F

from accel.core import Claim, Counters, Fidelity, Method, Request
from accel.errors import NoEffectError, unknown_name
from accel.methods.surgery import replace_linears

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Int8Linear", "Int8WeightOnly"]

Backend = Literal["module", "torchao"]


class Int8Linear(nn.Module):
    """A Linear whose weight is int8 [out, in] with one scale per row [out, 1].

    Input [..., in] and output [..., out] in the floating-point dtype of the original.
    """

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach()
        wide = weight.float()
        scale = wide.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float16).tiny)
        scale = (scale / 127).to(weight.dtype)
        rounded = (wide / scale.float()).round().clamp(-127, 127)
        self.register_buffer("weight", rounded.to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype), self.bias)


@dataclass(frozen=True)
class Int8WeightOnly(Method):
    """backend: "module" (ours, the default) or "torchao"."""

    backend: Backend = "module"

    name: ClassVar[str] = "int8_weight_only"
    source: ClassVar[str] = "torchao 0.18 Int8WeightOnlyConfig"
    fidelity: ClassVar[Fidelity] = "faithful"

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise unknown_name("int8 backend", str(self.backend), get_args(Backend))

    def claims(self, request: Request) -> tuple[Claim, ...]:
        quality = Claim("lpips", at_most=0.02)
        memory = Claim("memory.denoise.allocated_mib", at_most=-770, delta=True)
        if self.backend == "torchao":
            return (memory, quality)
        return (memory, quality, Claim("speedup", at_least=1 / 1.05))

    def refuses(self, pipeline: Pipeline) -> str | None:
        if "sparse_linears" in pipeline.tallies:
            return (
                "weights are 2:4 sparse, whose kernels take no int8 weights; choose one of the two"
            )
        return None

    def expected(self, pipeline: Pipeline) -> Counters:
        linears = sum(type(m) is nn.Linear for m in pipeline.denoiser.modules())
        return {"int8_linears": linears}

    def apply(self, pipeline: Pipeline) -> None:
        if self.backend == "torchao":
            _quantize_with_torchao(pipeline.denoiser)
        else:
            replace_linears(pipeline.denoiser, Int8Linear)


def count_int8_linears(root: nn.Module) -> int:
    """How many layers below `root` hold an int8 weight, by either backend."""
    return sum(
        isinstance(m, Int8Linear) or (isinstance(m, nn.Linear) and _is_torchao(m.weight))
        for m in root.modules()
    )


def _quantize_with_torchao(root: nn.Module) -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    if count_int8_linears(root):
        raise NoEffectError(f"{type(root).__name__} is quantised already; was it applied twice?")
    quantize_(root, Int8WeightOnlyConfig(set_inductor_config=False, version=2))


def _is_torchao(weight: torch.Tensor) -> bool:
    return type(weight).__module__.startswith("torchao.")

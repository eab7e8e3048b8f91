"""M5, 2:4 sparsity: of every four weights of a Linear along its input, the two smallest are zero.

What: half the products of the chosen Linears of the UNet go; the GPU's sparse tensor cores skip
them. layers="all" is all 464 Linears of the full-size UNet; "feed_forward" is 96 of them, which
hold 54 % of the Linear weights.
How: by magnitude, once. With tuned=True weights and biases that were trained under a fixed mask, to
predict what the dense UNet does, take their places: those of all Linears of mini, by
`python -m accel.zoo.train_sparse`, or of another UNet from weights=FILE. On a GPU, in fp16 or bf16,
the weights are compressed for cuSPARSELt, if both sides are multiples of 16. Elsewhere they stay
dense with the zeros in place: the same result, and nothing saved. A Linear whose input is no
multiple of four stays as it is.
Costs: untuned, the video, so that the method declares that it must fail: with all Linears of the
mini model, its LPIPS to the true clip is ten times M0's. Tuned, it is 18 % above M0's, and the
gate passes it. Tuned weights belong to M0's UNet: one that holds a student's is refused.
Measured: on an H200 it is slower than dense, too. A denoiser call of svd-xt takes 1.032 s with all
Linears compressed, a copy of each product included, which lies by columns, and M0's 0.653 s in the
same run, so that nothing is claimed for time. Nor for memory: the denoising stage has 703 MiB less
allocated, for 9/16 of an fp16 weight remain, and 3,324 MiB less are reserved.
Not tried: torch_compile after it on a GPU. The layer traces as one graph (torch 2.15, its kernel
replaced), but it holds a tensor subclass.
Source: Mishra et al. 2021 (arXiv:2104.08378); Hauryk 2026, M5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from torch import nn
from torch.nn import functional as F
from torch.sparse import SparseSemiStructuredTensor, SparseSemiStructuredTensorCUSPARSELT

from accel.core import Counters, Fidelity, Method, Weights
from accel.errors import InvalidRequestError, NoEffectError, unknown_name
from accel.methods.int8_weight_only import count_int8_linears
from accel.methods.surgery import replace_linears
from accel.models import two_of_four
from accel.models.tuned import put_in, refusal, weight_files

if TYPE_CHECKING:
    from accel.models.svd import Pipeline
    from accel.verdict import Status

__all__ = ["SemiStructured", "SparseLinear", "is_two_of_four"]

Layers = Literal["all", "feed_forward"]

HALVES = (torch.float16, torch.bfloat16)
MULTIPLE = 16
"""Of both sides of a weight in one of HALVES, for cuSPARSELt."""


def is_two_of_four(weight: torch.Tensor) -> bool:
    """Whether no four weights along the input have more than two that are not zero."""
    if isinstance(weight, SparseSemiStructuredTensor):
        return True
    if weight.shape[-1] % 4:
        return False
    return bool((weight.unflatten(-1, (-1, 4)).count_nonzero(dim=-1) <= 2).all())


def fits_cusparselt(rows: int, columns: int, dtype: torch.dtype) -> bool:
    """Whether cuSPARSELt's kernels take a weight of that shape and dtype."""
    return dtype in HALVES and rows % MULTIPLE == 0 and columns % MULTIPLE == 0


class SparseLinear(nn.Module):
    """A Linear whose 2:4 weight [out, in] is compressed; on a GPU, in fp16 or bf16.

    Input [..., in] and output [..., out]. The input is copied unless its rows lie one after the
    other: torch tells the kernel so whatever the strides are.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        packed = SparseSemiStructuredTensorCUSPARSELT.from_dense(linear.weight.detach())
        self.weight = nn.Parameter(packed, requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, self.in_features).contiguous()
        product = F.linear(rows, self.weight, self.bias)
        return product.reshape(*x.shape[:-1], self.out_features).contiguous()


@dataclass(frozen=True)
class SemiStructured(Method):
    """layers: "all" Linears of the UNet (the default), or those of its "feed_forward" blocks.

    tuned: with weights that were fine-tuned under the mask; for all layers only. weights: their
    file, if it is not the one that is shipped with mini.
    """

    layers: Layers = "all"
    tuned: bool = False
    weights: str = ""

    name: ClassVar[str] = "semi_structured"
    source: ClassVar[str] = "arXiv:2104.08378"
    fidelity: ClassVar[Fidelity] = "faithful"

    def __post_init__(self) -> None:
        if self.layers not in get_args(Layers):
            raise unknown_name("set of layers", str(self.layers), get_args(Layers))
        if type(self.tuned) is not bool:
            raise InvalidRequestError(
                f"semi_structured: tuned is {self.tuned!r}; give true or false"
            )
        if self.tuned and self.layers != "all":
            raise InvalidRequestError(
                f"semi_structured: weights are tuned with all layers 2:4, not with {self.layers} "
                "alone; leave one of the two out"
            )
        if self.weights and not self.tuned:
            raise InvalidRequestError(
                f"semi_structured: weights is {self.weights!r}, which tuned=true alone reads"
            )

    def weight_files(self, weights: Weights) -> dict[str, Path]:
        return weight_files(self.weights, weights) if self.tuned else {}

    def refuses(self, pipeline: Pipeline) -> str | None:
        if count := count_int8_linears(pipeline.denoiser):
            return (
                f"{count} weights are int8, and the 2:4 kernels take fp16 weights; choose one of "
                "the two"
            )
        if self.tuned and (reason := refusal(pipeline, self.weights)):
            return reason
        half = pipeline.device.type == "cuda" and pipeline.denoiser.dtype in HALVES
        if half and not torch.backends.cusparselt.is_available():
            return "this build of torch has no cuSPARSELt, which the 2:4 kernels are from"
        return None

    def must_fail(self) -> tuple[Status, ...]:
        """Weights that were not tuned under the mask: a gate that passes their video is blind."""
        return () if self.tuned else ("collapsed", "regressed")

    def expected(self, pipeline: Pipeline) -> Counters:
        roots = self._roots(pipeline.denoiser)
        linears = [m for root in roots for m in root.modules() if type(m) is nn.Linear]
        sparse = sum(m.in_features % 4 == 0 for m in linears)
        found = {
            "sparse_linears": sparse,
            "compressed_linears": sum(map(_is_compressible, linears)),
        }
        if self.tuned:
            found["tuned_linears"] = 0 if pipeline.weights == "untrained" else sparse
        return found

    def apply(self, pipeline: Pipeline) -> None:
        denoiser = pipeline.denoiser
        if "sparse_linears" in pipeline.tallies:
            raise NoEffectError(f"{type(denoiser).__name__} is 2:4 already; was it applied twice?")
        if self.tuned:
            count = put_in(pipeline, self.weights)
            pipeline.tallies["tuned_linears"] = lambda: count
        for root in self._roots(denoiser):
            replace_linears(root, _pruned)
        pipeline.tallies["sparse_linears"] = lambda: sum(map(is_two_of_four, _weights(denoiser)))
        pipeline.tallies["compressed_linears"] = lambda: sum(
            isinstance(weight, SparseSemiStructuredTensor) for weight in _weights(denoiser)
        )

    def _roots(self, denoiser: nn.Module) -> list[nn.Module]:
        """The modules below which every Linear is chosen."""
        if self.layers == "all":
            return [denoiser]
        from diffusers.models.attention import FeedForward

        return [module for module in denoiser.modules() if isinstance(module, FeedForward)]


def _is_compressible(linear: nn.Linear) -> bool:
    weight = linear.weight
    fits = fits_cusparselt(linear.out_features, linear.in_features, weight.dtype)
    return weight.is_cuda and fits


def _pruned(linear: nn.Linear) -> nn.Module:
    """The Linear with a 2:4 weight: compressed, or itself with the zeros in place.

    A weight that is 2:4 already, as a tuned one, keeps its values.
    """
    if linear.in_features % 4:
        return linear
    with torch.no_grad():
        linear.weight.masked_fill_(~two_of_four.mask(linear.weight), 0)
    return SparseLinear(linear) if _is_compressible(linear) else linear


def _weights(root: nn.Module) -> Iterator[torch.Tensor]:
    """The weights of all Linears below `root`, dense and compressed."""
    return (m.weight for m in root.modules() if isinstance(m, nn.Linear | SparseLinear))

"""Muon: momentum whose matrices are made nearly orthogonal before they are a step.

torch.optim.Muon takes no convolutions, and orthogonalises matrix by matrix: of a network of many
small ones, the launches would take as long as the network. Here those of one shape go together.
Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon), with the scale of Liu et al. 2025
(arXiv:2502.16982), by which AdamW's learning rate and weight decay serve here, too.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "matrices", "optimisers", "orthogonal"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the iteration: they lift small singular values most
ITERATIONS = 5
MOMENTUM = 0.95
RMS = 0.2  # of a step at a learning rate of 1: about AdamW's


def orthogonal(batch: Tensor) -> Tensor:
    """U V^T of matrices [n, rows, columns] = U S V^T: singular values of about 0.7 to 1.2.

    Those much smaller than the largest are below that; a matrix of zeros stays one.
    """
    a, b, c = COEFFICIENTS
    tall = batch.shape[1] > batch.shape[2]
    x = batch.mT if tall else batch
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    x = x.bfloat16() if x.is_cuda else x
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    found: Tensor = x.mT if tall else x
    return found.to(batch.dtype)


def matrices(model: nn.Module, ends: tuple[str, ...]) -> list[Tensor]:
    """The weights of the Linears and convolutions but of those whose names begin with `ends`."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.ndim >= 2 and not name.startswith(ends)
    ]


def optimisers(
    parameters: Sequence[Tensor], by_muon: Sequence[Tensor], rate: float
) -> list[torch.optim.Optimizer]:
    """AdamW for the parameters, but Muon for those that are named for it, if any are."""
    own = {id(parameter) for parameter in by_muon}
    adam = torch.optim.AdamW(
        [p for p in parameters if id(p) not in own],
        lr=rate,
        betas=(0.9, 0.99),
        weight_decay=0.01,
        fused=parameters[0].is_cuda,
    )
    return [adam, Muon(by_muon, rate, weight_decay=0.01)] if by_muon else [adam]


class Muon(torch.optim.Optimizer):
    """Of parameters of two or more dimensions, each a matrix [first, all others].

    A group's lr may be a tensor, as CUDA graphs want it.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step, by the gradients that there are, which are overwritten. closure: not called."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault(parameter.shape, []).append(parameter)
            for batch in alike.values():
                self._step(batch, group["lr"], group["weight_decay"])

    def _step(self, batch: list[Tensor], rate: float | Tensor, decay: float) -> None:
        gradients = [p.grad for p in batch if p.grad is not None]
        momenta = [self._momentum(p) for p in batch]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        torch._foreach_lerp_(gradients, momenta, MOMENTUM)
        moves = orthogonal(torch.stack([g.flatten(1) for g in gradients]))
        moves *= rate * RMS * math.sqrt(max(moves.shape[1:]))
        torch._foreach_mul_(batch, 1 - rate * decay)
        torch._foreach_sub_(batch, [move.view_as(p) for move, p in zip(moves, batch, strict=True)])

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        own: Tensor = state["momentum"]
        return own

"""2:4 pruning by what a layer's inputs make of it, without training: SparseGPT.

Of every four weights it drops the two that the layer's output misses least, and moves the weights
to their right so that they make up for it. Where training follows, it begins nearer to the dense
network, and its mask is a better one: see CONTRIBUTING.md.
Source: Frantar and Alistarh 2023 (arXiv:2301.00774), for 2:4 and with one layer at a time.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from accel.models import two_of_four

__all__ = ["grams", "prune", "pruned"]

DAMPING = 0.01  # on the Gram matrix's diagonal, in its means: inputs may span less than all


def pruned(weight: Tensor, gram: Tensor) -> Tensor:
    """A 2:4 weight in place of weight [out, in]. gram: sum of x x^T over inputs x, [in, in].

    Raises RuntimeError if in is no multiple of four.
    """
    gram = gram.double()
    damping = DAMPING * gram.diagonal().mean().clamp(min=1e-12)
    damped = gram + damping * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    # Row i: what the weights from i on are to change by when weight i does, those before it fixed.
    upper = torch.linalg.cholesky(torch.linalg.inv(damped), upper=True)
    left, masks = weight.detach().double(), []
    for first in range(0, len(gram), 4):
        group = slice(first, first + 4)
        masks.append(two_of_four.mask(left[:, group] / upper.diagonal()[group]))
        for column, kept in enumerate(masks[-1].unbind(1), first):
            lost = left[:, column].masked_fill(kept, 0) / upper[column, column]
            left = left - torch.outer(lost, upper[column])
    return (left * torch.cat(masks, 1)).to(weight.dtype)


def grams(network: nn.Module, run: Callable[[], object]) -> dict[str, Tensor]:
    """The sums of x x^T, [in, in] in fp32, over the inputs x of each Linear, by its name.

    run: calls the network. Linears that it does not reach are left out.
    """
    found: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            rows = given[0].detach().flatten(0, -2).float()
            found[name] = (
                torch.addmm(found[name], rows.mT, rows) if name in found else rows.mT @ rows
            )

        return hook

    layers = two_of_four.linears(network).items()
    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


@torch.no_grad()
def prune(network: nn.Module, inputs: Mapping[str, Tensor]) -> None:
    """Make the network's Linears 2:4, in place. inputs: as `grams` returns them.

    A Linear that no input has reached is pruned by magnitude.
    """
    for name, layer in two_of_four.linears(network).items():
        own = layer.weight
        own.copy_(pruned(own, inputs[name]) if name in inputs else own * two_of_four.mask(own))

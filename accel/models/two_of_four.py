"""2:4 sparse weights of a network's Linears: how they are trained, kept and put in.

Of every four weights along the input two are kept. A file holds their values and, in 4 bits for
every four, where they belong: 9/16 of the bytes of the dense fp16 weight. The biases of the same
Linears are trained and kept with them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from accel.errors import IntegrityError

__all__ = ["Masked", "linears", "make_trainable", "mask", "pack", "put_in", "tensors", "unpack"]


def mask(weight: Tensor) -> Tensor:
    """The mask of a weight [out, in]: True at the two largest of every four along the input.

    Of equal magnitudes the first stays. Raises RuntimeError if in is no multiple of four.
    """
    groups = weight.detach().abs().unflatten(-1, (-1, 4))
    kept = groups.argsort(dim=-1, descending=True, stable=True)[..., :2]
    return torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, kept, True).flatten(-2)


def linears(network: nn.Module) -> dict[str, nn.Linear]:
    """The Linears that can be 2:4, by name: those whose input is a multiple of four."""
    named = network.named_modules()
    return {n: m for n, m in named if isinstance(m, nn.Linear) and m.in_features % 4 == 0}


def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A 2:4 weight [out, in] as its kept values and their positions.

    Values: fp16 [out, in / 2]. Positions: uint8 [ceil(out * in / 8)]; a byte holds two groups of
    four, the earlier one in its low half, and of each the index of the first kept value in the low
    two bits, that of the second in the high ones. A last half byte without a group is 0.

    Raises IntegrityError if four weights have more than two that are not zero.
    """
    groups, kept = weight.detach().reshape(-1, 4), mask(weight).reshape(-1, 4)
    if groups[~kept].any():
        raise IntegrityError("the weight is not 2:4: multiply it by its mask first")
    where = kept.nonzero()[:, 1].unflatten(0, (-1, 2))
    codes = where[:, 0] | where[:, 1] << 2
    pairs = F.pad(codes, (0, len(codes) % 2)).unflatten(0, (-1, 2))
    positions = (pairs[:, 0] | pairs[:, 1] << 4).to(torch.uint8)
    return groups[kept].half().view(len(weight), -1), positions


def unpack(values: Tensor, positions: Tensor) -> Tensor:
    """The weight [out, in] in fp16 of values and positions as `pack` makes them.

    Raises IntegrityError for anything that `pack` cannot have made.
    """
    types = (values.dtype, positions.dtype) == (torch.float16, torch.uint8)
    if not types or values.ndim != 2 or values.shape[1] % 2:
        raise IntegrityError("2:4 values are fp16 [out, in / 2] and positions uint8; these are not")
    groups = values.numel() // 2
    if positions.shape != ((groups + 1) // 2,):
        raise IntegrityError(f"{groups} groups of four do not have {positions.numel()} positions")
    codes = torch.stack([positions & 15, positions >> 4], 1).flatten()
    where = torch.stack([codes & 3, codes >> 2], 1)[:groups].long()
    if (where[:, 0] >= where[:, 1]).any() or codes[groups:].any():
        raise IntegrityError("the positions of a group of four are not two rising indices")
    dense = values.new_zeros(groups, 4).scatter_(1, where, values.view(-1, 2))
    return dense.view(len(values), -1)


class Masked(nn.Module):
    """The parametrization W -> W * mask.

    No step of any optimiser and no average of several steps can leave the mask.
    """

    mask: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", kept)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


def make_trainable(network: nn.Module) -> None:
    """Prune the network's Linears by magnitude, in place, and freeze all but them.

    One that is 2:4 already keeps its weights. Weights are trained under the mask of now, biases
    without one.
    """
    network.requires_grad_(False)
    for layer in linears(network).values():
        layer.requires_grad_(True)
        parametrize.register_parametrization(layer, "weight", Masked(mask(layer.weight)))


def tensors(network: nn.Module) -> dict[str, Tensor]:
    """The 2:4 weights of a network, packed: NAME.values, NAME.positions and NAME.bias, on the CPU.

    Raises IntegrityError if a weight is not 2:4.
    """
    found = {}
    for name, layer in linears(network).items():
        found[f"{name}.values"], found[f"{name}.positions"] = pack(layer.weight)
        if layer.bias is not None:
            found[f"{name}.bias"] = layer.bias.detach().half()
    return {name: value.cpu() for name, value in found.items()}


@torch.no_grad()
def put_in(network: nn.Module, packed: Mapping[str, Tensor]) -> int:
    """Put packed 2:4 weights into a network, in place, and return how many differ from its own.

    Its own are those it had, pruned by magnitude. Raises IntegrityError for the weights of a
    network with other layers.
    """
    layers = linears(network)
    named = {f"{name}.{part}" for name, layer in layers.items() for part in _parts(layer)}
    if different := sorted(named ^ set(packed)):
        raise IntegrityError(f"2:4 weights of another network: it differs in {different[:3]}")
    moved = 0
    for name, layer in layers.items():
        weight = unpack(packed[f"{name}.values"], packed[f"{name}.positions"]).to(layer.weight)
        bias = packed.get(f"{name}.bias")
        if weight.shape != layer.weight.shape or not _is_like(bias, layer.bias):
            raise IntegrityError(f"2:4 weights of another network: {name} has another shape")
        moved += not torch.equal(weight, layer.weight * mask(layer.weight))
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return moved


def _is_like(bias: Tensor | None, own: Tensor | None) -> bool:
    return bias is own is None or (
        bias is not None
        and own is not None
        and (bias.shape, bias.dtype) == (own.shape, torch.float16)
    )


def _parts(layer: nn.Linear) -> tuple[str, ...]:
    return ("values", "positions") if layer.bias is None else ("values", "positions", "bias")

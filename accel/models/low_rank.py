"""Low-rank changes of a network's weights (LoRA): how they are trained, kept and put in.

A weight [out, ...], flattened to [out, in], becomes W + up @ down with up [out, r], down [r, in]:
of every Linear and convolution. Source: Hu et al. 2021 (arXiv:2106.09685).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from accel.errors import IntegrityError

__all__ = ["LowRank", "add", "make_trainable", "tensors"]

LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d)


class LowRank(nn.Module):
    """The parametrization W -> W + up @ down; it starts as no change."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        flat = weight.flatten(1)
        rank = min(rank, *flat.shape)
        self.up = nn.Parameter(weight.new_zeros(len(flat), rank))
        self.down = nn.Parameter(torch.randn_like(flat[:rank]) / flat.shape[1] ** 0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).view_as(weight)


def make_trainable(network: nn.Module, rank: int) -> None:
    """Freeze the network, and give every layer a low-rank change that is trained instead."""
    network.requires_grad_(False)
    for layer in list(network.modules()):
        if isinstance(layer, LAYERS):
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))


def tensors(network: nn.Module) -> dict[str, Tensor]:
    """The changes of a network that was made trainable: NAME.up and NAME.down by layer."""
    return {
        f"{name}.{part}": getattr(change, part).detach()
        for name, change in _changes(network)
        for part in ("up", "down")
    }


def _changes(network: nn.Module) -> Iterator[tuple[str, LowRank]]:
    for name, layer in network.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            (change,) = layer.parametrizations.weight
            yield name, change


@torch.no_grad()
def add(network: nn.Module, changes: Mapping[str, Tensor]) -> None:
    """Put changes into a network's weights, in place.

    Raises IntegrityError if they are those of a network with other layers.
    """
    layers = {name: m for name, m in network.named_modules() if isinstance(m, LAYERS)}
    if {f"{name}.{part}" for name in layers for part in ("up", "down")} != set(changes):
        named = sorted({name.rpartition(".")[0] for name in changes} ^ set(layers))
        raise IntegrityError(f"low-rank changes of another network: it differs in {named[:3]}")
    for name, layer in layers.items():
        up, down = (changes[f"{name}.{part}"].to(layer.weight) for part in ("up", "down"))
        if (len(up), down.shape[1]) != layer.weight.flatten(1).shape:
            raise IntegrityError(f"low-rank changes of another network: {name} has another shape")
        layer.weight += (up.float() @ down.float()).to(layer.weight).view_as(layer.weight)

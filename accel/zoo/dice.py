"""Seeded random numbers: drawn on the CPU, so that a seed means one world on every device."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dice:
    """A CPU generator whose draws are handed to `device` in fp32 (or int64)."""

    generator: torch.Generator
    device: torch.device

    @classmethod
    def seeded(cls, seed: int, device: str | torch.device = "cpu") -> "Dice":
        return cls(torch.Generator().manual_seed(seed), torch.device(device))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform fp32 in [low, high)."""
        draw = torch.rand(shape, generator=self.generator) * (high - low) + low
        return draw.to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal fp32."""
        return torch.randn(shape, generator=self.generator).to(self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers in [0, high)."""
        return torch.randint(high, shape, generator=self.generator).to(self.device)

    def choices(self, weights: Sequence[float], count: int) -> list[int]:
        """`count` indices, drawn with replacement in proportion to `weights`."""
        table = torch.tensor(weights, dtype=torch.float64)
        return torch.multinomial(table, count, True, generator=self.generator).tolist()

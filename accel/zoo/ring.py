"""A buffer on the device that training batches are drawn from."""

import torch
from torch import Tensor

__all__ = ["Ring"]


class Ring:
    """Named tensors of equal first size on a device: the newest `capacity` rows are kept."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: dict[str, Tensor] = {}
        self.count = 0

    def add(self, **rows: Tensor) -> None:
        """Append rows, over the oldest ones once full."""
        if not self.rows:
            self.rows = {
                name: value.new_empty((self.capacity, *value.shape[1:]))
                for name, value in rows.items()
            }
        size = len(next(iter(rows.values())))
        device = next(iter(self.rows.values())).device
        where = (torch.arange(size, device=device) + self.count) % self.capacity
        for name, value in rows.items():
            self.rows[name][where] = value
        self.count += size

    def draw(self, n: int) -> dict[str, Tensor]:
        """n random rows, with replacement."""
        tensor = next(iter(self.rows.values()))
        pick = torch.randint(min(self.count, self.capacity), (n,), device=tensor.device)
        return {name: value[pick] for name, value in self.rows.items()}

"""The buffer that batches are drawn from."""

import torch

from accel.zoo.ring import Ring


def test_ring_keeps_the_newest_rows() -> None:
    ring = Ring(3)
    ring.add(x=torch.tensor([1, 2]))
    ring.add(x=torch.tensor([3, 4]))
    assert sorted(ring.rows["x"].tolist()) == [2, 3, 4]

"""RIFE with its real weights: known motions, exact ends, and what it refuses."""

import numpy as np
import pytest
import torch

from accel.errors import InvalidRequestError
from accel.models.images import image_array
from accel.models.rife import Rife, load_rife

MARGIN = 48  # px: what a shift rolls in is no motion


@pytest.fixture(scope="module")
def net() -> Rife:
    return load_rife()


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    image = image_array("astronaut", 256, 192)
    return torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None]


def shifted(picture: torch.Tensor, x: int, y: int) -> torch.Tensor:
    return torch.roll(picture, (y, x), (2, 3))


def db(found: torch.Tensor, true: torch.Tensor) -> float:
    inner = (found - true)[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return float(-10 * torch.log10(inner.square().mean()))


@pytest.mark.parametrize(("x", "y"), [(8, 4), (-16, 8), (0, -12), (24, 0)])
@pytest.mark.parametrize("time", [0.25, 0.5, 0.75])
def test_a_shift_is_found_at_any_time(net, picture, x, y, time):
    first, second = picture, shifted(picture, x, y)
    true = shifted(picture, round(x * time), round(y * time))
    found = db(net(first, second, time), true)
    assert found > 30
    assert found > db(torch.lerp(first, second, time), true) + 6


def test_a_still_stays_a_still(net, picture):
    assert db(net(picture, picture, 0.5), picture) > 50


def test_going_back_is_the_same_as_going_forth(net, picture):
    other = shifted(picture, 8, 4)
    assert db(net(picture, other, 0.25), net(other, picture, 0.75)) > 35


def test_any_size_will_do(net, picture):
    cut = picture[..., :101, :130]
    assert net(cut, cut, 0.5).shape == cut.shape


@pytest.mark.parametrize("x", [3, 64])
def test_a_batch_gives_what_each_pair_gives(net, picture, x):
    """With 64 px the second pair is estimated again at twice the scale, the first is not."""
    pairs = [(picture, shifted(picture, 8, 4)), (shifted(picture, x, 0), picture)]
    first, second = (torch.cat(side) for side in zip(*pairs, strict=True))
    batch = net(first, second, 0.5)
    for one, (a, b) in zip(batch, pairs, strict=True):
        assert torch.allclose(one[None], net(a, b, 0.5), atol=1e-4)
    again = not torch.equal(batch[1:], net(first, second, 0.5, adaptive=False)[1:])
    assert again == (x == 64)


def test_bfloat16_convolutions_change_little(net, picture):
    """On a GPU they run in float16; the flow stays in float32 either way."""
    other = shifted(picture, 8, 4)
    low = load_rife(dtype=torch.bfloat16)(picture, other, 0.5)
    assert low.dtype == torch.float32
    assert db(low, net(picture, other, 0.5)) > 35


@pytest.mark.parametrize("time", [-0.1, 1.5, float("nan")])
def test_a_time_outside_is_refused(net, picture, time):
    with pytest.raises(InvalidRequestError, match="time from 0 to 1"):
        net(picture, picture, time)


def test_two_sizes_are_refused(net, picture):
    with pytest.raises(InvalidRequestError, match="one size"):
        net(picture, picture[..., :64], 0.5)

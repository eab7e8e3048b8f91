"""LPIPS against plain torch functions, from the stored weights."""

from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from accel.errors import MissingWeightsError
from accel.metrics import Array, lpips_net

MEAN, DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def _features(frame: Array, weights: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The five activations of AlexNet, each pixel's vector scaled to unit length."""
    pixels = torch.from_numpy(frame.astype(np.float64)).permute(2, 0, 1)[None] * 2 - 1
    x = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    layers = []
    for index, (position, stride, padding) in enumerate(
        ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
    ):
        if index in (1, 2):
            x = F.max_pool2d(x, kernel_size=3, stride=2)
        kernel = weights[f"features.{position}.weight"].double()
        bias = weights[f"features.{position}.bias"].double()
        x = F.relu(F.conv2d(x, kernel, bias, stride=stride, padding=padding))
        layers.append(x / x.square().sum(1, keepdim=True).sqrt().clamp(min=1e-10))
    return layers


def _by_hand(first: Array, second: Array, alexnet: Path) -> float:
    weights = load_file(alexnet)
    heads = torch.load(
        Path(lpips.__file__).parent / "weights/v0.1/alex.pth", map_location="cpu", weights_only=True
    )
    total = 0.0
    layers = zip(_features(first, weights), _features(second, weights), strict=True)
    for index, (a, b) in enumerate(layers):
        head = heads[f"lin{index}.model.1.weight"].double()
        total += float((head * (a - b).square()).sum(1).mean())
    return total


@pytest.mark.parametrize("other", ["near", "later"])
def test_distances_are_those_of_plain_functions(
    video: Array, near: Array, alexnet: Path, other: str
) -> None:
    second = near[0] if other == "near" else video[9]
    expected = _by_hand(video[0], second, alexnet)
    assert lpips_net.distances(video[:1], second[None])[0] == pytest.approx(expected, rel=1e-4)
    assert expected > 0.01


def test_the_parameters_are_the_pinned_ones(alexnet: Path) -> None:
    assert lpips_net.fingerprint()["weights"] == (
        "d171ec0a5b3a0f1dc47dec2c96c20cbc4bf071041f24d92be119e729d94865c2"
    )


def test_batches_do_not_change_the_distances(
    video: Array, near: Array, alexnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lpips_net.distances(video, near)
    monkeypatch.setattr(lpips_net, "_BATCH_PIXELS", 3 * 128 * 128)
    assert lpips_net.distances(video, near) == pytest.approx(whole, rel=1e-4)


def test_building_leaves_the_random_state_alone(alexnet: Path) -> None:
    before = torch.random.get_rng_state()
    lpips_net.network.__wrapped__()
    assert torch.equal(before, torch.random.get_rng_state())


def test_without_the_weights_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="run `accel fetch`"):
        lpips_net.network.__wrapped__()

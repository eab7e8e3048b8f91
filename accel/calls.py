"""One call of each kind that a generation makes, kept so that it can be timed by itself.

A generation of svd-xt takes 18 s, of which 25 denoiser calls are alike: a pair of single calls
tells as much about the method as a pair of generations, in a tenth of the time (accel.turns).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["Calls", "kind_of"]


class Calls:
    """Keeps the first call of each kind, its tensors on the CPU, and times them on demand.

    synchronize: waits for the device. device: where the tensors were, and go again for a call.
    """

    def __init__(self, device: torch.device, synchronize: Callable[[], None]) -> None:
        self.device, self._synchronize = device, synchronize
        self._kept: dict[str, tuple[Callable[..., Any], Any]] = {}

    def keep(self, kind: str, inner: Callable[..., Any], *arguments: Any) -> None:
        """arguments: the call's positional ones as a tuple, and its named ones as a dict."""
        if kind not in self._kept:
            self._kept[kind] = inner, _moved(arguments, torch.device("cpu"))

    def seconds(self, stage: str | None = None) -> dict[str, float]:
        """Synchronised seconds of one call of each kind, in the order they were kept.

        stage: leaves out the kinds of the others.
        """
        return {
            kind: self._seconds(*kept)
            for kind, kept in self._kept.items()
            if stage in (None, kind.partition(" ")[0])
        }

    @torch.no_grad()
    def _seconds(self, inner: Callable[..., Any], arguments: Any) -> float:
        positional, named = _moved(arguments, self.device)
        self._synchronize()
        start = time.perf_counter()
        inner(*positional, **named)
        self._synchronize()
        return time.perf_counter() - start


def kind_of(stage: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """The stage and the shape of the first tensor: `denoise 2x25x8x72x128`.

    Calls of one shape cost the same, whatever the values are.
    """
    tensors = (x for x in (*positional, *named.values()) if isinstance(x, torch.Tensor))
    shapes = ("x".join(map(str, x.shape)) for x in tensors)
    return f"{stage} {next(shapes, '')}".strip()


def _moved(value: Any, device: torch.device) -> Any:
    """A copy of nested tuples, lists and dicts whose tensors lie on the device."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, tuple | list):
        return type(value)(_moved(part, device) for part in value)
    if isinstance(value, dict):
        return {name: _moved(part, device) for name, part in value.items()}
    return value

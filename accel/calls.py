"""One call of each kind that a generation makes, kept so that it can be timed by itself.

A generation of svd-xt takes 18 s, of which 25 denoiser calls are alike: a pair of single calls
tells as much about the method as a pair of generations, in a tenth of the time (accel.turns).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

__all__ = ["Calls", "kind_of"]


SHORT = 0.1
"""Seconds: a shorter call is repeated as often as goes into them, MOST times at most.

By the fastest that was seen: one that the machine holds up must not end the repeats. Encoding an
image begins on the CPU, in threads that other work holds up. Of four steps at 512x512 on an H200,
beside trainings, a side of every fifth block was over 5 % slower than it mostly is, both of its
turns alike: by what only the first of them times.
"""
MOST = 5


class Calls:
    """Keeps the first call of each kind, its tensors on the CPU, and times them on demand.

    synchronize: waits for the device. device: where the tensors were, and go again for a call.
    """

    def __init__(self, device: torch.device, synchronize: Callable[[], None]) -> None:
        self.device, self._synchronize = device, synchronize
        self._kept: dict[str, tuple[Callable[..., Any], Any]] = {}
        self._fastest: dict[str, float] = {}

    def keep(self, kind: str, inner: Callable[..., Any], *arguments: Any) -> None:
        """arguments: the call's positional ones as a tuple, and its named ones as a dict."""
        if kind not in self._kept:
            self._kept[kind] = inner, _moved(arguments, torch.device("cpu"))

    def seconds(self, stage: str | None = None) -> dict[str, float]:
        """Synchronised seconds of a call of each kind, in the order they were kept: the median
        of several short ones.

        stage: leaves out the kinds of the others.
        """
        return {
            kind: self._typical(kind, *kept)
            for kind, kept in self._kept.items()
            if stage in (None, kind.partition(" ")[0])
        }

    def _typical(self, kind: str, inner: Callable[..., Any], arguments: Any) -> float:
        taken: list[float] = []
        while not taken or (len(taken) < MOST and len(taken) * self._fastest[kind] < SHORT):
            taken.append(self._seconds(inner, arguments))
            self._fastest[kind] = min(taken[-1], self._fastest.get(kind, taken[-1]))
        return median(taken)

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

"""Defects of time, of memory, and of being on at all: the video may be the right one."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from accel.core import Counters, Fidelity, Request
from accel.errors import NoEffectError
from accel.memory import MIB, RssMeter
from accel.methods.int8_weight_only import Int8WeightOnly
from accel.methods.surgery import wrap
from accel.prove.defect import Catch, Defect, Raises

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = [
    "Copied", "Doubled", "Dragging", "Hoarding", "Idle", "Leaking", "Off", "Slower", "Twice",
    "dawdle",
]  # fmt: skip

LEAK = 16 * MIB
"""Bytes that stay in use after each generation."""

SLEEP, DRAG = 0.05, 0.15
"""Of a generation's own time."""


class Off(Defect):
    """The edit is not made: int8 weights that stay as they are."""

    name = "off"
    host = Int8WeightOnly()
    caught_by = (Raises(NoEffectError, "int8_linears is 0, expected"),)

    def apply(self, pipeline: Pipeline) -> None:
        """Nothing."""

    def plant(self, pipeline: Pipeline) -> None:
        """Nothing."""


class Idle(Defect):
    """An edit that changes neither a counter nor a pixel, and expects nothing."""

    name = "idle"
    caught_by = (
        Raises(NoEffectError, "changes no counter, so nothing shows that it is on", "trained"),
    )

    def expected(self, pipeline: Pipeline) -> Counters:
        return {}

    def apply(self, pipeline: Pipeline) -> None:
        """Nothing."""

    def plant(self, pipeline: Pipeline) -> None:
        """Nothing."""


class Twice(Defect):
    """The edit is made twice."""

    name = "twice"
    host = Int8WeightOnly()
    caught_by = (Raises(NoEffectError, "applied twice"),)

    def plant(self, pipeline: Pipeline) -> None:
        self.host.apply(pipeline)


class Copied(Defect):
    """The reference's frames are handed out, while the counters say that int8 was at work.

    They are made by a second pipeline, which stays on the device beside the first.
    """

    name = "copied"
    host = Int8WeightOnly()
    caught_by = (
        Raises(NoEffectError, "gives the reference's video and calls itself faithful", "trained"),
    )

    def apply(self, pipeline: Pipeline) -> None:
        plain = deepcopy(pipeline)
        self.host.apply(pipeline)
        inner = pipeline.generate

        def copied(request: Request) -> torch.Tensor:
            inner(request)
            plain.take(request.image, request.seed)
            return plain.generate(request)

        pipeline.generate = copied

    def plant(self, pipeline: Pipeline) -> None:
        """All is done in `apply`: the copy is older than the host's edit."""


class Doubled(Defect):
    """The decoding takes as much again as all that the process has."""

    name = "doubled"
    fidelity = "exact"
    caught_by = (
        Catch("memory", "memory.decode.allocated_mib", "in the baseline", "gpu"),
        Catch("memory", "memory.decode.reserved_mib", "in the baseline", "gpu"),
        Catch("memory", "memory.decode.rss_mib", "in the baseline", "cpu"),
    )

    def plant(self, pipeline: Pipeline) -> None:
        size = 0

        def doubled(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal size
                size = size or _taken(pipeline.device)  # once: it would double itself each time
                spare = torch.ones(size, dtype=torch.uint8, device=pipeline.device)
                output = inner(*args, **kwargs)
                del spare
                return output

            return call

        wrap(pipeline.diffusers, "decode_latents", doubled)


class Hoarding(Defect):
    """The weights that int8 replaced are kept: nothing is saved."""

    name = "hoarding"
    host = Int8WeightOnly()
    caught_by = (Catch("memory", "memory.denoise.allocated_mib", "claimed: at most", "timed"),)

    def apply(self, pipeline: Pipeline) -> None:
        kept = [*pipeline.denoiser.parameters()]
        self.host.apply(pipeline)
        inner = pipeline.generate

        def hoarding(request: Request) -> torch.Tensor:
            video = inner(request)
            assert kept
            return video

        pipeline.generate = hoarding

    def plant(self, pipeline: Pipeline) -> None:
        """All is done in `apply`: afterwards the weights are gone."""


class Leaking(Defect):
    """16 MiB more are kept after each generation."""

    name = "leaking"
    fidelity = "exact"
    caught_by = (Catch("memory", "memory.growth_mib", "grows by", "anything"),)

    def plant(self, pipeline: Pipeline) -> None:
        kept: list[torch.Tensor] = []
        inner = pipeline.generate

        def leaking(request: Request) -> torch.Tensor:
            kept.append(torch.ones(LEAK, dtype=torch.uint8, device=pipeline.device))
            return inner(request)

        pipeline.generate = leaking


class Slower(Defect):
    """A generation takes 5 % longer."""

    name = "slower"
    fidelity: ClassVar[Fidelity] = "exact"
    share: ClassVar[float] = SLEEP
    caught_by = (Catch("speed", "speedup", "in the baseline", "timed"),)

    def plant(self, pipeline: Pipeline) -> None:
        inner = pipeline.generate

        def slower(request: Request) -> torch.Tensor:
            start = time.perf_counter()
            video = inner(request)
            dawdle(start, self.share, pipeline.device)
            return video

        pipeline.generate = slower


class Dragging(Slower):
    """A generation takes 15 % longer, of int8, which claims 1/1.05 of M0's speed."""

    name = "dragging"
    fidelity = "faithful"
    host = Int8WeightOnly()
    share = DRAG
    caught_by = (Catch("speed", "speedup", "claimed: at most", "timed"),)


def dawdle(start: float, share: float, device: torch.device) -> None:
    """Wait for the work that began at `start` (perf_counter), and sleep for a share of its time."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    time.sleep(share * (time.perf_counter() - start))


def _taken(device: torch.device) -> int:
    """Bytes: of torch's allocator on a GPU, else the resident set's peak since the stage began."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved()
    return int(RssMeter().read().get("rss_mib", 0) * MIB)

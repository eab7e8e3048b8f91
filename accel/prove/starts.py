"""Defects of a cold start: of what compiles, and so a proof of their own (`--cold`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from accel.core import Fidelity, Method
from accel.methods.surgery import wrap
from accel.methods.torch_compile import TorchCompile
from accel.prove.costs import dawdle
from accel.prove.defect import Catch, Defect

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Forgetful", "Recompiling", "Sluggish"]


class Starting(Defect):
    """A defect of compilation, which leaves the video as it is."""

    fidelity: ClassVar[Fidelity] = "exact"
    host: ClassVar[Method] = TorchCompile()
    edits_code: ClassVar[bool] = True


class Recompiling(Starting):
    """Another size throws all graphs away, so that one which was seen before compiles again."""

    name = "recompiling"
    caught_by = (Catch("speed", "cold.graphs", "graphs, expected", "anything"),)

    def plant(self, pipeline: Pipeline) -> None:
        last: torch.Size | None = None

        def recompiling(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
                nonlocal last
                if last not in (None, sample.shape):
                    torch.compiler.reset()
                last = sample.shape
                return inner(sample, *args, **kwargs)

            return call

        wrap(pipeline.denoiser, "forward", recompiling)


class Forgetful(Starting):
    """No graph is kept on disk: each process compiles what others have compiled before."""

    name = "forgetful"
    caught_by = (Catch("speed", "cold.misses", "compiled * graphs anew", "anything"),)

    def plant(self, pipeline: Pipeline) -> None:
        torch.compiler.config.force_disable_caches = True


class Sluggish(Starting):
    """The first denoiser call, which compiles, takes as long again."""

    name = "sluggish"
    caught_by = (Catch("speed", "cold.start", "in the baseline", "gpu"),)

    def plant(self, pipeline: Pipeline) -> None:
        called = False

        def sluggish(inner: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal called
                start, first, called = time.perf_counter(), not called, True
                output = inner(*args, **kwargs)
                if first:
                    dawdle(start, 1.0, pipeline.device)
                return output

            return call

        wrap(pipeline.denoiser, "forward", sluggish)

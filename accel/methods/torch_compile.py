"""M2, torch.compile: TF32 and one compiled graph of the UNet, replayed as a CUDA graph.

What: kernels are fused, and `mode="reduce-overhead"` replays each denoiser call as one CUDA graph.
`decoder=True` compiles the VAE decoder too.
How: `forward` is compiled in place with fullgraph and static shapes, so that a graph break or an
unforeseen shape is an error and no silent loss. TF32 touches float32 products only: in an fp16
pipeline that is the VAE encoder alone (seed M2 has it, so it stays).
Costs: a minute or more of compilation at the first call (see the break-even in the table), and the
memory pool of the CUDA graph.
Source: PyTorch 2 (Ansel et al., ASPLOS 2024); Hauryk 2026, M2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from accel.core import Claim, Counters, Fidelity, Method, Request
from accel.errors import InvalidRequestError, NoEffectError, unknown_name
from accel.methods.surgery import wrap

if TYPE_CHECKING:
    from torch import nn

    from accel.models.svd import Pipeline

__all__ = ["TorchCompile"]

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


@dataclass(frozen=True)
class TorchCompile(Method):
    """mode: of torch.compile, for the inductor backend alone. decoder: the VAE decoder too."""

    mode: str = "reduce-overhead"
    decoder: bool = False
    backend: str = "inductor"

    name: ClassVar[str] = "torch_compile"
    source: ClassVar[str] = "torch.compile"
    fidelity: ClassVar[Fidelity] = "exact"
    edits_code: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown_name("mode of torch.compile", str(self.mode), MODES)
        if not isinstance(self.backend, str):
            raise InvalidRequestError(f"torch_compile: backend is {self.backend!r}; give a name")

    def claims(self, request: Request) -> tuple[Claim, ...]:
        return (Claim("speedup", at_least=1.25), Claim("lpips", at_most=0.02))

    def expected(self, pipeline: Pipeline) -> Counters:
        request = pipeline.request
        chunk = request.decode_chunk_size
        chunks = {min(chunk, request.frames - start) for start in range(0, request.frames, chunk)}
        decoders = len(chunks) if self.decoder else 0
        return {"compiled_graphs": pipeline.denoiser_shapes + decoders}

    def apply(self, pipeline: Pipeline) -> None:
        torch.set_float32_matmul_precision("high")
        self._compile(pipeline.denoiser)
        if self.decoder:
            self._compile(pipeline.diffusers.vae.decoder)

    def _compile(self, module: nn.Module) -> None:
        if "forward" in vars(module):
            raise NoEffectError(f"{type(module).__name__} is compiled already; applied twice?")
        mode = self.mode if self.backend == "inductor" else None
        wrap(module, "forward", lambda forward: _stepped(self._compiled(forward, mode)))

    def _compiled(self, forward: Callable[..., Any], mode: str | None) -> Callable[..., Any]:
        return torch.compile(
            forward, backend=self.backend, mode=mode, fullgraph=True, dynamic=False
        )


def _stepped(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Each call begins a step and hands out copies: a CUDA graph reuses the memory of its outputs.

    Copies are small here (latents, or one chunk of frames) and let a caller keep what it got.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        output = compiled(*args, **kwargs)
        if isinstance(output, tuple):
            return tuple(part.clone() for part in output)
        return output.clone()

    return call

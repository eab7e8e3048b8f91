"""What a training step does with its gradients: clip them, step the optimisers, move the average.

That is some thousand small launches. For the mini UNet an H200's host took 23 ms for them, where
the GPU takes 31 ms for forward and backward of 32 clips; so a GPU replays them as one CUDA graph.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Update"]

WARM_UP = 3  # updates before the capture, in which the optimisers make their state
MAX_NORM = 1.0  # of all gradients together


class Update:
    """Updates parameters by their gradients, and their moving average by them.

    The parameters that have gradients are those that are updated. As long as they are the same
    ones, the GPU replays one graph.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        average: Sequence[Tensor],
        optimisers: Sequence[torch.optim.Optimizer],
    ) -> None:
        self.parameters, self.average = list(parameters), list(average)
        self.optimisers = optimisers
        device = parameters[0].device
        self.rate, self.share = torch.zeros((), device=device), torch.zeros((), device=device)
        self.gradients: list[Tensor] = []  # what the graph reads
        self.known: list[int] = []  # the parameters that have them
        self.done = 0  # updates of these
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, rate: float, share: float) -> None:
        """Update at a learning rate, and drop the gradients; share: of the new in the average."""
        self.rate.fill_(rate)
        self.share.fill_(share)
        if self.rate.is_cuda:
            self._replay()
        else:
            self._apply()
        for parameter in self.parameters:
            parameter.grad = None  # before a CUDA graph's next replay

    def _replay(self) -> None:
        """Update by the graph, which is captured once the optimisers have their state."""
        own = [(p, p.grad) for p in self.parameters if p.grad is not None]
        if (known := [id(p) for p, _ in own]) != self.known:
            self.known, self.done, self.graph = known, 0, None
            self.gradients = [torch.empty_like(gradient) for _, gradient in own]
        torch._foreach_copy_(self.gradients, [gradient for _, gradient in own])
        for (parameter, _), gradient in zip(own, self.gradients, strict=True):
            parameter.grad = gradient
        if self.done == WARM_UP:
            self.graph = self._captured()
        if self.graph is None:
            self._apply()
        else:
            self.graph.replay()
        self.done += 1

    def _captured(self) -> torch.cuda.CUDAGraph:
        """The graph of one update, which capturing it does not run."""
        for group in self._groups:
            group["capturable"] = True  # without a warning in the updates before
        graph = torch.cuda.CUDAGraph()
        # A global capture would forbid NCCL's watchdog, a thread, to ask how its work goes.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._apply()
        return graph

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimiser in self.optimisers for group in optimiser.param_groups]

    @torch.no_grad()
    def _apply(self) -> None:
        nn.utils.clip_grad_norm_(self.parameters, MAX_NORM)
        for group in self._groups:
            group["lr"] = self.rate
        for optimiser in self.optimisers:
            optimiser.step()
        torch._foreach_mul_(self.average, 1 - self.share)
        torch._foreach_add_(self.average, torch._foreach_mul(self.parameters, self.share))

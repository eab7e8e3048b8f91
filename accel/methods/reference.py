"""M0, the reference: the pipeline as it is.

What: no edit at all. Every other method is measured against it in the same run.
Costs: nothing. Source: Stable Video Diffusion as diffusers runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from accel.core import Fidelity, Method

if TYPE_CHECKING:
    from accel.models.svd import Pipeline

__all__ = ["Reference"]


@dataclass(frozen=True)
class Reference(Method):
    """No edit."""

    name: ClassVar[str] = "reference"
    source: ClassVar[str] = "arXiv:2311.15127; diffusers StableVideoDiffusionPipeline"
    fidelity: ClassVar[Fidelity] = "exact"

    def apply(self, pipeline: Pipeline) -> None:
        """Nothing to edit."""

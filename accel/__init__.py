"""accel: accelerations of diffusion models, and the gates that keep them honest."""

from importlib import import_module
from typing import Any

_HOME = {
    "Bench": "accel.runner",
    "Case": "accel.core",
    "Chain": "accel.chain",
    "Claim": "accel.core",
    "METHODS": "accel.methods",
    "MODELS": "accel.models",
    "Method": "accel.core",
    "Record": "accel.core",
    "Request": "accel.core",
    "Verdict": "accel.verdict",
    "judge": "accel.gate",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'accel' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__

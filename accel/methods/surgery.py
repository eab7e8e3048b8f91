"""The edits that methods are made of: modules replaced, calls wrapped."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from torch import nn

from accel.errors import NoEffectError

__all__ = ["Wrapper", "replace_linears", "wrap"]

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


def wrap(owner: Any, attribute: str, wrapper: Wrapper) -> None:
    """Replace a callable attribute of one object by `wrapper(it)`; its signature stays visible."""
    inner = getattr(owner, attribute)
    setattr(owner, attribute, wraps(inner)(wrapper(inner)))


def replace_linears(root: nn.Module, make: Callable[[nn.Linear], nn.Module]) -> int:
    """Replace every nn.Linear below `root` (subclasses excluded) and return how many there were.

    Raises NoEffectError if there was none, as when the same edit was made before.
    """
    places = [
        (parent, name, child)
        for parent in root.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear
    ]
    if not places:
        raise NoEffectError(
            f"{type(root).__name__} has no nn.Linear to replace; was the method applied twice?"
        )
    for parent, name, child in places:
        setattr(parent, name, make(child))
    return len(places)

"""Parts of a case id: how values, and the fields of a dataclass, are written in it. Pure."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

__all__ = ["field_word", "is_changed", "own_fields", "word"]


def own_fields(thing: Any) -> tuple[Any, ...]:
    """The fields of a dataclass instance that its static type does not tell to be one."""
    return fields(thing)


def is_changed(thing: Any, name: str) -> bool:
    """Whether a field has another value than its default."""
    default = next(f.default for f in fields(thing) if f.name == name)
    return bool(getattr(thing, name) != default)


def field_word(thing: Any, name: str, first: bool) -> str:
    """A field as `name_value`, the first one as its value alone, a flag as its name."""
    value = getattr(thing, name)
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    return word(value) if first else f"{name}_{word(value)}"


def word(value: object) -> str:
    """`value` as a part of a file name, at most 60 characters; of a path its last part."""
    text = str(value).rstrip("/").rsplit("/", 1)[-1][:60]
    return "".join(c if c.isalnum() or c in "._" else "_" for c in text)

"""Baselines that nothing compares with any more: no case that today's code can make is theirs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from accel.baselines import location, read
from accel.core import Case, Record
from accel.errors import AccelError, BaselineError
from accel.methods import method_of
from accel.models import default_request

__all__ = ["lines", "of", "orphans", "unasked"]

Key = tuple[str, str]


def orphans(root: Path) -> dict[Path, str]:
    """Each file below the baselines' folder that no case leads to, and why.

    One that cannot be read is among them, with what is wrong with it.
    """
    found = {path: _why(root, path) for path in sorted(root.rglob("*.json"))}
    return {path: why for path, why in found.items() if why}


def of(record: Record) -> str:
    """Why today's code makes no case with the id and group of this record; empty if it does."""
    model, _, weights = record.group.rpartition(".")
    try:
        default_request(model, weights)  # knows both names
        asked, method = record.asked, method_of(record)
    except AccelError as error:
        return str(error)
    cap = record.run.get("vram_cap")
    now = Case(model, cast(Any, weights), asked, method, vram_cap=cap).id
    if now != record.case:
        return f"{record.method} makes the case {now} now, not {record.case}"
    return ""


def unasked(root: Path, hardware: str, asked: Iterable[Key]) -> dict[Path, str]:
    """The baselines of that hardware whose cases, by group and id, are not among the asked ones."""
    keys = {*asked}
    found = sorted((root / hardware).glob("*/*.json"))
    why = "no gate test asked for it"
    return {path: why for path in found if (path.parent.name, path.stem) not in keys}


def lines(found: dict[Path, str], word: str) -> list[str]:
    """What is told of them, a line each. word: what they are."""
    return [f"{word} baseline {path}: {' '.join(why.split())}" for path, why in found.items()]


def _why(root: Path, path: Path) -> str:
    try:
        record = read(path, "write it anew with `accel refresh`, or remove it")
    except BaselineError as error:
        return str(error).removeprefix(f"{path}: ")
    place = location(root, record.hardware, record.group, record.case)
    if path != place:
        return f"its record belongs in {place.relative_to(root)}; move or remove it"
    why = of(record)
    return why and f"{why}; refresh it, or remove it"

"""Records as files: one canonical JSON each, read with suspicion, written whole or not at all.

A baseline lies at `baselines/<hardware>/<group>/<case id>.json`, a run's record at
`<run folder>/records/<group>/<case id>.json`; both have the same form. Identity is decided by
the gate, from what the record says, not by where the file lies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NoReturn, get_args

from accel.core import SCHEMA, Fidelity, Record
from accel.errors import BaselineError, cannot_write

__all__ = ["dumps", "find", "loads", "location", "read", "write", "write_all", "write_file"]

RESTORE = "restore it with `git restore {path}`, or write it anew with `accel refresh`"
_ROUNDED = ("metrics", "reference")
_DIGITS = 6


def location(root: Path, hardware: str, group: str, case: str) -> Path:
    """Where the baseline of a case lies: root/hardware/group/case.json."""
    return root / hardware / group / f"{case}.json"


def find(root: Path, hardware: str, group: str, case: str) -> Record | None:
    """The baseline of a case, or None if there is no file. Raises BaselineError as `read` does."""
    path = location(root, hardware, group, case)
    return read(path) if path.exists() else None


def write(record: Record, root: Path) -> Path:
    """Write a record as the baseline of its case; returns the path. Errors as `write_all`."""
    (path,) = write_all([record], root)
    return path


def write_all(records: Iterable[Record], root: Path) -> list[Path]:
    """`write` for several: all of them are on the disk before the first one is replaced.

    Raises OutputError if a file cannot be written, BaselineError as `dumps` does.
    """
    found = {location(root, one.hardware, one.group, one.case): one for one in records}
    _replace(found)
    return list(found)


def write_file(record: Record, path: Path) -> None:
    """Write a record to a path. Errors as `write_all`."""
    _replace({path: record})


def _replace(records: Mapping[Path, Record]) -> None:
    """Replace each path in one step, when all are on the disk beside them.

    A crash, a full disk or Ctrl-C leaves the old files, or none, never half of one; between the
    first and the last rename, which takes no time, some old and some new ones.
    """
    texts = {path: dumps(record) for path, record in records.items()}
    names = (f".{os.getpid()}-{number}.draft" for number, _ in enumerate(texts))
    drafts = {path: path.with_name(name) for path, name in zip(texts, names, strict=True)}
    try:
        for path, text in texts.items():
            with _told(path):
                _write(drafts[path], text)
        for path, draft in drafts.items():
            with _told(path):
                draft.replace(path)
    finally:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def _write(draft: Path, text: str) -> None:
    """Onto the disk itself: what is renamed then is whole."""
    draft.parent.mkdir(parents=True, exist_ok=True)
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def dumps(record: Record) -> str:
    """Canonical JSON: sorted keys, indent 2, metrics to 6 significant digits, newline at the end.

    Raises BaselineError naming a value that is not finite or that JSON cannot hold.
    """
    form = {f.name: _plain(getattr(record, f.name), f.name) for f in fields(Record)}
    for name in _ROUNDED:
        form[name] = {key: _rounded(value) for key, value in form[name].items()}
    return json.dumps(form, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read(path: Path, remedy: str = RESTORE) -> Record:
    """The record in a file.

    Raises BaselineError naming the file, what is wrong with it and where, and the remedy.
    """
    advice = remedy.format(path=path)
    try:
        return loads(path.read_bytes())
    except OSError as error:
        text = f"{path}: cannot be read: {error.strerror or error}; {advice}"
        raise BaselineError(text) from error
    except BaselineError as error:
        raise BaselineError(f"{path}: {error}; {advice}") from error


def loads(content: bytes) -> Record:
    """The record that a file's content is. Raises BaselineError saying what is wrong with it."""
    try:
        form = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        text = f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        raise BaselineError(text) from error
    except ValueError as error:  # not UTF-8, or NaN
        raise BaselineError(f"not JSON: {error}") from error
    if problem := _problem(form):
        raise BaselineError(problem)
    return Record(**form)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _problem(form: object) -> str | None:
    """The first thing that keeps `form` from being a record of this schema."""
    if not isinstance(form, dict):
        return f"holds a {type(form).__name__}, not a record"
    if form.get("schema") != SCHEMA:
        return f"schema {form.get('schema')!r} found, {SCHEMA} expected"
    names = {f.name for f in fields(Record)}
    if form.keys() != names:
        missing, unknown = sorted(names - form.keys()), sorted(form.keys() - names)
        return f"missing keys {missing}, unknown keys {unknown}"
    for f in fields(Record):
        if not _KINDS.get(str(f.type), _is_mapping)(form[f.name]):
            return f"{f.name} is {str(form[f.name])[:80]!r}, not of the form {f.type}"
    return None


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_metrics(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(v, str) or _is_number(v) for v in value.values()
    )


def _is_counters(value: object) -> bool:
    return isinstance(value, dict) and all(type(v) is int for v in value.values())


_KINDS = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int,
    "Fidelity": lambda value: value in get_args(Fidelity),
    "Metrics": _is_metrics,
    "Counters": _is_counters,
}
"""Checks by the annotation in Record; every other field is a mapping."""


def _rounded(value: Any) -> Any:
    """A number to 6 significant digits, as a float; text as it is."""
    return value if isinstance(value, str) else float(f"{value:.{_DIGITS}g}")


def _plain(value: Any, name: str) -> Any:
    """`value` as what JSON reads back; numbers of an array library become Python's."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _finite(float(value), name)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    kind = type(value).__name__
    raise BaselineError(f"{name} is a {kind}; a record holds plain numbers and text")


def _finite(value: float, name: str) -> float:
    if not isfinite(value):
        raise BaselineError(f"{name} is {value}; leave out what could not be had")
    return value

"""`accel report --trend`: how the numbers of each baseline came to be what they are.

A table for each case: a row for each commit that changed it, with the change to the row before.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rich.console import Console

from accel import orphans
from accel.compare import SUMMARY
from accel.core import Metrics
from accel.errors import InvalidRequestError
from accel.history import Point, check_repository, history, is_shallow
from accel.models import MODELS
from accel.report.tables import ABSENT, LINES, Line, Table, markdown, show

__all__ = ["chosen", "print_trend", "trend"]

SHOWN = tuple(line for key in SUMMARY for line in LINES if line.key == key)


def print_trend(options: Namespace, console: Console) -> int:
    """Print the table of every chosen baseline, and what no case leads to any more.

    options: trend, baselines, markdown. Raises InvalidRequestError for a folder without a history,
    and where nothing is chosen.
    """
    root: Path = options.baselines
    check_repository(root)
    for path in chosen(root, options.trend):
        title = path.relative_to(root).with_suffix("").as_posix()
        table = trend(title, history(path), is_shallow(root))
        if options.markdown:
            print(markdown(table))
        else:
            show(table, console)
    for line in orphans.lines(orphans.orphans(root), "orphan"):
        print(line)
    return 0


def chosen(root: Path, asked: str) -> list[Path]:
    """The baselines of a model, or else those whose hardware/group/case has the pattern in it.

    asked: "" takes all; * and ? stand for what they do in file names. Raises InvalidRequestError if
    there is none.
    """
    found = sorted(root.glob("*/*/*.json"))
    names = {path: path.relative_to(root).with_suffix("").as_posix() for path in found}
    model = asked in MODELS
    pattern = f"*/{asked}.*/*" if model else f"*{asked}*"
    if taken := [path for path in found if fnmatchcase(names[path], pattern)]:
        return taken
    example = f", such as {next(iter(names.values()))}" if names else ""
    raise InvalidRequestError(
        f"no baseline in {root} goes by {asked!r}; give a model, or a part of a name{example}"
    )


def trend(title: str, points: Sequence[Point], shallow: bool = False) -> Table:
    """One case's table: its points in their order, and the metrics that any of them has.

    In parentheses stands the change to the row before that has a record. A note says why a record
    was accepted, if it tells, or why there is none.
    """
    before: Metrics = {}
    rows = []
    for point in points:
        metrics = _metrics(point)
        cells = [_cell(line, metrics.get(line.key), before.get(line.key)) for line in SHOWN]
        rows.append((point.commit, point.date or ABSENT, *cells, _torch(point), _note(point)))
        before = metrics or before
    headings = ("Commit", "Date", *(_heading(line) for line in SHOWN), "torch", "Note")
    kept = [i for i in range(len(headings)) if i < 2 or any(row[i] != ABSENT for row in rows)]
    notes = ("a shallow clone: what came before its oldest commit is not shown",) if shallow else ()
    body = tuple(tuple(row[i] for i in kept) for row in rows)
    return Table(title, tuple(headings[i] for i in kept), body, notes)


def _metrics(point: Point) -> Metrics:
    """M0's speed-up is 1 by definition."""
    if point.record is None:
        return {}
    own = {"speedup": 1.0} if point.record.is_reference else {}
    return {**point.record.metrics, **own}


def _heading(line: Line) -> str:
    return f"{line.label}, {line.unit}" if line.unit else line.label


def _cell(line: Line, now: float | str | None, before: float | str | None) -> str:
    """`1.62 (+0.05)`, or `jerky (was smooth)`; what is equal as it is written has no change."""
    if now is None:
        return ABSENT
    if isinstance(now, str):
        return now if before in (None, now) else f"{now} (was {before})"
    text = format(now, line.form)
    if not isinstance(before, int | float) or format(before, line.form) == text:
        return text
    return f"{text} ({now - before:+{line.form}})"


def _torch(point: Point) -> str:
    return _told(point.record.fingerprint, "versions", "torch") if point.record else ABSENT


def _note(point: Point) -> str:
    if point.record is None:
        return point.problem
    return _told(point.record.run, "calibration", "reason")


def _told(form: Mapping[str, Any], part: str, name: str) -> str:
    """A text in a part of a record that may lack both; an old one may hold something else there."""
    found = form.get(part)
    text = found.get(name) if isinstance(found, dict) else None
    return " ".join(str(text).split()) if text else ABSENT
